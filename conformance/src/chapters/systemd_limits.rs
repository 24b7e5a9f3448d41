//! Systemd: limits as properties of the unit, so that systemd doesn't take them away again; and the
//! properties that annotations ask for.

use serde_json::json;

use super::cgroup_update::update;
use super::cgroups::{MB, controller};
use crate::bundle::Bundle;
use crate::case::Case;
use crate::container::Container;
use crate::layout::{self, either, read};
use crate::systemd::{self, gone, reload, shows, unit};
use crate::table::{Test, test};
use crate::verdict::{Verdict, has, is, needs, that};

/// A bundle whose `linux.resources` has this.
fn limited<'t>(t: &'t Case, limits: &[(&str, serde_json::Value)]) -> Verdict<Bundle<'t>> {
    systemd::makes()?;
    let set = |b: Bundle<'t>, (pointer, value): &(&str, serde_json::Value)| {
        b.set(&format!("/linux/resources/{pointer}"), value.clone())
    };
    Ok(limits.iter().fold(t.bundle()?, set).sleeps())
}

/// Its unit must have these properties.
#[track_caller]
fn becomes(t: &Case, limits: &[(&str, serde_json::Value)], wanted: &[(&str, &str)]) -> Verdict {
    shows(&limited(t, limits)?.start()?, wanted)
}

/// The texts of these files, by the controller's name on v1.
fn files(c: &Container<'_>, names: &[(&str, &str)]) -> Verdict<Vec<String>> {
    names.iter().map(|(hierarchy, file)| read(hierarchy, &c.id, file)).collect()
}

/// What the kernel has of the limits that systemd knows.
fn known() -> &'static [(&'static str, &'static str)] {
    either(
        &[
            ("memory", "memory.limit_in_bytes"),
            ("cpu", "cpu.shares"),
            ("cpu", "cpu.cfs_quota_us"),
            ("cpu", "cpu.cfs_period_us"),
            ("pids", "pids.max"),
        ],
        &[
            ("memory", "memory.max"),
            ("memory", "memory.low"),
            ("memory", "memory.swap.max"),
            ("cpu", "cpu.weight"),
            ("cpu", "cpu.max"),
            ("pids", "pids.max"),
            ("cpuset", "cpuset.cpus"),
        ],
    )
}

/// A container with a limit of each kind.
fn with_all(t: &Case) -> Verdict<Container<'_>> {
    let mut limits = vec![
        ("memory/limit", json!(64 * MB)),
        ("memory/reservation", json!(32 * MB)),
        ("memory/swap", json!(64 * MB)),
        ("cpu/shares", json!(500)),
        ("cpu/quota", json!(20_000)),
        ("cpu/period", json!(50_000)),
        ("pids/limit", json!(21)),
    ];
    if controller("cpuset").is_ok() {
        limits.push(("cpu/cpus", json!("0")));
    }
    limited(t, &limits)?.start()
}

fn unified() -> Verdict {
    systemd::makes()?;
    needs(layout::unified(), "cgroup v2")
}

