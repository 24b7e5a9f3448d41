//! Asking the host what the plan depends on, and only that: plain data comes out.

use std::os::fd::{AsFd, AsRawFd};

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag, openat};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, connect, socket};
use nix::sys::stat::{Mode, SFlag, lstat, stat};
use plan::{Host, JoinedNamespace, RootKind, Security};

use crate::error::Result;
use crate::netlink::Socket;
use crate::resctrl;

/// The facts about the host that this configuration depends on.
///
/// `id` is the container's; `receiver` is the seccomp agent of a configuration that names none.
pub(crate) fn host<'a>(
    config: &spec::Spec<'_>,
    id: &str,
    bundle: &'a str,
    receiver: &'a str,
) -> Result<Host<'a>> {
    Ok(Host {
        bundle,
        rootless: is_rootless(),
        unprivileged: !nix::unistd::geteuid().is_root(),
        root: root(config, bundle),
        unreachable: unreachable_sources(config, bundle),
        receiver,
        listener: no_listener(config, bundle, receiver),
        joined: joined_namespaces(config),
        absent_devices: absent_devices(config)?,
        resctrl: resctrl::host(config.linux.as_ref(), id)?,
        security: security(
            config.process.as_ref(),
            config.linux.as_ref().is_some_and(|linux| !linux.mount_label.is_empty()),
        )?,
    })
}

/// The seccomp agent of a configuration that names none, as crun has it.
pub(crate) fn seccomp_receiver() -> String {
    std::env::var("RUN_OCI_SECCOMP_RECEIVER").unwrap_or_default()
}

/// Whether this process lacks root's powers: another user, or root of a user namespace.
pub fn is_rootless() -> bool {
    if !nix::unistd::geteuid().is_root() {
        return true;
    }
    // The initial user namespace has a number of its own (the kernel's PROC_USER_INIT_INO).
    if stat("/proc/self/ns/user").is_ok_and(|namespace| namespace.st_ino == 0xefff_fffd) {
        return false;
    }
    // One that maps all ids onto themselves is as good (user_namespaces(7)).
    match std::fs::read_to_string("/proc/self/uid_map") {
        Ok(map) => map.split_ascii_whitespace().collect::<Vec<_>>() != ["0", "0", "4294967295"],
        Err(_) => false,
    }
}

fn root(config: &spec::Spec<'_>, bundle: &str) -> RootKind {
    let Some(root) = &config.root else {
        return RootKind::Other;
    };
    let path = join(bundle, &root.path);
    match lstat(path.as_str()) {
        Err(errno) => RootKind::Unreachable(sys::describe(errno)),
        Ok(stat) => match SFlag::from_bits_truncate(stat.st_mode & SFlag::S_IFMT.bits()) {
            SFlag::S_IFDIR => RootKind::Directory,
            SFlag::S_IFLNK => RootKind::Symlink,
            _ => RootKind::Other,
        },
    }
}

fn join(bundle: &str, path: &str) -> String {
    if path.starts_with('/') { path.to_owned() } else { format!("{bundle}/{path}") }
}

fn unreachable_sources(config: &spec::Spec<'_>, bundle: &str) -> Vec<(usize, String)> {
    let binds = config.mounts.iter().enumerate().filter(|(_, mount)| plan::is_bind(mount));
    let root = config.root.as_ref().map_or("", |root| root.path.as_str());
    let root = join(bundle, root);
    binds
        .filter(|(_, mount)| !mount.source.is_empty())
        // What is in the container's root may be made by an earlier mount.
        .filter(|(_, mount)| !crate::rootfs::is_below(&join(bundle, &mount.source), &root))
        .filter_map(|(n, mount)| match stat(join(bundle, &mount.source).as_str()) {
            Ok(_) => None,
            Err(errno) => Some((n, sys::describe(errno))),
        })
        .collect()
}

/// Why nobody listens at the seccomp agent's socket.
fn no_listener(config: &spec::Spec<'_>, bundle: &str, receiver: &str) -> String {
    let Some(profile) = config.linux.as_ref().and_then(|linux| linux.seccomp.as_ref()) else {
        return String::new();
    };
    let path = plan::seccomp_receiver(profile, &config.annotations, bundle, receiver);
    if path.is_empty() {
        return String::new();
    }
    let connected = || {
        let flags = SockFlag::SOCK_CLOEXEC;
        let socket = socket(AddressFamily::Unix, SockType::Datagram, flags, None)?;
        connect(socket.as_raw_fd(), &UnixAddr::new(&*path)?)
    };
    match connected() {
        // Of all sockets only one that somebody holds has a type to be wrong. A connection of the
        // right type would be one with nothing to say, which the agent would have to make sense of.
        Err(Errno::EPROTOTYPE) => String::new(),
        Ok(()) => sys::describe(Errno::EPROTOTYPE),
        Err(errno) => sys::describe(errno),
    }
}

fn joined_namespaces(config: &spec::Spec<'_>) -> Vec<(usize, JoinedNamespace)> {
    let Some(linux) = &config.linux else {
        return Vec::new();
    };
    let paths = linux.namespaces.iter().enumerate().filter(|(_, ns)| !ns.path.is_empty());
    paths.map(|(n, namespace)| (n, joined(&namespace.path))).collect()
}

/// Devices of `linux.netDevices` that this network namespace lacks.
fn absent_devices(config: &spec::Spec<'_>) -> Result<Vec<String>> {
    let Some(linux) = config.linux.as_ref().filter(|linux| !linux.net_devices.is_empty()) else {
        return Ok(Vec::new());
    };
    let socket = Socket::open()?;
    let mut absent = Vec::new();
    for name in linux.net_devices.keys() {
        if socket.link(name)?.is_none() {
            absent.push(name.to_string());
        }
    }
    Ok(absent)
}

fn joined(path: &str) -> JoinedNamespace {
    let flags = OFlag::O_RDONLY | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK;
    match openat(AT_FDCWD, path, flags, Mode::empty()) {
        Err(errno) => JoinedNamespace::Unusable(format!("lstat {path}: {}", sys::describe(errno))),
        Ok(file) => match sys::namespace_kind(file.as_fd()) {
            Ok(flag) => JoinedNamespace::Kind(flag),
            Err(sys::Error { errno: Errno::ENOTTY, .. }) => {
                JoinedNamespace::Unusable(format!("{path} is not a namespace"))
            }
            Err(error) => JoinedNamespace::Unusable(error.to_string()),
        },
    }
}

/// The security modules are asked for only by a process that has a label, or by mounts that have one.
pub(crate) fn security(process: Option<&spec::Process<'_>>, mount_label: bool) -> Result<Security> {
    let wants = |label: fn(&spec::Process<'_>) -> bool| process.is_some_and(label);
    let apparmor = wants(|process| !process.apparmor_profile.is_empty())
        && std::fs::read("/sys/module/apparmor/parameters/enabled")
            .is_ok_and(|text| text.first() == Some(&b'Y'));
    let selinux = (mount_label || wants(|process| !process.selinux_label.is_empty()))
        && std::fs::metadata("/sys/fs/selinux/enforce").is_ok();
    Ok(Security { apparmor, selinux, capabilities: sys::permitted_capabilities()? })
}
