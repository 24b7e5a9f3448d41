//! Cgroups: where the processes are, the limits they have, and that these hold.

use std::path::Path;

use serde_json::{Value, json};

use crate::bundle::Bundle;
use crate::case::Case;
use crate::layout::{self, either, path, read, unified};
use crate::table::{Test, test};
use crate::verdict::{Verdict, has, is, needs, that};

/// A file of the container's cgroup, and what is in it; `a|b` where either will do.
pub(crate) type Held = (&'static str, &'static str);

/// This layout has no such limit.
pub(crate) const NONE: Held = ("", "");

/// A container with this resource must have this value in this file, on v1 and on v2.
#[track_caller]
pub(crate) fn limit(
    t: &Case,
    pointer: &str,
    value: impl Into<Value>,
    v1: Held,
    v2: Held,
) -> Verdict {
    limits(t.bundle()?.set(&format!("/linux/resources/{pointer}"), value), v1, v2)
}

#[track_caller]
pub(crate) fn limits(b: Bundle<'_>, v1: Held, v2: Held) -> Verdict {
    let (file, wanted) = either(v1, v2);
    needs(!file.is_empty(), &format!("cgroup {}", either("v2", "v1")))?;
    let hierarchy = file.split('.').next().unwrap_or_default();
    match hierarchy {
        "cgroup" => {}
        "io" => controller("blkio")?,
        name => controller(name)?,
    }
    let c = b.sleeps().start()?;
    let found = read(hierarchy, &c.id, file)?;
    that(wanted.split('|').any(|text| text == found), format!("{file}: {found:?} is {wanted:?}"))
}

/// A container with these keys of v2 must have this value in this file.
#[track_caller]
fn unified_keys(t: &Case, keys: Value, v2: Held) -> Verdict {
    limits(t.bundle()?.set("/linux/resources/unified", keys), NONE, v2)
}

/// A throttle of the first loop device.
#[track_caller]
pub(crate) fn throttle(t: &Case, name: &str, rate: u64, v1: Held, v2: Held) -> Verdict {
    needs(Path::new("/sys/dev/block/7:0").exists(), "the block device 7:0")?;
    let device = json!([{ "major": 7, "minor": 0, "rate": rate }]);
    limit(t, &format!("blockIO/{name}"), device, v1, v2)
}

/// A megabyte.
pub(crate) const MB: u64 = 1 << 20;

/// Skips where there is no such controller, by its v1 name; or it is not delegated to this user.
pub(crate) fn controller(name: &str) -> Verdict {
    let there = if unified() {
        let own = std::fs::read_to_string("/proc/self/cgroup")?;
        let own = own.trim().strip_prefix("0::/").filter(|_| layout::rootless());
        let list = path("", own.unwrap_or_default(), "cgroup.controllers");
        let name = if name == "blkio" { "io" } else { name };
        std::fs::read_to_string(list)?.split_whitespace().any(|other| other == name)
    } else {
        path(name, "", "cgroup.procs").exists()
    };
    needs(there, &format!("the cgroup controller {name}"))
}

