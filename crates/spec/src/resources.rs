//! `linux.resources` (config-linux.md, "Control groups").
//!
//! Names are the specification's, letter by letter, but for four that runc's own tests have otherwise
//! in bundles and files for `update`: `CPU`, even beside `cpu`, with `Cpus` and `Mems`, and `pagesize`.
//! Go reads names in any case, and a limit that a known writer asks for is not to be lost.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::object::Object;
use crate::text::nullable;
use crate::{StringMap, Text};

/// `linux.resources`, and the file of `update --resources`.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", remote = "Self")]
pub struct Resources<'a> {
    /// Device rules, the last match decides.
    #[serde(default, deserialize_with = "nullable", borrow)]
    pub devices: Vec<DeviceRule<'a>>,
    /// Memory limits.
    #[serde(default)]
    pub memory: Option<Memory>,
    /// CPU time and placement.
    #[serde(default, borrow)]
    pub cpu: Option<Cpu<'a>>,
    /// What `CPU` says. Whoever reads has it in `cpu`, and nothing here.
    #[serde(rename = "CPU", default, borrow, skip_serializing)]
    pub cpu_in_capitals: Option<Cpu<'a>>,
    /// Number of tasks.
    #[serde(default)]
    pub pids: Option<Pids>,
    /// Block I/O weights and limits.
    #[serde(rename = "blockIO", default)]
    pub block_io: Option<BlockIo>,
    /// Huge page limits.
    #[serde(default, deserialize_with = "nullable", borrow)]
    pub hugepage_limits: Vec<HugepageLimit<'a>>,
    /// Network class and priorities (cgroup v1).
    #[serde(default, borrow)]
    pub network: Option<Network<'a>>,
    /// RDMA limits, by device name.
    #[serde(default, deserialize_with = "nullable", borrow)]
    pub rdma: BTreeMap<Text<'a>, Rdma>,
    /// Files of the cgroup v2 directory, and what is written to them.
    #[serde(default, deserialize_with = "nullable", borrow)]
    pub unified: StringMap<'a>,
}

impl<'de: 'a, 'a> Deserialize<'de> for Resources<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut resources = Self::deserialize(Object(deserializer))?;
        if let Some(cpu) = resources.cpu_in_capitals.take() {
            resources.cpu.get_or_insert_default().complete(cpu);
        }
        Ok(resources)
    }
}

impl Serialize for Resources<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Self::serialize(self, serializer)
    }
}

/// Allows or denies access to devices.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", remote = "Self")]
pub struct DeviceRule<'a> {
    /// Allow or deny.
    #[serde(default, deserialize_with = "nullable")]
    pub allow: bool,
    /// `a` (all, the default), `c` or `b`.
    #[serde(rename = "type", default, deserialize_with = "nullable", borrow)]
    pub kind: Text<'a>,
    /// Major number; absent or -1: all.
    #[serde(default)]
    pub major: Option<i64>,
    /// Minor number; absent or -1: all.
    #[serde(default)]
    pub minor: Option<i64>,
    /// Any of `r`, `w`, `m`.
    #[serde(default, deserialize_with = "nullable", borrow)]
    pub access: Text<'a>,
}

/// Memory limits, in bytes; -1 means no limit.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", remote = "Self")]
pub struct Memory {
    /// Memory.
    #[serde(default)]
    pub limit: Option<i64>,
    /// Soft limit.
    #[serde(default)]
    pub reservation: Option<i64>,
    /// Memory and swap together.
    #[serde(default)]
    pub swap: Option<i64>,
    /// Kernel memory (deprecated).
    #[serde(default)]
    pub kernel: Option<i64>,
    /// Kernel TCP buffer memory (deprecated).
    #[serde(rename = "kernelTCP", default)]
    pub kernel_tcp: Option<i64>,
    /// How readily the kernel swaps, 0 to 100.
    #[serde(default)]
    pub swappiness: Option<u64>,
    /// Stop the tasks instead of killing one.
    #[serde(rename = "disableOOMKiller", default)]
    pub disable_oom_killer: Option<bool>,
    /// Account children with the parent.
    #[serde(default)]
    pub use_hierarchy: Option<bool>,
    /// Refuse a limit below the usage.
    #[serde(default)]
    pub check_before_update: Option<bool>,
}

/// CPU time and placement.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", remote = "Self")]
pub struct Cpu<'a> {
    /// Relative share, 1024 is the default.
    #[serde(default)]
    pub shares: Option<u64>,
    /// Microseconds in a period; -1: no limit.
    #[serde(default)]
    pub quota: Option<i64>,
    /// Microseconds that unused quota can pile up to.
    #[serde(default)]
    pub burst: Option<u64>,
    /// Microseconds.
    #[serde(default)]
    pub period: Option<u64>,
    /// Microseconds of realtime in a period.
    #[serde(default)]
    pub realtime_runtime: Option<i64>,
    /// Microseconds.
    #[serde(default)]
    pub realtime_period: Option<u64>,
    /// List of CPUs.
    #[serde(alias = "Cpus", default, deserialize_with = "nullable", borrow)]
    pub cpus: Text<'a>,
    /// List of memory nodes.
    #[serde(alias = "Mems", default, deserialize_with = "nullable", borrow)]
    pub mems: Text<'a>,
    /// 1: SCHED_IDLE for the whole cgroup.
    #[serde(default)]
    pub idle: Option<i64>,
}

