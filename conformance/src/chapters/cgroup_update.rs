//! Cgroups: `update`, by every flag and form, all or nothing.

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
fn limited(t: &Case) -> Verdict<Container<'_>> {
    let b = t.bundle()?.set("/linux/resources/memory/limit", 64 * MB);
    let b = b.set("/linux/resources/memory/swap", 64 * MB);
    b.set("/linux/resources/pids/limit", 20).sleeps().start()
}

/// The first of the files that this layout has holds what is wanted; `a|b` where either will do.
#[track_caller]
fn holds(c: &Container<'_>, v1: (&str, &str), v2: (&str, &str)) -> Verdict {
    let (file, wanted) = either(v1, v2);
    let found = read(file.split('.').next().unwrap_or_default(), &c.id, file)?;
    that(wanted.split('|').any(|text| text == found), format!("{file}: {found:?} is {wanted:?}"))
}

/// `update` with these flags must succeed.
#[track_caller]
fn update<'a>(c: &Container<'_>, flags: impl IntoIterator<Item = &'a str>) -> Verdict {
    c.case.call(["update"]).args(flags).arg(&c.id).ok().map(drop)
}

/// The memory limit, in bytes.
#[track_caller]
fn memory(c: &Container<'_>, wanted: &str) -> Verdict {
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

/// The chapter's tests of updates that are refused, and of what an update leaves alone.
pub(crate) const REFUSED: &[Test] = &[
    test("update-leaves-others", "what is not given stays as it is", |t| {
        let c = limited(t)?;
        update(&c, ["--cpu-share", "1024"])?;
        memory(&c, "67108864")?;
        is(read("pids", &c.id, "pids.max")?.as_str(), "20")
    }),
    test("update-all-or-nothing", "an update that fails leaves all old limits", |t| {
        let c = limited(t)?;
        let line = ["update", "--memory", "32M", "--memory-swap", "32M", "--pids-limit", "7"];
        let out = t.call(line).args(["--cpuset-cpus", "9999"]).arg(&c.id).output()?;
        out.refused(&["cpuset.cpus"])?;
        memory(&c, "67108864")?;
        is(read("pids", &c.id, "pids.max")?.as_str(), "20")
    }),
    test("update-below-usage", "v1 refuses a limit below what is in use, and keeps its own", |t| {
        needs(!unified(), "cgroup v1")?;
        let b = t.bundle()?.set("/linux/resources/memory/limit", 64 * MB);
        let b = b.mount("/mem", "tmpfs", "tmpfs", &["size=40m"]);
        let b = b.set("/linux/resources/memory/swap", 64 * MB);
        let c = b.sh("dd if=/dev/zero of=/mem/x bs=1M count=24 && echo up; sleep 100").start()?;
        c.shows("up")?;
        t.rt(["update", "--memory", "8M", &c.id])?.refused(&["memory"])?;
        memory(&c, "67108864")
    }),
    test("update-checks-before", "spec 1.1: checkBeforeUpdate spares what is in use", |t| {
        needs(unified(), "cgroup v2")?;
        let b = t.bundle()?.set("/linux/resources/memory/limit", 64 * MB);
        let b = b.mount("/mem", "tmpfs", "tmpfs", &["size=40m"]);
        let c = b.sh("dd if=/dev/zero of=/mem/x bs=1M count=24 && echo up; sleep 100").start()?;
        c.shows("up")?;
        let low = json!({ "memory": { "limit": 8 * MB, "checkBeforeUpdate": true } }).to_string();
        let out = t.call(["update", "--resources", "-", &c.id]).stdin(low)?.output()?;
        out.refused(&["memory"])?;
        memory(&c, "67108864")?;
        c.is("running")
    }),
    test("update-bad-size", "runc: a size that is none is refused by its flag", |t| {
        let c = limited(t)?;
        t.rt(["update", "--memory", "lots", &c.id])?.refused(&["memory", "lots"])?;
        memory(&c, "67108864")
    }),
    test("update-bad-number", "runc: a number that is none is refused by its flag", |t| {
        let c = limited(t)?;
        t.rt(["update", "--pids-limit", "few", &c.id])?.refused(&["pids-limit", "few"])?;
        t.rt(["update", "--cpu-quota", "1.5", &c.id])?.refused(&["cpu-quota", "1.5"])?;
        is(read("pids", &c.id, "pids.max")?.as_str(), "20")
    }),
    test("update-unknown-flag", "an unknown flag is refused by its name", |t| {
        let c = limited(t)?;
        t.rt(["update", "--memroy", "1M", &c.id])?.refused(&["memroy"])
    }),
    test("update-refused-value", "what the kernel refuses is told by its file", |t| {
        let c = limited(t)?;
        let out = t.rt(["update", "--cpu-quota", "100", &c.id])?;
        out.refused(&["cpu.cfs_quota_us|cpu.max"])?;
        holds(&c, ("cpu.cfs_quota_us", "-1"), ("cpu.max", "max 100000"))
    }),
    test("update-bad-json", "resources that are no JSON are refused", |t| {
        let c = limited(t)?;
        let out = t.call(["update", "--resources", "-", &c.id]).stdin("{\"pids\": {")?.output()?;
        out.refused(&["eof|json|unexpected"])?;
        is(read("pids", &c.id, "pids.max")?.as_str(), "20")
    }),
    test("update-no-file", "a file of resources that is not there is named", |t| {
        let c = limited(t)?;
        t.rt(["update", "--resources", "/no/such/file", &c.id])?.refused(&["/no/such/file"])
    }),
    test("update-missing", "runc: update of an unknown id is an error", |t| {
        t.rt(["update", "--pids-limit", "5", "nothing"])?.refused(&["does not exist"])
    }),
    test("update-stopped", "runc: update of a stopped container is an error", |t| {
        let c = t.bundle()?.start()?;
        c.becomes("stopped")?;
        t.rt(["update", "--pids-limit", "5", &c.id])?.refused(&["not running"])
    }),
    test("update-created", "a created container is updated before it starts", |t| {
        let c = t.bundle()?.sleeps().create()?;
        update(&c, ["--pids-limit", "29"])?;
        is(read("pids", &c.id, "pids.max")?.as_str(), "29")?;
        c.is("created")?;
        c.start()
    }),
    test("update-paused", "a paused container is updated, and stays paused", |t| {
        let c = limited(t)?;
        c.rt("pause")?.ok()?;
        update(&c, ["--pids-limit", "29", "--memory", "48M", "--memory-swap", "48M"])?;
        is(read("pids", &c.id, "pids.max")?.as_str(), "29")?;
        memory(&c, "50331648")?;
        c.is("paused")?;
        c.rt("resume")?.ok().map(drop)
    }),
];
