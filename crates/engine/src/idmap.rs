//! The id maps of a new user namespace (user_namespaces(7)), and of mounts. Runs in the parent.
//!
//! A mount is mapped by a user namespace. The child opens the bind's source, or makes the file system, in
//! its own mount namespace (where what a user namespace must not change is locked), and the parent, which has power
//! over the file system, maps it: one way for containers with and without a user namespace.

use std::os::fd::{AsFd, OwnedFd};
use std::process::Command;

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag, openat};
use nix::sys::stat::Mode;
use nix::unistd::{Pid, getegid, geteuid};
use plan::{MappedBy, NamespaceKind};
use spec::IdMapping;
use sys::{Clone3, Context};

use crate::channel::Channel;
use crate::error::{Error, Result, Step};
use crate::process::{self, Forked};
use crate::procfs;
use crate::rootfs::mount_name;

/// Said where the kernel has no mounts whose ids are mapped.
pub(crate) const NEEDS_IDMAP: &str = "ids of a mount are mapped from Linux 5.12 on";

/// Maps the ids of mount `index`, which is detached, as the plan says.
pub(crate) fn map_mount(plan: &plan::Create<'_>, index: u32, tree: &OwnedFd) -> Result<()> {
    let Some(mount) = plan.mounts.iter().find(|mount| mount.index == index as usize) else {
        return Ok(());
    };
    let Some(map) = &mount.id_map else {
        return Ok(());
    };
    let namespace = match map.by {
        MappedBy::Lines { uids, gids } => namespace_of(uids, gids),
        MappedBy::Namespace(path) => open_namespace(path),
    };
    namespace
        .and_then(|namespace| {
            let mapped = sys::map_ids(tree.as_fd(), namespace.as_fd(), map.recursive);
            let why = match &mapped {
                Err(error) if error.errno == Errno::ENOSYS => NEEDS_IDMAP,
                _ => "MOUNT_ATTR_IDMAP, which not every file system has",
            };
            mapped.step(|| why.to_owned())
        })
        .step(|| mount_name(mount))
}

/// A user namespace with these maps, in which nobody is any more.
fn namespace_of(uids: &[IdMapping], gids: &[IdMapping]) -> Result<OwnedFd> {
    let (ours, theirs) = Channel::pair()?;
    let flags = NamespaceKind::User.clone_flag();
    match process::clone(Clone3 { flags, into_cgroup: None })? {
        Forked::Child => {
            drop(ours);
            // Until the parent has what it wants, or is gone.
            let _ = theirs.wait_for_go();
            std::process::exit(0)
        }
        Forked::Parent(process) => {
            let pid = process.pid();
            drop(theirs);
            let namespace = write_map(pid, "uid_map", uids)
                .and_then(|()| write_map(pid, "gid_map", gids))
                .and_then(|()| open_namespace(&format!("/proc/{pid}/ns/user")));
            drop(ours);
            process.reap()?;
            namespace
        }
    }
}

fn open_namespace(path: &str) -> Result<OwnedFd> {
    let flags = OFlag::O_RDONLY | OFlag::O_CLOEXEC;
    Ok(openat(AT_FDCWD, path, flags, Mode::empty()).at("open", path)?)
}

/// Writes the maps of the namespace that `pid` is in.
///
/// Root writes them itself; a user may only map its own id, and for more asks newuidmap(1) and
/// newgidmap(1).
pub(crate) fn write(pid: Pid, plan: &plan::Namespaces<'_>) -> Result<()> {
    write_as_who_we_are(pid, plan).step(|| "linux.uidMappings, linux.gidMappings".to_owned())
}

fn write_as_who_we_are(pid: Pid, plan: &plan::Namespaces<'_>) -> Result<()> {
    if geteuid().is_root() {
        write_map(pid, "uid_map", plan.uid_map)?;
        return write_map(pid, "gid_map", plan.gid_map);
    }
    let (uid, gid) = (geteuid().as_raw(), getegid().as_raw());
    if only_own(plan.uid_map, uid) {
        write_map(pid, "uid_map", plan.uid_map)?;
    } else {
        run_helper("newuidmap", pid, plan.uid_map)?;
    }
    if only_own(plan.gid_map, gid) {
        // Without it the kernel would let a user leave a group that denies it something.
        write_file(pid, "setgroups", "deny")?;
        write_map(pid, "gid_map", plan.gid_map)
    } else {
        run_helper("newgidmap", pid, plan.gid_map)
    }
}

fn only_own(map: &[IdMapping], id: u32) -> bool {
    matches!(map, [line] if line.size == 1 && line.host_id == id)
}

fn lines(map: &[IdMapping]) -> String {
    map.iter().map(|m| format!("{} {} {}\n", m.container_id, m.host_id, m.size)).collect()
}

fn write_map(pid: Pid, file: &str, map: &[IdMapping]) -> Result<()> {
    write_file(pid, file, &lines(map))
}

fn write_file(pid: Pid, file: &str, text: &str) -> Result<()> {
    procfs::write(&format!("{pid}/{file}"), text)
}

fn run_helper(program: &str, pid: Pid, map: &[IdMapping]) -> Result<()> {
    let mut command = Command::new(program);
    command.arg(pid.to_string());
    for line in map {
        for number in [line.container_id, line.host_id, line.size] {
            command.arg(number.to_string());
        }
    }
    let output = command.output().at("exec", program)?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(Error::Usage(format!("{program}: {}", said.trim_end())))
}
