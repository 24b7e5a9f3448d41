//! Statistics of cgroup v2, in the terms of v1: of all that v1 has no controller for.

use super::{
    BlockIoEntry, BlockIoStats, CpuStats, MemoryEntry, MemoryStats, Pressure, Stall, Stats,
};
use super::{is_missing, number, page_sizes, pairs, parse, pids_limit, text};
use crate::cgroup::Cgroup;
use crate::error::Result;
use crate::file;

/// Adds what v1 has no controller for.
///
/// The pressure is no controller's: v2 tells it of every cgroup, also beside v1.
pub(super) fn complete(cgroup: &Cgroup, stats: &mut Stats) -> Result<()> {
    if let (Some(dir), Some(_)) = (cgroup.v2_dir_of("cpu"), cgroup.v2_dir_of("cpuacct")) {
        stats.cpu = cpu(&text(dir, "cpu.stat")?);
    }
    if let Some(dir) = cgroup.v2_dir_of("memory") {
        stats.memory = memory(dir)?;
    }
    if let Some(dir) = cgroup.v2_dir_of("pids") {
        stats.pids = pids(dir)?;
        stats.pids_limit = pids_limit(dir)?;
    }
    if let Some(dir) = cgroup.v2_dir_of("blkio") {
        stats.block_io = block_io(&text(dir, "io.stat")?);
    }
    if let Some(dir) = cgroup.v2_dir_of("hugetlb") {
        hugepages(dir, stats)?;
    }
    if let Some(dir) = cgroup.v2_dir() {
        stats.cpu.pressure = pressure(dir, "cpu.pressure")?;
        stats.memory.pressure = pressure(dir, "memory.pressure")?;
        stats.block_io.pressure = pressure(dir, "io.pressure")?;
    }
    Ok(())
}

fn hugepages(dir: &str, stats: &mut Stats) -> Result<()> {
    for size in page_sizes(dir, ".current") {
        // Linux 5.7 has the first one.
        let names = [format!("hugetlb.{size}.rsvd.current"), format!("hugetlb.{size}.current")];
        let usage = match text(dir, &names[0])? {
            text if text.is_empty() => number(dir, &names[1])?,
            text => parse(text.trim()),
        };
        let events = text(dir, &format!("hugetlb.{size}.events"))?;
        let failures = file::keyed(&events, "max").unwrap_or(0);
        stats.hugepages.insert(size, MemoryEntry { usage, failures, ..MemoryEntry::default() });
    }
    Ok(())
}

fn cpu(text: &str) -> CpuStats {
    let mut cpu = CpuStats::default();
    for (key, value) in pairs(text) {
        let nanoseconds = value.saturating_mul(1000);
        match key {
            "usage_usec" => cpu.total = nanoseconds,
            "user_usec" => cpu.user = nanoseconds,
            "system_usec" => cpu.kernel = nanoseconds,
            "nr_periods" => cpu.periods = value,
            "nr_throttled" => cpu.throttled_periods = value,
            "throttled_usec" => cpu.throttled_time = nanoseconds,
            _ => {}
        }
    }
    cpu
}

/// Where the controller isn't enabled, processes are counted.
fn pids(dir: &str) -> Result<u64> {
    match file::read(dir, "pids.current") {
        Err(error) if is_missing(&error) => {
            let list = match file::read(dir, "cgroup.procs") {
                Err(error) if is_missing(&error) => text(dir, "cgroup.threads"),
                list => list,
            };
            Ok(list?.lines().count() as u64)
        }
        read => Ok(parse(read?.trim())),
    }
}

fn memory(dir: &str) -> Result<MemoryStats> {
    let raw: std::collections::BTreeMap<String, u64> =
        pairs(&text(dir, "memory.stat")?).map(|(key, value)| (key.to_owned(), value)).collect();
    let usage = entry(dir, "memory")?;
    let swap = entry(dir, "memory.swap")?;
    Ok(MemoryStats {
        cache: raw.get("file").copied().unwrap_or(0),
        usage,
        swap: together(usage, swap),
        raw,
        ..MemoryStats::default()
    })
}

fn entry(dir: &str, prefix: &str) -> Result<MemoryEntry> {
    Ok(MemoryEntry {
        limit: number(dir, &format!("{prefix}.max"))?,
        usage: number(dir, &format!("{prefix}.current"))?,
        // Linux 5.19 for memory, 6.5 for swap.
        max: number(dir, &format!("{prefix}.peak"))?,
        failures: 0,
    })
}

