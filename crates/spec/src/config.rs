//! The properties that are the same on every platform (config.md), and `process`.

use serde::{Deserialize, Serialize};

use crate::text::nullable;
use crate::{IdMapping, Linux, StringMap, Text};

/// A whole `config.json` (config.md).
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", remote = "Self")]
pub struct Spec<'a> {
    /// The specification's version that the bundle follows (SemVer 2.0.0).
    #[serde(default, deserialize_with = "nullable", borrow)]
    pub oci_version: Text<'a>,
    /// The container's process; needed from `start` on.
    #[serde(default, borrow)]
    pub process: Option<Process<'a>>,
    /// The root file system.
    #[serde(default, borrow)]
    pub root: Option<Root<'a>>,
    /// The name that the container's UTS namespace gets.
    #[serde(default, borrow)]
    pub hostname: Option<Text<'a>>,
    /// The NIS domain name that the container's UTS namespace gets.
    #[serde(default, borrow)]
    pub domainname: Option<Text<'a>>,
    /// What is mounted below the root, in this order.
    #[serde(default, deserialize_with = "nullable", borrow)]
    pub mounts: Vec<Mount<'a>>,
    /// Programs run at points of the life cycle.
    #[serde(default, borrow)]
    pub hooks: Option<Hooks<'a>>,
    /// Metadata, handed through to `state` and the hooks.
    #[serde(default, deserialize_with = "nullable", borrow)]
    pub annotations: StringMap<'a>,
    /// What only Linux has (config-linux.md).
    #[serde(default, borrow)]
    pub linux: Option<Linux<'a>>,
}

/// `root`: the container's root file system.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", remote = "Self")]
pub struct Root<'a> {
    /// Absolute, or relative to the bundle.
    #[serde(default, deserialize_with = "nullable", borrow)]
    pub path: Text<'a>,
    /// Whether the root is mounted read-only inside.
    #[serde(default, deserialize_with = "nullable")]
    pub readonly: bool,
}

/// One element of `mounts`.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", remote = "Self")]
pub struct Mount<'a> {
    /// Where it appears, inside the container.
    #[serde(default, deserialize_with = "nullable", borrow)]
    pub destination: Text<'a>,
    /// The file system's type; ignored for binds.
    #[serde(rename = "type", default, deserialize_with = "nullable", borrow)]
    pub kind: Text<'a>,
    /// Device, host path (absolute, or relative to the bundle) or a mere name.
    #[serde(default, deserialize_with = "nullable", borrow)]
    pub source: Text<'a>,
    /// Options of the specification's table, and data for the file system.
    #[serde(default, deserialize_with = "nullable", borrow)]
    pub options: Vec<Text<'a>>,
    /// Maps the mount's user ids (an ID-mapped mount).
    #[serde(default, deserialize_with = "nullable")]
    pub uid_mappings: Vec<IdMapping>,
    /// Maps the mount's group ids.
    #[serde(default, deserialize_with = "nullable")]
    pub gid_mappings: Vec<IdMapping>,
}

/// `process`, and the file of `exec --process`.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", remote = "Self")]
pub struct Process<'a> {
    /// Whether a pseudo-terminal is attached.
    #[serde(default, deserialize_with = "nullable")]
    pub terminal: bool,
    /// The terminal's size.
    #[serde(default)]
    pub console_size: Option<ConsoleSize>,
    /// Who runs it.
    #[serde(default, deserialize_with = "nullable", borrow)]
    pub user: User<'a>,
    /// The command and its arguments (POSIX execvp).
    #[serde(default, deserialize_with = "nullable", borrow)]
    pub args: Vec<Text<'a>>,
    /// `NAME=value` strings (POSIX environ).
    #[serde(default, deserialize_with = "nullable", borrow)]
    pub env: Vec<Text<'a>>,
    /// The working directory, absolute.
    #[serde(default, deserialize_with = "nullable", borrow)]
    pub cwd: Text<'a>,
    /// The five sets of capabilities(7).
    #[serde(default, borrow)]
    pub capabilities: Option<Capabilities<'a>>,
    /// Resource limits of setrlimit(2).
    #[serde(default, deserialize_with = "nullable", borrow)]
    pub rlimits: Vec<Rlimit<'a>>,
    /// prctl(PR_SET_NO_NEW_PRIVS).
    #[serde(default, deserialize_with = "nullable")]
    pub no_new_privileges: bool,
    /// The AppArmor profile's name.
    #[serde(default, deserialize_with = "nullable", borrow)]
    pub apparmor_profile: Text<'a>,
    /// The SELinux label.
    #[serde(default, deserialize_with = "nullable", borrow)]
    pub selinux_label: Text<'a>,
    /// What /proc/PID/oom_score_adj is set to (-1000 to 1000).
    #[serde(default)]
    pub oom_score_adj: Option<i32>,
    /// sched_setattr(2).
    #[serde(default, borrow)]
    pub scheduler: Option<Scheduler<'a>>,
    /// ioprio_set(2).
    #[serde(default, borrow)]
    pub io_priority: Option<IoPriority<'a>>,
    /// CPU affinity of processes started by `exec`.
    #[serde(rename = "execCPUAffinity", default, borrow)]
    pub exec_cpu_affinity: Option<Cpus<'a>>,
}

/// The terminal's size, in characters.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", remote = "Self")]
pub struct ConsoleSize {
    /// Rows.
    #[serde(default, deserialize_with = "nullable")]
    pub height: u16,
    /// Columns.
    #[serde(default, deserialize_with = "nullable")]
    pub width: u16,
}

