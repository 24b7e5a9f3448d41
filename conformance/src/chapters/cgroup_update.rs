//! Cgroups: `update`, by every flag and form.

use serde_json::json;

use super::cgroup_fields::MANY;
use super::cgroups::{MB, controller};
use crate::case::Case;
use crate::container::Container;
use crate::layout::{either, read, unified};
use crate::table::{Test, test};
use crate::verdict::{Verdict, has, is, lacks, needs, that};

const LIMIT: (&str, &str) = ("memory.limit_in_bytes", "memory.max");

/// A running container with 64 MB of memory without swap, and 20 tasks.
pub(super) fn limited(t: &Case) -> Verdict<Container<'_>> {
    let b = t.bundle()?.set("/linux/resources/memory/limit", 64 * MB);
    let b = b.set("/linux/resources/memory/swap", 64 * MB);
    b.set("/linux/resources/pids/limit", 20).sleeps().start()
}

/// The first of the files that this layout has holds what is wanted; `a|b` where either will do.
#[track_caller]
pub(super) fn holds(c: &Container<'_>, v1: (&str, &str), v2: (&str, &str)) -> Verdict {
    let (file, wanted) = either(v1, v2);
    let found = read(file.split('.').next().unwrap_or_default(), &c.id, file)?;
    that(wanted.split('|').any(|text| text == found), format!("{file}: {found:?} is {wanted:?}"))
}

/// `update` with these flags must succeed.
#[track_caller]
pub(super) fn update<'a>(c: &Container<'_>, flags: impl IntoIterator<Item = &'a str>) -> Verdict {
    c.case.call(["update"]).args(flags).arg(&c.id).ok().map(drop)
}

/// The memory limit, in bytes.
#[track_caller]
pub(super) fn memory(c: &Container<'_>, wanted: &str) -> Verdict {
    holds(c, (LIMIT.0, wanted), (LIMIT.1, wanted))
}

