//! Attacks: links in an image at every place that a runtime touches, links of the kernel's, and descriptors.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use serde_json::json;

use super::rootless::{rootless, user};
use super::security::{Sentinel, binary_stays, digest};
use crate::bundle::Bundle;
use crate::call::{Call, Output};
use crate::case::{Case, Kept};
use crate::layout;
use crate::table::{Test, test};
use crate::verdict::{Verdict, has, is, lacks, that};

/// It runs the script, or says why not.
fn ran_or_told(out: &Output) -> Verdict {
    that(
        out.code == 0 && out.stdout.contains("ran") || out.code > 0 && !out.stderr.is_empty(),
        format!("it runs or says why not: {out:?}"),
    )
}

/// What a link of an image may name: a directory, a file and a new name of the host's, from the host's root,
/// by `..`, and over another link.
fn targets(sentinel: &Path, b: &Bundle<'_>) -> Verdict<Vec<PathBuf>> {
    let up = PathBuf::from("../../../../../../../../../..");
    symlink(sentinel, b.rootfs("hop"))?;
    Ok(vec![
        sentinel.to_path_buf(),
        sentinel.join("file"),
        sentinel.join("new"),
        up.join(sentinel.strip_prefix("/")?),
        "/hop/sub".into(),
    ])
}

/// With a link at each of `places`, one after the other, to each of [`targets`], the host's tree stays as it
/// is. `touched` gives the runtime a reason to look at the place.
fn linked<'t>(
    t: &'t Case,
    places: &[&str],
    touched: impl Fn(Bundle<'t>, &str) -> Bundle<'t>,
) -> Verdict {
    let sentinel = Sentinel::new(t)?;
    for place in places {
        let mut next = 0;
        loop {
            let b = t.bundle()?;
            let targets = targets(&sentinel.0, &b)?;
            let Some(target) = targets.get(next) else { break };
            next += 1;
            // Not even a user whose it is could write there.
            fs::set_permissions(b.rootfs("sys"), Permissions::from_mode(0o755))?;
            let link = b.rootfs(place);
            let _ = fs::remove_dir_all(&link).or_else(|_| fs::remove_file(&link));
            if let Some(above) = link.parent() {
                fs::create_dir_all(above)?;
            }
            symlink(target, &link)?;
            let out = touched(b, place).sh("echo ran").run()?;
            sentinel.unchanged()?;
            ran_or_told(&out)?;
        }
    }
    t.nothing_left()?;
    is(t.bundle()?.says("echo good")?.as_str(), "good")
}

/// The image's own `/dev`, with nothing mounted over it.
fn bare_dev<'t>(b: Bundle<'t>, _: &str) -> Bundle<'t> {
    b.unmount("/dev/pts").unmount("/dev")
}

/// A call of the runtime in a mount namespace of its own, in which this script has mounted something.
fn behind<'t>(call: Call<'t>, script: &str) -> Call<'t> {
    let script = format!("{script}; exec \"$@\"");
    call.through(["unshare", "-m", "sh", "-c", &script, "sh"])
}

/// A container in the mount namespace of another process, in which this script has mounted something; it
/// lives as long as the process is kept.
fn in_anothers<'t>(t: &'t Case, b: Bundle<'t>, script: &str) -> Verdict<(Bundle<'t>, Kept<'t>)> {
    let done = t.path("mounted");
    let script = format!("{script}; touch {}; exec sleep 100", done.display());
    let other = t.keep(["unshare", "-m", "sh", "-c", &script])?;
    t.until("the mount", || Ok(done.exists()))?;
    Ok((b.join("mount", &format!("/proc/{}/ns/mnt", other.pid())), other))
}

