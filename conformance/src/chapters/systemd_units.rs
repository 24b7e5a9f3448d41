//! Systemd: which unit a container is, and that nothing is left of it.

use std::fs;

use crate::bundle::Bundle;
use crate::case::Case;
use crate::container::Container;
use crate::layout::{self, path};
use crate::leftover;
use crate::systemd::{self, Other, ctl, gone, property, reload, shows, slice, unit};
use crate::table::{Test, test};
use crate::verdict::{Verdict, has, is, needs, that};

/// A bundle whose container is this unit.
fn at<'t>(t: &'t Case, place: &str) -> Verdict<Bundle<'t>> {
    Ok(t.bundle()?.set("/linux/cgroupsPath", place))
}

/// The case's id without what has a meaning in the name of a slice.
fn word(t: &Case) -> String {
    t.id().replace('-', "")
}

/// A container that is this unit is in this cgroup, below the top of its systemd.
#[track_caller]
fn is_in(t: &Case, place: &str, unit: &str, cgroup: &str) -> Verdict {
    let c = at(t, place)?.sleeps().start()?;
    is(property(t, unit, "ActiveState")?.as_str(), "active")?;
    let top = systemd::manager(t, "ControlGroup")?;
    is(property(t, unit, "ControlGroup")?, format!("{top}{cgroup}"))?;
    let text = c.proc("cgroup")?;
    let line = layout::line(&text, "pids").unwrap_or_default();
    that(line.ends_with(&format!(":{top}{cgroup}")), format!("{line} ends with {cgroup}"))?;
    t.rt(["delete", "--force", &c.id])?.ok()?;
    gone(t, unit)
}

