//! Cgroups: every number of `events` against the kernel's files, read here in another way; and what
//! counts as a task.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::Value;

use super::cgroup_stats::number;
use super::cgroups::MB;
use crate::bundle::Bundle;
use crate::container::Container;
use crate::layout::{path, read, unified};
use crate::table::{Test, test};
use crate::verdict::{Verdict, fail, is, needs, that};

/// Numbers by where they are in an event's `data`. One that is 0 may as well be missing.
type Numbers = BTreeMap<String, u64>;

/// The kernel's files of one container.
struct Files<'c> {
    c: &'c Container<'c>,
    numbers: Numbers,
}

impl Files<'_> {
    fn text(&self, hierarchy: &str, file: &str) -> String {
        fs::read_to_string(path(hierarchy, &self.c.id, file)).unwrap_or_default()
    }

    fn add(&mut self, pointer: impl Into<String>, value: u64) {
        if value != 0 {
            self.numbers.insert(pointer.into(), value);
        }
    }

    /// A file of one number.
    fn one(&mut self, pointer: &str, hierarchy: &str, file: &str) {
        let number = self.number(hierarchy, file);
        self.add(pointer, number);
    }

    fn number(&self, hierarchy: &str, file: &str) -> u64 {
        let text = self.text(hierarchy, file);
        if text.trim() == "max" { u64::MAX } else { text.trim().parse().unwrap_or(0) }
    }

    /// Some lines of a file of names and numbers; each number times the factor.
    fn keys(&mut self, hierarchy: &str, file: &str, keys: &[(&str, &str, u64)]) {
        let text = self.text(hierarchy, file);
        let words: Vec<&str> = text.split_whitespace().collect();
        for (key, pointer, factor) in keys {
            let value = words.chunks(2).find(|pair| pair[0] == *key).and_then(|pair| pair.get(1));
            let value: u64 = value.and_then(|value| value.parse().ok()).unwrap_or(0);
            self.add(*pointer, value * factor);
        }
    }

    /// The four files of one of v1's memory counters.
    fn counter(&mut self, name: &str, prefix: &str) {
        let files = [
            ("limit", "limit_in_bytes"),
            ("usage", "usage_in_bytes"),
            ("max", "max_usage_in_bytes"),
            ("failcnt", "failcnt"),
        ];
        for (field, file) in files {
            self.one(&format!("/memory/{name}/{field}"), "memory", &format!("{prefix}.{file}"));
        }
    }

    fn raw(&mut self) {
        let text = self.text("memory", "memory.stat");
        for line in text.lines() {
            let (key, value) = line.rsplit_once(' ').unwrap_or((line, "0"));
            self.add(format!("/memory/raw/{key}"), value.parse().unwrap_or(0));
        }
    }

    fn v1(&mut self) {
        self.one("/cpu/usage/total", "cpuacct", "cpuacct.usage");
        // Ticks of 10 ms.
        let ticks =
            [("user", "/cpu/usage/user", 10_000_000), ("system", "/cpu/usage/kernel", 10_000_000)];
        self.keys("cpuacct", "cpuacct.stat", &ticks);
        let all = self.text("cpuacct", "cpuacct.usage_all");
        for line in all.lines().skip(1) {
            let numbers: Vec<u64> = line.split(' ').flat_map(str::parse).collect();
            if let [cpu, user, kernel] = numbers[..] {
                self.add(format!("/cpu/usage/percpu_user/{cpu}"), user);
                self.add(format!("/cpu/usage/percpu_kernel/{cpu}"), kernel);
            }
        }
        let each = self.text("cpuacct", "cpuacct.usage_percpu");
        for (cpu, value) in each.split_whitespace().enumerate() {
            self.add(format!("/cpu/usage/percpu/{cpu}"), value.parse().unwrap_or(0));
        }
        let throttling = [
            ("nr_periods", "/cpu/throttling/periods", 1),
            ("nr_throttled", "/cpu/throttling/throttledPeriods", 1),
            ("throttled_time", "/cpu/throttling/throttledTime", 1),
        ];
        self.keys("cpu", "cpu.stat", &throttling);
        self.keys("memory", "memory.stat", &[("cache", "/memory/cache", 1)]);
        self.counter("usage", "memory");
        self.counter("swap", "memory.memsw");
        self.counter("kernel", "memory.kmem");
        self.counter("kernelTCP", "memory.kmem.tcp");
    }

    fn v2(&mut self) {
        let cpu = [
            ("usage_usec", "/cpu/usage/total", 1000),
            ("user_usec", "/cpu/usage/user", 1000),
            ("system_usec", "/cpu/usage/kernel", 1000),
            ("nr_periods", "/cpu/throttling/periods", 1),
            ("nr_throttled", "/cpu/throttling/throttledPeriods", 1),
            ("throttled_usec", "/cpu/throttling/throttledTime", 1000),
        ];
        self.keys("", "cpu.stat", &cpu);
        self.keys("", "memory.stat", &[("file", "/memory/cache", 1)]);
        self.one("/memory/usage/limit", "", "memory.max");
        self.one("/memory/usage/usage", "", "memory.current");
        self.one("/memory/usage/max", "", "memory.peak");
        // runc's swap is memory and swap together, as v1 has it.
        let sum = |files: [&str; 2]| {
            files.iter().fold(0, |sum: u64, file| sum.saturating_add(self.number("", file)))
        };
        let limit = sum(["memory.max", "memory.swap.max"]);
        let usage = sum(["memory.current", "memory.swap.current"]);
        self.add("/memory/swap/limit", limit);
        self.add("/memory/swap/usage", usage);
    }
}