/// The chapter's tests of links in an image.
pub(crate) const LINKS: &[Test] = &[
    test("links-at-dev", "CVE-2026-41579: the image's own /dev is a link", |t| {
        linked(t, &["dev"], bare_dev)
    }),
    test("links-at-console", "CVE-2025-52565, CVE-2026-88264: a link at /dev/console", |t| {
        let sentinel = Sentinel::new(t)?;
        for name in ["", "file", "new", "sub/deep/new"] {
            let b = bare_dev(t.bundle()?, "").set("/process/terminal", true);
            let b = b.mount("/dev/pts", "devpts", "devpts", &["newinstance", "ptmxmode=0666"]);
            symlink(sentinel.0.join(name), b.rootfs("dev/console"))?;
            let (terminal, stdio) = crate::console::Terminal::open(t)?;
            let call = b.sh("echo ran").call("run")?.through(["setsid", "-c", "-w"]);
            let run = call.stdio(stdio).spawn()?;
            // Refused or not: what it has said is on the terminal.
            run.wait()?;
            terminal.shows("ran").or_else(|_| terminal.shows("error"))?;
            sentinel.unchanged()?;
        }
        is(t.bundle()?.says("echo good")?.as_str(), "good")
    }),
    test(
        "masks-by-a-link",
        "CVE-2025-31133: /dev/null as a link to a file of procfs, with which others are masked",
        |t| {
            let pattern = fs::read_to_string("/proc/sys/kernel/core_pattern")?;
            let b = bare_dev(t.bundle()?, "");
            symlink("/proc/sys/kernel/core_pattern", b.rootfs("dev/null"))?;
            let b = b.set("/linux/maskedPaths", json!(["/etc/group"]));
            let out = b.sh("cat /etc/group; echo ran").run()?;
            ran_or_told(&out)?;
            lacks(&out.stdout, pattern.trim())?;
            is(fs::read_to_string("/proc/sys/kernel/core_pattern")?, pattern)?;
            is(t.bundle()?.says("echo good")?.as_str(), "good")
        },
    ),
    test("links-at-devices", "CVE-2026-41579, CVE-2026-88265: a link at each device's name", |t| {
        let names = ["dev/null", "dev/zero", "dev/full", "dev/random", "dev/urandom", "dev/tty"];
        linked(t, &names, bare_dev)
    }),
    test("links-at-dev-links", "CVE-2026-41579: a link at each name of /dev's own links", |t| {
        let names = ["dev/fd", "dev/stdin", "dev/stdout", "dev/stderr", "dev/core", "dev/ptmx"];
        linked(t, &names, bare_dev)
    }),
    test("links-below-dev", "CVE-2026-47766: links at /dev/pts, /dev/shm and /dev/mqueue", |t| {
        linked(t, &["dev/pts", "dev/shm", "dev/mqueue"], |b, _| {
            let b = b.unmount("/dev/pts").unmount("/dev");
            let b = b.mount("/dev/pts", "devpts", "devpts", &["newinstance", "ptmxmode=0666"]);
            let b = b.mount("/dev/shm", "tmpfs", "shm", &["nosuid", "noexec", "nodev"]);
            b.mount("/dev/mqueue", "mqueue", "mqueue", &["nosuid", "noexec", "nodev"])
        })
    }),
    test(
        "links-at-listed-devices",
        "CVE-2026-41579: a link at a listed device, and above it",
        |t| {
            linked(t, &["dev/listed", "dev/above", "srv"], |b, place| {
                let below = if place == "dev/listed" { "" } else { "/disk" };
                let path = format!("/{place}{below}");
                let device = json!({ "path": path, "type": "b", "major": 7, "minor": 0 });
                bare_dev(b, place).push("/linux/devices", device)
            })
        },
    ),
    test("links-at-cgroups", "CVE-2024-45310: a link where the cgroups are to be shown", |t| {
        linked(t, &["sys", "sys/fs", "sys/fs/cgroup"], |b, _| {
            let b = b.unmount("/sys");
            b.mount("/sys/fs/cgroup", "cgroup", "cgroup", &["nosuid", "noexec", "nodev", "ro"])
        })
    }),
    test("links-at-destinations", "CVE-2019-18837, CVE-2024-45310: links at mounts' places", |t| {
        let source = t.file("source", "of the source")?;
        linked(t, &["mnt", "mnt/a", "mnt/a/b", "mnt/a/b/c"], |b, _| {
            let b = b.mount("/mnt/a/b/c/d", "tmpfs", "tmpfs", &["tmpcopyup"]);
            b.bind(&source, "/mnt/a/b/c/file", &["bind", "ro"])
        })
    }),
    test("links-at-covered-paths", "CVE-2023-27561: links at masked and read-only paths", |t| {
        linked(t, &["top", "top/x", "top/y"], |b, _| {
            let b = b.set("/linux/maskedPaths", json!(["/top/x", "/top/y/file", "/top/new"]));
            b.set("/linux/readonlyPaths", json!(["/top", "/top/y", "/top/y/sub"]))
        })
    }),
    test("links-in-etc", "links at what the runtime reads in an image", |t| {
        linked(t, &["etc", "etc/passwd", "etc/group"], |b, _| {
            b.set("/process/user", json!({ "uid": 1000, "gid": 1000 }))
        })
    }),
    test("links-at-readiness", "CVE-2019-18837: a link where the socket for READY=1 goes", |t| {
        let sentinel = Sentinel::new(t)?;
        for place in ["run", "run/notify", "run/notify/notify.sock"] {
            let b = t.bundle()?.sleeps();
            let link = b.rootfs(place);
            fs::create_dir_all(link.parent().unwrap_or(&b.dir))?;
            symlink(&sentinel.0, &link)?;
            let socket = t.path("manager.sock").to_string_lossy().into_owned();
            let out = b.call("create")?.env("NOTIFY_SOCKET", &socket).output()?;
            sentinel.unchanged()?;
            that(out.code == 0 || !out.stderr.is_empty(), "it is created, or says why not")?;
            t.rt(["delete", "--force", &b.id])?.ok()?;
        }
        is(t.bundle()?.says("echo good")?.as_str(), "good")
    }),
    test(
        "links-of-the-kernel",
        "CVE-2024-21626: a mount whose place goes through /proc/self/root and its like",
        |t| {
            let (sentinel, source) = (Sentinel::new(t)?, t.dir("source")?);
            let inside = sentinel.0.join("sub").to_string_lossy().into_owned();
            for way in ["/proc/self/root", "/proc/1/root", "/proc/self/cwd", "/proc/self/fd/3"] {
                let place = format!("{way}{inside}");
                t.bundle()?.bind(&source, &place, &["bind"]).refused(&[way])?;
                // The same over a link that is an image's.
                let b = t.bundle()?;
                symlink(way, b.rootfs("way"))?;
                let out = b.bind(&source, &format!("/way{inside}"), &["bind"]).try_create()?;
                that(out.code > 0 && !out.stderr.is_empty(), format!("it is refused: {out:?}"))?;
                sentinel.unchanged()?;
            }
            t.nothing_left()
        },
    ),
    test(
        "read-only-is-kept",
        "CVE-2026-115521: the mount that becomes read-only is the one that was meant",
        |t| {
            // Whatever is found at its place by then: here, another mount.
            let b = t.bundle()?.mount("/m", "tmpfs", "tmpfs", &["ro"]);
            let b = b.mount("/m", "tmpfs", "tmpfs", &["rw"]);
            let modes = "awk '$5 == \"/m\" { print substr($6, 1, 2) }' /proc/self/mountinfo";
            is(b.says(modes)?.as_str(), "ro\nrw")
        },
    ),
    test("endless-passwd", "an image's /etc/passwd that never ends, or never begins", |t| {
        for (make, name) in [("ln -s /dev/zero", "zero"), ("mkfifo", "fifo")] {
            let b = t.bundle()?.set("/process/env", json!(["PATH=/bin"]));
            let passwd = b.rootfs("etc/passwd");
            t.host(["sh", "-c", &format!("rm {0}; {make} {0}", passwd.display())])?;
            let out = b.sh(&format!("echo {name} $HOME")).run()?;
            out.prints(&format!("{name} /"))?;
        }
        Ok(())
    }),
];

