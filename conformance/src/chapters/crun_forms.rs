//! The command line: what crun takes beside runc's words.

use crate::bundle::Bundle;
use crate::case::Case;
use crate::container::Container;
use crate::layout;
use crate::socket::{Socket, is_pidfd_of};
use crate::table::{Test, test};
use crate::verdict::{Verdict, has, is, lacks, that};
use serde_json::{Value, json};
use std::fs;
use std::os::unix::net::UnixDatagram;

/// The chapter's tests of what crun takes.
pub(crate) const TESTS: &[Test] = &[
    test("config", "crun: --config FILE is read in place of the bundle's config.json", |t| {
        let b = t.bundle()?.args(["echo", "the other"]);
        b.write()?;
        let other = t.path("other.json");
        fs::rename(b.dir.join("config.json"), &other)?;
        let bundle = b.dir.to_string_lossy();
        t.rt(["run", "--config", &other.to_string_lossy(), "--bundle", &bundle, &b.id])?
            .prints("the other")?;
        let words = ["create", "-f", "other.json", "-b", &bundle, &b.id];
        t.call(words).dir(&t.scratch).ok()?;
        is(&t.rt(["state", &b.id])?.json()?["bundle"], &json!(b.dir))?;
        let out = t.rt(["run", "--config", "/no/such.json", "--bundle", &bundle, &t.id()])?;
        out.refused(&["/no/such.json"])
    }),
    test("kill-regex", "crun: kill --regex signals all whose id matches", |t| {
        let [one, two, other] = three(t)?;
        t.rt(["kill", "--regex", &either(&one, &two), "KILL"])?.ok()?;
        one.becomes("stopped")?;
        two.becomes("stopped")?;
        other.is("running")?;
        t.rt(["kill", "--regex", "nothing-has-this-id$", "KILL"])?.ok().map(drop)
    }),
    test("delete-regex", "crun: delete --regex deletes all whose id matches", |t| {
        let [one, two, other] = three(t)?;
        t.rt(["delete", "--force", "--regex", &either(&one, &two)])?.ok()?;
        is(t.rt(["list", "--quiet"])?.ok()?.trim(), other.id.as_str())
    }),
    test("regex-failures", "kill --regex goes on behind a failure, and names its container", |t| {
        let [one, two, _] = three(t)?;
        one.kill("KILL")?;
        one.becomes("stopped")?;
        let out = t.rt(["kill", "--regex", &either(&one, &two), "KILL"])?;
        out.refused(&[&format!("{}: container not running", one.id)])?;
        two.becomes("stopped")?;
        t.rt(["kill", "--regex", "[", "KILL"])?.refused(&["regular expression", "["])
    }),
    test("log-file", "crun: --log file:FILE is a file", |t| {
        let log = t.path("log.json");
        let to = format!("file:{}", log.display());
        let flags = ["--log", &to, "--log-format", "json"];
        t.call(["state", "nothing"]).global(flags).output()?.refused(&["does not exist"])?;
        let line: Value = serde_json::from_str(&fs::read_to_string(log)?)?;
        is(&line["level"], &json!("error"))
    }),
    test("log-journald", "crun: --log journald:NAME is an entry of systemd's journal", |t| {
        let entry = logged(t, "/run", "systemd/journal/socket", "journald:engine")?;
        has(&entry, "PRIORITY=3\n")?;
        has(&entry, "does not exist")?;
        has(&entry, "SYSLOG_IDENTIFIER\n")?;
        has(entry, "engine")
    }),
    test("log-syslog", "crun: --log syslog:NAME is a line of syslog", |t| {
        let line = logged(t, "/dev", "log", "syslog:engine")?;
        // syslog(3)'s LOG_USER and LOG_ERR; a time may come before the name.
        that(line.starts_with("<11>"), format!("{line:?}"))?;
        has(&line, "engine[")?;
        has(line, "]: container does not exist")
    }),
    test("log-nobody", "a log daemon that is not there is an error, by its socket", |t| {
        layout::root()?;
        let script = "mount -t tmpfs tmpfs /run; exec \"$@\"";
        let call = t.call(["list"]).global(["--log", "journald:x"]);
        let out = call.through(["unshare", "-m", "sh", "-c", script, "sh"]).output()?;
        out.refused(&["journald:x", "/run/systemd/journal/socket"])
    }),
    test("log-level", "crun: --log-level says how much is logged", |t| {
        // A capability that nobody knows is worth a warning.
        let warns = |levels: &[&str]| -> Verdict<(String, String)> {
            let log = t.path("log");
            let _ = fs::remove_file(&log);
            let b = t.bundle()?.raw("/process/capabilities/bounding", json!(["CAP_NOPE"]));
            let b = b.args(["true"]);
            let to = ["--log", &log.to_string_lossy()];
            b.call("run")?.global(to).global(levels.iter().copied()).ok()?;
            let file = fs::read_to_string(&log)?;
            let _ = fs::remove_file(&log);
            let plain = b.call("run")?.global(levels.iter().copied()).output()?;
            plain.ok()?;
            Ok((file, plain.stderr))
        };
        let (file, plain) = warns(&["--log-level", "error"])?;
        lacks(file, "CAP_NOPE")?;
        lacks(plain, "CAP_NOPE")?;
        for levels in [&["--log-level=warning"][..], &["--log-level", "debug"], &["--debug"]] {
            let (file, plain) = warns(levels)?;
            has(file, "CAP_NOPE")?;
            has(plain, "CAP_NOPE")?;
        }
        t.call(["list"]).global(["--log-level", "loud"]).output()?.refused(&["loud"])
    }),
];

