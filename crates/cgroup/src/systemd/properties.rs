//! The properties of a container's unit: what it is, and its limits.
//!
//! Systemd writes a limit that it knows to the cgroup's files, when the unit starts, changes, or is
//! read anew. What it can't express is written to the files only (systemd.resource-control(5)).

use super::property::{Property, Value};
use super::unit::Unit;
use crate::error::{Error, Result};
use crate::resources::{
    Cpu, DeviceRule, Resources, io_weight_of_blkio, swap_max, weight_of_shares,
};
use crate::snapshot::Snapshot;
use crate::v1::check_shares;

/// Systemd's word for "no limit".
const INFINITY: u64 = u64::MAX;

/// The kernel's own period of a CPU quota, in microseconds (sched-bwc.rst).
const PERIOD: u64 = 100_000;

/// More CPUs, or memory nodes, than any kernel is built for.
const MOST_CPUS: usize = 1 << 16;

/// The properties that make a unit a container's, `description` among them; its limits not yet.
pub fn unit_properties(unit: &Unit, unified: bool, description: &str) -> Vec<Property> {
    let mut properties = vec![Property::text("Description", description)];
    if unit.is_slice() {
        properties.push(Property::new("Wants", Value::Texts(vec![unit.slice().to_owned()])));
    } else {
        properties.push(Property::text("Slice", unit.slice()));
        properties.push(Property::switch("Delegate", true));
    }
    let io = if unified { "IOAccounting" } else { "BlockIOAccounting" };
    for accounting in ["MemoryAccounting", "CPUAccounting", io, "TasksAccounting"] {
        properties.push(Property::switch(accounting, true));
    }
    // A container is its engine's to stop, before or after anything else at shutdown.
    properties.push(Property::switch("DefaultDependencies", false));
    // One that failed leaves nothing that would be in the way of the next of its name.
    properties.push(Property::text("CollectMode", "inactive-or-failed"));
    properties
}

/// The process that a scope starts with. A slice takes none: it is born in the cgroup.
pub(crate) fn processes(unit: &Unit, pid: u32) -> Option<Property> {
    (!unit.is_slice()).then(|| Property::new("PIDs", Value::U32s(vec![pid])))
}

/// The shortest quota that the kernel takes, in microseconds (sched-bwc.rst).
const SHORTEST_QUOTA: i64 = 1_000;

/// Rounds a CPU quota up to what systemd can keep: whole hundredths of a CPU. Both it and the
/// kernel's file then have the same. One that is too short is left for the kernel to refuse.
pub fn round_quota(cpu: &mut Cpu<'_>) {
    if let Some(quota @ SHORTEST_QUOTA..) = cpu.quota {
        let period = period(cpu);
        let per_second = per_second(quota.unsigned_abs(), period);
        let rounded = u128::from(per_second) * u128::from(period) / 1_000_000;
        cpu.quota = i64::try_from(rounded).ok().or(cpu.quota);
    }
}

fn period(cpu: &Cpu<'_>) -> u64 {
    cpu.period.filter(|period| *period != 0).unwrap_or(PERIOD)
}

/// A quota in a period as microseconds in a second, rounded up to hundredths of a CPU.
fn per_second(quota: u64, period: u64) -> u64 {
    let hundredths = (u128::from(quota) * 100).div_ceil(u128::from(period));
    u64::try_from(hundredths * 10_000).unwrap_or(INFINITY)
}

