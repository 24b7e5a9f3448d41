//! Sentences that other programs match: containerd, CRI-O, podman, Docker and people's scripts.
//!
//! They are runc's (libcontainer/error.go and its commands), to the letter. A change here is a
//! change of an interface; `tests` below and the conformance suite hold them.

/// `create` of an id that is taken.
pub const ALREADY_EXISTS: &str = "container with given ID already exists";
/// A command that was given an empty id.
pub const EMPTY_ID: &str = "container id cannot be empty";
/// An id with other characters than letters, digits and `_+-.`.
pub const INVALID_ID: &str = "invalid container ID format";
/// Any command on an id that is not there; containerd looks for "does not exist".
pub const DOES_NOT_EXIST: &str = "container does not exist";
/// `kill` of a container whose init has ended; containerd looks for it.
pub const NOT_RUNNING: &str = "container not running";
/// `delete --force` of a container that another command changes, even when that was killed.
pub const HELD: &str = "container is held by another command, which does not end";
/// `resume` of a container that isn't paused.
pub const NOT_PAUSED: &str = "container not paused";
/// `start` of a running container.
pub const START_RUNNING: &str = "cannot start an already running container";
/// `start` of a stopped container.
pub const START_STOPPED: &str = "cannot start a container that has stopped";
/// `start` of a paused container.
pub const START_PAUSED: &str = "cannot start a container in the paused state";
/// `exec` in a stopped container.
pub const EXEC_STOPPED: &str = "cannot exec in a stopped container";
/// `exec` in a paused container.
pub const EXEC_PAUSED: &str = "cannot exec in a paused container (use --ignore-paused to override)";
/// `run.oci.systemd.subgroup` where there can be none.
pub const NO_SUBGROUP: &str =
    "annotation run.oci.systemd.subgroup: only a scope on cgroup v2 has a cgroup below it";
/// `run.oci.delegate-cgroup` where none can be given away; crun's words.
pub const NO_DELEGATION: &str = "delegate-cgroup not supported on cgroup v1";
/// `update --l3-cache-schema` on a machine that has none to give.
pub const NO_CACHE_SHARES: &str = "Intel RDT/CAT: l3 cache schema is not enabled";
/// `update --mem-bw-schema` on a machine that has none to give.
pub const NO_BANDWIDTH_SHARES: &str = "Intel RDT/MBA: memory bandwidth schema is not enabled";
/// Either, for a container without a group.
pub const NO_RESCTRL_GROUP: &str =
    "updating a non-existent Intel RDT configuration is not supported";
/// The init process did not live until its limits were set.
pub const OOM_KILLED: &str = "container init was OOM-killed (memory limit too low?)";
