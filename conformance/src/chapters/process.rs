//! Process: what `process` in config.json says, seen from inside and outside.

use caps::{CapSet, Capability};
use serde_json::json;

use crate::case::Case;
use crate::table::{Test, test};
use crate::verdict::{Verdict, is};

/// A line of /proc/self/status in the container.
pub(super) fn status_of(t: &Case, field: &str) -> Verdict<String> {
    t.bundle()?.says(&format!("grep ^{field}: /proc/self/status | cut -f2"))
}

/// The process's capability sets, looked at from outside.
pub(super) fn capability_sets(pid: i32) -> Verdict<Vec<(CapSet, Vec<String>)>> {
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
    test(
        "user-no-groups-leak",
        "the groups of the runtime's caller do not reach the process",
        |t| {
            let b = t.bundle()?.set("/process/user", json!({ "uid": 1000, "gid": 1000 }));
            let call =
                b.sh("echo groups:; grep ^Groups /proc/self/status | cut -f2").call("run")?;
            let said = call.through(["setpriv", "--groups", "4,27,1234"]).ok()?;
            is(said.split_whitespace().collect::<Vec<_>>(), ["groups:"])
        },
    ),
    test("umask", "spec, User: umask", |t| {
        is(t.bundle()?.set("/process/user/umask", 0o77).says("umask")?.as_str(), "0077")
    }),
    test("umask-default", "runc: without one the umask is 022, whatever the caller's is", |t| {
        let call = t.bundle()?.sh("umask").call("run")?;
        let said = call.through(["/bin/sh", "-c", "umask 077; exec \"$@\"", "sh"]).ok()?;
        is(said.as_str(), "0022")
    }),
    test("io-priority", "spec 1.1, Process: ioPriority sets class and priority", |t| {
        let priority = json!({ "class": "IOPRIO_CLASS_BE", "priority": 6 });
        let b = t.bundle()?.set("/process/ioPriority", priority);
        let pid = b.sleeps().start()?.pid()?.to_string();
        is(t.host(["ionice", "-p", &pid])?.as_str(), "best-effort: prio 6")
    }),
];
