//! Mounts: types, options, destinations and order.

use std::fs;
use std::os::unix::fs::symlink;

use serde_json::json;

use crate::case::Case;
use crate::table::{Test, test};
use crate::verdict::{Verdict, has, is, lacks, that};

/// The options of the mount at `point` in the container, per mount and of the file system.
fn options(mountinfo: &str, point: &str) -> Option<(String, String)> {
    let mut found = None;
    for line in mountinfo.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        if words.get(4) == Some(&point) {
            found = Some((words[5].to_owned(), (*words.last()?).to_owned()));
        }
    }
    found
}

/// A tmpfs with `set` must have all of `wanted` among its options, and none of `unwanted`.
fn tmpfs(t: &Case, set: &[&str], wanted: &[&str], unwanted: &[&str]) -> Verdict {
    let info = t.bundle()?.mount("/m", "tmpfs", "tmpfs", set).says("cat /proc/self/mountinfo")?;
    check(&info, wanted, unwanted)
}

/// The same for a bind mount of a host's directory.
fn bind(t: &Case, set: &[&str], wanted: &[&str], unwanted: &[&str]) -> Verdict {
    let source = t.dir("source")?;
    let info = t.bundle()?.bind(&source, "/m", set).says("cat /proc/self/mountinfo")?;
    check(&info, wanted, unwanted)
}

fn check(info: &str, wanted: &[&str], unwanted: &[&str]) -> Verdict {
    let Some((mount, system)) = options(info, "/m") else {
        return has(info, " /m ");
    };
    let both: Vec<&str> = mount.split(',').chain(system.split(',')).collect();
    for option in wanted {
        that(both.contains(option), format!("{option} is in {mount} {system}"))?;
    }
    for option in unwanted {
        // rw of the file system says nothing about the mount.
        that(!mount.split(',').any(|o| o == *option), format!("{option} isn't in {mount}"))?;
    }
    Ok(())
}

