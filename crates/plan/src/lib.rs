//! Every decision that a command takes, before anything is done.
//!
//! [`create`] and [`exec`] turn what the user wrote (`spec`), what the host is ([`Host`]) and what
//! the command line says ([`Options`]) into a plan: plain data that the engine follows line by line.
//! What can't be done is refused here, all of it at once, each with its JSON pointer ([`Refusals`]).
//!
//! No I/O happens here. Paths inside the container stay unresolved: resolving them is the engine's,
//! by descriptor, at the moment of use.

#![forbid(unsafe_code)]

mod annotations;
mod create;
mod devices;
mod exec;
mod hooks;
mod mounts;
pub mod names;
mod namespaces;
mod net_devices;
mod numbers;
mod policies;
mod process;
mod refusal;
mod resctrl;
mod resources;
mod seccomp;
mod sysctl;
mod units;

pub use annotations::{ANNOTATIONS, hook_files, keep_groups, seccomp_receiver};
pub use create::{CgroupDriver, CgroupPlan, Create, Root, UnitPlan, create};
pub use devices::{DEFAULT_DEVICES, DeviceNode, DeviceRules, DeviceSource, updated_devices};
pub use exec::{complete, exec};
pub use hooks::{HookKind, Hooks};
pub use mounts::{
    Attributes, BindAttributes, IdMap, MappedBy, Mount, MountLabel, Propagation, What, flag_names,
    is_bind, more_mounts, option_names,
};
pub use namespaces::{Join, NamespaceKind, Namespaces};
pub use net_devices::NetDevice;
pub use numbers::NumberSet;
pub use policies::{
    CpuAffinity, MemoryPolicy, Policies, Scheduler, memory_policy_flags, memory_policy_modes,
    memory_policy_name,
};
pub use process::{Capabilities, Label, Process, Rlimit, Terminal};
pub use refusal::{Refusal, Refusals};
pub use resctrl::{HostResctrl, Resctrl, ResctrlMount, resctrl_group};
pub use resources::resources;
pub use seccomp::{Agent, Seccomp};
pub use sysctl::Sysctl;

/// What the host is, as far as this bundle depends on it.
#[derive(Debug, Clone)]
pub struct Host<'a> {
    /// The bundle's absolute path.
    pub bundle: &'a str,
    /// Whether the runtime lacks root's powers: another user, or root of a user namespace.
    pub rootless: bool,
    /// Whether the runtime is another user than root, and so must have a user namespace made for
    /// whatever it does. (Root of a user namespace, as under rootless podman, has one.)
    pub unprivileged: bool,
    /// What is at `root.path`.
    pub root: RootKind,
    /// Bind sources that can't be reached: place in `mounts`, and why.
    pub unreachable: Vec<(usize, String)>,
    /// The seccomp agent's socket, if the configuration names none (`RUN_OCI_SECCOMP_RECEIVER`).
    pub receiver: &'a str,
    /// Why nobody can be reached at the seccomp agent's socket; empty: somebody can, or there is
    /// no such path.
    pub listener: String,
    /// Devices of `linux.netDevices` that are not there.
    pub absent_devices: Vec<String>,
    /// The resctrl file system.
    pub resctrl: HostResctrl,
    /// What the namespace paths are: place in `linux.namespaces`.
    pub joined: Vec<(usize, JoinedNamespace)>,
    /// The security modules, and what the runtime may grant.
    pub security: Security,
}

/// What a path for the root file system turned out to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RootKind {
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink,
    /// Neither.
    Other,
    /// It can't be reached, for the reason given.
    Unreachable(String),
}

/// What a namespace path turned out to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JoinedNamespace {
    /// A namespace with this `CLONE_NEW*` flag.
    Kind(u64),
    /// None, for the reason given.
    Unusable(String),
}

/// Which security modules the kernel runs, and what the runtime may grant.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Security {
    /// The capabilities that the runtime has itself, bit N for capability N: others it can't grant,
    /// except in a new user namespace, where it has all.
    pub capabilities: u64,
    /// AppArmor.
    pub apparmor: bool,
    /// SELinux.
    pub selinux: bool,
}

/// What the command line adds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options<'a> {
    /// The container's id.
    pub id: &'a str,
    /// Whether the command returns while the container lives (`create`, `run --detach`).
    pub detach: bool,
    /// The command that makes it; for a process of `exec`, `Run`.
    pub command: Command,
    /// Whether a console socket was given.
    pub console_socket: bool,
    /// Keep the caller's session keyring (`--no-new-keyring`).
    pub keep_keyring: bool,
    /// Move the root with `MS_MOVE` and chroot instead of pivot_root (`--no-pivot`).
    pub no_pivot: bool,
    /// Who makes the cgroup (`--systemd-cgroup`, `--cgroup-manager`).
    pub cgroups: CgroupChoice,
}

/// The commands that make a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// `create`: it waits for `start`.
    Create,
    /// `run`: the process is started, too.
    Run,
    /// `restore`: from a checkpoint's images, which have what it was given when it was created.
    Restore,
}

/// Who is to make the cgroup.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CgroupChoice {
    /// The runtime, in the file systems.
    Files,
    /// This systemd.
    Systemd(cgroup::systemd::Instance),
    /// Nobody: none is made or joined.
    Disabled,
}
