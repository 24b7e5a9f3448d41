//! Hooks: when they run, where, with what, and what their failure does.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::bundle::Bundle;
use crate::table::{Test, test};
use crate::verdict::{Verdict, has, is, that};

/// A hook of `kind` that writes its standard input to `file`.
pub(super) fn tell<'t>(b: Bundle<'t>, kind: &str, file: &Path) -> Bundle<'t> {
    b.hook(kind, &format!("cat > {}", file.display()))
}

/// The state that a hook was given.
pub(super) fn state(file: &Path) -> Verdict<Value> {
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
    test(
        "create-runtime-state",
        "spec, Hooks: the state on stdin, with the pid on the host",
        |t| {
            let file = t.path("state");
            let b = tell(t.bundle()?, "createRuntime", &file);
            let b = b.set("/annotations", json!({ "org.example": "yes" })).sleeps();
            let c = b.create()?;
            let state = state(&file)?;
            complete(&state, &b)?;
            is(&state["status"], &json!("creating"))?;
            is(state["pid"].as_i64(), Some(c.pid()?.into()))
        },
    ),
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
    test(
        "start-container-state",
        "spec, Hooks: startContainer gets the state, status created",
        |t| {
            let hook = json!({ "path": "/bin/sh", "args": ["sh", "-c", "cat > /state"] });
            let b = t.bundle()?.push("/hooks/startContainer", hook);
            let b = b.set("/annotations", json!({ "org.example": "yes" })).sleeps();
            let c = b.start()?;
            c.is("running")?;
            t.until("the state", || Ok(b.rootfs("state").exists()))?;
            let state = state(&b.rootfs("state"))?;
            complete(&state, &b)?;
            is(&state["status"], &json!("created"))
        },
    ),
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
    test(
        "poststart-after-start",
        "spec, Hooks: poststart MUST be called after start, not before",
        |t| {
            let file = t.path("state");
            let b = tell(t.bundle()?, "poststart", &file).sleeps();
            let c = b.create()?;
            that(!file.exists(), "the hook has not run at create")?;
            c.start()?;
            that(file.exists(), "the hook has run when start returns")
        },
    ),
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
    test(
        "no-signal-blocked-of-run",
        "a hook of a run in the foreground finds no signal blocked, whatever run holds back",
        |t| {
            let note = |file: &Path| format!("grep SigBlk /proc/self/status > {}", file.display());
            let files = [t.path("poststart"), t.path("poststop")];
            let b = t.bundle()?.hook("poststart", &note(&files[0]));
            b.hook("poststop", &note(&files[1])).says("true")?;
            for file in &files {
                is(fs::read_to_string(file)?.trim(), "SigBlk:\t0000000000000000")?;
            }
            Ok(())
        },
    ),
    test("poststop-of-delete-force", "poststop runs also at delete --force", |t| {
        let file = t.path("state");
        let c = tell(t.bundle()?, "poststop", &file).sleeps().start()?;
        t.rt(["delete", "--force", &c.id])?.ok()?;
        is(&state(&file)?["id"], &json!(c.id))
    }),
    test(
        "order",
        "spec, Hooks: kinds in the order of the life cycle, entries in the listed one",
        |t| {
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
        },
    ),
    test(
        "runtime-namespaces",
        "spec, Hooks: createRuntime, poststart and poststop run in the runtime's namespaces",
        |t| {
            let log = t.path("log");
            let mut b = t.bundle()?;
            for kind in ["prestart", "createRuntime", "poststart", "poststop"] {
                let script = format!(
                    "for n in mnt net; do readlink /proc/self/ns/$n; done >> {}",
                    log.display()
                );
                b = b.hook(kind, &script);
            }
            b.says("true")?;
            let host = |name: &str| fs::read_link(format!("/proc/self/ns/{name}"));
            let pair = format!("{}\n{}\n", host("mnt")?.display(), host("net")?.display());
            is(fs::read_to_string(log)?, pair.repeat(4))
        },
    ),
    test(
        "create-container-namespaces",
        "spec, Hooks: createContainer runs in the container's namespaces",
        |t| {
            let log = t.path("log");
            let script = format!(
                "for n in mnt net uts; do readlink /proc/self/ns/$n; done > {}",
                log.display()
            );
            let c = t.bundle()?.hook("createContainer", &script).sleeps().start()?;
            let own = [c.link("ns/mnt")?, c.link("ns/net")?, c.link("ns/uts")?];
            is(fs::read_to_string(log)?.trim(), own.join("\n"))
        },
    ),
    test(
        "create-container-before-pivot",
        "spec, Hooks: createContainer runs before pivot_root: the path is the host's",
        |t| {
            let file = t.path("here");
            let b = t.bundle()?.hook("createContainer", &format!("pwd > {}", file.display()));
            let root = b.rootfs("");
            b.says("true")?;
            is(fs::read_to_string(file)?.trim(), root.to_string_lossy().trim_end_matches('/'))
        },
    ),
    test(
        "create-container-mounts",
        "a mount that a createContainer hook makes is seen inside",
        |t| {
            let source = t.dir("source")?;
            fs::write(source.join("mark"), "")?;
            // As an engine's hooks do it: the root's path comes from the working directory.
            let script = format!("/bin/mount --bind {} tmp", source.display());
            let b = t.bundle()?.hook("createContainer", &script);
            is(b.says("ls /tmp")?.as_str(), "mark")
        },
    ),
    test(
        "start-container-namespaces",
        "spec, Hooks: startContainer runs in the container, its path too",
        |t| {
            let hook = json!({ "path": "/bin/sh", "args": ["sh", "-c", "readlink /proc/self/ns/mnt > /ns; pwd >> /ns"] });
            let b = t.bundle()?.push("/hooks/startContainer", hook).sleeps();
            let c = b.start()?;
            t.until("the file", || {
                Ok(fs::read_to_string(b.rootfs("ns")).is_ok_and(|s| s.lines().count() == 2))
            })?;
            is(fs::read_to_string(b.rootfs("ns"))?, format!("{}\n/\n", c.link("ns/mnt")?))
        },
    ),
];
