//! `events`: runc's lines of JSON (its types/events.go).
//!
//! Of what runc leaves out when it is zero, nothing is printed either: readers take it for zero.

use std::ops::ControlFlow;
use std::time::Duration;

use cgroup::{BlockIoEntry, BlockIoStats, CpuStats, CpusetStats, MemoryEntry, MemoryStats};
use cgroup::{Pressure, Stall};
use engine::{Counted, Event, ResctrlStats, Usage};
use serde_json::{Map, Value, json};

use super::{Failure, Outcome, id, print, store};
use crate::args::Parsed;

/// `events`.
pub(crate) fn events(parsed: &Parsed) -> Outcome {
    let (store, id) = (store(parsed)?, id(parsed));
    let text = parsed.flags.get("interval").unwrap_or("5s");
    let interval = duration(text)
        .ok_or_else(|| format!("invalid value {text:?} for flag -interval: invalid duration"))?
        .filter(|interval| !interval.is_zero())
        .ok_or_else(|| "duration interval must be greater than 0".to_owned())?;
    if parsed.flags.on("stats") {
        line(id, &Event::Stats(Box::new(engine::stats(&store, id)?)))?;
        return Ok(0);
    }
    let stopped = engine::events(&store, id, interval, &mut |event| match line(id, &event) {
        Ok(()) => ControlFlow::Continue(()),
        Err(failure) => ControlFlow::Break(failure),
    })?;
    stopped.map_or(Ok(0), Err)
}

fn line(id: &str, event: &Event) -> Result<(), Failure> {
    let value = match event {
        Event::Stats(usage) => json!({ "type": "stats", "id": id, "data": data(usage) }),
        Event::Oom => json!({ "type": "oom", "id": id }),
    };
    print(format!("{value}\n").as_bytes())
}

fn data(Usage { cgroup: stats, resctrl: groups }: &Usage) -> Value {
    let failures = |(size, entry): (&String, &MemoryEntry)| {
        let always = json!({ "failcnt": entry.failures });
        (size.clone(), with(always, json!({ "usage": entry.usage, "max": entry.max })))
    };
    json!({
        "cpu": cpu(&stats.cpu),
        "cpuset": cpuset(&stats.cpuset),
        "memory": memory(&stats.memory),
        "pids": with(json!({}), json!({ "current": stats.pids, "limit": stats.pids_limit })),
        "blkio": block_io(&stats.block_io),
        "hugetlb": stats.hugepages.iter().map(failures).collect::<Map<_, _>>(),
        "intel_rdt": groups.as_ref().map_or(json!({}), resctrl),
        "network_interfaces": null,
    })
}

/// The fields that are always there, and of the others those that are not nothing.
fn with(mut always: Value, others: Value) -> Value {
    if let (Value::Object(object), Value::Object(others)) = (&mut always, others) {
        object.extend(others.into_iter().filter(|(_, value)| !is_nothing(value)));
    }
    always
}

fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Number(number) => number.as_u64() == Some(0),
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(object) => object.is_empty(),
        Value::Bool(_) => false,
    }
}

fn cpu(cpu: &CpuStats) -> Value {
    let usage = with(
        json!({ "kernel": cpu.kernel, "user": cpu.user }),
        json!({
            "total": cpu.total,
            "percpu": cpu.per_cpu,
            "percpu_kernel": cpu.per_cpu_kernel,
            "percpu_user": cpu.per_cpu_user,
        }),
    );
    let throttling = with(
        json!({}),
        json!({
            "periods": cpu.periods,
            "throttledPeriods": cpu.throttled_periods,
            "throttledTime": cpu.throttled_time,
        }),
    );
    let psi = pressure(cpu.pressure.as_ref());
    with(json!({}), json!({ "usage": usage, "throttling": throttling, "psi": psi }))
}

fn cpuset(cpuset: &CpusetStats) -> Value {
    with(
        json!({
            "cpu_exclusive": cpuset.cpu_exclusive,
            "mem_hardwall": cpuset.mem_hardwall,
            "mem_exclusive": cpuset.mem_exclusive,
            "memory_migrate": cpuset.memory_migrate,
            "memory_spread_page": cpuset.memory_spread_page,
            "memory_spread_slab": cpuset.memory_spread_slab,
            "memory_pressure": cpuset.memory_pressure,
            "sched_load_balance": cpuset.sched_load_balance,
            "sched_relax_domain_level": cpuset.sched_relax_domain_level,
        }),
        json!({ "cpus": cpuset.cpus, "mems": cpuset.mems }),
    )
}

