//! Life cycle: what the operations print, write and return, and the forms of their command lines.

use std::fs;

use serde_json::{Value, json};

use crate::table::{Test, test};
use crate::verdict::{has, is, that};

/// The chapter's tests of command lines and output.
pub(crate) const TESTS: &[Test] = &[
    test("run-exit-status", "runc: run exits with the process's exit status", |t| {
        t.bundle()?.sh("exit 0").run()?.exits(0)?;
        t.bundle()?.sh("exit 7").run()?.exits(7)?;
        t.bundle()?.sh("exit 255").run()?.exits(255)
    }),
    test("run-signal-status", "runc: run exits with 128 plus the signal's number", |t| {
        // The first process of a pid namespace can't send itself SIGKILL.
        t.bundle()?.share("pid").sh("kill -KILL $$").run()?.exits(137)?;
        t.bundle()?.share("pid").sh("kill -TERM $$").run()?.exits(143)
    }),
    test("run-deletes", "runc: run deletes the container when its process has ended", |t| {
        let b = t.bundle()?.sh("echo here");
        b.run()?.prints("here")?;
        t.nothing_left()?;
        t.rt(["state", &b.id])?.refused(&["does not exist"])
    }),
    test("run-keep", "runc: run --keep leaves the stopped container", |t| {
        let b = t.bundle()?.sh("exit 3").flags(["--keep"]);
        b.run()?.exits(3)?;
        is(&t.rt(["state", &b.id])?.json()?["status"], &json!("stopped"))
    }),
    test("run-detach", "runc: run --detach returns as soon as the process runs", |t| {
        let b = t.bundle()?.sleeps().flags(["--detach"]);
        b.run()?.ok()?;
        is(&t.rt(["state", &b.id])?.json()?["status"], &json!("running"))
    }),
    test("run-forwards-signals", "runc: run passes the signals it gets to the process", |t| {
        let b = t.bundle()?.sh("trap 'exit 42' USR1; echo up; while :; do sleep 0.02; done");
        let run = b.call("run")?.spawn()?;
        t.until("the process", || Ok(fs::read_to_string(&run.stdout)?.contains("up")))?;
        t.host(["kill", "-USR1", &run.pid().to_string()])?;
        run.wait()?.exits(42)
    }),
    test("run-stdin-stdout", "runc: run connects its standard streams with the process", |t| {
        let b = t.bundle()?.sh("read line; echo got $line; echo bad >&2");
        let out = b.call("run")?.stdin("words\n")?.output()?;
        out.prints("got words")?;
        has(&out.stderr, "bad")
    }),
    test("run-stdin-end", "runc: the end of standard input reaches the process", |t| {
        let out = t.bundle()?.args(["wc", "-c"]).call("run")?.stdin("12345")?.output()?;
        out.prints("5")
    }),
    test("create-pid-file", "runc: the pid file holds the decimal pid and nothing else", |t| {
        let file = t.path("pid");
        let b = t.bundle()?.sleeps().flags(["--pid-file", &file.to_string_lossy()]);
        let c = b.create()?;
        is(fs::read_to_string(file)?, c.pid()?.to_string())
    }),
    test("run-pid-file", "runc: run --detach writes the pid file too", |t| {
        let file = t.path("pid");
        let b = t.bundle()?.sleeps().flags(["-d", "--pid-file", &file.to_string_lossy()]);
        b.run()?.ok()?;
        let state = t.rt(["state", &b.id])?.json()?;
        is(fs::read_to_string(file)?, state["pid"].to_string())
    }),
    test("state-fields", "spec, State: ociVersion, id, status, pid, bundle, annotations", |t| {
        let b = t.bundle()?.sleeps().set("/annotations", json!({ "org.example.key": "value" }));
        let state = b.start()?.state()?;
        is(&state["id"], &json!(b.id))?;
        is(&state["status"], &json!("running"))?;
        is(&state["bundle"], &json!(b.dir))?;
        is(&state["annotations"], &json!({ "org.example.key": "value" }))?;
        that(state["pid"].as_i64() > Some(1), "pid is the process's")?;
        let version = state["ociVersion"].as_str().unwrap_or_default();
        that(version.starts_with("1."), "ociVersion is 1.x")
    }),
    test("state-fields-of-runc", "runc: state has rootfs, created (RFC 3339) and owner too", |t| {
        let b = t.bundle()?.sleeps();
        let state = b.create()?.state()?;
        is(&state["rootfs"], &json!(b.rootfs("").to_string_lossy().trim_end_matches('/')))?;
        let created = state["created"].as_str().unwrap_or_default();
        that(created.len() >= 20 && created.ends_with('Z'), format!("a UTC time: {created}"))?;
        is(&created[4..5], "-")?;
        is(&created[10..11], "T")?;
        that(state["owner"].is_string(), "there is an owner")
    }),
    test("state-pid-is-the-process", "spec, State: pid is the ID of the container process", |t| {
        let c = t.bundle()?.share("pid").sh("echo $$; exec sleep 100").start()?;
        t.until("a pid", || Ok(!c.printed()?.is_empty()))?;
        is(c.printed()?, c.pid()?.to_string())
    }),
    test("list-empty-json", "runc: list --format json of nothing prints null", |t| {
        t.dir("root")?;
        is(t.rt(["list", "--format", "json"])?.json()?, Value::Null)
    }),
    test("list-table", "runc: the table has ID PID STATUS BUNDLE CREATED OWNER", |t| {
        let b = t.bundle()?.sleeps();
        let pid = b.start()?.pid()?.to_string();
        let table = t.rt(["list"])?.ok()?;
        let rows: Vec<Vec<&str>> = table.lines().map(|l| l.split_whitespace().collect()).collect();
        is(&rows[0][..], ["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"])?;
        let dir = b.dir.to_string_lossy();
        is(&rows[1][..4], [b.id.as_str(), &pid, "running", &dir])?;
        is(rows[1].last(), Some(&"root"))
    }),
    test("list-json", "runc: list --format json has the fields of state", |t| {
        let c = t.bundle()?.sleeps().start()?;
        let list = t.rt(["list", "-f", "json"])?.json()?;
        let state = c.state()?;
        is(list.as_array().map(Vec::len), Some(1))?;
        for field in ["id", "pid", "status", "bundle", "rootfs", "ociVersion", "created"] {
            is(&list[0][field], &state[field])?;
        }
        is(&list[0]["owner"], &json!("root"))
    }),
    test("list-quiet", "runc: list --quiet prints ids only", |t| {
        let (one, two) = (t.bundle()?.sleeps().create()?, t.bundle()?.sleeps().create()?);
        let text = t.rt(["list", "--quiet"])?.ok()?;
        let mut ids: Vec<&str> = text.lines().collect();
        ids.sort_unstable();
        is(ids, [one.id.as_str(), &two.id])
    }),
    test("list-bad-format", "runc: an unknown format of list is refused", |t| {
        t.dir("root")?;
        t.rt(["list", "--format", "xml"])?.refused(&["format"])
    }),
    test("ps-json", "runc: ps --format json is a list of pids on the host", |t| {
        let c = t.bundle()?.sh("sleep 50 & echo up; wait").start()?;
        c.shows("up")?;
        let pids = t.rt(["ps", "--format", "json", &c.id])?.json()?;
        is(pids.as_array().map(Vec::len), Some(2))?;
        let init = json!(c.pid()?);
        that(pids.as_array().is_some_and(|list| list.contains(&init)), "the first process is in it")
    }),
    test("ps-table", "runc: ps prints the host's ps table, of the container's processes", |t| {
        let c = t.bundle()?.args(["/bin/sleep", "4321"]).start()?;
        let table = c.rt("ps")?.ok()?;
        let lines: Vec<&str> = table.lines().collect();
        is(lines.len(), 2)?;
        has(lines[0], "PID")?;
        has(lines[1], &c.pid()?.to_string())?;
        has(lines[1], "sleep 4321")
    }),
    test(
        "ps-without-cgroup",
        "crun: --cgroup-manager disabled: ps tells the processes all the same",
        |t| {
            let flags = ["--cgroup-manager", "disabled"];
            let help = t.rt(["--help"])?;
            t.others_may_lack(flags[0], help.stdout.contains(flags[0]))?;
            let b = t.bundle()?.without("/linux/cgroupsPath").sh("sleep 50 & echo up; wait");
            let c = b.create_by(b.call("create")?.global(flags))?;
            c.call("start").global(flags).ok()?;
            c.shows("up")?;
            let state = c.call("state").global(flags).output()?.json()?;
            let pids = t.call(["ps", "--format", "json", &c.id]).global(flags).output()?.json()?;
            is(pids.as_array().map(Vec::len), Some(2))?;
            that(
                pids.as_array().is_some_and(|list| list.contains(&state["pid"])),
                "the init is in it",
            )
        },
    ),
    test("ps-missing", "runc: ps of an unknown id is an error", |t| {
        t.rt(["ps", "nothing"])?.refused(&["does not exist"])
    }),
    test("version", "go-runc: the first line of --version is NAME version X; spec: follows", |t| {
        let text = t.rt(["--version"])?.ok()?;
        let first: Vec<&str> = text.lines().next().unwrap_or_default().split(' ').collect();
        is(first.get(1), Some(&"version"))?;
        that(text.lines().any(|line| line.starts_with("spec: 1.")), "a line spec: 1.x")
    }),
];
