//! Cgroups: `pause`, `resume`, `ps` and `kill --all` of containers with several processes.

use std::fs;
use std::io::ErrorKind;
use std::time::Duration;

use serde_json::json;

use crate::bundle::Bundle;
use crate::container::Container;
use crate::layout::{self, either, hierarchy, path, read};
use crate::table::{Test, test};
use crate::verdict::{Verdict, has, is, lacks, that};

/// A shell's loop that writes to a file of the root, for as long as it runs.
fn counts(name: &str) -> String {
    format!("while :; do echo x >> /{name}; sleep 0.01; done")
}

/// How much such a loop has written.
fn written(b: &Bundle<'_>, name: &str) -> u64 {
    fs::metadata(b.rootfs(name)).map_or(0, |file| file.len())
}

/// None of the loops writes any more.
#[track_caller]
fn rest(b: &Bundle<'_>, names: &[&str]) -> Verdict {
    let sizes = || names.iter().map(|name| written(b, name)).collect::<Vec<_>>();
    let before = sizes();
    std::thread::sleep(Duration::from_millis(150));
    is(sizes(), before)
}

/// All loops write more.
#[track_caller]
fn go_on(b: &Bundle<'_>, names: &[&str]) -> Verdict {
    for name in names {
        let before = written(b, name);
        b.case.until(name, || Ok(written(b, name) > before))?;
    }
    Ok(())
}

