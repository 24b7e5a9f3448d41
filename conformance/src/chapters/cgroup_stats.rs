//! Cgroups: the statistics of `events`, against the kernel's files.

use std::fs;

use serde_json::{Value, json};

use super::cgroups::{MB, controller};
use crate::container::Container;
use crate::layout::{either, path, read, unified};
use crate::table::{Test, test};
use crate::verdict::{Verdict, fail, is, needs, that};

/// A number in it.
#[track_caller]
pub(super) fn number(data: &Value, pointer: &str) -> Verdict<u64> {
    match data.pointer(pointer).and_then(Value::as_u64) {
        Some(number) => Ok(number),
        None => fail(format!("no {pointer} in {data}")),
    }
}

/// Nanoseconds of CPU time that the kernel counts: in all, of the user and of the kernel.
fn used(c: &Container<'_>) -> Verdict<u64> {
    if !unified() {
        return Ok(read("cpuacct", &c.id, "cpuacct.usage")?.parse()?);
    }
    let text = read("cpu", &c.id, "cpu.stat")?;
    let line = text.lines().find_map(|line| line.strip_prefix("usage_usec "));
    Ok(line.unwrap_or_default().parse::<u64>()? * 1000)
}

/// What the shell does with CPU time: some of its own, some of the kernel's.
const BUSY: &str = "i=0; while [ $i -lt 20 ]; do i=$((i + 1)); (true); done; echo up; sleep 100";

