//! The limits of a container, as plain data, and the arithmetic between v1's units and v2's.
//!
//! The names and units are those of `linux.resources` in the OCI runtime specification
//! (config-linux.md, "Control groups"). What is `None` or empty is left alone. What a layout has
//! nothing for is told by [`Cgroup::ignored`], before anything is written.

use std::fmt;

use crate::cgroup::Cgroup;
use crate::error::{Error, Result};

/// Everything that [`Cgroup::set`](crate::Cgroup::set) can limit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resources<'a> {
    /// Memory and swap.
    pub memory: Memory,
    /// Processor time and placement.
    pub cpu: Cpu<'a>,
    /// `pids.max`: the number of tasks. Negative: no limit. 0 becomes 1, as with systemd, which
    /// knows no 0; the first process exceeds both anyway.
    pub pids: Option<i64>,
    /// Block devices.
    pub block_io: BlockIo,
    /// Huge pages: one entry per page size.
    pub hugepages: Vec<Hugepage<'a>>,
    /// Marks on network traffic. v1 only.
    pub network: Network<'a>,
    /// Remote direct memory access: one entry per device.
    pub rdma: Vec<Rdma<'a>>,
    /// v2 files by name, with what to write there, after everything else; each line of a value is
    /// written by itself. An error on v1.
    pub unified: Vec<(&'a str, &'a str)>,
}

/// `memory`: all in bytes; -1 is "no limit" and 0 is "leave it alone" for the three limits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// `memory.limit_in_bytes`, `memory.max`.
    pub limit: Option<i64>,
    /// `memory.soft_limit_in_bytes`, `memory.low`.
    pub reservation: Option<i64>,
    /// Memory **and** swap together: `memory.memsw.limit_in_bytes`; v2's `memory.swap.max` gets
    /// the difference to `limit`.
    pub swap: Option<i64>,
    /// The kernel's own memory, in bytes: known to be asked for, and never limited. Since Linux
    /// 4.5 it is part of the memory, and since 6.1 its file refuses numbers.
    pub kernel: Option<i64>,
    /// The same for its buffers for TCP.
    pub kernel_tcp: Option<i64>,
    /// `memory.swappiness`, 0 to 100. v1 only. [`u64::MAX`] is -1 of those who mean "unset".
    pub swappiness: Option<u64>,
    /// `memory.oom_control`. v1 only: v2's kernel always kills.
    pub oom_killer: OomKiller,
    /// Write 1 to `memory.use_hierarchy`. On v2, and on v1 since Linux 5.11, it is so always.
    pub use_hierarchy: bool,
    /// Refuse a limit below what is in use now, rather than have the kernel reclaim and kill.
    /// v1's kernel refuses by itself what it cannot reclaim; so this matters on v2.
    pub check_before_update: bool,
}

/// What happens to a process that asks for more memory than there may be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OomKiller {
    /// What happened before; in a new cgroup, what happens in its parent.
    #[default]
    Unchanged,
    /// It, or another one, is killed.
    Enabled,
    /// It waits until there is memory.
    Disabled,
}

/// `cpu`: times in microseconds; 0 is "leave it alone" but for `burst` and `idle`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cpu<'a> {
    /// `cpu.shares`, 2 to 262144; on v2 `cpu.weight` by [`weight_of_shares`].
    pub shares: Option<u64>,
    /// `cpu.cfs_quota_us`, the first field of `cpu.max`; negative: no limit.
    pub quota: Option<i64>,
    /// `cpu.cfs_period_us`, the second field of `cpu.max`.
    pub period: Option<u64>,
    /// `cpu.cfs_burst_us`, `cpu.max.burst` (Linux 5.14; on an older one only 0 is no error).
    pub burst: Option<u64>,
    /// `cpu.rt_runtime_us`. v1 only.
    pub realtime_runtime: Option<i64>,
    /// `cpu.rt_period_us`. v1 only.
    pub realtime_period: Option<u64>,
    /// `cpuset.cpus`: a list such as `0-3,7`.
    pub cpus: Option<&'a str>,
    /// `cpuset.mems`: a list of memory nodes.
    pub mems: Option<&'a str>,
    /// `cpu.idle`: 1 for SCHED_IDLE, which has no share; 0 to leave it (Linux 5.15).
    pub idle: Option<i64>,
}

