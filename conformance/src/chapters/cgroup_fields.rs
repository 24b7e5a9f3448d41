//! Cgroups: the fields of `linux.resources` and their corner values, as the kernel's files have them.

use std::fs;

use serde_json::json;

use super::cgroups::{MB, NONE, controller, limit, limits, throttle};
use crate::layout::{self, either, path, read, unified};
use crate::systemd;
use crate::table::{Test, test};
use crate::verdict::{has, is, needs, that};

/// What v1's `-1` reads as: the largest number of whole pages.
const NO_LIMIT: &str = "9223372036854771712";

/// More processes at a time than the tests allow, on a slow machine too; those that are left when
/// the shell gives up keep no pipe of a runtime open.
pub(crate) const MANY: &str = "i=0; while [ $i -lt 30 ]; do i=$((i + 1)); \
                               sleep 60 < /dev/null > /dev/null 2>&1 & p=\"$p $!\"; \
                               done; kill $p; wait; true";

/// The chapter's tests of memory and tasks.
pub(crate) const MEMORY: &[Test] = &[
    test("limits-unset", "without limits a container has those of a new cgroup", |t| {
        let c = t.bundle()?.sleeps().start()?;
        let tasks =
            if layout::systemd() { systemd::manager(t, "DefaultTasksMax")? } else { "max".into() };
        is(read("pids", &c.id, "pids.max")?, tasks)?;
        let memory = either(("memory.limit_in_bytes", NO_LIMIT), ("memory.max", "max"));
        is(read("memory", &c.id, memory.0)?.as_str(), memory.1)?;
        let cpu = either(("cpu.cfs_quota_us", "-1"), ("cpu.max", "max 100000"));
        is(read("cpu", &c.id, cpu.0)?.as_str(), cpu.1)
    }),
    test("memory-swap-unlimited", "a swap of -1 is no limit, beside a limit of memory", |t| {
        let b = t.bundle()?.set("/linux/resources/memory/limit", 64 * MB);
        let b = b.set("/linux/resources/memory/swap", -1);
        limits(b, ("memory.memsw.limit_in_bytes", NO_LIMIT), ("memory.swap.max", "max"))
    }),
    test("memory-swap-alone", "a swap limit without a memory limit is refused by name", |t| {
        controller("memory")?;
        let b = t.bundle()?.set("/linux/resources/memory/swap", 64 * MB);
        b.refused(&["swap|memsw"])
    }),
    test("memory-swap-below-limit", "a swap limit below the memory limit is refused", |t| {
        controller("memory")?;
        let b = t.bundle()?.set("/linux/resources/memory/limit", 64 * MB);
        let b = b.set("/linux/resources/memory/swap", 32 * MB);
        b.refused(&["swap|memsw"])
    }),
    test("memory-reservation-and-limit", "a reservation beside a limit", |t| {
        let b = t.bundle()?.set("/linux/resources/memory/limit", 64 * MB);
        let b = b.set("/linux/resources/memory/reservation", 16 * MB);
        let v1 = ("memory.soft_limit_in_bytes", "16777216");
        limits(b, v1, ("memory.low", "16777216"))
    }),
    test("memory-too-small", "runc#2812: too little memory for init is told as that", |t| {
        controller("memory")?;
        let b = t.bundle()?.set("/linux/resources/memory/limit", 16384);
        let b = b.set("/linux/resources/memory/swap", 16384).sleeps();
        b.refused(&["oom|memory limit|memory.max|memory.limit_in_bytes"])
    }),
    test("memory-too-small-told", "the limit that was too small is told by its value", |t| {
        controller("memory")?;
        let b = t.bundle()?.set("/linux/resources/memory/limit", 4096);
        let b = b.set("/linux/resources/memory/swap", 4096).sleeps();
        // v1's kernel may see already that the limit is below what the process has by then.
        let why =
            "4096: smaller than what the container needs to start; the kernel killed its init";
        let file = either("memory.limit_in_bytes", "memory.max");
        let early = either("limit to 4096 (current usage:", "\0");
        // Systemd removes an empty cgroup, and with it what the kernel has to say.
        let late = if layout::systemd() { "(memory limit of 4096 too low?)" } else { "\0" };
        b.refused(&[&format!("{file}: {why}|{early}|{late}")])
    }),
    test("memory-ignored-on-v2", "runc: v2 has no swappiness, and it is passed over", |t| {
        needs(unified(), "cgroup v2")?;
        let b = t.bundle()?.set("/linux/resources/memory/swappiness", 10);
        is(b.says("echo runs")?.as_str(), "runs")
    }),
    test("pids-zero", "runc 1.4: a limit of 0 is one task, not none", |t| {
        limit(t, "pids/limit", 0, ("pids.max", "1"), ("pids.max", "1"))
    }),
    test("pids-exec-holds", "the limit of tasks is for init and exec together", |t| {
        let b = t.bundle()?.set("/linux/resources/pids/limit", 24);
        let c = b.sh("sleep 100 & sleep 100 & echo up; wait").start()?;
        c.shows("up")?;
        // A runtime's own threads count too, until it has become the program.
        let out = c.exec([], ["/bin/sh", "-c", MANY]).output()?;
        has(out.stderr, "can't fork")?;
        is(read("pids", &c.id, "pids.max")?.as_str(), "24")
    }),
    test("hugepages", "spec, Huge page limits: also of reserved pages", |t| {
        controller("hugetlb")?;
        let limits = json!([{ "pageSize": "2MB", "limit": 4_194_304 }]);
        let c = t.bundle()?.set("/linux/resources/hugepageLimits", limits).sleeps().start()?;
        let files = either(
            ["hugetlb.2MB.limit_in_bytes", "hugetlb.2MB.rsvd.limit_in_bytes"],
            ["hugetlb.2MB.max", "hugetlb.2MB.rsvd.max"],
        );
        for file in files {
            is(read("hugetlb", &c.id, file)?.as_str(), "4194304")?;
        }
        Ok(())
    }),
    test("hugepages-spelling", "runc, whose own bundles have it: `pagesize` for pageSize", |t| {
        controller("hugetlb")?;
        let limits = json!([{ "pagesize": "2MB", "limit": 4_194_304 }]);
        let c = t.bundle()?.raw("/linux/resources/hugepageLimits", limits).sleeps().start()?;
        let file = either("hugetlb.2MB.limit_in_bytes", "hugetlb.2MB.max");
        is(read("hugetlb", &c.id, file)?.as_str(), "4194304")
    }),
    test("hugepages-unknown-size", "a size of pages that is not there is refused by name", |t| {
        let limits = json!([{ "pageSize": "3MB", "limit": 4_194_304 }]);
        t.bundle()?.set("/linux/resources/hugepageLimits", limits).refused(&["hugetlb|hugepage"])
    }),
    test("network-class", "spec, Network: classID (v1)", |t| {
        needs(!unified(), "cgroup v1")?;
        if controller("net_cls").is_err() {
            let b = t.bundle()?.set("/linux/resources/network", json!({ "classID": 4097 }));
            return b.refused(&["net_cls"]);
        }
        limit(t, "network/classID", 4097, ("net_cls.classid", "4097"), NONE)
    }),
    test("network-priorities", "spec, Network: priorities (v1)", |t| {
        needs(!unified(), "cgroup v1")?;
        let list = json!([{ "name": "lo", "priority": 5 }]);
        let b = t.bundle()?.set("/linux/resources/network", json!({ "priorities": list }));
        if controller("net_prio").is_err() {
            return b.refused(&["net_prio"]);
        }
        let c = b.sleeps().start()?;
        has(read("net_prio", &c.id, "net_prio.ifpriomap")?, "lo 5")
    }),
    test("hybrid", "a controller that v2 has beside v1 is used there", |t| {
        needs(!unified() && fs::exists("/sys/fs/cgroup/unified")?, "v1 and v2")?;
        let has = fs::read_to_string("/sys/fs/cgroup/unified/cgroup.controllers")?;
        needs(has.contains("hugetlb"), "hugetlb on v2")?;
        let limits = json!([{ "pageSize": "2MB", "limit": 4_194_304 }]);
        let b = t.bundle()?.set("/linux/resources/hugepageLimits", limits);
        let c = b.set("/linux/resources/pids/limit", 9).sleeps().start()?;
        is(read("unified", &c.id, "hugetlb.2MB.max")?.as_str(), "4194304")?;
        is(read("pids", &c.id, "pids.max")?.as_str(), "9")?;
        let more = json!({ "hugepageLimits": [{ "pageSize": "2MB", "limit": 2_097_152 }] });
        t.call(["update", "--resources", "-", &c.id]).stdin(more.to_string())?.ok()?;
        is(read("unified", &c.id, "hugetlb.2MB.max")?.as_str(), "2097152")?;
        let data = c.stats()?;
        that(data["hugetlb"]["2MB"].is_object(), format!("{} has the pages", data["hugetlb"]))
    }),
    test("rdma", "spec, RDMA: handles and objects of a device", |t| {
        controller("rdma")?;
        let device = fs::read_dir("/sys/class/infiniband").into_iter().flatten().flatten().next();
        let Some(device) = device else { return needs(false, "an RDMA device") };
        let device = device.file_name().to_string_lossy().into_owned();
        let limits = json!({ &device: { "hcaHandles": 3, "hcaObjects": 10000 } });
        let c = t.bundle()?.set("/linux/resources/rdma", limits).sleeps().start()?;
        let max = || read("rdma", &c.id, "rdma.max");
        has(max()?, &format!("{device} hca_handle=3 hca_object=10000"))?;
        let one = json!({ "rdma": { &device: { "hcaObjects": 7 } } }).to_string();
        t.call(["update", "--resources", "-", &c.id]).stdin(one)?.ok()?;
        has(max()?, &format!("{device} hca_handle=3 hca_object=7"))
    }),
    test("rdma-unknown", "spec, RDMA: a device that is not there is refused by name", |t| {
        let limits = json!({ "mlx5_no_such": { "hcaHandles": 3, "hcaObjects": 10000 } });
        t.bundle()?.set("/linux/resources/rdma", limits).refused(&["rdma"])
    }),
];