/// The chapter's tests of units and their places.
pub(crate) const UNITS: &[Test] = &[
    test("unit", "runc: SLICE:PREFIX:NAME is PREFIX-NAME.scope in the slice", |t| {
        systemd::makes()?;
        let (slice, name) = (slice(), word(t));
        let unit = format!("conformance-{name}.scope");
        is_in(t, &format!("{slice}:conformance:{name}"), &unit, &format!("/{slice}/{unit}"))
    }),
    test(
        "unit-default",
        "runc: without cgroupsPath it is a scope with the id, in the usual slice",
        |t| {
            systemd::makes()?;
            let c = t.bundle()?.without("/linux/cgroupsPath").sleeps().start()?;
            let text = c.proc("cgroup")?;
            let line = layout::line(&text, "pids").unwrap_or_default();
            has(line, &format!("/{}/", slice()))?;
            that(line.ends_with(&format!("-{}.scope", c.id)), line)
        },
    ),
    test("unit-slice-default", "runc: without a slice it is in the usual one", |t| {
        systemd::makes()?;
        let name = word(t);
        let unit = format!("conformance-{name}.scope");
        is_in(t, &format!(":conformance:{name}"), &unit, &format!("/{}/{unit}", slice()))
    }),
    test(
        "unit-slice-nested",
        "systemd.slice: a-b.slice is below a.slice, and both are made",
        |t| {
            systemd::makes()?;
            let (outer, name) = (word(t), word(t));
            let inner = format!("{outer}-inner.slice");
            let unit = format!("conformance-{name}.scope");
            let cgroup = format!("/{outer}.slice/{inner}/{unit}");
            let placed = is_in(t, &format!("{inner}:conformance:{name}"), &unit, &cgroup);
            ctl(t, ["stop", &inner, &format!("{outer}.slice")])?;
            // Where systemd has no say they are nobody's to remove.
            for place in layout::hierarchies()? {
                for slice in [format!("/{outer}.slice/{inner}"), format!("/{outer}.slice")] {
                    let _ = fs::remove_dir(layout::hierarchy(&place) + &slice);
                }
            }
            placed
        },
    ),
    test("unit-slice-top", "systemd.slice: -.slice is the top", |t| {
        systemd::makes()?;
        let name = word(t);
        let unit = format!("conformance-{name}.scope");
        is_in(t, &format!("-.slice:conformance:{name}"), &unit, &format!("/{unit}"))
    }),
    test("unit-is-a-slice", "runc: a name that ends in .slice is the unit itself", |t| {
        systemd::makes()?;
        let name = format!("{}.slice", word(t));
        is_in(t, &format!("{}:conformance:{name}", slice()), &name, &format!("/{name}"))
    }),
    test("unit-path-refused", "runc: a cgroupsPath of another form is refused", |t| {
        systemd::makes()?;
        at(t, "/a/path")?.refused(&["slice:prefix:name", "/a/path"])?;
        at(t, "a.slice:b")?.refused(&["slice:prefix:name", "a.slice:b"])
    }),
    test("unit-slice-refused", "runc: a slice that can't be one is refused by its name", |t| {
        systemd::makes()?;
        for slice in ["a", "a--b.slice", "-a.slice", "a/b.slice"] {
            let name = word(t);
            at(t, &format!("{slice}:conformance:{name}"))?.refused(&["slice", slice])?;
        }
        Ok(())
    }),
    test("unit-name-refused", "a name that no unit can have is refused by it", |t| {
        systemd::makes()?;
        for name in ["a/b", "a b", "../a"] {
            at(t, &format!("{}:conformance:{name}", slice()))?.refused(&[name])?;
        }
        let name = "x".repeat(300);
        at(t, &format!("{}:conformance:{name}", slice()))?.refused(&[&name])
    }),
    test("unit-properties", "runc: delegated, accounted for, and stopped by nobody else", |t| {
        systemd::makes()?;
        let c = t.bundle()?.sleeps().start()?;
        let io = layout::either("BlockIOAccounting", "IOAccounting");
        shows(
            &c,
            &[
                ("ActiveState", "active"),
                ("Delegate", "yes"),
                ("Slice", slice()),
                ("Transient", "yes"),
                ("MemoryAccounting", "yes"),
                ("CPUAccounting", "yes"),
                ("TasksAccounting", "yes"),
                (io, "yes"),
                ("DefaultDependencies", "no"),
            ],
        )?;
        has(property(t, &unit(&c.id), "Description")?, &c.id)
    }),
    test("unit-is-there-when-created", "the unit is there when create has ended", |t| {
        systemd::makes()?;
        let c = t.bundle()?.sleeps().create()?;
        shows(&c, &[("ActiveState", "active"), ("Job", "")])
    }),
    test(
        "unit-is-there-for-hooks",
        "the unit, with its limits, is there before the first hook",
        |t| {
            systemd::makes()?;
            let file = t.path("seen");
            let b = t.bundle()?.set("/linux/resources/pids/limit", 19).sleeps();
            let script = format!(
                "/bin/systemctl show --value --property TasksMax {} > {} 2>&1",
                unit(&b.id),
                file.display()
            );
            needs(!layout::rootless(), "hooks that reach the user's systemd")?;
            b.hook("createRuntime", &script).create()?;
            is(fs::read_to_string(file)?.trim(), "19")
        },
    ),
    test("unit-holds-all", "the processes of exec are in the unit too", |t| {
        systemd::makes()?;
        let c = t.bundle()?.sleeps().start()?;
        let file = t.path("pid");
        c.exec(["--detach", "--pid-file", &file.to_string_lossy()], ["/bin/sleep", "100"]).ok()?;
        let of = |pid: &str| -> Verdict<String> {
            Ok(ctl(t, ["status", "--no-pager", pid])?.lines().next().unwrap_or_default().to_owned())
        };
        has(of(&c.pid()?.to_string())?, &unit(&c.id))?;
        has(of(fs::read_to_string(file)?.trim())?, &unit(&c.id))
    }),
];

/// A first process that has no default for systemd's signal ends by it all the same.
const ENDS_AT_TERM: &str = "trap exit TERM; echo up; while :; do sleep 0.05; done";

