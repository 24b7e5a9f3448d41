//! Checkpoint and restore: a container goes on where it was. CRIU does the work: where it can't, these
//! tests are skipped with its own reason.

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::Path;
use std::process::{Command, Stdio};

use crate::bundle::Bundle;
use crate::call::Call;
use crate::case::{Case, PATH};
use crate::chapters::mounts::Mounted;
use crate::chapters::net_devices::Device;
use crate::container::Container;
use crate::layout;
use crate::socket::{Socket, is_pidfd_of};
use crate::table::{Test, test};
use crate::verdict::{Miss, Verdict, has, is, needs, that};
use serde_json::json;

/// Skips where CRIU does not work, or lacks a feature.
fn criu(feature: Option<&str>) -> Verdict {
    layout::root()?;
    let mut check = Command::new("criu");
    check.arg("check").args(feature.iter().flat_map(|name| ["--feature", name]));
    let said = match check.env("PATH", PATH).stdin(Stdio::null()).output() {
        Ok(out) if out.status.success() => return Ok(()),
        Ok(out) => String::from_utf8_lossy(&[out.stdout, out.stderr].concat()).into_owned(),
        Err(error) => error.to_string(),
    };
    let last = said.trim_end().lines().last().unwrap_or_default().to_owned();
    Err(Miss::Skip(format!("needs CRIU: {last}")))
}

fn nowhere() -> [Stdio; 3] {
    [Stdio::null(), Stdio::null(), Stdio::null()]
}

/// Starts the container with nothing of the host's open: CRIU can't save files that are outside.
#[track_caller]
pub(super) fn start<'t>(b: &Bundle<'t>) -> Verdict<Container<'t>> {
    criu(None)?;
    b.call("create")?.stdio(nowhere()).ok()?;
    let container = Container::new(b.case, &b.id, b.case.path("nothing"));
    container.start()?;
    Ok(container)
}

const COUNTS: &str = "while true; do i=$((i+1)); echo $i >/new; mv /new /count; sleep 0.1; done";

/// How far the container's process has counted.
#[track_caller]
fn count(b: &Bundle<'_>) -> Verdict<u32> {
    Ok(fs::read_to_string(b.rootfs("count"))?.trim().parse()?)
}

/// The process must count on.
#[track_caller]
fn counts_on(b: &Bundle<'_>) -> Verdict {
    b.case.until("a count", || Ok(b.rootfs("count").exists()))?;
    let before = count(b)?;
    b.case.until("a higher count", || Ok(count(b)? > before))
}

/// A container that counts.
#[track_caller]
fn counting<'t>(t: &'t Case, b: Bundle<'t>) -> Verdict<(Bundle<'t>, Container<'t>)> {
    let b = b.sh(COUNTS);
    let c = start(&b)?;
    t.until("a count", || Ok(b.rootfs("count").exists()))?;
    Ok((b, c))
}

/// `checkpoint` into the case's own directories.
pub(super) fn checkpoint<'t>(c: &Container<'t>, flags: &[&str]) -> Call<'t> {
    let t = c.case;
    let call = t.call(["checkpoint", "--image-path"]).arg(t.path("images")).arg("--work-path");
    call.arg(t.path("work")).args(flags.iter().copied()).arg(&c.id)
}

/// `restore` from there, detached.
pub(super) fn restore<'t>(b: &Bundle<'t>, flags: &[&str]) -> Call<'t> {
    let t = b.case;
    let call = t.call(["restore", "--detach", "--image-path"]).arg(t.path("images"));
    let call = call.arg("--work-path").arg(t.path("work")).arg("--bundle").arg(&b.dir);
    call.args(flags.iter().copied()).arg(&b.id).stdio(nowhere())
}

/// The status of `restore`, and its log: what it says goes there, since its streams are the container's.
fn restore_logged(b: &Bundle<'_>, flags: &[&str]) -> Verdict<(i32, String)> {
    let log = b.case.path("log");
    let out = restore(b, flags).global(["--log", &log.to_string_lossy()]).output()?;
    Ok((out.code, fs::read_to_string(log).unwrap_or_default()))
}

/// `restore` must succeed.
#[track_caller]
fn restored(b: &Bundle<'_>, flags: &[&str]) -> Verdict {
    let (code, said) = restore_logged(b, flags)?;
    that(code == 0, format!("restored (rc {code}): {said}"))
}

