//! What can go wrong, one sentence each, the file always named.

use std::fmt;

use nix::errno::Errno;

/// The result of everything here that can fail.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a cgroup could not be found, made, limited, emptied or removed.
///
/// The text is one sentence without the name of the step: the caller puts that before it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// The kernel refused a write to a control file.
    Write {
        /// Absolute path of the file.
        file: String,
        /// What was written.
        value: String,
        /// The kernel's reason.
        errno: Errno,
    },
    /// The kernel refused anything else.
    Call {
        /// Name of the call, or of what it was for.
        call: &'static str,
        /// Absolute path of the file or directory.
        path: String,
        /// The kernel's reason.
        errno: Errno,
    },
    /// A limit was asked for whose controller is not mounted, not delegated, or could not be
    /// joined.
    NoController {
        /// The kernel's name of the controller.
        controller: String,
        /// The limit, as the configuration knows it.
        limit: String,
    },
    /// A value that the kernel would refuse or silently change.
    Value {
        /// The limit or file.
        name: String,
        /// The value asked for.
        value: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A memory limit below what is in use already (`EBUSY`).
    MemoryInUse {
        /// The limit asked for, in bytes.
        limit: i64,
        /// Bytes in use now.
        usage: u64,
        /// The most that was ever in use, in bytes.
        peak: u64,
    },
    /// A limit not above what is in use already, where that was to be checked before.
    BelowUsage {
        /// `memory` or `memory+swap`.
        what: &'static str,
        /// The limit asked for, in bytes.
        limit: i64,
        /// Bytes of memory in use now.
        usage: u64,
    },
    /// `unified` was given, and this is not a machine where cgroup v2 has the controllers.
    UnifiedOnV1 {
        /// The first file that it names.
        name: String,
    },
    /// A path which is not strictly inside of what it has to be inside of.
    Escape {
        /// The path as it was given.
        path: String,
        /// The directory that it has to stay in.
        base: String,
    },
    /// A new container was to be put where processes are running.
    NotEmpty {
        /// How many.
        processes: usize,
    },
    /// A new container was to be put into a frozen cgroup, where it would hang.
    Frozen {
        /// The cgroup's directory.
        path: String,
    },
    /// The kernel did not get there in time.
    Timeout {
        /// What was waited for.
        what: &'static str,
        /// The cgroup's directory.
        path: String,
    },
    /// A `cgroupsPath` that names no unit of systemd's.
    CgroupsPath {
        /// The path as it was given.
        path: String,
    },
    /// A name that no slice can have.
    SliceName {
        /// The name.
        slice: String,
    },
    /// A name that no unit of systemd's can have.
    UnitName {
        /// The name.
        name: String,
    },
    /// A user's systemd makes cgroups on v2 alone.
    UserUnitOnV1,
    /// Systemd can't be reached.
    Bus {
        /// Each place where it was looked for, and why it isn't there.
        troubles: Vec<String>,
    },
    /// Systemd refuses, or the connection to it broke.
    Systemd {
        /// What it was asked for: `start`, `stop`, ...
        request: &'static str,
        /// The unit.
        unit: String,
        /// Its reason.
        reason: String,
    },
    /// Systemd tried to start a unit, and it did not start.
    Job {
        /// The unit.
        unit: String,
        /// The job's result (systemd's D-Bus interface, `JobRemoved`): `failed`, `canceled`, ...
        result: String,
    },
    /// Systemd has not finished with a unit in 30 seconds.
    JobTimeout {
        /// The unit.
        unit: String,
    },
    /// A process can't be added to a cgroup.
    Join {
        /// The cgroup, or its file.
        path: String,
        /// The kernel's reason.
        errno: Errno,
    },
    /// A stored or requested name which is no hierarchy of this cgroup.
    UnknownController {
        /// The name.
        name: String,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Write { file, value, errno } => {
                write!(f, "{file}: write {value:?}: {}", errno.desc())
            }
            Error::Call { call, path, errno } => write!(f, "{path}: {call}: {}", errno.desc()),
            Error::NoController { controller, limit } => {
                // runc's words, up to the name.
                write!(f, "cannot set {limit}: container could not join or create cgroup ")?;
                write!(f, "with the {controller} controller")
            }
            Error::Value { name, value, reason } => write!(f, "{name}: {value:?}: {reason}"),
            Error::MemoryInUse { limit, usage, peak } => write!(
                f,
                "unable to set memory limit to {limit} (current usage: {usage}, peak usage: {peak})"
            ),
            // These and the one before are runc's words; the next one begins with them.
            Error::BelowUsage { what, limit, usage } => {
                write!(f, "rejecting {what} limit {limit} <= usage {usage}")
            }
            Error::UnifiedOnV1 { name } => {
                write!(f, "invalid configuration: cannot use unified on cgroup v1: {name}")
            }
            Error::Escape { path, base } => {
                write!(f, "bad sub cgroup path: {path:?}: not below {base}")
            }
            Error::Join { path, errno } => {
                write!(f, "error adding pid of the process to cgroups: {path}: {}", errno.desc())
            }
            Error::NotEmpty { processes } => {
                write!(f, "container's cgroup is not empty: {processes} process(es) found")
            }
            Error::Frozen { path } => {
                write!(f, "container's cgroup unexpectedly frozen: {path}")
            }
            Error::Timeout { what, path } => {
                write!(f, "{path}: timed out waiting for {what}")
            }
            Error::CgroupsPath { path } => write!(
                f,
                "expected cgroupsPath to be of format \"slice:prefix:name\" for systemd cgroups, \
                 got {path:?} instead"
            ),
            Error::SliceName { slice } => write!(f, "invalid slice name: {slice}"),
            Error::UnitName { name } => write!(f, "invalid unit name: {name}"),
            Error::UserUnitOnV1 => {
                f.write_str("cannot use rootless systemd cgroups manager on cgroup v1")
            }
            Error::Bus { troubles } => {
                write!(f, "cannot connect to systemd: {}", troubles.join("; "))
            }
            Error::Systemd { request, unit, reason } => {
                write!(f, "unable to {request} unit {unit:?}: {reason}")
            }
            Error::Job { unit, result } => {
                write!(f, "error creating systemd unit `{unit}`: got `{result}`")
            }
            Error::JobTimeout { unit } => {
                write!(f, "timed out waiting for systemd's work on unit `{unit}`")
            }
            Error::UnknownController { name } => {
                write!(f, "unknown controller {name:?}: the container has no cgroup of it")
            }
        }
    }
}

impl std::error::Error for Error {}

impl Error {
    /// The kernel's reason, where there is one.
    pub fn errno(&self) -> Option<Errno> {
        match self {
            Error::Write { errno, .. } | Error::Call { errno, .. } | Error::Join { errno, .. } => {
                Some(*errno)
            }
            Error::MemoryInUse { .. } => Some(Errno::EBUSY),
            _ => None,
        }
    }

    /// The file or directory that it is about, where there is one.
    pub fn path(&self) -> Option<&str> {
        match self {
            Error::Write { file, .. } => Some(file),
            Error::Call { path, .. }
            | Error::Escape { path, .. }
            | Error::Frozen { path }
            | Error::Join { path, .. }
            | Error::Timeout { path, .. } => Some(path),
            _ => None,
        }
    }

    /// Does it mean "you may not", which an unprivileged user gets who asked for no cgroup?
    pub(crate) fn is_denied(&self) -> bool {
        matches!(self.errno(), Some(Errno::EACCES | Errno::EPERM | Errno::EROFS))
    }

    /// Does it mean that the cgroup is not there, or is going away right now?
    pub(crate) fn is_gone(&self) -> bool {
        matches!(self.errno(), Some(Errno::ENOENT | Errno::ENODEV))
    }
}