impl<'a> Cpu<'a> {
    /// Takes from another what is not said here.
    fn complete(&mut self, other: Cpu<'a>) {
        let Cpu { shares, quota, burst, period, realtime_runtime, realtime_period, .. } = other;
        self.shares = self.shares.or(shares);
        self.quota = self.quota.or(quota);
        self.burst = self.burst.or(burst);
        self.period = self.period.or(period);
        self.realtime_runtime = self.realtime_runtime.or(realtime_runtime);
        self.realtime_period = self.realtime_period.or(realtime_period);
        self.idle = self.idle.or(other.idle);
        for (own, other) in [(&mut self.cpus, other.cpus), (&mut self.mems, other.mems)] {
            if own.is_empty() {
                *own = other;
            }
        }
    }
}

/// Number of tasks.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", remote = "Self")]
pub struct Pids {
    /// At most this many; -1: no limit.
    #[serde(default)]
    pub limit: Option<i64>,
}

/// Block I/O weights and limits.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", remote = "Self")]
pub struct BlockIo {
    /// 10 to 1000.
    #[serde(default)]
    pub weight: Option<u16>,
    /// Weight against the child cgroups.
    #[serde(default)]
    pub leaf_weight: Option<u16>,
    /// Weights by device.
    #[serde(default, deserialize_with = "nullable")]
    pub weight_device: Vec<WeightDevice>,
    /// Bytes read a second, by device.
    #[serde(default, deserialize_with = "nullable")]
    pub throttle_read_bps_device: Vec<ThrottleDevice>,
    /// Bytes written a second, by device.
    #[serde(default, deserialize_with = "nullable")]
    pub throttle_write_bps_device: Vec<ThrottleDevice>,
    /// Reads a second, by device.
    #[serde(rename = "throttleReadIOPSDevice", default, deserialize_with = "nullable")]
    pub throttle_read_iops_device: Vec<ThrottleDevice>,
    /// Writes a second, by device.
    #[serde(rename = "throttleWriteIOPSDevice", default, deserialize_with = "nullable")]
    pub throttle_write_iops_device: Vec<ThrottleDevice>,
}

/// A weight for one device.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", remote = "Self")]
pub struct WeightDevice {
    /// Major number.
    #[serde(default, deserialize_with = "nullable")]
    pub major: i64,
    /// Minor number.
    #[serde(default, deserialize_with = "nullable")]
    pub minor: i64,
    /// 10 to 1000.
    #[serde(default)]
    pub weight: Option<u16>,
    /// Weight against the child cgroups.
    #[serde(default)]
    pub leaf_weight: Option<u16>,
}

/// A rate for one device.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", remote = "Self")]
pub struct ThrottleDevice {
    /// Major number.
    #[serde(default, deserialize_with = "nullable")]
    pub major: i64,
    /// Minor number.
    #[serde(default, deserialize_with = "nullable")]
    pub minor: i64,
    /// Bytes or operations a second.
    #[serde(default, deserialize_with = "nullable")]
    pub rate: u64,
}

/// A limit for one size of huge pages.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", remote = "Self")]
pub struct HugepageLimit<'a> {
    /// Such as `2MB`.
    #[serde(alias = "pagesize", default, deserialize_with = "nullable", borrow)]
    pub page_size: Text<'a>,
    /// Bytes.
    #[serde(default, deserialize_with = "nullable")]
    pub limit: u64,
}

/// Network class and priorities (cgroup v1).
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", remote = "Self")]
pub struct Network<'a> {
    /// Class for tc(8).
    #[serde(rename = "classID", default)]
    pub class_id: Option<u32>,
    /// Priority by interface.
    #[serde(default, deserialize_with = "nullable", borrow)]
    pub priorities: Vec<InterfacePriority<'a>>,
}

/// A priority for one interface.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", remote = "Self")]
pub struct InterfacePriority<'a> {
    /// The interface.
    #[serde(default, deserialize_with = "nullable", borrow)]
    pub name: Text<'a>,
    /// The priority.
    #[serde(default, deserialize_with = "nullable")]
    pub priority: u32,
}

/// RDMA limits of one device.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", remote = "Self")]
pub struct Rdma {
    /// Handles.
    #[serde(default)]
    pub hca_handles: Option<u32>,
    /// Objects.
    #[serde(default)]
    pub hca_objects: Option<u32>,
}
