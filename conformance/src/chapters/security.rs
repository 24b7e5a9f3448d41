//! Security: what a hostile image or configuration must not reach.

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::json;

use crate::bundle::Bundle;
use crate::case::Case;
use crate::container::Container;
use crate::table::{Test, test};
use crate::verdict::{Verdict, has, is, lacks, that};

/// A tree of the host's that nothing may change: its entries, their owners and modes, and what is in them.
pub(super) struct Sentinel(pub(super) PathBuf, Vec<String>);

impl Sentinel {
    pub(super) fn new(t: &Case) -> Verdict<Self> {
        let dir = t.dir("sentinel")?;
        fs::write(dir.join("file"), "of the host")?;
        fs::create_dir_all(dir.join("sub/deep"))?;
        fs::write(dir.join("sub/deep/file"), "of the host, too")?;
        // The place of a sysctl, for who mounts the tree over /proc/sys.
        fs::create_dir_all(dir.join("sub/net/ipv4"))?;
        fs::write(dir.join("sub/net/ipv4/ip_forward"), "of the host")?;
        let before = tree(&dir)?;
        Ok(Self(dir, before))
    }

    #[track_caller]
    pub(super) fn unchanged(&self) -> Verdict {
        is(tree(&self.0)?, self.1.as_slice())
    }
}

/// A line for each entry below `dir`.
fn tree(dir: &Path) -> Verdict<Vec<String>> {
    let mut lines = Vec::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        let known = path.symlink_metadata()?;
        // A device that came from elsewhere may be endless.
        let text = if known.is_file() { fs::read_to_string(&path)? } else { String::new() };
        let (inode, mode) = (known.ino(), known.mode());
        let (uid, gid) = (known.uid(), known.gid());
        lines.push(format!("{} {inode} {mode:o} {uid}:{gid} {text:?}", path.display()));
        if known.is_dir() {
            lines.extend(tree(&path)?);
        }
    }
    lines.sort();
    Ok(lines)
}

/// With a link at `place` to the host's sentinel, a container is refused or stays in its root:
/// the sentinel is unchanged in both cases. The control is the same bundle without the link.
fn link_out(t: &Case, place: &str, relative: bool) -> Verdict {
    let sentinel = Sentinel::new(t)?;
    let b = t.bundle()?;
    let target = if relative {
        PathBuf::from("../../../../../../../../../..").join(sentinel.0.strip_prefix("/")?)
    } else {
        sentinel.0.clone()
    };
    if fs::exists(b.rootfs(place))? {
        fs::remove_dir(b.rootfs(place))?;
    }
    symlink(&target, b.rootfs(place))?;
    let run = b.sh("touch /dev/x /proc/x /sys/x; echo ran").run()?;
    sentinel.unchanged()?;
    that(run.code == 0 || !run.stderr.is_empty(), "it runs or says why not")?;
    t.nothing_left()?;
    is(t.bundle()?.says("echo good")?.as_str(), "good")
}

/// With cwd at a descriptor, the process is refused or finds itself inside its root.
fn cwd_fd(t: &Case, command: &str) -> Verdict {
    let c = t.bundle()?.sleeps().start()?;
    for fd in 3..=20 {
        let cwd = format!("/proc/self/fd/{fd}");
        // A descriptor of the caller's that could leak: the host's root.
        let open = "exec 3</ 4</ 5</ 6</ 7</ 8</ 9</; exec \"$@\"";
        let script = "cat etc/shadow ../../../../../../etc/shadow 2>/dev/null; pwd";
        let call = if command == "exec" {
            c.exec(["--cwd", &cwd], ["/bin/sh", "-c", script])
        } else {
            t.bundle()?.set("/process/cwd", cwd.as_str()).sh(script).call("run")?
        };
        let out = call.through(["/bin/sh", "-c", open, "sh"]).output()?;
        lacks(&out.stdout, "root:")?;
        that(out.code != 0 || out.text().starts_with('/'), format!("inside or refused: {out:?}"))?;
        that(!out.stdout.is_empty() || !out.stderr.is_empty(), "it says something")?;
    }
    is(c.says("echo good")?.as_str(), "good")
}

pub(super) fn digest(t: &Case, path: &Path) -> Verdict<String> {
    t.host(["sha256sum", &path.to_string_lossy()])
}

/// Runs `b`, which tries to write to the runtime's binary; it must be as it was.
fn binary_unchanged(t: &Case, b: &Bundle<'_>) -> Verdict<String> {
    let before = digest(t, &t.runtime)?;
    let out = b.run()?;
    is(digest(t, &t.runtime)?, before)?;
    t.nothing_left()?;
    Ok(format!("{}{}", out.stdout, out.stderr))
}

