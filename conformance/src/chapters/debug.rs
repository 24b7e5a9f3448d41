//! Life cycle: `--debug`, the steps of a command as they are taken.

use std::fs;

use serde_json::{Value, json};

use crate::table::{Test, test};
use crate::verdict::{Verdict, has, is, lacks, that};

/// What people look for in runc's own steps of `run`.
const OF_RUN: [&str; 2] = ["nsexec container setup", "child process in init()"];

/// More of the chapter's tests.
pub(crate) const TESTS: &[Test] = &[
    test("debug-run", "runc: --debug shows the steps of both processes, on standard error", |t| {
        let out = t.bundle()?.sh("echo runs").call("run")?.global(["--debug"]).output()?;
        out.prints("runs")?;
        for step in OF_RUN {
            has(&out.stderr, step)?;
        }
        that(out.stderr.lines().all(|line| line.contains(" level=debug msg=")), &out.stderr)
    }),
    test("debug-off", "without --debug a command that succeeds says nothing", |t| {
        let out = t.bundle()?.sh("echo runs").run()?;
        out.prints("runs")?;
        is(out.stderr.as_str(), "")
    }),
    test("debug-log", "runc: with --log the steps go there, as JSON too", |t| {
        let log = t.path("log");
        let flags = ["--debug", "--log", &log.to_string_lossy(), "--log-format", "json"];
        let out = t.bundle()?.sh("echo runs").call("run")?.global(flags).output()?;
        out.prints("runs")?;
        is(out.stderr.as_str(), "")?;
        let text = fs::read_to_string(log)?;
        for step in OF_RUN {
            has(&text, step)?;
        }
        for line in text.lines() {
            let line: Value = serde_json::from_str(line)?;
            is(&line["level"], &json!("debug"))?;
            that(line["msg"].is_string() && line["time"].is_string(), line.to_string())?;
        }
        Ok(())
    }),
    test("debug-limits", "--debug names the files of the cgroup and what is written there", |t| {
        let b = t.bundle()?.set("/linux/resources/pids/limit", 77);
        let out = b.sh("true").call("run")?.global(["--debug"]).output()?;
        out.ok()?;
        has(&out.stderr, "pids.max")?;
        has(&out.stderr, "77")
    }),
    test("debug-create-start", "--debug of create, start, kill and delete, each by itself", |t| {
        let b = t.bundle()?.sh("echo runs; sleep 30");
        let c = b.create_by(b.call("create")?.global(["--debug"]))?;
        // The container's process still shows its steps, but nobody looks.
        c.start()?;
        c.shows("runs")?;
        let out = c.call("kill").arg("KILL").global(["--debug"]).output()?;
        out.ok()?;
        has(out.stderr, "signal 9")?;
        c.becomes("stopped")?;
        let out = c.call("delete").global(["--debug"]).output()?;
        out.ok()?;
        has(out.stderr, "level=debug")
    }),
    test("debug-start", "--debug of start has the container's part, if create had it", |t| {
        let b = t.bundle()?.sleeps();
        let c = b.create_by(b.call("create")?.global(["--debug"]))?;
        let out = c.call("start").global(["--debug"]).output()?;
        out.ok()?;
        has(out.stderr, "init: closing the pipe to signal completion")
    }),
    test("debug-exec", "runc: --debug of exec", |t| {
        let c = t.bundle()?.sleeps().start()?;
        let call = c.call("exec").args(["echo", "runs"]).global(["--debug"]);
        let out = call.output()?;
        out.prints("runs")?;
        has(&out.stderr, "nsexec container setup")?;
        has(out.stderr, "setns_init: about to exec")
    }),
    test("debug-descriptors", "--debug leaves nothing open in the container", |t| {
        let b = t.bundle()?.sh("echo $(ls /proc/self/fd) end; sleep 30");
        let c = b.create_by(b.call("create")?.global(["--debug"]))?;
        c.start()?;
        c.shows("end")?;
        // 3 is the directory that ls looks at.
        is(c.printed()?.as_str(), "0 1 2 3 end")
    }),
    test("debug-secrets", "--debug keeps the values of variables to itself", |t| {
        let b = t.bundle()?.push("/process/env", "SECRET=xyzzy").sh("echo $SECRET");
        let log = t.path("log");
        let flags = ["--debug", "--log", &log.to_string_lossy()];
        b.call("run")?.global(flags).output()?.prints("xyzzy")?;
        let text = fs::read_to_string(log)?;
        has(&text, "level=debug")?;
        lacks(text, "xyzzy")
    }),
    test(
        "run-late-failure",
        "runc: what fails after start the container's process says itself: a sentence, and 255",
        |t| -> Verdict {
            let b = t.bundle()?;
            let script = b.rootfs("run.sh");
            fs::write(&script, "#!/no/such/program\n")?;
            t.host(["chmod", "755", &script.to_string_lossy()])?;
            let out = b.args(["/run.sh"]).run()?;
            out.exits(255)?;
            is(out.stderr.as_str(), "exec /run.sh: no such file or directory\n")
        },
    ),
];