/// The chapter's tests of limits.
pub(crate) const LIMITS: &[Test] = &[
    test("memory-limit", "spec, Memory: limit", |t| {
        let v1 = ("memory.limit_in_bytes", "67108864");
        limit(t, "memory/limit", 64 * MB, v1, ("memory.max", "67108864"))
    }),
    test("memory-reservation", "spec, Memory: reservation", |t| {
        let v1 = ("memory.soft_limit_in_bytes", "33554432");
        limit(t, "memory/reservation", 32 * MB, v1, ("memory.low", "33554432"))
    }),
    test("memory-swap", "spec, Memory: swap is the limit of memory and swap", |t| {
        let b = t.bundle()?.set("/linux/resources/memory/limit", 64 * MB);
        let b = b.set("/linux/resources/memory/swap", 96 * MB);
        // v2 limits the swap alone.
        let v2 = ("memory.swap.max", "33554432");
        limits(b, ("memory.memsw.limit_in_bytes", "100663296"), v2)
    }),
    test("memory-swap-equal", "a swap limit equal to the memory limit allows no swap", |t| {
        let b = t.bundle()?.set("/linux/resources/memory/limit", 64 * MB);
        let b = b.set("/linux/resources/memory/swap", 64 * MB);
        let v1 = ("memory.memsw.limit_in_bytes", "67108864");
        limits(b, v1, ("memory.swap.max", "0"))
    }),
    test("memory-swappiness", "spec, Memory: swappiness (v1)", |t| {
        limit(t, "memory/swappiness", 10, ("memory.swappiness", "10"), NONE)
    }),
    test("memory-disable-oom-killer", "spec, Memory: disableOOMKiller (v1)", |t| {
        needs(!unified(), "cgroup v1")?;
        let b = t.bundle()?.set("/linux/resources/memory/disableOOMKiller", true);
        let c = b.set("/linux/resources/memory/limit", 64 * MB).sleeps().start()?;
        has(read("memory", &c.id, "memory.oom_control")?, "oom_kill_disable 1")
    }),
    test("memory-unlimited", "spec, Memory: -1 is no limit", |t| {
        let b = t.bundle()?.set("/linux/resources/memory/limit", -1);
        let c = b.sleeps().start()?;
        if unified() {
            return is(read("memory", &c.id, "memory.max")?.as_str(), "max");
        }
        let limit: u64 = read("memory", &c.id, "memory.limit_in_bytes")?.parse()?;
        that(limit > 1 << 50, format!("{limit} is no limit"))
    }),
    test("cpu-shares", "spec, CPU: shares", |t| {
        // Up to 1.3 runc has linear weights, since then 1024 shares are 100.
        limit(t, "cpu/shares", 512, ("cpu.shares", "512"), ("cpu.weight", "59|20"))
    }),
    test("cpu-quota", "spec, CPU: quota", |t| {
        limit(t, "cpu/quota", 40_000, ("cpu.cfs_quota_us", "40000"), ("cpu.max", "40000 100000"))
    }),
    test("cpu-period", "spec, CPU: period", |t| {
        let b = t.bundle()?.set("/linux/resources/cpu/period", 50_000);
        let b = b.set("/linux/resources/cpu/quota", 20_000);
        limits(b, ("cpu.cfs_period_us", "50000"), ("cpu.max", "20000 50000"))
    }),
    test("cpu-burst", "spec 1.1, CPU: burst", |t| {
        let b = t.bundle()?.set("/linux/resources/cpu/quota", 20_000);
        let b = b.set("/linux/resources/cpu/burst", 10_000);
        limits(b, ("cpu.cfs_burst_us", "10000"), ("cpu.max.burst", "10000"))
    }),
    test("cpu-idle", "spec 1.1, CPU: idle", |t| {
        limit(t, "cpu/idle", 1, ("cpu.idle", "1"), ("cpu.idle", "1"))
    }),
    test("cpuset-cpus", "spec, CPU: cpus", |t| {
        limit(t, "cpu/cpus", "0", ("cpuset.cpus", "0"), ("cpuset.cpus", "0"))
    }),
    test("cpuset-mems", "spec, CPU: mems", |t| {
        limit(t, "cpu/mems", "0", ("cpuset.mems", "0"), ("cpuset.mems", "0"))
    }),
    test("cpuset-holds", "the process has the CPUs that it is limited to", |t| {
        let b = t.bundle()?.set("/linux/resources/cpu/cpus", "0");
        let said = b.says("grep Cpus_allowed_list /proc/self/status | cut -f2")?;
        is(said.as_str(), "0")
    }),
    test("pids-limit", "spec, PIDs: limit", |t| {
        limit(t, "pids/limit", 17, ("pids.max", "17"), ("pids.max", "17"))
    }),
    test("pids-unlimited", "runc: a limit of -1 is no limit", |t| {
        limit(t, "pids/limit", -1, ("pids.max", "max"), ("pids.max", "max"))
    }),
    test("pids-holds", "no more processes than the limit", |t| {
        let b = t.bundle()?.set("/linux/resources/pids/limit", 4);
        let c = b.sh("(for i in 1 2 3 4 5 6 7 8; do sleep 9 & done); exec sleep 100").start()?;
        t.until("a refused fork", || Ok(read("pids", &c.id, "pids.events")? != "max 0"))?;
        let peak = read("pids", &c.id, "pids.events")?;
        that(peak.starts_with("max ") && peak != "max 0", format!("the limit was hit: {peak}"))
    }),
    test("memory-holds", "a process beyond the memory limit is killed", |t| {
        let b = t.bundle()?.set("/linux/resources/memory/limit", 24 * MB);
        let b = b.set("/linux/resources/memory/swap", 24 * MB);
        let run = b.sh("dd if=/dev/zero of=/dev/null bs=64M count=1; echo dd $?").run()?;
        has(&run.stdout, "dd 137")
    }),
    test("blkio-throttle", "spec, Block IO: throttleReadBpsDevice", |t| {
        let v1 = ("blkio.throttle.read_bps_device", "7:0 1048576");
        let v2 = ("io.max", "7:0 rbps=1048576 wbps=max riops=max wiops=max");
        throttle(t, "throttleReadBpsDevice", 1_048_576, v1, v2)
    }),
    test("blkio-throttle-iops", "spec, Block IO: throttleWriteIOPSDevice", |t| {
        let v1 = ("blkio.throttle.write_iops_device", "7:0 100");
        let v2 = ("io.max", "7:0 rbps=max wbps=max riops=max wiops=100");
        throttle(t, "throttleWriteIOPSDevice", 100, v1, v2)
    }),
    test("blkio-weight", "spec, Block IO: weight", |t| {
        // Two schedulers have weights, each with a file and a scale of its own.
        let v1 = [("blkio.weight", "300"), ("blkio.bfq.weight", "300")];
        let v2 = [("io.bfq.weight", "default 300"), ("io.weight", "default 2930")];
        let b = t.bundle()?.set("/linux/resources/blockIO/weight", 300);
        let c = t.bundle()?.sleeps().start()?;
        let there = |held: &Held| path("blkio", &c.id, held.0).exists();
        let held = either(v1, v2).into_iter().find(there);
        needs(held.is_some(), "a kernel with blkio weights")?;
        limits(b, held.unwrap_or(NONE), held.unwrap_or(NONE))
    }),
    test("limits-before-start", "the limits are there when create returns", |t| {
        let b = t.bundle()?.set("/linux/resources/pids/limit", 9).sleeps();
        let c = b.create()?;
        is(read("pids", &c.id, "pids.max")?.as_str(), "9")?;
        is(read("pids", &c.id, "cgroup.procs")?, c.pid()?.to_string())
    }),
    test(
        "limit-refused-by-kernel",
        "a limit that the kernel refuses fails create, by its file",
        |t| {
            controller("cpuset")?;
            let b = t.bundle()?.set("/linux/resources/cpu/cpus", "4000");
            b.refused(&["cpuset.cpus"])
        },
    ),
    test("unified-on-v1", "runc: unified resources need cgroup v2", |t| {
        needs(!unified(), "cgroup v1")?;
        let b = t.bundle()?.set("/linux/resources/unified", json!({ "memory.high": "1000000" }));
        b.refused(&["unified"])
    }),
    test("unified", "spec, Unified: a file of v2 and its value", |t| {
        unified_keys(t, json!({ "memory.high": "67108864" }), ("memory.high", "67108864"))
    }),
    test("unified-core", "spec, Unified: files of no controller too", |t| {
        unified_keys(t, json!({ "cgroup.max.depth": "3" }), ("cgroup.max.depth", "3"))
    }),
    test("unified-wins", "runc: unified is applied after the other limits", |t| {
        let b = t.bundle()?.set("/linux/resources/pids/limit", 17);
        let b = b.set("/linux/resources/unified", json!({ "pids.max": "19" }));
        limits(b, NONE, ("pids.max", "19"))
    }),
    test("unified-unknown", "spec, Unified: what can't be set is an error, by its name", |t| {
        needs(unified(), "cgroup v2")?;
        let b = t.bundle()?.set("/linux/resources/unified", json!({ "nothing.max": "1" }));
        b.refused(&["nothing"])
    }),
    test("unified-climbs", "runc: unified keys are names of files, not paths", |t| {
        needs(unified(), "cgroup v2")?;
        let b = t.bundle()?.set("/linux/resources/unified", json!({ "../pids.max": "5" }));
        b.refused(&["../pids.max"])
    }),
    test("unified-value", "a value that the kernel refuses is told by its file", |t| {
        needs(unified(), "cgroup v2")?;
        let b = t.bundle()?.set("/linux/resources/unified", json!({ "memory.high": "lots" }));
        b.refused(&["memory.high"])
    }),
];
