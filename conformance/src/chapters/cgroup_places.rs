//! Cgroups: where the processes are, and the devices they may open.

use super::cgroup_fields::MANY;
use crate::bundle::Bundle;
use crate::case::Case;
use crate::layout::{self, either, hierarchies, hierarchy, path, read, unified};
use crate::leftover;
use crate::table::{Test, test};
use crate::verdict::{Miss, Verdict, has, is, needs, that};
use serde_json::json;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// A cgroup of the test's own, which goes with it.
struct Removed(PathBuf);

impl Drop for Removed {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.0);
    }
}

/// The chapter's tests of placement.
pub(crate) const PLACES: &[Test] = &[
    test("placement", "spec, Linux: cgroupsPath, in every hierarchy", |t| {
        let c = t.bundle()?.sleeps().start()?;
        let text = c.proc("cgroup")?;
        for controller in ["cpu", "cpuset", "memory", "devices", "freezer", "pids", "blkio"] {
            let line = layout::line(&text, controller);
            needs(line.is_some(), &format!("cgroup v2, or v1's controller {controller}"))?;
            let place = line.and_then(|line| line.splitn(3, ':').nth(2)).unwrap_or_default();
            is(place, layout::of(&c.id))?;
        }
        Ok(())
    }),
    test("placement-default", "runc: without cgroupsPath the cgroup is named by the id", |t| {
        layout::paths()?;
        layout::root()?;
        let c = t.bundle()?.without("/linux/cgroupsPath").sleeps().start()?;
        let text = c.proc("cgroup")?;
        let line = layout::line(&text, "pids").unwrap_or_default();
        that(line.ends_with(&format!("/{}", c.id)), format!("{line} ends with the id"))
    }),
    test(
        "placement-nested",
        "a cgroupsPath of several levels is made, and its leaf removed",
        |t| {
            layout::paths()?;
            layout::root()?;
            let b = t.bundle()?.sleeps();
            let (outer, id) = (format!("{}-outer", b.id), b.id.clone());
            let c = b.set("/linux/cgroupsPath", format!("/{outer}/{id}")).start()?;
            has(c.proc("cgroup")?, &format!("/{outer}/{id}\n"))?;
            t.rt(["delete", "--force", &c.id])?.ok()?;
            that(!path("pids", &outer, &id).exists(), "the leaf is gone")?;
            for hierarchy in hierarchies()? {
                let _ = fs::remove_dir(path(&hierarchy, &outer, ""));
            }
            Ok(())
        },
    ),
    test("removed", "spec, delete: the cgroups are gone after delete", |t| {
        layout::has("pids")?;
        let c = t.bundle()?.create()?;
        that(leftover::cgroups(&c.id).count() >= either(7, 1), "there are cgroups")?;
        c.start()?;
        c.becomes("stopped")?;
        c.delete()?;
        is(leftover::cgroups(&c.id).count(), 0)
    }),
    test("removed-with-children", "cgroups that the container made are removed too", |t| {
        layout::has("pids")?;
        let b = layout::own(t.bundle()?).mount(layout::TOP, "cgroup", "cgroup", &["rw"]);
        let pids = hierarchy("pids");
        let c = b.sh(&format!("mkdir -p {pids}/a/b && echo made; exec sleep 100")).start()?;
        c.shows("made")?;
        that(path("pids", &c.id, "a/b").is_dir(), "the child is there")?;
        t.rt(["delete", "--force", &c.id])?.ok()?;
        is(leftover::cgroups(&c.id).count(), 0)
    }),
    test("owner", "spec, Cgroup ownership: what is mounted to write is the process's (v2)", |t| {
        needs(unified(), "cgroup v2")?;
        layout::root()?;
        let mounted = |option: &str| {
            let b = t.bundle()?.user_namespace(100_000).owned_by(100_000)?.unshare("cgroup");
            let b = b.mount(layout::TOP, "cgroup", "cgroup", &[option]);
            let c = b.set("/process/user/uid", 7).sleeps().start()?;
            let owner = |file| Ok::<_, Miss>(fs::metadata(path("pids", &c.id, file))?.uid());
            let owners = [owner("")?, owner("cgroup.procs")?, owner("pids.max")?];
            Ok::<_, Miss>((owners, c))
        };
        let (owners, c) = mounted("rw")?;
        is(owners, [100_007, 100_007, 0])?;
        c.says("mkdir /sys/fs/cgroup/own && echo $$ >/sys/fs/cgroup/own/cgroup.procs")?;
        is(mounted("ro")?.0, [0, 0, 0])
    }),
    test("exec-same-cgroup", "exec's process is in the cgroups of the container", |t| {
        let c = t.bundle()?.sleeps().start()?;
        let init = c.proc("cgroup")?;
        is(c.says("cat /proc/self/cgroup")?.as_str(), init.trim_end())
    }),
    test(
        "exec-init-moved",
        "runc#2356: exec works when init has moved below, and its cgroup takes no processes",
        |t| {
            needs(unified(), "cgroup v2")?;
            let b = t.bundle()?.unshare("cgroup");
            let b = b.mount(layout::TOP, "cgroup", "cgroup", &["rw"]);
            let script = "cd /sys/fs/cgroup && mkdir own && echo 1 > own/cgroup.procs && \
                          echo +pids > cgroup.subtree_control && echo moved; exec sleep 100";
            let c = b.sh(script).start()?;
            c.shows("moved")?;
            is(c.says("cat /proc/self/cgroup")?.as_str(), "0::/own")
        },
    ),
    test("exec-init-elsewhere", "runc#5089: exec works when init's first cgroup is gone", |t| {
        needs(unified(), "cgroup v2")?;
        layout::paths()?;
        layout::root()?;
        let name = format!("{}-other", t.id());
        let other = Removed(Path::new(layout::TOP).join(&name));
        fs::create_dir(&other.0)?;
        let b = t.bundle()?.mount(layout::TOP, "cgroup", "cgroup", &["rw"]);
        let procs = other.0.join("cgroup.procs");
        let script = format!("echo 1 > {} && echo moved; exec sleep 100", procs.display());
        let c = b.sh(&script).start()?;
        c.shows("moved")?;
        let own = path("pids", &c.id, "");
        fs::remove_dir(own)?;
        is(c.says("cat /proc/self/cgroup")?, format!("0::/{name}"))?;
        t.rt(["delete", "--force", &c.id])?.ok().map(|_| ())
    }),
    test("exec-cgroup-just-there", "runc: exec --cgroup / is that cgroup, or an error", |t| {
        needs(unified(), "cgroup v2")?;
        let b = t.bundle()?.unshare("cgroup");
        let b = b.mount(layout::TOP, "cgroup", "cgroup", &["rw"]);
        let script = "cd /sys/fs/cgroup && mkdir own && echo 1 > own/cgroup.procs && \
                      echo +pids > cgroup.subtree_control && echo moved; exec sleep 100";
        let c = b.sh(script).start()?;
        c.shows("moved")?;
        let out = c.exec(["--cgroup", "/"], ["/bin/true"]).output()?;
        // A user's systemd asks the machine's where it may not move a process itself, and keeps to
        // itself why that said no.
        let users = layout::systemd() && layout::rootless();
        let or = if users { "failed to attach processes to control group" } else { "\0" };
        for part in [" adding pid ", " to cgroups", "device or resource busy"] {
            out.refused(&[&format!("{part}|{or}")])?;
        }
        let out = c.exec(["--cgroup", "own"], ["/bin/cat", "/proc/self/cgroup"]).ok()?;
        is(out.as_str(), "0::/own")
    }),
    test("exec-under-limits", "exec's processes count for the container's limits", |t| {
        // Room for a runtime of many threads, which is in the cgroup before the process is.
        let c = t.bundle()?.set("/linux/resources/pids/limit", 20).sleeps().start()?;
        let out = c.exec([], ["/bin/sh", "-c", MANY]);
        let said = out.output()?;
        has(said.stderr, "fork")?;
        that(read("pids", &c.id, "pids.events")? != "max 0", "the limit was hit")
    }),
    test("namespace-root", "a cgroup namespace is rooted at the container's cgroup", |t| {
        let b = t.bundle()?.unshare("cgroup");
        let said = b.says("cut -d: -f3 /proc/self/cgroup | sort -u")?;
        is(said.as_str(), "/")
    }),
    test(
        "namespace-mount",
        "with a cgroup namespace the mount shows the container's cgroup",
        |t| {
            layout::has("pids")?;
            let b = t.bundle()?.unshare("cgroup");
            let b = b.mount(layout::TOP, "cgroup", "cgroup", &["ro"]);
            let b = b.set("/linux/resources/pids/limit", 23);
            is(b.says(&format!("cat {}/pids.max", hierarchy("pids")))?.as_str(), "23")
        },
    ),
    test("pause-is-the-freezer", "pause freezes the container's cgroup", |t| {
        let c = t.bundle()?.sleeps().start()?;
        c.rt("pause")?.ok()?;
        let state = || read("freezer", &c.id, either("freezer.state", "cgroup.freeze"));
        is(state()?.as_str(), either("FROZEN", "1"))?;
        c.rt("resume")?.ok()?;
        is(state()?.as_str(), either("THAWED", "0"))
    }),
    test("update-while-running", "runc: update of shares and quota", |t| {
        let c = t.bundle()?.sleeps().start()?;
        t.rt(["update", "--cpu-share", "300", "--cpu-quota", "30000", &c.id])?.ok()?;
        if unified() {
            // By either scale: that of runc 1.3, and the one before.
            let weight = read("cpu", &c.id, "cpu.weight")?;
            that(["39", "12"].contains(&weight.as_str()), format!("the weight is {weight}"))?;
            return is(read("cpu", &c.id, "cpu.max")?.as_str(), "30000 100000");
        }
        is(read("cpu", &c.id, "cpu.shares")?.as_str(), "300")?;
        is(read("cpu", &c.id, "cpu.cfs_quota_us")?.as_str(), "30000")
    }),
];