/// The limits that systemd of this version can express, for a cgroup of v2 (`unified`) or v1.
///
/// # Errors
/// [`Error::Value`] for what can't be converted.
pub fn limit_properties(
    resources: &Resources<'_>,
    unified: bool,
    version: u32,
) -> Result<Vec<Property>> {
    let mut limits = Limits { properties: Vec::new(), version };
    match unified {
        true => {
            limits.memory(resources)?;
            limits.weights(resources);
        }
        false => {
            let memory = resources.memory.limit.filter(|limit| *limit != 0);
            limits.push("MemoryLimit", memory.map(or_infinity));
            let shares = resources.cpu.shares.filter(|shares| *shares != 0);
            shares.map_or(Ok(()), check_shares)?;
            limits.push("CPUShares", shares);
            let weight = resources.block_io.weight.filter(|weight| *weight != 0);
            limits.push("BlockIOWeight", weight.map(u64::from));
        }
    }
    limits.quota(resources.cpu.quota.unwrap_or(0), resources.cpu.period.unwrap_or(0));
    limits.push("TasksMax", resources.pids.map(|limit| or_infinity(limit).max(1)));
    limits.numbers("AllowedCPUs", "cpuset.cpus", resources.cpu.cpus)?;
    limits.numbers("AllowedMemoryNodes", "cpuset.mems", resources.cpu.mems)?;
    // Of two properties systemd takes the later: as of two writes to a file.
    for (file, value) in resources.unified.iter().filter(|_| unified) {
        limits.unified(file, value.trim(), resources)?;
    }
    Ok(limits.properties)
}

/// The properties that say what a cgroup's files had before, for a systemd that was told otherwise.
pub fn former_properties(before: &Snapshot, unified: bool, version: u32) -> Result<Vec<Property>> {
    let files = before.files().map(|(name, text)| (name, text.lines().next().unwrap_or_default()));
    if unified {
        let resources = Resources { unified: files.collect(), ..Resources::default() };
        return limit_properties(&resources, true, version);
    }
    let mut resources = Resources::default();
    for (name, text) in files {
        // No limit is `max`, or on v1 as many whole pages as there can be.
        let number = text.trim().parse().ok().filter(|number| *number < i64::MAX - 0xffff);
        let number: Option<i64> = Some(number.unwrap_or(-1));
        match name {
            "memory.limit_in_bytes" => resources.memory.limit = number,
            "cpu.cfs_quota_us" => resources.cpu.quota = number,
            "cpu.shares" => resources.cpu.shares = text.trim().parse().ok(),
            "cpu.cfs_period_us" => resources.cpu.period = text.trim().parse().ok(),
            "blkio.weight" => resources.block_io.weight = text.trim().parse().ok(),
            "pids.max" => resources.pids = number,
            _ => {}
        }
    }
    limit_properties(&resources, false, version)
}

struct Limits {
    properties: Vec<Property>,
    version: u32,
}

impl Limits {
    fn push(&mut self, name: &str, value: Option<u64>) {
        self.properties.extend(value.map(|value| Property::number(name, value)));
    }

    fn memory(&mut self, resources: &Resources<'_>) -> Result<()> {
        let memory = &resources.memory;
        self.push("MemoryMax", memory.limit.filter(|limit| *limit != 0).map(or_infinity));
        self.push("MemoryLow", memory.reservation.filter(|low| *low != 0).map(or_infinity));
        self.push("MemorySwapMax", swap_max(memory.limit, memory.swap)?.map(or_infinity));
        Ok(())
    }

    /// Weights of v2. One of a CPU group that only runs when nobody else wants to is 0.
    fn weights(&mut self, resources: &Resources<'_>) {
        let shares = resources.cpu.shares.filter(|shares| *shares != 0);
        let weight = match self.can_idle() && resources.cpu.idle == Some(1) {
            true => Some(0),
            false => shares.map(weight_of_shares),
        };
        self.push("CPUWeight", weight);
        let weight = resources.block_io.weight.filter(|weight| *weight != 0);
        self.push("IOWeight", weight.map(io_weight_of_blkio));
    }

    fn can_idle(&self) -> bool {
        self.version >= 252
    }

    fn quota(&mut self, quota: i64, period: u64) {
        if period != 0 && self.version >= 242 {
            self.push("CPUQuotaPeriodUSec", Some(period));
        }
        if quota != 0 || period != 0 {
            let quota = u64::try_from(quota).ok().filter(|quota| *quota > 0);
            let period = if period == 0 { PERIOD } else { period };
            let per_second = quota.map_or(INFINITY, |quota| per_second(quota, period));
            self.push("CPUQuotaPerSecUSec", Some(per_second));
        }
    }

