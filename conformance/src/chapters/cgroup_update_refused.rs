//! Cgroups: updates that are refused, all or nothing, and what an update leaves alone.

use serde_json::{Value, json};

use super::cgroup_update::{holds, limited, memory, update};
use super::cgroups::{MB, controller};
use crate::layout::{read, unified};
use crate::table::{Test, test};
use crate::verdict::{Verdict, is, needs};

/// The chapter's tests of updates that are refused, and of what an update leaves alone.
pub(crate) const REFUSED: &[Test] = &[
    test("update-leaves-others", "what is not given stays as it is", |t| {
        let c = limited(t)?;
        update(&c, ["--cpu-share", "1024"])?;
        memory(&c, "67108864")?;
        is(read("pids", &c.id, "pids.max")?.as_str(), "20")
    }),
    test("update-all-or-nothing", "an update that fails leaves all old limits", |t| {
        controller("cpuset")?;
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
        let refused = |limit: Value, sentence| -> Verdict {
            let mut memory = limit;
            memory["checkBeforeUpdate"] = json!(true);
            let low = json!({ "memory": memory }).to_string();
            let out = t.call(["update", "--resources", "-", &c.id]).stdin(low)?.output()?;
            out.refused(&[sentence])
        };
        refused(json!({ "limit": 8 * MB }), "rejecting memory limit 8388608 <= usage ")?;
        let both = json!({ "limit": 8 * MB, "swap": 16 * MB });
        refused(both, "rejecting memory+swap limit 16777216 <= usage ")?;
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
