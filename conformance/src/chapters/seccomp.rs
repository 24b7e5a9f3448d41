//! Process: seccomp filters.

use serde_json::{Value, json};

use crate::socket::Socket;
use crate::table::{Test, test};
use crate::verdict::{Verdict, has, is};

/// Docker's default profile, as dockerd writes it into config.json.
pub(crate) const DOCKER: &str = include_str!("../../data/docker-default-seccomp.json");

fn docker() -> Verdict<Value> {
    Ok(serde_json::from_str(DOCKER)?)
}

/// Allows everything but one call.
fn but(call: &str, action: &str) -> Value {
    json!({
        "defaultAction": "SCMP_ACT_ALLOW",
        "architectures": ["SCMP_ARCH_X86_64"],
        "syscalls": [{ "names": [call], "action": action }]
    })
}

/// The chapter's tests of seccomp.
pub(crate) const TESTS: &[Test] = &[
    test("errno", "spec, Seccomp: SCMP_ACT_ERRNO returns EPERM from the call", |t| {
        let b = t.bundle()?.set("/linux/seccomp", but("mkdir", "SCMP_ACT_ERRNO"));
        let said = b.says("mkdir /x 2>&1; grep ^Seccomp: /proc/self/status | cut -f2")?;
        has(&said, "Operation not permitted")?;
        has(said, "\n2")
    }),
    test("errno-ret", "spec, Seccomp: errnoRet is the errno returned", |t| {
        let b = t.bundle()?.set("/linux/seccomp", but("mkdir", "SCMP_ACT_ERRNO"));
        let b = b.set("/linux/seccomp/syscalls/0/errnoRet", 28);
        has(b.says("mkdir /x 2>&1; true")?, "No space left on device")
    }),
    test("kill", "spec, Seccomp: SCMP_ACT_KILL_PROCESS ends the caller by SIGSYS", |t| {
        let b = t.bundle()?.set("/linux/seccomp", but("mkdir", "SCMP_ACT_KILL_PROCESS"));
        is(b.says("mkdir /x; echo $?")?.as_str(), "159")
    }),
    test("args", "spec, Seccomp: args compare the call's arguments", |t| {
        // Signal 28, which nobody minds, and no other.
        let args = json!([{ "index": 1, "value": 28, "op": "SCMP_CMP_EQ" }]);
        let b = t.bundle()?.set("/linux/seccomp", but("kill", "SCMP_ACT_ERRNO"));
        let b = b.set("/linux/seccomp/syscalls/0/args", args);
        let said = b.says("kill -0 $$ && echo a; kill -WINCH $$ 2>/dev/null || echo no")?;
        is(said.as_str(), "a\nno")
    }),
    test("none", "spec, Linux: without seccomp there is no filter", |t| {
        is(t.bundle()?.says("grep ^Seccomp: /proc/self/status | cut -f2")?.as_str(), "0")
    }),
    test("docker-profile", "Docker's default profile loads, and an ordinary process runs", |t| {
        let b = t.bundle()?.set("/linux/seccomp", docker()?);
        let said = b.says("ls / >/dev/null && grep ^Seccomp: /proc/self/status | cut -f2")?;
        is(said.as_str(), "2")
    }),
    test("docker-holds", "Docker's default profile refuses unshare and mount", |t| {
        let b = t.bundle()?.caps(&["CAP_SYS_CHROOT"]).set("/linux/seccomp", docker()?);
        let said = b.says("unshare -n true 2>&1; mount -t tmpfs x /tmp 2>&1; true")?;
        is(said.matches("ermi").count(), 2)
    }),
    test("with-privileges", "the filter loads also without noNewPrivileges", |t| {
        let b = t.bundle()?.set("/process/noNewPrivileges", false);
        let b = b.set("/linux/seccomp", but("mkdir", "SCMP_ACT_ERRNO"));
        let b = b.set("/process/user", json!({ "uid": 1000, "gid": 1000 }));
        let said =
            b.says("mkdir /tmp/x 2>&1; grep -E '^(Seccomp|NoNewPrivs):' /proc/self/status")?;
        has(&said, "not permitted")?;
        has(&said, "NoNewPrivs:\t0")?;
        has(said, "Seccomp:\t2")
    }),
    test("unknown-syscall-name", "runc: a call that the host does not know is passed over", |t| {
        let b = t.bundle()?.set("/linux/seccomp", but("mkdir", "SCMP_ACT_ERRNO"));
        let b = b.push("/linux/seccomp/syscalls/0/names", "no_such_syscall");
        has(b.says("mkdir /x 2>&1; true")?, "Operation not permitted")
    }),
    test("bad-action", "an unknown action is refused by its name", |t| {
        let b = t.bundle()?.raw("/linux/seccomp", but("mkdir", "SCMP_ACT_NOPE"));
        b.refused(&["SCMP_ACT_NOPE"])
    }),
    test("exec", "exec runs under the container's filter", |t| {
        let b = t.bundle()?.set("/linux/seccomp", but("mkdir", "SCMP_ACT_ERRNO"));
        let c = b.sleeps().start()?;
        let said = c.says("mkdir /x 2>&1; grep ^Seccomp: /proc/self/status | cut -f2")?;
        has(&said, "Operation not permitted")?;
        has(said, "\n2")
    }),
    test(
        "listener",
        "spec, Seccomp: listenerPath receives the container process state, and the descriptor",
        |t| {
            let agent = Socket::listen(t)?;
            let mut filter = but("mkdir", "SCMP_ACT_NOTIFY");
            filter["listenerPath"] = json!(agent.path);
            filter["listenerMetadata"] = json!("of the engine");
            let b = t.bundle()?.set("/linux/seccomp", filter).sleeps();
            let run = b.flags(["--detach"]).call("run")?.spawn()?;
            let (descriptors, text) = agent.receive()?;
            run.wait()?.ok()?;
            let state: Value = serde_json::from_str(&text)?;
            is(&state["fds"], &json!(["seccompFd"]))?;
            is(&state["metadata"], &json!("of the engine"))?;
            is(state["pid"] == state["state"]["pid"], true)?;
            is(descriptors.len(), 1)
        },
    ),
    test(
        "listener-start-exec",
        "runc: a listener for the created container by the time it is started, and one for each exec",
        |t| {
            let agent = Socket::listen(t)?;
            let mut filter = but("mkdir", "SCMP_ACT_NOTIFY");
            filter["listenerPath"] = json!(agent.path);
            let c = t.bundle()?.set("/linux/seccomp", filter).sleeps().start()?;
            let (descriptors, text) = agent.receive()?;
            let init: Value = serde_json::from_str(&text)?;
            is(&init["state"]["id"], &json!(c.id))?;
            is(descriptors.len(), 1)?;
            c.exec([], ["/bin/true"]).ok()?;
            let (descriptors, text) = agent.receive()?;
            let exec: Value = serde_json::from_str(&text)?;
            is(&exec["state"]["pid"], &init["pid"])?;
            is(exec["pid"] == init["pid"], false)?;
            is(descriptors.len(), 1)
        },
    ),
    test(
        "listener-missing",
        "a profile that notifies is refused when nobody listens at listenerPath",
        |t| {
            let mut filter = but("mkdir", "SCMP_ACT_NOTIFY");
            filter["listenerPath"] = json!(t.path("seccomp.sock"));
            let b = t.bundle()?.set("/linux/seccomp", filter);
            b.refused(&["seccomp agent"])
        },
    ),
];
