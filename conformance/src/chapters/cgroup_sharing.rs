//! Cgroups: those that exist, those that several containers are in, and the ways in.

use std::fs;
use std::path::PathBuf;

use super::cgroups::controller;
use crate::bundle::Bundle;
use crate::case::Case;
use crate::layout::{self, either, hierarchies, path, read, unified};
use crate::leftover;
use crate::table::{Test, test};
use crate::verdict::{Verdict, has, is, needs, that};

/// Makes a cgroup in every hierarchy; a v1 cpuset gets what its parent has.
fn make(cgroup: &str) -> Verdict<Vec<PathBuf>> {
    layout::paths()?;
    layout::root()?;
    let mut made = Vec::new();
    for name in hierarchies()? {
        let dir = path(&name, cgroup, "");
        if !path(&name, "", "cgroup.procs").exists() || dir.exists() {
            continue;
        }
        fs::create_dir(&dir)?;
        for mask in ["cpuset.cpus", "cpuset.mems"] {
            if !unified() && name == "cpuset" {
                fs::write(dir.join(mask), fs::read(path(&name, "", mask))?)?;
            }
        }
        made.push(dir);
    }
    Ok(made)
}

/// Removes what `make` made, once it is empty.
fn unmake(dirs: &[PathBuf]) {
    for dir in dirs {
        let _ = fs::remove_dir(dir);
    }
}

/// A bundle whose cgroup is this one.
fn at<'t>(t: &'t Case, cgroup: &str) -> Verdict<Bundle<'t>> {
    layout::paths()?;
    layout::root()?;
    Ok(t.bundle()?.set("/linux/cgroupsPath", format!("/{cgroup}")))
}

/// The places in a text of `/proc/PID/cgroup`, of the hierarchies that the containers are in.
fn places(text: &str) -> Vec<&str> {
    let of = |line: &'_ &str| !line.is_empty() && (unified() || !line.starts_with("0:"));
    text.lines().filter(of).filter_map(|line| line.splitn(3, ':').nth(2)).collect()
}

