//! A command without something that it needs: this program takes it away from itself, and becomes the command.

use std::os::fd::{AsRawFd, IntoRawFd};
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::Result;
use crate::options::number;

/// The first word of a command line that asks this program to be hindered, and then to be another one.
pub(crate) const DOOR: &str = "--be-hindered";

/// What is taken away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Hindrance {
    /// All descriptors from this number on.
    Descriptors(usize),
    /// All descriptors but so many: others are open already, and inherited.
    FreeDescriptors(usize),
    /// All memory but so many bytes.
    Memory(usize),
    /// Whatever the cgroups with these directories don't allow.
    Cgroup(String),
}

/// With few descriptors free this is where they end.
const TABLE: usize = 64;

impl Hindrance {
    /// As a word of a command line.
    pub(crate) fn word(&self) -> String {
        match self {
            Hindrance::Descriptors(count) => format!("descriptors={count}"),
            Hindrance::FreeDescriptors(count) => format!("free-descriptors={count}"),
            Hindrance::Memory(bytes) => format!("memory={bytes}"),
            Hindrance::Cgroup(directory) => format!("cgroup={directory}"),
        }
    }

    fn parse(word: &str) -> Result<Hindrance> {
        let (name, value) = word.split_once('=').unwrap_or((word, ""));
        Ok(match name {
            "descriptors" => Hindrance::Descriptors(number(value)?),
            "free-descriptors" => Hindrance::FreeDescriptors(number(value)?),
            "memory" => Hindrance::Memory(number(value)?),
            "cgroup" => Hindrance::Cgroup(value.to_owned()),
            _ => return Err(format!("{word:?} is no hindrance")),
        })
    }

    /// Takes it from this process.
    fn take(&self) -> Result<()> {
        match self {
            Hindrance::Descriptors(count) => limit(Resource::RLIMIT_NOFILE, *count),
            Hindrance::FreeDescriptors(count) => {
                limit(Resource::RLIMIT_NOFILE, TABLE)?;
                fill(TABLE.saturating_sub(*count))
            }
            Hindrance::Memory(bytes) => limit(Resource::RLIMIT_AS, *bytes),
            Hindrance::Cgroup(directory) => {
                let own = std::process::id().to_string();
                std::fs::write(format!("{directory}/cgroup.procs"), own)
                    .map_err(|error| format!("{directory}: {error}"))
            }
        }
    }
}

/// The soft limit, which counts: the container may go back to the hard one.
fn limit(resource: Resource, most: usize) -> Result<()> {
    getrlimit(resource)
        .and_then(|(_, hard)| setrlimit(resource, (most as u64).min(hard), hard))
        .map_err(|error| format!("setrlimit: {error}"))
}

/// Opens descriptors below `end` that the command inherits: without close-on-exec, unlike those of std.
fn fill(end: usize) -> Result<()> {
    loop {
        match nix::unistd::dup(std::io::stdin()) {
            Ok(next) if next.as_raw_fd() as usize >= end => return Ok(()),
            Ok(next) => drop(next.into_raw_fd()),
            Err(nix::errno::Errno::EMFILE) => return Ok(()),
            Err(errno) => return Err(format!("dup: {errno}")),
        }
    }
}

/// Takes away what the words before `--` say, and becomes the program behind it.
pub(crate) fn become_hindered(words: &[String]) -> ExitCode {
    let mut parts = words.splitn(2, |word| word == "--");
    let (hindrances, command) =
        (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let Some((program, arguments)) = command.split_first() else { return ExitCode::from(2) };
    let mut command = Command::new(program);
    command.args(arguments);
    for word in hindrances {
        if let Err(why) = Hindrance::parse(word).and_then(|hindrance| hindrance.take()) {
            eprintln!("sweep: {word}: {why}");
            return ExitCode::from(2);
        }
    }
    let error = command.exec();
    eprintln!("sweep: {program}: {error}");
    ExitCode::from(2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hindrance_crosses_a_command_line() {
        for hindrance in [
            Hindrance::Descriptors(7),
            Hindrance::FreeDescriptors(0),
            Hindrance::Memory(1 << 20),
            Hindrance::Cgroup("/sys/fs/cgroup/a=b".to_owned()),
        ] {
            assert_eq!(Hindrance::parse(&hindrance.word()).unwrap(), hindrance);
        }
        assert!(Hindrance::parse("air=0").is_err());
    }
}