/// The chapter's tests of limits at create.
pub(crate) const PROPERTIES: &[Test] = &[
    test("memory-max", "runc: memory.limit is MemoryMax, on v1 MemoryLimit", |t| {
        let name = either("MemoryLimit", "MemoryMax");
        becomes(t, &[("memory/limit", json!(64 * MB))], &[(name, "67108864")])
    }),
    test("memory-low", "runc: memory.reservation is MemoryLow", |t| {
        unified()?;
        let wanted = [("MemoryMax", "67108864"), ("MemoryLow", "33554432")];
        let limits = [("memory/limit", json!(64 * MB)), ("memory/reservation", json!(32 * MB))];
        becomes(t, &limits, &wanted)
    }),
    test("memory-swap-max", "runc: memory.swap is MemorySwapMax, without the memory in it", |t| {
        unified()?;
        let limits = [("memory/limit", json!(64 * MB)), ("memory/swap", json!(96 * MB))];
        becomes(t, &limits, &[("MemoryMax", "67108864"), ("MemorySwapMax", "33554432")])
    }),
    test("memory-unlimited", "runc: a limit of -1 is infinity", |t| {
        let name = either("MemoryLimit", "MemoryMax");
        becomes(t, &[("memory/limit", json!(-1))], &[(name, "infinity")])
    }),
    test("cpu-weight", "runc: cpu.shares is CPUWeight by either scale, on v1 CPUShares", |t| {
        systemd::makes()?;
        let wanted = either(("CPUShares", "2048"), ("CPUWeight", "174|79"));
        becomes(t, &[("cpu/shares", json!(2048))], &[wanted])
    }),
    test("cpu-quota", "runc: quota and period are a share of a second, and the period", |t| {
        let limits = [("cpu/quota", json!(20_000)), ("cpu/period", json!(50_000))];
        let wanted = [("CPUQuotaPerSecUSec", "400ms"), ("CPUQuotaPeriodUSec", "50ms")];
        becomes(t, &limits, &wanted)
    }),
    test("cpu-quota-rounded", "runc: systemd keeps hundredths of a CPU, rounded up", |t| {
        becomes(t, &[("cpu/quota", json!(1500))], &[("CPUQuotaPerSecUSec", "20ms")])
    }),
    test("cpu-quota-rounded-alike", "what the kernel has is what systemd would write", |t| {
        let c = limited(t, &[("cpu/quota", json!(1500))])?.start()?;
        let (file, wanted) = either(("cpu.cfs_quota_us", "2000"), ("cpu.max", "2000 100000"));
        is(read("cpu", &c.id, file)?.as_str(), wanted)?;
        reload(t)?;
        is(read("cpu", &c.id, file)?.as_str(), wanted)
    }),
    test("cpu-idle", "runc: cpu.idle is a weight of 0 for a systemd from 252 on", |t| {
        unified()?;
        // systemctl writes it as a word since 253.
        becomes(t, &[("cpu/idle", json!(1))], &[("CPUWeight", "0|idle")])
    }),
    test("allowed-cpus", "runc: cpus and mems are AllowedCPUs and AllowedMemoryNodes", |t| {
        unified()?;
        controller("cpuset")?;
        let limits = [("cpu/cpus", json!("0-1")), ("cpu/mems", json!("0"))];
        becomes(t, &limits, &[("AllowedCPUs", "0-1"), ("AllowedMemoryNodes", "0")])
    }),
    test("tasks-max", "runc: pids.limit is TasksMax", |t| {
        becomes(t, &[("pids/limit", json!(23))], &[("TasksMax", "23")])
    }),
    test("tasks-unlimited", "runc: a limit of -1 is infinity", |t| {
        becomes(t, &[("pids/limit", json!(-1))], &[("TasksMax", "infinity")])
    }),
    test(
        "unified-keys",
        "runc: what unified says of v2's files is a property where there is one",
        |t| {
            unified()?;
            let keys = json!({
                "memory.high": "33554432", "memory.max": "67108864", "memory.min": "4096",
                "pids.max": "24", "cpu.weight": "42", "cpu.max": "30000 100000",
            });
            let wanted = [
                ("MemoryHigh", "33554432"),
                ("MemoryMax", "67108864"),
                ("MemoryMin", "4096"),
                ("TasksMax", "24"),
                ("CPUWeight", "42"),
                ("CPUQuotaPerSecUSec", "300ms"),
            ];
            let c = limited(t, &[("unified", keys)])?.start()?;
            shows(&c, &wanted)?;
            let names = [("", "memory.high"), ("", "memory.min"), ("", "cpu.weight")];
            is(files(&c, &names)?, vec!["33554432", "4096", "42"])
        },
    ),
    test("unified-wins", "runc: what unified says is the last word, for systemd too", |t| {
        unified()?;
        let keys = json!({ "pids.max": "24", "cpu.max": "30000 100000" });
        let limits = [
            ("pids/limit", json!(7)),
            ("cpu/quota", json!(40_000)),
            ("cpu/period", json!(50_000)),
            ("unified", keys),
        ];
        let c = limited(t, &limits)?.start()?;
        let wanted = [("TasksMax", "24"), ("CPUQuotaPerSecUSec", "300ms")];
        shows(&c, &wanted)?;
        reload(t)?;
        is(files(&c, &[("", "pids.max"), ("", "cpu.max")])?, vec!["24", "30000 100000"])
    }),
    test("reload-keeps-limits", "a daemon-reload leaves every limit as it is", |t| {
        let c = with_all(t)?;
        let before = files(&c, known())?;
        that(before.contains(&"67108864".to_owned()), format!("there are limits: {before:?}"))?;
        reload(t)?;
        is(files(&c, known())?, before)
    }),
    test("reload-keeps-unknown-limits", "also those that systemd has no property for", |t| {
        let limits = [("cpu/quota", json!(20_000)), ("cpu/burst", json!(10_000))];
        let c = limited(t, &limits)?.start()?;
        reload(t)?;
        let name = either("cpu.cfs_burst_us", "cpu.max.burst");
        is(read("cpu", &c.id, name)?.as_str(), "10000")
    }),
    test("reload-keeps-devices", "nor does it change what the container may open", |t| {
        systemd::makes()?;
        needs(!layout::rootless(), "device rules, which are root's")?;
        let rule = json!({ "allow": true, "type": "b", "major": 7, "minor": 0, "access": "rwm" });
        let c = t.bundle()?.push("/linux/resources/devices", rule).sleeps().start()?;
        reload(t)?;
        let said = c.says(
            "mknod /dev/x b 7 0; mknod /dev/y c 1 11; head -c 0 /dev/x; echo $?; \
             head -c 0 /dev/y 2>&1; echo $?; echo > /dev/null && echo null",
        )?;
        is(said.lines().next().unwrap_or_default(), "0")?;
        has(&said, "Operation not permitted")?;
        has(said, "null")
    }),
];

