//! The doing: from plans to containers.
//!
//! Each command is a story in a module of its own: [`create`] and [`run`], [`start`], [`exec`],
//! [`kill`], [`delete`], [`pause`] and [`resume`], [`update`], [`events`], [`checkpoint`] and
//! [`restore`]; what they leave behind is
//! in the [`Store`], what they see is [`status`]. The part that runs inside the container's
//! namespaces is `init`, and its end, where the runtime's powers are given up, `confine`.
//!
//! Privilege: everything here runs with the powers of whoever called the runtime. This program has
//! one thread, always: it clones itself and goes on in ordinary code.

#![forbid(unsafe_code)]

mod agent;
mod aside;
mod bundle;
mod channel;
mod checkpoint;
mod confine;
mod console;
mod copy_up;
mod create;
mod criu;
mod delete;
mod device_rules;
mod devices;
mod error;
mod events;
mod examine;
mod exec;
mod foreground;
#[cfg(fuzzing)]
pub mod fuzzing;
mod holders;
mod hooks;
mod host_mounts;
mod idmap;
mod init;
mod kill;
mod limits;
mod listen;
pub mod messages;
mod mount_table;
mod mounts;
mod net_devices;
mod netlink;
mod notify;
mod pause;
mod pid_file;
mod probe;
mod process;
mod processes;
mod procfs;
mod receiver;
mod remains;
mod resctrl;
mod resolve;
mod restore;
mod rootfs;
mod start;
mod start_socket;
mod status;
mod steps;
mod store;
mod trace;
mod tree;
mod units;
mod update;

pub use bundle::{Bundle, parse, read};
pub use channel::Failure as InitFailure;
pub use checkpoint::{Request as CheckpointRequest, checkpoint, open_status_fd};
pub use create::{Cgroups, Request as CreateRequest, create, run};
pub use criu::{
    CRIU_CONFIG_ANNOTATION, CriuCgroups, CriuOptions, Failure as CriuFailure, NetworkLock,
    Why as CriuWhy,
};
pub use delete::delete;
pub use error::{Details, Error, Result};
pub use events::{Event, Usage, events, stats};
pub use examine::{Finding, Prospect, Question, check, plan};
pub use exec::{Changes, Program, Request as ExecRequest, exec};
pub use hooks::Failure as HookFailure;
pub use kill::kill;
pub use listen::Passed;
pub use mounts::{add_mounts, remove_mounts};
pub use pause::{pause, resume};
pub use probe::is_rootless;
pub use processes::pids;
pub use remains::remains;
pub use resctrl::{Counted, ResctrlStats, Schemata};
pub use restore::{Request as RestoreRequest, restore};
pub use start::start;
pub use status::status;
pub use steps::show_steps;
pub use store::{AgentRecord, ContainerDir, Phase, Record, RecordBytes, Store, check_id};
pub use trace::{Request as TraceRequest, now as trace_time};
pub use update::update;