/// All that the kernel tells of memory, CPU time and tasks, where `events` has it.
fn kernel(c: &Container<'_>) -> Numbers {
    let mut files = Files { c, numbers: Numbers::new() };
    if unified() {
        files.v2()
    } else {
        files.v1()
    }
    files.raw();
    files.one("/pids/current", "pids", "pids.current");
    files.one("/pids/limit", "pids", "pids.max");
    files.numbers
}

/// All that `events` tells of these.
fn told(c: &Container<'_>) -> Verdict<Numbers> {
    let data = c.stats()?;
    let mut numbers = Numbers::new();
    for part in ["cpu", "memory", "pids"] {
        flatten(&format!("/{part}"), &data[part], &mut numbers);
    }
    // The pressure is an average, and has a test of its own.
    numbers.retain(|pointer, value| *value != 0 && !pointer.contains("/psi/"));
    Ok(numbers)
}

fn flatten(pointer: &str, value: &Value, numbers: &mut Numbers) {
    match value {
        Value::Object(fields) => {
            fields
                .iter()
                .for_each(|(key, value)| flatten(&format!("{pointer}/{key}"), value, numbers));
        }
        Value::Array(list) => {
            let list = list.iter().enumerate();
            list.for_each(|(at, value)| flatten(&format!("{pointer}/{at}"), value, numbers));
        }
        other => {
            numbers.extend(other.as_u64().map(|number| (pointer.to_owned(), number)));
        }
    }
}

