//! Processes that stand still (SIGSTOP), at each call of theirs, while a command waits for them.

use crate::Result;
use crate::census::Census;
use crate::kill;
use crate::pairs;
use crate::room::Room;
use crate::scenario::{ALL, Scenario};
use crate::tracer::{Act, Point, Role};

use super::{Case, More, Points};

pub(super) const CASES: &[Case] = &[
    Case { name: "stopped", sweep: |points| each(points, Then::Deleted) },
    Case { name: "stopped-then-killed", sweep: |points| each(points, Then::Killed) },
];

/// What comes of the command that waits.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Then {
    /// `delete --force` comes.
    Deleted,
    /// It is killed, and `delete --force` comes.
    Killed,
}

/// The commands that wait for processes of theirs.
const WAITING: &[&str] = &["create", "create-staged", "start", "exec"];

fn each(points: &mut Points<'_>, then: Then) -> Result<()> {
    for scenario in ALL.iter().filter(|scenario| WAITING.contains(&scenario.name)) {
        let calls = crate::dry_run(points.room, scenario)?;
        for (caller, made) in &calls {
            // The command itself, dead, is the kill sweep's.
            if *caller == Role::PARENT && then == Then::Killed {
                continue;
            }
            for index in 0..made.len() {
                let words = format!("{} {index} {caller}", scenario.name);
                points.at(&words, |room| at(room, scenario, (*caller, index), then));
            }
        }
    }
    Ok(())
}

fn at(
    room: &Room,
    scenario: &Scenario,
    (caller, index): (Role, usize),
    then: Then,
) -> Result<More> {
    let before = Census::take(room);
    let init = scenario.set_up(room)?;
    let point = Point { caller, index, act: Act::Stop };
    let (traced, _) = room.traced(scenario.line, init, Some(&point))?;
    let Some(mut command) = traced.left else {
        kill::gone(room, &before)?;
        return Ok(More::Yes);
    };
    let mut after = || {
        if then == Then::Killed {
            let _ = command.kill();
            room.wait(&mut command, "traced")?;
        }
        let output = room.call("delete --force ID")?;
        let deleted = output.succeeded()?;
        // Nobody can take from it what it holds.
        let held = then == Then::Deleted && caller == Role::PARENT;
        if !deleted && !held {
            return Err(format!("it can't be deleted: {}", output.stderr));
        }
        if held {
            let _ = command.kill();
        }
        if then == Then::Deleted {
            pairs::check(&room.wait(&mut command, "traced")?)?;
        }
        kill::gone(room, &before)
    };
    let hit = traced.hit.unwrap_or_default();
    after().map_err(|why: String| format!("{hit}: {why}"))?;
    Ok(More::Yes)
}
