//! Exec: a further process in a container.

use std::fs;

use serde_json::{Value, json};

use crate::case::Case;
use crate::container::Container;
use crate::table::{Test, test};
use crate::verdict::{Verdict, has, is, lacks, that};

pub(super) fn sleeping(t: &Case) -> Verdict<Container<'_>> {
    t.bundle()?.sleeps().start()
}

/// `exec` with flags and a script, to its end; returns what the script printed.
#[track_caller]
pub(super) fn script(c: &Container<'_>, flags: &[&str], script: &str) -> Verdict<String> {
    c.exec(flags.iter().copied(), ["/bin/sh", "-c", script]).ok()
}

/// A process file with these properties besides the required ones.
pub(super) fn process(t: &Case, script: &str, more: Value) -> Verdict<String> {
    let mut process = json!({
        "cwd": "/", "user": { "uid": 0, "gid": 0 }, "env": ["PATH=/bin"],
        "args": ["/bin/sh", "-c", script]
    });
    if let (Some(process), Value::Object(more)) = (process.as_object_mut(), more) {
        process.extend(more);
    }
    Ok(t.file("process.json", process.to_string())?.to_string_lossy().into_owned())
}

/// A user that `exec --user` must refuse, by naming it.
pub(super) fn junk(t: &Case, user: &str) -> Verdict {
    let c = sleeping(t)?;
    let out = c.exec(["--user", user], ["/bin/id"]).output()?;
    that(out.code != 0 && out.stdout.is_empty(), format!("{user:?} is refused: {}", out.stdout))?;
    has(out.stderr, user.split(':').next().unwrap_or_default())?;
    // The same command with a user that is one.
    has(c.exec(["--user", "1"], ["/bin/id"]).ok()?, "uid=1")
}

/// The chapter's tests of processes.
pub(crate) const TESTS: &[Test] = &[
    test("output", "runc: exec connects the standard streams", |t| {
        let c = sleeping(t)?;
        let out = c.exec([], ["/bin/sh", "-c", "read x; echo got $x; echo bad >&2"]);
        let out = out.stdin("words\n")?.output()?;
        out.prints("got words")?;
        has(out.stderr, "bad")
    }),
    test("exit-status", "runc: exec exits with the process's status", |t| {
        let c = sleeping(t)?;
        c.exec([], ["/bin/sh", "-c", "exit 7"]).output()?.exits(7)?;
        c.exec([], ["/bin/true"]).output()?.exits(0)
    }),
    test("signal-status", "runc: exec exits with 128 plus the signal's number", |t| {
        sleeping(t)?.exec([], ["/bin/sh", "-c", "kill -KILL $$"]).output()?.exits(137)
    }),
    test("forwards-signals", "runc: exec passes signals to the process", |t| {
        let c = sleeping(t)?;
        let script = "trap 'exit 43' USR1; echo up; while :; do sleep 0.02; done";
        let run = c.exec([], ["/bin/sh", "-c", script]).spawn()?;
        t.until("the process", || Ok(fs::read_to_string(&run.stdout)?.contains("up")))?;
        t.host(["kill", "-USR1", &run.pid().to_string()])?;
        run.wait()?.exits(43)
    }),
    test("in-created", "spec: exec works in a created container", |t| {
        let c = t.bundle()?.sleeps().create()?;
        is(c.says("echo inside")?.as_str(), "inside")?;
        c.is("created")
    }),
    test("in-stopped", "runc: cannot exec in a stopped container", |t| {
        let c = t.bundle()?.start()?;
        c.becomes("stopped")?;
        c.exec([], ["/bin/true"]).output()?.refused(&["cannot exec in a stopped container"])
    }),
    test(
        "in-paused",
        "runc: cannot exec in a paused container (use --ignore-paused to override)",
        |t| {
            let c = sleeping(t)?;
            c.rt("pause")?.ok()?;
            let out = c.exec([], ["/bin/true"]).output()?;
            out.refused(&["cannot exec in a paused container (use --ignore-paused to override)"])
        },
    ),
    test("ignore-paused", "runc: exec --ignore-paused waits until the container is resumed", |t| {
        let c = sleeping(t)?;
        c.rt("pause")?.ok()?;
        let mut run = c.exec(["--ignore-paused"], ["/bin/echo", "resumed"]).spawn()?;
        std::thread::sleep(std::time::Duration::from_millis(150));
        that(!run.ended()?, "exec waits")?;
        c.rt("resume")?.ok()?;
        run.wait()?.prints("resumed")
    }),
    test("missing-container", "runc: container does not exist", |t| {
        t.rt(["exec", "nothing", "true"])?.refused(&["container does not exist"])
    }),
    test("missing-command", "exec without a command is refused", |t| {
        let c = sleeping(t)?;
        c.exec([], []).output()?.refused(&["args cannot be empty|minimum of 2 arguments"])
    }),
    test("not-found", "runc: rc 255, exec: \"x\": executable file not found in $PATH", |t| {
        let out = sleeping(t)?.exec([], ["no-such-command"]).output()?;
        out.refused(&["exec: \"no-such-command\": executable file not found in $PATH"])?;
        out.exits(255)
    }),
    test("no-such-file", "runc: rc 255, stat /no/such: no such file or directory", |t| {
        let out = sleeping(t)?.exec([], ["/no/such"]).output()?;
        out.refused(&["exec: \"/no/such\":", "stat /no/such: no such file or directory"])?;
        has(&out.stderr, "no such file or directory")?;
        out.exits(255)
    }),
    test("permission-denied", "runc: rc 255, permission denied", |t| {
        let out = sleeping(t)?.exec([], ["/etc/passwd"]).output()?;
        has(&out.stderr, "/etc/passwd")?;
        has(&out.stderr, "permission denied")?;
        out.exits(255)
    }),
    test("failure-leaves-the-container", "a failed exec leaves the container as it was", |t| {
        let c = sleeping(t)?;
        c.exec([], ["/no/such"]).output()?.refused(&["/no/such"])?;
        c.is("running")?;
        let pids = t.rt(["ps", "--format", "json", &c.id])?.json()?;
        is(pids, json!([c.pid()?]))
    }),
];