/// A bundle whose process is this suite's own program, with that many threads.
fn threads(b: Bundle<'_>, count: u32) -> Verdict<Bundle<'_>> {
    let (mut b, mut loader) = (b, None);
    let own = fs::read_link("/proc/self/exe")?;
    let mut bound = Vec::new();
    for line in fs::read_to_string("/proc/self/maps")?.lines() {
        let file = Path::new(line.split_whitespace().nth(5).unwrap_or_default());
        let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if !file.is_absolute() || !file.exists() || bound.contains(&name) {
            continue;
        }
        let place = if file == own { "/libs/program".to_owned() } else { format!("/libs/{name}") };
        b = b.bind(file, &place, &["bind", "ro"]);
        if name.starts_with("ld-") {
            loader = Some(place);
        }
        bound.push(name);
    }
    let mut args: Vec<String> = Vec::new();
    if let Some(loader) = loader {
        args.extend([loader, "--library-path".to_owned(), "/libs".to_owned()]);
    }
    args.extend(["/libs/program".to_owned(), "--threads".to_owned(), count.to_string()]);
    Ok(b.args(args.iter().map(String::as_str)))
}

/// The chapter's tests of numbers.
pub(crate) const NUMBERS: &[Test] = &[
    test(
        "stats-all",
        "events: every number is the kernel's, and the kernel's are all there",
        |t| {
            let b = t.bundle()?.set("/linux/resources/memory/limit", 64 * MB);
            let b = b.set("/linux/resources/memory/swap", 96 * MB);
            let b = b.set("/linux/resources/pids/limit", 30);
            let b = b
                .set("/linux/resources/cpu/quota", 20_000)
                .set("/linux/resources/cpu/period", 40_000);
            let b = b.mount("/mem", "tmpfs", "tmpfs", &["size=40m"]);
            let c = b
                .sh("dd if=/dev/zero of=/mem/x bs=1M count=9; i=0; \
                 while [ $i -lt 40 ]; do i=$((i + 1)); (true); done; echo up; sleep 100")
                .start()?;
            c.shows("up")?;
            // Nothing moves while it is read.
            c.rt("pause")?.ok()?;
            let mut difference = Vec::new();
            let same = t.until("numbers that stand still", || {
                let (before, told, after) = (kernel(&c), told(&c)?, kernel(&c));
                let missing =
                    before.iter().filter(|(pointer, value)| told.get(*pointer) != Some(value));
                let more = told.iter().filter(|(pointer, _)| !before.contains_key(*pointer));
                difference = missing.chain(more).map(|(p, n)| (p.clone(), *n)).collect::<Vec<_>>();
                that(before.len() > 20, format!("{} numbers", before.len()))?;
                Ok(difference.is_empty() && before == after)
            });
            c.rt("resume")?.ok()?;
            if same.is_err() {
                return fail(format!("not the kernel's, or not told: {difference:?}"));
            }
            Ok(())
        },
    ),
    test("threads-counted", "spec, PIDs: a thread is a task; ps lists processes", |t| {
        let b = threads(t.bundle()?.set("/linux/resources/pids/limit", 20), 5)?;
        let c = b.start()?;
        c.shows("5 threads")?;
        let data = c.stats()?;
        // The first thread is not among the five.
        is(number(&data, "/pids/current")?, 6)?;
        is(read("pids", &c.id, "pids.current")?.as_str(), "6")?;
        let ps = t.rt(["ps", "--format", "json", &c.id])?.json()?;
        is(&ps[0], &c.state()?["pid"])?;
        is(ps.as_array().map(Vec::len), Some(1))
    }),
    test("threads-limited", "spec, PIDs: the limit is one of threads too", |t| {
        let b = threads(t.bundle()?.set("/linux/resources/pids/limit", 4), 10)?;
        let out = b.run()?;
        that(out.code != 0 && out.stdout.contains("of 10 threads"), format!("{out:?}"))
    }),
    test("stats-pressure-hybrid", "v2 tells the pressure (PSI) beside v1, too", |t| {
        let there = |c: &Container<'_>| path("unified", &c.id, "cpu.pressure");
        needs(!unified() && Path::new("/sys/fs/cgroup/unified").exists(), "v1 and v2")?;
        let c = t.bundle()?.sleeps().start()?;
        needs(fs::read_to_string(there(&c)).is_ok(), "a kernel with PSI")?;
        let data = c.stats()?;
        for part in ["/cpu/psi", "/memory/psi", "/blkio/psi"] {
            number(&data, &format!("{part}/full/total"))?;
        }
        is(data.pointer("/cpu/psi/some/avg10").is_some_and(Value::is_number), true)
    }),
];
