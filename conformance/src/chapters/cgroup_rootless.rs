//! Cgroups: those of an unprivileged user, without a delegation and with a delegated subtree of v2.

use std::fs;

use serde_json::{Value, json};

use super::rootless::{rootless, user};
use crate::bundle::Bundle;
use crate::call::Call;
use crate::case::Case;
use crate::layout::{self, TOP, path, read, unified};
use crate::table::{Test, test};
use crate::verdict::{Verdict, has, is, needs, that};

const UID: u32 = 4242;

/// A subtree of v2 that belongs to the user, with the user's own processes in `user`, below it.
struct Delegated<'t> {
    t: &'t Case,
    /// Its path from the top.
    top: String,
}

impl<'t> Delegated<'t> {
    fn new(t: &'t Case) -> Verdict<Self> {
        needs(unified(), "cgroup v2")?;
        layout::root()?;
        layout::paths()?;
        let top = format!("{}-delegated", t.id());
        let has = fs::read_to_string(path("", "", "cgroup.controllers"))?;
        let wanted = ["cpu", "memory", "pids"];
        for name in wanted {
            needs(
                has.split_whitespace().any(|other| other == name),
                &format!("controller {name}"),
            )?;
        }
        let enable = "+cpu +memory +pids";
        fs::write(path("", "", "cgroup.subtree_control"), enable)?;
        fs::create_dir(path("", &top, ""))?;
        let owner = UID.to_string();
        fs::write(path("", &top, "cgroup.subtree_control"), enable)?;
        fs::create_dir(path("", &top, "user"))?;
        for dir in [top.clone(), format!("{top}/user")] {
            for file in ["", "cgroup.procs", "cgroup.subtree_control", "cgroup.threads"] {
                t.host(["chown", &owner, &path("", &dir, file).to_string_lossy()])?;
            }
        }
        Ok(Self { t, top })
    }

    /// A bundle of the user's whose cgroup is in the subtree.
    fn bundle(&self) -> Verdict<Bundle<'t>> {
        let b = rootless(self.t, UID)?;
        let place = format!("/{}/{}", self.top, b.id);
        Ok(b.set("/linux/cgroupsPath", place))
    }

    /// The call, by the user, in the user's part of the subtree.
    fn by_user<'c>(&self, call: Call<'c>) -> Call<'c> {
        let script = format!(
            "echo $$ > {TOP}/{}/user/cgroup.procs; \
             exec setpriv --reuid {UID} --regid {UID} --clear-groups \"$@\"",
            self.top
        );
        call.through(["sh", "-c", &script, "sh"])
    }

    /// Runs the runtime with these arguments, which must succeed.
    #[track_caller]
    fn rt<'a>(&self, args: impl IntoIterator<Item = &'a str>) -> Verdict<String> {
        self.by_user(self.t.call(args)).ok()
    }

    /// Creates and starts the container.
    #[track_caller]
    fn start(&self, b: &Bundle<'t>) -> Verdict {
        self.by_user(b.call("create")?).ok()?;
        self.rt(["start", &b.id]).map(drop)
    }

    /// A file of the container's cgroup.
    #[track_caller]
    fn read(&self, b: &Bundle<'_>, file: &str) -> Verdict<String> {
        read("", &format!("{}/{}", self.top, b.id), file)
    }

    /// The container is deleted, as the user does it, and its cgroup is gone.
    #[track_caller]
    fn delete(&self, b: &Bundle<'_>) -> Verdict {
        self.rt(["delete", "--force", &b.id])?;
        that(!path("", &self.top, &b.id).exists(), "its cgroup is gone")
    }
}

impl Drop for Delegated<'_> {
    fn drop(&mut self) {
        // A user's runtime that has failed may have left a container.
        for entry in fs::read_dir(path("", &self.top, "")).into_iter().flatten().flatten() {
            if entry.path().is_dir() {
                let _ = fs::write(entry.path().join("cgroup.kill"), "1");
                let _ = self.t.until("an empty cgroup", || {
                    Ok(fs::remove_dir(entry.path()).is_ok() || !entry.path().exists())
                });
            }
        }
        let _ = fs::remove_dir(path("", &self.top, ""));
    }
}

/// Without a cgroup of its own, a limit must be refused by this word.
fn refused(t: &Case, pointer: &str, value: impl Into<Value>, word: &str) -> Verdict {
    let b = rootless(t, UID)?.set(&format!("/linux/resources/{pointer}"), value).sleeps();
    b.call("create")?.through(user(&UID.to_string())).output()?.refused(&[word])
}

