//! A runtime as its callers see it: a program with a state directory.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use crate::Result;

/// A runtime under measurement.
pub(crate) struct Runtime {
    /// What the column is called.
    pub(crate) name: String,
    /// Its program.
    pub(crate) path: PathBuf,
}

/// A runtime with its own state directory.
pub(crate) struct Instance<'a> {
    pub(crate) runtime: &'a Runtime,
    pub(crate) state: PathBuf,
}

impl Runtime {
    pub(crate) fn new(name: &str, path: &str) -> Runtime {
        Runtime { name: name.to_owned(), path: path.into() }
    }
}

impl Instance<'_> {
    /// An id that no other runtime's container has: they meet in the same cgroups.
    pub(crate) fn id(&self) -> String {
        format!("bench-{}-{}", std::process::id(), self.runtime.name)
    }

    /// The words of a command, program and global flags included.
    pub(crate) fn words(&self, arguments: &[&str]) -> Vec<String> {
        let program = self.runtime.path.display().to_string();
        let root = self.state.display().to_string();
        let words = [program, "--root".to_owned(), root].into_iter();
        words.chain(arguments.iter().map(|word| (*word).to_owned())).collect()
    }

    /// Starts a command, as engines do, without a terminal.
    pub(crate) fn spawn(&self, arguments: &[&str]) -> Result<Child> {
        spawn(&self.words(arguments))
    }

    /// Runs a command, which must succeed.
    pub(crate) fn call(&self, arguments: &[&str]) -> Result<()> {
        self.spawn(arguments).and_then(|child| self.wait(child, arguments))
    }

    /// Waits for a command, which must succeed.
    pub(crate) fn wait(&self, mut child: Child, arguments: &[&str]) -> Result<()> {
        let status = child.wait().map_err(|error| format!("wait: {error}"))?;
        match status.success() {
            true => Ok(()),
            false => Err(format!("{} {arguments:?}: {status}", self.runtime.name)),
        }
    }

    /// Runs a command whatever comes of it: for what may be there or not.
    pub(crate) fn try_call(&self, arguments: &[&str]) {
        let words = self.words(arguments);
        if let Some((program, rest)) = words.split_first() {
            let _ = quiet(program, rest).stderr(Stdio::null()).status();
        }
    }
}

/// Starts a program whose output nobody reads; its errors are ours.
pub(crate) fn spawn(words: &[String]) -> Result<Child> {
    let (program, rest) = words.split_first().ok_or("no program")?;
    quiet(program, rest).spawn().map_err(|error| format!("{program}: {error}"))
}

fn quiet(program: &str, arguments: &[String]) -> Command {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null());
    command
}
