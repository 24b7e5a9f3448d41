//! Mounts: types, options, destinations and order.

use std::fs;
use std::path::Path;

use crate::case::Case;
use crate::table::{Test, test};
use crate::verdict::{Verdict, has, is, that};

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

/// The mount at `/m` must have all of `wanted` among its options, and none of `unwanted`.
pub(crate) fn check(info: &str, wanted: &[&str], unwanted: &[&str]) -> Verdict {
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
    test(
        "tmpfs-size-mode",
        "spec, Mounts: what is no option of mount goes to the file system",
        |t| {
            let b = t.bundle()?.mount("/m", "tmpfs", "tmpfs", &["size=128k", "mode=1750"]);
            let said =
                b.says("stat -c %a /m; dd if=/dev/zero of=/m/x bs=1k count=200 2>&1; true")?;
            has(&said, "1750\n")?;
            has(said, "No space left")
        },
    ),
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
        let _outer = Mounted::tmpfs(t, &outer)?.shared(t)?;
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
    let info =
        t.bundle()?.bind(&outer, "/m", &["rbind", option]).says("cat /proc/self/mountinfo")?;
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
    /// A small tmpfs, private.
    pub(crate) fn tmpfs(t: &Case, point: &Path) -> Verdict<Self> {
        Self::new(t, point, &["-t", "tmpfs", "-o", "size=8m", "conformance"])
    }

    /// A directory on itself, private.
    pub(crate) fn bind(t: &Case, point: &Path) -> Verdict<Self> {
        Self::new(t, point, &["--bind", &point.to_string_lossy()])
    }

    /// What mount(8) makes of these words there, private.
    pub(crate) fn new(t: &Case, point: &Path, words: &[&str]) -> Verdict<Self> {
        let mounted = Self(point.to_string_lossy().trim_end_matches('/').to_owned());
        t.host(["mount"].iter().chain(words).copied().chain([mounted.0.as_str()]))?;
        t.host(["mount", "--make-private", &mounted.0])?;
        Ok(mounted)
    }

    /// From now on it is shared.
    pub(crate) fn shared(self, t: &Case) -> Verdict<Self> {
        t.host(["mount", "--make-shared", &self.0])?;
        Ok(self)
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = nix::mount::umount2(self.0.as_str(), nix::mount::MntFlags::MNT_DETACH);
    }
}