/// `blockIO`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BlockIo {
    /// 10 to 1000 (bfq: 1 to 1000).
    pub weight: Option<u16>,
    /// `blkio.leaf_weight`: v1 only, and gone since Linux 5.0.
    pub leaf_weight: Option<u16>,
    /// Weights of single devices.
    pub weight_devices: Vec<WeightDevice>,
    /// Bytes read per second.
    pub throttle_read_bps: Vec<Throttle>,
    /// Bytes written per second.
    pub throttle_write_bps: Vec<Throttle>,
    /// Read operations per second.
    pub throttle_read_iops: Vec<Throttle>,
    /// Write operations per second.
    pub throttle_write_iops: Vec<Throttle>,
}

/// The weight of one block device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WeightDevice {
    /// Major number.
    pub major: i64,
    /// Minor number.
    pub minor: i64,
    /// As [`BlockIo::weight`].
    pub weight: Option<u16>,
    /// As [`BlockIo::leaf_weight`].
    pub leaf_weight: Option<u16>,
}

/// A rate of one block device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Throttle {
    /// Major number.
    pub major: i64,
    /// Minor number.
    pub minor: i64,
    /// Per second; 0 is "no limit".
    pub rate: u64,
}

/// A limit on huge pages of one size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hugepage<'a> {
    /// As in the names of the control files: `2MB`, `1GB`.
    pub page_size: &'a str,
    /// In bytes.
    pub limit: u64,
}

/// `network`: v1 only.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Network<'a> {
    /// `net_cls.classid`; 0 is none.
    pub class_id: Option<u32>,
    /// `net_prio.ifpriomap`: interface and priority.
    pub priorities: Vec<(&'a str, u32)>,
}

/// Limits of one RDMA device: `rdma.max`. [`u32::MAX`] is no limit, as statistics show it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rdma<'a> {
    /// The device, such as `mlx5_1`.
    pub device: &'a str,
    /// Open handles.
    pub hca_handles: Option<u32>,
    /// Objects.
    pub hca_objects: Option<u32>,
}

/// One rule for the v1 device controller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeviceRule<'a> {
    /// To `devices.allow`, else to `devices.deny`.
    pub allow: bool,
    /// `c 1:3 rwm`, `b *:* m`; `a` is everything.
    pub line: &'a str,
}

/// A field of [`Resources`] that a cgroup has nothing for, from [`Cgroup::ignored`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ignored {
    /// Its path in the specification's `linux.resources`, such as `memory.swappiness`.
    pub field: &'static str,
    /// Why it can't be had.
    pub reason: &'static str,
}

impl fmt::Display for Ignored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.reason)
    }
}

/// runc's words.
const KERNEL_MEMORY: &str = "Kernel memory settings are ignored and will be removed";
const IDLE: &str = "ignored, since an idle cgroup has none (cpu.idle)";
const V1_ONLY: &str = "ignored, since cgroup v2 has no such setting";

impl Cgroup {
    /// What [`set`](Cgroup::set) passes over here: the caller should say so. Where something is
    /// missing that others have, such as a controller, `set` fails instead.
    pub fn ignored(&self, resources: &Resources<'_>) -> Vec<Ignored> {
        let Resources { memory, cpu, block_io, network, .. } = resources;
        let idle = cpu.idle.is_some_and(|idle| idle != 0);
        let everywhere = [
            (memory.kernel.is_some(), "memory.kernel", KERNEL_MEMORY),
            (memory.kernel_tcp.is_some(), "memory.kernelTCP", KERNEL_MEMORY),
            (idle && cpu.shares.is_some_and(|shares| shares != 0), "cpu.shares", IDLE),
        ];
        let leaf = |weight: Option<u16>| weight.is_some_and(|weight| weight != 0);
        let leaf_device = |device: &WeightDevice| leaf(device.leaf_weight);
        let runtime = cpu.realtime_runtime.is_some_and(|time| time != 0);
        let period = cpu.realtime_period.is_some_and(|time| time != 0);
        let weights = block_io.weight_devices.iter().any(leaf_device);
        // Where v1 lacks a controller for networks, v2 has none: that is an error of `set`.
        let class = self.is_unified() && network.class_id.is_some_and(|id| id != 0);
        let priorities = self.is_unified() && !network.priorities.is_empty();
        let on_v2 = [
            ("memory", memory.asked_swappiness().is_some(), "memory.swappiness"),
            ("memory", memory.oom_killer == OomKiller::Disabled, "memory.disableOOMKiller"),
            ("cpu", runtime, "cpu.realtimeRuntime"),
            ("cpu", period, "cpu.realtimePeriod"),
            ("blkio", leaf(block_io.leaf_weight), "blockIO.leafWeight"),
            ("blkio", weights, "blockIO.weightDevice.leafWeight"),
            ("net_cls", class, "network.classID"),
            ("net_prio", priorities, "network.priorities"),
        ];
        let on_v2 = on_v2.into_iter().map(|(controller, asked, field)| {
            (asked && self.v2_dir_of(controller).is_some(), field, V1_ONLY)
        });
        let asked = everywhere.into_iter().chain(on_v2).filter(|(asked, ..)| *asked);
        asked.map(|(_, field, reason)| Ignored { field, reason }).collect()
    }
}

