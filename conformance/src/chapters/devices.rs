//! Devices: the default ones, and the listed ones.

use std::fs;

use serde_json::json;

use crate::layout;
use crate::table::{Test, test};
use crate::verdict::{Verdict, has, is};

/// A default device has this type, these numbers and this mode.
fn default(t: &crate::case::Case, name: &str, wanted: &str) -> Verdict {
    let said = t.bundle()?.says(&format!("stat -c '%F %t:%T %a' /dev/{name}"))?;
    is(said, format!("character special file {wanted}"))
}

/// A link in /dev points there.
fn link(t: &crate::case::Case, name: &str, target: &str) -> Verdict {
    is(t.bundle()?.says(&format!("readlink /dev/{name}"))?.as_str(), target)
}

fn loop0(path: &str) -> serde_json::Value {
    json!({ "path": path, "type": "b", "major": 7, "minor": 0 })
}

/// The chapter's tests.
pub(crate) const TESTS: &[Test] = &[
    test("default-null", "spec, Default Devices: /dev/null", |t| default(t, "null", "1:3 666")),
    test("default-zero", "spec, Default Devices: /dev/zero", |t| default(t, "zero", "1:5 666")),
    test("default-full", "spec, Default Devices: /dev/full", |t| default(t, "full", "1:7 666")),
    test("default-random", "spec, Default Devices: /dev/random", |t| {
        default(t, "random", "1:8 666")
    }),
    test("default-urandom", "spec, Default Devices: /dev/urandom", |t| {
        default(t, "urandom", "1:9 666")
    }),
    test("default-tty", "spec, Default Devices: /dev/tty", |t| default(t, "tty", "5:0 666")),
    test("default-ptmx", "spec, Default Devices: /dev/ptmx is a link to pts/ptmx", |t| {
        link(t, "ptmx", "pts/ptmx")
    }),
    test("link-fd", "spec, Dev symbolic links: /dev/fd", |t| link(t, "fd", "/proc/self/fd")),
    test("link-stdin", "spec, Dev symbolic links: stdin", |t| link(t, "stdin", "/proc/self/fd/0")),
    test("link-stdout", "spec, Dev symbolic links: stdout", |t| {
        link(t, "stdout", "/proc/self/fd/1")
    }),
    test("link-stderr", "spec, Dev symbolic links: stderr", |t| {
        link(t, "stderr", "/proc/self/fd/2")
    }),
    test("link-core", "runc: /dev/core links to /proc/kcore where the kernel has it", |t| {
        let core = if fs::exists("/proc/kcore")? { "/proc/kcore\n" } else { "" };
        let said = t.bundle()?.says("readlink /dev/core; echo end")?;
        is(said, format!("{core}end"))
    }),
    test("no-host-devices", "nothing else of the host's /dev is there", |t| {
        let said = t.bundle()?.says("ls /dev | grep -v '^core$' | tr '\\n' ' '")?;
        is(said.trim(), "fd full null ptmx pts random stderr stdin stdout tty urandom zero")
    }),
    test("listed", "spec, Devices: type, path, major, minor, fileMode, uid, gid", |t| {
        layout::root()?;
        let mut device = loop0("/dev/disk");
        device["fileMode"] = json!(0o640);
        device["uid"] = json!(12);
        device["gid"] = json!(34);
        let b = t.bundle()?.push("/linux/devices", device);
        let said = b.says("stat -c '%F %t:%T %a %u:%g' /dev/disk")?;
        is(said.as_str(), "block special file 7:0 640 12:34")
    }),
    test("listed-char", "spec, Devices: a character device works", |t| {
        layout::root()?;
        let device =
            json!({ "path": "/dev/nil", "type": "c", "major": 1, "minor": 3, "fileMode": 0o666 });
        let b = t.bundle()?.push("/linux/devices", device);
        is(
            b.says("echo x > /dev/nil; wc -c < /dev/nil; stat -c %F /dev/nil")?.as_str(),
            "0\ncharacter special file",
        )
    }),
    test("listed-fifo", "spec, Devices: type p is a FIFO", |t| {
        layout::root()?;
        let device = json!({
            "path": "/dev/pipe", "type": "p", "major": 0, "minor": 0, "fileMode": 0o600
        });
        let b = t.bundle()?.push("/linux/devices", device);
        is(b.says("stat -c '%F %a' /dev/pipe")?.as_str(), "fifo 600")
    }),
    test("listed-in-directory", "a device in a directory that is missing", |t| {
        layout::root()?;
        let b = t.bundle()?.push("/linux/devices", loop0("/dev/bus/x/disk"));
        is(b.says("stat -c %F /dev/bus/x/disk")?.as_str(), "block special file")
    }),
    test("listed-outside-dev", "a device outside /dev", |t| {
        layout::root()?;
        let b = t.bundle()?.push("/linux/devices", loop0("/srv/disk"));
        is(b.says("stat -c %F /srv/disk")?.as_str(), "block special file")
    }),
    test(
        "listed-mode-ignores-umask",
        "the mode of a device is fileMode, whatever the umask",
        |t| {
            layout::root()?;
            let mut device = loop0("/dev/disk");
            device["fileMode"] = json!(0o666);
            let call = t
                .bundle()?
                .push("/linux/devices", device)
                .sh("stat -c %a /dev/disk")
                .call("run")?;
            is(
                call.through(["/bin/sh", "-c", "umask 077; exec \"$@\"", "sh"]).ok()?.as_str(),
                "666",
            )
        },
    ),
    test("listed-default-replaced", "a listed device may replace a default one", |t| {
        layout::root()?;
        let device =
            json!({ "path": "/dev/null", "type": "c", "major": 1, "minor": 3, "fileMode": 0o600 });
        let b = t.bundle()?.push("/linux/devices", device);
        // The default device's rule goes with it.
        let rule = json!({ "allow": true, "type": "c", "major": 1, "minor": 3, "access": "rwm" });
        let b = b.push("/linux/resources/devices", rule);
        is(b.says("stat -c '%t:%T %a' /dev/null")?.as_str(), "1:3 600")
    }),
    test("listed-in-user-namespace", "in a user namespace a device is bound from the host", |t| {
        // The kernel's own log: no module has to be there for it.
        let device = json!({ "path": "/dev/kmsg", "type": "c", "major": 1, "minor": 11 });
        let b = t.bundle()?.user_namespace(100_000).owned_by(100_000)?;
        let b = b.push("/linux/devices", device);
        is(b.says("stat -c '%F %t:%T' /dev/kmsg")?.as_str(), "character special file 1:b")
    }),
    test("bad-type", "an unknown type of device is refused by its path", |t| {
        let mut device = loop0("/dev/disk");
        device["type"] = json!("z");
        t.bundle()?.raw("/linux/devices", json!([device])).refused(&["z"])
    }),
    test("dev-is-a-bind", "runc: a /dev that is bound is left as it is", |t| {
        layout::root()?;
        let dev = t.dir("dev")?;
        t.host(["mknod", "-m", "666", &dev.join("null").to_string_lossy(), "c", "1", "3"])?;
        let b = t.bundle()?.unmount("/dev/pts").unmount("/dev").bind(&dev, "/dev", &["rbind"]);
        is(b.says("ls /dev; echo end")?.as_str(), "null\nend")?;
        is(fs::read_dir(dev)?.count(), 1)
    }),
    test(
        "no-stray-nodes-in-the-root",
        "the devices are on the container's /dev, not in the image",
        |t| {
            let b = t.bundle()?;
            let root = b.rootfs("dev");
            has(b.says("ls /dev/null")?, "null")?;
            is(fs::read_dir(root)?.count(), 0)
        },
    ),
];
