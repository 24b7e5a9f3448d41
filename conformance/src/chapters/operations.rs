//! Life cycle: what the operations print, write and return, and the forms of their command lines.

use std::fs;

use serde_json::{Value, json};

use crate::table::{Test, test};
use crate::verdict::{Verdict, fail, has, is, lacks, that};

/// The chapter's tests of command lines and output.
pub(crate) const TESTS: &[Test] = &[
    test("run-exit-status", "runc: run exits with the process's exit status", |t| {
        t.bundle()?.sh("exit 0").run()?.exits(0)?;
        t.bundle()?.sh("exit 7").run()?.exits(7)?;
        t.bundle()?.sh("exit 255").run()?.exits(255)
    }),
    test("run-signal-status", "runc: run exits with 128 plus the signal's number", |t| {
        // The first process of a pid namespace can't send itself SIGKILL.
        t.bundle()?.share("pid").sh("kill -KILL $$").run()?.exits(137)?;
        t.bundle()?.share("pid").sh("kill -TERM $$").run()?.exits(143)
    }),
    test("run-deletes", "runc: run deletes the container when its process has ended", |t| {
        let b = t.bundle()?.sh("echo here");
        b.run()?.prints("here")?;
        t.nothing_left()?;
        t.rt(["state", &b.id])?.refused(&["does not exist"])
    }),
    test("run-keep", "runc: run --keep leaves the stopped container", |t| {
        let b = t.bundle()?.sh("exit 3").flags(["--keep"]);
        b.run()?.exits(3)?;
        is(&t.rt(["state", &b.id])?.json()?["status"], &json!("stopped"))
    }),
    test("run-detach", "runc: run --detach returns as soon as the process runs", |t| {
        let b = t.bundle()?.sleeps().flags(["--detach"]);
        b.run()?.ok()?;
        is(&t.rt(["state", &b.id])?.json()?["status"], &json!("running"))
    }),
    test("run-forwards-signals", "runc: run passes the signals it gets to the process", |t| {
        let b = t.bundle()?.sh("trap 'exit 42' USR1; echo up; while :; do sleep 0.02; done");
        let run = b.call("run")?.spawn()?;
        t.until("the process", || Ok(fs::read_to_string(&run.stdout)?.contains("up")))?;
        t.host(["kill", "-USR1", &run.pid().to_string()])?;
        run.wait()?.exits(42)
    }),
    test("run-stdin-stdout", "runc: run connects its standard streams with the process", |t| {
        let b = t.bundle()?.sh("read line; echo got $line; echo bad >&2");
        let out = b.call("run")?.stdin("words\n")?.output()?;
        out.prints("got words")?;
        has(&out.stderr, "bad")
    }),
    test("run-stdin-end", "runc: the end of standard input reaches the process", |t| {
        let out = t.bundle()?.args(["wc", "-c"]).call("run")?.stdin("12345")?.output()?;
        out.prints("5")
    }),
    test("create-pid-file", "runc: the pid file holds the decimal pid and nothing else", |t| {
        let file = t.path("pid");
        let b = t.bundle()?.sleeps().flags(["--pid-file", &file.to_string_lossy()]);
        let c = b.create()?;
        is(fs::read_to_string(file)?, c.pid()?.to_string())
    }),
    test("run-pid-file", "runc: run --detach writes the pid file too", |t| {
        let file = t.path("pid");
        let b = t.bundle()?.sleeps().flags(["-d", "--pid-file", &file.to_string_lossy()]);
        b.run()?.ok()?;
        let state = t.rt(["state", &b.id])?.json()?;
        is(fs::read_to_string(file)?, state["pid"].to_string())
    }),
    test("state-fields", "spec, State: ociVersion, id, status, pid, bundle, annotations", |t| {
        let b = t.bundle()?.sleeps().set("/annotations", json!({ "org.example.key": "value" }));
        let state = b.start()?.state()?;
        is(&state["id"], &json!(b.id))?;
        is(&state["status"], &json!("running"))?;
        is(&state["bundle"], &json!(b.dir))?;
        is(&state["annotations"], &json!({ "org.example.key": "value" }))?;
        that(state["pid"].as_i64() > Some(1), "pid is the process's")?;
        let version = state["ociVersion"].as_str().unwrap_or_default();
        that(version.starts_with("1."), "ociVersion is 1.x")
    }),
    test("state-fields-of-runc", "runc: state has rootfs, created (RFC 3339) and owner too", |t| {
        let b = t.bundle()?.sleeps();
        let state = b.create()?.state()?;
        is(&state["rootfs"], &json!(b.rootfs("").to_string_lossy().trim_end_matches('/')))?;
        let created = state["created"].as_str().unwrap_or_default();
        that(created.len() >= 20 && created.ends_with('Z'), format!("a UTC time: {created}"))?;
        is(&created[4..5], "-")?;
        is(&created[10..11], "T")?;
        is(&state["owner"], &json!(""))
    }),
    test("state-pid-is-the-process", "spec, State: pid is the ID of the container process", |t| {
        let c = t.bundle()?.share("pid").sh("echo $$; exec sleep 100").start()?;
        c.shows("\n").or_else(|_| c.shows("1"))?;
        is(c.printed()?, c.pid()?.to_string())
    }),
    test("list-empty-json", "runc: list --format json of nothing prints null", |t| {
        is(t.rt(["list", "--format", "json"])?.json()?, Value::Null)
    }),
    test("list-table", "runc: the table has ID PID STATUS BUNDLE CREATED OWNER", |t| {
        let b = t.bundle()?.sleeps();
        let pid = b.start()?.pid()?.to_string();
        let table = t.rt(["list"])?.ok()?;
        let rows: Vec<Vec<&str>> = table.lines().map(|l| l.split_whitespace().collect()).collect();
        is(&rows[0][..], ["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"])?;
        let dir = b.dir.to_string_lossy();
        is(&rows[1][..4], [b.id.as_str(), &pid, "running", &dir])?;
        is(rows[1].last(), Some(&"root"))
    }),
    test("list-json", "runc: list --format json has the fields of state", |t| {
        let c = t.bundle()?.sleeps().start()?;
        let list = t.rt(["list", "-f", "json"])?.json()?;
        let state = c.state()?;
        is(list.as_array().map(Vec::len), Some(1))?;
        for field in ["id", "pid", "status", "bundle", "rootfs", "ociVersion", "created"] {
            is(&list[0][field], &state[field])?;
        }
        is(&list[0]["owner"], &json!("root"))
    }),
    test("list-quiet", "runc: list --quiet prints ids only", |t| {
        let (one, two) = (t.bundle()?.sleeps().create()?, t.bundle()?.sleeps().create()?);
        let text = t.rt(["list", "--quiet"])?.ok()?;
        let mut ids: Vec<&str> = text.lines().collect();
        ids.sort_unstable();
        is(ids, [one.id.as_str(), &two.id])
    }),
    test("list-bad-format", "runc: an unknown format of list is refused", |t| {
        t.rt(["list", "--format", "xml"])?.refused(&["format"])
    }),
    test("ps-json", "runc: ps --format json is a list of pids on the host", |t| {
        let c = t.bundle()?.sh("sleep 50 & echo up; wait").start()?;
        c.shows("up")?;
        let pids = t.rt(["ps", "--format", "json", &c.id])?.json()?;
        is(pids.as_array().map(Vec::len), Some(2))?;
        let init = json!(c.pid()?);
        that(pids.as_array().is_some_and(|list| list.contains(&init)), "the first process is in it")
    }),
    test("ps-table", "runc: ps prints the host's ps table, of the container's processes", |t| {
        let c = t.bundle()?.args(["/bin/sleep", "4321"]).start()?;
        let table = c.rt("ps")?.ok()?;
        let lines: Vec<&str> = table.lines().collect();
        is(lines.len(), 2)?;
        has(lines[0], "PID")?;
        has(lines[1], &c.pid()?.to_string())?;
        has(lines[1], "sleep 4321")
    }),
    test("ps-missing", "runc: ps of an unknown id is an error", |t| {
        t.rt(["ps", "nothing"])?.refused(&["does not exist"])
    }),
    test("version", "go-runc: the first line of --version is NAME version X; spec: follows", |t| {
        let text = t.rt(["--version"])?.ok()?;
        let first: Vec<&str> = text.lines().next().unwrap_or_default().split(' ').collect();
        is(first.get(1), Some(&"version"))?;
        that(text.lines().any(|line| line.starts_with("spec: 1.")), "a line spec: 1.x")
    }),
    test("log-json", "containerd: --log-format json lines have level, msg, and an RFC 3339 time", |t| {
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
    }),
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
    test("flags-after-id", "runc: flags are taken after the container id", |t| {
        let c = t.bundle()?.sleeps().start()?;
        t.rt(["delete", &c.id, "--force"])?.ok()?;
        c.rt("state")?.refused(&["does not exist"])
    }),
    test("flags-single-dash", "runc: Go's long flags with one dash, as containerd passes them", |t| {
        let b = t.bundle()?.sleeps();
        b.write()?;
        t.call(["create", "-bundle"]).arg(&b.dir).arg(&b.id).ok()?;
        t.rt(["delete", "-force", &b.id])?.ok()?;
        t.rt(["state", &b.id])?.refused(&["does not exist"])
    }),
    test("flags-with-equals", "runc: --option=value", |t| {
        let b = t.bundle()?.sleeps();
        b.write()?;
        t.call(["create"]).arg(format!("--bundle={}", b.dir.display())).arg(&b.id).ok()?;
        is(t.rt(["list", "--format=json"])?.json()?[0]["id"].as_str(), Some(b.id.as_str()))
    }),
    test("bundle-defaults-to-cwd", "runc: without --bundle the bundle is the working directory", |t| {
        let b = t.bundle()?.sh("echo here");
        b.write()?;
        t.call(["run", &b.id]).dir(&b.dir).output()?.prints("here")
    }),
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
    test("no-leaked-fds", "CVE-2024-21626: the process has descriptors 0, 1, 2 and no other", |t| {
        let b = t.bundle()?.sh("ls /proc/self/fd | tr '\\n' ' '");
        let open = "exec 3</ 4<. 5</etc/passwd 6</dev/null 9</; exec \"$@\"";
        // The fourth is the directory that ls reads.
        b.call("run")?.through(["/bin/sh", "-c", open, "sh"]).output()?.prints("0 1 2 3 ")
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
        let c = t.bundle()?.sleeps().start()?;
        t.rt(["update", "--memory", "64M", &c.id])?.ok()?;
        let file = format!("/sys/fs/cgroup/memory/{}/memory.limit_in_bytes", c.id);
        is(fs::read_to_string(file)?.trim(), "67108864")
    }),
    test("update-resources-stdin", "containerd: update --resources - reads JSON", |t| {
        let c = t.bundle()?.sleeps().start()?;
        let resources = json!({ "pids": { "limit": 33 } }).to_string();
        t.call(["update", "--resources", "-", &c.id]).stdin(resources)?.ok()?;
        is(fs::read_to_string(format!("/sys/fs/cgroup/pids/{}/pids.max", c.id))?.trim(), "33")
    }),
    test("events-stats", "runc: events --stats prints one object with type stats", |t| {
        let c = t.bundle()?.sleeps().start()?;
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
        let create = b.call("create")?.env("NOTIFY_SOCKET", &env).spawn()?;
        let out = create.stdout.clone();
        create.wait()?.ok()?;
        // start waits for READY=1 in the foreground; it need not come here.
        let start = t.call(["start", &b.id]).env("NOTIFY_SOCKET", &env).spawn()?;
        t.until("the path", || -> Verdict<bool> {
            Ok(fs::read_to_string(&out)?.contains("/run/notify/notify.sock"))
        })?;
        drop((start, listener));
        Ok(())
    }),
];