/// The chapter's tests of cgroups that are shared or were there before.
pub(crate) const SHARING: &[Test] = &[
    test("existing-empty", "an empty cgroup that exists is used, and removed with it", |t| {
        let name = format!("{}-made", t.id());
        let made = make(&name)?;
        let c = at(t, &name)?.set("/linux/resources/pids/limit", 13).sleeps().start()?;
        is(read("pids", &name, "pids.max")?.as_str(), "13")?;
        is(read("pids", &name, "cgroup.procs")?, c.pid()?.to_string())?;
        t.rt(["delete", "--force", &c.id])?.ok()?;
        that(!path("pids", &name, "").exists(), "the cgroup is gone")?;
        unmake(&made);
        Ok(())
    }),
    test("existing-occupied", "runc 1.2: a cgroup with a process in it is refused", |t| {
        let name = format!("{}-made", t.id());
        let made = make(&name)?;
        let other = t.keep(["sleep", "100"])?;
        for dir in &made {
            fs::write(dir.join("cgroup.procs"), other.pid().to_string())?;
        }
        let out = at(t, &name)?.sleeps().try_create()?;
        let still = read("pids", &name, "cgroup.procs")?;
        let alive = fs::exists(format!("/proc/{}/exe", other.pid()))?;
        let wanted = other.pid().to_string();
        drop(other);
        unmake(&made);
        out.refused(&["not empty"])?;
        that(alive, "the other process lives")?;
        is(still, wanted)
    }),
    test("existing-frozen", "runc: a frozen cgroup is refused, it would hang", |t| {
        layout::has("freezer")?;
        let name = format!("{}-made", t.id());
        let made = make(&name)?;
        let (file, on, off) =
            either(("freezer.state", "FROZEN", "THAWED"), ("cgroup.freeze", "1", "0"));
        fs::write(path("freezer", &name, file), on)?;
        let out = at(t, &name)?.sleeps().try_create()?;
        if fs::exists(path("freezer", &name, ""))? {
            fs::write(path("freezer", &name, file), off)?;
        }
        unmake(&made);
        out.refused(&["frozen"])
    }),
    test("siblings-keep-their-limits", "two containers in one parent have each its own", |t| {
        let outer = format!("{}-outer", t.id());
        let (first, second) = (format!("{outer}/one"), format!("{outer}/two"));
        let one = at(t, &first)?.set("/linux/resources/pids/limit", 11).sleeps().start()?;
        let two = at(t, &second)?.set("/linux/resources/pids/limit", 12).sleeps().start()?;
        t.rt(["update", "--pids-limit", "14", &two.id])?.ok()?;
        is(read("pids", &first, "pids.max")?.as_str(), "11")?;
        is(read("pids", &second, "pids.max")?.as_str(), "14")?;
        is(read("pids", &outer, "pids.max")?.as_str(), "max")?;
        t.rt(["delete", "--force", &one.id])?.ok()?;
        that(!path("pids", &first, "").exists(), "the one's cgroup is gone")?;
        is(read("pids", &second, "pids.max")?.as_str(), "14")?;
        two.is("running")?;
        t.rt(["delete", "--force", &two.id])?.ok()?;
        hierarchies()?.iter().for_each(|name| drop(fs::remove_dir(path(name, &outer, ""))));
        Ok(())
    }),
    test("parent-keeps-its-limits", "limits of a parent that exists are left as they are", |t| {
        let outer = format!("{}-outer", t.id());
        let made = make(&outer)?;
        if unified() {
            let top = path("pids", "", "cgroup.subtree_control");
            fs::write(top, "+pids")?;
        }
        fs::write(path("pids", &outer, "pids.max"), "30")?;
        let b = at(t, &format!("{outer}/inner"))?.set("/linux/resources/pids/limit", 12);
        let c = b.sleeps().start()?;
        is(read("pids", &format!("{outer}/inner"), "pids.max")?.as_str(), "12")?;
        t.rt(["delete", "--force", &c.id])?.ok()?;
        let left = read("pids", &outer, "pids.max")?;
        unmake(&made);
        is(left.as_str(), "30")
    }),
    test(
        "path-without-slash",
        "a relative cgroupsPath is below the caller's cgroup or the top",
        |t| {
            layout::paths()?;
            layout::root()?;
            let b = t.bundle()?;
            let id = b.id.clone();
            let c = b.set("/linux/cgroupsPath", format!("{id}-rel/leaf")).sleeps().start()?;
            let text = c.proc("cgroup")?;
            for place in places(&text) {
                that(place.ends_with(&format!("/{id}-rel/leaf")), format!("{place} ends with it"))?;
            }
            t.rt(["delete", "--force", &c.id])?.ok()?;
            for dir in leftover::cgroups(&format!("{id}-rel")) {
                let _ = fs::remove_dir(dir);
            }
            Ok(())
        },
    ),
    test("remade-by-another", "a cgroup that another made anew is left alone by delete", |t| {
        layout::paths()?;
        layout::root()?;
        let c = t.bundle()?.share("pid").create()?;
        c.kill("KILL")?;
        c.becomes("stopped")?;
        for dir in leftover::cgroups(&c.id) {
            t.until("an empty cgroup", || Ok(fs::remove_dir(&dir).is_ok()))?;
        }
        let made = make(&c.id)?;
        let other = t.keep(["sleep", "100"])?;
        for dir in &made {
            fs::write(dir.join("cgroup.procs"), other.pid().to_string())?;
        }
        let deleted = t.rt(["delete", "--force", &c.id])?;
        let still = read("pids", &c.id, "cgroup.procs")?;
        let wanted = other.pid().to_string();
        drop(other);
        unmake(&made);
        deleted.ok()?;
        is(still, wanted)
    }),
    test("failed-create-leaves-parent", "a refused create removes what it made, no more", |t| {
        controller("cpuset")?;
        let outer = format!("{}-outer", t.id());
        let made = make(&outer)?;
        let b = at(t, &format!("{outer}/inner"))?.set("/linux/resources/cpu/cpus", "4000");
        let out = b.try_create()?;
        let (inner, there) =
            (path("pids", &outer, "inner").exists(), path("pids", &outer, "").exists());
        unmake(&made);
        out.refused(&["cpuset.cpus"])?;
        that(!inner && there, "the parent is left, the child is gone")
    }),
];