/// `restore` must fail with `part` in its log.
#[track_caller]
fn restore_fails(b: &Bundle<'_>, part: &str) -> Verdict {
    let (code, said) = restore_logged(b, &[])?;
    that(code == 1, "it fails")?;
    has(said, part)
}

/// There and back; the process must count on from where it was.
#[track_caller]
fn round(b: &Bundle<'_>, c: &Container<'_>, flags: &[&str]) -> Verdict {
    checkpoint(c, flags).ok()?;
    let saved = count(b)?;
    c.rt("state")?.refused(&["does not exist"])?;
    restored(b, flags)?;
    c.is("running")?;
    counts_on(b)?;
    that(count(b)? > saved, "it counts on, and not from the start")
}

/// The chapter's tests.
pub(crate) const TESTS: &[Test] = &[
    test("counter", "runc: a restored container goes on where it was, again and again", |t| {
        let (b, c) = counting(t, t.bundle()?)?;
        round(&b, &c, &[])?;
        round(&b, &c, &[])?;
        c.call("delete").arg("--force").ok()?;
        t.nothing_left()
    }),
    test("files", "runc: images, descriptors.json and logs are where they are asked for", |t| {
        let (b, c) = counting(t, t.bundle()?)?;
        checkpoint(&c, &[]).ok()?;
        for file in ["images/inventory.img", "images/descriptors.json", "work/dump.log"] {
            that(t.path(file).exists(), file)?;
        }
        let streams = fs::read_to_string(t.path("images/descriptors.json"))?;
        is(streams.as_str(), r#"["/dev/null","/dev/null","/dev/null"]"#)?;
        t.nothing_left()?;
        restored(&b, &[])?;
        that(t.path("work/restore.log").exists(), "restore.log")
    }),
    test("default-directory", "runc: the images are in ./checkpoint, unless it is said", |t| {
        let (b, c) = counting(t, t.bundle()?)?;
        c.call("checkpoint").dir(&t.scratch).ok()?;
        that(t.path("checkpoint/inventory.img").exists(), "the images")?;
        let call = t.call(["restore", "-d", "-b"]).arg(&b.dir).arg(&b.id);
        call.dir(&t.scratch).stdio(nowhere()).ok()?;
        counts_on(&b)
    }),
    test("leave-running", "runc: --leave-running; podman gives it twice", |t| {
        let (b, c) = counting(t, t.bundle()?)?;
        let pid = c.pid()?;
        checkpoint(&c, &["--leave-running", "--leave-running"]).ok()?;
        that(t.path("images/inventory.img").exists(), "the images")?;
        c.is("running")?;
        is(c.pid()?, pid)?;
        counts_on(&b)
    }),
    test("paused", "runc: a paused container can be checkpointed", |t| {
        let (b, c) = counting(t, t.bundle()?)?;
        c.rt("pause")?.ok()?;
        checkpoint(&c, &[]).ok()?;
        t.nothing_left()?;
        restored(&b, &[])?;
        c.is("running")?;
        counts_on(&b)
    }),
    test("pid-file", "runc, restore: --pid-file, and -no-subreaper with one dash", |t| {
        let (b, c) = counting(t, t.bundle()?)?;
        checkpoint(&c, &[]).ok()?;
        let file = t.path("pid");
        restored(&b, &["-no-subreaper", "--pid-file", &file.to_string_lossy()])?;
        is(fs::read_to_string(file)?, c.pid()?.to_string())
    }),
    test("state", "runc: a restored container has state, time of creation and annotations", |t| {
        let (b, c) = counting(t, t.bundle()?.set("/annotations/which", "this one"))?;
        let before = c.state()?;
        checkpoint(&c, &[]).ok()?;
        restored(&b, &[])?;
        let after = c.state()?;
        is(&after["annotations"]["which"], "this one")?;
        is(&after["bundle"], &before["bundle"])?;
        that(after["created"].as_str() > before["created"].as_str(), "it was created later")
    }),
    test("exec", "runc: exec in a restored container is among its processes", |t| {
        let (b, c) = counting(t, t.bundle()?)?;
        checkpoint(&c, &[]).ok()?;
        restored(&b, &[])?;
        is(
            c.says("tr '\\0' ' ' </proc/1/cmdline | cut -c 1-10; hostname")?,
            "/bin/sh -c\nconformance",
        )?;
        // Clocks go on from where they were.
        is(c.says("readlink /proc/1/ns/time")?, c.says("readlink /proc/self/ns/time")?)
    }),
    test("exec-is-restored", "runc: a process of exec is restored, too", |t| {
        let (b, c) = counting(t, t.bundle()?)?;
        let pid = c.says("sleep 100 </dev/null >/dev/null 2>&1 & echo $!")?;
        checkpoint(&c, &[]).ok()?;
        restored(&b, &[])?;
        has(c.says(&format!("cat /proc/{pid}/cmdline"))?, "sleep")
    }),
    test("foreground", "runc, restore: without --detach its exit status is the container's", |t| {
        let b = t.bundle()?.sh("trap 'exit 7' TERM; while true; do sleep 0.1; done");
        let c = start(&b)?;
        checkpoint(&c, &[]).ok()?;
        let call = t.call(["restore", "--image-path"]).arg(t.path("images")).arg("--bundle");
        let running = call.arg(&b.dir).arg(&b.id).stdio(nowhere()).spawn()?;
        t.until("running", || Ok(c.rt("state")?.code == 0 && c.status()? == "running"))?;
        c.kill("TERM")?;
        running.wait()?.exits(7)?;
        t.nothing_left()
    }),
    test("terminal", "runc: --console-socket of restore gets the terminal's master", |t| {
        criu(None)?;
        let b = t.bundle()?.set("/process/terminal", true).args(["/bin/sh"]);
        let socket = Socket::listen(t)?;
        let create = b.flags(["--console-socket", &socket.name()]);
        create.call("create")?.ok()?;
        let (_, terminal) = socket.terminal()?;
        let c = Container::new(t, &create.id, t.path("nothing"));
        c.start()?;
        terminal.types("x=saved; echo is=$x\n")?;
        terminal.shows("is=saved")?;
        checkpoint(&c, &[]).ok()?;
        drop(terminal);
        let socket = Socket::listen(t)?;
        restore(&create, &["--console-socket", &socket.name()]).ok()?;
        let (_, terminal) = socket.terminal()?;
        terminal.types("echo still=$x\n")?;
        terminal.shows("still=saved")
    }),
    test("pipes", "runc: pipes are replaced by those of restore's caller", |t| {
        criu(None)?;
        let b = t.bundle()?.sh("while read x; do echo pong $x; done");
        let (input, output, stdio) = pipes()?;
        b.call("create")?.stdio(stdio).ok()?;
        let c = Container::new(t, &b.id, t.path("nothing"));
        c.start()?;
        is(answer(&input, &output, "one")?, "pong one")?;
        checkpoint(&c, &[]).ok()?;
        let (input, output, stdio) = pipes()?;
        restore(&b, &[]).stdio(stdio).ok()?;
        is(answer(&input, &output, "two")?, "pong two")
    }),
    test("binds", "runc: binds are made anew: nested, on a link, and of a file", |t| {
        let (outer, inner) = (t.dir("outer")?, t.dir("inner")?);
        fs::write(outer.join("o"), "outer")?;
        fs::write(inner.join("i"), "inner")?;
        let file = t.file("file", "file")?;
        let b = t.bundle()?;
        fs::create_dir(b.rootfs("real"))?;
        symlink("/real", b.rootfs("link"))?;
        let b = b.bind(&outer, "/test", &["bind"]).bind(&inner, "/test/for/nested", &["bind"]);
        let b = b.bind(&inner, "/link", &["bind", "ro"]).bind(&file, "/etc/file", &["bind"]);
        let (b, c) = counting(t, b)?;
        checkpoint(&c, &[]).ok()?;
        // What create made to mount on is made again.
        fs::remove_dir_all(outer.join("for"))?;
        restored(&b, &[])?;
        let said =
            c.says("cat /test/o /test/for/nested/i /real/i /etc/file; (echo x >/real/x) 2>/dev/null || echo ro")?;
        is(said.as_str(), "outerinnerinnerfilero")?;
        is(mounted_below(&t.scratch)?, 0)
    }),
    test("masked", "runc: what is masked, read-only or limited is so afterwards", |t| {
        let b = t.bundle()?.set("/root/readonly", false);
        let b = b
            .push("/linux/maskedPaths", "/proc/timer_list")
            .push("/linux/maskedPaths", "/proc/keys");
        let b =
            b.push("/linux/maskedPaths", "/sys/firmware").push("/linux/maskedPaths", "/proc/acpi");
        let b = b.push("/linux/readonlyPaths", "/proc/sys");
        let script = "cat /proc/timer_list /proc/keys | wc -c; ls /sys/firmware | wc -l; \
                      (echo x >/proc/sys/kernel/hostname) 2>/dev/null || echo ro; id -u; \
                      grep -e CapEff -e NoNew -e Seccomp: /proc/self/status";
        let (b, c) = counting(t, b)?;
        let before = c.says(script)?;
        has(&before, "0\n0\nro\n0\n")?;
        checkpoint(&c, &[]).ok()?;
        restored(&b, &[])?;
        is(c.says(script)?, before)
    }),
    test("shared-host", "runc: a root below a shared mount, as with systemd", |t| {
        criu(None)?;
        let dir = t.dir("shared")?;
        let _mounted = Mounted::tmpfs(t, &dir)?.shared(t)?;
        let (b, root) = (t.bundle()?, dir.join("root"));
        let place = root.to_string_lossy();
        t.host(["cp", "-a", &b.rootfs("").to_string_lossy(), &place])?;
        let b = b.set("/root/path", place.as_ref()).sh("while true; do sleep 0.1; done");
        let c = start(&b)?;
        let done = checkpoint(&c, &[]).ok().and_then(|_| restore(&b, &[]).ok());
        let running = done.and_then(|_| c.is("running"));
        let inside = mounted_below(&root);
        c.call("delete").arg("--force").ok()?;
        running?;
        is(inside?, 0)
    }),
    test("loopback", "a socket on the loopback listens afterwards, as the loopback is up", |t| {
        let b = t.bundle()?.args(["/bin/httpd", "-f", "-p", "127.0.0.1:7"]);
        let c = start(&b)?;
        let ask = "printf 'GET / HTTP/1.0\\r\\n\\r\\n' | nc 127.0.0.1 7 | head -n 1";
        t.until("an answer", || Ok(c.says(ask)?.starts_with("HTTP/1")))?;
        checkpoint(&c, &[]).ok()?;
        restored(&b, &[])?;
        has(c.says("ip link show lo")?, "LOOPBACK,UP")?;
        has(c.says(ask)?, "HTTP/1")
    }),
    test(
        "network-namespace",
        "runc: a network namespace with a path is the same afterwards",
        |t| {
            let keeper = t.keep(["unshare", "--net", "sleep", "100"])?;
            let path = format!("/proc/{}/ns/net", keeper.pid());
            t.until("a namespace", || {
                Ok(fs::read_link(&path)? != fs::read_link("/proc/self/ns/net")?)
            })?;
            let (b, c) = counting(t, t.bundle()?.join("network", &path))?;
            let before = c.link("ns/net")?;
            checkpoint(&c, &[]).ok()?;
            restored(&b, &[])?;
            is(c.link("ns/net")?, before)
        },
    ),
    test("net-device", "runc: a device of netDevices is where the container has it", |t| {
        criu(None)?;
        let device = Device::new(t)?;
        let keeper = t.keep(["unshare", "--net", "sleep", "100"])?;
        let (b, c) = counting(t, device.joined(json!({}), keeper.pid())?)?;
        round(&b, &c, &[])?;
        round(&b, &c, &[])?;
        has(c.says(&format!("ip link show dev {}", device.name))?, &device.name)
    }),
    test("user-namespace", "a container with ids of its own, from images that are root's", |t| {
        let b = t.bundle()?.user_namespace(100_000).owned_by(100_000)?;
        let (b, c) = counting(t, b)?;
        round(&b, &c, &[])?;
        round(&b, &c, &[])?;
        has(c.says("tr -s ' ' </proc/self/uid_map")?, "0 100000 65536")?;
        let mode = fs::metadata(t.path("images"))?.mode() & 0o777;
        is(mode & 0o077, 0)
    }),
    test("cgroup-owner", "what is mounted to write is the process's again (v2)", |t| {
        needs(layout::unified(), "cgroup v2")?;
        let b = t.bundle()?.user_namespace(100_000).owned_by(100_000)?.unshare("cgroup");
        let b = b.mount(layout::TOP, "cgroup", "cgroup", &["rw"]);
        let (b, c) = counting(t, b)?;
        round(&b, &c, &[])?;
        let owner = |file| Ok::<_, Miss>(fs::metadata(layout::path("pids", &c.id, file))?.uid());
        is([owner("")?, owner("cgroup.procs")?, owner("pids.max")?], [100_000, 100_000, 0])
    }),
    test("delegate-cgroup", "crun: restored into the cgroup that it may manage (v2)", |t| {
        needs(layout::unified(), "cgroup v2")?;
        let annotations = json!({ "run.oci.delegate-cgroup": "inner" });
        let (b, c) = counting(t, layout::own(t.bundle()?).set("/annotations", annotations))?;
        let before = c.proc("cgroup")?;
        that(before.trim_end().ends_with("/inner"), "it is in the inner cgroup")?;
        round(&b, &c, &[])?;
        round(&b, &c, &[])?;
        is(c.proc("cgroup")?, before)
    }),
    test(
        "hooks",
        "runc: createRuntime hooks run at restore, poststop when it is checkpointed",
        |t| {
            let said = t.path("said");
            let say = |what: &str| format!("echo {what} >>{}", said.display());
            let b = t.bundle()?.hook("createRuntime", &say("createRuntime"));
            let b = b.hook("poststop", &say("poststop"));
            let (b, c) = counting(t, b)?;
            checkpoint(&c, &[]).ok()?;
            restored(&b, &[])?;
            is(fs::read_to_string(&said)?.as_str(), "createRuntime\npoststop\ncreateRuntime\n")
        },
    ),
    test("hook-fails", "runc: a failing createRuntime hook ends the restore", |t| {
        let (b, c) = counting(t, t.bundle()?)?;
        checkpoint(&c, &[]).ok()?;
        let b = b.hook("createRuntime", "echo broken >&2; exit 3");
        b.write()?;
        restore_fails(&b, "exit status 3")?;
        t.nothing_left()
    }),
    test("pre-dump", "runc: memory ahead of the checkpoint, which refers to it", |t| {
        criu(Some("mem_dirty_track"))?;
        let (b, c) = counting(t, t.bundle()?)?;
        let pre = t.call(["checkpoint", "--pre-dump", "--image-path"]).arg(t.path("parent"));
        pre.arg(&c.id).ok()?;
        c.is("running")?;
        counts_on(&b)?;
        checkpoint(&c, &["--parent-path", "../parent"]).ok()?;
        that(fs::symlink_metadata(t.path("images/parent"))?.is_symlink(), "a link to the parent")?;
        restored(&b, &[])?;
        counts_on(&b)
    }),
    test("parent-path", "runc: --parent-path must be relative, and there", |t| {
        let (b, c) = counting(t, t.bundle()?)?;
        checkpoint(&c, &["--parent-path", "/tmp"])
            .output()?
            .refused(&["--parent-path", "relative"])?;
        let out = checkpoint(&c, &["--parent-path", "../none"]).output()?;
        out.refused(&["--parent-path", "no such file"])?;
        counts_on(&b)
    }),
    test("other-cgroup", "runc: --manage-cgroups-mode ignore restores into another cgroup", |t| {
        layout::paths()?;
        let (b, c) = counting(t, t.bundle()?)?;
        checkpoint(&c, &["--manage-cgroups-mode", "ignore"]).ok()?;
        let b = b.set("/linux/cgroupsPath", layout::place(&format!("{}-other", c.id)));
        b.write()?;
        restored(&b, &["--manage-cgroups-mode", "ignore"])?;
        has(c.proc("cgroup")?, &layout::of(&format!("{}-other", c.id)))?;
        counts_on(&b)?;
        c.call("delete").arg("--force").ok()?;
        t.nothing_left()
    }),
    test("limits", "runc: the limits of config.json hold after a restore", |t| {
        let b = t.bundle()?.set("/linux/resources/pids/limit", 50);
        let (b, c) = counting(t, b)?;
        round(&b, &c, &[])?;
        is(layout::read("pids", &c.id, "pids.max")?.as_str(), "50")
    }),
    test("tight-limit", "a limit that has just room for the container leaves room for CRIU", |t| {
        let b = t.bundle()?.set("/linux/resources/pids/limit", 4);
        let (b, c) = counting(t, b)?;
        checkpoint(&c, &[]).ok()?;
        restored(&b, &[])?;
        counts_on(&b)?;
        is(layout::read("pids", &c.id, "pids.max")?.as_str(), "4")
    }),
    test("configuration", "runc: org.criu.config names a file of CRIU's options", |t| {
        let file = t.file("criu.conf", "log-file=other.log\n")?;
        let b = t.bundle()?.set("/annotations/org.criu.config", file.to_string_lossy().as_ref());
        let (b, c) = counting(t, b)?;
        checkpoint(&c, &[]).ok()?;
        that(t.path("work/other.log").exists() && !t.path("work/dump.log").exists(), "its log")?;
        fs::remove_file(t.path("work/other.log"))?;
        restored(&b, &[])?;
        that(t.path("work/other.log").exists(), "the restore's log")
    }),
    test("failure", "runc: criu failed: type NOTIFY errno 0, where the log is; it goes on", |t| {
        let (b, c) = unsavable(t)?;
        let out = checkpoint(&c, &[]).output()?;
        out.refused(&["criu failed: type ", " errno 0", "dump.log"])?;
        c.is("running")?;
        counts_on(&b)
    }),
    test(
        "failure-says-why",
        "the reason is in the first line, and the lines of CRIU's log below",
        |t| {
            let (_, c) = unsavable(t)?;
            let out = checkpoint(&c, &[]).output()?;
            // A log line has line feeds escaped.
            let said = out.stderr.replace("\\n", "\n");
            let first = said.lines().find(|line| line.contains("criu failed")).unwrap_or_default();
            has(first, "errno 0: ")?;
            has(&said, "Error (criu/")?;
            has(said, "Dumping FAILED")
        },
    ),
    test("restore-failure", "a restore that fails says why, and leaves nothing", |t| {
        let (b, c) = counting(t, t.bundle()?)?;
        checkpoint(&c, &[]).ok()?;
        fs::remove_file(t.path("images/inventory.img"))?;
        restore_fails(&b, "inventory.img")?;
        t.nothing_left()
    }),
    test("restore-no-images", "a directory that isn't there is named, and nothing is left", |t| {
        criu(None)?;
        let b = t.bundle()?.sleeps();
        b.write()?;
        let images = t.path("none/images");
        let call = t.call(["restore", "-d", "--image-path"]).arg(&images).arg("-b").arg(&b.dir);
        call.arg(&b.id).output()?.refused(&["/none/images", "no such file"])?;
        t.nothing_left()?;
        that(!t.path("none").exists(), "nothing was made")
    }),
    test(
        "config",
        "crun's create --config FILE: a checkpoint is of what was configured there",
        |t| {
            let source = t.dir("source")?;
            let b = t.bundle()?.bind(&source, "/bound", &["bind"]).sh(COUNTS);
            criu(None)?;
            b.write()?;
            let (own, other) = (b.dir.join("config.json"), t.path("other.json"));
            fs::rename(&own, &other)?;
            let create = t.call(["create", "--bundle"]).arg(&b.dir).arg("--config").arg(&other);
            create.arg(&b.id).stdio(nowhere()).ok()?;
            let c = Container::new(t, &b.id, t.path("nothing"));
            c.start()?;
            t.until("a count", || Ok(b.rootfs("count").exists()))?;
            // Where it was there is nothing any more.
            fs::rename(&other, &own)?;
            checkpoint(&c, &[]).ok()?;
            let saved = count(&b)?;
            restored(&b, &[])?;
            counts_on(&b)?;
            that(count(&b)? > saved, "it counts on, and not from the start")
        },
    ),
    test("config-gone", "runc: a checkpoint is of what was configured, not of config.json", |t| {
        let b = t.bundle()?.bind(&t.dir("source")?, "/bound", &["bind"]);
        let (b, c) = counting(t, b)?;
        fs::remove_file(b.dir.join("config.json"))?;
        checkpoint(&c, &[]).ok()?;
        let saved = count(&b)?;
        b.write()?;
        restored(&b, &[])?;
        counts_on(&b)?;
        that(count(&b)? > saved, "it counts on, and not from the start")
    }),
    test(
        "pidfd-receiver",
        "crun: run.oci.pidfd_receiver gets a descriptor of what is restored",
        |t| {
            let receiver = Socket::listen(t)?;
            let (b, c) = counting(t, t.bundle()?)?;
            checkpoint(&c, &[]).ok()?;
            let annotation = json!({ "run.oci.pidfd_receiver": receiver.name() });
            let b = b.set("/annotations", annotation);
            b.write()?;
            restored(&b, &[])?;
            let (descriptors, _) = receiver.receive()?;
            is_pidfd_of(&descriptors, &c.pid()?.to_string())
        },
    ),
    test("restore-existing", "runc: the id must be free", |t| {
        let (b, c) = counting(t, t.bundle()?)?;
        checkpoint(&c, &["--leave-running"]).ok()?;
        restore_fails(&b, "container with given ID already exists")?;
        c.is("running")?;
        counts_on(&b)
    }),
];

/// What needs no CRIU.
pub(crate) const COMMANDS: &[Test] = &[
    test("created", "runc: Container cannot be checkpointed in created state", |t| {
        layout::root()?;
        let c = t.bundle()?.sleeps().create()?;
        let out = checkpoint(&c, &[]).output()?;
        out.refused(&["container cannot be checkpointed in created state"])?;
        c.is("created")
    }),
    test("stopped", "runc: Container cannot be checkpointed in stopped state", |t| {
        layout::root()?;
        let c = t.bundle()?.start()?;
        c.becomes("stopped")?;
        let out = checkpoint(&c, &[]).output()?;
        out.refused(&["container cannot be checkpointed in stopped state"])
    }),
    test("missing", "runc, checkpoint: an unknown id is an error", |t| {
        let out = t.rt(["checkpoint", "--image-path", "images", "nothing"])?;
        out.refused(&["container does not exist"])
    }),
    test("restore-pid-file-nowhere", "a pid file that can't be written: nothing is done", |t| {
        let b = t.bundle()?.sleeps();
        b.write()?;
        let file = t.path("none/pid");
        let call = restore(&b, &["--pid-file", &file.to_string_lossy()]);
        let log = t.path("log");
        let out = call.global(["--log", &log.to_string_lossy()]).output()?;
        that(out.code == 1, "it fails")?;
        let said = fs::read_to_string(log)?;
        has(&said, "pid file")?;
        has(said, "none/pid")?;
        that(!t.path("work").exists() && !t.path("images").exists(), "nothing was made")?;
        t.nothing_left()
    }),
    test("probes", "podman asks checkpoint --help, and restore --lsm-mount-context", |t| {
        has(t.rt(["checkpoint", "--help"])?.ok()?, "--leave-running")?;
        let out = t.rt(["restore", "--lsm-mount-context"])?;
        let said = format!("{}{}", out.stdout, out.stderr);
        let either = ["flag needs an argument", "requires an argument"];
        that(either.iter().any(|words| said.contains(words)), said)
    }),
    test("bad-flags", "runc: flags that make no sense are named", |t| {
        layout::root()?;
        let c = t.bundle()?.sleeps().start()?;
        for (flags, part) in [
            (["--page-server", "nowhere"], "--page-server address:port"),
            (["--manage-cgroups-mode", "all"], "manage-cgroups-mode|manage cgroups mode"),
            (["--empty-ns", "pid"], "pid"),
        ] {
            checkpoint(&c, &flags).output()?.refused(&[part])?;
        }
        c.is("running")
    }),
];

/// A container that CRIU can't save: it writes to a file that is not in it.
fn unsavable(t: &Case) -> Verdict<(Bundle<'_>, Container<'_>)> {
    criu(None)?;
    let b = t.bundle()?.sh(COUNTS);
    let c = b.start()?;
    counts_on(&b)?;
    Ok((b, c))
}

/// How many mounts this process sees at or below `dir`.
fn mounted_below(dir: &Path) -> Verdict<usize> {
    let table = fs::read_to_string("/proc/self/mountinfo")?;
    let places = table.lines().filter_map(|line| line.split(' ').nth(4));
    Ok(places.filter(|place| Path::new(place).starts_with(dir)).count())
}

/// Pipes for the standard streams: where to write, where to read, and their other ends.
fn pipes() -> Verdict<(fs::File, fs::File, [Stdio; 3])> {
    let flags = nix::fcntl::OFlag::O_CLOEXEC;
    let (stdin, input) = nix::unistd::pipe2(flags)?;
    let (output, stdout) = nix::unistd::pipe2(flags)?;
    let stderr = stdout.try_clone()?;
    Ok((input.into(), output.into(), [stdin.into(), stdout.into(), stderr.into()]))
}

/// Writes a line, and reads the one that comes back.
fn answer(mut input: &fs::File, output: &fs::File, line: &str) -> Verdict<String> {
    use std::io::{BufRead, BufReader, Write};
    writeln!(input, "{line}")?;
    let mut answer = String::new();
    BufReader::new(output).read_line(&mut answer)?;
    Ok(answer.trim_end().to_owned())
}