/// The chapter's tests of an unprivileged user's cgroups.
pub(crate) const USERS: &[Test] = &[
    test("rootless-pids-refused", "without a delegation a limit of tasks is refused", |t| {
        refused(t, "pids/limit", 5, "pids")
    }),
    test("rootless-memory-refused", "without a delegation a limit of memory is refused", |t| {
        refused(t, "memory/limit", 64_000_000, "memory")
    }),
    test("rootless-cpu-refused", "without a delegation a quota of CPU time is refused", |t| {
        refused(t, "cpu/quota", 20_000, "cpu")
    }),
    test("rootless-update-refused", "nor can a limit be set by update", |t| {
        let b = rootless(t, UID)?.sleeps();
        let call = |args: &[&str]| t.call(args.iter().copied()).through(user("4242"));
        b.call("create")?.through(user("4242")).ok()?;
        call(&["update", "--pids-limit", "5", &b.id]).output()?.refused(&["pids"])?;
        call(&["delete", "--force", &b.id]).ok().map(drop)
    }),
    test("rootless-kill-all", "without a cgroup of its own kill --all reaches the init", |t| {
        let b = rootless(t, UID)?.sleeps();
        let call = |args: &[&str]| t.call(args.iter().copied()).through(user("4242"));
        b.call("create")?.through(user("4242")).ok()?;
        call(&["start", &b.id]).ok()?;
        call(&["kill", "--all", &b.id, "KILL"]).ok()?;
        t.until("its end", || Ok(call(&["state", &b.id]).ok()?.contains("\"stopped\"")))?;
        call(&["delete", &b.id]).ok().map(drop)
    }),
    test(
        "rootless-same-cgroup",
        "without a delegation the container is where its caller is",
        |t| {
            let b = rootless(t, UID)?.args(["/bin/cat", "/proc/self/cgroup"]);
            let own = fs::read_to_string("/proc/self/cgroup")?;
            let said = b.call("run")?.through(user("4242")).ok()?;
            is(said.as_str(), own.trim_end())
        },
    ),
    test("delegated-limits", "in a delegated subtree the limits are set", |t| {
        let d = Delegated::new(t)?;
        let b = d.bundle()?.set("/linux/resources/pids/limit", 15);
        let b = b.set("/linux/resources/memory/limit", 67_108_864);
        let b = b.set("/linux/resources/cpu/quota", 30_000).sleeps();
        d.start(&b)?;
        is(d.read(&b, "pids.max")?.as_str(), "15")?;
        is(d.read(&b, "memory.max")?.as_str(), "67108864")?;
        is(d.read(&b, "cpu.max")?.as_str(), "30000 100000")?;
        d.delete(&b)
    }),
    test("delegated-placement", "in a delegated subtree the container is in its cgroup", |t| {
        let d = Delegated::new(t)?;
        let b = d.bundle()?.args(["/bin/cat", "/proc/self/cgroup"]);
        let said = d.by_user(b.call("run")?).ok()?;
        is(said, format!("0::/{}/{}", d.top, b.id))
    }),
    test("delegated-holds", "in a delegated subtree the limit of tasks holds", |t| {
        let d = Delegated::new(t)?;
        let b = d.bundle()?.set("/linux/resources/pids/limit", 3);
        let b = b.sh("sleep 1 & sleep 1 & sleep 1 & sleep 1 & wait");
        let out = d.by_user(b.call("run")?).output()?;
        has(out.stderr, "fork")
    }),
    test("delegated-update", "in a delegated subtree update sets limits", |t| {
        let d = Delegated::new(t)?;
        let b = d.bundle()?.sleeps();
        d.start(&b)?;
        d.rt(["update", "--pids-limit", "16", "--memory", "96M", &b.id])?;
        is(d.read(&b, "pids.max")?.as_str(), "16")?;
        is(d.read(&b, "memory.max")?.as_str(), "100663296")?;
        d.delete(&b)
    }),
    test("delegated-exec", "exec's process is in the delegated cgroup of the container", |t| {
        let d = Delegated::new(t)?;
        let b = d.bundle()?.sleeps();
        d.start(&b)?;
        let said = d.rt(["exec", &b.id, "/bin/cat", "/proc/self/cgroup"])?;
        is(said, format!("0::/{}/{}", d.top, b.id))?;
        d.delete(&b)
    }),
    test("delegated-pause", "pause and resume work in a delegated subtree", |t| {
        let d = Delegated::new(t)?;
        let b = d.bundle()?.sleeps();
        d.start(&b)?;
        d.rt(["pause", &b.id])?;
        is(d.read(&b, "cgroup.freeze")?.as_str(), "1")?;
        let state: Value = serde_json::from_str(&d.rt(["state", &b.id])?)?;
        is(&state["status"], &json!("paused"))?;
        d.rt(["resume", &b.id])?;
        is(d.read(&b, "cgroup.freeze")?.as_str(), "0")?;
        d.delete(&b)
    }),
    test("delegated-events", "events of a container in a delegated subtree", |t| {
        let d = Delegated::new(t)?;
        let b = d.bundle()?.set("/linux/resources/pids/limit", 21).sleeps();
        d.start(&b)?;
        let event: Value = serde_json::from_str(&d.rt(["events", "--stats", &b.id])?)?;
        is(&event["data"]["pids"]["limit"], &json!(21))?;
        d.delete(&b)
    }),
    test("delegated-nothing-else", "outside of the subtree nothing was made", |t| {
        let d = Delegated::new(t)?;
        let b = d.bundle()?.set("/linux/cgroupsPath", "/elsewhere-of-the-user").sleeps();
        let out = d.by_user(b.call("create")?).output()?;
        out.refused(&["permission denied"])?;
        that(!path("", "elsewhere-of-the-user", "").exists(), "there is no such cgroup")
    }),
];
