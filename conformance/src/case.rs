//! What a test is given: a runtime, a place of its own, and a clean end.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::wait::{Id, WaitPidFlag, waitid};

use crate::bundle::Bundle;
use crate::call::{Call, Output};
use crate::leftover::{self, raw};
use crate::schedule::Scale;
use crate::verdict::{Verdict, fail, needs};

/// The PATH of the runtime under test.
pub(crate) const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The surroundings of one test. Each test has a process of its own, which is the reaper of
/// everything that the test starts.
pub(crate) struct Case {
    /// The runtime under test.
    pub runtime: PathBuf,
    /// The test's own directory.
    pub scratch: PathBuf,
    /// The test's own `--root`.
    pub root: PathBuf,
    /// How long one call of the runtime may take.
    pub bound: Duration,
    /// How long a state that must come is waited for.
    pub patience: Duration,
    /// How long what has been killed may take to be gone.
    pause: Duration,
    busybox: PathBuf,
    tag: String,
    serial: Cell<u32>,
    ids: RefCell<Vec<(PathBuf, String)>>,
    /// Processes that are waited for elsewhere, which `reap` leaves alone.
    pub live: RefCell<BTreeSet<u32>>,
}

impl Case {
    /// A case in the new directory `scratch`, whose container ids start with `tag`.
    pub(crate) fn new(runtime: &Path, scratch: &Path, tag: &str, scale: Scale) -> Verdict<Self> {
        fs::create_dir_all(scratch)?;
        // Containers with another user id must reach their bundle.
        fs::set_permissions(scratch, fs::Permissions::from_mode(0o755))?;
        let parent = scratch.parent().unwrap_or(scratch);
        Ok(Self {
            runtime: runtime.to_path_buf(),
            root: scratch.join("root"),
            bound: Duration::from_secs(20) * scale.patience,
            patience: Duration::from_millis(if scale.null { 100 } else { 5000 }) * scale.patience,
            pause: Duration::from_millis(350) * scale.patience,
            busybox: parent.join("busybox"),
            tag: tag.to_owned(),
            serial: Cell::new(0),
            ids: RefCell::new(Vec::new()),
            live: RefCell::new(BTreeSet::new()),
            scratch: scratch.to_path_buf(),
        })
    }

    /// The file that every root filesystem's busybox is a link to.
    pub(crate) fn busybox(&self) -> &Path {
        &self.busybox
    }

    /// A file that all tests of a run share.
    pub(crate) fn of_the_run(&self, name: &str) -> PathBuf {
        self.busybox.with_file_name(name)
    }

    /// The next number of this case.
    pub(crate) fn number(&self) -> u32 {
        self.serial.set(self.serial.get() + 1);
        self.serial.get()
    }

    /// A container id that nothing else on the machine has.
    pub(crate) fn id(&self) -> String {
        let id = format!("{}-{}", self.tag, self.number());
        self.owns(&self.root, &id);
        id
    }

    /// Notes a container that must be gone at the end.
    pub(crate) fn owns(&self, root: &Path, id: &str) {
        self.ids.borrow_mut().push((root.to_path_buf(), id.to_owned()));
    }

