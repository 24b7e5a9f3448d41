//! A container that a test has created.

use std::cell::Cell;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use procfs::process::Process;
use serde_json::Value;

use crate::call::{Call, Output};
use crate::case::Case;
use crate::verdict::{Verdict, fail, is};

/// A container that exists.
pub(crate) struct Container<'t> {
    /// The case that made it.
    pub case: &'t Case,
    /// Its id.
    pub id: String,
    /// The file that its process's standard output goes to.
    pub stdout: PathBuf,
    started: Cell<bool>,
}

impl<'t> Container<'t> {
    /// A container that was created; its process prints to `stdout`.
    pub(crate) fn new(case: &'t Case, id: &str, stdout: PathBuf) -> Self {
        Self { case, id: id.to_owned(), stdout, started: Cell::new(false) }
    }

    /// A call of `command` with this container's id.
    pub(crate) fn call(&self, command: &str) -> Call<'t> {
        self.case.call([command, &self.id])
    }

    /// Runs `command` on this container.
    #[track_caller]
    pub(crate) fn rt(&self, command: &str) -> Verdict<Output> {
        self.call(command).output()
    }

    /// `start` must succeed.
    #[track_caller]
    pub(crate) fn start(&self) -> Verdict {
        self.rt("start")?.ok()?;
        self.started.set(true);
        Ok(())
    }

    /// `state` as JSON.
    #[track_caller]
    pub(crate) fn state(&self) -> Verdict<Value> {
        self.rt("state")?.json()
    }

    /// The `data` of `events --stats`.
    #[track_caller]
    pub(crate) fn stats(&self) -> Verdict<Value> {
        Ok(self.call("events").arg("--stats").output()?.json()?["data"].take())
    }

    /// The status that `state` tells.
    #[track_caller]
    pub(crate) fn status(&self) -> Verdict<String> {
        match self.state()?["status"].as_str() {
            Some(status) => Ok(status.to_owned()),
            None => fail("state has no status"),
        }
    }

    /// The status must be `status`.
    #[track_caller]
    pub(crate) fn is(&self, status: &str) -> Verdict {
        is(self.status()?.as_str(), status)
    }

    /// The status must become `status`.
    #[track_caller]
    pub(crate) fn becomes(&self, status: &str) -> Verdict {
        self.case.until(status, || Ok(self.status()? == status))
    }

    /// The pid of the container's first process; once started, that of the user's program.
    #[track_caller]
    pub(crate) fn pid(&self) -> Verdict<i32> {
        let Some(pid) = self.state()?["pid"].as_i64().filter(|pid| *pid > 1) else {
            return fail("state has no pid");
        };
        if self.started.get() {
            // A runtime may return from start before its own process has become the program,
            // which is busybox in all tests.
            let program = fs::metadata(self.case.busybox())?.ino();
            let _ = self.case.until("the program", || {
                Ok(fs::metadata(format!("/proc/{pid}/exe"))
                    .map_or(true, |exe| exe.ino() == program))
            });
        }
        Ok(i32::try_from(pid)?)
    }

    /// The container's first process, seen from outside.
    #[track_caller]
    pub(crate) fn init(&self) -> Verdict<Process> {
        Ok(Process::new(self.pid()?)?)
    }

    /// The target of a link of the first process, such as `ns/pid`.
    #[track_caller]
    pub(crate) fn link(&self, name: &str) -> Verdict<String> {
        let target = fs::read_link(format!("/proc/{}/{name}", self.pid()?))?;
        Ok(target.to_string_lossy().into_owned())
    }

    /// A file of procfs of the first process, such as `status`.
    #[track_caller]
    pub(crate) fn proc(&self, name: &str) -> Verdict<String> {
        Ok(fs::read_to_string(format!("/proc/{}/{name}", self.pid()?))?)
    }

    /// `kill` must succeed.
    #[track_caller]
    pub(crate) fn kill(&self, signal: &str) -> Verdict {
        self.call("kill").arg(signal).ok().map(drop)
    }

    /// `delete` must succeed.
    #[track_caller]
    pub(crate) fn delete(&self) -> Verdict {
        self.rt("delete")?.ok().map(drop)
    }

    /// A call of `exec` with flags and a command.
    pub(crate) fn exec<'a>(
        &self,
        flags: impl IntoIterator<Item = &'a str>,
        line: impl IntoIterator<Item = &'a str>,
    ) -> Call<'t> {
        self.case.call(["exec"]).args(flags).arg(&self.id).args(line)
    }

    /// A shell by `exec` must exit 0; returns what the script printed.
    #[track_caller]
    pub(crate) fn says(&self, script: &str) -> Verdict<String> {
        self.exec([], ["/bin/sh", "-c", script]).ok()
    }

    /// What the container's process has printed so far.
    pub(crate) fn printed(&self) -> Verdict<String> {
        Ok(fs::read_to_string(&self.stdout)?.trim_end().to_owned())
    }

    /// The process must print a line that contains `text`.
    #[track_caller]
    pub(crate) fn shows(&self, text: &str) -> Verdict {
        self.case.until(text, || Ok(self.printed()?.contains(text)))
    }
}
