//! What a container has used: plain numbers, in the terms of v1, which engines read.
//!
//! What a kernel or a hierarchy doesn't count is 0, empty or `None`: a statistic that is missing
//! hinders nobody. Bytes, and nanoseconds, throughout.

mod v1;
mod v2;

use std::collections::BTreeMap;

use nix::errno::Errno;

use crate::cgroup::Cgroup;
use crate::error::{Error, Result};
use crate::file;

/// Everything that is counted; from [`Cgroup::stats`].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Stats {
    /// Processor time.
    pub cpu: CpuStats,
    /// Where it may run; v1 only.
    pub cpuset: CpusetStats,
    /// Memory and swap.
    pub memory: MemoryStats,
    /// Tasks in the cgroup and in all below it.
    pub pids: u64,
    /// The most there may be; 0 is no limit.
    pub pids_limit: u64,
    /// Block devices.
    pub block_io: BlockIoStats,
    /// Huge pages by size, such as `2MB`.
    pub hugepages: BTreeMap<String, MemoryEntry>,
}

/// Processor time in nanoseconds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CpuStats {
    /// All of it.
    pub total: u64,
    /// In user mode.
    pub user: u64,
    /// In the kernel.
    pub kernel: u64,
    /// All of it, by processor; v1 only.
    pub per_cpu: Vec<u64>,
    /// In user mode, by processor; v1 only.
    pub per_cpu_user: Vec<u64>,
    /// In the kernel, by processor; v1 only.
    pub per_cpu_kernel: Vec<u64>,
    /// Periods of the quota that have passed.
    pub periods: u64,
    /// Those in which it was used up.
    pub throttled_periods: u64,
    /// How long there was a wait for the next one.
    pub throttled_time: u64,
    /// How long there was a wait for a processor; where v2 is mounted.
    pub pressure: Option<Pressure>,
}

/// The files of v1's cpuset controller, by their names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "cpusets.rst says what they are")]
pub struct CpusetStats {
    pub cpus: Vec<u16>,
    pub mems: Vec<u16>,
    pub cpu_exclusive: u64,
    pub mem_hardwall: u64,
    pub mem_exclusive: u64,
    pub memory_migrate: u64,
    pub memory_spread_page: u64,
    pub memory_spread_slab: u64,
    pub memory_pressure: u64,
    pub sched_load_balance: u64,
    pub sched_relax_domain_level: i64,
}

/// One of the things that the memory controllers count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemoryEntry {
    /// The most there may be; [`u64::MAX`] is no limit.
    pub limit: u64,
    /// In use now.
    pub usage: u64,
    /// The most that was ever in use; 0 where nobody remembers.
    pub max: u64,
    /// How often the limit was in the way; v1, and huge pages.
    pub failures: u64,
}

/// Memory in bytes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MemoryStats {
    /// The page cache.
    pub cache: u64,
    /// Memory.
    pub usage: MemoryEntry,
    /// Memory and swap together, also on v2.
    pub swap: MemoryEntry,
    /// The kernel's share; v1 only.
    pub kernel: MemoryEntry,
    /// Its buffers for TCP; v1 only.
    pub kernel_tcp: MemoryEntry,
    /// `memory.stat`.
    pub raw: BTreeMap<String, u64>,
    /// How long there was a wait for memory; where v2 is mounted.
    pub pressure: Option<Pressure>,
}

/// A number for one block device.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BlockIoEntry {
    /// Major number.
    pub major: u64,
    /// Minor number.
    pub minor: u64,
    /// `Read`, `Write`, ...; may be empty.
    pub op: String,
    /// How much, or how often.
    pub value: u64,
}

/// Block devices; on v2 the first two only.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BlockIoStats {
    /// Bytes.
    pub service_bytes: Vec<BlockIoEntry>,
    /// Operations.
    pub serviced: Vec<BlockIoEntry>,
    /// Operations that wait.
    pub queued: Vec<BlockIoEntry>,
    /// How long operations took.
    pub service_time: Vec<BlockIoEntry>,
    /// How long they waited.
    pub wait_time: Vec<BlockIoEntry>,
    /// Operations that became part of others.
    pub merged: Vec<BlockIoEntry>,
    /// How long the device was ours.
    pub time: Vec<BlockIoEntry>,
    /// Sectors.
    pub sectors: Vec<BlockIoEntry>,
    /// How long there was a wait for devices; where v2 is mounted.
    pub pressure: Option<Pressure>,
}

/// Pressure stall information (accounting/psi.rst).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Pressure {
    /// Some task waited.
    pub some: Stall,
    /// All tasks waited.
    pub full: Stall,
}

/// How long somebody waited.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Stall {
    /// Per cent of the last 10 seconds.
    pub avg10: f64,
    /// Per cent of the last minute.
    pub avg60: f64,
    /// Per cent of the last five minutes.
    pub avg300: f64,
    /// In all, in microseconds.
    pub total: u64,
}

impl Cgroup {
    /// What was used so far.
    ///
    /// # Errors
    /// What the kernel says; that something isn't counted is no error.
    pub fn stats(&self) -> Result<Stats> {
        let mut stats = v1::stats(self)?;
        v2::complete(self, &mut stats)?;
        Ok(stats)
    }
}

/// The limit of tasks, as [`Stats`] has it.
fn pids_limit(dir: &str) -> Result<u64> {
    Ok(Some(number(dir, "pids.max")?).filter(|limit| *limit != u64::MAX).unwrap_or(0))
}

/// The text of a file; empty if there is none, or it can't be had here.
fn text(dir: &str, name: &str) -> Result<String> {
    match file::read(dir, name) {
        Err(error) if is_missing(&error) => Ok(String::new()),
        read => read,
    }
}

fn is_missing(error: &Error) -> bool {
    error.is_gone() || error.errno() == Some(Errno::EOPNOTSUPP)
}

/// A file of one number; 0 if there is none.
fn number(dir: &str, name: &str) -> Result<u64> {
    Ok(parse(text(dir, name)?.trim()))
}

/// A number as control files have it: `max` is the largest one, and those below zero, which the
/// kernel's counters sometimes show for a moment, are 0.
fn parse(text: &str) -> u64 {
    match text {
        "max" => u64::MAX,
        text => text.parse().unwrap_or(0),
    }
}

/// The pairs of a file with lines such as `nr_periods 5`.
fn pairs(text: &str) -> impl Iterator<Item = (&str, u64)> {
    text.lines().filter_map(|line| line.split_once(' ')).map(|(key, value)| (key, parse(value)))
}

/// The sizes of huge pages that the controller has here: what is between `hugetlb.` and `suffix`.
fn page_sizes(dir: &str, suffix: &str) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(dir) else { return Vec::new() };
    let size = |name: String| {
        let size = name.strip_prefix("hugetlb.")?.strip_suffix(suffix)?;
        (!size.contains('.')).then(|| size.to_owned())
    };
    entries.filter_map(|entry| size(entry.ok()?.file_name().into_string().ok()?)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_control_files() {
        for (text, number) in [("0", 0), ("42", 42), ("max", u64::MAX), ("-4096", 0), ("", 0)] {
            assert_eq!(parse(text), number, "{text}");
        }
        let all: Vec<_> = pairs("nr_periods 5\nnr_throttled 0\nbroken\n").collect();
        assert_eq!(all, [("nr_periods", 5), ("nr_throttled", 0)]);
    }
}
