//! Stopping all processes of a cgroup, and letting them go on.

use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use nix::fcntl::OFlag;
use nix::sys::uio::pread;
use nix::unistd::write as write_fd;

use crate::cgroup::Cgroup;
use crate::error::{Error, Result};
use crate::file;
use crate::wait::{Events, Pause, Was};

/// How long to try.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long a v1 cgroup may stay `FREEZING` before it is thawed for a moment.
const NUDGE: Duration = Duration::from_millis(50);

impl Cgroup {
    /// Freezes, and returns when all processes have stopped. On failure it thaws again: a cgroup
    /// left half frozen is worse than one that runs.
    ///
    /// # Errors
    /// [`Error::Timeout`] after five seconds, [`Error::NoController`] without any freezer, and
    /// what the kernel says.
    pub fn freeze(&self) -> Result<()> {
        let frozen = match (self.v1_dir("freezer"), self.v2_freezer()) {
            (Some(dir), _) => freeze_v1(dir),
            (None, Some(dir)) => freeze_v2(dir),
            (None, None) => return Err(no_freezer()),
        };
        if frozen.is_err() {
            // The error that matters is the first one.
            let _ = self.thaw();
        }
        frozen
    }

    /// Thaws. The processes run again when it returns, or are about to.
    ///
    /// # Errors
    /// [`Error::NoController`] without any freezer, and what the kernel says.
    pub fn thaw(&self) -> Result<()> {
        match (self.v1_dir("freezer"), self.v2_freezer()) {
            (Some(dir), _) => file::write(dir, "freezer.state", "THAWED"),
            (None, Some(dir)) => file::write(dir, "cgroup.freeze", "0"),
            (None, None) => Err(no_freezer()),
        }
    }

    /// Was it frozen, itself and not one above it? `false` if it is gone, or there is no
    /// freezer.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn is_frozen(&self) -> Result<bool> {
        let read = match (self.v1_dir("freezer"), self.v2_freezer()) {
            (Some(dir), _) => read_v1(dir),
            (None, Some(dir)) => file::read(dir, "cgroup.freeze").map(|text| text.trim() == "1"),
            (None, None) => Ok(false),
        };
        match read {
            Err(error) if error.is_gone() => Ok(false),
            read => read,
        }
    }

    /// The directory of the freezer that [`freeze`](Cgroup::freeze) uses, if there is one.
    pub fn freezer_dir(&self) -> Option<&str> {
        self.v1_dir("freezer").or_else(|| self.v2_freezer())
    }

    /// v2's freezer is part of every cgroup but the root; beside v1's it is not ours to use,
    /// since whoever looks at the container looks at v1's.
    fn v2_freezer(&self) -> Option<&str> {
        self.v2_dir()
    }
}

fn no_freezer() -> Error {
    Error::NoController {
        controller: "freezer".to_owned(),
        limit: "the state of the freezer".to_owned(),
    }
}

/// `THAWED` says it all; else `freezer.self_freezing` tells this cgroup from one above it.
fn read_v1(dir: &str) -> Result<bool> {
    if file::read(dir, "freezer.state")?.trim() == "THAWED" {
        return Ok(false);
    }
    Ok(file::read(dir, "freezer.self_freezing")?.trim() == "1")
}

/// v1's freezer stays `FREEZING` while new processes appear, or when a process was missed
/// (freezer-subsystem.rst); writing `FROZEN` again, now and then after a moment of thaw, is the
/// way out. There is no event to wait for: reading the state is what makes the kernel look.
fn freeze_v1(dir: &str) -> Result<()> {
    let path = file::join(dir, "freezer.state");
    let fd =
        file::open(&path, OFlag::O_RDWR).map_err(|errno| file::call_error("open", &path, errno))?;
    let deadline = Instant::now() + PATIENCE;
    loop {
        let nudge = Instant::now() + NUDGE;
        let mut pause = Pause::default();
        loop {
            set_v1(&fd, &path, "FROZEN")?;
            let mut state = [0; 16];
            let n = pread(&fd, &mut state, 0)
                .map_err(|errno| file::call_error("read", &path, errno))?;
            if state[..n].starts_with(b"FROZEN") {
                return Ok(());
            }
            if Instant::now() >= nudge {
                break;
            }
            pause.sleep();
        }
        if Instant::now() >= deadline {
            return Err(timeout(dir));
        }
        set_v1(&fd, &path, "THAWED")?;
    }
}

fn set_v1(fd: &OwnedFd, path: &str, state: &str) -> Result<()> {
    match write_fd(fd, state.as_bytes()) {
        Ok(_) => Ok(()),
        Err(errno) => Err(Error::Write { file: path.to_owned(), value: state.to_owned(), errno }),
    }
}

fn freeze_v2(dir: &str) -> Result<()> {
    file::write(dir, "cgroup.freeze", "1")?;
    let events = Events::open(dir).map_err(|errno| {
        let path = file::join(dir, "cgroup.events");
        file::call_error("open", &path, errno)
    })?;
    match events.until("frozen", 1, Instant::now() + PATIENCE)? {
        Was::Late => Err(timeout(dir)),
        Was::Already | Was::Waited => Ok(()),
    }
}

fn timeout(dir: &str) -> Error {
    Error::Timeout { what: "the processes to freeze", path: dir.to_owned() }
}
