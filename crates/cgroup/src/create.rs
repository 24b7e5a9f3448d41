//! Making a cgroup.

use std::os::fd::OwnedFd;

use nix::errno::Errno;

use crate::cgroup::{Cgroup, Created, Dir, OnDenied, undo};
use crate::error::{Error, Result};
use crate::{file, path, v2};

impl Cgroup {
    /// Makes the directory in every hierarchy, and opens what a process needs to join them.
    ///
    /// On v1 an empty `cpuset.cpus` and `cpuset.mems` is filled from the parent, since nobody
    /// can join without; on v2 alone the controllers which the top has are enabled on the way
    /// down, as far as they are delegated to us.
    /// Directories which exist are used: other containers may be in one further up, or will be
    /// in this one. After an error what was made is removed again, and what is there is somebody
    /// else's: it must not be killed or deleted.
    ///
    /// # Errors
    /// [`Error::NotEmpty`] and [`Error::Frozen`] for an existing cgroup with processes in it, or
    /// a frozen one; and what the kernel says. See [`OnDenied`] for permissions.
    pub fn create(&mut self, denied: OnDenied) -> Result<Created> {
        self.create_where(denied, |_| true)
    }

    /// The same, for what is to become a scope of systemd's with a process that is not in it yet: on
    /// v1 the hierarchies that systemd has something to do with are left to it. It removes there what
    /// is empty whenever the last unit has gone that needed the controller.
    ///
    /// With `below` the cgroup is one below the scope, and on v2, too, nothing is made: systemd could put
    /// no process into a scope whose controllers are enabled for what is below.
    ///
    /// # Errors
    /// As [`Cgroup::create`].
    pub fn create_for_scope(&mut self, denied: OnDenied, below: bool) -> Result<Created> {
        let unified = self.is_unified() && !below;
        self.create_where(denied, |dir| unified || !dir.is_systemds())
    }

    /// Puts a process into those hierarchies that systemd should have put it into but has not, since
    /// the controller is one that it doesn't use here; and on v2 from the scope into the cgroup `below` it.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn complete_scope(&self, pid: i32, below: bool) -> Result<()> {
        if let (true, Some(dir)) = (self.is_unified() && below, &self.v2) {
            return move_into(dir, pid);
        }
        if self.is_unified() {
            return Ok(());
        }
        let pid = pid.to_string();
        for dir in self.v1.iter().chain(&self.v2).filter(|dir| dir.is_systemds()) {
            let processes = file::read(&dir.path, "cgroup.procs").unwrap_or_default();
            if !processes.lines().any(|line| line == pid) {
                make_path(dir, &mut Vec::new())?;
                file::write(&dir.path, "cgroup.procs", &pid)?;
            }
        }
        Ok(())
    }

    /// Makes a cgroup below this one, with its controllers, moves the process there, and gives it to `uid`
    /// ([`Cgroup::delegate`]): what is in it manages it, and the limits stay up here. v2 alone.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn delegate_below(&self, path: &str, pid: i32, uid: u32) -> Result<()> {
        let Some(dir) = self.v2.as_ref().filter(|_| self.is_unified()) else {
            return Ok(());
        };
        let path = file::join(&dir.path, path);
        let below = Dir { names: Vec::new(), path, mount: dir.mount };
        move_into(&below, pid)?;
        Cgroup { v2: Some(below), ..Cgroup::default() }.delegate(uid)
    }

    fn create_where(&mut self, denied: OnDenied, wanted: impl Fn(&Dir) -> bool) -> Result<Created> {
        let mut created = Created::default();
        match self.create_all(&mut created, denied, wanted) {
            Ok(()) => Ok(created),
            Err(error) => {
                // The first error is the one to report; a directory left behind is in `paths`.
                let _ = undo(&created.made);
                Err(error)
            }
        }
    }

    fn create_all(
        &mut self,
        created: &mut Created,
        denied: OnDenied,
        wanted: impl Fn(&Dir) -> bool,
    ) -> Result<()> {
        let skip = denied == OnDenied::Skip && !self.explicit;
        let unified = self.is_unified();
        let mut existed = false;
        let mut make = |dir: &Dir| -> Result<bool> {
            if !wanted(dir) {
                return Ok(true);
            }
            let before = created.made.len();
            let made = make_path(dir, &mut created.made).and_then(|new| {
                existed |= !new;
                if dir.names.iter().any(|name| name == "cpuset") {
                    fill_cpuset(dir, new, &mut created.join.spent)?;
                }
                if dir.names.is_empty() && unified {
                    v2::enable_controllers(dir, &mut created.join.spent)?;
                }
                created.join.add(dir)
            });
            match made {
                Err(error) if skip && error.is_denied() => {
                    undo(&created.made.split_off(before))?;
                    Ok(false)
                }
                made => made.map(|()| true),
            }
        };
        let v1: Vec<bool> = self.v1.iter().map(&mut make).collect::<Result<_>>()?;
        let v2 = self.v2.as_ref().map_or(Ok(false), &mut make)?;
        let mut kept = v1.into_iter();
        self.v1.retain(|_| kept.next().unwrap_or(false));
        self.v2 = self.v2.take().filter(|_| v2);
        match existed {
            true => self.check_unused(),
            false => Ok(()),
        }
    }

    /// A cgroup that was there before must have no processes, and not be frozen.
    fn check_unused(&self) -> Result<()> {
        let processes = self.settled_pids()?.len();
        if processes > 0 {
            return Err(Error::NotEmpty { processes });
        }
        match self.is_frozen()? {
            true => Err(Error::Frozen { path: self.freezer_dir().unwrap_or_default().to_owned() }),
            false => Ok(()),
        }
    }
}

