//! Hooks: what they are given, how long they may take, and what their failure does.

use super::hooks::{state, tell};
use crate::bundle::Bundle;
use crate::layout;
use crate::table::{Test, test};
use crate::verdict::{Verdict, has, is, that};
use serde_json::json;
use std::fs;
use std::time::Instant;

/// More of the chapter's tests.
pub(crate) const TESTS: &[Test] = &[
    test("args", "spec, Hooks: args have execv semantics: the first is the name", |t| {
        let file = t.path("args");
        let script = format!("echo $0 $1 > {}", file.display());
        let hook = json!({ "path": "/bin/busybox", "args": ["sh", "-c", script, "zero", "one"] });
        t.bundle()?.push("/hooks/createRuntime", hook).says("true")?;
        is(fs::read_to_string(file)?.as_str(), "zero one\n")
    }),
    test("env", "spec, Hooks: env is the hook's environment, whole", |t| {
        let file = t.path("env");
        // The shell's own start, before it adds anything.
        let script = format!("cat /proc/$$/environ > {}; true", file.display());
        let hook = json!({
            "path": "/bin/busybox", "args": ["sh", "-c", script], "env": ["ONE=1", "TWO=2"]
        });
        let b = t.bundle()?.push("/hooks/createRuntime", hook);
        b.call("run")?.env("LEAK", "yes").ok()?;
        let env = fs::read_to_string(file)?;
        let mut lines: Vec<&str> = env.split_terminator('\0').collect();
        lines.sort_unstable();
        is(lines, ["ONE=1", "TWO=2"])
    }),
    test("env-of-create-container", "runc: env is set for createContainer too", |t| {
        let file = t.path("env");
        let script = format!("echo $ONE > {}", file.display());
        let hook =
            json!({ "path": "/bin/busybox", "args": ["sh", "-c", script], "env": ["ONE=1"] });
        t.bundle()?.push("/hooks/createContainer", hook).says("true")?;
        is(fs::read_to_string(file)?.as_str(), "1\n")
    }),
    test("env-unset", "runc: without env a hook has the runtime's environment", |t| {
        let file = t.path("env");
        let b = t.bundle()?.hook("createRuntime", &format!("echo $SEEN > {}", file.display()));
        b.sh("true").call("run")?.env("SEEN", "yes").ok()?;
        is(fs::read_to_string(file)?.as_str(), "yes\n")
    }),
    test("env-unset-create-container", "runc: but nothing of it in the container", |t| {
        let file = t.path("env");
        let script = format!("cat /proc/$$/environ > {}; true", file.display());
        let b = t.bundle()?.hook("createContainer", &script);
        b.sh("true").call("run")?.env("SEEN", "yes").ok()?;
        is(fs::read_to_string(file)?.as_str(), "")
    }),
    test("env-unset-start-container", "runc 1.3: and startContainer has the process's", |t| {
        let hook = json!({ "path": "/bin/sh", "args": ["sh", "-c", "echo $MINE:$HOME > /env"] });
        let b = t.bundle()?.push("/hooks/startContainer", hook).set("/root/readonly", false);
        let b = b.push("/process/env", "MINE=1").sh("cat /env");
        let out = b.call("run")?.env("MINE", "no").output()?;
        is(out.ok()?.as_str(), "1:/root")
    }),
    test("start-container-filtered", "runc: startContainer hooks are under the filter", |t| {
        let hook = json!({ "path": "/bin/mkdir", "args": ["mkdir", "/tmp/x"] });
        let b = t.bundle()?.push("/hooks/startContainer", hook).set("/root/readonly", false);
        let filter = json!({
            "defaultAction": "SCMP_ACT_ALLOW",
            "architectures": ["SCMP_ARCH_X86_64"],
            "syscalls": [{ "names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO" }]
        });
        let out = b.set("/linux/seccomp", filter).sh("true").run()?;
        out.refused(&["hook", "Operation not permitted"])
    }),
    test("runtime-cwd", "runc: hooks in the runtime's namespaces start in the bundle", |t| {
        let file = t.path("cwd");
        let b = t.bundle()?;
        let dir = b.dir.to_string_lossy().into_owned();
        let b = b.hook("createRuntime", &format!("pwd > {}", file.display()));
        b.says("true")?;
        is(fs::read_to_string(file)?.trim(), dir)
    }),
    test(
        "timeout",
        "spec, Hooks: timeout: a hook that outstays it is ended, and create fails",
        |t| {
            let hook = json!({ "path": "/bin/busybox", "args": ["sleep", "30"], "timeout": 1 });
            let b = t.bundle()?.push("/hooks/createRuntime", hook).sleeps();
            let begun = Instant::now();
            b.refused(&["hook"])?;
            that(begun.elapsed() < t.patience, "the hook is not waited for")
        },
    ),
    test("timeout-kept", "a hook that ends in time is not disturbed", |t| {
        let file = t.path("done");
        let script = format!("sleep 0.2; echo done > {}", file.display());
        let hook = json!({ "path": "/bin/busybox", "args": ["sh", "-c", script], "timeout": 5 });
        t.bundle()?.push("/hooks/createRuntime", hook).says("true")?;
        is(fs::read_to_string(file)?.as_str(), "done\n")
    }),
    test(
        "prestart-failure",
        "spec, Lifecycle: if prestart fails, create fails, all is undone",
        |t| failing(t.bundle()?.hook("prestart", "echo the reason >&2; exit 3")),
    ),
    test("create-runtime-failure", "spec, Lifecycle: if createRuntime fails, create fails", |t| {
        failing(t.bundle()?.hook("createRuntime", "echo the reason >&2; exit 3"))
    }),
    test(
        "create-container-failure",
        "spec, Lifecycle: if createContainer fails, create fails",
        |t| failing(t.bundle()?.hook("createContainer", "echo the reason >&2; exit 3")),
    ),
    test("later-hooks-after-failure", "after a failed hook the next ones do not run", |t| {
        let file = t.path("ran");
        let b = t.bundle()?.hook("createRuntime", "exit 1");
        tell(b, "createRuntime", &file).refused(&["hook"])?;
        that(!file.exists(), "the second hook has not run")
    }),
    test(
        "create-failure-poststop",
        "spec, Lifecycle: after a failed create the poststop hooks run",
        |t| {
            let file = t.path("state");
            let b = tell(t.bundle()?, "poststop", &file).hook("createRuntime", "exit 1");
            b.refused(&["hook"])?;
            is(&state(&file)?["id"], &json!(b.id))
        },
    ),
    test(
        "start-container-failure",
        "spec, Lifecycle: if startContainer fails, the program is not run",
        |t| {
            let hook = json!({ "path": "/bin/false", "args": ["false"] });
            let b = t.bundle()?.push("/hooks/startContainer", hook).sh("echo ran");
            let c = b.create()?;
            c.rt("start")?;
            c.becomes("stopped")?;
            is(c.printed()?.contains("ran"), false)
        },
    ),
    test(
        "start-container-hangs",
        "delete --force ends a container whose start waits for a hook that hangs",
        |t| {
            let hook = json!({ "path": "/bin/sleep", "args": ["sleep", "100"] });
            let c = t.bundle()?.push("/hooks/startContainer", hook).sh("true").create()?;
            let start = t.call(["start", &c.id]).spawn()?;
            let children = format!("/proc/{}/task/{0}/children", c.pid()?);
            t.until("the hook", || Ok(!fs::read_to_string(&children)?.trim().is_empty()))?;
            c.call("delete").arg("--force").ok()?;
            drop(start);
            c.rt("state")?.refused(&["does not exist"])
        },
    ),
    test(
        "create-runtime-hangs",
        "delete --force ends a container whose create waits for a hook that hangs",
        |t| {
            let begun = t.path("begun");
            let script = format!("touch {}; exec sleep 100", begun.display());
            let b = t.bundle()?.hook("createRuntime", &script).sleeps();
            let create = b.call("create")?.spawn()?;
            t.until("the hook", || Ok(begun.exists()))?;
            t.rt(["delete", "--force", &b.id])?.ok()?;
            // Who waited for the hook gives up.
            create.wait()?.refused(&["hook"])?;
            t.nothing_left()
        },
    ),
    test(
        "start-container-failure-reported",
        "spec, Lifecycle: if startContainer fails, start MUST generate an error",
        |t| {
            let hook = json!({ "path": "/bin/false", "args": ["false"] });
            let c = t.bundle()?.push("/hooks/startContainer", hook).sleeps().create()?;
            c.rt("start")?.refused(&["hook"])
        },
    ),
    test("poststart-failure", "runc: a failing poststart hook is an error", |t| {
        let b = t.bundle()?.hook("poststart", "exit 1").sleeps();
        let out = b.call("run")?.output()?;
        out.refused(&["hook"])
    }),
    test(
        "poststop-failure",
        "spec, Lifecycle: a failing poststop hook is logged, delete succeeds",
        |t| {
            let file = t.path("ran");
            let b = t.bundle()?.hook("poststop", &format!("touch {}; exit 1", file.display()));
            let c = b.start()?;
            c.becomes("stopped")?;
            let out = c.rt("delete")?;
            out.ok()?;
            has(&out.stderr, "hook")?;
            that(file.exists(), "the hook has run")?;
            t.nothing_left()
        },
    ),
    test(
        "poststop-failure-others-run",
        "spec, Lifecycle: after a failing poststop hook the others run",
        |t| {
            let file = t.path("state");
            let b = tell(t.bundle()?.hook("poststop", "exit 1"), "poststop", &file);
            let c = b.start()?;
            c.becomes("stopped")?;
            c.delete()?;
            is(&state(&file)?["id"], &json!(c.id))
        },
    ),
    test("missing", "a hook that does not exist fails create, by its path", |t| {
        let hook = json!({ "path": "/no/such/hook" });
        t.bundle()?.push("/hooks/createRuntime", hook).refused(&["/no/such/hook"])
    }),
    test("not-absolute", "spec, Hooks: path MUST be absolute", |t| {
        let hook = json!({ "path": "busybox", "args": ["true"] });
        let out = t.bundle()?.push("/hooks/createRuntime", hook).try_create()?;
        out.refused(&["busybox"])?;
        t.nothing_left()
    }),
    test("sees-the-cgroup", "at createRuntime the process is in its cgroup", |t| {
        let file = t.path("procs");
        let b = t.bundle()?;
        let procs = layout::path("pids", &b.id, "cgroup.procs");
        let script = format!("cat {} > {}", procs.display(), file.display());
        let c = b.hook("createRuntime", &script).sleeps().create()?;
        is(fs::read_to_string(file)?.trim(), c.pid()?.to_string())
    }),
    test(
        "network-is-set-up",
        "a hook may set up the network namespace by the pid it is given",
        |t| {
            let script = "pid=$(sed 's/.*\"pid\": *\\([0-9]*\\).*/\\1/'); \
                      exec /usr/bin/nsenter -t $pid -n /bin/busybox ip addr add 10.9.8.7/32 dev lo";
            let b = t.bundle()?.hook("createRuntime", script);
            has(b.says("ip addr show lo")?, "10.9.8.7/32")
        },
    ),
];

/// `create` must fail, tell what the hook said, and leave nothing.
fn failing(b: Bundle<'_>) -> Verdict {
    b.refused(&["hook", "exit status 3"])?;
    b.case.rt(["state", &b.id])?.refused(&["does not exist"])
}
