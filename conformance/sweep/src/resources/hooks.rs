//! Hooks that leave a process behind, or hang: with a time limit and without, while `delete --force` comes, or
//! the command is killed.

use std::fs;
use std::time::Duration;

use serde_json::{Value, json};

use crate::Result;
use crate::census::{self, Census};
use crate::kill;
use crate::pairs;
use crate::room::{self, Room, patiently};

use super::{Case, More, Points};

pub(super) const CASES: &[Case] = &[Case { name: "hooks", sweep: each }];

/// What no other process sleeps for.
const SECONDS: &str = "987654";
/// A hook may take this long to begin.
const BEGINNING: Duration = Duration::from_secs(5);

/// A kind of hooks.
struct Kind {
    name: &'static str,
    before: &'static [&'static str],
    /// The command that runs them.
    line: &'static str,
    /// They run in the container, and end with it.
    inside: bool,
}

const CREATE: &str = "create --bundle @plain ID";
const RUN: &str = "run --detach --bundle @plain ID";

const KINDS: &[Kind] = &[
    Kind { name: "prestart", before: &[], line: CREATE, inside: false },
    Kind { name: "createRuntime", before: &[], line: CREATE, inside: false },
    Kind { name: "createContainer", before: &[], line: CREATE, inside: true },
    Kind { name: "startContainer", before: &[CREATE], line: "start ID", inside: true },
    Kind { name: "poststart", before: &[CREATE], line: "start ID", inside: false },
    Kind { name: "poststop", before: &[RUN], line: "delete --force ID", inside: false },
];

/// What a hook does, and what is done about it.
type Story = fn(&Room, &Kind) -> Result<()>;

const STORIES: &[(&str, Story)] =
    &[("leaves-a-process", leaves), ("limited", limited), ("deleted", deleted), ("killed", killed)];

fn each(points: &mut Points<'_>) -> Result<()> {
    for kind in KINDS {
        for (name, story) in STORIES {
            points.at(&format!("{} {name}", kind.name), |room| at(room, kind, *story));
        }
        if kind.line == CREATE && !kind.inside {
            points.at(&format!("{} freezes", kind.name), |room| at(room, kind, freezes));
        }
    }
    Ok(())
}

fn at(room: &Room, kind: &Kind, story: Story) -> Result<More> {
    let before = Census::take(room);
    let told = story(room, kind);
    // Outside it is the caller's.
    if let (Some(pid), false) = (hook(), kind.inside) {
        room::end(pid);
    }
    let deleted = told.and_then(|()| kill::gone(room, &before));
    room.change_bundles(|_| ())?;
    deleted.map(|()| More::Yes)
}

/// Gives the container such a hook, and does what comes before its command.
fn prepare(room: &Room, kind: &Kind, words: &[&str], limit: Option<u64>) -> Result<()> {
    room.change_bundles(|config| {
        let rootfs = config["root"]["path"].as_str().unwrap_or_default();
        let outside = format!("{rootfs}/busybox");
        let path = if kind.name == "startContainer" { "/busybox" } else { &outside };
        let words: Vec<&str> =
            words.iter().map(|word| if *word == "PATH" { path } else { word }).collect();
        let mut hook = json!({ "path": path, "args": words });
        if let Some(seconds) = limit {
            hook["timeout"] = json!(seconds);
        }
        config["hooks"] = Value::Object(Default::default());
        config["hooks"][kind.name] = json!([hook]);
    })?;
    kind.before.iter().try_for_each(|line| room.call(line)?.ok(line).map(|_| ()))
}

/// The process that sleeps in a hook, or was started by one.
fn hook() -> Option<i32> {
    census::descendants().into_iter().find(|pid| {
        let words = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        words.split(|byte| *byte == 0).any(|word| word == SECONDS.as_bytes())
    })
}

fn has_begun() -> Result<()> {
    patiently(BEGINNING, || hook().map(|_| ()).ok_or("the hook does not run".to_owned()))
}

/// A process that keeps all descriptors keeps nobody waiting.
fn leaves(room: &Room, kind: &Kind) -> Result<()> {
    let script = format!("\"$0\" sleep {SECONDS} & exit 0");
    prepare(room, kind, &["sh", "-c", &script, "PATH"], None)?;
    room.call(kind.line)?.ok(kind.line)?;
    match kind.inside {
        // Whoever is in there may end with the process that has started it.
        true => Ok(()),
        false => has_begun(),
    }
}

/// A hook with a time limit is ended, and its command fails.
fn limited(room: &Room, kind: &Kind) -> Result<()> {
    prepare(room, kind, &["sleep", SECONDS], Some(1))?;
    let output = room.call(kind.line)?;
    if !output.stderr.contains("past specified timeout") {
        return Err(format!("{:?}, said {:?}", output.ended, output.stderr));
    }
    // A container that is gone is gone: what `poststop` hooks do hinders nothing.
    if output.succeeded()? != (kind.name == "poststop") {
        return Err(format!("{:?}", output.ended));
    }
    match hook() {
        Some(pid) => Err(format!("the hook, process {pid}, is still there")),
        None => Ok(()),
    }
}

/// Who is frozen can't be ended before it is thawed.
fn freezes(room: &Room, kind: &Kind) -> Result<()> {
    let below = format!("{}/{}", room.cgroup, room::ID);
    let (v1, v2) = (format!("freezer/{below}/freezer.state"), format!("{below}/cgroup.freeze"));
    let script = format!("cd /sys/fs/cgroup; echo FROZEN >{v1} || echo 1 >{v2}; exit 1");
    prepare(room, kind, &["sh", "-c", &script], None)?;
    match room.call(kind.line)?.succeeded()? {
        true => Err("succeeds".to_owned()),
        false => Ok(()),
    }
}

/// `delete --force` does not wait for a hook, and who waited for it gives up.
fn deleted(room: &Room, kind: &Kind) -> Result<()> {
    prepare(room, kind, &["sleep", SECONDS], None)?;
    let mut command = room.spawn(kind.line, "first")?;
    has_begun()?;
    let deleted = room.call("delete --force ID");
    // There is nothing left that is the container's: its last hook may take its time.
    if let (Some(pid), "poststop") = (hook(), kind.name) {
        room::end(pid);
    }
    pairs::check(&room.wait(&mut command, "first")?)?;
    deleted?.ok("delete --force").map(|_| ())
}

/// A command that is killed leaves a container that can be deleted.
fn killed(room: &Room, kind: &Kind) -> Result<()> {
    prepare(room, kind, &["sleep", SECONDS], None)?;
    let mut command = room.spawn(kind.line, "first")?;
    has_begun()?;
    let _ = command.kill();
    room.wait(&mut command, "first")?;
    room.call("state ID")?.succeeded()?;
    room.call("delete --force ID")?.ok("delete --force").map(|_| ())
}
