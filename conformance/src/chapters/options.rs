//! Life cycle: the log, the forms of options, descriptors, and the lesser commands.

use crate::layout;
use crate::socket::{Socket, is_pidfd_of};
use crate::table::{Test, test};
use crate::verdict::{Verdict, fail, has, is, lacks, that};
use serde_json::{Value, json};
use std::fs;

/// More of the chapter's tests.
pub(crate) const TESTS: &[Test] = &[
    test(
        "log-json",
        "containerd: --log-format json lines have level, msg, and an RFC 3339 time",
        |t| {
            let log = t.path("log.json");
            let flags = ["--log", &log.to_string_lossy(), "--log-format", "json"];
            let out = t.call(["state", "nothing"]).global(flags).output()?;
            out.refused(&["does not exist"])?;
            let lines = fs::read_to_string(log)?;
            let line: Value = serde_json::from_str(lines.lines().last().unwrap_or_default())?;
            is(&line["level"], &json!("error"))?;
            is(&line["msg"], &json!("container does not exist"))?;
            let time = line["time"].as_str().unwrap_or_default();
            that(time.len() >= 20 && time[10..].starts_with('T'), format!("a time: {time}"))
        },
    ),
    test(
        "log-json-fields",
        "a JSON log line tells more than a sentence: operation, id, step, object, path, errno",
        |t| {
            let log = t.path("log.json");
            let flags =
                ["--log", &log.to_string_lossy(), "--log-format", "json"].map(str::to_owned);
            let b = t.bundle()?.args(["/no/such/program"]);
            let call = b.call("create")?.global(flags);
            call.output()?.refused(&["no such file"])?;
            t.tares("fields of a log line beside runc's")?;
            let line: Value = serde_json::from_str(&fs::read_to_string(log)?)?;
            is(&line["level"], &json!("error"))?;
            is(&line["operation"], &json!("create"))?;
            is(&line["id"], &json!(b.id))?;
            is(&line["step"], &json!("process.args[0]"))?;
            is(&line["object"], &json!("/no/such/program"))?;
            is(&line["errno"], &json!("ENOENT"))
        },
    ),
    test("log-json-one-object", "podman reads the whole log as one object: errors only", |t| {
        let log = t.path("log.json");
        let flags = ["--log", &log.to_string_lossy(), "--log-format=json"];
        let b = t.bundle()?.args(["/no/such"]);
        b.call("create")?.global(flags).output()?.refused(&["/no/such"])?;
        let one: Value = serde_json::from_str(&fs::read_to_string(log)?)?;
        has(one["msg"].as_str().unwrap_or_default(), "/no/such")
    }),
    test("log-text", "runc: --log in text has level=error and msg=", |t| {
        let log = t.path("log");
        let call = t.call(["state", "nothing"]).global(["--log", &log.to_string_lossy()]);
        call.output()?.refused(&["does not exist"])?;
        let text = fs::read_to_string(log)?;
        has(&text, "level=error")?;
        has(text, "msg=\"container does not exist\"")
    }),
    test("log-bad-format", "runc: an unknown --log-format is refused by its name", |t| {
        let call = t.call(["list"]).global(["--log-format", "xml"]);
        call.output()?.refused(&["log-format", "xml"])
    }),
    test("log-appends", "runc: --log appends", |t| {
        let log = t.file("log", "before\n")?;
        let call = t.call(["state", "nothing"]).global(["--log", &log.to_string_lossy()]);
        call.output()?.refused(&["does not exist"])?;
        let text = fs::read_to_string(log)?;
        has(&text, "before\n")?;
        has(text, "does not exist")
    }),
    test("list-root-missing", "runc 1.5: list of a --root that is not there fails", |t| {
        t.call(["list"]).root(Some(&t.path("nowhere"))).output()?.refused(&["nowhere"])
    }),
    test("flags-after-id", "runc: flags are taken after the container id", |t| {
        let c = t.bundle()?.sleeps().start()?;
        t.rt(["delete", &c.id, "--force"])?.ok()?;
        c.rt("state")?.refused(&["does not exist"])
    }),
    test(
        "flags-single-dash",
        "runc: Go's long flags with one dash, as containerd passes them",
        |t| {
            let b = t.bundle()?.sleeps();
            b.write()?;
            t.call(["create", "-bundle"]).arg(&b.dir).arg(&b.id).ok()?;
            t.rt(["delete", "-force", &b.id])?.ok()?;
            t.rt(["state", &b.id])?.refused(&["does not exist"])
        },
    ),
    test("flags-with-equals", "runc: --option=value", |t| {
        let b = t.bundle()?.sleeps();
        b.write()?;
        t.call(["create"]).arg(format!("--bundle={}", b.dir.display())).arg(&b.id).ok()?;
        is(t.rt(["list", "--format=json"])?.json()?[0]["id"].as_str(), Some(b.id.as_str()))
    }),
    test(
        "bundle-defaults-to-cwd",
        "runc: without --bundle the bundle is the working directory",
        |t| {
            let b = t.bundle()?.sh("echo here");
            b.write()?;
            t.call(["run", &b.id]).dir(&b.dir).output()?.prints("here")
        },
    ),
    test("bundle-relative", "spec, State: bundle is an absolute path, whatever was given", |t| {
        let b = t.bundle()?.sleeps();
        b.write()?;
        let name = b.dir.file_name().unwrap_or_default().to_string_lossy();
        t.call(["create", "--bundle", &name, &b.id]).ok()?;
        is(&t.rt(["state", &b.id])?.json()?["bundle"], &json!(b.dir))
    }),
    test("unknown-command", "an unknown subcommand is refused", |t| {
        let out = t.rt(["nonsense"])?;
        that(out.code > 0, "it fails")?;
        has(format!("{}{}", out.stdout, out.stderr), "nonsense")
    }),
    test("unknown-flag", "an unknown flag is refused by its name, before anything happens", |t| {
        let b = t.bundle()?.sleeps().flags(["--nonsense"]);
        b.try_create()?.refused(&["nonsense"])?;
        t.nothing_left()
    }),
    test("id-missing", "create without an id is refused", |t| {
        let b = t.bundle()?.sleeps();
        b.write()?;
        let out = t.call(["create", "--bundle"]).arg(&b.dir).output()?;
        that(out.code > 0, "it fails")?;
        has(format!("{}{}", out.stdout, out.stderr).to_lowercase(), "argument")
    }),
    test("preserve-fds", "runc: --preserve-fds N passes descriptors 3 to 3+N-1", |t| {
        let b = t.bundle()?.sh("cat <&3; cat <&4; ls /proc/self/fd | wc -l");
        let (three, four) = (t.file("three", "3\n")?, t.file("four", "4\n")?);
        let open = format!("exec 3<{} 4<{} 5<&3; exec \"$@\"", three.display(), four.display());
        let call = b.flags(["--preserve-fds", "2"]).call("run")?;
        // 0, 1, 2, 3, 4, and the directory that ls reads.
        call.through(["/bin/sh", "-c", &open, "sh"]).output()?.prints("3\n4\n6")
    }),
    test(
        "no-leaked-fds",
        "CVE-2024-21626: the process has descriptors 0, 1, 2 and no other",
        |t| {
            let b = t.bundle()?.sh("ls /proc/self/fd | tr '\\n' ' '");
            let open = "exec 3</ 4<. 5</etc/passwd 6</dev/null 9</; exec \"$@\"";
            // The fourth is the directory that ls reads.
            b.call("run")?.through(["/bin/sh", "-c", open, "sh"]).output()?.prints("0 1 2 3 ")
        },
    ),
    test(
        "closed-standard-descriptors",
        "runc: called without descriptors 0, 1 and 2, the container has all three, and the state is whole",
        |t| {
            let b = t
                .bundle()?
                .sh("for n in 0 1 2; do [ -e /proc/self/fd/$n ] || exit 1; done; exit 42");
            let close = "exec \"$@\" <&- >&- 2>&-";
            let call = b.call("run")?.through(["/bin/sh", "-c", close, "sh"]);
            is(call.output()?.code, 42)?;
            let c = t.bundle()?.sleeps();
            c.call("create")?.through(["/bin/sh", "-c", close, "sh"]).output()?;
            is(&t.rt(["state", &c.id])?.json()?["status"], &json!("created"))
        },
    ),
    test("ignored-signals", "what the caller ignores (nohup) the container does not", |t| {
        let ignore = "trap '' HUP INT QUIT USR1 TERM; exec \"$@\"";
        let b = t.bundle()?.args(["grep", "SigIgn", "/proc/self/status"]);
        // Of the first 31: what is behind them is the C libraries'.
        let ignored = |said: String| -> Verdict<u64> {
            let mask = said.trim_start_matches("SigIgn:").trim();
            Ok(u64::from_str_radix(mask, 16)? & 0x7fff_ffff)
        };
        is(ignored(b.call("run")?.through(["/bin/sh", "-c", ignore, "sh"]).ok()?)?, 0)?;
        let c = t.bundle()?.sleeps().start()?;
        let call = c.exec([], ["grep", "SigIgn", "/proc/self/status"]);
        is(ignored(call.through(["/bin/sh", "-c", ignore, "sh"]).ok()?)?, 0)
    }),
    test("listen-fds", "runc: LISTEN_FDS descriptors are passed, with LISTEN_PID 1", |t| {
        let file = t.file("three", "socket\n")?;
        // As systemd does it: the variable names the process that is to take the sockets.
        let open = format!("export LISTEN_PID=$$; exec 3<{} \"$@\"", file.display());
        let b = t.bundle()?.sh("cat <&3; echo $LISTEN_FDS $LISTEN_PID");
        let call = b.call("run")?.env("LISTEN_FDS", "1");
        let said = call.through(["/bin/sh", "-c", &open, "sh"]).ok()?;
        is(said.as_str(), "socket\n1 1")
    }),
    test("environment-stays-out", "spec: the process's environment is config.json's alone", |t| {
        let b = t.bundle()?.args(["/bin/env"]);
        let env = b.call("run")?.env("SECRET_OF_THE_ENGINE", "1").ok()?;
        has(&env, "TERM=xterm")?;
        lacks(env, "SECRET_OF_THE_ENGINE")
    }),
    test("root-is-created", "runc: a --root that does not exist is made, deeply", |t| {
        let b = t.bundle()?.sleeps();
        let root = t.path("deep/er/root");
        t.owns(&root, &b.id);
        b.call("create")?.root(Some(&root)).ok()?;
        that(root.join(&b.id).is_dir(), "the state directory is ROOT/ID")?;
        t.call(["delete", "--force", &b.id]).root(Some(&root)).ok()?;
        that(!root.join(&b.id).exists(), "it is gone")
    }),
    test("roots-are-separate", "containers of another --root are not seen", |t| {
        let c = t.bundle()?.sleeps().create()?;
        let other = t.dir("other-root")?;
        let state = t.call(["state", &c.id]).root(Some(&other));
        state.output()?.refused(&["container does not exist"])?;
        c.is("created")
    }),
    test("features", "runc 1.1: features prints JSON with ociVersionMin and ociVersionMax", |t| {
        let features = t.rt(["features"])?.json()?;
        for bound in ["ociVersionMin", "ociVersionMax"] {
            match features[bound].as_str() {
                Some(version) => has(version, "1.")?,
                None => return fail(format!("no {bound}")),
            }
        }
        let known = features["linux"]["namespaces"].as_array().map_or(0, Vec::len);
        that(known >= 7, "seven namespaces or more")
    }),
    test("spec-command", "runc: spec writes a config.json that runs", |t| {
        let b = t.bundle()?;
        let dir = b.dir.to_string_lossy().into_owned();
        t.rt(["spec", "--bundle", &dir])?.ok()?;
        let text = fs::read_to_string(b.dir.join("config.json"))?;
        let mut config: Value = serde_json::from_str(&text)?;
        config["process"]["terminal"] = json!(false);
        config["process"]["args"] = json!(["echo", "from spec"]);
        fs::write(b.dir.join("config.json"), config.to_string())?;
        t.rt(["run", "--bundle", &dir, &b.id])?.prints("from spec")?;
        t.rt(["spec", "--bundle", &dir])?.refused(&["config.json exists"])
    }),
    test("update-memory", "runc: update changes a running container's limits", |t| {
        layout::has("memory")?;
        let c = t.bundle()?.sleeps().start()?;
        t.rt(["update", "--memory", "64M", &c.id])?.ok()?;
        let file = layout::either("memory.limit_in_bytes", "memory.max");
        is(layout::read("memory", &c.id, file)?.as_str(), "67108864")
    }),
    test("update-resources-stdin", "containerd: update --resources - reads JSON", |t| {
        layout::has("pids")?;
        let c = t.bundle()?.sleeps().start()?;
        let resources = json!({ "pids": { "limit": 33 } }).to_string();
        t.call(["update", "--resources", "-", &c.id]).stdin(resources)?.ok()?;
        is(layout::read("pids", &c.id, "pids.max")?.as_str(), "33")
    }),
    test("events-stats", "runc: events --stats prints one object with type stats", |t| {
        let c = t.bundle()?.sleeps().start()?;
        // The pids are also a runtime's threads, until it has become the program.
        c.pid()?;
        let event = t.rt(["events", "--stats", &c.id])?.json()?;
        is(&event["type"], &json!("stats"))?;
        is(&event["id"], &json!(c.id))?;
        is(&event["data"]["pids"]["current"], &json!(1))
    }),
    test("notify-socket", "runc: NOTIFY_SOCKET is handed on as a socket in the container", |t| {
        let socket = t.path("notify");
        let listener = std::os::unix::net::UnixDatagram::bind(&socket)?;
        let b = t.bundle()?.sh("test -S $NOTIFY_SOCKET && echo $NOTIFY_SOCKET; exec sleep 100");
        let env = socket.to_string_lossy().into_owned();
        let c = b.create_by(b.call("create")?.env("NOTIFY_SOCKET", &env))?;
        // start waits for READY=1 in the foreground; it need not come here.
        let start = c.call("start").env("NOTIFY_SOCKET", &env).spawn()?;
        c.shows("/run/notify/notify.sock")?;
        drop((start, listener));
        Ok(())
    }),
    test(
        "pidfd-socket",
        "runc 1.2: --pidfd-socket receives a pidfd of the process, with the text standard",
        |t| {
            let socket = Socket::listen(t)?;
            let flags = ["--detach", "--pidfd-socket", &socket.name()];
            let b = t.bundle()?.sleeps().flags(flags);
            b.call("run")?.ok()?;
            let (descriptors, text) = socket.receive()?;
            is(text.as_str(), "standard")?;
            is_pidfd_of(&descriptors, &t.rt(["state", &b.id])?.json()?["pid"].to_string())
        },
    ),
];
