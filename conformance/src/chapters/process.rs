//! Process: what `process` in config.json says, seen from inside and outside.

use caps::{CapSet, Capability};
use serde_json::json;

use crate::case::Case;
use crate::table::{Test, test};
use crate::verdict::{Verdict, has, is, lacks, that};

/// A line of /proc/self/status in the container.
fn status_of(t: &Case, field: &str) -> Verdict<String> {
    t.bundle()?.says(&format!("grep ^{field}: /proc/self/status | cut -f2"))
}

/// The process's capability sets, looked at from outside.
fn capability_sets(pid: i32) -> Verdict<Vec<(CapSet, Vec<String>)>> {
    use CapSet::{Ambient, Bounding, Effective, Inheritable, Permitted};
    // The ambient and bounding sets of another process stand in its status file only.
    let status = procfs::process::Process::new(pid)?.status()?;
    let bits = [
        (Effective, status.capeff),
        (Permitted, status.capprm),
        (Inheritable, status.capinh),
        (Bounding, status.capbnd.unwrap_or(0)),
        (Ambient, status.capamb.unwrap_or(0)),
    ];
    let mut known: Vec<Capability> = caps::all().into_iter().collect();
    known.sort_by_key(Capability::index);
    let names = |mask: u64| {
        known.iter().filter(|cap| mask & cap.bitmask() != 0).map(ToString::to_string).collect()
    };
    Ok(bits.into_iter().map(|(set, mask)| (set, names(mask))).collect())
}