impl Memory {
    /// The swappiness, if one was asked for.
    pub(crate) fn asked_swappiness(&self) -> Option<u64> {
        self.swappiness.filter(|&value| value != u64::MAX)
    }
}

impl Cpu<'_> {
    /// The shares, if any were asked for that can be had.
    pub(crate) fn asked_shares(&self) -> Option<u64> {
        let idle = self.idle.is_some_and(|idle| idle != 0);
        self.shares.filter(|&shares| shares != 0 && !idle)
    }
}

/// v2's `cpu.weight` (1 to 10000, 100 in the middle) for v1's `cpu.shares` (2 to 262144, 1024 in
/// the middle): a quadratic in the logarithms through these three pairs, as runc and crun have
/// it since kubernetes/kubernetes#131216, so that 1024 becomes 100. 0, unset, stays 0.
pub fn weight_of_shares(shares: u64) -> u64 {
    match shares {
        0 => 0,
        1..=2 => 1,
        262_144.. => 10_000,
        _ => {
            let l = (shares as f64).log2();
            let exponent = (l * l + 125.0 * l) / 612.0 - 7.0 / 34.0;
            // 1024 must give exactly 100, whichever libc rounds the last bit.
            (10f64.powf(exponent) - 1e-9).ceil() as u64
        }
    }
}

/// v2's `io.weight` (1 to 10000) for the specification's weight (10 to 1000): linear. 0 stays 0.
pub fn io_weight_of_blkio(weight: u16) -> u64 {
    match u64::from(weight) {
        0 => 0,
        weight => 1 + (weight.max(10) - 10) * 9999 / 990,
    }
}

