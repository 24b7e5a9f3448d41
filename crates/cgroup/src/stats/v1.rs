//! Statistics of cgroup v1.

use super::{BlockIoEntry, BlockIoStats, CpuStats, CpusetStats, MemoryEntry, MemoryStats, Stats};
use super::{number, page_sizes, pairs, parse, pids_limit, text};
use crate::cgroup::Cgroup;
use crate::error::Result;

/// `USER_HZ`, the unit of `cpuacct.stat`, in nanoseconds: 100 a second on every architecture that
/// is built for.
const TICK: u64 = 10_000_000;

pub(super) fn stats(cgroup: &Cgroup) -> Result<Stats> {
    let mut stats = Stats::default();
    if let Some(dir) = cgroup.v1_dir("cpu") {
        throttling(&text(dir, "cpu.stat")?, &mut stats.cpu);
    }
    if let Some(dir) = cgroup.v1_dir("cpuacct") {
        usage(dir, &mut stats.cpu)?;
    }
    if let Some(dir) = cgroup.v1_dir("cpuset") {
        stats.cpuset = cpuset(dir)?;
    }
    if let Some(dir) = cgroup.v1_dir("memory") {
        stats.memory = memory(dir)?;
    }
    if let Some(dir) = cgroup.v1_dir("pids") {
        stats.pids = number(dir, "pids.current")?;
        stats.pids_limit = pids_limit(dir)?;
    }
    if let Some(dir) = cgroup.v1_dir("blkio") {
        stats.block_io = block_io(dir)?;
    }
    if let Some(dir) = cgroup.v1_dir("hugetlb") {
        for size in page_sizes(dir, ".usage_in_bytes") {
            let reserved = format!("hugetlb.{size}.rsvd");
            let entry = match text(dir, &format!("{reserved}.usage_in_bytes"))?.is_empty() {
                true => entry(dir, &format!("hugetlb.{size}"))?,
                false => entry(dir, &reserved)?,
            };
            stats.hugepages.insert(size, entry);
        }
    }
    Ok(stats)
}

fn throttling(text: &str, cpu: &mut CpuStats) {
    for (key, value) in pairs(text) {
        match key {
            "nr_periods" => cpu.periods = value,
            "nr_throttled" => cpu.throttled_periods = value,
            "throttled_time" => cpu.throttled_time = value,
            _ => {}
        }
    }
}

fn usage(dir: &str, cpu: &mut CpuStats) -> Result<()> {
    cpu.total = number(dir, "cpuacct.usage")?;
    for (key, value) in pairs(&text(dir, "cpuacct.stat")?) {
        match key {
            "user" => cpu.user = value.saturating_mul(TICK),
            "system" => cpu.kernel = value.saturating_mul(TICK),
            _ => {}
        }
    }
    let list = text(dir, "cpuacct.usage_percpu")?;
    cpu.per_cpu = list.split_whitespace().map(parse).collect();
    // Linux 4.6: a title, and lines of number, user and system.
    for line in text(dir, "cpuacct.usage_all")?.lines().skip(1) {
        let mut fields = line.split_whitespace().skip(1).map(parse);
        cpu.per_cpu_user.push(fields.next().unwrap_or(0));
        cpu.per_cpu_kernel.push(fields.next().unwrap_or(0));
    }
    Ok(())
}

fn cpuset(dir: &str) -> Result<CpusetStats> {
    let level = text(dir, "cpuset.sched_relax_domain_level")?;
    Ok(CpusetStats {
        cpus: list(&text(dir, "cpuset.cpus")?),
        mems: list(&text(dir, "cpuset.mems")?),
        cpu_exclusive: number(dir, "cpuset.cpu_exclusive")?,
        mem_hardwall: number(dir, "cpuset.mem_hardwall")?,
        mem_exclusive: number(dir, "cpuset.mem_exclusive")?,
        memory_migrate: number(dir, "cpuset.memory_migrate")?,
        memory_spread_page: number(dir, "cpuset.memory_spread_page")?,
        memory_spread_slab: number(dir, "cpuset.memory_spread_slab")?,
        memory_pressure: number(dir, "cpuset.memory_pressure")?,
        sched_load_balance: number(dir, "cpuset.sched_load_balance")?,
        sched_relax_domain_level: level.trim().parse().unwrap_or(0),
    })
}