/// One line of the status file of exec's process.
fn status(c: &Container<'_>, flags: &[&str], field: &str) -> Verdict<String> {
    script(c, flags, &format!("grep ^{field}: /proc/self/status | cut -f2"))
}

/// The chapter's tests of privileges.
pub(crate) const PRIVILEGES: &[Test] = &[
    test("capabilities", "exec's process has the container's five sets", |t| {
        let c = t.bundle()?.caps(&["CAP_KILL", "CAP_CHOWN"]).sleeps().start()?;
        let sets = c.proc("status")?;
        let sets: Vec<&str> = sets.lines().filter(|line| line.starts_with("Cap")).collect();
        is(c.says("grep ^Cap /proc/self/status")?.lines().collect::<Vec<_>>(), sets)
    }),
    test("capability-added", "runc: exec --cap adds to the sets", |t| {
        let c = t.bundle()?.caps(&["CAP_KILL"]).sleeps().start()?;
        is(status(&c, &["--cap", "CAP_NET_ADMIN"], "CapEff")?.as_str(), "0000000000001020")?;
        is(status(&c, &[], "CapEff")?.as_str(), "0000000000000020")
    }),
    test(
        "capability-added-not-inheritable",
        "CVE-2022-29162: exec --cap leaves CapInh as it is",
        |t| {
            let c = sleeping(t)?;
            is(status(&c, &["--cap", "CAP_NET_ADMIN"], "CapInh")?.as_str(), "0000000000000000")
        },
    ),
    test(
        "no-new-privileges-inherited",
        "exec's process has the container's noNewPrivileges",
        |t| {
            is(status(&sleeping(t)?, &[], "NoNewPrivs")?.as_str(), "1")?;
            let c = t.bundle()?.set("/process/noNewPrivileges", false).sleeps().start()?;
            is(status(&c, &[], "NoNewPrivs")?.as_str(), "0")
        },
    ),
    test("no-new-privileges-flag", "runc: exec --no-new-privs", |t| {
        let c = t.bundle()?.set("/process/noNewPrivileges", false).sleeps().start()?;
        is(status(&c, &["--no-new-privs"], "NoNewPrivs")?.as_str(), "1")
    }),
    test("rlimits", "exec's process has the container's rlimits", |t| {
        let limits = json!([{ "type": "RLIMIT_STACK", "soft": 65536, "hard": 1048576 }]);
        let c = t.bundle()?.set("/process/rlimits", limits).sleeps().start()?;
        let said = c.says("grep '^Max stack' /proc/self/limits | awk '{ print $4, $5 }'")?;
        is(said.as_str(), "65536 1048576")
    }),
    test("umask", "exec's process has the default umask", |t| {
        is(sleeping(t)?.says("umask")?.as_str(), "0022")
    }),
    test("groups", "the groups of exec's caller do not reach the process", |t| {
        let c = sleeping(t)?;
        let call =
            c.exec([], ["/bin/sh", "-c", "echo :; grep ^Groups /proc/self/status | cut -f2"]);
        let said = call.through(["setpriv", "--groups", "4,1234"]).ok()?;
        lacks(&said, "1234")?;
        has(said, ":")
    }),
    test("oom-score-adj", "exec's process has the container's oomScoreAdj", |t| {
        let c = t.bundle()?.set("/process/oomScoreAdj", 345).sleeps().start()?;
        is(c.says("cat /proc/self/oom_score_adj")?.as_str(), "345")
    }),
    test("home", "exec sets HOME for its user", |t| {
        let said = script(&sleeping(t)?, &["--user", "1000"], "echo $HOME")?;
        is(said.as_str(), "/home/user")
    }),
];