fn memory(memory: &MemoryStats) -> Value {
    with(
        json!({}),
        json!({
            "cache": memory.cache,
            "usage": entry(&memory.usage),
            "swap": entry(&memory.swap),
            "kernel": entry(&memory.kernel),
            "kernelTCP": entry(&memory.kernel_tcp),
            "raw": memory.raw,
            "psi": pressure(memory.pressure.as_ref()),
        }),
    )
}

fn entry(entry: &MemoryEntry) -> Value {
    if *entry == MemoryEntry::default() {
        return Value::Null;
    }
    with(
        json!({ "limit": entry.limit, "failcnt": entry.failures }),
        json!({ "usage": entry.usage, "max": entry.max }),
    )
}

fn block_io(io: &BlockIoStats) -> Value {
    let entry = |entry: &BlockIoEntry| {
        let BlockIoEntry { major, minor, op, value } = entry;
        with(json!({}), json!({ "major": major, "minor": minor, "op": op, "value": value }))
    };
    let list = |entries: &[BlockIoEntry]| entries.iter().map(entry).collect::<Vec<_>>();
    with(
        json!({}),
        json!({
            "ioServiceBytesRecursive": list(&io.service_bytes),
            "ioServicedRecursive": list(&io.serviced),
            "ioQueueRecursive": list(&io.queued),
            "ioServiceTimeRecursive": list(&io.service_time),
            "ioWaitTimeRecursive": list(&io.wait_time),
            "ioMergedRecursive": list(&io.merged),
            "ioTimeRecursive": list(&io.time),
            "sectorsRecursive": list(&io.sectors),
            "psi": pressure(io.pressure.as_ref()),
        }),
    )
}

fn resctrl(stats: &ResctrlStats) -> Value {
    let ResctrlStats { cache, bandwidth, root, group, counted } = stats;
    // Of several, such as those for code and for data, the last one.
    let schema = |lines: &[String], name: &str| {
        lines.iter().rfind(|line| line.starts_with(name)).cloned().unwrap_or_default()
    };
    let numbers = |[step, linear, least, groups]: &[u64; 4]| {
        with(
            json!({}),
            json!({
                "bandwidth_gran": step,
                "delay_linear": linear,
                "min_bandwidth": least,
                "num_closids": groups,
            }),
        )
    };
    let bytes = |counted: &Counted| {
        let Counted { total, local, occupancy: _ } = counted;
        json!({ "mbm_total_bytes": total, "mbm_local_bytes": local })
    };
    let counts_bytes = |counted: &&Counted| counted.total.or(counted.local).is_some();
    let in_use = |counted: &Counted| Some(json!({ "llc_occupancy": counted.occupancy? }));
    let of = |enabled: bool, lines, name| if enabled { schema(lines, name) } else { String::new() };
    with(
        json!({}),
        json!({
            "l3_cache_info": cache.as_ref().map(|(mask, bits, groups)| {
                let numbers = json!({ "min_cbm_bits": bits, "num_closids": groups });
                with(json!({ "cbm_mask": mask }), numbers)
            }),
            "l3_cache_schema_root": of(cache.is_some(), root, "L3"),
            "l3_cache_schema": of(cache.is_some(), group, "L3"),
            "mem_bw_info": bandwidth.as_ref().map(numbers),
            "mem_bw_schema_root": of(bandwidth.is_some(), root, "MB"),
            "mem_bw_schema": of(bandwidth.is_some(), group, "MB"),
            "schemata": group,
            "mbm_stats": counted.iter().filter(counts_bytes).map(bytes).collect::<Vec<_>>(),
            "cmt_stats": counted.iter().filter_map(in_use).collect::<Vec<_>>(),
        }),
    )
}

fn pressure(pressure: Option<&Pressure>) -> Value {
    let stall = |stall: &Stall| {
        let Stall { avg10, avg60, avg300, total } = stall;
        json!({ "avg10": avg10, "avg60": avg60, "avg300": avg300, "total": total })
    };
    pressure.map_or(
        Value::Null,
        |pressure| json!({ "some": stall(&pressure.some), "full": stall(&pressure.full) }),
    )
}

/// A duration as Go writes it, such as `5s`, `1.5h` or `1m30s`; negative ones are `Some(None)`.
fn duration(text: &str) -> Option<Option<Duration>> {
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Some(Some(Duration::ZERO));
    }
    let mut sum = Duration::ZERO;
    while {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, behind) = rest.split_at(digits);
        let end = behind.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(behind.len());
        let (unit, behind) = behind.split_at(end);
        let seconds = number.parse::<f64>().ok()? * seconds(unit)?;
        sum = sum.checked_add(Duration::try_from_secs_f64(seconds).ok()?)?;
        rest = behind;
        !rest.is_empty()
    } {}
    Some((!negative).then_some(sum))
}

