//! Cgroups: where the processes are, the limits they have, and that these hold.

use std::fs;
use std::path::PathBuf;

use serde_json::json;

use crate::bundle::Bundle;
use crate::case::Case;
use crate::table::{Test, test};
use crate::verdict::{Verdict, has, is, needs, that};

/// A file of the container's cgroup in a v1 hierarchy.
pub(super) fn path(hierarchy: &str, id: &str, file: &str) -> PathBuf {
    PathBuf::from(format!("/sys/fs/cgroup/{hierarchy}/{id}/{file}"))
}

pub(super) fn read(hierarchy: &str, id: &str, file: &str) -> Verdict<String> {
    needs(fs::exists(path(hierarchy, "", ""))?, &format!("the cgroup v1 hierarchy {hierarchy}"))?;
    Ok(fs::read_to_string(path(hierarchy, id, file))?.trim().to_owned())
}

/// A container with this resource must have this value in this file.
fn limit(
    t: &Case,
    pointer: &str,
    value: impl Into<serde_json::Value>,
    file: &str,
    text: &str,
) -> Verdict {
    limits(t.bundle()?.set(&format!("/linux/resources/{pointer}"), value), file, text)
}

fn limits(b: Bundle<'_>, file: &str, text: &str) -> Verdict {
    let hierarchy = file.split('.').next().unwrap_or_default();
    let host = PathBuf::from(format!("/sys/fs/cgroup/{hierarchy}"));
    needs(host.is_dir(), &format!("the cgroup v1 hierarchy {hierarchy}"))?;
    let c = b.sleeps().start()?;
    is(read(hierarchy, &c.id, file)?.as_str(), text)
}

/// The v1 hierarchies of the machine, with the unified one and name=systemd.
pub(super) fn hierarchies() -> Verdict<Vec<String>> {
    let dirs = fs::read_dir("/sys/fs/cgroup")?.flatten();
    let names = dirs.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    Ok(names.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect())
}

const MB: u64 = 1 << 20;

/// The chapter's tests of limits.
pub(crate) const LIMITS: &[Test] = &[
    test("memory-limit", "spec, Memory: limit", |t| {
        limit(t, "memory/limit", 64 * MB, "memory.limit_in_bytes", "67108864")
    }),
    test("memory-reservation", "spec, Memory: reservation", |t| {
        limit(t, "memory/reservation", 32 * MB, "memory.soft_limit_in_bytes", "33554432")
    }),
    test("memory-swap", "spec, Memory: swap is the limit of memory and swap", |t| {
        let b = t.bundle()?.set("/linux/resources/memory/limit", 64 * MB);
        let b = b.set("/linux/resources/memory/swap", 96 * MB);
        limits(b, "memory.memsw.limit_in_bytes", "100663296")
    }),
    test("memory-swap-equal", "a swap limit equal to the memory limit allows no swap", |t| {
        let b = t.bundle()?.set("/linux/resources/memory/limit", 64 * MB);
        let b = b.set("/linux/resources/memory/swap", 64 * MB);
        limits(b, "memory.memsw.limit_in_bytes", "67108864")
    }),
    test("memory-swappiness", "spec, Memory: swappiness (v1)", |t| {
        limit(t, "memory/swappiness", 10, "memory.swappiness", "10")
    }),
    test("memory-disable-oom-killer", "spec, Memory: disableOOMKiller (v1)", |t| {
        let b = t.bundle()?.set("/linux/resources/memory/disableOOMKiller", true);
        let c = b.set("/linux/resources/memory/limit", 64 * MB).sleeps().start()?;
        has(read("memory", &c.id, "memory.oom_control")?, "oom_kill_disable 1")
    }),
    test("memory-unlimited", "spec, Memory: -1 is no limit", |t| {
        let b = t.bundle()?.set("/linux/resources/memory/limit", -1);
        let c = b.sleeps().start()?;
        let limit: u64 = read("memory", &c.id, "memory.limit_in_bytes")?.parse()?;
        that(limit > 1 << 50, format!("{limit} is no limit"))
    }),
    test("cpu-shares", "spec, CPU: shares", |t| limit(t, "cpu/shares", 512, "cpu.shares", "512")),
    test("cpu-quota", "spec, CPU: quota", |t| {
        limit(t, "cpu/quota", 40_000, "cpu.cfs_quota_us", "40000")
    }),
    test("cpu-period", "spec, CPU: period", |t| {
        let b = t.bundle()?.set("/linux/resources/cpu/period", 50_000);
        let b = b.set("/linux/resources/cpu/quota", 20_000);
        limits(b, "cpu.cfs_period_us", "50000")
    }),
    test("cpu-burst", "spec 1.1, CPU: burst", |t| {
        let b = t.bundle()?.set("/linux/resources/cpu/quota", 20_000);
        limits(b.set("/linux/resources/cpu/burst", 10_000), "cpu.cfs_burst_us", "10000")
    }),
    test("cpu-idle", "spec 1.1, CPU: idle", |t| limit(t, "cpu/idle", 1, "cpu.idle", "1")),
    test("cpuset-cpus", "spec, CPU: cpus", |t| limit(t, "cpu/cpus", "0", "cpuset.cpus", "0")),
    test("cpuset-mems", "spec, CPU: mems", |t| limit(t, "cpu/mems", "0", "cpuset.mems", "0")),
    test("cpuset-holds", "the process has the CPUs that it is limited to", |t| {
        let b = t.bundle()?.set("/linux/resources/cpu/cpus", "0");
        let said = b.says("grep Cpus_allowed_list /proc/self/status | cut -f2")?;
        is(said.as_str(), "0")
    }),
    test("pids-limit", "spec, PIDs: limit", |t| limit(t, "pids/limit", 17, "pids.max", "17")),
    test("pids-unlimited", "runc: a limit of -1 is no limit", |t| {
        limit(t, "pids/limit", -1, "pids.max", "max")
    }),
    test("pids-holds", "no more processes than the limit", |t| {
        let b = t.bundle()?.set("/linux/resources/pids/limit", 4);
        let c = b.sh("for i in 1 2 3 4 5 6 7 8; do sleep 9 & done; echo all").start()?;
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
        let device = json!([{ "major": 7, "minor": 0, "rate": 1_048_576 }]);
        let pointer = "blockIO/throttleReadBpsDevice";
        limit(t, pointer, device, "blkio.throttle.read_bps_device", "7:0 1048576")
    }),
    test("blkio-throttle-iops", "spec, Block IO: throttleWriteIOPSDevice", |t| {
        let device = json!([{ "major": 7, "minor": 0, "rate": 100 }]);
        let pointer = "blockIO/throttleWriteIOPSDevice";
        limit(t, pointer, device, "blkio.throttle.write_iops_device", "7:0 100")
    }),
    test("blkio-weight", "spec, Block IO: weight", |t| {
        let file = ["blkio.weight", "blkio.bfq.weight"];
        let b = t.bundle()?.set("/linux/resources/blockIO/weight", 300);
        let c = t.bundle()?.sleeps().start()?;
        let file = file.into_iter().find(|file| path("blkio", &c.id, file).exists());
        needs(file.is_some(), "a kernel with blkio weights")?;
        limits(b, file.unwrap_or_default(), "300")
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
            let b = t.bundle()?.set("/linux/resources/cpu/cpus", "4000");
            b.refused(&["cpuset.cpus"])
        },
    ),
    test("unified-on-v1", "runc: unified resources need cgroup v2", |t| {
        let b = t.bundle()?.set("/linux/resources/unified", json!({ "memory.high": "1000000" }));
        b.refused(&["unified"])
    }),
];