/// The chapter's tests of the annotations that crun gives a meaning.
pub(crate) const ANNOTATIONS: &[Test] = &[
    test("keep-groups", "podman: run.oci.keep_original_groups keeps the caller's groups", |t| {
        layout::root()?;
        let through = ["setpriv", "--groups", "1234,4321"];
        let groups = |value: &str| -> Verdict<String> {
            let b =
                t.bundle()?.set("/annotations", json!({ "run.oci.keep_original_groups": value }));
            let b = b.set("/process/user/additionalGids", json!([7])).sh("id -G; exec sleep 100");
            b.call("run")?.arg("--detach").through(through).ok()?;
            let line = ["exec", &b.id, "id", "-G"];
            let said = t.call(line).through(through).ok()?;
            t.rt(["delete", "--force", &b.id])?.ok()?;
            Ok(said)
        };
        is(groups("1")?.trim(), "0 1234 4321")?;
        is(groups("0")?.trim(), "0 7")
    }),
    test("pidfd-receiver", "crun: run.oci.pidfd_receiver gets a descriptor of the process", |t| {
        let socket = Socket::listen(t)?;
        let annotation = json!({ "run.oci.pidfd_receiver": socket.name() });
        let c = t.bundle()?.set("/annotations", annotation).sleeps().create()?;
        let (descriptors, _) = socket.receive()?;
        is_pidfd_of(&descriptors, &c.pid()?.to_string())?;
        t.rt(["delete", "--force", &c.id])?.ok()?;
        let wrong = json!({ "run.oci.pidfd_receiver": "relative" });
        t.bundle()?.set("/annotations", wrong).sleeps().refused(&["pidfd_receiver", "absolute"])
    }),
    test("seccomp-receiver", "crun: run.oci.seccomp.receiver gets the listener of a filter", |t| {
        let agent = Socket::listen(t)?;
        let annotations = json!({ "run.oci.seccomp.receiver": agent.name() });
        receives(&agent, t.bundle()?.set("/annotations", annotations), &[])
    }),
    test("seccomp-receiver-variable", "crun: RUN_OCI_SECCOMP_RECEIVER names it, too", |t| {
        let agent = Socket::listen(t)?;
        receives(&agent, t.bundle()?, &[("RUN_OCI_SECCOMP_RECEIVER", &agent.name())])
    }),
    test("hook-output", "crun: run.oci.hooks.stdout and .stderr get what hooks print", |t| {
        let (out, err) = (t.file("out", "before\n")?, t.path("err"));
        let annotations = json!({
            "run.oci.hooks.stdout": out.to_string_lossy(),
            "run.oci.hooks.stderr": err.to_string_lossy(),
        });
        let mut b = t.bundle()?.set("/annotations", annotations).sleeps();
        let kinds = ["createRuntime", "createContainer", "startContainer", "poststart", "poststop"];
        for kind in kinds {
            b = b.hook(kind, &format!("echo out {kind}; echo err {kind} >&2"));
        }
        let c = b.start()?;
        t.rt(["delete", "--force", &c.id])?.ok()?;
        let lines = |name: &str| -> String {
            kinds.iter().map(|kind| format!("{name} {kind}\n")).collect()
        };
        is(fs::read_to_string(out)?, format!("before\n{}", lines("out")))?;
        is(fs::read_to_string(err)?, lines("err"))
    }),
];

/// A bundle whose filter asks an agent about mkdir(2), and names none.
fn notifying(b: Bundle<'_>) -> Bundle<'_> {
    let rule = json!([{ "names": ["mkdir"], "action": "SCMP_ACT_NOTIFY" }]);
    let filter = json!({ "defaultAction": "SCMP_ACT_ALLOW", "syscalls": rule });
    b.set("/linux/seccomp", filter).sleeps()
}

/// The agent gets one listener of the bundle's filter, with `variables` in the runtime's environment.
fn receives(agent: &Socket<'_>, b: Bundle<'_>, variables: &[(&str, &str)]) -> Verdict {
    let b = notifying(b).flags(["--detach"]);
    let call = variables.iter().fold(b.call("run")?, |call, (name, value)| call.env(name, value));
    let run = call.spawn()?;
    let (descriptors, text) = agent.receive()?;
    run.wait()?.ok()?;
    is(descriptors.len(), 1)?;
    has(text, "seccompFd")
}

/// Three containers that run.
fn three(t: &Case) -> Verdict<[Container<'_>; 3]> {
    let one = || t.bundle()?.sleeps().start();
    Ok([one()?, one()?, one()?])
}

/// A pattern that fits the ids of both.
fn either(one: &Container<'_>, two: &Container<'_>) -> String {
    format!("^({}|{})$", one.id, two.id)
}

/// What a log daemon gets whose socket is `name` below `place`, a directory that is another one in a
/// mount namespace of the runtime's own.
fn logged(t: &Case, place: &str, name: &str, to: &str) -> Verdict<String> {
    layout::root()?;
    let socket = t.path("daemon");
    let daemon = UnixDatagram::bind(&socket)?;
    daemon.set_read_timeout(Some(t.patience))?;
    let script = format!(
        "mount -t tmpfs tmpfs {place}; mkdir -p $(dirname {place}/{name}); \
         ln -s {} {place}/{name}; exec \"$@\"",
        socket.display()
    );
    let call = t.call(["state", "nothing"]).global(["--log", to]);
    let out = call.through(["unshare", "-m", "sh", "-c", &script, "sh"]).output()?;
    out.refused(&["does not exist"])?;
    let mut datagram = [0; 4096];
    let length = daemon.recv(&mut datagram)?;
    Ok(String::from_utf8_lossy(&datagram[..length]).into_owned())
}
