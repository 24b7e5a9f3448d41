//! Mounts: types, destinations, order, and the root.

use crate::case::Case;
use crate::chapters::mounts::Mounted;
use crate::layout;
use crate::table::{Test, test};
use crate::verdict::{Verdict, has, is, lacks, needs, that};
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

/// The chapter's tests of types, destinations and order.
pub(crate) const PLACES: &[Test] = &[
    test(
        "proc",
        "spec, Linux: /proc is a proc file system of the container's pid namespace",
        |t| {
            let said = t.bundle()?.says("stat -f -c %T /proc; ls /proc | grep -c '^[0-9]*$'")?;
            that(said.starts_with("proc\n"), &said)?;
            that(said[5..].trim().parse::<u32>().is_ok_and(|n| n <= 4), said)
        },
    ),
    test("sysfs", "spec, Linux: /sys is a sysfs of the container's network namespace", |t| {
        is(t.bundle()?.says("stat -f -c %T /sys; ls /sys/class/net")?.as_str(), "sysfs\nlo")
    }),
    test("devpts", "spec, Linux: /dev/pts is a new devpts", |t| {
        let said =
            t.bundle()?.says("stat -f -c %T /dev/pts; ls /dev/pts; stat -c %a /dev/pts/ptmx")?;
        is(said.as_str(), "devpts\nptmx\n666")
    }),
    test("mqueue", "spec, Linux: a mqueue file system", |t| {
        let b = t.bundle()?.mount("/dev/mqueue", "mqueue", "mqueue", &["nosuid", "noexec"]);
        has(b.says("grep ' /dev/mqueue ' /proc/self/mountinfo")?, " - mqueue ")
    }),
    test("tmpcopyup", "runc: tmpcopyup fills the tmpfs with what was there", |t| {
        let b = t.bundle()?.mount("/etc", "tmpfs", "tmpfs", &["rw", "tmpcopyup"]);
        is(b.says("stat -f -c %T /etc; grep -c root /etc/passwd; rm /etc/passwd")?, "tmpfs\n1")?;
        let b = t.bundle()?;
        that(b.rootfs("etc/passwd").exists(), "the image keeps its file")
    }),
    test("bind-file", "a file is bound on a file", |t| {
        let file = t.file("hosts", "10.0.0.1 here\n")?;
        let b = t.bundle()?.bind(&file, "/etc/hosts", &["bind", "ro"]);
        is(b.says("cat /etc/hosts; stat -c %F /etc/hosts")?, "10.0.0.1 here\nregular file")
    }),
    test("destination-made", "runc: a missing destination is made, a directory or a file", |t| {
        let (dir, file) = (t.dir("dir")?, t.file("file", "text")?);
        let b = t.bundle()?;
        let made = b.rootfs("a/b/dir");
        let b = b.bind(&dir, "/a/b/dir", &["bind"]).bind(&file, "/a/c/file", &["bind"]);
        is(b.says("stat -c %F /a/b/dir; cat /a/c/file")?.as_str(), "directory\ntext")?;
        that(made.is_dir(), "what was made is in the root")
    }),
    test(
        "destination-relative",
        "runc: a relative destination is taken from /, with a warning",
        |t| {
            let b = t.bundle()?.mount("data", "tmpfs", "tmpfs", &[]);
            is(b.says("stat -f -c %T /data")?.as_str(), "tmpfs")
        },
    ),
    test("destination-dotdot", "a destination with .. stays in the root", |t| {
        let outside = t.dir("outside")?;
        let b = t.bundle()?.mount("/../../../../../../../x/../dots", "tmpfs", "tmpfs", &[]);
        is(b.says("stat -f -c %T /dots")?.as_str(), "tmpfs")?;
        is(fs::read_dir(outside)?.count(), 0)
    }),
    test("destination-symlink", "a symlink in the root is followed inside the root", |t| {
        let b = t.bundle()?;
        fs::create_dir(b.rootfs("real"))?;
        symlink("/real", b.rootfs("link"))?;
        let b = b.mount("/link/sub", "tmpfs", "tmpfs", &[]);
        is(b.says("stat -f -c %T /real/sub")?.as_str(), "tmpfs")?;
        that(!Path::new("/real").exists(), "the host has no /real")
    }),
    test("destination-twice", "a mount on a mount covers it", |t| {
        let (under, over) = (t.dir("under")?, t.dir("over")?);
        fs::write(over.join("over"), "")?;
        let b = t.bundle()?.bind(&under, "/m", &["bind"]).bind(&over, "/m", &["bind"]);
        is(b.says("ls /m; grep -c ' /m ' /proc/self/mountinfo")?.as_str(), "over\n2")
    }),
    test("order", "spec, Mounts: the runtime MUST mount entries in the listed order", |t| {
        let source = t.dir("source")?;
        let b = t.bundle()?.mount("/m", "tmpfs", "tmpfs", &[]).bind(&source, "/m/in", &["bind"]);
        is(b.says("touch /m/in/here; stat -f -c %T /m")?.as_str(), "tmpfs")?;
        that(source.join("here").exists(), "the inner mount is on the outer one")
    }),
    test("order-outer-last", "an outer mount listed later hides the inner one", |t| {
        let source = t.dir("source")?;
        fs::write(source.join("mark"), "")?;
        let b = t.bundle()?.bind(&source, "/m/in", &["bind"]).mount("/m", "tmpfs", "tmpfs", &[]);
        is(b.says("ls /m; echo end")?.as_str(), "end")
    }),
    test("root-readonly", "spec, Root: readonly", |t| {
        let b = t.bundle()?.set("/root/readonly", true);
        let said = b.says("touch /x 2>&1; touch /dev/x && echo dev is writable")?;
        has(&said, "Read-only file system")?;
        has(said, "dev is writable")
    }),
    test("root-writable", "spec, Root: without readonly the root is writable", |t| {
        let b = t.bundle()?;
        let path = b.rootfs("x");
        b.says("echo written > /x")?;
        is(fs::read_to_string(path)?.as_str(), "written\n")
    }),
    test("root-absolute", "spec, Root: path may be absolute", |t| {
        let b = t.bundle()?;
        let path = b.rootfs("").to_string_lossy().into_owned();
        is(b.set("/root/path", path.trim_end_matches('/')).says("echo in")?.as_str(), "in")
    }),
    test("root-no-pivot", "runc: --no-pivot moves the root instead", |t| {
        let b = t.bundle()?.flags(["--no-pivot"]);
        is(b.says("ls -d /etc/passwd /bin/busybox; pwd")?, "/bin/busybox\n/etc/passwd\n/")
    }),
    test("no-host-mounts", "mountinfo in the container has no mount of the host's", |t| {
        let b = t.bundle()?;
        let dir = b.dir.to_string_lossy().into_owned();
        let info = b.says("cut -d' ' -f5 /proc/self/mountinfo | sort | tr '\\n' ' '")?;
        is(info.trim(), "/ /dev /dev/pts /proc /sys")?;
        lacks(info, &dir)
    }),
    test("masked-file", "spec, Linux: a masked file reads as empty", |t| {
        let b = t.bundle()?.set("/linux/maskedPaths", json!(["/secret"]));
        fs::write(b.rootfs("secret"), "secret")?;
        is(b.says("cat /secret; stat -c %t:%T /secret")?.as_str(), "1:3")
    }),
    test("masked-directory", "spec, Linux: a masked directory is empty and read-only", |t| {
        let b = t.bundle()?.set("/linux/maskedPaths", json!(["/secrets"]));
        fs::create_dir(b.rootfs("secrets"))?;
        fs::write(b.rootfs("secrets/one"), "secret")?;
        is(b.says("ls -A /secrets; touch /secrets/x 2>/dev/null || echo ro")?.as_str(), "ro")
    }),
    test("masked-missing", "runc: a masked path that is missing is passed over", |t| {
        let b = t.bundle()?.set("/linux/maskedPaths", json!(["/no/such", "/etc/group"]));
        is(b.says("cat /etc/group; ls -d /no 2>/dev/null; echo end")?.as_str(), "end")
    }),
    test(
        "readonly-paths",
        "spec, Linux: readonlyPaths are set as readonly in the container",
        |t| {
            let b =
                t.bundle()?.set("/linux/readonlyPaths", json!(["/etc", "/proc/sys", "/no/such"]));
            let said = b.says(
                "for f in /etc/x /etc/passwd /proc/sys/kernel/domainname; do \
             echo x 2>/dev/null > $f && echo $f written; done; ls /etc; echo end",
            )?;
            is(said.as_str(), "group\npasswd\nend")
        },
    ),
    test("rootfs-propagation-private", "rootfsPropagation private: the root has no peers", |t| {
        root_peers(t, "private", false)
    }),
    test("rootfs-propagation-shared", "spec, Linux: rootfsPropagation shared", |t| {
        root_peers(t, "shared", true)
    }),
    test(
        "rootfs-propagation-slave",
        "spec, Linux: rslave: the host's later mounts are seen",
        |t| {
            let b = t.bundle()?.set("/linux/rootfsPropagation", "rslave");
            let (root, inner) = (b.rootfs(""), b.rootfs("tmp"));
            let _root = Mounted::bind(t, &root)?.shared(t)?;
            let c = b.sleeps().start()?;
            has(c.says("awk '$5 == \"/\"' /proc/self/mountinfo")?, "master:")?;
            let _inner = Mounted::tmpfs(t, &inner)?;
            fs::write(inner.join("late"), "")?;
            is(c.says("ls /tmp")?.as_str(), "late")
        },
    ),
    test(
        "rootfs-propagation-host",
        "runc: whatever rootfsPropagation says, mounts that the host shares stay mounted there",
        |t| {
            let script = "mount --make-rshared / && before=$(cut -d' ' -f5 /proc/self/mountinfo | grep -v /conformance-) || exit 9; \"$@\"; \
                          rc=$?; after=$(cut -d' ' -f5 /proc/self/mountinfo | grep -v /conformance-); \
                          [ \"$before\" = \"$after\" ] || { echo \"there was $before, now $after\"; exit 8; }; exit $rc";
            // Private at first, and without other tests' mounts, which come and go.
            let alone =
                ["unshare", "--mount", "--propagation", "private", "sh", "-c", script, "sh"];
            let kinds = ["", "slave", "rslave", "shared", "rshared", "private", "rprivate"];
            // runc refuses the last two without a pivot.
            for (flags, kinds) in [(&[][..], &kinds[..]), (&["--no-pivot"], &kinds[..5])] {
                for kind in kinds {
                    let b = t.bundle()?.flags(flags.iter().copied()).args(["/bin/echo", "within"]);
                    let b = match *kind {
                        "" => b,
                        kind => b.set("/linux/rootfsPropagation", kind),
                    };
                    is(b.call("run")?.through(alone).ok()?.as_str(), "within")?;
                }
            }
            Ok(())
        },
    ),
    test(
        "rootfs-propagation-unset",
        "runc: without it the host's later mounts are not seen",
        |t| {
            let b = t.bundle()?;
            let (root, inner) = (b.rootfs(""), b.rootfs("tmp"));
            let _root = Mounted::bind(t, &root)?.shared(t)?;
            let c = b.sleeps().start()?;
            let _inner = Mounted::tmpfs(t, &inner)?;
            fs::write(inner.join("late"), "")?;
            is(c.says("ls /tmp; echo nothing")?.as_str(), "nothing")
        },
    ),
    test("rootfs-propagation-default", "without it nothing propagates to the host", |t| {
        let c = t.bundle()?.caps(&["CAP_SYS_ADMIN"]).sleeps().start()?;
        is(c.says("mount -t tmpfs x /tmp && stat -f -c %T /tmp")?.as_str(), "tmpfs")?;
        let host = fs::read_to_string("/proc/self/mountinfo")?;
        lacks(host, &c.id)
    }),
    test("cgroup", "spec, Linux: a cgroup mount shows the container's own cgroups", |t| {
        let options = ["nosuid", "noexec", "ro"];
        let b = layout::own(t.bundle()?).mount(layout::TOP, "cgroup", "cgroup", &options);
        let procs = format!("{}/cgroup.procs", layout::hierarchy("pids"));
        let said = b.says(&format!("ls {}; cat {procs} | head -n 1", layout::TOP))?;
        let v1 = ["cpu", "memory", "devices", "freezer", "pids"];
        for name in layout::either(
            v1,
            ["cpu.max", "memory.max", "cgroup.freeze", "cpuset.cpus", "pids.max"],
        ) {
            has(&said, name)?;
        }
        has(said, "\n1")
    }),
    test("cgroup-readonly", "a read-only cgroup mount can't be written", |t| {
        let b = t.bundle()?.mount("/sys/fs/cgroup", "cgroup", "cgroup", &["ro"]);
        let pids = layout::hierarchy("pids");
        let said = b.says(&format!("mkdir {pids}/x 2>&1; echo 5 2>&1 > {pids}/pids.max; true"))?;
        has(said, "Read-only file system")
    }),
    test("mount-under-proc", "runc: a mount in /proc is refused, but for a few files", |t| {
        let source = t.dir("source")?;
        let b = t.bundle()?.bind(&source, "/proc/sys", &["bind"]);
        b.refused(&["/proc"])
    }),
    test(
        "id-mapped",
        "spec 1.1, Mounts: uidMappings and gidMappings map the owners of a bind mount",
        |t| {
            let map = json!([{ "containerID": 0, "hostID": 100_000, "size": 65536 }]);
            let mount = mapped(&mappable(t)?, &map, &map);
            let b = t.bundle()?.user_namespace(100_000).owned_by(100_000)?;
            let b = b.push("/mounts", mount);
            is(b.says("stat -c %u:%g /m")?.as_str(), "1000:1001")
        },
    ),
    test(
        "id-mapped-without-user-namespace",
        "spec 1.1, Mounts: a mount's ids are mapped also where the container's are the host's",
        |t| {
            let map =
                |from: u32, to: u32| json!([{ "containerID": from, "hostID": to, "size": 1 }]);
            let mount = mapped(&mappable(t)?, &map(1000, 5), &map(1001, 6));
            let b = t.bundle()?.push("/mounts", mount);
            is(b.says("stat -c %u:%g /m")?.as_str(), "5:6")
        },
    ),
    test(
        "id-mapped-as-container",
        "spec 1.1, Mounts: idmap without mappings takes the container's",
        |t| {
            let source = mappable(t)?;
            let b = t.bundle()?.user_namespace(100_000).owned_by(100_000)?;
            let b = b.bind(&source, "/m", &["rbind", "ridmap"]);
            is(b.says("stat -c %u:%g /m")?.as_str(), "1000:1001")
        },
    ),
    test(
        "id-mapped-tmpfs",
        "spec 1.1, Mounts: the ids of a file system of its own are mapped",
        |t| {
            mappable_tmpfs()?;
            let mount = |root: u32, place: &str| {
                json!({
                    "destination": place, "type": "tmpfs", "source": "tmpfs", "options": ["nosuid"],
                    "uidMappings": [{ "containerID": 0, "hostID": root, "size": 1 }],
                    "gidMappings": [{ "containerID": 0, "hostID": root + 1, "size": 1 }]
                })
            };
            let b = || -> Verdict<_> { Ok(t.bundle()?.push("/mounts", mount(5, "/m"))) };
            let line = "stat -c %u:%g /m; grep ' /m ' /proc/self/mountinfo | grep -c nosuid";
            is(b()?.says(line)?.as_str(), "5:6\n1")?;
            // Who is not in the map can make nothing there.
            has(b()?.says("touch /m/f 2>&1 || stat -c %u:%g /m")?, "5:6")?;
            let inside = t.bundle()?.user_namespace(100_000).owned_by(100_000)?;
            let inside = inside.push("/mounts", mount(100_007, "/m"));
            is(inside.says("stat -c %u:%g /m")?.as_str(), "7:8")
        },
    ),
    test(
        "id-mapped-tmpfs-as-container",
        "spec 1.1, Mounts: idmap of a file system of its own takes the container's mappings",
        |t| {
            mappable_tmpfs()?;
            let b = t.bundle()?.user_namespace(100_000).owned_by(100_000)?;
            let b = b.mount("/m", "tmpfs", "tmpfs", &["idmap", "mode=700"]);
            let b = b.sh(
                "touch /m/f && stat -c %u:%g:%a /m /m/f && awk '$5 == \"/m\"' /proc/self/mountinfo",
            );
            let said = b.prints()?;
            has(&said, "0:0:700\n0:0:644\n")?;
            has(said, ",idmapped ")
        },
    ),
    test("id-mapped-impossible", "spec 1.1, Mounts: what the kernel can't map is said", |t| {
        let map = json!([{ "containerID": 0, "hostID": 5, "size": 1 }]);
        let mount = |kind: &str| {
            json!({
                "destination": "/m", "type": kind, "source": kind,
                "uidMappings": map, "gidMappings": map
            })
        };
        t.bundle()?
            .push("/mounts", mount("sysfs"))
            .refused(&["MOUNT_ATTR_IDMAP, which not every"])?;
        t.bundle()?.push("/mounts", mount("cgroup")).refused(&["ids can be mapped only of a bind"])
    }),
    test("id-mapped-inside", "spec 1.1, Mounts: also of what an earlier mount has made", |t| {
        mappable_tmpfs()?;
        let b = t.bundle()?.mount("/there", "tmpfs", "tmpfs", &[]);
        let mount = json!({
            "destination": "/m", "type": "bind", "source": b.rootfs("there"), "options": ["bind"],
            "uidMappings": [{ "containerID": 0, "hostID": 5, "size": 1 }],
            "gidMappings": [{ "containerID": 0, "hostID": 6, "size": 1 }]
        });
        is(b.push("/mounts", mount).says("stat -c %u:%g /m /there")?.as_str(), "5:6\n0:0")
    }),
    test("id-mapped-half", "runc 1.2: a mount with only one of the two maps is refused", |t| {
        let mount = json!({
            "destination": "/m", "type": "bind", "source": t.dir("source")?, "options": ["bind"],
            "uidMappings": [{ "containerID": 0, "hostID": 100_000, "size": 65536 }]
        });
        t.bundle()?.push("/mounts", mount).refused(&["both uid and gid mappings"])
    }),
];