/// The chapter's tests of `update`.
pub(crate) const UPDATES: &[Test] = &[
    test("update-properties", "runc: update changes the properties, too", |t| {
        let c = with_all(t)?;
        update(&c, ["--memory", "48M", "--memory-swap", "48M", "--pids-limit", "22"])?;
        update(&c, ["--cpu-quota", "10000", "--cpu-period", "100000", "--cpu-share", "1024"])?;
        let memory = either("MemoryLimit", "MemoryMax");
        let cpu = either(("CPUShares", "1024"), ("CPUWeight", "100|39"));
        let wanted = [
            (memory, "50331648"),
            ("TasksMax", "22"),
            ("CPUQuotaPerSecUSec", "100ms"),
            ("CPUQuotaPeriodUSec", "100ms"),
            cpu,
        ];
        shows(&c, &wanted)
    }),
    test("update-survives-reload", "a daemon-reload doesn't put the old limits back", |t| {
        let c = with_all(t)?;
        update(&c, ["--memory", "48M", "--memory-swap", "48M", "--pids-limit", "22"])?;
        update(&c, ["--cpu-quota", "10000", "--cpu-share", "1024"])?;
        let before = files(&c, known())?;
        reload(t)?;
        is(files(&c, known())?, before)
    }),
    test("update-quota-alone", "runc: a quota without a period goes with the present one", |t| {
        let c = with_all(t)?;
        update(&c, ["--cpu-quota", "10000"])?;
        shows(&c, &[("CPUQuotaPerSecUSec", "200ms"), ("CPUQuotaPeriodUSec", "50ms")])?;
        let (file, wanted) = either(("cpu.cfs_quota_us", "10000"), ("cpu.max", "10000 50000"));
        is(read("cpu", &c.id, file)?.as_str(), wanted)
    }),
    test("update-period-alone", "a period without a quota goes with the present one", |t| {
        let c = with_all(t)?;
        update(&c, ["--cpu-period", "100000"])?;
        shows(&c, &[("CPUQuotaPerSecUSec", "200ms"), ("CPUQuotaPeriodUSec", "100ms")])?;
        let (file, wanted) = either(("cpu.cfs_quota_us", "20000"), ("cpu.max", "20000 100000"));
        is(read("cpu", &c.id, file)?.as_str(), wanted)
    }),
    test("update-unlimited", "runc: -1 is infinity", |t| {
        let c = with_all(t)?;
        let flags = ["--memory-swap", "-1", "--memory", "-1", "--pids-limit", "-1"];
        update(&c, flags.into_iter().chain(["--cpu-quota", "-1"]))?;
        let memory = either("MemoryLimit", "MemoryMax");
        let wanted =
            [(memory, "infinity"), ("TasksMax", "infinity"), ("CPUQuotaPerSecUSec", "infinity")];
        shows(&c, &wanted)
    }),
    test("update-refused-properties", "an update that is refused leaves the properties", |t| {
        let c = with_all(t)?;
        let out = t.rt(["update", "--pids-limit", "22", "--cpu-quota", "100", &c.id])?;
        out.refused(&["cpu.cfs_quota_us|cpu.max"])?;
        shows(&c, &[("TasksMax", "21"), ("CPUQuotaPerSecUSec", "400ms")])?;
        is(read("pids", &c.id, "pids.max")?.as_str(), "21")
    }),
    test(
        "update-not-saved",
        "an update that can't be saved leaves limits, properties, devices",
        |t| {
            needs(!layout::rootless(), "device rules, which are root's")?;
            let c = with_all(t)?;
            let before = files(&c, known())?;
            // What is known of the container can be read, but not written.
            let dir = t.root.join(&c.id);
            let dir = dir.to_string_lossy();
            t.host(["mount", "--bind", &dir, &dir])?;
            t.host(["mount", "-o", "remount,ro,bind", &dir])?;
            let changes = json!({
                "memory": { "limit": 48 * MB, "swap": 48 * MB },
                "cpu": { "shares": 1024, "quota": 10_000 },
                "pids": { "limit": 22 },
                "devices": [{ "allow": true, "type": "b", "major": 7, "minor": 0, "access": "rwm" }]
            });
            let out =
                t.call(["update", "--resources", "-", &c.id]).stdin(changes.to_string())?.output();
            t.host(["umount", &dir])?;
            out?.refused(&["read-only"])?;
            let memory = either("MemoryLimit", "MemoryMax");
            let cpu = either(("CPUShares", "500"), ("CPUWeight", "58|19"));
            let wanted =
                [(memory, "67108864"), ("TasksMax", "21"), ("CPUQuotaPerSecUSec", "400ms"), cpu];
            shows(&c, &wanted)?;
            is(files(&c, known())?, before.clone())?;
            reload(t)?;
            is(files(&c, known())?, before)?;
            has(c.says("mknod /dev/x b 7 0; head -c 0 /dev/x 2>&1; true")?, "not permitted")
        },
    ),
    test("update-created", "a created container's properties are changed before it starts", |t| {
        let c = limited(t, &[("pids/limit", json!(21))])?.create()?;
        update(&c, ["--pids-limit", "22"])?;
        shows(&c, &[("TasksMax", "22")])?;
        c.start()?;
        is(read("pids", &c.id, "pids.max")?.as_str(), "22")
    }),
    test("update-paused", "those of a paused one too, and it stays paused", |t| {
        let c = limited(t, &[("pids/limit", json!(21))])?.start()?;
        c.rt("pause")?.ok()?;
        update(&c, ["--pids-limit", "22"])?;
        shows(&c, &[("TasksMax", "22")])?;
        c.is("paused")?;
        c.rt("resume")?.ok().map(drop)
    }),
    test("update-keeps-devices", "an update of limits changes nothing about devices", |t| {
        needs(!layout::rootless(), "device rules, which are root's")?;
        let c = limited(t, &[("pids/limit", json!(21))])?.start()?;
        update(&c, ["--pids-limit", "22", "--cpu-share", "500"])?;
        let said = c.says("mknod /dev/x c 1 11; cat /dev/x 2>&1; echo > /dev/null && echo null")?;
        has(&said, "Operation not permitted")?;
        has(said, "null")
    }),
    test("update-devices-survive-reload", "updated device rules survive a daemon-reload", |t| {
        needs(!layout::rootless(), "device rules, which are root's")?;
        let c = limited(t, &[])?.start()?;
        let open = "test -e /dev/x || mknod /dev/x b 7 0; head -c 0 /dev/x 2>&1 && echo opened";
        has(c.exec([], ["/bin/sh", "-c", open]).output()?.stdout, "not permitted")?;
        let rules = json!({ "devices": [
            { "allow": true, "type": "b", "major": 7, "minor": 0, "access": "rwm" }
        ] });
        let call = t.call(["update", "--resources", "-", &c.id]);
        call.stdin(rules.to_string())?.ok()?;
        is(c.says(open)?.as_str(), "opened")?;
        reload(t)?;
        is(c.says(open)?.as_str(), "opened")?;
        has(c.says("mknod /dev/y c 1 11; cat /dev/y 2>&1; true")?, "not permitted")
    }),
];

