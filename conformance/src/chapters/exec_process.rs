//! Exec: what the process is given, and where it runs.

use super::exec::{junk, process, script, sleeping};
use crate::layout::{self, either};
use crate::table::{Test, test};
use crate::verdict::{Verdict, has, is, that};
use serde_json::json;
use std::fs;

/// More of the chapter's tests.
pub(crate) const TESTS: &[Test] = &[
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
        let limits = json!([{ "type": "RLIMIT_STACK", "soft": 77824, "hard": 90112 }]);
        let file = process(t, "ulimit -Ss; ulimit -Hs", json!({ "rlimits": limits }))?;
        is(t.rt(["exec", "-p", &file, &c.id])?.ok()?.as_str(), "76\n88")
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
    test(
        "detach",
        "runc: exec --detach returns at once; --pid-file has the pid on the host",
        |t| {
            let c = sleeping(t)?;
            let file = t.path("exec.pid");
            c.exec(["--detach", "--pid-file", &file.to_string_lossy()], ["/bin/sleep", "88"])
                .ok()?;
            let pid: i32 = fs::read_to_string(&file)?.parse()?;
            let ns = fs::read_link(format!("/proc/{pid}/ns/pid"))?;
            is(ns.to_string_lossy(), c.link("ns/pid")?)?;
            t.until("sleep", || {
                Ok(fs::read_to_string(format!("/proc/{pid}/cmdline"))?.contains("88"))
            })
        },
    ),
    test(
        "detached-child",
        "an exec's process is reaped by the engine: its parent is outside",
        |t| {
            let c = sleeping(t)?;
            let file = t.path("exec.pid");
            c.exec(["-d", "--pid-file", &file.to_string_lossy()], ["/bin/sleep", "88"]).ok()?;
            let pid: i32 = fs::read_to_string(file)?.parse()?;
            // The test's process is the reaper of all orphans.
            t.until("the orphan is ours", || {
                let parent = procfs::process::Process::new(pid)?.stat()?.ppid;
                Ok(u32::try_from(parent)? == std::process::id())
            })
        },
    ),
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
        fs::create_dir(layout::path("pids", &c.id, "sub"))?;
        let said = script(&c, &["--cgroup", either("pids:sub", "sub")], "cat /proc/self/cgroup")?;
        let line = layout::line(&said, "pids").unwrap_or_default();
        that(line.ends_with(&format!("{}/sub", layout::of(&c.id))), said)
    }),
];
