//! A container that somebody else has frozen, by its own cgroup or by the one above. What is frozen from above
//! stands still, as all that is there: a command may wait for it, and goes on when it is thawed.

use std::fs;
use std::path::PathBuf;
use std::process::Child;
use std::time::Duration;

use crate::Result;
use crate::census::{self, Census};
use crate::kill;
use crate::pairs;
use crate::room::{ID, Room, patiently};
use crate::truth;

use super::{Case, More, Points};

pub(super) const CASES: &[Case] = &[
    Case { name: "frozen", sweep: |points| each(points, &[ID]) },
    Case { name: "frozen-above", sweep: |points| each(points, &[]) },
];

/// What has not ended by then waits.
const MOMENT: Duration = Duration::from_secs(1);

/// What there is before: nothing, or a container that was created, or that runs.
const BEFORE: [(&str, &[&str]); 3] = [
    ("nothing", &[]),
    ("created", &["create --bundle @plain ID"]),
    ("running", &["run --detach --bundle @plain ID"]),
];

const COMMANDS: &[&str] = &[
    "create --bundle @plain ID",
    "start ID",
    "state ID",
    "list",
    "ps ID",
    "events --stats ID",
    "exec ID /busybox true",
    "exec --detach ID /busybox sleep 1000",
    "update --memory 64M --pids-limit 50 ID",
    "pause ID",
    "resume ID",
    "kill ID TERM",
    "kill ID KILL",
    "kill --all ID KILL",
    "delete ID",
    "delete --force ID",
];

/// Each command on each container; `below` leads from the cgroup above all containers to the frozen one.
fn each(points: &mut Points<'_>, below: &[&str]) -> Result<()> {
    for (name, before) in BEFORE {
        // A cgroup that is not there can't be frozen itself.
        if before.is_empty() && !below.is_empty() {
            continue;
        }
        for line in COMMANDS {
            let words = format!("{name} {}", line.replace(' ', "_"));
            points.at(&words, |room| at(room, before, below, line));
        }
    }
    Ok(())
}

fn at(room: &Room, before: &[&str], below: &[&str], line: &str) -> Result<More> {
    let census = Census::take(room);
    for line in before {
        room.call(line)?.ok(line)?;
    }
    set(room, below, true)?;
    let mut command = room.spawn(line, "frozen")?;
    let waits = ends_within(&mut command, MOMENT).is_err();
    let meanwhile = match below.is_empty() {
        // Said to be what they are by themselves.
        true => room.call("state ID").and_then(|state| state.succeeded()).map(|_| ()),
        false => truth::status(room).map(|_| ()),
    };
    set(room, below, false)?;
    let output = room.wait(&mut command, "frozen")?;
    let after = || {
        if waits && !below.is_empty() {
            return Err("waits".to_owned());
        }
        pairs::check(&output)?;
        meanwhile?;
        truth::status(room)?;
        kill::gone(room, &census)
    };
    after().map_err(|why: String| format!("{why} (said {:?})", output.stderr.trim_end()))?;
    Ok(More::Yes)
}

fn ends_within(command: &mut Child, most: Duration) -> Result<()> {
    patiently(most, || match command.try_wait() {
        Ok(None) => Err("it has not ended".to_owned()),
        _ => Ok(()),
    })
}

/// Freezes, or thaws; that it is gone by now is fine.
fn set(room: &Room, below: &[&str], frozen: bool) -> Result<()> {
    let place =
        |top: PathBuf| below.iter().fold(top.join(&room.cgroup), |path, name| path.join(name));
    for place in census::hierarchies().into_iter().map(place) {
        let (v1, v2) = (place.join("freezer.state"), place.join("cgroup.freeze"));
        let (file, word) = match (v1.exists(), frozen) {
            (true, true) => (v1, "FROZEN"),
            (true, false) => (v1, "THAWED"),
            (false, true) => (v2, "1"),
            (false, false) => (v2, "0"),
        };
        // In hybrid mode it is v1's freezer that counts.
        if file.exists() && !(file.ends_with("cgroup.freeze") && is_hybrid()) {
            fs::write(&file, word).map_err(|error| format!("{}: {error}", file.display()))?;
        }
    }
    Ok(())
}

fn is_hybrid() -> bool {
    census::hierarchies().len() > 1
}
