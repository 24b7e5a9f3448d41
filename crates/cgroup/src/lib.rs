//! The control groups of containers: cgroup v1, hybrid and v2, through their file systems, and as
//! units of systemd's ([`systemd`]).
//!
//! [`Cgroup::place`] says where a cgroup is to be, [`Cgroup::create`] makes it, [`Join`] is the way
//! in, [`Cgroup::set`] limits it, [`Cgroup::stats`] tells what it has used; [`Cgroup::freeze`],
//! [`Cgroup::kill`] and [`Cgroup::delete`] do what they say. On a hybrid machine each controller is
//! used where it is.
//!
//! Promises: no process is started, nothing is kept between calls but what the values hold, and
//! nothing said but what is written where, to the crate `log` at level debug; every error names
//! its file, its value and the kernel's reason; nothing is asked that can simply be done (a new
//! cgroup costs one `mkdir` and one `open` per hierarchy, a limit an `open`, a `write` and a
//! `close`, its removal one `rmdir` per hierarchy).
//! Not here: v2's device programs, which whoever has an eBPF loader attaches to [`Join::dir`].
//!
//! It acts in the process that calls it and with that one's privileges, never in a container. The
//! paths that it gets are cleaned before use: see [`Layout::place`].
//!
//! # A container's life
//! ```no_run
//! use cgroup::{Cgroup, DeviceRule, Memory, OnDenied, Resources, Signal};
//! # fn main() -> cgroup::Result<()> {
//! let mut cgroup = Cgroup::place(Some("/tare/web"), "web")?;
//! // Store this first: it is enough to clean up after a crash at any later point.
//! let stored: Vec<(String, String)> =
//!     cgroup.paths().map(|(name, path)| (name.into(), path.into())).collect();
//!
//! let created = cgroup.create(OnDenied::Fail)?;
//! // Device rules before the child joins, so that it finds them complete.
//! if cgroup.has_v1_devices() {
//!     cgroup.set_devices(&[
//!         DeviceRule { allow: false, line: "a" },
//!         DeviceRule { allow: true, line: "c 1:3 rwm" },
//!     ])?;
//! }
//! // clone3 takes created.join.dir(); the child writes "0" to each of created.join.files().
//! // Meanwhile, or before:
//! cgroup.set(&Resources {
//!     memory: Memory { limit: Some(64 << 20), ..Memory::default() },
//!     pids: Some(100),
//!     ..Resources::default()
//! })?;
//!
//! // Later, in another process:
//! let cgroup = Cgroup::from_paths(stored.iter().map(|(name, path)| (&name[..], &path[..])));
//! cgroup.freeze()?;
//! cgroup.thaw()?;
//! cgroup.kill(Signal::SIGKILL)?;
//! cgroup.delete()?;
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]

mod cgroup;
mod create;
mod devices;
mod error;
mod file;
mod freeze;
mod layout;
mod oom;
mod path;
mod processes;
mod remove;
mod resources;
mod set;
mod snapshot;
mod stats;
pub mod systemd;
mod target;
mod v1;
mod v2;
mod wait;

pub use cgroup::{Cgroup, Created, Join, OnDenied};
pub use error::{Error, Result};
pub use layout::{Hierarchy, Layout, Mode};
/// Types of the crate `nix` that are in signatures here.
pub use nix::{errno::Errno, poll::PollFlags, sys::signal::Signal};
pub use oom::OomWatch;
pub use resources::{
    BlockIo, Cpu, DeviceRule, Hugepage, Ignored, Memory, Network, OomKiller, Rdma, Resources,
    Throttle, WeightDevice, io_weight_of_blkio, swap_max, weight_of_shares,
};
pub use snapshot::Snapshot;
pub use stats::{
    BlockIoEntry, BlockIoStats, CpuStats, CpusetStats, MemoryEntry, MemoryStats, Pressure, Stall,
    Stats,
};
pub use target::Write;