/// `0-2,7` in full.
fn list(text: &str) -> Vec<u16> {
    let mut numbers = Vec::new();
    for part in text.trim().split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        if let (Ok(first), Ok(last)) = (first.parse::<u16>(), last.parse::<u16>()) {
            numbers.extend(first..=last);
        }
    }
    numbers
}

fn memory(dir: &str) -> Result<MemoryStats> {
    let raw: std::collections::BTreeMap<String, u64> =
        pairs(&text(dir, "memory.stat")?).map(|(key, value)| (key.to_owned(), value)).collect();
    Ok(MemoryStats {
        cache: raw.get("cache").copied().unwrap_or(0),
        usage: entry(dir, "memory")?,
        swap: entry(dir, "memory.memsw")?,
        kernel: entry(dir, "memory.kmem")?,
        kernel_tcp: entry(dir, "memory.kmem.tcp")?,
        raw,
        pressure: None,
    })
}

fn entry(dir: &str, prefix: &str) -> Result<MemoryEntry> {
    Ok(MemoryEntry {
        limit: number(dir, &format!("{prefix}.limit_in_bytes"))?,
        usage: number(dir, &format!("{prefix}.usage_in_bytes"))?,
        max: number(dir, &format!("{prefix}.max_usage_in_bytes"))?,
        failures: number(dir, &format!("{prefix}.failcnt"))?,
    })
}

/// Who counts depends on the scheduler of the device: BFQ, CFQ (until Linux 5.0), or nobody but
/// the throttling layer. As in runc the first one that has anything is asked.
fn block_io(dir: &str) -> Result<BlockIoStats> {
    let mut stats = BlockIoStats::default();
    for prefix in ["blkio.bfq.", "blkio."] {
        let read = |name: &str| Ok(entries(&text(dir, &format!("{prefix}{name}_recursive"))?));
        stats.serviced = read("io_serviced")?;
        if stats.serviced.is_empty() {
            continue;
        }
        stats.service_bytes = read("io_service_bytes")?;
        stats.queued = read("io_queued")?;
        stats.service_time = read("io_service_time")?;
        stats.wait_time = read("io_wait_time")?;
        stats.merged = read("io_merged")?;
        stats.time = read("time")?;
        stats.sectors = read("sectors")?;
        return Ok(stats);
    }
    // Linux 4.17 has the first one.
    for suffix in ["_recursive", ""] {
        let read = |name: &str| Ok(entries(&text(dir, &format!("blkio.throttle.{name}{suffix}"))?));
        stats.serviced = read("io_serviced")?;
        stats.service_bytes = read("io_service_bytes")?;
        if !stats.serviced.is_empty() {
            break;
        }
    }
    Ok(stats)
}

/// Lines such as `8:0 Read 5` or `8:0 5`; the one of the sum is left out.
fn entries(text: &str) -> Vec<BlockIoEntry> {
    let entry = |line: &str| {
        let mut fields = line.split([' ', ':']);
        let (major, minor) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
        let (op, value) = match (fields.next()?, fields.next()) {
            (op, Some(value)) => (op, value),
            (value, None) => ("", value),
        };
        Some(BlockIoEntry { major, minor, op: op.to_owned(), value: value.parse().ok()? })
    };
    text.lines().filter_map(entry).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_processors() {
        for (text, numbers) in [
            ("\n", &[][..]),
            ("0\n", &[0]),
            ("0-2,7\n", &[0, 1, 2, 7]),
            ("3,5-5", &[3, 5]),
            ("2-1,x", &[]),
        ] {
            assert_eq!(list(text), numbers, "{text}");
        }
    }

    #[test]
    fn lines_of_block_devices() {
        let text = "8:0 Read 5\n8:16 7\n8:0 Total 5\nTotal 12\n\n";
        let entry = |minor, op: &str, value| BlockIoEntry { major: 8, minor, op: op.into(), value };
        assert_eq!(entries(text), [entry(0, "Read", 5), entry(16, "", 7), entry(0, "Total", 5)]);
    }
}
