//! Life cycle: the states, what leads from one to the next, and each refusal.

use std::fs;

use serde_json::json;

use crate::bundle::Bundle;
use crate::call::Running;
use crate::case::Case;
use crate::table::{Test, test};
use crate::verdict::{Verdict, has, is, that};

/// A bundle whose `create` is in a hook, which goes on once there is a file `go` in the bundle.
fn in_hook(t: &Case) -> Verdict<(Bundle<'_>, Running<'_>)> {
    let b = t.bundle()?.sleeps();
    let dir = b.dir.display().to_string();
    let script = format!("touch {dir}/up; until [ -e {dir}/go ]; do sleep 0.02; done");
    let b = b.hook("createRuntime", &script);
    let create = b.call("create")?.spawn()?;
    t.until("the hook", || Ok(b.dir.join("up").exists()))?;
    Ok((b, create))
}

/// The chapter's tests of states and operations.
pub(crate) const TESTS: &[Test] = &[
    test("created", "spec, Runtime and Lifecycle: after create the status is created", |t| {
        let c = t.bundle()?.sleeps().create()?;
        c.is("created")
    }),
    test("created-runs-nothing", "spec, create: the program MUST NOT be run at this time", |t| {
        let b = t.bundle()?.sh("echo ran > /ran; sleep 100");
        let c = b.create()?;
        std::thread::sleep(std::time::Duration::from_millis(50));
        that(!b.rootfs("ran").exists(), "the program has not run")?;
        c.start()?;
        t.until("the program runs", || Ok(b.rootfs("ran").exists()))
    }),
    test("running", "spec, start: the runtime MUST run the user-specified program", |t| {
        let c = t.bundle()?.sleeps().start()?;
        c.is("running")?;
        c.pid()?;
        has(c.proc("cmdline")?, "/bin/sleep")
    }),
    test("stopped", "spec, State: the status is stopped once the process has exited", |t| {
        let c = t.bundle()?.start()?;
        c.becomes("stopped")
    }),
    test("stopped-has-pid-0", "runc: state of a stopped container has pid 0", |t| {
        let c = t.bundle()?.start()?;
        c.becomes("stopped")?;
        is(&c.state()?["pid"], &json!(0))
    }),
    test("paused", "runc: pause freezes, state says paused; resume goes back to running", |t| {
        let c = t.bundle()?.sleeps().start()?;
        c.rt("pause")?.ok()?;
        c.is("paused")?;
        c.rt("resume")?.ok()?;
        c.is("running")
    }),
    test("paused-does-not-run", "runc: no process of a paused container makes progress", |t| {
        let b = t.bundle()?.sh("while :; do echo x >> /log; sleep 0.01; done");
        let c = b.start()?;
        t.until("a line", || Ok(b.rootfs("log").exists()))?;
        c.rt("pause")?.ok()?;
        let size = || fs::metadata(b.rootfs("log")).map(|m| m.len());
        let before = size()?;
        std::thread::sleep(std::time::Duration::from_millis(100));
        is(size()?, before)?;
        c.rt("resume")?.ok()?;
        t.until("more lines", || Ok(size()? > before))
    }),
    test("create-without-process", "spec, Process: REQUIRED only when start is called", |t| {
        let c = t.bundle()?.without_raw("/process").create()?;
        c.is("created")?;
        that(c.pid()? > 1, "the namespaces have a process")?;
        c.rt("start")?.refused(&["process property must not be empty"])?;
        c.is("created")?;
        c.delete()?;
        t.nothing_left()
    }),
    test("create-id-twice", "spec, create: the id MUST be unique; runc's sentence", |t| {
        let b = t.bundle()?.sleeps();
        let c = b.create()?;
        b.try_create()?.refused(&["container with given ID already exists"])?;
        c.is("created")
    }),
    test("create-id-in-use-other-bundle", "a refused create leaves the first one alone", |t| {
        let c = t.bundle()?.sleeps().start()?;
        let other = t.bundle()?.id(&c.id).sh("true");
        other.try_create()?.refused(&["container with given ID already exists"])?;
        c.is("running")?;
        has(c.proc("cmdline")?, "sleep")
    }),
    test("create-concurrently", "of two creates with one id exactly one succeeds", |t| {
        let b = t.bundle()?.sleeps();
        let (one, two) = (b.call("create")?.spawn()?, b.call("create")?.spawn()?);
        let mut codes = [one.wait()?, two.wait()?];
        codes.sort_by_key(|out| out.code);
        is(codes[0].code, 0)?;
        codes[1].refused(&["already exists"])?;
        is(t.rt(["state", &b.id])?.json()?["status"].as_str(), Some("created"))
    }),
    test("create-many-concurrently", "containers are created independently of each other", |t| {
        let bundles = (0..4).map(|_| Ok(t.bundle()?.sleeps())).collect::<Verdict<Vec<_>>>()?;
        let calls = bundles.iter().map(|b| b.call("create")?.spawn());
        for call in calls.collect::<Verdict<Vec<_>>>()? {
            call.wait()?.ok()?;
        }
        let ids = t.rt(["list", "-q"])?.ok()?;
        bundles.iter().try_for_each(|b| has(&ids, &b.id))
    }),
    test("start-missing", "spec, start: MUST generate an error if no id; runc's sentence", |t| {
        t.rt(["start", "nothing"])?.refused(&["container does not exist"])
    }),
    test("start-running", "runc: cannot start an already running container", |t| {
        let c = t.bundle()?.sleeps().start()?;
        c.rt("start")?.refused(&["cannot start an already running container"])?;
        c.is("running")
    }),
    test("start-stopped", "runc: cannot start a container that has stopped", |t| {
        let c = t.bundle()?.start()?;
        c.becomes("stopped")?;
        c.rt("start")?.refused(&["cannot start a container that has stopped"])
    }),
    test("start-paused", "start of a paused container is refused", |t| {
        let c = t.bundle()?.sleeps().start()?;
        c.rt("pause")?.ok()?;
        c.rt("start")?.refused(&["cannot start", "paused"])
    }),
    test("state-missing", "spec, state: an unknown id is an error; runc's sentence", |t| {
        t.rt(["state", "nothing"])?.refused(&["container does not exist"])
    }),
    test("kill-missing", "runc: container does not exist", |t| {
        t.rt(["kill", "nothing", "TERM"])?.refused(&["container does not exist"])
    }),
    test(
        "kill-stopped",
        "spec, kill: MUST generate an error if neither created nor running",
        |t| {
            let c = t.bundle()?.start()?;
            c.becomes("stopped")?;
            c.call("kill").arg("KILL").output()?.refused(&["container not running"])
        },
    ),
    test("kill-all-stopped", "containerd: kill --all on a stopped container exits 0", |t| {
        let c = t.bundle()?.start()?;
        c.becomes("stopped")?;
        t.rt(["kill", "--all", &c.id, "9"])?.ok()?;
        t.rt(["kill", &c.id, "9"])?.refused(&["not running"])
    }),
    test("kill-all", "runc: kill --all signals every process of the container", |t| {
        let b = t.bundle()?.share("pid").sh("sleep 77 & sleep 77 & echo up; wait");
        let c = b.start()?;
        c.shows("up")?;
        t.rt(["kill", "--all", &c.id, "KILL"])?.ok()?;
        c.becomes("stopped")?;
        t.until("no process is left", || {
            Ok(!t.left().iter().any(|thing| thing.starts_with("process")))
        })
    }),
    test("kill-created", "spec, kill: signals the process of a created container", |t| {
        let c = t.bundle()?.sleeps().create()?;
        c.kill("KILL")?;
        c.becomes("stopped")?;
        c.rt("start")?.refused(&["cannot start a container that has stopped"])?;
        c.delete()?;
        t.nothing_left()
    }),
    test("kill-paused", "runc: SIGKILL ends a paused container", |t| {
        let c = t.bundle()?.sleeps().start()?;
        c.rt("pause")?.ok()?;
        c.kill("KILL")?;
        c.becomes("stopped")
    }),
    test("kill-default-is-term", "runc: the default signal is SIGTERM", |t| {
        let c =
            t.bundle()?.sh("trap 'echo term; exit' TERM; echo up; while :; do sleep 0.02; done");
        let c = c.start()?;
        c.shows("up")?;
        c.rt("kill")?.ok()?;
        c.shows("term")?;
        c.becomes("stopped")
    }),
    test("kill-signal-names", "runc: signals by name, with SIG or without, and by number", |t| {
        let script = "trap 'echo got-usr1' USR1; echo up; while :; do sleep 0.02; done";
        let c = t.bundle()?.sh(script).start()?;
        c.shows("up")?;
        for (count, name) in (1..).zip(["USR1", "SIGUSR1", "usr1", "sigusr1", "10"]) {
            c.kill(name)?;
            t.until(name, || Ok(c.printed()?.matches("got-usr1").count() == count))?;
        }
        Ok(())
    }),
    test("kill-unknown-signal", "an unknown signal is refused by its name, and not sent", |t| {
        let c = t.bundle()?.sleeps().start()?;
        c.call("kill").arg("NOSUCH").output()?.refused(&["signal", "NOSUCH"])?;
        c.is("running")
    }),
    test(
        "killed-before-start",
        "an init killed from outside is stopped, and can be deleted",
        |t| {
            let c = t.bundle()?.sleeps().create()?;
            let pid = c.pid()?;
            t.host(["kill", "-9", &pid.to_string()])?;
            c.becomes("stopped")?;
            c.delete()?;
            t.nothing_left()
        },
    ),
    test(
        "create-killed",
        "whatever moment create is killed at, delete --force removes all of it",
        |t| {
            for delay in [1, 3, 6, 10, 15, 22] {
                let b = t.bundle()?.sleeps();
                let create = b.call("create")?.spawn()?;
                std::thread::sleep(std::time::Duration::from_millis(delay));
                drop(create);
                t.rt(["delete", "--force", &b.id])?.ok()?;
                t.nothing_left()?;
            }
            t.bundle()?.sleeps().create()?.is("created")
        },
    ),
    test(
        "state-while-creating",
        "spec, State: creating: state and list say so while create is at work",
        |t| {
            let (b, create) = in_hook(t)?;
            let state = t.rt(["state", &b.id])?.json()?;
            is(&state["status"], &json!("creating"))?;
            is(&state["bundle"], &json!(b.dir))?;
            let list = t.rt(["list"])?.ok()?;
            let row = list.lines().find(|line| line.starts_with(&b.id));
            has(row.unwrap_or_default(), "creating")?;
            fs::write(b.dir.join("go"), "")?;
            create.wait()?.ok()?;
            is(&t.rt(["state", &b.id])?.json()?["status"], &json!("created"))
        },
    ),
    test(
        "state-after-killed-create",
        "a create that was killed is not running: state and list say what is left of it",
        |t| {
            let (b, create) = in_hook(t)?;
            drop(create);
            fs::write(b.dir.join("go"), "")?;
            let state = t.rt(["state", &b.id])?;
            is(&state.json()?["status"], &json!("stopped"))?;
            for part in ["interrupted", "cgroup", "delete --force"] {
                has(&state.stderr, part)?;
            }
            let list = t.rt(["list"])?;
            let text = list.ok()?;
            let row = text.lines().find(|line| line.starts_with(&b.id));
            has(row.unwrap_or_default(), "stopped")?;
            has(&list.stderr, "interrupted")?;
            // An engine that reads both streams as one has a log of its own.
            let log = t.path("log");
            let call = t.call(["state", &b.id]).global(["--log", &log.to_string_lossy()]);
            is(call.output()?.stderr.as_str(), "")?;
            t.rt(["delete", "--force", &b.id])?.ok()?;
            t.nothing_left()
        },
    ),
    test(
        "state-before-the-record",
        "a create that was killed before it wrote anything down is there, too, and can be removed",
        |t| {
            let made = t.bundle()?.sleeps().create()?;
            let mode = fs::metadata(t.root.join(&made.id))?.permissions();
            let id = t.id();
            fs::create_dir(t.root.join(&id))?;
            fs::set_permissions(t.root.join(&id), mode)?;
            let out = t.rt(["state", &id])?;
            is(&out.json()?["status"], &json!("stopped"))?;
            has(&out.stderr, "interrupted")?;
            has(t.rt(["list", "--quiet"])?.ok()?, &id)?;
            t.rt(["delete", "--force", &id])?.ok()?;
            that(!t.root.join(&id).exists(), "it is gone")
        },
    ),
    test(
        "list-damaged",
        "a damaged state file hides no other container from list, and is named",
        |t| {
            let (bad, good) = (t.bundle()?.sleeps().create()?, t.bundle()?.sleeps().create()?);
            let file = t.root.join(&bad.id).join("state.json");
            let saved = fs::read(&file)?;
            fs::write(&file, "{")?;
            let list = t.rt(["list"])?;
            fs::write(&file, saved)?;
            has(list.ok()?, &good.id)?;
            has(&list.stderr, &bad.id)
        },
    ),
    test(
        "create-killed-id-is-free",
        "after a killed create and delete --force the id can be used again",
        |t| {
            let b = t.bundle()?.sleeps();
            for delay in [2, 5, 9, 14] {
                let create = b.call("create")?.spawn()?;
                std::thread::sleep(std::time::Duration::from_millis(delay));
                drop(create);
                t.rt(["delete", "--force", &b.id])?.ok()?;
            }
            b.start()?.is("running")
        },
    ),
];
