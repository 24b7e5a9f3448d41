//! cgroup
#![forbid(unsafe_code)]

mod cgroup;
mod create;
mod error;
mod file;
mod freeze;
mod layout;
mod path;
mod processes;
mod remove;
mod resources;
mod v1;
mod v2;
mod wait;

pub use cgroup::{Cgroup, Created, Join, OnDenied};
pub use error::{Error, Result};
pub use layout::{Hierarchy, Layout, Mode};
pub use resources::{
    BlockIo, Cpu, DeviceRule, Hugepage, Memory, Network, Rdma, Resources, Throttle, WeightDevice,
    io_weight_of_blkio, swap_max, weight_of_shares,
};