/// The chapter's tests of flags and forms.
pub(crate) const FLAGS: &[Test] = &[
    test("update-sizes", "runc: sizes have suffixes, of powers of 1024", |t| {
        controller("memory")?;
        let c = t.bundle()?.sleeps().start()?;
        for (text, bytes) in [
            ("67108864", "67108864"),
            ("33554432b", "33554432"),
            ("65536k", "67108864"),
            ("32m", "33554432"),
            ("64M", "67108864"),
            ("1g", "1073741824"),
        ] {
            update(&c, ["--memory", text])?;
            memory(&c, bytes)?;
        }
        Ok(())
    }),
    test("update-forms", "runc: one dash or two, a blank or =, after the id too", |t| {
        let c = t.bundle()?.sleeps().start()?;
        let max = |n: &str| is(read("pids", &c.id, "pids.max")?.as_str(), n);
        update(&c, ["--pids-limit", "21"])?;
        max("21")?;
        update(&c, ["--pids-limit=22"])?;
        max("22")?;
        update(&c, ["-pids-limit", "23"])?;
        max("23")?;
        update(&c, ["-pids-limit=24"])?;
        max("24")?;
        t.rt(["update", &c.id, "--pids-limit", "25"])?.ok()?;
        max("25")
    }),
    test("update-reservation", "runc: update --memory-reservation", |t| {
        controller("memory")?;
        let c = limited(t)?;
        update(&c, ["--memory-reservation", "16M"])?;
        let v1 = ("memory.soft_limit_in_bytes", "16777216");
        holds(&c, v1, ("memory.low", "16777216"))?;
        memory(&c, "67108864")
    }),
    test("update-swap", "runc: update --memory-swap, the limit of both, above the memory's", |t| {
        controller("memory")?;
        let c = limited(t)?;
        update(&c, ["--memory", "64M", "--memory-swap", "96M"])?;
        holds(&c, ("memory.memsw.limit_in_bytes", "100663296"), ("memory.swap.max", "33554432"))
    }),
    test("update-memory-raised", "memory and swap are raised in one go, in the right order", |t| {
        controller("memory")?;
        let c = limited(t)?;
        update(&c, ["--memory", "128M", "--memory-swap", "128M"])?;
        memory(&c, "134217728")?;
        holds(&c, ("memory.memsw.limit_in_bytes", "134217728"), ("memory.swap.max", "0"))
    }),
    test("update-memory-lowered", "memory and swap are lowered in one go", |t| {
        controller("memory")?;
        let c = limited(t)?;
        update(&c, ["--memory", "32M", "--memory-swap", "32M"])?;
        memory(&c, "33554432")?;
        holds(&c, ("memory.memsw.limit_in_bytes", "33554432"), ("memory.swap.max", "0"))
    }),
    test("update-memory-unlimited", "runc: --memory -1 lifts the limit, and that of swap", |t| {
        controller("memory")?;
        let c = limited(t)?;
        update(&c, ["--memory", "-1", "--memory-swap", "-1"])?;
        let none = "9223372036854771712";
        holds(&c, (LIMIT.0, none), (LIMIT.1, "max"))?;
        holds(&c, ("memory.memsw.limit_in_bytes", none), ("memory.swap.max", "max"))
    }),
    test("update-cpu-period", "runc: update --cpu-period and --cpu-quota together", |t| {
        let c = t.bundle()?.sleeps().start()?;
        update(&c, ["--cpu-period", "50000", "--cpu-quota", "25000"])?;
        holds(&c, ("cpu.cfs_period_us", "50000"), ("cpu.max", "25000 50000"))?;
        holds(&c, ("cpu.cfs_quota_us", "25000"), ("cpu.max", "25000 50000"))
    }),
    test("update-cpu-quota-keeps-period", "an update of the quota leaves the period", |t| {
        let b = t.bundle()?.set("/linux/resources/cpu/period", 50_000);
        let c = b.set("/linux/resources/cpu/quota", 10_000).sleeps().start()?;
        update(&c, ["--cpu-quota", "20000"])?;
        holds(&c, ("cpu.cfs_period_us", "50000"), ("cpu.max", "20000 50000"))?;
        holds(&c, ("cpu.cfs_quota_us", "20000"), ("cpu.max", "20000 50000"))
    }),
    test("update-cpu-quota-unlimited", "runc: --cpu-quota -1 lifts the quota", |t| {
        let c = t.bundle()?.set("/linux/resources/cpu/quota", 10_000).sleeps().start()?;
        update(&c, ["--cpu-quota", "-1"])?;
        holds(&c, ("cpu.cfs_quota_us", "-1"), ("cpu.max", "max 100000"))
    }),
    test("update-cpu-burst", "runc 1.2: update --cpu-burst", |t| {
        let c = t.bundle()?.set("/linux/resources/cpu/quota", 20_000).sleeps().start()?;
        update(&c, ["--cpu-burst", "5000"])?;
        holds(&c, ("cpu.cfs_burst_us", "5000"), ("cpu.max.burst", "5000"))
    }),
    test("update-cpu-idle", "runc 1.2: update --cpu-idle, on and off", |t| {
        let c = t.bundle()?.sleeps().start()?;
        update(&c, ["--cpu-idle", "1"])?;
        holds(&c, ("cpu.idle", "1"), ("cpu.idle", "1"))?;
        update(&c, ["--cpu-idle", "0"])?;
        holds(&c, ("cpu.idle", "0"), ("cpu.idle", "0"))
    }),
    test("update-cpuset", "runc: update --cpuset-cpus and --cpuset-mems", |t| {
        controller("cpuset")?;
        let c = t.bundle()?.sleeps().start()?;
        update(&c, ["--cpuset-cpus", "0", "--cpuset-mems", "0"])?;
        holds(&c, ("cpuset.cpus", "0"), ("cpuset.cpus", "0"))?;
        holds(&c, ("cpuset.mems", "0"), ("cpuset.mems", "0"))?;
        let allowed = "grep Cpus_allowed_list /proc/1/status | cut -f2";
        is(c.says(allowed)?.as_str(), "0")
    }),
    test("update-pids-unlimited", "runc: --pids-limit -1 lifts the limit", |t| {
        let c = limited(t)?;
        update(&c, ["--pids-limit", "-1"])?;
        is(read("pids", &c.id, "pids.max")?.as_str(), "max")
    }),
    test("update-pids-holds", "a lowered limit of tasks holds at once", |t| {
        let c = t.bundle()?.set("/linux/resources/pids/limit", 64).sleeps().start()?;
        let many = || c.exec([], ["/bin/sh", "-c", MANY]).output();
        lacks(many()?.stderr, "can't fork")?;
        update(&c, ["--pids-limit", "24"])?;
        has(many()?.stderr, "can't fork")
    }),
    test("update-file", "runc: update --resources FILE, and its forms", |t| {
        let c = t.bundle()?.sleeps().start()?;
        let write = |limit: u32| t.file("r.json", json!({ "pids": { "limit": limit }}).to_string());
        let max = |n: &str| is(read("pids", &c.id, "pids.max")?.as_str(), n);
        let file = write(31)?.to_string_lossy().into_owned();
        update(&c, ["--resources", &file])?;
        max("31")?;
        write(32)?;
        update(&c, [format!("--resources={file}").as_str()])?;
        max("32")?;
        write(33)?;
        update(&c, ["-r", &file])?;
        max("33")
    }),
    test("update-stdin-equals", "runc: update --resources=- reads standard input", |t| {
        let c = t.bundle()?.sleeps().start()?;
        let quota = json!({ "cpu": { "quota": 30000, "period": 60000 }}).to_string();
        t.call(["update", "--resources=-", &c.id]).stdin(quota)?.ok()?;
        holds(&c, ("cpu.cfs_quota_us", "30000"), ("cpu.max", "30000 60000"))
    }),
    test("update-unified", "runc: update of unified, from a file", |t| {
        needs(unified(), "cgroup v2")?;
        let c = t.bundle()?.sleeps().start()?;
        let keys = json!({ "unified": { "memory.high": "33554432" } }).to_string();
        t.call(["update", "--resources", "-", &c.id]).stdin(keys)?.ok()?;
        is(read("memory", &c.id, "memory.high")?.as_str(), "33554432")
    }),
];
