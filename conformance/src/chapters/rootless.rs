//! Namespaces: containers that an unprivileged user makes.

use crate::case::Case;
use crate::layout;
use crate::table::{Test, test};
use crate::verdict::{Verdict, is, needs};
use serde_json::json;
use std::fs;

/// A bundle that the user with this id can run: a user namespace with that one id.
pub(crate) fn rootless(t: &Case, uid: u32) -> Verdict<crate::bundle::Bundle<'_>> {
    // This user is nobody's: there is no systemd of its own.
    layout::root()?;
    layout::paths()?;
    let one = json!([{ "containerID": 0, "hostID": uid, "size": 1 }]);
    let b = t.bundle()?.unshare("user").set("/linux/uidMappings", one.clone());
    let b = b.set("/linux/gidMappings", one).without("/linux/resources").owned_by(uid)?;
    // The devpts's group has no mapping.
    let b = b.without("/linux/cgroupsPath").unmount("/dev/pts");
    let options = &["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"];
    t.host(["chown", &uid.to_string(), &b.dir.to_string_lossy()])?;
    fs::create_dir_all(&t.root)?;
    t.host(["chown", &uid.to_string(), &t.root.to_string_lossy()])?;
    Ok(b.mount("/dev/pts", "devpts", "devpts", options))
}

/// Runs the runtime as this user.
pub(crate) fn user(uid: &str) -> [&str; 6] {
    ["setpriv", "--reuid", uid, "--regid", uid, "--clear-groups"]
}

/// The chapter's tests of containers that an unprivileged user makes.
pub(crate) const ROOTLESS: &[Test] = &[
    test("rootless-run", "an unprivileged user runs a container, as its root", |t| {
        let b = rootless(t, 4242)?.sh("id -u; cat /proc/self/uid_map");
        let said = b.call("run")?.through(user("4242")).ok()?;
        is(said.split_whitespace().collect::<Vec<_>>(), ["0", "0", "4242", "1"])
    }),
    test("rootless-lifecycle", "an unprivileged user creates, starts, kills and deletes", |t| {
        let b = rootless(t, 4242)?.sleeps();
        b.call("create")?.through(user("4242")).ok()?;
        let call = |args: &[&str]| t.call(args.iter().copied()).through(user("4242"));
        call(&["start", &b.id]).ok()?;
        is(&call(&["state", &b.id]).output()?.json()?["status"], &json!("running"))?;
        is(call(&["exec", &b.id, "id", "-u"]).ok()?.as_str(), "0")?;
        call(&["kill", &b.id, "KILL"]).ok()?;
        t.until("stopped", || {
            Ok(call(&["state", &b.id]).output()?.json()?["status"] == json!("stopped"))
        })?;
        call(&["delete", &b.id]).ok()?;
        t.nothing_left()
    }),
    test("rootless-no-user-namespace", "an unprivileged user needs a user namespace", |t| {
        let b = rootless(t, 4242)?.share("user").without("/linux/uidMappings");
        let b = b.without("/linux/gidMappings");
        let out = b.call("create")?.through(user("4242")).output()?;
        out.refused(&["user namespace"])
    }),
    test("rootless-newuidmap", "ids of /etc/subuid are mapped by newuidmap", |t| {
        needs(std::path::Path::new("/usr/bin/newuidmap").exists(), "newuidmap (package uidmap)")?;
        // newuidmap wants a user with a name, and a line in a file that is the machine's: it sees
        // another file, in a mount namespace of its own.
        let subid = t.file("subid", "games:300000:1000\n")?;
        let b = rootless(t, 5)?;
        let map = json!([
            { "containerID": 0, "hostID": 5, "size": 1 },
            { "containerID": 1, "hostID": 300_000, "size": 1000 }
        ]);
        let gid = t.host(["id", "-g", "games"])?.parse::<u32>()?;
        let mut groups = map.clone();
        groups[0]["hostID"] = json!(gid);
        let b = b.set("/linux/uidMappings", map).set("/linux/gidMappings", groups);
        let script = format!(
            "mount --bind {0} /etc/subuid && mount --bind {0} /etc/subgid && \
             exec setpriv --reuid 5 --regid {gid} --clear-groups \"$@\"",
            subid.display()
        );
        let call = b.sh("cat /proc/self/uid_map").call("run")?;
        let said = call.through(["unshare", "-m", "sh", "-c", &script, "sh"]).ok()?;
        is(said.split_whitespace().collect::<Vec<_>>(), ["0", "5", "1", "1", "300000", "1000"])
    }),
];