/// A bundle whose rules deny everything and then allow `access` to a block device of major 7.
fn allowing<'t>(t: &'t Case, minor: Option<u32>, access: &str) -> Verdict<Bundle<'t>> {
    layout::root()?;
    let mut rule = json!({ "allow": true, "type": "b", "major": 7, "access": access });
    if let Some(minor) = minor {
        rule["minor"] = json!(minor);
    }
    Ok(t.bundle()?.push("/linux/resources/devices", rule))
}

const OPEN: &str = "mknod /dev/x b 7 0 && dd if=/dev/x of=/dev/null bs=1 count=0 2>&1; echo rc $?";

/// The chapter's tests of device rules, by real opens and mknods.
pub(crate) const DEVICES: &[Test] = &[
    test("devices-denied", "spec, Allowed devices: what is denied can't be opened", |t| {
        layout::root()?;
        let said = t.bundle()?.says(OPEN)?;
        has(&said, "Operation not permitted")?;
        has(said, "rc 1")
    }),
    test("devices-allowed", "spec, Allowed devices: what is allowed can be opened", |t| {
        has(allowing(t, Some(0), "rwm")?.says(OPEN)?, "rc 0")
    }),
    test("devices-read-only", "spec, Allowed devices: access r allows no writing", |t| {
        let write = "dd if=/dev/null of=/dev/x count=0 2>&1; echo rc $?";
        let said = allowing(t, Some(0), "rm")?.says(&format!("{OPEN}; {write}"))?;
        has(&said, "rc 0")?;
        has(&said, "Operation not permitted")?;
        has(said, "rc 1")
    }),
    test("devices-wildcard-minor", "spec, Allowed devices: an unset minor means all", |t| {
        has(allowing(t, None, "rwm")?.says(OPEN)?, "rc 0")
    }),
    test("devices-other-minor", "a rule for one minor does not open another", |t| {
        has(allowing(t, Some(1), "rwm")?.says(OPEN)?, "Operation not permitted")
    }),
    test("devices-later-rule-wins", "spec, Allowed devices: the rules apply in order", |t| {
        let deny = json!({ "allow": false, "type": "b", "major": 7, "minor": 0, "access": "rw" });
        let b = allowing(t, Some(0), "rwm")?.push("/linux/resources/devices", deny);
        has(b.says(OPEN)?, "Operation not permitted")
    }),
    test(
        "devices-default-usable",
        "runc: the default devices are usable whatever is denied",
        |t| {
            let said = t.bundle()?.says(
            "echo x > /dev/null && head -c 2 /dev/zero | wc -c && head -c 2 /dev/urandom | wc -c",
        )?;
            is(said.as_str(), "2\n2")
        },
    ),
    test("devices-mknod-allowed", "runc: any device may be made, though not opened", |t| {
        layout::root()?;
        let said =
            t.bundle()?.says("mknod /dev/kmsg2 c 1 11 && echo made; cat /dev/kmsg2 2>&1; true")?;
        has(&said, "made")?;
        has(said, "Operation not permitted")
    }),
    test("devices-exec", "exec's processes have the same rules", |t| {
        layout::root()?;
        let c = t.bundle()?.sleeps().start()?;
        has(c.says(OPEN)?, "Operation not permitted")
    }),
];