/// The chapter's tests of CPU and block devices.
pub(crate) const CPU: &[Test] = &[
    test("cpu-shares-default", "1024 shares are v1's default, and v2's weight of it", |t| {
        limit(t, "cpu/shares", 1024, ("cpu.shares", "1024"), ("cpu.weight", "100|39"))
    }),
    test("cpu-shares-least", "2 shares are the least weight", |t| {
        limit(t, "cpu/shares", 2, ("cpu.shares", "2"), ("cpu.weight", "1"))
    }),
    test("cpu-shares-most", "262144 shares are the largest weight", |t| {
        limit(t, "cpu/shares", 262_144, ("cpu.shares", "262144"), ("cpu.weight", "10000"))
    }),
    test("cpu-shares-too-many", "runc: v1 refuses more shares than the kernel has", |t| {
        needs(!unified(), "cgroup v1")?;
        t.bundle()?.set("/linux/resources/cpu/shares", 262_145).refused(&["shares", "262144"])
    }),
    test("cpu-quota-unlimited", "spec, CPU: a quota of -1 is no limit", |t| {
        limit(t, "cpu/quota", -1, ("cpu.cfs_quota_us", "-1"), ("cpu.max", "max 100000"))
    }),
    test("cpu-period-alone", "a period without a quota", |t| {
        limit(t, "cpu/period", 50_000, ("cpu.cfs_period_us", "50000"), ("cpu.max", "max 50000"))
    }),
    test("cpu-quota-too-small", "a quota that the kernel refuses is told by its file", |t| {
        let b = t.bundle()?.set("/linux/resources/cpu/quota", 100);
        b.refused(&["cpu.cfs_quota_us|cpu.max"])
    }),
    test("cpu-quota-holds", "a process beyond its quota is held back", |t| {
        let b = t.bundle()?.set("/linux/resources/cpu/quota", 2000);
        let b = b.set("/linux/resources/cpu/period", 20_000);
        let c = b.sh("while :; do :; done").start()?;
        t.until("throttling", || {
            let text = read("cpu", &c.id, "cpu.stat")?;
            let line = text.lines().find_map(|line| line.strip_prefix("nr_throttled "));
            Ok(line.is_some_and(|number| number != "0"))
        })
    }),
    test("cpu-burst-alone", "spec 1.1, CPU: burst without a quota", |t| {
        limit(t, "cpu/burst", 10_000, ("cpu.cfs_burst_us", "10000"), ("cpu.max.burst", "10000"))
    }),
    test("cpu-idle-off", "spec 1.1, CPU: idle of 0 goes with shares", |t| {
        let b = t.bundle()?.set("/linux/resources/cpu/idle", 0);
        let b = b.set("/linux/resources/cpu/shares", 2048);
        limits(b, ("cpu.shares", "2048"), ("cpu.weight", "174|79"))
    }),
    test("cpu-realtime", "spec, CPU: realtimeRuntime and realtimePeriod (v1)", |t| {
        needs(fs::exists("/sys/fs/cgroup/cpu/cpu.rt_runtime_us")?, "v1's realtime limits")?;
        let b = t.bundle()?.set("/linux/resources/cpu/realtimePeriod", 500_000);
        let b = b.set("/linux/resources/cpu/realtimeRuntime", 1000);
        let c = b.sleeps().start()?;
        is(read("cpu", &c.id, "cpu.rt_period_us")?.as_str(), "500000")?;
        is(read("cpu", &c.id, "cpu.rt_runtime_us")?.as_str(), "1000")
    }),
    test("cpuset-list", "spec, CPU: a list of CPUs with a range", |t| {
        let cpus = fs::read_to_string("/sys/devices/system/cpu/online")?;
        needs(cpus.trim().starts_with("0-"), "two CPUs")?;
        limit(t, "cpu/cpus", "0,1", ("cpuset.cpus", "0-1"), ("cpuset.cpus", "0-1"))
    }),
    test("cpuset-spelling", "runc, whose own bundles have it: `CPU` with `Cpus` and `Mems`", |t| {
        let cpus = fs::read_to_string("/sys/devices/system/cpu/online")?;
        needs(cpus.trim().starts_with("0-1"), "two CPUs")?;
        let cpu = json!({ "Cpus": "1", "Mems": "0" });
        let c = t.bundle()?.raw("/linux/resources/CPU", cpu).sleeps().start()?;
        is(read("cpuset", &c.id, "cpuset.cpus")?.as_str(), "1")?;
        is(read("cpuset", &c.id, "cpuset.mems")?.as_str(), "0")?;
        let less = json!({ "CPU": { "Cpus": "0" } });
        t.call(["update", "--resources", "-", &c.id]).stdin(less.to_string())?.ok()?;
        is(read("cpuset", &c.id, "cpuset.cpus")?.as_str(), "0")
    }),
    test("cpuset-mems-refused", "a memory node that is not there is refused by its file", |t| {
        controller("cpuset")?;
        t.bundle()?.set("/linux/resources/cpu/mems", "63").refused(&["cpuset.mems"])
    }),
    test("blkio-throttle-write", "spec, Block IO: throttleWriteBpsDevice", |t| {
        let v1 = ("blkio.throttle.write_bps_device", "7:0 2097152");
        let v2 = ("io.max", "7:0 rbps=max wbps=2097152 riops=max wiops=max");
        throttle(t, "throttleWriteBpsDevice", 2_097_152, v1, v2)
    }),
    test("blkio-throttle-read-iops", "spec, Block IO: throttleReadIOPSDevice", |t| {
        let v1 = ("blkio.throttle.read_iops_device", "7:0 50");
        let v2 = ("io.max", "7:0 rbps=max wbps=max riops=50 wiops=max");
        throttle(t, "throttleReadIOPSDevice", 50, v1, v2)
    }),
    test("blkio-throttles-together", "several throttles of one device don't undo another", |t| {
        controller("blkio")?;
        needs(fs::exists("/sys/dev/block/7:0")?, "the block device 7:0")?;
        let rate = |rate: u64| json!([{ "major": 7, "minor": 0, "rate": rate }]);
        let b = t.bundle()?.set("/linux/resources/blockIO/throttleReadBpsDevice", rate(4096));
        let b = b.set("/linux/resources/blockIO/throttleWriteIOPSDevice", rate(7));
        let c = b.sleeps().start()?;
        if unified() {
            let line = "7:0 rbps=4096 wbps=max riops=max wiops=7";
            return is(read("blkio", &c.id, "io.max")?.as_str(), line);
        }
        is(read("blkio", &c.id, "blkio.throttle.read_bps_device")?.as_str(), "7:0 4096")?;
        is(read("blkio", &c.id, "blkio.throttle.write_iops_device")?.as_str(), "7:0 7")
    }),
    test("blkio-throttle-unknown", "a throttle of a device that is not there is refused", |t| {
        controller("blkio")?;
        let device = json!([{ "major": 254, "minor": 4321, "rate": 1 }]);
        let b = t.bundle()?.set("/linux/resources/blockIO/throttleReadBpsDevice", device);
        b.refused(&["io.max|blkio.throttle.read_bps_device", "254:4321"])
    }),
    test("unified-several", "spec, Unified: several files", |t| {
        needs(unified(), "cgroup v2")?;
        let keys = json!({ "memory.high": "67108864", "pids.max": "19", "cpu.weight": "77" });
        let c = t.bundle()?.set("/linux/resources/unified", keys).sleeps().start()?;
        is(read("memory", &c.id, "memory.high")?.as_str(), "67108864")?;
        is(read("pids", &c.id, "pids.max")?.as_str(), "19")?;
        is(read("cpu", &c.id, "cpu.weight")?.as_str(), "77")
    }),
    test("unified-max", "spec, Unified: max takes a limit away", |t| {
        let b = t.bundle()?.set("/linux/resources/pids/limit", 17);
        let b = b.set("/linux/resources/memory/limit", 64 * MB);
        let b = b.set("/linux/resources/cpu/quota", 50_000);
        let keys = json!({ "memory.max": "max", "pids.max": "max", "cpu.max": "max" });
        needs(unified(), "cgroup v2")?;
        let c = b.set("/linux/resources/unified", keys).sleeps().start()?;
        is(read("memory", &c.id, "memory.max")?.as_str(), "max")?;
        is(read("pids", &c.id, "pids.max")?.as_str(), "max")?;
        is(read("cpu", &c.id, "cpu.max")?.as_str(), "max 100000")
    }),
    test("limits-gone-with-it", "a limit that is refused leaves no cgroup with the others", |t| {
        controller("cpuset")?;
        let b = t.bundle()?.set("/linux/resources/pids/limit", 9);
        let b = b.set("/linux/resources/cpu/cpus", "4000");
        b.refused(&["cpuset.cpus", "4000"])?;
        that(!path("pids", &b.id, "").exists(), "the cgroup is gone")
    }),
];