/// Who the process is.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", remote = "Self")]
pub struct User<'a> {
    /// User id inside the container.
    #[serde(default, deserialize_with = "nullable")]
    pub uid: u32,
    /// Group id inside the container.
    #[serde(default, deserialize_with = "nullable")]
    pub gid: u32,
    /// The file mode creation mask.
    #[serde(default)]
    pub umask: Option<u32>,
    /// Supplementary groups inside the container.
    #[serde(default, deserialize_with = "nullable")]
    pub additional_gids: Vec<u32>,
    /// Only for Windows.
    #[serde(default, deserialize_with = "nullable", borrow)]
    pub username: Text<'a>,
}

/// The five capability sets, by names such as `CAP_CHOWN`.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", remote = "Self")]
pub struct Capabilities<'a> {
    /// Bounding set.
    #[serde(default, deserialize_with = "nullable", borrow)]
    pub bounding: Vec<Text<'a>>,
    /// Effective set.
    #[serde(default, deserialize_with = "nullable", borrow)]
    pub effective: Vec<Text<'a>>,
    /// Inheritable set.
    #[serde(default, deserialize_with = "nullable", borrow)]
    pub inheritable: Vec<Text<'a>>,
    /// Permitted set.
    #[serde(default, deserialize_with = "nullable", borrow)]
    pub permitted: Vec<Text<'a>>,
    /// Ambient set.
    #[serde(default, deserialize_with = "nullable", borrow)]
    pub ambient: Vec<Text<'a>>,
}

/// One limit of setrlimit(2).
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", remote = "Self")]
pub struct Rlimit<'a> {
    /// Its name, such as `RLIMIT_NOFILE`.
    #[serde(rename = "type", default, deserialize_with = "nullable", borrow)]
    pub kind: Text<'a>,
    /// The soft limit (`rlim_cur`).
    #[serde(default, deserialize_with = "nullable")]
    pub soft: u64,
    /// The hard limit (`rlim_max`).
    #[serde(default, deserialize_with = "nullable")]
    pub hard: u64,
}

/// The scheduling policy of sched_setattr(2).
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", remote = "Self")]
pub struct Scheduler<'a> {
    /// Such as `SCHED_OTHER`.
    #[serde(default, deserialize_with = "nullable", borrow)]
    pub policy: Text<'a>,
    /// Nice value, for `SCHED_OTHER` and `SCHED_BATCH`.
    #[serde(default)]
    pub nice: Option<i32>,
    /// Static priority, for `SCHED_FIFO` and `SCHED_RR`.
    #[serde(default)]
    pub priority: Option<i32>,
    /// Such as `SCHED_FLAG_RESET_ON_FORK`.
    #[serde(default, deserialize_with = "nullable", borrow)]
    pub flags: Vec<Text<'a>>,
    /// Nanoseconds, for `SCHED_DEADLINE`.
    #[serde(default)]
    pub runtime: Option<u64>,
    /// Nanoseconds, for `SCHED_DEADLINE`.
    #[serde(default)]
    pub deadline: Option<u64>,
    /// Nanoseconds, for `SCHED_DEADLINE`.
    #[serde(default)]
    pub period: Option<u64>,
}

/// The I/O scheduling class and priority of ioprio_set(2).
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", remote = "Self")]
pub struct IoPriority<'a> {
    /// `IOPRIO_CLASS_RT`, `IOPRIO_CLASS_BE` or `IOPRIO_CLASS_IDLE`.
    #[serde(default, deserialize_with = "nullable", borrow)]
    pub class: Text<'a>,
    /// 0 (first) to 7 (last).
    #[serde(default, deserialize_with = "nullable")]
    pub priority: i32,
}

/// CPU lists for processes started by `exec`.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", remote = "Self")]
pub struct Cpus<'a> {
    /// While the runtime sets the process up.
    #[serde(default, deserialize_with = "nullable", borrow)]
    pub initial: Text<'a>,
    /// Once it runs in the container's cgroup.
    #[serde(rename = "final", default, deserialize_with = "nullable", borrow)]
    pub last: Text<'a>,
}

/// The six kinds of hooks (config.md, "POSIX-platform Hooks").
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", remote = "Self")]
pub struct Hooks<'a> {
    /// Deprecated: as `createRuntime`, before it.
    #[serde(default, deserialize_with = "nullable", borrow)]
    pub prestart: Vec<Hook<'a>>,
    /// In the runtime's namespace, before pivot_root.
    #[serde(default, deserialize_with = "nullable", borrow)]
    pub create_runtime: Vec<Hook<'a>>,
    /// In the container's namespace, before pivot_root.
    #[serde(default, deserialize_with = "nullable", borrow)]
    pub create_container: Vec<Hook<'a>>,
    /// In the container, before its process starts.
    #[serde(default, deserialize_with = "nullable", borrow)]
    pub start_container: Vec<Hook<'a>>,
    /// In the runtime's namespace, after the process started.
    #[serde(default, deserialize_with = "nullable", borrow)]
    pub poststart: Vec<Hook<'a>>,
    /// In the runtime's namespace, after the container was deleted.
    #[serde(default, deserialize_with = "nullable", borrow)]
    pub poststop: Vec<Hook<'a>>,
}

/// One program to run.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", remote = "Self")]
pub struct Hook<'a> {
    /// Absolute path of the program.
    #[serde(default, deserialize_with = "nullable", borrow)]
    pub path: Text<'a>,
    /// As execve(2)'s argv, with argv[0].
    #[serde(default, deserialize_with = "nullable", borrow)]
    pub args: Vec<Text<'a>>,
    /// As execve(2)'s envp; `None`: what its place has.
    #[serde(default, borrow, skip_serializing_if = "Option::is_none")]
    pub env: Option<Vec<Text<'a>>>,
    /// Seconds until the hook is killed; greater than zero.
    #[serde(default)]
    pub timeout: Option<i64>,
}