    fn numbers(&mut self, name: &str, file: &str, list: Option<&str>) -> Result<()> {
        if let Some(list) = list.filter(|list| !list.is_empty()) {
            let bits = bits(list).ok_or_else(|| Error::Value {
                name: file.to_owned(),
                value: list.to_owned(),
                reason: "not a list of numbers such as 0-3,7",
            })?;
            if self.version >= 244 {
                self.properties.push(Property::new(name, Value::Bits(bits)));
            }
        }
        Ok(())
    }

    /// An empty file allows all that there are; so does an empty set.
    fn numbers_or_all(&mut self, name: &str, file: &str, list: &str) -> Result<()> {
        if list.is_empty() && self.version >= 244 {
            self.properties.push(Property::new(name, Value::Bits(Vec::new())));
        }
        self.numbers(name, file, Some(list))
    }

    /// A file of v2's. What is no number of a known file is left to the kernel to judge.
    fn unified(&mut self, file: &str, value: &str, all: &Resources<'_>) -> Result<()> {
        let idles = |(name, value): &(&str, &str)| *name == "cpu.idle" && value.trim() == "1";
        let idle = self.can_idle() && all.unified.iter().any(idles);
        match file {
            "cpu.idle" if idle => self.push("CPUWeight", Some(0)),
            "cpu.weight" if !idle => self.push("CPUWeight", value.parse().ok()),
            "cpu.max" => {
                let mut words = value.split_whitespace();
                let quota = match words.next() {
                    Some("max") => Some(-1),
                    Some(quota) => quota.parse().ok(),
                    None => None,
                };
                let period = words.next().map_or(Some(PERIOD), |word| word.parse().ok());
                if let (Some(quota), Some(period), None) = (quota, period, words.next()) {
                    self.quota(quota, period);
                }
            }
            "cpuset.cpus" => self.numbers_or_all("AllowedCPUs", file, value)?,
            "cpuset.mems" => self.numbers_or_all("AllowedMemoryNodes", file, value)?,
            "io.weight" => {
                self.push("IOWeight", value.trim_start_matches("default ").parse().ok());
            }
            "memory.high" => self.push("MemoryHigh", size(value)),
            "memory.low" => self.push("MemoryLow", size(value)),
            "memory.max" => self.push("MemoryMax", size(value)),
            "memory.min" => self.push("MemoryMin", size(value)),
            "memory.swap.max" => self.push("MemorySwapMax", size(value)),
            "memory.zswap.max" if self.version >= 253 => self.push("MemoryZSwapMax", size(value)),
            // Only at the unit's start; a scope has it since 253.
            "memory.oom.group" if self.version >= 253 => {
                let policy = match value {
                    "1" => "kill",
                    _ => "continue",
                };
                self.properties.push(Property::text("OOMPolicy", policy));
            }
            "pids.max" => self.push("TasksMax", size(value).map(|limit| limit.max(1))),
            _ => {}
        }
        Ok(())
    }
}

/// Negative is no limit.
fn or_infinity(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(INFINITY)
}

/// A number as v2's files take it: `max`, or with a suffix that is a power of 1024.
fn size(value: &str) -> Option<u64> {
    if value == "max" {
        return Some(INFINITY);
    }
    let digits = value.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let shift = match &value[digits.len()..] {
        "" => 0,
        "k" | "K" => 10,
        "m" | "M" => 20,
        "g" | "G" => 30,
        "t" | "T" => 40,
        _ => return None,
    };
    digits.parse::<u64>().ok()?.checked_mul(1 << shift)
}

/// `0-2,5` as the bits 0, 1, 2 and 5, the lowest first.
fn bits(list: &str) -> Option<Vec<u8>> {
    let mut bytes: Vec<u8> = Vec::new();
    for range in list.split(',').map(str::trim).filter(|range| !range.is_empty()) {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (first, last) = (first.trim().parse().ok()?, last.trim().parse::<usize>().ok()?);
        if first > last || last >= MOST_CPUS {
            return None;
        }
        bytes.resize(bytes.len().max(last / 8 + 1), 0);
        for number in first..=last {
            *bytes.get_mut(number / 8)? |= 1 << (number % 8);
        }
    }
    (!bytes.is_empty()).then_some(bytes)
}