/// A bundle with one annotation for the unit.
fn annotated<'t>(t: &'t Case, name: &str, value: &str) -> Verdict<Bundle<'t>> {
    systemd::makes()?;
    Ok(t.bundle()?.set(&format!("/annotations/org.systemd.property.{name}"), value).sleeps())
}

/// The unit of a container with this annotation must have this property.
#[track_caller]
fn asks(t: &Case, name: &str, value: &str, wanted: (&str, &str)) -> Verdict {
    shows(&annotated(t, name, value)?.start()?, &[wanted])
}

/// A container with this annotation must be refused by its name, and leave no unit.
#[track_caller]
fn denied(t: &Case, name: &str, value: &str) -> Verdict {
    let b = annotated(t, name, value)?;
    b.refused(&[name])?;
    gone(t, &unit(&b.id))
}

/// The chapter's tests of `org.systemd.property.*`.
pub(crate) const ANNOTATIONS: &[Test] = &[
    test("annotation-text", "runc: a property that is a text", |t| {
        asks(t, "CollectMode", "'inactive-or-failed'", ("CollectMode", "inactive-or-failed"))
    }),
    test("annotation-number", "runc: a number with its type", |t| {
        asks(t, "TimeoutStopUSec", "uint64 123000000", ("TimeoutStopUSec", "2min 3s"))
    }),
    test("annotation-seconds", "runc: a name in Sec is one in USec", |t| {
        asks(t, "TimeoutStopSec", "uint64 123", ("TimeoutStopUSec", "2min 3s"))
    }),
    test("annotation-boolean", "runc: true and false", |t| {
        asks(t, "SendSIGHUP", "true", ("SendSIGHUP", "yes"))
    }),
    test("annotation-signal", "a number fits whichever type systemd wants", |t| {
        asks(t, "KillSignal", "15", ("KillSignal", "15"))
    }),
    test("annotation-list", "a list of units", |t| {
        let c = annotated(t, "After", "['first.service', 'second.service']")?.start()?;
        let after = systemd::property(t, &unit(&c.id), "After")?;
        has(&after, "first.service")?;
        has(after, "second.service")
    }),
    test("annotation-description", "the description", |t| {
        asks(t, "Description", "'the web server'", ("Description", "the web server"))
    }),
    test("annotation-limit-loses", "a limit of the configuration's own wins", |t| {
        let b = annotated(t, "TasksMax", "uint64 50")?.set("/linux/resources/pids/limit", 25);
        let c = b.start()?;
        shows(&c, &[("TasksMax", "25")])?;
        is(read("pids", &c.id, "pids.max")?.as_str(), "25")
    }),
    test("annotation-limit", "a limit by annotation alone is one", |t| {
        let c = annotated(t, "TasksMax", "uint64 51")?.start()?;
        shows(&c, &[("TasksMax", "51")])?;
        is(read("pids", &c.id, "pids.max")?.as_str(), "51")
    }),
    test(
        "annotation-no-value",
        "runc: what is no value is refused by the annotation's name",
        |t| {
            denied(t, "TimeoutStopUSec", "a duck")?;
            denied(t, "CollectMode", "'inactive")
        },
    ),
    test("annotation-wrong-type", "a value of another type is refused", |t| {
        denied(t, "SendSIGHUP", "'yes'")?;
        denied(t, "TimeoutStopUSec", "'5'")
    }),
    test("annotation-unknown", "a property that is none is refused", |t| {
        denied(t, "NoSuchProperty", "true")
    }),
    test(
        "annotation-dangerous",
        "CVE-2024-3154: what breaks out of the unit is refused by name",
        |t| {
            for (name, value) in [
                ("ExecStartPre", "'/bin/sh -c reboot'"),
                ("Slice", "'-.slice'"),
                ("Delegate", "false"),
                ("PIDs", "[uint32 1]"),
                ("Conflicts", "['dbus.service']"),
                ("SuccessAction", "'reboot'"),
                ("DeviceAllow", "[('/dev/mem', 'rwm')]"),
                ("RefuseManualStop", "true"),
            ] {
                denied(t, name, value)?;
            }
            Ok(())
        },
    ),
];