/// Runs `b`, which has the runtime's binary executed; that is as it was, says something, and still works.
pub(super) fn binary_stays(t: &Case, b: &Bundle<'_>) -> Verdict {
    let said = binary_unchanged(t, b)?;
    that(!said.is_empty(), "it says something")?;
    is(t.bundle()?.says("echo good")?.as_str(), "good")
}

/// The chapter's tests.
pub(crate) const TESTS: &[Test] = &[
    test("dev-link", "CVE-2026-41579: an image's /dev that links to the host", |t| {
        link_out(t, "dev", false)
    }),
    test("dev-link-relative", "CVE-2026-41579: the same by ..", |t| link_out(t, "dev", true)),
    test("proc-link", "CVE-2019-19921, CVE-2023-27561: an image's /proc that is a link", |t| {
        link_out(t, "proc", false)
    }),
    test("proc-link-relative", "CVE-2019-19921: the same by ..", |t| link_out(t, "proc", true)),
    test("sys-link", "CVE-2023-28642: an image's /sys that is a link", |t| {
        link_out(t, "sys", false)
    }),
    test("proc-link-inside", "CVE-2023-27561: /proc that links inside the image is refused", |t| {
        let b = t.bundle()?;
        fs::remove_dir(b.rootfs("proc"))?;
        fs::create_dir(b.rootfs("evil"))?;
        symlink("/evil", b.rootfs("proc"))?;
        b.refused(&["/proc", "ordinary directory|symlink|symbolic link"])
    }),
    test("dev-null-link", "CVE-2025-31133: /dev/null as a link, with masked paths", |t| {
        let sentinel = Sentinel::new(t)?;
        let (b, target) = (t.bundle()?, sentinel.0.join("file"));
        // The /dev of the image itself, with a link where the mask comes from.
        symlink(&target, b.rootfs("dev/null"))?;
        let b = b.unmount("/dev/pts").unmount("/dev");
        let b = b.set("/linux/maskedPaths", json!(["/etc/passwd"]));
        let run = b.sh("cat /etc/passwd; echo changed > /etc/passwd").run()?;
        lacks(&run.stdout, "of the host")?;
        sentinel.unchanged()?;
        that(run.code == 0 || !run.stderr.is_empty(), "it runs or says why not")?;
        is(t.bundle()?.says("echo good")?.as_str(), "good")
    }),
    test(
        "null-is-its-own",
        "runc: a null stream is the container's own, also where that is bound",
        |t| {
            for b in [t.bundle()?, t.bundle()?.user_namespace(100_000).owned_by(100_000)?] {
                let b = b.sh("exec sleep 100");
                b.call("create")?.stdio([(); 3].map(|()| Stdio::null())).ok()?;
                let c = Container::new(t, &b.id, t.path("nothing"));
                c.start()?;
                let mounts = c.proc("mountinfo")?;
                let null = mounts.lines().rev().find(|line| {
                    let place = line.split(' ').nth(4);
                    place == Some("/dev/null") || place == Some("/dev")
                });
                let null = null.and_then(|line| line.split(' ').next()).unwrap_or_default();
                for fd in 0..3 {
                    has(c.proc(&format!("fdinfo/{fd}"))?, &format!("mnt_id:\t{null}\n"))?;
                }
            }
            Ok(())
        },
    ),
    test("null-keeps-owner", "the host's null device is not given to an image's user", |t| {
        let node = t.path("null");
        t.host(["mknod", &node.to_string_lossy(), "c", "1", "3"])?;
        let b = t.bundle()?.unmount("/dev/pts").unmount("/dev");
        // By which the runtime might tell that it is the null device.
        fs::write(b.rootfs("dev/null"), "")?;
        let b = b.set("/process/user", json!({ "uid": 1000, "gid": 1000 })).sh("touch /tmp/ran");
        let [out, err] = ["out", "err"].map(|name| fs::File::create(t.path(name)));
        let stdio = [fs::File::open(&node)?.into(), out?.into(), err?.into()];
        b.call("run")?.stdio(stdio).output()?.exits(0)?;
        that(b.rootfs("tmp/ran").exists(), "the program has run")?;
        is(fs::metadata(node)?.uid(), 0)
    }),
    test("dev-pts-link", "CVE-2025-52565: /dev/pts as a link in the image", |t| {
        let sentinel = Sentinel::new(t)?;
        let b = t.bundle()?.unmount("/dev");
        symlink(&sentinel.0, b.rootfs("dev/pts"))?;
        let run = b.sh("touch /dev/pts/x; echo ran").run()?;
        sentinel.unchanged()?;
        that(run.code == 0 || !run.stderr.is_empty(), "it runs or says why not")?;
        is(t.bundle()?.says("echo good")?.as_str(), "good")
    }),
    test(
        "dev-console-link",
        "CVE-2025-52565: /dev/console as a link in the image, with a terminal",
        |t| {
            let sentinel = Sentinel::new(t)?;
            let b = t.bundle()?.unmount("/dev").set("/process/terminal", true);
            symlink(sentinel.0.join("file"), b.rootfs("dev/console"))?;
            let (terminal, stdio) = crate::console::Terminal::open(t)?;
            let run = b.sh("echo ran > /dev/console; echo ran").call("run")?;
            let run = run.through(["setsid", "-c", "-w"]).stdio(stdio).spawn()?;
            if run.wait()?.code == 0 {
                terminal.shows("ran")?;
            }
            sentinel.unchanged()?;
            is(t.bundle()?.says("echo good")?.as_str(), "good")
        },
    ),
    test(
        "bind-destination-link",
        "CVE-2019-18837: a bind whose destination is a link to the host",
        |t| {
            let (sentinel, source) = (Sentinel::new(t)?, t.dir("source")?);
            fs::write(source.join("mark"), "")?;
            let b = t.bundle()?;
            symlink(&sentinel.0, b.rootfs("out"))?;
            let b = b.bind(&source, "/out/sub/deeper", &["bind"]);
            is(b.says("ls /out/sub/deeper")?.as_str(), "mark")?;
            sentinel.unchanged()
        },
    ),
    test(
        "bind-file-destination-link",
        "CVE-2019-18837: a bound file whose destination is a link",
        |t| {
            let (sentinel, source) = (Sentinel::new(t)?, t.file("source", "inside")?);
            let b = t.bundle()?;
            symlink(sentinel.0.join("new"), b.rootfs("etc/hosts"))?;
            let b = b.bind(&source, "/etc/hosts", &["bind"]);
            is(b.says("cat /etc/hosts")?.as_str(), "inside")?;
            sentinel.unchanged()
        },
    ),
    test("device-path-link", "a listed device whose directory is a link to the host", |t| {
        let sentinel = Sentinel::new(t)?;
        let b = t.bundle()?;
        symlink(&sentinel.0, b.rootfs("srv"))?;
        let device = json!({ "path": "/srv/disk", "type": "b", "major": 7, "minor": 0 });
        let run = b.push("/linux/devices", device).sh("stat -c %F /srv/disk").run()?;
        sentinel.unchanged()?;
        that(run.text() == "block special file" || !run.stderr.is_empty(), "inside or refused")?;
        is(t.bundle()?.says("echo good")?.as_str(), "good")
    }),
    test("masked-path-link", "a masked path that is a link to the host", |t| {
        let sentinel = Sentinel::new(t)?;
        let b = t.bundle()?;
        symlink(&sentinel.0, b.rootfs("masked"))?;
        let run = b.set("/linux/maskedPaths", json!(["/masked/file"])).sh("echo ran").run()?;
        that(run.text() == "ran" || !run.stderr.is_empty(), "it runs or says why not")?;
        is(fs::read_to_string(sentinel.0.join("file"))?.as_str(), "of the host")
    }),
    test("cwd-link", "a cwd that is a link out of the root is made inside", |t| {
        let sentinel = Sentinel::new(t)?;
        let b = t.bundle()?;
        symlink(&sentinel.0, b.rootfs("work"))?;
        let run = b.set("/process/cwd", "/work/made").sh("pwd -P").run()?;
        sentinel.unchanged()?;
        that(!run.stdout.is_empty() || !run.stderr.is_empty(), "it runs or says why not")?;
        is(t.bundle()?.says("echo good")?.as_str(), "good")
    }),
    test("cwd-descriptor", "CVE-2024-21626: cwd /proc/self/fd/N for N from 3 to 20", |t| {
        cwd_fd(t, "run")
    }),
    test(
        "created-descriptors",
        "CVE-2024-21626: a created init holds nothing of the host's but its streams and sockets",
        |t| {
            let c = t.bundle()?.sleeps().create()?;
            let fds = fs::read_dir(format!("/proc/{}/fd", c.pid()?))?;
            for fd in fds {
                let fd = fd?;
                let target = fs::read_link(fd.path())?.to_string_lossy().into_owned();
                let number: u32 = fd.file_name().to_string_lossy().parse()?;
                let own = ["socket:", "pipe:", "anon_inode:"].iter().any(|k| target.starts_with(k));
                that(number < 3 || own, format!("{number} is {target}"))?;
            }
            c.start()
        },
    ),
    test(
        "created-not-readable",
        "CVE-2016-9962: what runs in a container can't look into the init before its program runs",
        |t| {
            let c = t.bundle()?.sleeps().create()?;
            let look = "for n in 3 4 5 6 7 8 9; do cat /proc/1/fd/$n/../../../../../../../../etc/passwd; done";
            let said = c.says(&format!("{look} 2>/dev/null; echo done"))?;
            that(said.trim() == "done", said)
        },
    ),
    test("exec-cwd-descriptor", "CVE-2024-21626: the same for exec --cwd", |t| cwd_fd(t, "exec")),
];