/// A container whose unit somebody has stopped.
#[track_caller]
fn stopped_from_outside(t: &Case) -> Verdict<Container<'_>> {
    let c = t.bundle()?.sh(ENDS_AT_TERM).start()?;
    c.shows("up")?;
    ctl(t, ["stop", &unit(&c.id)])?;
    c.becomes("stopped")?;
    Ok(c)
}

/// The chapter's tests of the unit's end.
pub(crate) const ENDS: &[Test] = &[
    test(
        "unit-gone-after-delete",
        "after delete --force there is no unit, not even a failed one",
        |t| {
            systemd::makes()?;
            let c = t.bundle()?.sleeps().start()?;
            is(property(t, &unit(&c.id), "LoadState")?.as_str(), "loaded")?;
            t.rt(["delete", "--force", &c.id])?.ok()?;
            gone(t, &unit(&c.id))
        },
    ),
    test("unit-gone-after-exit", "the end of the container is that of the unit", |t| {
        systemd::makes()?;
        let c = t.bundle()?.create()?;
        is(property(t, &unit(&c.id), "LoadState")?.as_str(), "loaded")?;
        c.start()?;
        c.becomes("stopped")?;
        gone(t, &unit(&c.id))?;
        c.delete()
    }),
    test("unit-gone-after-run", "run leaves no unit", |t| {
        systemd::makes()?;
        let b = t.bundle()?.args(["/bin/cat", "/proc/self/cgroup"]);
        has(b.prints()?, &unit(&b.id))?;
        gone(t, &unit(&b.id))
    }),
    test("unit-gone-after-refusal", "a create that fails leaves no unit", |t| {
        systemd::makes()?;
        let b = t.bundle()?.args(["/no/such/program"]);
        b.refused(&["/no/such/program"])?;
        gone(t, &unit(&b.id))?;
        // Its name is free.
        b.sleeps().start()?.is("running")
    }),
    test("unit-gone-after-refused-limit", "a limit that the kernel refuses leaves no unit", |t| {
        systemd::makes()?;
        needs(layout::unified(), "cgroup v2")?;
        let b =
            t.bundle()?.set("/linux/resources/unified", serde_json::json!({ "memory.high": "x" }));
        b.refused(&["memory.high"])?;
        gone(t, &unit(&b.id))
    }),
    test(
        "unit-gone-after-killed-create",
        "whenever create is killed, delete --force leaves no unit",
        |t| {
            systemd::makes()?;
            for delay in [4, 12, 25, 45, 80] {
                let b = t.bundle()?.sleeps();
                let create = b.call("create")?.spawn()?;
                std::thread::sleep(std::time::Duration::from_millis(delay));
                drop(create);
                t.rt(["delete", "--force", &b.id])?.ok()?;
                gone(t, &unit(&b.id))?;
                t.nothing_left()?;
            }
            t.bundle()?.sleeps().create()?.is("created")
        },
    ),
    test(
        "flag-at-create-alone",
        "runc: later commands find the unit without --systemd-cgroup",
        |t| {
            systemd::makes()?;
            let c = t.bundle()?.set("/linux/resources/pids/limit", 20).sleeps().create()?;
            c.call("start").unflagged().ok()?;
            c.exec([], ["/bin/true"]).unflagged().ok()?;
            t.call(["update", "--pids-limit", "21", &c.id]).unflagged().ok()?;
            shows(&c, &[("TasksMax", "21")])?;
            c.call("pause").unflagged().ok()?;
            c.call("resume").unflagged().ok()?;
            has(c.call("ps").unflagged().ok()?, "sleep")?;
            c.call("kill").arg("KILL").unflagged().ok()?;
            c.becomes("stopped")?;
            c.call("delete").unflagged().ok()?;
            gone(t, &unit(&c.id))
        },
    ),
    test("delete-force-without-flag", "containerd: delete --force comes without the flag", |t| {
        systemd::makes()?;
        let c = t.bundle()?.share("pid").sh("sleep 100 & exec sleep 100").start()?;
        t.call(["delete", "--force", &c.id]).unflagged().ok()?;
        gone(t, &unit(&c.id))
    }),
    test(
        "stopped-from-outside",
        "a container whose unit was stopped is stopped, and deleted",
        |t| {
            systemd::makes()?;
            let c = stopped_from_outside(t)?;
            c.delete()?;
            gone(t, &unit(&c.id))
        },
    ),
    test("killed-from-outside", "a container whose unit was killed is stopped, and deleted", |t| {
        systemd::makes()?;
        let c = t.bundle()?.sleeps().start()?;
        ctl(t, ["kill", "--signal", "KILL", &unit(&c.id)])?;
        c.becomes("stopped")?;
        c.delete()?;
        gone(t, &unit(&c.id))
    }),
    test("paused-unit-deleted", "the unit of a paused container is removed at once", |t| {
        systemd::makes()?;
        let c = t.bundle()?.sleeps().start()?;
        c.rt("pause")?.ok()?;
        t.rt(["delete", "--force", &c.id])?.ok()?;
        gone(t, &unit(&c.id))
    }),
    test("name-in-use", "a unit of that name that runs is left alone, and create refused", |t| {
        systemd::makes()?;
        let b = t.bundle()?.sleeps();
        let other = Other::scope(t, &unit(&b.id), slice(), &[])?;
        let out = b.try_create()?;
        that(other.runs()?, "the other's unit is there")?;
        drop(other);
        out.refused(&["exists|already|not empty"])?;
        t.nothing_left()
    }),
    test("name-in-use-elsewhere", "also if it is in another slice", |t| {
        systemd::makes()?;
        let b = t.bundle()?.sleeps();
        let other = Other::scope(t, &unit(&b.id), "-.slice", &[])?;
        let out = b.try_create()?;
        that(other.runs()?, "the other's unit is there")?;
        out.refused(&["exists|already|not empty"])?;
        // Nor is it ended by the engine's next call.
        t.rt(["delete", "--force", &b.id])?.ok()?;
        that(other.runs()?, "the other's unit is there after delete --force")
    }),
    test("name-of-a-failed-unit", "runc: a failed unit of that name is forgotten", |t| {
        systemd::makes()?;
        let b = t.bundle()?.sleeps();
        let other = Other::scope(t, &unit(&b.id), slice(), &["RuntimeMaxSec=100ms"])?;
        t.until("a failed unit", || other.failed())?;
        let c = b.start()?;
        other.forget();
        c.is("running")?;
        shows(&c, &[("ActiveState", "active"), ("Delegate", "yes")])
    }),
    test(
        "foreign-unit-is-spared",
        "a unit that took the name since is not stopped by delete",
        |t| {
            systemd::makes()?;
            let c = stopped_from_outside(t)?;
            gone(t, &unit(&c.id))?;
            let other = Other::scope(t, &unit(&c.id), slice(), &[])?;
            t.rt(["delete", "--force", &c.id])?.ok()?;
            that(other.runs()?, "the other's unit is there")
        },
    ),
    test("inner-cgroups-survive", "cgroups that the container made survive a daemon-reload", |t| {
        systemd::makes()?;
        needs(layout::unified(), "cgroup v2")?;
        let b = layout::own(t.bundle()?).mount(layout::TOP, "cgroup", "cgroup", &["rw"]);
        let script = "cd /sys/fs/cgroup && mkdir -p in/side own && echo 1 > own/cgroup.procs && \
                      echo +pids > cgroup.subtree_control && echo 9 > in/pids.max && echo made; \
                      exec sleep 100";
        let c = b.sh(script).start()?;
        c.shows("made")?;
        reload(t)?;
        that(path("", &c.id, "in/side").is_dir(), "the inner ones are there")?;
        is(layout::read("", &c.id, "in/pids.max")?.as_str(), "9")?;
        is(c.says("cat /proc/1/cgroup")?.as_str(), "0::/own")?;
        t.rt(["delete", "--force", &c.id])?.ok()?;
        is(leftover::cgroups(&c.id).count(), 0)
    }),
];