/// A container with a second process in a cgroup that it made below its own, in the hierarchies of
/// the freezer and of the pids. Both count.
fn nested(b: Bundle<'_>) -> Bundle<'_> {
    let b = layout::own(b).mount(layout::TOP, "cgroup", "cgroup", &["rw"]);
    let mut join = String::new();
    for name in either(&["pids", "freezer"][..], &["pids"][..]) {
        let dir = hierarchy(name);
        join += &format!("mkdir {dir}/below && echo 0 > {dir}/below/cgroup.procs && ");
    }
    b.sh(&format!("({join} {}) & {}", counts("inner"), counts("outer")))
}

/// The pids that `ps` tells, in order.
fn pids(c: &Container<'_>) -> Verdict<Vec<i64>> {
    let list = c.case.rt(["ps", "--format", "json", &c.id])?.json()?;
    let mut pids: Vec<i64> =
        list.as_array().into_iter().flatten().filter_map(|p| p.as_i64()).collect();
    pids.sort_unstable();
    Ok(pids)
}

/// The pids in a cgroup of the container, in order.
fn members(c: &Container<'_>, below: &str) -> Verdict<Vec<i64>> {
    let text = read("pids", &format!("{}{below}", c.id), "cgroup.procs")?;
    let mut pids: Vec<i64> = text.lines().map(str::parse).collect::<Result<_, _>>()?;
    pids.sort_unstable();
    Ok(pids)
}

/// Is no process left in the container's cgroup, or the one below it? Systemd removes that of a scope
/// with its last process.
fn emptied(c: &Container<'_>, below: &str) -> Verdict<bool> {
    match fs::read_to_string(path("pids", &format!("{}{below}", c.id), "cgroup.procs")) {
        Err(error) if layout::systemd() && error.kind() == ErrorKind::NotFound => Ok(true),
        processes => Ok(processes?.is_empty()),
    }
}

/// The chapter's tests of the freezer.
pub(crate) const PAUSE: &[Test] = &[
    test(
        "pause-all-processes",
        "pause stops every process, exec's too; resume lets all go on",
        |t| {
            let b = t.bundle()?.sh(&format!("({}) & {}", counts("one"), counts("two")));
            let c = b.start()?;
            let exec = c.exec(["--detach"], ["/bin/sh", "-c", &counts("three")]);
            exec.ok()?;
            let all = ["one", "two", "three"];
            go_on(&b, &all)?;
            c.rt("pause")?.ok()?;
            rest(&b, &all)?;
            c.rt("resume")?.ok()?;
            go_on(&b, &all)
        },
    ),
    test("pause-nested", "processes in cgroups below the container's are paused too", |t| {
        layout::has("freezer")?;
        let b = nested(t.bundle()?);
        let c = b.start()?;
        go_on(&b, &["inner", "outer"])?;
        that(path("pids", &c.id, "below").is_dir(), "there is a cgroup below")?;
        c.rt("pause")?.ok()?;
        rest(&b, &["inner", "outer"])?;
        c.rt("resume")?.ok()?;
        go_on(&b, &["inner", "outer"])
    }),
    test(
        "pause-twice",
        "runc: pause of a paused container is an error, and changes nothing",
        |t| {
            let c = t.bundle()?.sleeps().start()?;
            c.rt("pause")?.ok()?;
            c.rt("pause")?.refused(&["container not running"])?;
            c.is("paused")
        },
    ),
    test("pause-again", "pause and resume may be had again and again", |t| {
        let b = t.bundle()?.sh(&counts("log"));
        let c = b.start()?;
        for _ in 0..3 {
            go_on(&b, &["log"])?;
            c.rt("pause")?.ok()?;
            c.is("paused")?;
            rest(&b, &["log"])?;
            c.rt("resume")?.ok()?;
            c.is("running")?;
        }
        Ok(())
    }),
    test("pause-others-run", "pause is one container's, not its neighbour's", |t| {
        let (one, two) = (t.bundle()?.sh(&counts("log")), t.bundle()?.sh(&counts("log")));
        let (first, _second) = (one.start()?, two.start()?);
        go_on(&one, &["log"])?;
        first.rt("pause")?.ok()?;
        rest(&one, &["log"])?;
        go_on(&two, &["log"])
    }),
    test("pause-is-seen-outside", "a cgroup that another froze is a paused container", |t| {
        let c = t.bundle()?.sleeps().start()?;
        c.pid()?;
        let (file, on, off) =
            either(("freezer.state", "FROZEN", "THAWED"), ("cgroup.freeze", "1", "0"));
        fs::write(path("freezer", &c.id, file), on)?;
        c.becomes("paused")?;
        fs::write(path("freezer", &c.id, file), off)?;
        c.becomes("running")
    }),
    test("kill-paused-nested", "SIGKILL ends a paused container with cgroups below", |t| {
        layout::has("freezer")?;
        let b = nested(t.bundle()?);
        let c = b.start()?;
        go_on(&b, &["inner", "outer"])?;
        c.rt("pause")?.ok()?;
        c.kill("KILL")?;
        c.becomes("stopped")?;
        c.delete()
    }),
    test("delete-force-paused-nested", "delete --force of such a one leaves nothing", |t| {
        layout::has("freezer")?;
        let b = nested(t.bundle()?);
        let c = b.start()?;
        go_on(&b, &["inner", "outer"])?;
        c.rt("pause")?.ok()?;
        t.rt(["delete", "--force", &c.id])?.ok()?;
        t.nothing_left()
    }),
];

/// The chapter's tests of lists and signals.
pub(crate) const PROCESSES: &[Test] = &[
    test("ps-is-the-cgroup", "ps has the processes of the cgroup, exec's too", |t| {
        let c = t.bundle()?.sh("sleep 100 & sleep 100 & echo up; wait").start()?;
        c.shows("up")?;
        c.exec(["--detach"], ["/bin/sleep", "100"]).ok()?;
        t.until("four processes", || Ok(members(&c, "")?.len() == 4))?;
        is(pids(&c)?, members(&c, "")?)
    }),
    test("ps-nested", "ps has those in cgroups below, too", |t| {
        layout::has("pids")?;
        let b = nested(t.bundle()?);
        let c = b.start()?;
        go_on(&b, &["inner", "outer"])?;
        c.rt("pause")?.ok()?;
        let mut wanted = members(&c, "")?;
        wanted.extend(members(&c, "/below")?);
        wanted.sort_unstable();
        that(wanted.len() >= 2, "there are two or more")?;
        is(pids(&c)?, wanted)
    }),
    test("ps-table-several", "the table has a line for each process, and no other", |t| {
        let c = t.bundle()?.sh("sleep 4322 & sleep 4323 & echo up; wait").start()?;
        c.shows("up")?;
        let _other = t.bundle()?.args(["/bin/sleep", "4324"]).start()?;
        let table = c.rt("ps")?.ok()?;
        is(table.lines().count(), 4)?;
        has(&table, "sleep 4322")?;
        has(&table, "sleep 4323")?;
        lacks(&table, "sleep 4324")
    }),
    test("ps-arguments", "runc: what follows the id are arguments of ps", |t| {
        let c = t.bundle()?.args(["/bin/sleep", "4325"]).start()?;
        let pid = c.pid()?.to_string();
        let table = t.rt(["ps", &c.id, "-e", "-o", "pid,comm"])?.ok()?;
        let lines: Vec<Vec<&str>> = table.lines().map(|l| l.split_whitespace().collect()).collect();
        is(lines.len(), 2)?;
        is(lines[0].clone(), vec!["PID", "COMMAND"])?;
        is(lines[1][0], pid.as_str())
    }),
    test("ps-created", "ps of a created container has its one process", |t| {
        let c = t.bundle()?.sleeps().create()?;
        is(pids(&c)?, [i64::from(c.pid()?)])
    }),
    test("ps-paused", "ps of a paused container", |t| {
        let c = t.bundle()?.sh("sleep 100 & echo up; wait").start()?;
        c.shows("up")?;
        c.rt("pause")?.ok()?;
        is(pids(&c)?.len(), 2)
    }),
    test("kill-all-every-process", "kill --all reaches every process of the cgroup", |t| {
        let trap = |name: &str| {
            format!(
                "trap 'echo {name} got it; exit' USR1; echo {name} up; while :; do sleep 0.02; done"
            )
        };
        let b = t.bundle()?.share("pid").sh(&format!("({}) & {}", trap("one"), trap("two")));
        let c = b.start()?;
        c.shows("one up")?;
        c.shows("two up")?;
        t.rt(["kill", "--all", &c.id, "USR1"])?.ok()?;
        c.shows("one got it")?;
        c.shows("two got it")
    }),
    test("kill-all-nested", "kill --all reaches those in cgroups below, too", |t| {
        layout::has("freezer")?;
        let b = nested(t.bundle()?.share("pid"));
        let c = b.start()?;
        go_on(&b, &["inner", "outer"])?;
        t.rt(["kill", "--all", &c.id, "KILL"])?.ok()?;
        t.until("no process below", || emptied(&c, "/below"))?;
        c.becomes("stopped")?;
        rest(&b, &["inner", "outer"])?;
        c.delete()
    }),
    test("kill-all-paused", "kill --all KILL ends a paused container", |t| {
        let c = t.bundle()?.sh("sleep 100 & sleep 100 & echo up; wait").start()?;
        c.shows("up")?;
        c.rt("pause")?.ok()?;
        t.rt(["kill", "--all", &c.id, "KILL"])?.ok()?;
        c.becomes("stopped")
    }),
    test("kill-shared-pid-namespace", "without a pid namespace SIGKILL ends all of them", |t| {
        let b = t.bundle()?.share("pid").sh(&format!("({}) & {}", counts("one"), counts("two")));
        let c = b.start()?;
        go_on(&b, &["one", "two"])?;
        c.kill("KILL")?;
        c.becomes("stopped")?;
        t.until("an empty cgroup", || emptied(&c, ""))?;
        rest(&b, &["one", "two"])?;
        is(&c.state()?["status"], &json!("stopped"))
    }),
];
