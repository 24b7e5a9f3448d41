//! Standard streams that are the host's: `descriptors.json` beside the images has what the first three
//! descriptors of the container's init were, as of runc. Pipes among them are replaced, when it is
//! restored, by what the runtime's caller has there.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::{OFlag, openat};
use nix::sys::stat::Mode;
use sys::Context;

use super::rpc::{self, opts};
use super::wire::Message;
use crate::error::{Error, Result};

const FILE: &str = "descriptors.json";

/// Writes what the streams of process `pid` are.
pub(crate) fn save(images: BorrowedFd<'_>, pid: i32) -> Result<()> {
    let mut names = Vec::new();
    for n in 0..3 {
        let path = format!("/proc/{pid}/fd/{n}");
        match std::fs::read_link(&path) {
            Ok(target) => names.push(target.to_string_lossy().into_owned()),
            // It was closed.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => names.push(String::new()),
            other => drop(other.at("readlink", path)?),
        }
    }
    let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_TRUNC | OFlag::O_CLOEXEC;
    let mode = Mode::from_bits_truncate(0o600);
    let file = openat(images, FILE, flags, mode).at("open", FILE)?;
    let text = serde_json::Value::from(names).to_string();
    Ok(crate::store::write_all(file.as_fd(), text.as_bytes()).at("write", FILE)?)
}

/// The caller's streams that take the place of those which were pipes.
#[derive(Debug, Default)]
pub(crate) struct Streams(Vec<(String, OwnedFd)>);

impl Streams {
    /// Reads what the streams were; images without the file have none of the host's.
    pub(crate) fn open(images: BorrowedFd<'_>) -> Result<Streams> {
        let flags = OFlag::O_RDONLY | OFlag::O_CLOEXEC;
        let bytes = match openat(images, FILE, flags, Mode::empty()) {
            Err(Errno::ENOENT) => return Ok(Streams::default()),
            other => crate::store::read_all(other.at("open", FILE)?.as_fd()).at("read", FILE)?,
        };
        let names: Vec<String> = serde_json::from_slice(&bytes)
            .map_err(|error| Error::Damaged { file: FILE.to_owned(), why: error.to_string() })?;
        let (stdin, stdout, stderr) = (std::io::stdin(), std::io::stdout(), std::io::stderr());
        let own = [stdin.as_fd(), stdout.as_fd(), stderr.as_fd()];
        let pipes = names.into_iter().zip(own).filter(|(name, _)| name.starts_with("pipe:"));
        // Under other numbers: what CRIU prints on its own must not reach the container's.
        let copies = pipes.map(|(name, fd)| Ok((name, fd.try_clone_to_owned()?)));
        Ok(Streams(copies.collect::<std::io::Result<_>>().at("dup", "standard streams")?))
    }

    /// Descriptors that CRIU must have.
    pub(crate) fn fds(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.0.iter().map(|(_, fd)| fd.as_fd())
    }

    /// Tells the restore.
    pub(crate) fn describe(&self, options: &mut Message) {
        for (name, fd) in &self.0 {
            options.message(opts::INHERIT_FD, &rpc::inherit(name, fd.as_raw_fd()));
        }
    }
}
