//! The kill sweep: SIGKILL at every system call.

use crate::Result;
use crate::census::{self, Census};
use crate::options::{Options, number};
use crate::report::{Outcome, Tally};
use crate::room::{ID, Room};
use crate::scenario::{ALL, Scenario};
use crate::tracer::{Act, Ended, Point, Role};
use crate::truth;

/// Of a sample: every so many-th point.
const STRIDE: usize = 53;

/// All points that are wanted; true if all held.
pub(crate) fn sweep(room: &Room, options: &Options) -> Result<bool> {
    let mut tally = Tally::new("kill");
    for scenario in ALL.iter().filter(|scenario| options.wants_scenario(scenario.name)) {
        let points = match options.point() {
            [] => options.choose(points(room, scenario)?, STRIDE),
            [index, victims] => vec![one(index, victims)?],
            _ => return Err("kill SCENARIO INDEX CALLER[,VICTIM...]".to_owned()),
        };
        for (index, victims) in points {
            let words = format!("{} {index} {}", scenario.name, names(&victims));
            if !tally.count(&words, at(room, scenario, index, victims)) {
                census::clean(room);
            }
        }
    }
    Ok(tally.print())
}

/// The index and the victims; the first of them is the caller.
fn one(index: &str, victims: &str) -> Result<(usize, Vec<Role>)> {
    let roles: Option<Vec<Role>> = victims.split(',').map(Role::parse).collect();
    Ok((number(index)?, roles.ok_or_else(|| format!("{victims:?}: parent, child, second"))?))
}

fn names(victims: &[Role]) -> String {
    victims.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

/// At every call of each process: it alone, and all that there are.
fn points(room: &Room, scenario: &Scenario) -> Result<Vec<(usize, Vec<Role>)>> {
    let calls = crate::dry_run(room, scenario)?;
    let mut points = Vec::new();
    for (caller, made) in &calls {
        let others = calls.keys().filter(|role| *role != caller);
        let all: Vec<Role> = std::iter::once(caller).chain(others).copied().collect();
        for index in 0..made.len() {
            points.push((index, vec![*caller]));
            if all.len() > 1 {
                points.push((index, all.clone()));
            }
        }
    }
    Ok(points)
}

fn at(room: &Room, scenario: &Scenario, index: usize, victims: Vec<Role>) -> Result<Outcome> {
    let before = Census::take(room);
    let init = scenario.set_up(room)?;
    let caller = victims.first().copied().unwrap_or(Role::PARENT);
    let point = Point { caller, index, act: Act::Kill(victims) };
    let (traced, output) = room.traced(scenario.line, init, Some(&point))?;
    let after = || match traced.ended {
        Ended::Hung => Err("hangs".to_owned()),
        _ => {
            truth::status(room)?;
            gone(room, &before)
        }
    };
    let hit = traced.hit.as_deref().unwrap_or("not reached");
    after().map_err(|why| format!("{hit}: {why} (said {:?})", output.stderr.trim_end()))?;
    Ok(if traced.hit.is_some() { Outcome::Held } else { Outcome::Unreached })
}

/// `delete --force`, twice, and all is as it was `before`.
pub(crate) fn gone(room: &Room, before: &Census) -> Result<()> {
    for _ in 0..2 {
        let line = "delete --force ID";
        let deleted = room.call(line)?;
        if deleted.ended != Ended::Exited(0) || !deleted.stderr.is_empty() {
            return Err(format!("{line}: {:?}, {:?}", deleted.ended, deleted.stderr));
        }
    }
    room.clear();
    before.is_back(room).map_err(|why| format!("after delete --force {ID}: {why}"))
}