/// v2's `memory.swap.max`, in bytes, from the two limits of [`Memory`]: `None` to leave it
/// alone, -1 for no limit.
///
/// # Errors
/// Swap below memory, or swap without memory: there is no difference to take.
pub fn swap_max(limit: Option<i64>, swap: Option<i64>) -> Result<Option<i64>> {
    let invalid = |swap: i64, reason| {
        Err(Error::Value { name: "memory.swap".to_owned(), value: swap.to_string(), reason })
    };
    match (limit.unwrap_or(0), swap.unwrap_or(0)) {
        // No limit on memory alone means no limit on both, as it does on v1.
        (-1, 0) => Ok(Some(-1)),
        (_, 0) => Ok(None),
        (_, -1) => Ok(Some(-1)),
        (-1, swap) => Ok(Some(swap)),
        (0, swap) => invalid(swap, "unable to set swap limit without memory limit"),
        (limit, swap) if limit < 0 || swap < 0 => invalid(swap, "a negative limit other than -1"),
        (limit, swap) if swap < limit => {
            invalid(swap, "memory+swap limit should be >= memory limit")
        }
        (limit, swap) => Ok(Some(swap - limit)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_layout_lacks_is_named() {
        let fields = |cgroup: &Cgroup, resources: &Resources<'_>| {
            cgroup.ignored(resources).iter().map(|ignored| ignored.field).collect::<Vec<_>>()
        };
        let paths = ["memory", "cpu", "blkio", ""].map(|name| (name, name));
        let [unified, hybrid, legacy, none] = [&paths[3..], &paths[..], &paths[..3], &[]]
            .map(|paths| Cgroup::from_paths(paths.iter().copied()));
        let all = Resources {
            memory: Memory {
                kernel: Some(-1),
                kernel_tcp: Some(0),
                swappiness: Some(0),
                oom_killer: OomKiller::Disabled,
                use_hierarchy: true,
                ..Memory::default()
            },
            cpu: Cpu {
                shares: Some(2),
                idle: Some(1),
                realtime_runtime: Some(-1),
                realtime_period: Some(1),
                ..Cpu::default()
            },
            block_io: BlockIo {
                leaf_weight: Some(10),
                weight_devices: vec![WeightDevice {
                    major: 8,
                    minor: 0,
                    weight: Some(10),
                    leaf_weight: Some(10),
                }],
                ..BlockIo::default()
            },
            network: Network { class_id: Some(1), priorities: vec![("lo", 0)] },
            ..Resources::default()
        };
        let always = ["memory.kernel", "memory.kernelTCP", "cpu.shares"];
        for cgroup in [&hybrid, &legacy, &none] {
            assert_eq!(fields(cgroup, &all), always, "{cgroup:?}");
        }
        let on_v2 = [
            "memory.swappiness",
            "memory.disableOOMKiller",
            "cpu.realtimeRuntime",
            "cpu.realtimePeriod",
            "blockIO.leafWeight",
            "blockIO.weightDevice.leafWeight",
            "network.classID",
            "network.priorities",
        ];
        assert_eq!(fields(&unified, &all), [&always[..], &on_v2].concat());
        // What v1 hasn't is on v2, if that is there; but networks have never been.
        let blkio_on_v2 = Cgroup::from_paths([paths[0], paths[1], paths[3]]);
        assert_eq!(fields(&blkio_on_v2, &all), [&always[..], &on_v2[4..6]].concat());
        assert_eq!(
            hybrid.ignored(&all)[0].to_string(),
            "memory.kernel: Kernel memory settings are ignored and will be removed"
        );
    }

    #[test]
    fn what_asks_for_nothing_is_not_ignored() {
        let nothing = Resources {
            memory: Memory {
                swappiness: Some(u64::MAX),
                oom_killer: OomKiller::Enabled,
                check_before_update: true,
                ..Memory::default()
            },
            cpu: Cpu {
                shares: Some(0),
                idle: Some(1),
                realtime_runtime: Some(0),
                realtime_period: Some(0),
                ..Cpu::default()
            },
            block_io: BlockIo { leaf_weight: Some(0), ..BlockIo::default() },
            network: Network { class_id: Some(0), ..Network::default() },
            ..Resources::default()
        };
        assert_eq!(Cgroup::from_paths([("", "/x")]).ignored(&nothing), []);
    }

    #[test]
    fn shares_and_weights() {
        for (shares, weight) in [
            (0, 0),
            (1, 1),
            (2, 1),
            (3, 2),
            (10, 4),
            (100, 17),
            (256, 35),
            (512, 59),
            (1000, 99),
            (1024, 100),
            (2048, 174),
            (10_240, 639),
            (131_072, 5_478),
            (262_144, 10_000),
            (262_145, 10_000),
            (u64::MAX, 10_000),
        ] {
            assert_eq!(weight_of_shares(shares), weight, "{shares}");
        }
        let weights: Vec<u64> = (0..=262_144).map(weight_of_shares).collect();
        assert!(weights.is_sorted());
        // What runc's function (1.5) gives for all of these, one by one.
        assert_eq!(weights.iter().sum::<u64>(), 1_405_378_461);
        assert_eq!(fnv(weights), 15_950_025_539_597_692_026);
    }

    /// The FNV-1a hash of numbers, each taken whole.
    fn fnv(numbers: impl IntoIterator<Item = u64>) -> u64 {
        numbers.into_iter().fold(0xcbf2_9ce4_8422_2325, |hash, number| {
            (hash ^ number).wrapping_mul(0x0100_0000_01b3)
        })
    }

    #[test]
    fn block_weights() {
        for (blkio, io) in [(0, 0), (1, 1), (10, 1), (100, 910), (500, 4950), (1000, 10_000)] {
            assert_eq!(io_weight_of_blkio(blkio), io, "{blkio}");
        }
        // As for the shares.
        assert_eq!(fnv((10..=1000).map(io_weight_of_blkio)), 12_700_698_478_977_855_037);
    }

    #[test]
    fn swap_is_the_difference() {
        let cases: [(Option<i64>, Option<i64>, Option<i64>); 14] = [
            (None, None, None),
            (Some(0), Some(0), None),
            (Some(100), None, None),
            (Some(100), Some(0), None),
            (Some(100), Some(100), Some(0)),
            (Some(100), Some(300), Some(200)),
            (Some(100), Some(-1), Some(-1)),
            (None, Some(-1), Some(-1)),
            (Some(0), Some(-1), Some(-1)),
            (Some(-1), None, Some(-1)),
            (Some(-1), Some(0), Some(-1)),
            (Some(-1), Some(-1), Some(-1)),
            (Some(-1), Some(100), Some(100)),
            (Some(i64::MAX), Some(i64::MAX), Some(0)),
        ];
        for (limit, swap, max) in cases {
            assert_eq!(swap_max(limit, swap).unwrap(), max, "{limit:?} {swap:?}");
        }
        for (limit, swap) in [
            (None, Some(100)),
            (Some(0), Some(100)),
            (Some(100), Some(99)),
            (Some(-2), Some(100)),
            (Some(100), Some(-2)),
        ] {
            assert!(swap_max(limit, swap).is_err(), "{limit:?} {swap:?}");
        }
    }
}