/// The chapter's tests of single options.
pub(crate) const OPTIONS: &[Test] = &[
    test("tmpfs-rw", "spec, Mounts: rw", |t| tmpfs(t, &["rw"], &["rw"], &["ro"])),
    test("tmpfs-ro", "spec, Mounts: ro", |t| tmpfs(t, &["ro"], &["ro"], &["rw"])),
    test("tmpfs-nosuid", "spec, Mounts: nosuid", |t| tmpfs(t, &["nosuid"], &["nosuid"], &[])),
    test("tmpfs-suid", "spec, Mounts: suid; the last of two that contradict wins", |t| {
        tmpfs(t, &["nosuid", "suid"], &["rw"], &["nosuid"])
    }),
    test("tmpfs-nodev", "spec, Mounts: nodev", |t| tmpfs(t, &["nodev"], &["nodev"], &[])),
    test("tmpfs-dev", "spec, Mounts: dev", |t| tmpfs(t, &["nodev", "dev"], &["rw"], &["nodev"])),
    test("tmpfs-noexec", "spec, Mounts: noexec", |t| tmpfs(t, &["noexec"], &["noexec"], &[])),
    test("tmpfs-exec", "spec, Mounts: exec", |t| {
        tmpfs(t, &["noexec", "exec"], &["rw"], &["noexec"])
    }),
    test("tmpfs-noatime", "spec, Mounts: noatime", |t| tmpfs(t, &["noatime"], &["noatime"], &[])),
    test("tmpfs-nodiratime", "spec, Mounts: nodiratime", |t| {
        tmpfs(t, &["nodiratime"], &["nodiratime"], &[])
    }),
    test("tmpfs-relatime", "spec, Mounts: relatime", |t| {
        tmpfs(t, &["relatime"], &["relatime"], &["noatime"])
    }),
    test("tmpfs-strictatime", "spec, Mounts: strictatime", |t| {
        tmpfs(t, &["strictatime"], &["rw"], &["relatime", "noatime"])
    }),
    test("tmpfs-sync", "spec, Mounts: sync", |t| tmpfs(t, &["sync"], &["sync"], &[])),
    test("tmpfs-dirsync", "spec, Mounts: dirsync", |t| tmpfs(t, &["dirsync"], &["dirsync"], &[])),
    test("tmpfs-nosymfollow", "spec 1.1, Mounts: nosymfollow", |t| {
        tmpfs(t, &["nosymfollow"], &["nosymfollow"], &[])
    }),
    test("tmpfs-size-mode", "spec, Mounts: what is no option of mount goes to the file system", |t| {
        let b = t.bundle()?.mount("/m", "tmpfs", "tmpfs", &["size=128k", "mode=1750"]);
        let said = b.says("stat -c %a /m; dd if=/dev/zero of=/m/x bs=1k count=200 2>&1; true")?;
        has(&said, "1750\n")?;
        has(said, "No space left")
    }),
    test("tmpfs-unknown-option", "an option that the file system refuses fails create", |t| {
        t.bundle()?.mount("/m", "tmpfs", "tmpfs", &["nonsense=1"]).refused(&["/m", "invalid"])
    }),
    test("bind-ro", "spec, Mounts: a read-only bind can't be written", |t| {
        bind(t, &["bind", "ro"], &["ro"], &[])?;
        let source = t.dir("s2")?;
        fs::write(source.join("file"), "1")?;
        let b = t.bundle()?.bind(&source, "/m", &["rbind", "ro"]);
        has(b.says("cat /m/file; echo 2 2>&1 > /m/file; true")?, "1")?;
        is(fs::read_to_string(source.join("file"))?.as_str(), "1")
    }),
    test("bind-rw", "spec, Mounts: a bind mount shows and takes the host's data", |t| {
        let source = t.dir("source")?;
        fs::write(source.join("in"), "from the host")?;
        let b = t.bundle()?.bind(&source, "/m", &["bind"]);
        is(b.says("cat /m/in; echo back > /m/out")?.as_str(), "from the host")?;
        is(fs::read_to_string(source.join("out"))?.as_str(), "back\n")
    }),
    test("bind-nosuid-nodev-noexec", "flags of a bind are set by a remount", |t| {
        let flags = ["nosuid", "nodev", "noexec"];
        bind(t, &["bind", "nosuid", "nodev", "noexec"], &flags, &[])
    }),
    test("bind-noexec-holds", "nothing can be executed from a noexec bind", |t| {
        let source = t.dir("source")?;
        fs::copy("/bin/busybox", source.join("busybox"))?;
        let b = t.bundle()?.bind(&source, "/m", &["bind", "noexec"]);
        is(b.says("/m/busybox true 2>/dev/null; echo $?")?.as_str(), "126")
    }),
    test("bind-noatime", "a bind's atime flags", |t| {
        bind(t, &["bind", "noatime", "nodiratime"], &["noatime", "nodiratime"], &["relatime"])
    }),
    test("bind-submounts", "spec, Mounts: bind is not recursive, rbind is", |t| {
        let (b, outer) = (t.bundle()?, t.dir("outer")?);
        let inner = t.dir("outer/inner")?;
        t.file("inner-file", "")?;
        let _mount = Mounted::tmpfs(t, &inner)?;
        fs::write(inner.join("mark"), "")?;
        let b = b.bind(&outer, "/one", &["bind"]).bind(&outer, "/two", &["rbind"]);
        is(b.says("ls /one/inner /two/inner")?.trim(), "/one/inner:\n\n/two/inner:\nmark")
    }),
    test("bind-recursive-ro", "spec 1.1: rro makes the mounts below read-only too", |t| {
        recursive(t, "rro", "ro")
    }),
    test("bind-recursive-nosuid", "spec 1.1: rnosuid", |t| recursive(t, "rnosuid", "nosuid")),
    test("bind-recursive-nodev", "spec 1.1: rnodev", |t| recursive(t, "rnodev", "nodev")),
    test("bind-recursive-noexec", "spec 1.1: rnoexec", |t| recursive(t, "rnoexec", "noexec")),
    test("bind-recursive-noatime", "spec 1.1: rnoatime", |t| recursive(t, "rnoatime", "noatime")),
    test("bind-ro-not-recursive", "runc: ro with rbind leaves the mounts below writable", |t| {
        let (outer, inner) = (t.dir("outer")?, t.dir("outer/inner")?);
        let _mount = Mounted::tmpfs(t, &inner)?;
        let b = t.bundle()?.bind(&outer, "/m", &["rbind", "ro"]);
        is(b.says("touch /m/x 2>/dev/null || echo ro; touch /m/inner/x && echo rw")?, "ro\nrw")
    }),
    test("propagation-private", "runc: private mounts have no peers", |t| peers(t, "private", "")),
    test("propagation-rprivate", "rprivate likewise", |t| peers(t, "rprivate", "")),
    test("propagation-shared", "spec, Mounts: shared", |t| peers(t, "shared", "shared:")),
    test("propagation-rshared", "spec, Mounts: rshared", |t| peers(t, "rshared", "shared:")),
    test("propagation-unbindable", "spec, Mounts: unbindable", |t| {
        peers(t, "unbindable", "unbindable")
    }),
    test("propagation-slave", "spec, Mounts: slave: what the host mounts below is seen", |t| {
        let outer = t.dir("outer")?;
        t.dir("outer/inner")?;
        let _outer = Mounted::tmpfs(t, &outer)?;
        t.host(["mount", "--make-shared", &outer.to_string_lossy()])?;
        let inner = t.dir("outer/inner")?;
        let b = t.bundle()?.bind(&outer, "/m", &["rbind", "rslave"]);
        let b = b.set("/linux/rootfsPropagation", "rslave");
        let c = b.sleeps().start()?;
        let _inner = Mounted::tmpfs(t, &inner)?;
        fs::write(inner.join("late"), "")?;
        is(c.says("ls /m/inner")?.as_str(), "late")
    }),
];