/// The chapter's tests of descriptors, and of what is written elsewhere.
pub(crate) const WAYS_OUT: &[Test] = &[
    test(
        "program-descriptor",
        "CVE-2024-21626: args[0] at /proc/self/fd/N, a program of the host",
        |t| {
            let program = t.file("program", "#!/bin/sh\necho of the host\n")?;
            t.host(["chmod", "755", &program.to_string_lossy()])?;
            let c = t.bundle()?.sleeps().start()?;
            let open = "exec 3</ 4</ 5</ 6</ 7</ 8</ 9</; exec \"$@\"";
            for fd in 3..=16 {
                let path = format!("/proc/self/fd/{fd}{}", program.display());
                let run = t.bundle()?.args([path.as_str()]).call("run")?;
                for call in [run, c.exec([], [path.as_str()])] {
                    let out = call.through(["/bin/sh", "-c", open, "sh"]).output()?;
                    out.refused(&[&path])?;
                    lacks(out.stdout, "of the host")?;
                }
            }
            is(c.says("echo good")?.as_str(), "good")
        },
    ),
    test(
        "binary-by-exec",
        "CVE-2019-5736: exec of a script whose interpreter is /proc/self/exe",
        |t| {
            // A copy, which may be lost.
            let copy = t.path("runtime-copy");
            fs::copy(&t.runtime, &copy)?;
            let instead = format!("shift; exec {} \"$@\"", copy.display());
            let b = t.bundle()?.caps(&["CAP_SYS_PTRACE", "CAP_DAC_OVERRIDE"]);
            fs::write(b.rootfs("entry"), "#!/proc/self/exe\n")?;
            t.host(["chmod", "755", &b.rootfs("entry").to_string_lossy()])?;
            let before = digest(t, &copy)?;
            // Whatever runs here and is not of the image is held open until it can be written to.
            let write = "echo up; while :; do for e in /proc/[0-9]*/exe; do \
                     case $(readlink $e 2>/dev/null) in */busybox | '') continue ;; esac; \
                     (exec 4<$e && echo caught && n=0 && while [ $n -lt 500 ]; do \
                     echo bad >/proc/self/fd/4 && break; n=$((n + 1)); done) 2>/dev/null; done; done";
            let c = b.sh(write).start()?;
            c.shows("up")?;
            for _ in 0..30 {
                let call = c.exec([], ["/entry", "--version"]);
                let out = call.through(["/bin/sh", "-c", &instead, "sh"]).output()?;
                that(!out.stdout.is_empty() || !out.stderr.is_empty(), "it says something")?;
            }
            is(digest(t, &copy)?, before)
        },
    ),
    test(
        "binary-by-loader",
        "CVE-2019-5736: /proc/self/exe as what the image's shell links to",
        |t| {
            let b = t.bundle()?;
            fs::remove_file(b.rootfs("bin/sh"))?;
            symlink("/proc/self/exe", b.rootfs("bin/sh"))?;
            binary_stays(t, &b.args(["/bin/sh", "--version"]))
        },
    ),
    test(
        "sysctl-redirected",
        "CVE-2025-52881: a tree of the host's mounted over the sysctls that are written",
        |t| {
            layout::root()?;
            let sentinel = Sentinel::new(t)?;
            let b = t.bundle()?.set("/linux/sysctl", json!({ "net.ipv4.ip_forward": "1" }));
            let script = "echo ran $(cat /proc/sys/net/ipv4/ip_forward)";
            let mount = format!("mount --bind {} /proc/sys", false_sysctls(&sentinel));
            let out = behind(b.sh(script).call("run")?, &mount).output()?;
            sentinel.unchanged()?;
            ran_or_told(&out)?;
            that(out.code != 0 || out.text() == "ran 1", format!("it is set: {out:?}"))?;
            t.nothing_left()
        },
    ),
    test(
        "sysctl-in-a-joined-namespace",
        "CVE-2025-52881: the same in a mount namespace that is another's, and joined",
        |t| {
            layout::root()?;
            let sentinel = Sentinel::new(t)?;
            let mount = format!("mount --bind {} /proc/sys", false_sysctls(&sentinel));
            let b = t.bundle()?.set("/linux/sysctl", json!({ "net.ipv4.ip_forward": "1" }));
            let (b, _other) = in_anothers(t, b, &mount)?;
            let out = b.sh("echo ran $(cat /proc/sys/net/ipv4/ip_forward)").run()?;
            sentinel.unchanged()?;
            ran_or_told(&out)?;
            that(out.code != 0 || out.text() == "ran 1", format!("it is set: {out:?}"))
        },
    ),
    test(
        "clock-offsets-in-a-joined-namespace",
        "CVE-2025-52881: the offsets of a time namespace, with a file at every place of /proc/self",
        |t| {
            layout::root()?;
            let sentinel = Sentinel::new(t)?;
            let mount = format!(
                "mount -t tmpfs tmpfs /proc; mkdir /proc/self; \
                 ln -s {} /proc/self/timens_offsets",
                sentinel.0.join("file").display()
            );
            let offsets = json!({ "monotonic": { "secs": 7, "nanosecs": 0 } });
            let b = t.bundle()?.unshare("time").set("/linux/timeOffsets", offsets);
            let (b, _other) = in_anothers(t, b, &mount)?;
            let out = b.sh("echo ran").run()?;
            sentinel.unchanged()?;
            ran_or_told(&out)?;
            is(t.bundle()?.says("echo good")?.as_str(), "good")
        },
    ),
    test(
        "no-abstract-sockets",
        "CVE-2020-15257: in the host's network namespace no socket of the runtime's is to be had",
        |t| {
            layout::root()?;
            let c = t.bundle()?.share("network").unmount("/sys").sleeps().create()?;
            let listed = fs::read_to_string("/proc/net/unix")?;
            // Sockets with a name that no file has.
            let named = listed.lines().filter_map(|line| line.rsplit_once(" @"));
            let ours = named.filter(|(_, name)| name.contains(&c.id) || name.contains("runc"));
            is(ours.map(|(_, name)| name).collect::<Vec<_>>(), [""; 0])?;
            c.is("created")?;
            c.start()
        },
    ),
    test(
        "rootless-cgroups-of-the-user",
        "CVE-2023-25809: cgroups that are the user's are not the container's to change",
        |t| {
            let b = rootless(t, 4242)?;
            // As systemd leaves one to a user.
            let own = layout::path("pids", &format!("{}-of-the-user", b.id), "");
            fs::create_dir(&own)?;
            let _removed = Directory(own.clone());
            t.host(["chown", "-R", "4242:4242", &own.to_string_lossy()])?;
            let ro = ["nosuid", "noexec", "nodev", "ro"];
            let script = format!(
                "ls -d {0} && echo seen; mkdir {0}/x 2>/dev/null && echo made; \
                 echo 5 2>/dev/null >{0}/pids.max && echo written; echo ran",
                own.display()
            );
            // As rootless engines write it, with and without the cgroups as a mount.
            let bind =
                b.unmount("/sys").bind(Path::new("/sys"), "/sys", &[&["rbind"], &ro[..]].concat());
            let bind = bind.sh(&script);
            let out = bind.call("run")?.through(user("4242")).output()?;
            has(&out.stdout, "seen")?;
            is(out.text().lines().skip(2).collect::<Vec<_>>(), ["ran"])?;
            let mounted = bind.mount("/sys/fs/cgroup", "cgroup", "cgroup", &["rw"]);
            let out = mounted.call("run")?.through(user("4242")).output()?;
            ran_or_told(&out)?;
            lacks(&out.stdout, "made")?;
            lacks(&out.stdout, "written")
        },
    ),
];

/// A tree of the host's that has a file where the sysctl is that the tests write.
fn false_sysctls(sentinel: &Sentinel) -> String {
    sentinel.0.join("sub").display().to_string()
}

/// A cgroup that is removed when this is dropped.
struct Directory(PathBuf);

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.0);
    }
}
