//! Life cycle: delete, pause and resume.

use crate::table::{Test, test};
use crate::verdict::{is, that};
use std::fs;

/// More of the chapter's tests.
pub(crate) const TESTS: &[Test] = &[
    test("delete-missing", "spec, delete: an unknown id is an error; runc's sentence", |t| {
        t.rt(["delete", "nothing"])?.refused(&["container does not exist"])
    }),
    test("delete-force-missing", "runc: delete --force of nothing exits 0", |t| {
        t.rt(["delete", "--force", "nothing"])?.ok()?;
        t.rt(["delete", "nothing"])?.refused(&["does not exist"])
    }),
    test("delete-running", "runc: cannot delete container X that is not stopped: running", |t| {
        let c = t.bundle()?.sleeps().start()?;
        let sentence = format!("cannot delete container {} that is not stopped: running", c.id);
        c.rt("delete")?.refused(&[&sentence])?;
        c.is("running")
    }),
    test("delete-paused", "spec, delete: MUST generate an error if it is not stopped", |t| {
        let c = t.bundle()?.sleeps().start()?;
        c.rt("pause")?.ok()?;
        c.rt("delete")?.refused(&["that is not stopped: paused"])?;
        c.is("paused")
    }),
    test("delete-stopped", "spec, delete: MUST delete all that create has made", |t| {
        let c = t.bundle()?.start()?;
        c.becomes("stopped")?;
        c.delete()?;
        c.rt("state")?.refused(&["does not exist"])?;
        t.nothing_left()
    }),
    test("delete-created", "runc: delete of a created container kills its process", |t| {
        let c = t.bundle()?.sleeps().create()?;
        c.is("created")?;
        c.delete()?;
        t.nothing_left()?;
        c.rt("state")?.refused(&["does not exist"])
    }),
    test("delete-force-running", "runc: delete --force kills and deletes", |t| {
        let c = t.bundle()?.sleeps().start()?;
        c.is("running")?;
        c.call("delete").arg("--force").ok()?;
        t.nothing_left()?;
        c.rt("state")?.refused(&["does not exist"])
    }),
    test(
        "delete-force-paused",
        "runc: delete --force ends a paused container, without delay",
        |t| {
            let c = t.bundle()?.sleeps().start()?;
            c.rt("pause")?.ok()?;
            c.is("paused")?;
            let begun = std::time::Instant::now();
            c.call("delete").arg("--force").ok()?;
            that(begun.elapsed() < t.patience, "it takes no time")?;
            t.nothing_left()
        },
    ),
    test("delete-force-created", "runc: delete --force of a created container", |t| {
        let c = t.bundle()?.sleeps().create()?;
        c.is("created")?;
        t.rt(["delete", "--force", &c.id])?.ok()?;
        t.nothing_left()
    }),
    test("delete-force-twice", "containerd: delete --force comes again after each delete", |t| {
        let c = t.bundle()?.sleeps().create()?;
        c.is("created")?;
        for _ in 0..2 {
            t.rt(["delete", "--force", &c.id])?.ok()?;
        }
        t.nothing_left()
    }),
    test("state-of-a-stopped-init", "state waits for no process, however often it is asked", |t| {
        let c = t.bundle()?.sleeps().create()?;
        let init = nix::unistd::Pid::from_raw(c.pid()?);
        nix::sys::signal::kill(init, nix::sys::signal::Signal::SIGSTOP)?;
        for _ in 0..20 {
            c.is("created")?;
        }
        t.rt(["delete", "--force", &c.id])?.ok()?;
        t.nothing_left()
    }),
    test("delete-frees-the-id", "spec, delete: the id MAY be used by a later container", |t| {
        let b = t.bundle()?.sleeps();
        for _ in 0..2 {
            let c = b.create()?;
            c.is("created")?;
            c.delete()?;
        }
        Ok(())
    }),
    test(
        "delete-leaves-the-bundle",
        "delete removes what create made, nothing of the bundle",
        |t| {
            let b = t.bundle()?.sh("echo kept > /kept");
            let c = b.start()?;
            c.becomes("stopped")?;
            c.delete()?;
            is(fs::read_to_string(b.rootfs("kept"))?.as_str(), "kept\n")?;
            that(b.dir.join("config.json").exists(), "config.json is there")
        },
    ),
    test("delete-host-pid-leftovers", "delete ends what a host-pid container left", |t| {
        let c = t.bundle()?.share("pid").sh("sleep 99 & echo up").start()?;
        c.shows("up")?;
        c.becomes("stopped")?;
        c.call("delete").arg("--force").ok()?;
        t.nothing_left()
    }),
    test("pause-created-or-stopped", "pause needs a running container", |t| {
        let c = t.bundle()?.start()?;
        c.becomes("stopped")?;
        c.rt("pause")?.refused(&["container not running"])
    }),
    test("pause-missing", "runc: container does not exist", |t| {
        t.rt(["pause", "nothing"])?.refused(&["container does not exist"])
    }),
    test("resume-running", "runc: container not paused", |t| {
        let c = t.bundle()?.sleeps().start()?;
        c.rt("resume")?.refused(&["container not paused"])?;
        c.is("running")
    }),
    test("resume-missing", "runc: container does not exist", |t| {
        t.rt(["resume", "nothing"])?.refused(&["container does not exist"])
    }),
    test("config-read-once", "spec, create: later changes of config.json have no effect", |t| {
        let b = t.bundle()?.sh("echo first");
        let c = b.create()?;
        fs::write(b.dir.join("config.json"), "{}")?;
        c.start()?;
        c.shows("first")?;
        c.becomes("stopped")
    }),
];