fn seconds(unit: &str) -> Option<f64> {
    Some(match unit {
        "ns" => 1e-9,
        "us" | "µs" | "μs" => 1e-6,
        "ms" => 1e-3,
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use cgroup::Stats;

    #[test]
    fn durations() {
        let milliseconds = |text: &str| duration(text).map(|all| all.map(|one| one.as_millis()));
        for (text, expected) in [
            ("5s", 5_000),
            ("100ms", 100),
            ("1m30s", 90_000),
            ("1.5h", 5_400_000),
            (".5s", 500),
            ("+1s", 1_000),
            ("2000us", 2),
            ("2000µs", 2),
            ("0", 0),
            ("0s", 0),
        ] {
            assert_eq!(milliseconds(text), Some(Some(expected)), "{text}");
        }
        assert_eq!(milliseconds("-1s"), Some(None));
        for text in ["", "5", "s", "-", "5x", "5 s", "1.2.3s", "1s5", "nan", "1e400h"] {
            assert_eq!(milliseconds(text), None, "{text}");
        }
    }

    #[test]
    fn nothing_is_what_runc_prints_of_nothing() {
        let expected = json!({
            "cpu": { "usage": { "kernel": 0, "user": 0 } },
            "cpuset": {
                "cpu_exclusive": 0,
                "mem_hardwall": 0,
                "mem_exclusive": 0,
                "memory_migrate": 0,
                "memory_spread_page": 0,
                "memory_spread_slab": 0,
                "memory_pressure": 0,
                "sched_load_balance": 0,
                "sched_relax_domain_level": 0,
            },
            "memory": {},
            "pids": {},
            "blkio": {},
            "hugetlb": {},
            "intel_rdt": {},
            "network_interfaces": null,
        });
        assert_eq!(data(&Usage { cgroup: Stats::default(), resctrl: None }), expected);
    }

    #[test]
    fn numbers_have_the_names_of_runc() {
        let usage = MemoryEntry { limit: u64::MAX, usage: 4096, max: 0, failures: 0 };
        let stats = Stats {
            pids: 1,
            cpu: CpuStats { total: 5, per_cpu: vec![5], throttled_time: 7, ..CpuStats::default() },
            memory: MemoryStats {
                usage,
                raw: [("rss".to_owned(), 4096)].into(),
                ..MemoryStats::default()
            },
            block_io: BlockIoStats {
                serviced: vec![BlockIoEntry { major: 8, minor: 0, op: "Read".into(), value: 2 }],
                ..BlockIoStats::default()
            },
            hugepages: [("2MB".to_owned(), MemoryEntry::default())].into(),
            ..Stats::default()
        };
        let data = data(&Usage { cgroup: stats, resctrl: None });
        assert_eq!(data["pids"], json!({ "current": 1 }));
        assert_eq!(data["cpu"]["usage"]["percpu"], json!([5]));
        assert_eq!(data["cpu"]["throttling"], json!({ "throttledTime": 7 }));
        let memory = json!({ "limit": u64::MAX, "usage": 4096, "failcnt": 0 });
        assert_eq!(data["memory"], json!({ "usage": memory, "raw": { "rss": 4096 } }));
        let serviced = json!([{ "major": 8, "op": "Read", "value": 2 }]);
        assert_eq!(data["blkio"], json!({ "ioServicedRecursive": serviced }));
        assert_eq!(data["hugetlb"], json!({ "2MB": { "failcnt": 0 } }));
    }
    #[test]
    fn shares_and_counters_have_the_names_of_runc() {
        let lines = |lines: &[&str]| lines.iter().map(ToString::to_string).collect::<Vec<_>>();
        let counted = Counted { total: Some(9), local: Some(5), occupancy: Some(4096) };
        let groups = ResctrlStats {
            cache: Some(("fffff".to_owned(), 1, 16)),
            bandwidth: None,
            root: lines(&["L3:0=fffff"]),
            group: lines(&["MB:0=50", "L3:0=ff"]),
            counted: vec![counted, Counted::default()],
        };
        let usage = Usage { cgroup: Stats::default(), resctrl: Some(groups) };
        let expected = json!({
            "l3_cache_info": { "cbm_mask": "fffff", "min_cbm_bits": 1, "num_closids": 16 },
            "l3_cache_schema_root": "L3:0=fffff",
            "l3_cache_schema": "L3:0=ff",
            "schemata": ["MB:0=50", "L3:0=ff"],
            "mbm_stats": [{ "mbm_total_bytes": 9, "mbm_local_bytes": 5 }],
            "cmt_stats": [{ "llc_occupancy": 4096 }],
        });
        assert_eq!(data(&usage)["intel_rdt"], expected);
    }
}
