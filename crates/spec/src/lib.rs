//! `config.json`, process and resources files of the OCI runtime specification 1.3 as borrowed types.
//!
//! The types say what the specification says and no more: enumerations stay [`Text`] here, since
//! whether a value is known, and what happens when it is not, is a decision of `plan`. What the
//! types do promise is that parsing copies nothing that it need not (strings borrow from the
//! input), that JSON's `null` means "absent" as it does for every writer in Go, that unknown
//! properties are ignored (runtime-spec, "Extensibility"), and that an error says where it is:
//! line, column and JSON path ([`ParseError`]).
//!
//! No I/O happens here; the tests compare the result with the crate `oci-spec`.

#![forbid(unsafe_code)]

mod config;
mod linux;
mod mend;
mod object;
mod parse;
mod place;
mod resources;
mod seccomp;
mod state;
mod text;
mod unread;

pub use config::{
    Capabilities, ConsoleSize, Cpus, Hook, Hooks, IoPriority, Mount, Process, Rlimit, Root,
    Scheduler, Spec, User,
};
pub use linux::{
    Device, IdMapping, IntelRdt, Linux, MemoryPolicy, Namespace, NetDevice, Personality, TimeOffset,
};
pub use mend::{Mended, mend};
pub use parse::{ParseError, parse};
pub use place::{Place, find, place, pointer_at, pointer_token};
pub use resources::{
    BlockIo, Cpu, DeviceRule, HugepageLimit, InterfacePriority, Memory, Network, Pids, Rdma,
    Resources, ThrottleDevice, WeightDevice,
};
pub use seccomp::{Seccomp, SyscallArg, SyscallRule};
pub use state::{ContainerProcessState, ContainerStatus, State};
pub use text::Text;
pub use unread::{Unread, unread};

/// The newest version of the runtime specification that these types follow.
pub const OCI_VERSION: &str = "1.3.0";

/// Annotations and other string to string objects, ordered by key as Go's encoder writes them.
pub type StringMap<'a> = std::collections::BTreeMap<Text<'a>, Text<'a>>;
