//! Hooks: when they run, where, with what, and what their failure does.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::bundle::Bundle;
use crate::table::{Test, test};
use crate::verdict::{Verdict, fail, has, is, that};

/// A hook of `kind` that writes its standard input to `file`.
fn tell<'t>(b: Bundle<'t>, kind: &str, file: &Path) -> Bundle<'t> {
    b.hook(kind, &format!("cat > {}", file.display()))
}

/// The state that a hook was given.
fn state(file: &Path) -> Verdict<Value> {
    Ok(serde_json::from_str(&fs::read_to_string(file)?)?)
}

/// The five fields that every hook must be given.
fn complete(state: &Value, b: &Bundle<'_>) -> Verdict {
    is(&state["id"], &json!(b.id))?;
    is(&state["bundle"], &json!(b.dir))?;
    has(state["ociVersion"].as_str().unwrap_or_default(), "1.")?;
    is(&state["annotations"]["org.example"], &json!("yes"))
}

/// The chapter's tests.
pub(crate) const TESTS: &[Test] = &[
    test("create-runtime-state", "spec, Hooks: the state on stdin, with the pid on the host", |t| {
        let file = t.path("state");
        let b = tell(t.bundle()?, "createRuntime", &file);
        let b = b.set("/annotations", json!({ "org.example": "yes" })).sleeps();
        let c = b.create()?;
        let state = state(&file)?;
        complete(&state, &b)?;
        is(&state["status"], &json!("creating"))?;
        is(state["pid"].as_i64(), Some(c.pid()?.into()))
    }),
    test("prestart-state", "spec, Hooks: prestart, as createRuntime", |t| {
        let file = t.path("state");
        let b = tell(t.bundle()?, "prestart", &file);
        let b = b.set("/annotations", json!({ "org.example": "yes" })).sleeps();
        let c = b.create()?;
        let state = state(&file)?;
        complete(&state, &b)?;
        is(state["pid"].as_i64(), Some(c.pid()?.into()))
    }),
    test("create-container-state", "spec, Hooks: createContainer gets the state too", |t| {
        let file = t.path("state");
        let b = tell(t.bundle()?, "createContainer", &file);
        let b = b.set("/annotations", json!({ "org.example": "yes" })).sleeps();
        b.create()?;
        let state = state(&file)?;
        complete(&state, &b)?;
        is(&state["status"], &json!("creating"))
    }),
    test("start-container-state", "spec, Hooks: startContainer gets the state, status created", |t| {
        let hook = json!({ "path": "/bin/sh", "args": ["sh", "-c", "cat > /state"] });
        let b = t.bundle()?.push("/hooks/startContainer", hook);
        let b = b.set("/annotations", json!({ "org.example": "yes" })).sleeps();
        let c = b.start()?;
        c.is("running")?;
        t.until("the state", || Ok(b.rootfs("state").exists()))?;
        let state = state(&b.rootfs("state"))?;
        complete(&state, &b)?;
        is(&state["status"], &json!("created"))
    }),
    test("poststart-state", "spec, Hooks: poststart gets the state, status running", |t| {
        let file = t.path("state");
        let b = tell(t.bundle()?, "poststart", &file);
        let b = b.set("/annotations", json!({ "org.example": "yes" })).sleeps();
        let c = b.start()?;
        let state = state(&file)?;
        complete(&state, &b)?;
        is(&state["status"], &json!("running"))?;
        is(state["pid"].as_i64(), Some(c.pid()?.into()))
    }),
    test("poststart-after-start", "spec, Hooks: poststart MUST be called after start, not before", |t| {
        let file = t.path("state");
        let b = tell(t.bundle()?, "poststart", &file).sleeps();
        let c = b.create()?;
        that(!file.exists(), "the hook has not run at create")?;
        c.start()?;
        that(file.exists(), "the hook has run when start returns")
    }),
    test("poststop-state", "spec, Hooks: poststop runs at delete, status stopped", |t| {
        let file = t.path("state");
        let b = tell(t.bundle()?, "poststop", &file);
        let b = b.set("/annotations", json!({ "org.example": "yes" }));
        let c = b.start()?;
        c.becomes("stopped")?;
        that(!file.exists(), "the hook has not run before delete")?;
        c.delete()?;
        let state = state(&file)?;
        complete(&state, &b)?;
        is(&state["status"], &json!("stopped"))
    }),
    test("poststop-of-run", "poststop runs also when run deletes the container", |t| {
        let file = t.path("state");
        tell(t.bundle()?, "poststop", &file).says("true")?;
        is(&state(&file)?["status"], &json!("stopped"))
    }),
    test("poststop-of-delete-force", "poststop runs also at delete --force", |t| {
        let file = t.path("state");
        let c = tell(t.bundle()?, "poststop", &file).sleeps().start()?;
        t.rt(["delete", "--force", &c.id])?.ok()?;
        is(&state(&file)?["id"], &json!(c.id))
    }),
    test("order", "spec, Hooks: kinds in the order of the life cycle, entries in the listed one", |t| {
        let log = t.path("log");
        let mut b = t.bundle()?.bind(&t.scratch, "/host", &["bind"]);
        for kind in ["poststop", "poststart", "createContainer", "createRuntime", "prestart"] {
            for n in [1, 2] {
                b = b.hook(kind, &format!("echo {kind}{n} >> {}", log.display()));
            }
        }
        let hook = json!({ "path": "/bin/sh", "args": ["sh", "-c", "echo startContainer >> /host/log"] });
        let c = b.push("/hooks/startContainer", hook).start()?;
        c.becomes("stopped")?;
        c.delete()?;
        let text = fs::read_to_string(log)?;
        let mut kinds: Vec<&str> = text.lines().collect();
        // Whether poststart comes before or after startContainer is a test of its own.
        kinds.retain(|kind| !kind.starts_with("poststart"));
        is(
            kinds.join(" ").as_str(),
            "prestart1 prestart2 createRuntime1 createRuntime2 createContainer1 createContainer2 \
             startContainer poststop1 poststop2",
        )
    }),
    test("runtime-namespaces", "spec, Hooks: createRuntime, poststart and poststop run in the runtime's namespaces", |t| {
        let log = t.path("log");
        let mut b = t.bundle()?;
        for kind in ["prestart", "createRuntime", "poststart", "poststop"] {
            let script = format!("for n in mnt net; do readlink /proc/self/ns/$n; done >> {}", log.display());
            b = b.hook(kind, &script);
        }
        b.says("true")?;
        let host = |name: &str| fs::read_link(format!("/proc/self/ns/{name}"));
        let pair = format!("{}\n{}\n", host("mnt")?.display(), host("net")?.display());
        is(fs::read_to_string(log)?, pair.repeat(4))
    }),
    test("create-container-namespaces", "spec, Hooks: createContainer runs in the container's namespaces", |t| {
        let log = t.path("log");
        let script = format!("for n in mnt net uts; do readlink /proc/self/ns/$n; done > {}", log.display());
        let c = t.bundle()?.hook("createContainer", &script).sleeps().start()?;
        let own = [c.link("ns/mnt")?, c.link("ns/net")?, c.link("ns/uts")?];
        is(fs::read_to_string(log)?.trim(), own.join("\n"))
    }),
    test("create-container-before-pivot", "spec, Hooks: createContainer runs before pivot_root: the path is the host's", |t| {
        let file = t.path("here");
        let b = t.bundle()?.hook("createContainer", &format!("pwd > {}", file.display()));
        let root = b.rootfs("");
        b.says("true")?;
        is(fs::read_to_string(file)?.trim(), root.to_string_lossy().trim_end_matches('/'))
    }),
    test("create-container-mounts", "a mount that a createContainer hook makes is seen inside", |t| {
        let source = t.dir("source")?;
        fs::write(source.join("mark"), "")?;
        // As an engine's hooks do it: the root's path comes from the working directory.
        let script = format!("/bin/mount --bind {} tmp", source.display());
        let b = t.bundle()?.hook("createContainer", &script);
        is(b.says("ls /tmp")?.as_str(), "mark")
    }),
    test("start-container-namespaces", "spec, Hooks: startContainer runs in the container, its path too", |t| {
        let hook = json!({ "path": "/bin/sh", "args": ["sh", "-c", "readlink /proc/self/ns/mnt > /ns; pwd >> /ns"] });
        let b = t.bundle()?.push("/hooks/startContainer", hook).sleeps();
        let c = b.start()?;
        t.until("the file", || Ok(fs::read_to_string(b.rootfs("ns")).is_ok_and(|s| s.lines().count() == 2)))?;
        is(fs::read_to_string(b.rootfs("ns"))?, format!("{}\n/\n", c.link("ns/mnt")?))
    }),
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
        let hook = json!({ "path": "/bin/busybox", "args": ["sh", "-c", script], "env": ["ONE=1"] });
        t.bundle()?.push("/hooks/createContainer", hook).says("true")?;
        is(fs::read_to_string(file)?.as_str(), "1\n")
    }),
    test("runtime-cwd", "runc: hooks in the runtime's namespaces start in the bundle", |t| {
        let file = t.path("cwd");
        let b = t.bundle()?.hook("createRuntime", &format!("pwd > {}", file.display()));
        b.says("true")?;
        is(fs::read_to_string(file)?.trim(), b_dir(t)?)
    }),
    test("timeout", "spec, Hooks: timeout: a hook that outstays it is ended, and create fails", |t| {
        let hook = json!({ "path": "/bin/busybox", "args": ["sleep", "30"], "timeout": 1 });
        let b = t.bundle()?.push("/hooks/createRuntime", hook).sleeps();
        let begun = Instant::now();
        b.refused(&["hook"])?;
        that(begun.elapsed() < Duration::from_secs(5), "it takes less than 5 s")
    }),
    test("timeout-kept", "a hook that ends in time is not disturbed", |t| {
        let file = t.path("done");
        let script = format!("sleep 0.2; echo done > {}", file.display());
        let hook = json!({ "path": "/bin/busybox", "args": ["sh", "-c", script], "timeout": 5 });
        t.bundle()?.push("/hooks/createRuntime", hook).says("true")?;
        is(fs::read_to_string(file)?.as_str(), "done\n")
    }),
    test("prestart-failure", "spec, Lifecycle: if prestart fails, create fails, all is undone", |t| {
        failing(t.bundle()?.hook("prestart", "echo the reason >&2; exit 3"))
    }),
    test("create-runtime-failure", "spec, Lifecycle: if createRuntime fails, create fails", |t| {
        failing(t.bundle()?.hook("createRuntime", "echo the reason >&2; exit 3"))
    }),
    test("create-container-failure", "spec, Lifecycle: if createContainer fails, create fails", |t| {
        failing(t.bundle()?.hook("createContainer", "echo the reason >&2; exit 3"))
    }),
    test("later-hooks-after-failure", "after a failed hook the next ones do not run", |t| {
        let file = t.path("ran");
        let b = t.bundle()?.hook("createRuntime", "exit 1");
        tell(b, "createRuntime", &file).refused(&["hook"])?;
        that(!file.exists(), "the second hook has not run")
    }),
    test("create-failure-poststop", "spec, Lifecycle: after a failed create the poststop hooks run", |t| {
        let file = t.path("state");
        let b = tell(t.bundle()?, "poststop", &file).hook("createRuntime", "exit 1");
        b.refused(&["hook"])?;
        is(&state(&file)?["id"], &json!(b.id))
    }),
    test("start-container-failure", "spec, Lifecycle: if startContainer fails, the program is not run", |t| {
        let hook = json!({ "path": "/bin/false", "args": ["false"] });
        let b = t.bundle()?.push("/hooks/startContainer", hook).sh("echo ran");
        let c = b.create()?;
        c.rt("start")?;
        c.becomes("stopped")?;
        is(c.printed()?.contains("ran"), false)
    }),
    test("start-container-failure-reported", "spec, Lifecycle: if startContainer fails, start MUST generate an error", |t| {
        let hook = json!({ "path": "/bin/false", "args": ["false"] });
        let c = t.bundle()?.push("/hooks/startContainer", hook).sleeps().create()?;
        c.rt("start")?.refused(&["hook"])
    }),
    test("poststart-failure", "runc: a failing poststart hook is an error", |t| {
        let b = t.bundle()?.hook("poststart", "exit 1").sleeps();
        let out = b.call("run")?.output()?;
        out.refused(&["hook"])
    }),
    test("poststop-failure", "spec, Lifecycle: a failing poststop hook is logged, delete succeeds", |t| {
        let file = t.path("ran");
        let b = t.bundle()?.hook("poststop", &format!("touch {}; exit 1", file.display()));
        let c = b.start()?;
        c.becomes("stopped")?;
        let out = c.rt("delete")?;
        out.ok()?;
        has(&out.stderr, "hook")?;
        that(file.exists(), "the hook has run")?;
        t.nothing_left()
    }),
    test("poststop-failure-others-run", "spec, Lifecycle: after a failing poststop hook the others run", |t| {
        let file = t.path("state");
        let b = tell(t.bundle()?.hook("poststop", "exit 1"), "poststop", &file);
        let c = b.start()?;
        c.becomes("stopped")?;
        c.delete()?;
        is(&state(&file)?["id"], &json!(c.id))
    }),
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
        let script = format!("cat /sys/fs/cgroup/pids/{}/cgroup.procs > {}", b.id, file.display());
        let c = b.hook("createRuntime", &script).sleeps().create()?;
        is(fs::read_to_string(file)?.trim(), c.pid()?.to_string())
    }),
    test("network-is-set-up", "a hook may set up the network namespace by the pid it is given", |t| {
        let script = "pid=$(sed 's/.*\"pid\": *\\([0-9]*\\).*/\\1/'); \
                      exec /usr/bin/nsenter -t $pid -n /bin/busybox ip addr add 10.9.8.7/32 dev lo";
        let b = t.bundle()?.hook("createRuntime", script);
        has(b.says("ip addr show lo")?, "10.9.8.7/32")
    }),
];

/// `create` must fail, tell what the hook said, and leave nothing.
fn failing(b: Bundle<'_>) -> Verdict {
    b.refused(&["hook", "exit status 3"])?;
    b.case.rt(["state", &b.id])?.refused(&["does not exist"])
}

/// The directory of the case's only bundle.
fn b_dir(t: &crate::case::Case) -> Verdict<String> {
    for entry in fs::read_dir(&t.scratch)?.flatten() {
        if entry.file_name().to_string_lossy().starts_with("bundle-") {
            return Ok(entry.path().to_string_lossy().into_owned());
        }
    }
    fail("no bundle")
}