/// Makes a directory of v2's with all above it, moves the process there, and only then enables the
/// controllers: where they are enabled for what is below there may be no process.
fn move_into(dir: &Dir, pid: i32) -> Result<()> {
    make_path(dir, &mut Vec::new())?;
    file::write(&dir.path, "cgroup.procs", &pid.to_string())?;
    v2::enable_controllers(dir, &mut Vec::new())
}

/// `mkdir -p` below the mount, the last directory first. Is that one new?
fn make_path(dir: &Dir, made: &mut Vec<String>) -> Result<bool> {
    let failed = |path: &str, errno| file::call_error("mkdir", path, errno);
    match file::mkdir(&dir.path) {
        Ok(new) => {
            if new {
                made.push(dir.path.clone());
            }
            return Ok(new);
        }
        Err(Errno::ENOENT) if dir.mount < dir.path.len() => {}
        Err(errno) => return Err(failed(&dir.path, errno)),
    }
    let inner = &dir.path[dir.mount..];
    let mut new = false;
    for (at, _) in inner.match_indices('/').skip(1).chain([(inner.len(), "")]) {
        let path = &dir.path[..dir.mount + at];
        new = file::mkdir(path).map_err(|errno| failed(path, errno))?;
        if new {
            made.push(path.to_owned());
        }
    }
    Ok(new)
}

/// Fills the two masks of a v1 cpuset from its parent's where they are empty, that one's first.
/// A new directory's are known to be empty, but where `cgroup.clone_children` filled them; then
/// this writes the same. What was opened becomes `spent`.
fn fill_cpuset(dir: &Dir, new: bool, spent: &mut Vec<OwnedFd>) -> Result<()> {
    for mask in ["cpuset.cpus", "cpuset.mems"] {
        if new || is_blank(&file::read(&dir.path, mask)?) {
            let value = inherited(dir, &dir.path, mask, spent)?;
            spent.push(file::put(&dir.path, mask, &value)?);
        }
    }
    Ok(())
}

/// The mask of the parent, filled from its own parent's if need be.
fn inherited(dir: &Dir, at: &str, mask: &str, spent: &mut Vec<OwnedFd>) -> Result<String> {
    let parent = path::parent(at);
    let (value, read) = file::get(parent, mask)?;
    spent.push(read);
    if !is_blank(&value) || parent.len() <= dir.mount {
        return Ok(value.trim_end().to_owned());
    }
    let value = inherited(dir, parent, mask, spent)?;
    spent.push(file::put(parent, mask, &value)?);
    Ok(value)
}

fn is_blank(value: &str) -> bool {
    value.trim().is_empty()
}