/// v1 counts swap together with memory. The two peaks need not have been at the same time.
fn together(memory: MemoryEntry, swap: MemoryEntry) -> MemoryEntry {
    MemoryEntry {
        limit: swap.limit.saturating_add(memory.limit),
        usage: swap.usage.saturating_add(memory.usage),
        ..MemoryEntry::default()
    }
}

/// Lines such as `8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=5 dios=6`.
fn block_io(text: &str) -> BlockIoStats {
    let mut stats = BlockIoStats::default();
    for line in text.lines() {
        let mut fields = line.split_whitespace();
        let device = fields.next().and_then(|device| device.split_once(':'));
        let Some((major, minor)) = device else { continue };
        let (Ok(major), Ok(minor)) = (major.parse(), minor.parse()) else { continue };
        for (key, value) in fields.filter_map(|field| field.split_once('=')) {
            let (list, op) = match key {
                "rbytes" => (&mut stats.service_bytes, "Read"),
                "wbytes" => (&mut stats.service_bytes, "Write"),
                "rios" => (&mut stats.serviced, "Read"),
                "wios" => (&mut stats.serviced, "Write"),
                _ => continue,
            };
            list.push(BlockIoEntry { major, minor, op: op.to_owned(), value: parse(value) });
        }
    }
    stats
}

/// `None` on a kernel without it, or where it is switched off.
fn pressure(dir: &str, name: &str) -> Result<Option<Pressure>> {
    let text = text(dir, name)?;
    Ok((!text.is_empty()).then(|| parse_pressure(&text)))
}

/// Lines such as `some avg10=0.00 avg60=0.00 avg300=0.00 total=0`.
fn parse_pressure(text: &str) -> Pressure {
    let mut pressure = Pressure::default();
    for line in text.lines() {
        let mut fields = line.split_whitespace();
        let mut stall = Stall::default();
        let kind = fields.next();
        for (key, value) in fields.filter_map(|field| field.split_once('=')) {
            match key {
                "avg10" => stall.avg10 = value.parse().unwrap_or(0.0),
                "avg60" => stall.avg60 = value.parse().unwrap_or(0.0),
                "avg300" => stall.avg300 = value.parse().unwrap_or(0.0),
                "total" => stall.total = parse(value),
                _ => {}
            }
        }
        match kind {
            Some("some") => pressure.some = stall,
            Some("full") => pressure.full = stall,
            _ => {}
        }
    }
    pressure
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn microseconds_become_nanoseconds() {
        let cpu = cpu("usage_usec 7\nuser_usec 4\nsystem_usec 3\nnr_periods 2\nthrottled_usec 1\n");
        assert_eq!((cpu.total, cpu.user, cpu.kernel), (7000, 4000, 3000));
        assert_eq!((cpu.periods, cpu.throttled_periods, cpu.throttled_time), (2, 0, 1000));
    }

    #[test]
    fn block_devices_get_the_names_of_v1() {
        let stats = block_io("8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=5\n7:0\nbroken\n");
        let entry = |op: &str, value| BlockIoEntry { major: 8, minor: 0, op: op.into(), value };
        assert_eq!(stats.service_bytes, [entry("Read", 1), entry("Write", 2)]);
        assert_eq!(stats.serviced, [entry("Read", 3), entry("Write", 4)]);
    }

    #[test]
    fn swap_is_counted_with_memory() {
        let entry = |limit, usage| MemoryEntry { limit, usage, max: 9, failures: 0 };
        let both = together(entry(100, 10), entry(u64::MAX, 5));
        assert_eq!((both.limit, both.usage, both.max), (u64::MAX, 15, 0));
        assert_eq!(together(entry(100, 10), entry(50, 5)).limit, 150);
    }

    #[test]
    fn pressure_has_two_lines() {
        let text = "some avg10=1.50 avg60=0.25 avg300=0.00 total=77\n\
                    full avg10=0.00 avg60=0.00 avg300=0.00 total=5\n";
        let pressure = parse_pressure(text);
        assert_eq!(
            (pressure.some.avg10, pressure.some.avg60, pressure.some.total),
            (1.5, 0.25, 77)
        );
        assert_eq!(pressure.full, Stall { total: 5, ..Stall::default() });
    }
}
