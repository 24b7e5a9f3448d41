//! Device rules: what a container may open and make, and what `update` changes in that.

use std::fs;

use nix::sys::stat::{Mode, SFlag, makedev, mknod};
use serde_json::{Value, json};

use crate::bundle::Bundle;
use crate::case::Case;
use crate::container::Container;
use crate::layout::{self, path, read, unified};
use crate::table::{Test, test};
use crate::verdict::{Verdict, has, is, needs};

/// Devices to try: no driver is needed, since a refusal comes before the driver is asked. The last
/// but one has no driver.
const NODES: &[(&str, &str, u64, u64)] = &[
    ("null", "c", 1, 3),
    ("zero", "c", 1, 5),
    ("full", "c", 1, 7),
    ("random", "c", 1, 8),
    ("urandom", "c", 1, 9),
    ("tty", "c", 5, 0),
    ("tun", "c", 10, 200),
    ("fuse", "c", 10, 229),
    ("spare", "c", 10, 250),
    ("loop0", "b", 7, 0),
];

/// What may be done with `$1`, of kind `$2` and numbers `$3`, `$4`: open it to read, to write, for
/// both, make a node of it. Only "not permitted" means that it may not.
const TRY: &str = "
    may() { case $(eval \"$2\" 2>&1) in *'not permitted'*) printf -- -;; *) printf $1;; esac; }
    try() {
        printf \"$1 \"
        may r 'true < /nodes/'$1; may w 'true >> /nodes/'$1; may b 'true <> /nodes/'$1
        may m \"mknod /tmp/$1 $2 $3 $4\"; rm -f /tmp/$1; echo
    }";

/// A bundle with these rules and nodes of all devices that are tried.
///
/// For root: an ordinary user can't make nodes, and has no say about devices.
fn rules<'t>(t: &'t Case, rules: Value) -> Verdict<Bundle<'t>> {
    layout::root()?;
    let b = t.bundle()?.set("/linux/resources/devices", rules);
    fs::create_dir(b.rootfs("nodes"))?;
    for (name, kind, major, minor) in NODES {
        let kind = if *kind == "b" { SFlag::S_IFBLK } else { SFlag::S_IFCHR };
        let all = Mode::from_bits_truncate(0o666);
        mknod(&b.rootfs("nodes").join(name), kind, all, makedev(*major, *minor))?;
    }
    Ok(b)
}

/// The script that tries these devices.
fn script(names: &[&str]) -> String {
    let mut script = TRY.to_owned();
    for (name, kind, major, minor) in NODES.iter().filter(|node| names.contains(&node.0)) {
        script.push_str(&format!("\n try {name} {kind} {major} {minor}"));
    }
    script
}

/// What the rules allow: for each device, in the order of [`NODES`], `rwbm` or a dash for each.
#[track_caller]
fn allow(t: &Case, list: Value, wanted: &[(&str, &str)]) -> Verdict {
    let names: Vec<&str> = wanted.iter().map(|(name, _)| *name).collect();
    let said = rules(t, list)?.says(&script(&names))?;
    is(said, lines(wanted))
}

/// The same of a container that runs.
#[track_caller]
fn allows(c: &Container<'_>, wanted: &[(&str, &str)]) -> Verdict {
    let names: Vec<&str> = wanted.iter().map(|(name, _)| *name).collect();
    is(c.says(&script(&names))?, lines(wanted))
}

fn lines(wanted: &[(&str, &str)]) -> String {
    let lines: Vec<String> =
        wanted.iter().map(|(name, access)| format!("{name} {access}")).collect();
    lines.join("\n")
}

fn update<'t>(c: &Container<'t>, resources: &Value) -> Verdict<crate::call::Output> {
    c.case.call(["update", "--resources", "-", &c.id]).stdin(resources.to_string())?.output()
}

fn none() -> Value {
    json!({ "allow": false, "access": "rwm" })
}

fn rule(allow: bool, kind: &str, major: u64, minor: u64, access: &str) -> Value {
    json!({ "allow": allow, "type": kind, "major": major, "minor": minor, "access": access })
}

fn fuse(allow: bool) -> Value {
    rule(allow, "c", 10, 229, "rwm")
}

const ALL: &str = "rwbm";
/// Making nodes is always allowed: by itself it is harmless.
const MAKE: &str = "---m";