/// The chapter's tests of getting in.
pub(crate) const WAYS_IN: &[Test] = &[
    test("own-view-at-start", "the program's first look finds it in all its cgroups", |t| {
        let b = t.bundle()?.args(["/bin/cat", "/proc/self/cgroup"]);
        let id = b.id.clone();
        let text = b.prints()?;
        let places = places(&text);
        that(!places.is_empty(), "there are cgroups")?;
        let wanted = layout::of(&id);
        for place in places {
            that(place.ends_with(&wanted), format!("{place} ends with {wanted}"))?;
        }
        Ok(())
    }),
    test("hooks-see-all-cgroups", "before the first hook it is in every hierarchy", |t| {
        let file = t.path("seen");
        let b = t.bundle()?.sleeps();
        let script = format!(
            "cat /proc/$(sed 's/.*\"pid\": *\\([0-9]*\\).*/\\1/')/cgroup > {}",
            file.display()
        );
        let c = b.hook("createRuntime", &script).create()?;
        is(fs::read_to_string(file)?, c.proc("cgroup")?)?;
        has(c.proc("cgroup")?, &c.id)
    }),
    test("limits-before-hooks", "the limits are there before the first hook", |t| {
        let file = t.path("seen");
        let b = t.bundle()?.set("/linux/resources/pids/limit", 18).sleeps();
        let max = path("pids", &b.id, "pids.max");
        let script = format!("cat {} > {}", max.display(), file.display());
        b.hook("createRuntime", &script).create()?;
        is(fs::read_to_string(file)?.trim(), "18")
    }),
    test("exec-in-every-hierarchy", "exec's process, seen from outside, is where init is", |t| {
        let c = t.bundle()?.sleeps().start()?;
        let file = t.path("pid");
        let flags = ["--detach", "--pid-file", &file.to_string_lossy()];
        c.exec(flags, ["/bin/sleep", "100"]).ok()?;
        let pid = fs::read_to_string(file)?;
        is(fs::read_to_string(format!("/proc/{}/cgroup", pid.trim()))?, c.proc("cgroup")?)
    }),
    test("exec-cgroup-missing", "exec --cgroup of one that is not there is refused by name", |t| {
        let c = t.bundle()?.sleeps().start()?;
        let flag = either("pids:nowhere", "nowhere");
        let out = c.exec(["--cgroup", flag], ["/bin/true"]).output()?;
        out.refused(&["nowhere", " cgroup", "no such file or directory"])
    }),
    test("exec-cgroup-climbs", "exec --cgroup stays below the container's cgroup", |t| {
        let c = t.bundle()?.sleeps().start()?;
        let flag = either("pids:../..", "../..");
        let out = c.exec(["--cgroup", flag], ["/bin/true"]).output()?;
        out.refused(&["bad sub cgroup path|is not a sub cgroup path"])
    }),
    test("exec-cgroup-unknown", "v1: exec --cgroup of a controller that is not there", |t| {
        needs(!unified(), "cgroup v1")?;
        let c = t.bundle()?.sleeps().start()?;
        c.exec(["--cgroup", "what:/"], ["/bin/true"]).output()?.refused(&["unknown controller"])
    }),
    test("exec-cgroup-several", "v1: exec --cgroup CONTROLLER,CONTROLLER:PATH", |t| {
        needs(!unified(), "cgroup v1")?;
        let c = t.bundle()?.sleeps().start()?;
        fs::create_dir(path("pids", &c.id, "sub"))?;
        fs::create_dir(path("freezer", &c.id, "sub"))?;
        let flags = ["--cgroup", "pids,freezer:sub"];
        let out = c.exec(flags, ["/bin/cat", "/proc/self/cgroup"]).ok()?;
        for name in ["pids", "freezer"] {
            let line = layout::line(&out, name).unwrap_or_default();
            that(line.ends_with(&layout::of(&format!("{}/sub", c.id))), line)?;
        }
        Ok(())
    }),
    test("exec-cgroup-others-stay", "v1: the other hierarchies stay the container's", |t| {
        needs(!unified(), "cgroup v1")?;
        let c = t.bundle()?.sleeps().start()?;
        fs::create_dir(path("pids", &c.id, "sub"))?;
        let out = c.exec(["--cgroup", "pids:sub"], ["/bin/cat", "/proc/self/cgroup"]).ok()?;
        let line = layout::line(&out, "pids").unwrap_or_default();
        that(line.ends_with(&layout::of(&format!("{}/sub", c.id))), line)?;
        let line = layout::line(&out, "memory").unwrap_or_default();
        that(line.ends_with(&layout::of(&c.id)), line)
    }),
    test("exec-limits-below", "a limit of a cgroup below holds for what exec puts there", |t| {
        let c = t.bundle()?.sleeps().start()?;
        let below = format!("{}/sub", c.id);
        fs::create_dir(path("pids", &below, ""))?;
        let flag = either("pids:sub", "sub");
        let file = t.path("pid");
        let flags = ["--detach", "--cgroup", flag, "--pid-file", &file.to_string_lossy()];
        c.exec(flags, ["/bin/sleep", "100"]).ok()?;
        is(read("pids", &below, "cgroup.procs")?.as_str(), fs::read_to_string(file)?.trim())?;
        if !unified() {
            // Room for a runtime's own threads, and not for all these.
            fs::write(path("pids", &below, "pids.max"), "20")?;
            let forks = "for i in $(seq 40); do sleep 100 >/dev/null 2>&1 & done";
            c.exec(["--cgroup", flag], ["/bin/sh", "-c", forks]).output()?.refused(&["fork"])?;
        }
        Ok(())
    }),
    test("namespace-exec", "exec sees the cgroup namespace of the container", |t| {
        let c = t.bundle()?.unshare("cgroup").sleeps().start()?;
        let said = c.says("cut -d: -f3 /proc/self/cgroup | sort -u")?;
        is(said.as_str(), "/")
    }),
    test("namespace-init-seen-outside", "from outside such a container is where it is put", |t| {
        let c = t.bundle()?.unshare("cgroup").sleeps().start()?;
        let text = c.proc("cgroup")?;
        let line = layout::line(&text, "pids").unwrap_or_default();
        has(line, &c.id)
    }),
];