/// The chapter's tests of identity, environment and privileges.
pub(crate) const TESTS: &[Test] = &[
    test("args", "spec, Process: args has execvp semantics, each argument whole", |t| {
        let b = t.bundle()?.args(["printf", "<%s>", "", "a b", "$X", "\"q\"", "é\n"]);
        is(b.run()?.stdout, "<><a b><$X><\"q\"><é\n>")
    }),
    test("args-path-search", "spec, Process: args[0] is looked up in the env's PATH", |t| {
        let b = t.bundle()?.set("/process/env", json!(["PATH=/nowhere:/opt/x"]));
        std::fs::create_dir_all(b.rootfs("opt/x"))?;
        std::fs::write(b.rootfs("opt/x/tool"), "#!/bin/sh\necho found $0\n")?;
        t.host(["chmod", "755", &b.rootfs("opt/x/tool").to_string_lossy()])?;
        is(b.args(["tool"]).prints()?.as_str(), "found /opt/x/tool")
    }),
    test("args-relative-to-cwd", "execvp: args[0] with a slash is relative to cwd", |t| {
        let b = t.bundle()?.set("/process/cwd", "/bin").args(["./echo", "relative"]);
        is(b.prints()?.as_str(), "relative")
    }),
    test("env", "spec, Process: env has the semantics of environ", |t| {
        let b = t.bundle()?.set("/process/env", json!(["PATH=/bin", "A=1 2", "B=", "C==x"]));
        is(b.says("echo \"[$A][${B-unset}][$C]\"")?.as_str(), "[1 2][][=x]")
    }),
    test("env-last-duplicate-wins", "runc: of a variable set twice the last one counts", |t| {
        let b = t.bundle()?.set("/process/env", json!(["X=1", "PATH=/bin", "X=2"]));
        is(b.says("env | grep ^X=")?.as_str(), "X=2")
    }),
    test("env-home-from-passwd", "runc: HOME is set from the container's passwd if missing", |t| {
        let b = t.bundle()?.set("/process/user", json!({ "uid": 1000, "gid": 1000 }));
        is(b.says("echo $HOME")?.as_str(), "/home/user")
    }),
    test("env-home-kept", "a HOME that config.json sets is kept", |t| {
        let b = t.bundle()?.push("/process/env", "HOME=/elsewhere");
        is(b.says("echo $HOME")?.as_str(), "/elsewhere")
    }),
    test("env-home-unknown-user", "runc: HOME is / for a user without an entry in passwd", |t| {
        let b = t.bundle()?.set("/process/user", json!({ "uid": 4321, "gid": 0 }));
        is(b.says("echo $HOME")?.as_str(), "/")
    }),
    test("cwd", "spec, Process: cwd is the working directory of the executable", |t| {
        is(t.bundle()?.set("/process/cwd", "/tmp").says("pwd")?.as_str(), "/tmp")
    }),
    test("cwd-created", "runc: a cwd that is missing is made", |t| {
        let b = t.bundle()?.set("/process/cwd", "/made/here");
        is(b.says("pwd -P; stat -c %F .")?.as_str(), "/made/here\ndirectory")
    }),
    test("user-uid-gid", "spec, User: uid and gid, all four of each", |t| {
        let b = t.bundle()?.set("/process/user", json!({ "uid": 1234, "gid": 5678 }));
        let ids = b.says("grep -E '^[UG]id' /proc/self/status | tr '\\n\\t' '  '")?;
        is(ids.trim(), "Uid: 1234 1234 1234 1234 Gid: 5678 5678 5678 5678")
    }),
    test("user-additional-gids", "spec, User: additionalGids are the groups added", |t| {
        let user = json!({ "uid": 1000, "gid": 1000, "additionalGids": [5, 42, 7] });
        let b = t.bundle()?.set("/process/user", user);
        is(b.says("grep ^Groups /proc/self/status | cut -f2")?.trim(), "5 7 42")
    }),
    test("user-no-groups-leak", "the groups of the runtime's caller do not reach the process", |t| {
        let b = t.bundle()?.set("/process/user", json!({ "uid": 1000, "gid": 1000 }));
        let call = b.sh("echo groups:; grep ^Groups /proc/self/status | cut -f2").call("run")?;
        let said = call.through(["setpriv", "--groups", "4,27,1234"]).ok()?;
        is(said.split_whitespace().collect::<Vec<_>>(), ["groups:"])
    }),
    test("umask", "spec, User: umask", |t| {
        is(t.bundle()?.set("/process/user/umask", 0o77).says("umask")?.as_str(), "0077")
    }),
    test("umask-default", "runc: without one the umask is 022, whatever the caller's is", |t| {
        let call = t.bundle()?.sh("umask").call("run")?;
        let said = call.through(["/bin/sh", "-c", "umask 077; exec \"$@\"", "sh"]).ok()?;
        is(said.as_str(), "0022")
    }),
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
    test("capabilities-none", "spec: sets that are empty leave root without any capability", |t| {
        let none = json!({ "bounding": [], "permitted": [], "effective": [] });
        let b = t.bundle()?.set("/process/capabilities", none);
        let said = b.says("grep ^Cap /proc/self/status | cut -f2 | sort -u; chown 1 /tmp; id -u")?;
        is(said.as_str(), "0000000000000000\n0")
    }),
    test("capabilities-inheritable-empty", "CVE-2022-24769: nothing inheritable by default", |t| {
        is(status_of(t, "CapInh")?.as_str(), "0000000000000000")
    }),
    test("capabilities-unknown-warns", "runc: an unknown capability is ignored with a warning", |t| {
        let b = t.bundle()?.raw("/process/capabilities/bounding", json!(["CAP_KILL", "CAP_NOPE"]));
        let out = b.sh("echo runs").run()?;
        out.prints("runs")?;
        has(&out.stderr, "CAP_NOPE")
    }),
    test("no-new-privileges", "spec, Process: noNewPrivileges", |t| {
        is(status_of(t, "NoNewPrivs")?.as_str(), "1")?;
        let b = t.bundle()?.set("/process/noNewPrivileges", false);
        is(b.says("grep ^NoNewPrivs /proc/self/status | cut -f2")?.as_str(), "0")
    }),
    test("rlimits", "spec, Process: rlimits set soft and hard limits", |t| {
        let limit = |kind: &str, soft: u64, hard: u64| json!({ "type": kind, "soft": soft, "hard": hard });
        let b = t.bundle()?.set(
            "/process/rlimits",
            json!([limit("RLIMIT_NOFILE", 123, 456), limit("RLIMIT_CORE", 0, 0)]),
        );
        let said = b.says("ulimit -Sn; ulimit -Hn; ulimit -Hc")?;
        is(said.as_str(), "123\n456\n0")
    }),
    test("rlimits-of-the-process", "rlimits are the container process's, seen from outside", |t| {
        let limits = json!([{ "type": "RLIMIT_STACK", "soft": 65536, "hard": 1048576 }]);
        let c = t.bundle()?.set("/process/rlimits", limits).sleeps().start()?;
        let text = c.proc("limits")?;
        let line = text.lines().find(|line| line.starts_with("Max stack size"));
        let words: Vec<&str> = line.unwrap_or_default().split_whitespace().collect();
        is(&words[3..5], ["65536", "1048576"])
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
    test("exec-no-such-file", "moby: stat /no/such: no such file or directory, in lower case", |t| {
        let out = t.bundle()?.args(["/no/such"]).run()?;
        out.exits(1)?;
        has(&out.stderr, "/no/such")?;
        has(&out.stderr, "no such file or directory")?;
        t.nothing_left()
    }),
    test("exec-permission-denied", "moby: permission denied, for a file that is not executable", |t| {
        let out = t.bundle()?.args(["/etc/passwd"]).try_create()?;
        out.refused(&["/etc/passwd"])?;
        has(&out.stderr, "permission denied")?;
        t.nothing_left()
    }),
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