/// A bind mount at `/m` whose owners are mapped.
fn mapped(source: &Path, users: &Value, groups: &Value) -> Value {
    json!({
        "destination": "/m", "type": "bind", "source": source, "options": ["bind"],
        "uidMappings": users, "gidMappings": groups
    })
}

/// A directory of 1000:1001 on a file system whose mounts can have maps.
fn mappable(t: &Case) -> Verdict<PathBuf> {
    let source = t.dir("source")?;
    let path = source.to_string_lossy();
    t.host(["chown", "1000:1001", &path])?;
    if t.host(["stat", "--file-system", "--format=%T", &path])? == "tmpfs" {
        mappable_tmpfs()?;
    }
    Ok(source)
}

fn mappable_tmpfs() -> Verdict {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    let mut numbers = release.split(['.', '-']).map_while(|part| part.parse::<u32>().ok());
    let version = (numbers.next(), numbers.next());
    needs(version >= (Some(6), Some(3)), "Linux 6.3, or another file system than tmpfs")
}

fn root_peers(t: &Case, propagation: &str, shared: bool) -> Verdict {
    let b = t.bundle()?.set("/linux/rootfsPropagation", propagation);
    let info = b.says("awk '$5 == \"/\"' /proc/self/mountinfo")?;
    that(!info.is_empty(), "the root is in mountinfo")?;
    is(info.contains("shared:"), shared)
}
