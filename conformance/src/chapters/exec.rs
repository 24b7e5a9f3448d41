//! Exec: a further process in a container.

use std::fs;

use serde_json::{Value, json};

use crate::case::Case;
use crate::container::Container;
use crate::table::{Test, test};
use crate::verdict::{Verdict, has, is, lacks, that};

fn sleeping(t: &Case) -> Verdict<Container<'_>> {
    t.bundle()?.sleeps().start()
}

/// `exec` with flags and a script, to its end; returns what the script printed.
#[track_caller]
fn script(c: &Container<'_>, flags: &[&str], script: &str) -> Verdict<String> {
    c.exec(flags.iter().copied(), ["/bin/sh", "-c", script]).ok()
}

/// A process file with these properties besides the required ones.
fn process(t: &Case, script: &str, more: Value) -> Verdict<String> {
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
fn junk(t: &Case, user: &str) -> Verdict {
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
    test("in-paused", "runc: cannot exec in a paused container (use --ignore-paused to override)", |t| {
        let c = sleeping(t)?;
        c.rt("pause")?.ok()?;
        let out = c.exec([], ["/bin/true"]).output()?;
        out.refused(&["cannot exec in a paused container (use --ignore-paused to override)"])
    }),
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
        let out = c.exec([], []).output()?;
        that(out.code > 0, "it fails")?;
        let text = format!("{}{}", out.stdout, out.stderr);
        that(text.contains("argument") || text.contains("process"), text)
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
    test("cwd", "runc: exec --cwd", |t| {
        is(script(&sleeping(t)?, &["--cwd", "/tmp"], "pwd")?.as_str(), "/tmp")
    }),
    test("cwd-default", "runc: exec starts in the container's cwd", |t| {
        let c = t.bundle()?.set("/process/cwd", "/etc").sleeps().start()?;
        is(c.says("pwd")?.as_str(), "/etc")
    }),
    test("cwd-relative", "runc: a cwd that is not absolute is refused", |t| {
        let out = sleeping(t)?.exec(["--cwd", "tmp"], ["/bin/pwd"]).output()?;
        out.refused(&["cwd", "absolute"])
    }),
    test("env", "runc: exec --env adds to the container's environment", |t| {
        let c = t.bundle()?.push("/process/env", "BASE=1").push("/process/env", "X=old").sleeps();
        let said = script(&c.start()?, &["--env", "X=new", "--env", "Y=2 3"], "echo $BASE $X $Y")?;
        is(said.as_str(), "1 new 2 3")
    }),
    test("user", "runc: exec --user UID", |t| {
        let said = script(&sleeping(t)?, &["--user", "1"], "id -u; id -g")?;
        is(said.as_str(), "1\n0")
    }),
    test("user-and-group", "runc: exec --user UID:GID", |t| {
        is(script(&sleeping(t)?, &["-u", "1:2"], "id -u; id -g")?.as_str(), "1\n2")
    }),
    test("user-default", "runc: exec runs as the container's user", |t| {
        let b = t.bundle()?.set("/process/user", json!({ "uid": 1000, "gid": 1001 }));
        is(b.sleeps().start()?.says("id -u; id -g")?.as_str(), "1000\n1001")
    }),
    test("user-name", "CVE-2026-30892: a user that is no number is refused", |t| junk(t, "abc")),
    test("user-empty-group", "CVE-2026-30892: 1: is refused", |t| junk(t, "1:")),
    test("user-empty", "CVE-2026-30892: :1 is refused", |t| junk(t, ":1")),
    test("user-too-large", "CVE-2026-30892: 4294967296 is refused", |t| junk(t, "4294967296")),
    test("user-trailing", "CVE-2026-30892: 1x is refused", |t| junk(t, "1x")),
    test("additional-gids", "runc: exec --additional-gids", |t| {
        let flags = ["--user", "1:2", "--additional-gids", "42", "--additional-gids", "43"];
        let said = script(&sleeping(t)?, &flags, "grep ^Groups /proc/self/status | cut -f2")?;
        is(said.trim(), "42 43")
    }),
    test("process-file", "runc: exec --process FILE", |t| {
        let c = sleeping(t)?;
        let file = process(
            t,
            "id -u; id -g; pwd; echo $V; exit 4",
            json!({
                "cwd": "/tmp", "env": ["PATH=/bin", "V=file"],
                "user": { "uid": 7, "gid": 8 }
            }),
        )?;
        let out = t.rt(["exec", "--process", &file, &c.id])?;
        is(out.text(), "7\n8\n/tmp\nfile")?;
        out.exits(4)
    }),
    test("process-file-limits", "containerd: a process file's rlimits", |t| {
        let c = sleeping(t)?;
        let limits = json!([{ "type": "RLIMIT_NOFILE", "soft": 77, "hard": 88 }]);
        let file = process(t, "ulimit -Sn; ulimit -Hn", json!({ "rlimits": limits }))?;
        is(t.rt(["exec", "-p", &file, &c.id])?.ok()?.as_str(), "77\n88")
    }),
    test("process-file-capabilities", "containerd: a process file's capabilities", |t| {
        let c = sleeping(t)?;
        let set = json!(["CAP_CHOWN"]);
        let sets = json!({ "bounding": set, "permitted": set, "effective": set });
        let script = "grep -E '^Cap(Eff|Bnd)' /proc/self/status | cut -f2 | sort -u";
        let file = process(t, script, json!({ "capabilities": sets, "noNewPrivileges": true }))?;
        is(t.rt(["exec", "-p", &file, &c.id])?.ok()?.as_str(), "0000000000000001")
    }),
    test("process-file-bad", "a damaged process file is refused", |t| {
        let c = sleeping(t)?;
        let file = t.file("broken.json", "{\"args\": [")?.to_string_lossy().into_owned();
        let out = t.rt(["exec", "--process", &file, &c.id])?;
        that(out.code > 0 && !out.stderr.is_empty(), format!("it fails: {out:?}"))?;
        let file = process(t, "echo good", json!({}))?;
        t.rt(["exec", "--process", &file, &c.id])?.prints("good")
    }),
    test("process-file-missing", "a missing process file is refused by its name", |t| {
        let c = sleeping(t)?;
        t.rt(["exec", "--process", "/no/such.json", &c.id])?.refused(&["/no/such.json"])
    }),
    test("detach", "runc: exec --detach returns at once; --pid-file has the pid on the host", |t| {
        let c = sleeping(t)?;
        let file = t.path("exec.pid");
        c.exec(["--detach", "--pid-file", &file.to_string_lossy()], ["/bin/sleep", "88"]).ok()?;
        let pid: i32 = fs::read_to_string(&file)?.parse()?;
        let ns = fs::read_link(format!("/proc/{pid}/ns/pid"))?;
        is(ns.to_string_lossy(), c.link("ns/pid")?)?;
        t.until("sleep", || Ok(fs::read_to_string(format!("/proc/{pid}/cmdline"))?.contains("88")))
    }),
    test("detached-child", "an exec's process is reaped by the engine: its parent is outside", |t| {
        let c = sleeping(t)?;
        let file = t.path("exec.pid");
        c.exec(["-d", "--pid-file", &file.to_string_lossy()], ["/bin/sleep", "88"]).ok()?;
        let pid: i32 = fs::read_to_string(file)?.parse()?;
        // The test's process is the reaper of all orphans.
        t.until("the orphan is ours", || {
            let parent = procfs::process::Process::new(pid)?.stat()?.ppid;
            Ok(parent == std::process::id().cast_signed())
        })
    }),
    test("namespaces", "exec's process is in all of the container's namespaces", |t| {
        let b = t.bundle()?.unshare("cgroup");
        let c = b.sleeps().start()?;
        for name in ["cgroup", "ipc", "mnt", "net", "pid", "uts", "user"] {
            let link = format!("ns/{name}");
            is(c.says(&format!("readlink /proc/self/{link}"))?, c.link(&link)?)?;
        }
        Ok(())
    }),
    test("root", "exec's process has the container's root", |t| {
        let c = sleeping(t)?;
        is(c.says("stat -c %i /; ls /bin/busybox")?, {
            let inode = fs::metadata(format!("/proc/{}/root", c.pid()?))?;
            format!("{}\n/bin/busybox", std::os::unix::fs::MetadataExt::ino(&inode))
        })
    }),
    test("pids-visible", "exec's process sees the container's first one as pid 1", |t| {
        let c = sleeping(t)?;
        has(c.says("tr '\\0' ' ' < /proc/1/cmdline")?, "/bin/sleep 100")
    }),
    test("fds", "exec's process has descriptors 0, 1, 2 and no other", |t| {
        let c = sleeping(t)?;
        let open = "exec 3</ 4<. 5</etc/passwd 8</dev/null; exec \"$@\"";
        let call = c.exec([], ["/bin/ls", "/proc/self/fd"]).through(["/bin/sh", "-c", open, "sh"]);
        // The fourth is the directory that ls reads.
        is(call.ok()?.as_str(), "0\n1\n2\n3")
    }),
    test("preserve-fds", "runc: exec --preserve-fds", |t| {
        let c = sleeping(t)?;
        let file = t.file("three", "kept\n")?;
        let open = format!("exec 3<{}; exec \"$@\"", file.display());
        let call = c.exec(["--preserve-fds", "1"], ["/bin/sh", "-c", "cat <&3"]);
        is(call.through(["/bin/sh", "-c", &open, "sh"]).ok()?.as_str(), "kept")
    }),
    test("many-at-once", "execs run beside each other", |t| {
        let c = sleeping(t)?;
        let run = |n: u32| c.exec([], ["/bin/sh", "-c", &format!("sleep 0.1; echo {n}")]).spawn();
        let calls = (0..6).map(run).collect::<Verdict<Vec<_>>>()?;
        (0..6).zip(calls).try_for_each(|(n, call)| call.wait()?.prints(&n.to_string()))
    }),
    test("flags-stop-at-the-command", "runc: what follows the id belongs to the command", |t| {
        let c = sleeping(t)?;
        is(c.exec([], ["/bin/echo", "--cwd", "-t", "--", "x"]).ok()?.as_str(), "--cwd -t -- x")
    }),
    test("cgroup-flag", "runc: exec --cgroup puts the process below the container's cgroup", |t| {
        let c = sleeping(t)?;
        let sub = format!("/sys/fs/cgroup/pids/{}/sub", c.id);
        fs::create_dir(&sub)?;
        let said = script(&c, &["--cgroup", "pids:sub"], "grep :pids: /proc/self/cgroup")?;
        that(said.ends_with(&format!("/{}/sub", c.id)), said)
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
    test("capability-added-not-inheritable", "CVE-2022-29162: exec --cap leaves CapInh as it is", |t| {
        let c = sleeping(t)?;
        is(status(&c, &["--cap", "CAP_NET_ADMIN"], "CapInh")?.as_str(), "0000000000000000")
    }),
    test("no-new-privileges-inherited", "exec's process has the container's noNewPrivileges", |t| {
        is(status(&sleeping(t)?, &[], "NoNewPrivs")?.as_str(), "1")?;
        let c = t.bundle()?.set("/process/noNewPrivileges", false).sleeps().start()?;
        is(status(&c, &[], "NoNewPrivs")?.as_str(), "0")
    }),
    test("no-new-privileges-flag", "runc: exec --no-new-privs", |t| {
        let c = t.bundle()?.set("/process/noNewPrivileges", false).sleeps().start()?;
        is(status(&c, &["--no-new-privs"], "NoNewPrivs")?.as_str(), "1")
    }),
    test("rlimits", "exec's process has the container's rlimits", |t| {
        let limits = json!([{ "type": "RLIMIT_NOFILE", "soft": 99, "hard": 111 }]);
        let c = t.bundle()?.set("/process/rlimits", limits).sleeps().start()?;
        is(c.says("ulimit -Sn; ulimit -Hn")?.as_str(), "99\n111")
    }),
    test("umask", "exec's process has the default umask, whatever the caller's is", |t| {
        let call = sleeping(t)?.exec([], ["/bin/sh", "-c", "umask"]);
        let said = call.through(["/bin/sh", "-c", "umask 077; exec \"$@\"", "sh"]).ok()?;
        is(said.as_str(), "0022")
    }),
    test("groups", "the groups of exec's caller do not reach the process", |t| {
        let c = sleeping(t)?;
        let call = c.exec([], ["/bin/sh", "-c", "echo :; grep ^Groups /proc/self/status | cut -f2"]);
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
