//! The limits of a container, as plain data, and the arithmetic between v1's units and v2's.
//!
//! The names and units are those of `linux.resources` in the OCI runtime specification
//! (config-linux.md, "Control groups"). What is `None` or empty is left alone.

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
    /// Marks on network traffic. v1 only: v2 has no such controller, and ignores them as runc does.
    pub network: Network<'a>,
    /// Remote direct memory access: one entry per device.
    pub rdma: Vec<Rdma<'a>>,
    /// v2 files by name, with what to write there, after everything else. An error on v1.
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
    /// `memory.swappiness`, 0 to 100. v1 only: ignored on v2.
    pub swappiness: Option<u64>,
    /// Write 1 to `memory.oom_control`. v1 only: ignored on v2.
    pub disable_oom_killer: bool,
    /// Write 1 to `memory.use_hierarchy`. v1 only; since Linux 5.11 it is 1 always.
    pub use_hierarchy: bool,
    /// Refuse a limit below what is in use now, rather than have the kernel reclaim and kill.
    /// v1's kernel refuses by itself what it cannot reclaim; so this matters on v2.
    pub check_before_update: bool,
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
    /// `cpu.cfs_burst_us`, `cpu.max.burst` (Linux 5.14; left out on an older one).
    pub burst: Option<u64>,
    /// `cpu.rt_runtime_us`. v1 only: ignored on v2.
    pub realtime_runtime: Option<i64>,
    /// `cpu.rt_period_us`. v1 only: ignored on v2.
    pub realtime_period: Option<u64>,
    /// `cpuset.cpus`: a list such as `0-3,7`.
    pub cpus: Option<&'a str>,
    /// `cpuset.mems`: a list of memory nodes.
    pub mems: Option<&'a str>,
    /// `cpu.idle`: 1 for SCHED_IDLE, 0 to leave it (Linux 5.15).
    pub idle: Option<i64>,
}

/// `blockIO`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BlockIo {
    /// 10 to 1000 (bfq: 1 to 1000).
    pub weight: Option<u16>,
    /// v1 only, and gone since Linux 5.0: `blkio.leaf_weight`.
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

/// `network`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Network<'a> {
    /// `net_cls.classid`.
    pub class_id: Option<u32>,
    /// `net_prio.ifpriomap`: interface and priority.
    pub priorities: Vec<(&'a str, u32)>,
}

/// Limits of one RDMA device: `rdma.max`.
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
        (0, swap) => invalid(swap, "a limit of memory and swap needs a memory limit"),
        (limit, swap) if limit < 0 || swap < 0 => invalid(swap, "a negative limit other than -1"),
        (limit, swap) if swap < limit => {
            invalid(swap, "the limit of memory and swap is below that of memory")
        }
        (limit, swap) => Ok(Some(swap - limit)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        let weights: Vec<u64> = (2..=262_144).map(weight_of_shares).collect();
        assert!(weights.is_sorted());
        assert!(weights.iter().all(|weight| (1..=10_000).contains(weight)));
    }

    #[test]
    fn block_weights() {
        for (blkio, io) in [(0, 0), (1, 1), (10, 1), (100, 910), (500, 4950), (1000, 10_000)] {
            assert_eq!(io_weight_of_blkio(blkio), io, "{blkio}");
        }
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