/// Device rules as systemd keeps them on v1, where it rewrites the cgroup's own when it reads its
/// units anew. It knows no list of what is denied: then it denies all, until the files are written.
///
/// On v2 nothing is said of devices: systemd then has no program, and leaves the runtime's alone.
pub fn device_properties(rules: &[DeviceRule<'_>]) -> Vec<Property> {
    let mut allow_all = false;
    let mut allowed: Vec<(&str, &str, String)> = Vec::new();
    for rule in rules {
        let mut words = rule.line.split_whitespace();
        let kind = words.next().unwrap_or("a");
        if kind == "a" {
            allow_all = rule.allow;
            allowed.clear();
            continue;
        }
        // As the kernel has it: against "all" an exception is a denial, and the other way around.
        if rule.allow == allow_all {
            continue;
        }
        let (numbers, access) = (words.next().unwrap_or("*:*"), words.next().unwrap_or("rwm"));
        allowed.push((kind, numbers, access.to_owned()));
    }
    let clear = Property::new("DeviceAllow", Value::Pairs(Vec::new()));
    match (allow_all, allowed.is_empty()) {
        // Without any device that it allows it would have no use for the controller, and take the
        // container's processes out of the cgroup.
        (true, true) => {
            let all = ["char-*", "block-*"].map(|path| (path.to_owned(), "rwm".to_owned()));
            let allow = Property::new("DeviceAllow", Value::Pairs(all.into()));
            vec![clear, Property::text("DevicePolicy", "strict"), allow]
        }
        (true, false) => vec![clear, Property::text("DevicePolicy", "strict")],
        (false, _) => {
            let pairs = allowed.into_iter().filter_map(device).collect();
            let allow = Property::new("DeviceAllow", Value::Pairs(pairs));
            vec![clear, Property::text("DevicePolicy", "strict"), allow]
        }
    }
}

/// `c 1:3` is `/dev/char/1:3`, `c 1:*` is `char-1`, `c *:*` is `char-*`; systemd has no `c *:3`.
fn device((kind, numbers, access): (&str, &str, String)) -> Option<(String, String)> {
    let kind = if kind == "b" { "block" } else { "char" };
    let path = match numbers.split_once(':')? {
        ("*", "*") => format!("{kind}-*"),
        ("*", _) => return None,
        (major, "*") => format!("{kind}-{major}"),
        (major, minor) => format!("/dev/{kind}/{major}:{minor}"),
    };
    Some((path, access))
}

#[cfg(test)]
mod tests {
    use super::super::unit::Instance;
    use super::*;
    use crate::resources::{BlockIo, Memory};

    fn numbers(resources: &Resources<'_>, unified: bool, version: u32) -> Vec<(String, u64)> {
        let properties = limit_properties(resources, unified, version).unwrap();
        let number = |property: Property| match property.value {
            Value::U64(number) => Some((property.name, number)),
            _ => None,
        };
        properties.into_iter().filter_map(number).collect()
    }

    fn expect(resources: &Resources<'_>, version: u32, expected: &[(&str, u64)]) {
        let found = numbers(resources, true, version);
        let found: Vec<(&str, u64)> = found.iter().map(|(name, n)| (&name[..], *n)).collect();
        assert_eq!(found, expected, "{resources:?}");
    }

    fn cpu(quota: i64, period: u64) -> Cpu<'static> {
        Cpu { quota: Some(quota), period: Some(period), ..Cpu::default() }
    }

    #[test]
    fn limits_of_v2() {
        let resources = Resources {
            memory: Memory {
                limit: Some(100),
                reservation: Some(50),
                swap: Some(130),
                ..Memory::default()
            },
            cpu: Cpu { shares: Some(1024), ..cpu(50_000, 100_000) },
            pids: Some(0),
            block_io: BlockIo { weight: Some(1000), ..BlockIo::default() },
            ..Resources::default()
        };
        let expected = [
            ("MemoryMax", 100),
            ("MemoryLow", 50),
            ("MemorySwapMax", 30),
            ("CPUWeight", 100),
            ("IOWeight", 10_000),
            ("CPUQuotaPeriodUSec", 100_000),
            ("CPUQuotaPerSecUSec", 500_000),
            ("TasksMax", 1),
        ];
        expect(&resources, 252, &expected);
        let without_period: Vec<_> =
            expected.iter().filter(|(name, _)| *name != "CPUQuotaPeriodUSec").copied().collect();
        expect(&resources, 241, &without_period);
        expect(&Resources::default(), 252, &[]);
        let lifted = Resources {
            memory: Memory { limit: Some(-1), ..Memory::default() },
            pids: Some(-1),
            cpu: cpu(-1, 0),
            ..Resources::default()
        };
        let all = ["MemoryMax", "MemorySwapMax", "CPUQuotaPerSecUSec", "TasksMax"];
        expect(&lifted, 252, &all.map(|name| (name, INFINITY)));
    }

    #[test]
    fn what_files_had_is_put_back() {
        let files = |dir: &str, files: &[(&str, &str)]| {
            let dir =
                std::env::temp_dir().join(format!("tare-former-{}-{dir}", std::process::id()));
            std::fs::create_dir_all(&dir).unwrap();
            for (name, text) in files {
                std::fs::write(dir.join(name), text).unwrap();
            }
            dir.to_str().unwrap().to_owned()
        };
        let resources = Resources {
            memory: Memory { limit: Some(1), ..Memory::default() },
            cpu: Cpu { shares: Some(1), cpus: Some("0"), ..cpu(1, 1) },
            pids: Some(1),
            ..Resources::default()
        };
        let v2 = [
            ("memory.max", "max\n"),
            ("cpu.weight", "100\n"),
            ("cpu.max", "20000 50000\n"),
            ("cpuset.cpus", "\n"),
            ("pids.max", "20\n"),
        ];
        let dir = files("v2", &v2);
        let before = crate::Cgroup::from_paths([("", &dir[..])]).snapshot(&resources);
        let mut former = former_properties(&before, true, 252).unwrap();
        former.sort_by(|one, other| one.name.cmp(&other.name));
        let number = Property::number;
        let expected = [
            Property::new("AllowedCPUs", Value::Bits(Vec::new())),
            number("CPUQuotaPerSecUSec", 400_000),
            number("CPUQuotaPeriodUSec", 50_000),
            number("CPUWeight", 100),
            number("MemoryMax", INFINITY),
            number("TasksMax", 20),
        ];
        assert_eq!(former, expected);
        std::fs::remove_dir_all(dir).unwrap();
        let v1 = [
            ("memory.limit_in_bytes", "9223372036854771712\n"),
            ("cpu.shares", "1024\n"),
            ("cpu.cfs_quota_us", "-1\n"),
            ("cpu.cfs_period_us", "100000\n"),
            ("pids.max", "max\n"),
        ];
        let dir = files("v1", &v1);
        let paths = ["memory", "cpu", "pids"].map(|name| (name, &dir[..]));
        let before = crate::Cgroup::from_paths(paths).snapshot(&resources);
        let former = former_properties(&before, false, 252).unwrap();
        let expected = [
            number("MemoryLimit", INFINITY),
            number("CPUShares", 1024),
            number("CPUQuotaPeriodUSec", 100_000),
            number("CPUQuotaPerSecUSec", INFINITY),
            number("TasksMax", INFINITY),
        ];
        assert_eq!(former, expected);
        std::fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn idle_is_a_weight_of_zero_since_252() {
        let idle = Cpu { idle: Some(1), shares: Some(1024), ..Cpu::default() };
        let resources = Resources { cpu: idle, ..Resources::default() };
        expect(&resources, 252, &[("CPUWeight", 0)]);
        expect(&resources, 251, &[("CPUWeight", 100)]);
        let unified = vec![("cpu.weight", "50"), ("cpu.idle", " 1\n")];
        let resources = Resources { unified, ..Resources::default() };
        expect(&resources, 252, &[("CPUWeight", 0)]);
        expect(&resources, 251, &[("CPUWeight", 50)]);
    }

    #[test]
    fn quotas_are_rounded_up_to_what_systemd_keeps() {
        for (quota, period, rounded, per_second) in [
            (50_000, 100_000, 50_000, 500_000),
            (50_000, 0, 50_000, 500_000),
            (1000, 100_000, 1000, 10_000),
            (1001, 100_000, 2000, 20_000),
            (1500, 100_000, 2000, 20_000),
            (3330, 10_000, 3400, 340_000),
            (30_000, 90_000, 30_600, 340_000),
        ] {
            let mut limits = cpu(quota, period);
            round_quota(&mut limits);
            assert_eq!(limits.quota, Some(rounded), "{quota} {period}");
            let resources = Resources { cpu: limits, ..Resources::default() };
            let found = numbers(&resources, true, 252);
            assert_eq!(found.last(), Some(&("CPUQuotaPerSecUSec".to_owned(), per_second)));
        }
        for quota in [None, Some(0), Some(-1), Some(999)] {
            let mut limits = Cpu { quota, ..Cpu::default() };
            round_quota(&mut limits);
            assert_eq!(limits.quota, quota);
        }
    }

    #[test]
    fn files_of_v2_are_the_last_word() {
        let resources = Resources {
            cpu: Cpu { quota: Some(40_000), period: Some(100_000), ..Cpu::default() },
            pids: Some(7),
            unified: vec![("cpu.max", "5000 50000"), ("pids.max", "42")],
            ..Resources::default()
        };
        let properties = numbers(&resources, true, 252);
        let last = |name| properties.iter().rev().find(|(other, _)| other == name).unwrap().1;
        assert_eq!(last("CPUQuotaPerSecUSec"), 100_000);
        assert_eq!(last("CPUQuotaPeriodUSec"), 50_000);
        assert_eq!(last("TasksMax"), 42);
    }

    #[test]
    fn files_of_v2_are_properties_where_systemd_knows_them() {
        let unified = vec![
            ("cpu.max", "20000 50000"),
            ("memory.high", "64M"),
            ("memory.low", "1k"),
            ("memory.max", "max"),
            ("memory.min", "3"),
            ("memory.oom.group", "1"),
            ("memory.swap.max", "0"),
            ("memory.zswap.max", "5"),
            ("pids.max", "0"),
            ("io.weight", "default 200"),
            ("hugetlb.2MB.max", "0"),
        ];
        let resources = Resources { unified, ..Resources::default() };
        let expected = [
            ("CPUQuotaPeriodUSec", 50_000),
            ("CPUQuotaPerSecUSec", 400_000),
            ("MemoryHigh", 64 << 20),
            ("MemoryLow", 1024),
            ("MemoryMax", INFINITY),
            ("MemoryMin", 3),
            ("MemorySwapMax", 0),
            ("MemoryZSwapMax", 5),
            ("TasksMax", 1),
            ("IOWeight", 200),
        ];
        expect(&resources, 253, &expected);
        let older: Vec<_> =
            expected.iter().filter(|(name, _)| *name != "MemoryZSwapMax").copied().collect();
        expect(&resources, 252, &older);
        let policy = Property::text("OOMPolicy", "kill");
        assert!(limit_properties(&resources, true, 253).unwrap().contains(&policy));
        assert!(!limit_properties(&resources, true, 252).unwrap().contains(&policy));
        // The kernel says what is wrong with these.
        let unified = vec![("cpu.max", "a b"), ("memory.max", "1x"), ("cpu.max", "1 2 3")];
        expect(&Resources { unified, ..Resources::default() }, 252, &[]);
    }

    #[test]
    fn limits_of_v1() {
        let resources = Resources {
            memory: Memory { limit: Some(100), swap: Some(200), ..Memory::default() },
            cpu: Cpu { shares: Some(512), ..Cpu::default() },
            pids: Some(7),
            block_io: BlockIo { weight: Some(300), ..BlockIo::default() },
            ..Resources::default()
        };
        let all = ["MemoryLimit", "CPUShares", "BlockIOWeight", "TasksMax"];
        let expected: Vec<_> = all.iter().map(|n| n.to_string()).zip([100, 512, 300, 7]).collect();
        assert_eq!(numbers(&resources, false, 252), expected);
    }

    #[test]
    fn sets_of_cpus() {
        for (list, expected) in [
            ("0", Some(vec![1])),
            ("0-2,5", Some(vec![0b10_0111])),
            ("8, 1-1", Some(vec![2, 1])),
            ("15-16", Some(vec![0, 0x80, 1])),
            ("0-65535", Some(vec![0xff; 8192])),
            ("65536", None),
            ("3-1", None),
            ("a", None),
            ("-1", None),
            (",", None),
        ] {
            assert_eq!(bits(list), expected, "{list}");
        }
        let cpus = |list| {
            let cpu = Cpu { cpus: Some(list), ..Cpu::default() };
            Resources { cpu, ..Resources::default() }
        };
        let set = Property::new("AllowedCPUs", Value::Bits(vec![1]));
        assert_eq!(limit_properties(&cpus("0"), true, 244), Ok(vec![set]));
        assert_eq!(limit_properties(&cpus("0"), true, 243), Ok(Vec::new()));
        let error = limit_properties(&cpus("x"), true, 243).unwrap_err();
        assert_eq!(error.to_string(), "cpuset.cpus: \"x\": not a list of numbers such as 0-3,7");
    }

    #[test]
    fn devices_of_v1() {
        let rule = |allow, line| DeviceRule { allow, line };
        let pairs = |rules: &[DeviceRule<'_>]| match device_properties(rules).pop() {
            Some(Property { value: Value::Pairs(pairs), .. }) => pairs,
            other => panic!("{other:?}"),
        };
        let pair = |path: &str, access: &str| (path.to_owned(), access.to_owned());
        let rules = [
            rule(true, "a"),
            rule(false, "a"),
            rule(true, "c 1:3 rwm"),
            rule(true, "b 8:* r"),
            rule(true, "c *:* m"),
            rule(true, "c *:5 rwm"),
        ];
        assert_eq!(
            pairs(&rules),
            [pair("/dev/char/1:3", "rwm"), pair("block-8", "r"), pair("char-*", "m")]
        );
        let policy = |rules: &[DeviceRule<'_>]| device_properties(rules)[1].value.clone();
        assert_eq!(policy(&[rule(true, "a")]), Value::Text("strict".to_owned()));
        assert_eq!(pairs(&[rule(true, "a")]), ["char-*", "block-*"].map(|path| pair(path, "rwm")));
        assert_eq!(policy(&[]), Value::Text("strict".to_owned()));
        let denied = [rule(true, "a"), rule(false, "c 1:3 rwm")];
        assert_eq!(policy(&denied), Value::Text("strict".to_owned()));
        assert_eq!(device_properties(&denied).len(), 2);
    }

    #[test]
    fn what_a_unit_is() {
        let has = |unit: &Unit, name: &str| {
            let properties = unit_properties(unit, true, "a container");
            properties.into_iter().find(|property| property.name == name).map(|p| p.value)
        };
        let scope = Unit::parse(Some("a.slice:b:c"), "x", Instance::System).unwrap();
        assert_eq!(has(&scope, "Slice"), Some(Value::Text("a.slice".to_owned())));
        assert_eq!(has(&scope, "Delegate"), Some(Value::Bool(true)));
        assert_eq!(has(&scope, "DefaultDependencies"), Some(Value::Bool(false)));
        assert!(processes(&scope, 5).is_some());
        let slice = Unit::parse(Some("a.slice:b:a-c.slice"), "x", Instance::System).unwrap();
        assert_eq!(has(&slice, "Wants"), Some(Value::Texts(vec!["a.slice".to_owned()])));
        assert_eq!((has(&slice, "Slice"), has(&slice, "Delegate")), (None, None));
        assert_eq!(processes(&slice, 5), None);
    }
}
