//! Namespaces that are not the container's own: CRIU leaves them out of its images, and finds them
//! again when the container is restored.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use nix::fcntl::{AT_FDCWD, OFlag, openat};
use nix::sys::stat::{Mode, stat};
use plan::{Join, NamespaceKind};
use sys::Context;

use super::rpc::{self, opts};
use super::wire::Message;
use crate::error::{Error, Result, Step};
use crate::store::Outside;

/// The key by which image and restore mean the same namespace: runc's, so that either can restore
/// what the other has dumped.
fn key(kind: NamespaceKind) -> Option<&'static str> {
    match kind {
        NamespaceKind::Network => Some("extRootNetNS"),
        NamespaceKind::Pid => Some("extRootPidNS"),
        _ => None,
    }
}

/// Tells a dump which namespaces of the container's init are left out: those that it
/// joined. It is asked of the process which ones they are, since paths may be gone.
pub(crate) fn leave_out(options: &mut Message, outside: &Outside<'_>, pid: i32) -> Result<()> {
    for kind in [NamespaceKind::Network, NamespaceKind::Pid] {
        let external = outside.joined.iter().any(|joined| *joined == kind.name());
        if let (true, Some(key)) = (external, key(kind)) {
            let (name, path) = (kind.file(), format!("/proc/{pid}/ns/{}", kind.file()));
            let inode = stat(path.as_str()).at("stat", &path)?.st_ino;
            options.text(opts::EXTERNAL, &format!("{name}[{inode}]:{key}"));
        }
    }
    Ok(())
}

/// Namespaces that a restored container joins, open for CRIU to inherit.
#[derive(Debug, Default)]
pub(crate) struct Joined<'p> {
    open: Vec<(&'static str, OwnedFd)>,
    by_path: Vec<&'p Join<'p>>,
}

impl<'p> Joined<'p> {
    /// Opens them.
    pub(crate) fn open(join: &'p [Join<'p>]) -> Result<Joined<'p>> {
        let mut joined = Joined::default();
        for join in join {
            let step = || format!("linux.namespaces[{}]", join.index);
            match key(join.kind) {
                Some(key) => {
                    let flags = OFlag::O_RDONLY | OFlag::O_CLOEXEC;
                    let file = openat(AT_FDCWD, join.path, flags, Mode::empty())
                        .at("open", join.path)
                        .step(step)?;
                    joined.open.push((key, file));
                }
                None if join.kind == NamespaceKind::Cgroup => {
                    let sentence = "CRIU can't restore a container into a cgroup namespace";
                    return Err(Error::Usage(format!("{}: {sentence}", step())));
                }
                None => joined.by_path.push(join),
            }
        }
        Ok(joined)
    }

    /// Descriptors that CRIU must have.
    pub(crate) fn fds(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.open.iter().map(|(_, fd)| fd.as_fd())
    }

    /// Tells the restore.
    pub(crate) fn describe(&self, options: &mut Message) {
        for (key, fd) in &self.open {
            options.message(opts::INHERIT_FD, &rpc::inherit(key, fd.as_raw_fd()));
        }
        for join in &self.by_path {
            options.message(opts::JOIN_NS, &rpc::pair(join.kind.file(), join.path));
        }
    }
}