    /// A path in the test's own directory.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.scratch.join(name)
    }

    /// Writes a file in the test's own directory.
    pub(crate) fn file(&self, name: &str, content: impl AsRef<[u8]>) -> Verdict<PathBuf> {
        let path = self.path(name);
        fs::write(&path, content)?;
        Ok(path)
    }

    /// Makes a directory in the test's own directory.
    pub(crate) fn dir(&self, name: &str) -> Verdict<PathBuf> {
        let path = self.path(name);
        fs::create_dir_all(&path)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
        Ok(path)
    }

    /// A bundle with a root filesystem of its own and a plain configuration.
    pub(crate) fn bundle(&self) -> Verdict<Bundle<'_>> {
        Bundle::new(self, &self.busybox)
    }

    /// A call of the runtime.
    pub(crate) fn call<'a>(&self, args: impl IntoIterator<Item = &'a str>) -> Call<'_> {
        Call::new(self).args(args)
    }

    /// Calls the runtime with `args` to its end.
    pub(crate) fn rt<'a>(&self, args: impl IntoIterator<Item = &'a str>) -> Verdict<Output> {
        self.call(args).output()
    }

    /// Skips on a runtime beside tare where `what` is not present. tare is not let off: it could lose
    /// it, and nobody would notice.
    pub(crate) fn others_may_lack(&self, what: &str, present: bool) -> Verdict {
        let version = self.rt(["--version"])?.stdout;
        let known = ["runc ", "crun ", "youki "].iter().any(|name| version.starts_with(name));
        // tare says that it is runc, for those who ask, and in a further line that it is not.
        let tare = version.lines().any(|line| line.starts_with("tare: "));
        needs(present || tare || !known, what)
    }

    /// Skips on the runtimes beside tare, which alone has `what`.
    pub(crate) fn tares(&self, what: &str) -> Verdict {
        self.others_may_lack(what, false)
    }

    /// Runs a program of the host and returns its standard output; it must exit 0.
    #[track_caller]
    pub(crate) fn host<'a>(&self, line: impl IntoIterator<Item = &'a str>) -> Verdict<String> {
        let words: Vec<&str> = line.into_iter().collect();
        let out = Command::new(words[0]).args(&words[1..]).stdin(Stdio::null()).output()?;
        if !out.status.success() {
            return fail(format!("{words:?}: {}", String::from_utf8_lossy(&out.stderr)));
        }
        Ok(String::from_utf8_lossy(&out.stdout).trim_end().to_owned())
    }

    /// Starts a program of the host that lives until the returned value is dropped.
    pub(crate) fn keep<'a>(&self, line: impl IntoIterator<Item = &'a str>) -> Verdict<Kept<'_>> {
        let words: Vec<&str> = line.into_iter().collect();
        let child = Command::new(words[0])
            .args(&words[1..])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        self.live.borrow_mut().insert(child.id());
        Ok(Kept { case: self, child })
    }

    /// Waits until `ready` says so; fails with `what` when patience ends.
    #[track_caller]
    pub(crate) fn until(&self, what: &str, mut ready: impl FnMut() -> Verdict<bool>) -> Verdict {
        let end = Instant::now() + self.patience;
        loop {
            self.reap();
            if ready()? {
                return Ok(());
            }
            if Instant::now() > end {
                return fail(format!("never: {what}"));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Takes the exit status of dead orphans, as the init of a host does: a runtime reads a
    /// container's end from its first process.
    pub(crate) fn reap(&self) {
        for pid in leftover::children(std::process::id()) {
            if !self.live.borrow().contains(&pid) {
                let id = Id::Pid(raw(pid));
                let _ = waitid(id, WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG);
            }
        }
    }

    /// Removes all containers of this case by `delete --force`, then says what is still there, and
    /// cleans it up.
    pub(crate) fn finish(&self) -> Vec<String> {
        let mut said = Vec::new();
        for (root, id) in self.ids.borrow().iter() {
            if root.join(id).exists() || leftover::cgroups(id).next().is_some() {
                let call = self.call(["delete", "--force", id]).root(Some(root));
                said.extend(call.ok().err().map(|why| format!("{why:?}")));
            }
        }
        let mut left = self.left();
        if !left.is_empty() {
            // The last process of a container may still be on its way out.
            std::thread::sleep(self.pause);
            left = self.left();
        }
        leftover::clean(&self.tag, &self.scratch);
        if !left.is_empty() {
            left.append(&mut said);
        }
        left
    }

    /// What exists of this case's containers: processes, cgroups, mounts, state.
    pub(crate) fn left(&self) -> Vec<String> {
        self.reap();
        let mut left = leftover::find(&self.tag, &self.scratch, &self.live.borrow());
        if let Ok(entries) = fs::read_dir(&self.root) {
            let state = entries.flatten().filter(|e| e.path().join("state.json").exists());
            left.extend(state.map(|entry| format!("state {}", entry.path().display())));
        }
        for (root, id) in self.ids.borrow().iter() {
            if root.join(id).exists() {
                left.push(format!("state {}", root.join(id).display()));
            }
        }
        left
    }

    /// Nothing may be left of any container, without a `delete`.
    #[track_caller]
    pub(crate) fn nothing_left(&self) -> Verdict {
        let end = Instant::now() + 2 * self.pause;
        loop {
            let left = self.left();
            if left.is_empty() {
                return Ok(());
            }
            if Instant::now() > end {
                return fail(format!("left behind: {}", left.join(", ")));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// A program of the host that lives as long as this value.
pub(crate) struct Kept<'t> {
    case: &'t Case,
    child: Child,
}

impl Kept<'_> {
    /// Its pid.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Kept<'_> {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        self.case.live.borrow_mut().remove(&self.child.id());
    }
}