/// An outer and an inner mount must both have the flag that `option` sets.
fn recursive(t: &Case, option: &str, flag: &str) -> Verdict {
    let (outer, inner) = (t.dir("outer")?, t.dir("outer/inner")?);
    let _mount = Mounted::tmpfs(t, &inner)?;
    let info = t.bundle()?.bind(&outer, "/m", &["rbind", option]).says("cat /proc/self/mountinfo")?;
    for point in ["/m", "/m/inner"] {
        let (mount, _) = options(&info, point).unwrap_or_default();
        that(mount.split(',').any(|o| o == flag), format!("{flag} of {point} is in {mount}"))?;
    }
    Ok(())
}

/// The optional fields of a mount with this propagation must begin so.
fn peers(t: &Case, option: &str, field: &str) -> Verdict {
    let b = t.bundle()?.mount("/m", "tmpfs", "tmpfs", &[option]);
    let info = b.says("cat /proc/self/mountinfo")?;
    let line = info.lines().find(|line| line.contains(" /m ")).unwrap_or_default();
    let fields: Vec<&str> = line.split(' ').skip(6).take_while(|word| *word != "-").collect();
    that(!line.is_empty() && fields.join(" ").starts_with(field), format!("{field} in {line}"))?;
    is(fields.is_empty(), field.is_empty())
}

/// A mount of the host in the test's own directory.
pub(crate) struct Mounted(String);

impl Mounted {
    /// A small tmpfs.
    pub(crate) fn tmpfs(t: &Case, point: &std::path::Path) -> Verdict<Self> {
        let point = point.to_string_lossy().into_owned();
        t.host(["mount", "-t", "tmpfs", "-o", "size=1m", "conformance", &point])?;
        t.host(["mount", "--make-private", &point])?;
        Ok(Self(point))
    }

    /// Takes over a mount that is there.
    pub(crate) fn adopt(point: &std::path::Path) -> Self {
        Self(point.to_string_lossy().into_owned())
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = nix::mount::umount2(self.0.as_str(), nix::mount::MntFlags::MNT_DETACH);
    }
}