/// The chapter's tests of statistics.
pub(crate) const STATS: &[Test] = &[
    test("stats-memory", "events: usage and limit of memory are the kernel's", |t| {
        controller("memory")?;
        let b = t.bundle()?.set("/linux/resources/memory/limit", 64 * MB);
        let b = b.mount("/mem", "tmpfs", "tmpfs", &["size=40m"]);
        let c = b.sh("dd if=/dev/zero of=/mem/x bs=1M count=16 && echo up; sleep 100").start()?;
        c.shows("up")?;
        let data = c.stats()?;
        is(number(&data, "/memory/usage/limit")?, 64 * MB)?;
        let usage = number(&data, "/memory/usage/usage")?;
        that((16 * MB..64 * MB).contains(&usage), format!("{usage} bytes are in use"))?;
        let file = either("memory.usage_in_bytes", "memory.current");
        let now: u64 = read("memory", &c.id, file)?.parse()?;
        that(usage.abs_diff(now) < 4 * MB, format!("{usage} is about {now}"))
    }),
    test("stats-memory-raw", "events: raw has every line of memory.stat", |t| {
        controller("memory")?;
        let c = t.bundle()?.sleeps().start()?;
        let data = c.stats()?;
        let text = read("memory", &c.id, "memory.stat")?;
        that(text.lines().count() > 10, "memory.stat has lines")?;
        for name in text.lines().filter_map(|line| line.split(' ').next()) {
            number(&data, &format!("/memory/raw/{name}"))?;
        }
        Ok(())
    }),
    test("stats-swap", "events: the swap's limit is that of memory and swap", |t| {
        let file = either("memory.memsw.limit_in_bytes", "memory.swap.max");
        let b = t.bundle()?.set("/linux/resources/memory/limit", 64 * MB);
        let c = b.set("/linux/resources/memory/swap", 96 * MB).sleeps().start()?;
        needs(path("memory", &c.id, file).exists(), "swap accounting")?;
        let data = c.stats()?;
        is(number(&data, "/memory/swap/limit")?, 96 * MB)
    }),
    test("stats-pids", "events: pids are the kernel's count and limit", |t| {
        let b = t.bundle()?.set("/linux/resources/pids/limit", 12);
        let c = b.sh("sleep 100 & sleep 100 & echo up; wait").start()?;
        c.shows("up")?;
        let data = c.stats()?;
        is(number(&data, "/pids/limit")?, 12)?;
        is(number(&data, "/pids/current")?.to_string(), read("pids", &c.id, "pids.current")?)?;
        is(number(&data, "/pids/current")?, 3)
    }),
    test("stats-cpu", "events: the CPU time is in nanoseconds, between two reads of it", |t| {
        let c = t.bundle()?.sh("while :; do (true); done").start()?;
        t.until("some CPU time", || Ok(used(&c)? > 20_000_000))?;
        let before = used(&c)?;
        let data = c.stats()?;
        let after = used(&c)?;
        let total = number(&data, "/cpu/usage/total")?;
        that((before..=after).contains(&total), format!("{before} <= {total} <= {after}"))?;
        let parts = number(&data, "/cpu/usage/kernel")? + number(&data, "/cpu/usage/user")?;
        // The parts are counted at another moment, and on v1 in ticks.
        that(parts > before / 4 && parts < after * 2, format!("{parts} is about {total}"))
    }),
    test("stats-cpu-throttling", "events: how often a process was held back", |t| {
        let b = t.bundle()?.set("/linux/resources/cpu/quota", 2000);
        let b = b.set("/linux/resources/cpu/period", 20_000);
        let c = b.sh("while :; do :; done").start()?;
        let file = |name: &str| -> Verdict<u64> {
            let text = read("cpu", &c.id, "cpu.stat")?;
            let line = text.lines().find_map(|line| line.strip_prefix(name));
            Ok(line.unwrap_or_default().trim().parse()?)
        };
        t.until("throttling", || Ok(file("nr_throttled ")? > 2))?;
        let before = (file("nr_periods ")?, file("nr_throttled ")?);
        let data = c.stats()?;
        let after = (file("nr_periods ")?, file("nr_throttled ")?);
        let periods = number(&data, "/cpu/throttling/periods")?;
        let held = number(&data, "/cpu/throttling/throttledPeriods")?;
        that((before.0..=after.0).contains(&periods), format!("periods: {periods}"))?;
        that((before.1..=after.1).contains(&held), format!("throttled: {held}"))?;
        that(number(&data, "/cpu/throttling/throttledTime")? > 0, "there is a time")
    }),
    test("stats-cpuset", "events: the CPUs and memory nodes of v1's cpuset", |t| {
        needs(!unified(), "cgroup v1")?;
        let c = t.bundle()?.set("/linux/resources/cpu/cpus", "0").sleeps().start()?;
        let data = c.stats()?;
        is(&data["cpuset"]["cpus"], &json!([0]))?;
        is(&data["cpuset"]["mems"], &json!([0]))
    }),
    test("stats-hugetlb", "events: huge pages, by their size", |t| {
        controller("hugetlb")?;
        let c = t.bundle()?.sleeps().start()?;
        let data = c.stats()?;
        is(number(&data, "/hugetlb/2MB/failcnt")?, 0)
    }),
    test("stats-pressure", "runc 1.2: the pressure (PSI) of v2", |t| {
        needs(unified(), "cgroup v2")?;
        let c = t.bundle()?.sh(BUSY).start()?;
        let there = fs::read_to_string(path("cpu", &c.id, "cpu.pressure")).is_ok();
        needs(there, "a kernel with PSI")?;
        let data = c.stats()?;
        for part in ["/cpu/psi", "/memory/psi", "/blkio/psi"] {
            number(&data, &format!("{part}/some/total"))?;
        }
        Ok(())
    }),
    test("stats-blkio", "events: what a block device was asked for, by its number", |t| {
        controller("blkio")?;
        needs(fs::exists("/sys/dev/block/7:0")?, "the block device 7:0")?;
        let c = t.bundle()?.sleeps().start()?;
        let data = c.stats()?;
        that(data["blkio"].is_object(), format!("blkio is there: {data}"))?;
        let file = either("blkio.throttle.io_service_bytes_recursive", "io.stat");
        let text = fs::read_to_string(path("blkio", &c.id, file)).unwrap_or_default();
        let numbers = |line: &str| {
            let (major, rest) = line.split_once(':')?;
            let minor = rest.split(' ').next()?;
            Some((major.parse::<u64>().ok()?, minor.parse::<u64>().ok()?))
        };
        let mut devices: Vec<_> = text.lines().filter_map(numbers).collect();
        devices.dedup();
        let list = data["blkio"]["ioServiceBytesRecursive"].as_array();
        let of = |entry: &Value| Some((entry["major"].as_u64()?, entry["minor"].as_u64()?));
        let mut said: Vec<_> =
            list.into_iter().flatten().map(|e| of(e).unwrap_or((0, 0))).collect();
        said.dedup();
        is(said, devices)
    }),
    test("stats-paused", "events of a paused container", |t| {
        let c = t.bundle()?.sleeps().start()?;
        c.pid()?;
        c.rt("pause")?.ok()?;
        is(number(&c.stats()?, "/pids/current")?, 1)?;
        c.is("paused")
    }),
    test("stats-created", "events of a container that has not started", |t| {
        let c = t.bundle()?.set("/linux/resources/pids/limit", 44).sleeps().create()?;
        is(number(&c.stats()?, "/pids/limit")?, 44)
    }),
];