/// The chapter's tests of rules.
pub(crate) const RULES: &[Test] = &[
    test("rules-none", "runc: without rules, the default devices and no other", |t| {
        let mut all: Vec<(&str, &str)> = NODES.iter().map(|node| (node.0, ALL)).collect();
        all[7..].iter_mut().for_each(|(_, access)| *access = MAKE);
        allow(t, json!([]), &all)?;
        allow(t, json!([none()]), &all)
    }),
    test("rules-of-a-user", "runc: a user's rules are passed over, and hinder nothing", |t| {
        needs(layout::rootless(), "an ordinary user")?;
        let b = t.bundle()?.set("/linux/resources/devices", json!([none(), fuse(false)]));
        is(b.says("head -c 3 /dev/zero | wc -c")?.as_str(), "3")
    }),
    test("rules-access", "spec, Allowed Device list: access is composed of r, w and m", |t| {
        let list = json!([none(), rule(true, "b", 7, 0, "r"), rule(true, "c", 10, 229, "w")]);
        allow(t, list, &[("fuse", "-w-m"), ("spare", MAKE), ("loop0", "r--m")])
    }),
    test("rules-other-letters", "runc: other letters of access mean nothing", |t| {
        allow(t, json!([none(), rule(true, "c", 10, 229, "rwa")]), &[("fuse", ALL)])?;
        let less = rule(false, "c", 10, 229, "wa");
        allow(t, json!([none(), fuse(true), less]), &[("fuse", "r--m")])
    }),
    test("rules-wildcard", "spec, Allowed Device list: without minor, any minor", |t| {
        let rule = json!({ "allow": true, "type": "c", "major": 10, "access": "rw" });
        allow(t, json!([none(), rule]), &[("fuse", ALL), ("spare", ALL), ("loop0", MAKE)])
    }),
    test("rules-minus-one", "runc: -1 is any number", |t| {
        let rule = json!({ "allow": true, "type": "b", "major": -1, "minor": 0, "access": "r" });
        allow(t, json!([none(), rule]), &[("fuse", MAKE), ("loop0", "r--m")])
    }),
    test("rules-order", "spec, Allowed Device list: the runtime applies entries in order", |t| {
        let less = rule(false, "c", 10, 229, "w");
        let list = json!([none(), fuse(true), less, rule(false, "c", 10, 250, "rwm")]);
        allow(t, list, &[("fuse", "r--m"), ("spare", MAKE)])?;
        let again = json!([none(), fuse(true), fuse(false), rule(true, "c", 10, 229, "r")]);
        allow(t, again, &[("fuse", "r--m")])
    }),
    test("rules-add-up", "what one rule allows to read and another to write opens for both", |t| {
        let any = json!({ "allow": true, "type": "c", "major": 10, "access": "w" });
        let list = json!([none(), rule(true, "c", 10, 229, "r"), any]);
        allow(t, list, &[("fuse", ALL), ("spare", "-w-m")])
    }),
    test("rules-everything", "runc: a rule for all devices allows all", |t| {
        let all: Vec<(&str, &str)> = NODES.iter().map(|node| (node.0, ALL)).collect();
        allow(t, json!([{ "allow": true, "access": "rwm" }]), &all)?;
        allow(t, json!([none(), { "allow": true, "type": "a", "access": "rwm" }]), &all)
    }),
    test("rules-all-but-some", "all devices but some", |t| {
        let all = json!({ "allow": true, "access": "rwm" });
        let list = json!([all, rule(false, "b", 7, 0, "w"), rule(false, "c", 10, 229, "rw")]);
        allow(t, list, &[("null", ALL), ("fuse", MAKE), ("spare", ALL), ("loop0", "r--m")])
    }),
    test("rules-docker", "Docker denies fuse in every container, which leaves making it", |t| {
        let list = json!([none(), rule(true, "c", 1, 3, "rwm"), fuse(false)]);
        allow(t, list, &[("null", ALL), ("zero", ALL), ("fuse", MAKE)])
    }),
    test("rules-deny-default", "the user's rules decide about default devices", |t| {
        let list = json!([none(), rule(false, "c", 10, 200, "rw")]);
        allow(t, list, &[("null", ALL), ("tun", MAKE)])
    }),
    test("rules-no-making", "making nodes can be denied for all devices of a kind", |t| {
        let b = json!({ "allow": false, "type": "b", "access": "m" });
        allow(t, json!([none(), b]), &[("null", ALL), ("fuse", MAKE), ("loop0", "----")])
    }),
    test("rules-hole", "part of what a wildcard allows is denied, or the rule is refused", |t| {
        let any = json!({ "allow": true, "type": "c", "major": 10, "access": "rwm" });
        let list = json!([none(), any, rule(false, "c", 10, 229, "w")]);
        if unified() {
            return allow(t, list, &[("fuse", "r--m"), ("spare", ALL)]);
        }
        rules(t, list)?.refused(&["229"])
    }),
    test("rules-not-for-fifos", "FIFOs and files are no devices", |t| {
        let list = json!([none(), { "allow": false, "type": "c", "access": "m" }]);
        let b = rules(t, list)?;
        is(b.says("mknod /tmp/p p && true <> /tmp/p && echo x > /tmp/f && cat /tmp/f")?, "x")
    }),
    test("rules-no-access", "runc: a rule must name its access", |t| {
        let rule = json!({ "allow": true, "type": "c", "major": 10, "minor": 229 });
        t.bundle()?.raw("/linux/resources/devices", json!([none(), rule])).refused(&["access"])
    }),
    test("rules-bad-type", "a rule is for type a, b or c", |t| {
        let bad = rule(true, "p", 10, 229, "r");
        t.bundle()?.raw("/linux/resources/devices", json!([bad])).refused(&["p"])
    }),
];

