//! Cgroups: `events` as a stream, and its events of memory that has run out.

use std::fs;

use serde_json::{Value, json};

use super::cgroup_stats::number;
use super::cgroups::{MB, controller};
use crate::call::Running;
use crate::case::Case;
use crate::container::Container;
use crate::layout::{either, read};
use crate::table::{Test, test};
use crate::verdict::{Verdict, has, is, that};

/// A container that takes more memory than it may have, in a process beside its first, as soon as
/// there is a file.
fn greedy(t: &Case) -> Verdict<Container<'_>> {
    let b = t.bundle()?.set("/linux/resources/memory/limit", 24 * MB);
    let b = b.set("/linux/resources/memory/swap", 24 * MB);
    let script = "until [ -e /go ]; do sleep 0.02; done; \
                  dd if=/dev/zero of=/dev/null bs=64M count=1; echo over; sleep 100";
    b.sh(script).start()
}

/// The lines of a stream so far, each an object.
fn lines(file: &std::path::Path) -> Verdict<Vec<Value>> {
    let text = fs::read_to_string(file)?;
    let whole = text.split_inclusive('\n').filter(|line| line.ends_with('\n'));
    Ok(whole.map(serde_json::from_str).collect::<Result<_, _>>()?)
}

/// Ends the container, and with it the stream.
#[track_caller]
fn end(c: &Container<'_>, stream: Running<'_>) -> Verdict {
    c.kill("KILL")?;
    c.becomes("stopped")?;
    c.delete()?;
    stream.wait()?.ok().map(drop)
}

/// The chapter's tests of the stream.
pub(crate) const STREAM: &[Test] = &[
    test("events-interval", "runc: a line an interval, until the container is gone", |t| {
        let c = t.bundle()?.sleeps().start()?;
        let stream = c.call("events").args(["--interval", "50ms"]).spawn()?;
        let file = stream.stdout.clone();
        t.until("three lines", || Ok(lines(&file)?.len() >= 3))?;
        for line in lines(&file)? {
            is(&line["type"], &json!("stats"))?;
            is(&line["id"], &json!(c.id))?;
            number(&line, "/data/pids/current")?;
        }
        end(&c, stream)
    }),
    test("events-end", "the stream ends with the container, also before it is deleted", |t| {
        let c = t.bundle()?.sleeps().start()?;
        let mut stream = c.call("events").args(["--interval", "50ms"]).spawn()?;
        let file = stream.stdout.clone();
        t.until("the first line", || Ok(!lines(&file)?.is_empty()))?;
        c.kill("KILL")?;
        c.becomes("stopped")?;
        t.until("the end", || stream.ended())?;
        stream.wait()?.ok().map(drop)
    }),
    test("events-interval-bad", "runc: an interval must be a time, and more than none", |t| {
        let c = t.bundle()?.sleeps().start()?;
        for interval in ["0", "0s", "-1s", "soon"] {
            t.rt(["events", "--interval", interval, &c.id])?.refused(&["interval"])?;
        }
        Ok(())
    }),
    test("events-oom", "an event of type oom when the kernel kills for memory", |t| {
        controller("memory")?;
        let c = greedy(t)?;
        let stream = c.call("events").args(["--interval", "100ms"]).spawn()?;
        let file = stream.stdout.clone();
        t.until("the first line", || Ok(!lines(&file)?.is_empty()))?;
        c.says("echo > /go")?;
        c.shows("over")?;
        let oom = |line: &Value| line["type"] == "oom" && line["id"] == c.id.as_str();
        t.until("an event oom", || Ok(lines(&file)?.iter().any(oom)))?;
        end(&c, stream)
    }),
    test("events-no-oom", "no event of type oom without one", |t| {
        let c = t.bundle()?.set("/linux/resources/memory/limit", 64 * MB).sleeps().start()?;
        let stream = c.call("events").args(["--interval", "50ms"]).spawn()?;
        let file = stream.stdout.clone();
        t.until("four lines", || Ok(lines(&file)?.len() >= 4))?;
        that(lines(&file)?.iter().all(|line| line["type"] == "stats"), "all are stats")?;
        end(&c, stream)
    }),
    test("events-missing", "runc: events of an unknown id is an error", |t| {
        t.rt(["events", "--stats", "nothing"])?.refused(&["does not exist"])
    }),
    test("events-stopped", "runc: events of a stopped container is an error", |t| {
        let c = t.bundle()?.start()?;
        c.becomes("stopped")?;
        let out = c.call("events").arg("--stats").output()?;
        out.refused(&[&c.id, "is not running"])
    }),
    test("events-oom-counts", "the kernel's own count of kills is behind the event", |t| {
        controller("memory")?;
        let c = greedy(t)?;
        c.says("echo > /go")?;
        c.shows("over")?;
        let file = either("memory.oom_control", "memory.events");
        has(read("memory", &c.id, file)?, "oom_kill 1")
    }),
];