/// The chapter's tests of types, destinations and order.
pub(crate) const PLACES: &[Test] = &[
    test("proc", "spec, Linux: /proc is a proc file system of the container's pid namespace", |t| {
        let said = t.bundle()?.says("stat -f -c %T /proc; ls -d /proc/[0-9]* | wc -l; pidof sleep")
            .or_else(|_| t.bundle()?.says("stat -f -c %T /proc; ls /proc | grep -c '^[0-9]*$'"))?;
        that(said.starts_with("proc\n"), &said)?;
        that(said[5..].trim().parse::<u32>().is_ok_and(|n| n <= 4), said)
    }),
    test("sysfs", "spec, Linux: /sys is a sysfs of the container's network namespace", |t| {
        is(t.bundle()?.says("stat -f -c %T /sys; ls /sys/class/net")?.as_str(), "sysfs\nlo")
    }),
    test("devpts", "spec, Linux: /dev/pts is a new devpts", |t| {
        let said = t.bundle()?.says("stat -f -c %T /dev/pts; ls /dev/pts; stat -c %a /dev/pts/ptmx")?;
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
        let b = t.bundle()?.bind(&dir, "/a/b/dir", &["bind"]).bind(&file, "/a/c/file", &["bind"]);
        is(b.says("stat -c %F /a/b/dir; cat /a/c/file")?.as_str(), "directory\ntext")?;
        that(b_made(t)?, "what was made is in the root")
    }),
    test("destination-relative", "runc: a relative destination is taken from /, with a warning", |t| {
        let b = t.bundle()?.mount("data", "tmpfs", "tmpfs", &[]);
        is(b.says("stat -f -c %T /data")?.as_str(), "tmpfs")
    }),
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
        that(!std::path::Path::new("/real").exists(), "the host has no /real")
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
    test("readonly-paths", "spec, Linux: readonlyPaths are set as readonly in the container", |t| {
        let b = t.bundle()?.set("/linux/readonlyPaths", json!(["/etc", "/proc/sys", "/no/such"]));
        let said = b.says(
            "for f in /etc/x /etc/passwd /proc/sys/kernel/domainname; do \
             echo x 2>/dev/null > $f && echo $f written; done; ls /etc; echo end",
        )?;
        is(said.as_str(), "group\npasswd\nend")
    }),
    test("rootfs-propagation-private", "rootfsPropagation private: the root has no peers", |t| {
        root_peers(t, "private", false)
    }),
    test("rootfs-propagation-shared", "spec, Linux: rootfsPropagation shared", |t| {
        root_peers(t, "shared", true)
    }),
    test("rootfs-propagation-default", "without it nothing propagates to the host", |t| {
        let c = t.bundle()?.caps(&["CAP_SYS_ADMIN"]).sleeps().start()?;
        is(c.says("mount -t tmpfs x /tmp && stat -f -c %T /tmp")?.as_str(), "tmpfs")?;
        let host = fs::read_to_string("/proc/self/mountinfo")?;
        lacks(host, &c.id)
    }),
    test("cgroup", "spec, Linux: a cgroup mount shows the container's own cgroups", |t| {
        let b = t.bundle()?.mount("/sys/fs/cgroup", "cgroup", "cgroup", &["nosuid", "noexec", "ro"]);
        let said = b.says("ls /sys/fs/cgroup; cat /sys/fs/cgroup/pids/cgroup.procs | head -n 1")?;
        for name in ["cpu", "memory", "devices", "freezer", "pids"] {
            has(&said, name)?;
        }
        has(said, "\n1")
    }),
    test("cgroup-readonly", "a read-only cgroup mount can't be written", |t| {
        let b = t.bundle()?.mount("/sys/fs/cgroup", "cgroup", "cgroup", &["ro"]);
        let said = b.says(
            "mkdir /sys/fs/cgroup/pids/x 2>&1; echo 5 2>&1 > /sys/fs/cgroup/pids/pids.max; true",
        )?;
        has(said, "Read-only file system")
    }),
    test("mount-under-proc", "runc: a mount in /proc is refused, but for a few files", |t| {
        let source = t.dir("source")?;
        let b = t.bundle()?.bind(&source, "/proc/sys", &["bind"]);
        b.refused(&["/proc"])
    }),
];

fn b_made(t: &Case) -> Verdict<bool> {
    let bundle = fs::read_dir(&t.scratch)?.flatten().find(|e| {
        e.file_name().to_string_lossy().starts_with("bundle-")
    });
    Ok(bundle.is_some_and(|bundle| bundle.path().join("rootfs/a/b/dir").is_dir()))
}

fn root_peers(t: &Case, propagation: &str, shared: bool) -> Verdict {
    let b = t.bundle()?.set("/linux/rootfsPropagation", propagation);
    let info = b.says("grep ' / / ' /proc/self/mountinfo || grep -E ' / (rw|ro)' /proc/self/mountinfo")?;
    that(!info.is_empty(), "the root is in mountinfo")?;
    is(info.contains("shared:"), shared)
}