/// The chapter's tests of `update`.
pub(crate) const UPDATES: &[Test] = &[
    test("update-allows", "a device is allowed while the container runs", |t| {
        let c = rules(t, json!([none(), rule(true, "b", 7, 0, "r")]))?.sleeps().start()?;
        allows(&c, &[("null", ALL), ("fuse", MAKE), ("loop0", "r--m")])?;
        update(&c, &json!({ "devices": [fuse(true)] }))?.ok()?;
        // What was allowed before still is.
        allows(&c, &[("null", ALL), ("fuse", ALL), ("loop0", "r--m")])
    }),
    test("update-denies", "a device is denied while the container runs", |t| {
        let c = rules(t, json!([none(), fuse(true)]))?.sleeps().start()?;
        allows(&c, &[("fuse", ALL)])?;
        update(&c, &json!({ "devices": [rule(false, "c", 10, 229, "w")] }))?.ok()?;
        allows(&c, &[("fuse", "r--m")])?;
        update(&c, &json!({ "devices": [fuse(false)] }))?.ok()?;
        allows(&c, &[("null", ALL), ("fuse", MAKE)])
    }),
    test("update-keeps-descriptors", "what is open stays open when it is denied", |t| {
        let script = "exec 3< /dev/zero; echo ready
            while [ ! -e /go ]; do sleep 0.05; done
            head -c 3 <&3 | wc -c; true < /dev/zero; exec sleep 100";
        let b = rules(t, json!([none()]))?;
        let go = b.rootfs("go");
        let c = b.sh(&format!("( {script} ) 2>&1")).start()?;
        c.shows("ready")?;
        update(&c, &json!({ "devices": [rule(false, "c", 1, 5, "rw")] }))?.ok()?;
        fs::write(go, "")?;
        c.shows("not permitted")?;
        has(c.printed()?, "3\n")
    }),
    test("update-whole-list", "a list that begins with all devices replaces the rules", |t| {
        let c = rules(t, json!([none(), fuse(true)]))?.sleeps().start()?;
        let list = json!([none(), rule(true, "b", 7, 0, "rw")]);
        update(&c, &json!({ "devices": list }))?.ok()?;
        allows(&c, &[("null", ALL), ("fuse", MAKE), ("loop0", ALL)])
    }),
    test("update-without-devices", "runc: an update without rules leaves them", |t| {
        let c = rules(t, json!([none(), fuse(true)]))?.sleeps().start()?;
        update(&c, &json!({ "pids": { "limit": 20 } }))?.ok()?;
        update(&c, &json!({ "devices": [], "pids": { "limit": 21 } }))?.ok()?;
        allows(&c, &[("null", ALL), ("fuse", ALL), ("loop0", MAKE)])
    }),
    test("update-same-devices", "containerd, podman: the same rules again change nothing", |t| {
        needs(!unified(), "cgroup v1, to change the rules from outside")?;
        let list = json!([none(), rule(true, "b", 7, 0, "r")]);
        let c = rules(t, list.clone())?.sleeps().start()?;
        // As plugins do it.
        fs::write(path("devices", &c.id, "devices.allow"), "c 10:229 rwm")?;
        update(&c, &json!({ "devices": list, "pids": { "limit": 20 } }))?.ok()?;
        allows(&c, &[("fuse", ALL), ("loop0", "r--m")])?;
        is(read("pids", &c.id, "pids.max")?.as_str(), "20")
    }),
    test("update-own-nodes", "a device that the container was given stays, unless named", |t| {
        let b = rules(t, json!([none(), fuse(true)]))?;
        let node = json!({ "path": "/dev/fuse", "type": "c", "major": 10, "minor": 229 });
        let c = b.push("/linux/devices", node).sleeps().start()?;
        let list = json!([none(), rule(true, "b", 7, 0, "rw")]);
        update(&c, &json!({ "devices": list }))?.ok()?;
        allows(&c, &[("fuse", ALL), ("loop0", ALL)])?;
        update(&c, &json!({ "devices": [none(), fuse(false)] }))?.ok()?;
        allows(&c, &[("fuse", MAKE), ("loop0", MAKE)])
    }),
    test("update-with-limits", "rules and limits in one update", |t| {
        let c = rules(t, json!([none()]))?.sleeps().start()?;
        update(&c, &json!({ "devices": [fuse(true)], "pids": { "limit": 23 } }))?.ok()?;
        is(read("pids", &c.id, "pids.max")?.as_str(), "23")?;
        allows(&c, &[("fuse", ALL)])
    }),
    test("update-fails-for-limits", "an update that fails leaves the rules", |t| {
        let c = rules(t, json!([none()]))?.sleeps().start()?;
        let bad = json!({ "devices": [fuse(true)], "cpu": { "cpus": "9999" } });
        update(&c, &bad)?.refused(&["cpuset"])?;
        allows(&c, &[("null", ALL), ("fuse", MAKE)])
    }),
    test("update-fails-for-devices", "rules that can't be set leave rules and limits", |t| {
        needs(!unified(), "cgroup v1, where a cgroup below hinders")?;
        let c = rules(t, json!([none(), fuse(true)]))?;
        let c = c.set("/linux/resources/pids/limit", 40).sleeps().start()?;
        let below = path("devices", &c.id, "below");
        fs::create_dir(&below)?;
        // To allow by default is refused for a cgroup that has others below.
        let all = json!({ "allow": true, "access": "rwm" });
        let failed = update(&c, &json!({ "devices": [all], "pids": { "limit": 20 } }));
        fs::remove_dir(below)?;
        failed?.refused(&["devices.allow"])?;
        is(read("pids", &c.id, "pids.max")?.as_str(), "40")?;
        c.is("running")?;
        allows(&c, &[("null", ALL), ("fuse", ALL), ("loop0", MAKE)])
    }),
    test("update-bad-rule", "an update with a rule that makes no sense is refused", |t| {
        let c = rules(t, json!([none()]))?.sleeps().start()?;
        let bad = json!({ "devices": [rule(true, "c", 10, 229, "rx")], "pids": { "limit": 20 } });
        update(&c, &bad)?.refused(&["/devices/0/access"])?;
        allows(&c, &[("fuse", MAKE)])
    }),
    test("update-everything", "from some devices to all, and back", |t| {
        let c = rules(t, json!([none()]))?.sleeps().start()?;
        update(&c, &json!({ "devices": [{ "allow": true, "access": "rwm" }] }))?.ok()?;
        c.is("running")?;
        allows(&c, &[("null", ALL), ("spare", ALL), ("loop0", ALL)])?;
        update(&c, &json!({ "devices": [rule(false, "b", 7, 0, "rw")] }))?.ok()?;
        allows(&c, &[("null", ALL), ("spare", ALL), ("loop0", MAKE)])?;
        update(&c, &json!({ "devices": [none(), fuse(true)] }))?.ok()?;
        c.is("running")?;
        allows(&c, &[("null", ALL), ("fuse", ALL), ("spare", MAKE), ("loop0", MAKE)])
    }),
    test("update-paused", "a container that is paused stays so", |t| {
        let c = rules(t, json!([none()]))?.sleeps().start()?;
        c.rt("pause")?.ok()?;
        update(&c, &json!({ "devices": [{ "allow": true, "access": "rwm" }] }))?.ok()?;
        c.is("paused")?;
        c.rt("resume")?.ok()?;
        allows(&c, &[("loop0", ALL)])
    }),
    test("update-without-a-gap", "while rules change, what they agree on is never denied", |t| {
        let script = "while [ ! -e /stop ]; do true < /dev/zero || exit 1; n=$((n + 1)); done 2>&1
            echo stopped; exec sleep 100";
        let b = rules(t, json!([none()]))?;
        let stop = b.rootfs("stop");
        let c = b.sh(script).start()?;
        for on in [true, false].repeat(10) {
            let whole = json!([none(), rule(true, "b", 7, 0, if on { "rw" } else { "r" })]);
            update(&c, &json!({ "devices": whole }))?.ok()?;
            update(&c, &json!({ "devices": [fuse(on)] }))?.ok()?;
        }
        allows(&c, &[("fuse", MAKE), ("loop0", "r--m")])?;
        fs::write(stop, "")?;
        c.shows("stopped")?;
        is(c.printed()?.as_str(), "stopped")
    }),
    test("update-many-times", "an update leaves no program behind", |t| {
        needs(unified(), "cgroup v2")?;
        let c = rules(t, json!([none()]))?.sleeps().start()?;
        // A cgroup takes 64 programs.
        for on in [true, false].repeat(35) {
            update(&c, &json!({ "devices": [fuse(on)] }))?.ok()?;
        }
        allows(&c, &[("fuse", MAKE)])
    }),
];
