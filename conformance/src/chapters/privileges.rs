//! Process: capabilities, limits, and how the executable is found.

use super::process::{capability_sets, status_of};
use crate::table::{Test, test};
use crate::verdict::{has, is, lacks};
use caps::CapSet;
use serde_json::json;

/// More of the chapter's tests.
pub(crate) const TESTS: &[Test] = &[
    test("capabilities-five-sets", "spec, Process: the five sets are what config.json says", |t| {
        let sets = json!({
            "bounding": ["CAP_CHOWN", "CAP_KILL", "CAP_NET_RAW"],
            "permitted": ["CAP_CHOWN", "CAP_KILL"],
            "effective": ["CAP_CHOWN"],
            "inheritable": ["CAP_KILL"],
            "ambient": ["CAP_KILL"],
        });
        // A user other than root, or the kernel's exec would recompute the sets.
        let b = t.bundle()?.set("/process/user", json!({ "uid": 1000, "gid": 1000 }));
        let c = b.set("/process/capabilities", sets).sleeps().start()?;
        for (set, names) in capability_sets(c.pid()?)? {
            match set {
                CapSet::Bounding => is(names, ["CAP_CHOWN", "CAP_KILL", "CAP_NET_RAW"])?,
                // What exec leaves to a user is the ambient set.
                _ => is(names, ["CAP_KILL"])?,
            }
        }
        Ok(())
    }),
    test("capabilities-of-root", "execve: root gains the bounding set, if it may", |t| {
        let sets = json!({ "bounding": ["CAP_CHOWN"], "permitted": [], "effective": [] });
        let b = t.bundle()?.set("/process/noNewPrivileges", false);
        let c = b.set("/process/capabilities", sets).sleeps().start()?;
        for (set, names) in capability_sets(c.pid()?)? {
            match set {
                CapSet::Inheritable | CapSet::Ambient => is(names, [""; 0])?,
                _ => is(names, ["CAP_CHOWN"])?,
            }
        }
        Ok(())
    }),
    test(
        "capabilities-ambient-warns",
        "runc: an ambient capability that can't be raised is left out with a warning",
        |t| {
            let b = t.bundle()?.caps(&["CAP_KILL", "CAP_CHOWN"]);
            let b = b.set("/process/capabilities/inheritable", json!(["CAP_KILL"]));
            let b = b.set("/process/capabilities/ambient", json!(["CAP_KILL", "CAP_CHOWN"]));
            let out = b.sh("grep CapAmb /proc/self/status | cut -f2").run()?;
            out.prints("0000000000000020")?;
            has(out.stderr, "can't raise ambient capability CAP_CHOWN: ")
        },
    ),
    test("capabilities-none", "spec: sets that are empty leave root without any capability", |t| {
        let none = json!({ "bounding": [], "permitted": [], "effective": [] });
        let b = t.bundle()?.set("/process/capabilities", none);
        let said =
            b.says("grep ^Cap /proc/self/status | cut -f2 | sort -u; chown 1 /tmp; id -u")?;
        is(said.as_str(), "0000000000000000\n0")
    }),
    test("capabilities-inheritable-empty", "CVE-2022-24769: nothing inheritable by default", |t| {
        is(status_of(t, "CapInh")?.as_str(), "0000000000000000")
    }),
    test(
        "capabilities-unknown-warns",
        "runc: an unknown capability is ignored with a warning",
        |t| {
            let b =
                t.bundle()?.raw("/process/capabilities/bounding", json!(["CAP_KILL", "CAP_NOPE"]));
            let out = b.sh("echo runs").run()?;
            out.prints("runs")?;
            has(&out.stderr, "CAP_NOPE")
        },
    ),
    test("no-new-privileges", "spec, Process: noNewPrivileges", |t| {
        is(status_of(t, "NoNewPrivs")?.as_str(), "1")?;
        let b = t.bundle()?.set("/process/noNewPrivileges", false);
        is(b.says("grep ^NoNewPrivs /proc/self/status | cut -f2")?.as_str(), "0")
    }),
    test("rlimits", "spec, Process: rlimits set soft and hard limits", |t| {
        // Not RLIMIT_NOFILE: Go raises its own, now and then after runc has set it.
        let limits = json!([
            { "type": "RLIMIT_STACK", "soft": 65536, "hard": 1048576 },
            { "type": "RLIMIT_CORE", "soft": 0, "hard": 0 }
        ]);
        let b = t.bundle()?.set("/process/rlimits", limits);
        is(b.says("ulimit -Ss; ulimit -Hs; ulimit -Hc")?.as_str(), "64\n1024\n0")
    }),
    test("rlimits-of-the-process", "rlimits are the container process's, seen from outside", |t| {
        let limits = json!([{ "type": "RLIMIT_FSIZE", "soft": 65536, "hard": 1_048_576 }]);
        let c = t.bundle()?.set("/process/rlimits", limits).sleeps().start()?;
        let size = c.init()?.limits()?.max_file_size;
        is(format!("{:?} {:?}", size.soft_limit, size.hard_limit), "Value(65536) Value(1048576)")
    }),
    test("oom-score-adj", "spec, Process: oomScoreAdj is written to the process", |t| {
        let b = t.bundle()?.set("/process/oomScoreAdj", 321);
        is(b.says("cat /proc/self/oom_score_adj")?.as_str(), "321")
    }),
    test("oom-score-adj-kept", "spec: an unset oomScoreAdj leaves the caller's value", |t| {
        let call = t.bundle()?.sh("cat /proc/self/oom_score_adj").call("run")?;
        let raise = "echo 77 > /proc/self/oom_score_adj; exec \"$@\"";
        is(call.through(["/bin/sh", "-c", raise, "sh"]).ok()?.as_str(), "77")
    }),
    test("pid-1", "the process is the first of its pid namespace, child of no one", |t| {
        is(t.bundle()?.says("echo $$ $PPID")?.as_str(), "1 0")
    }),
    test("exec-not-found", "moby: exec: \"x\": executable file not found in $PATH", |t| {
        let b = t.bundle()?.args(["no-such-command"]);
        b.refused(&["exec: \"no-such-command\": executable file not found in $PATH"])
    }),
    test(
        "exec-no-such-file",
        "moby: stat /no/such: no such file or directory, in lower case",
        |t| {
            let out = t.bundle()?.args(["/no/such"]).run()?;
            out.exits(1)?;
            has(&out.stderr, "/no/such")?;
            has(&out.stderr, "no such file or directory")?;
            t.nothing_left()
        },
    ),
    test(
        "exec-permission-denied",
        "moby: permission denied, for a file that is not executable",
        |t| {
            let out = t.bundle()?.args(["/etc/passwd"]).try_create()?;
            out.refused(&["/etc/passwd"])?;
            has(&out.stderr, "permission denied")?;
            t.nothing_left()
        },
    ),
    test("exec-directory", "a directory as the executable is refused by its name", |t| {
        t.bundle()?.args(["/etc"]).refused(&["exec: \"/etc\":"])
    }),
    test("exec-script", "a script runs by its interpreter", |t| {
        let b = t.bundle()?.args(["/script", "x"]);
        std::fs::write(b.rootfs("script"), "#!/bin/sh\necho script $1\n")?;
        t.host(["chmod", "755", &b.rootfs("script").to_string_lossy()])?;
        is(b.prints()?.as_str(), "script x")
    }),
    test("session-keyring", "runc: the process has a session keyring _ses.ID of its own", |t| {
        let b = t.bundle()?;
        let name = format!("_ses.{}", b.id);
        has(b.says("cat /proc/keys")?, &name)
    }),
    test("no-new-keyring", "runc: --no-new-keyring keeps the caller's session keyring", |t| {
        let b = t.bundle()?.flags(["--no-new-keyring"]);
        let name = format!("_ses.{}", b.id);
        let keys = b.says("cat /proc/keys; echo end")?;
        has(&keys, "end")?;
        lacks(keys, &name)
    }),
    test("signals-are-default", "the process starts with no signal blocked or ignored", |t| {
        let status = t.bundle()?.sleeps().start()?.init()?.status()?;
        // The first 31: the C library of whoever called may have taken some of the others.
        let first = 0x7fff_ffff;
        is((status.sigblk & first, status.sigign & first), (0, 0))
    }),
    test("dumpable-rootless-proc", "the process owns its files in /proc", |t| {
        let b = t.bundle()?.set("/process/user", json!({ "uid": 1000, "gid": 1000 }));
        is(b.says("stat -c %u:%g /proc/self/environ")?.as_str(), "1000:1000")
    }),
    test("personality", "spec, Linux: personality LINUX32 makes uname say i686", |t| {
        let b = t.bundle()?.set("/linux/personality", json!({ "domain": "LINUX32" }));
        is(b.says("uname -m")?.as_str(), "i686")
    }),
    test("scheduler", "spec 1.1, Process: scheduler sets policy and nice", |t| {
        let scheduler = json!({ "policy": "SCHED_BATCH", "nice": 3 });
        let c = t.bundle()?.set("/process/scheduler", scheduler).sleeps().start()?;
        let stat = c.init()?.stat()?;
        is((stat.policy, stat.nice), (Some(3), 3))
    }),
];
