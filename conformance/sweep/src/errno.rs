//! The errno sweep: every system call fails, with each errno that it can fail with.

use std::cell::Cell;

use nix::errno::Errno;
use serde::Deserialize;

use crate::Result;
use crate::calls;
use crate::census::{self, Census};
use crate::kill;
use crate::options::{Options, number};
use crate::report::{Outcome, Tally};
use crate::room::{Output, Room};
use crate::scenario::{ALL, Scenario};
use crate::tracer::{Act, Ended, Point, Role};

/// Of a sample: every so many-th point.
const STRIDE: usize = 97;

/// What may fail without the command failing, and why.
const SURVIVED: &str = include_str!("../survived.toml");

/// A row of that table. What is empty fits all.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Survived {
    commands: Vec<String>,
    calls: Vec<String>,
    /// A part of the object's name; with `=` before it the whole.
    object: String,
    errnos: Vec<String>,
    /// Also by a signal's end.
    killed: bool,
    /// It need not be needed: whether it comes to that depends on who is faster.
    perhaps: bool,
    reason: String,
    #[serde(skip)]
    used: Cell<bool>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    survived: Vec<Survived>,
}

impl Survived {
    fn fits(&self, command: &str, call: &str, errno: Errno) -> bool {
        let among = |list: &[String], word: &str| list.is_empty() || list.iter().any(|w| w == word);
        let (name, object) = call.split_once(' ').unwrap_or((call, ""));
        among(&self.commands, command)
            && among(&self.calls, name)
            && match self.object.strip_prefix('=') {
                Some(whole) => object == whole,
                None => object.contains(&self.object),
            }
            && among(&self.errnos, &format!("{errno:?}"))
    }
}

fn table() -> Result<Vec<Survived>> {
    let table: Table = toml::from_str(SURVIVED).map_err(|e| format!("survived.toml: {e}"))?;
    match table.survived.iter().find(|row| row.reason.is_empty()) {
        Some(row) => Err(format!("survived.toml: a row without a reason: {row:?}")),
        None => Ok(table.survived),
    }
}

/// All points that are wanted; true if all held.
pub(crate) fn sweep(room: &Room, options: &Options) -> Result<bool> {
    let mut tally = Tally::new("errno");
    let table = table()?;
    for scenario in ALL.iter().filter(|scenario| options.wants_scenario(scenario.name)) {
        let points = match options.point() {
            [] => options.choose(points(room, scenario)?, STRIDE),
            [index, caller, errno] => vec![one(index, caller, errno)?],
            _ => return Err("errno SCENARIO INDEX CALLER ERRNO".to_owned()),
        };
        for (caller, index, errno) in points {
            let words = format!("{} {index} {caller} {errno:?}", scenario.name);
            if !tally.count(&words, at(room, scenario, (caller, index, errno), &table)) {
                census::clean(room);
            }
        }
    }
    let is_whole = options.only.len() < 2 && options.sample.is_none();
    for row in table.iter().filter(|row| is_whole && !row.perhaps && !row.used.get()) {
        tally.count("survived.toml", Err(format!("nothing is survived so: {row:?}")));
    }
    Ok(tally.print())
}

fn one(index: &str, caller: &str, errno: &str) -> Result<(Role, usize, Errno)> {
    let caller = Role::parse(caller).ok_or_else(|| format!("{caller:?}: parent, child, second"))?;
    let named = (1..=133).map(Errno::from_raw).find(|known| format!("{known:?}") == errno);
    Ok((caller, number(index)?, named.ok_or_else(|| format!("{errno:?} is no errno"))?))
}

fn points(room: &Room, scenario: &Scenario) -> Result<Vec<(Role, usize, Errno)>> {
    let mut points = Vec::new();
    for (caller, made) in crate::dry_run(room, scenario)? {
        for (index, number) in made.into_iter().enumerate() {
            let call = calls::by_number(number)
                .ok_or_else(|| format!("{}: call {number} is not in calls.rs", scenario.name))?;
            points.extend(call.errnos.iter().map(|errno| (caller, index, *errno)));
        }
    }
    Ok(points)
}

fn at(
    room: &Room,
    scenario: &Scenario,
    (caller, index, errno): (Role, usize, Errno),
    table: &[Survived],
) -> Result<Outcome> {
    let before = Census::take(room);
    let init = scenario.set_up(room)?;
    let point = Point { caller, index, act: Act::Fail(errno) };
    let (traced, output) = room.traced(scenario.line, init, Some(&point))?;
    let Some(call) = traced.hit.as_ref().filter(|call| can_fail(call, errno)) else {
        kill::gone(room, &before)?;
        return Ok(Outcome::Unreached);
    };
    let fits = |row: &&Survived| row.fits(scenario.name, call, errno);
    judge(room, scenario, &before, &output, table.iter().find(fits))
        .and_then(|()| kill::gone(room, &before))
        .map_err(|why| format!("{call}: {why} (said {:?})", output.stderr.trim_end()))?;
    Ok(Outcome::Held)
}

/// Whether the call that is there this time can have such an error: it may be another one than in the
/// dry run, and sockets have no disk, nor a device.
fn can_fail(call: &str, errno: Errno) -> bool {
    let name = call.split(' ').next().unwrap_or_default();
    calls::by_name(name).is_some_and(|call| call.errnos.contains(&errno))
        && !(call.contains(" socket:")
            && matches!(errno, Errno::EIO | Errno::ENOSPC | Errno::EBUSY))
}

/// Success in full where that is known to be so; else one sentence, and nothing left.
fn judge(
    room: &Room,
    scenario: &Scenario,
    before: &Census,
    output: &Output,
    survived: Option<&Survived>,
) -> Result<()> {
    let killed = survived.filter(|row| row.killed);
    if let (Ended::Killed(_), Some(row)) = (output.ended, killed) {
        row.used.set(true);
        return Ok(());
    }
    let succeeded = output.succeeded()?;
    if succeeded {
        match survived {
            Some(row) => row.used.set(true),
            None => return Err("survived, and not in survived.toml".to_owned()),
        }
    }
    scenario.check_against(room, before, succeeded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_has_a_reason_and_names_what_exists() {
        for row in table().unwrap() {
            assert!(row.commands.iter().all(|name| ALL.iter().any(|s| s.name == name)), "{row:?}");
            assert!(row.errnos.iter().all(|name| one("0", "parent", name).is_ok()), "{row:?}");
        }
    }

    #[test]
    fn a_row_fits_what_it_names() {
        let row = Survived {
            calls: vec!["write".to_owned()],
            object: "/cpuset.".to_owned(),
            ..Survived::default()
        };
        assert!(row.fits("create", "write /sys/fs/cgroup/cpuset/c/cpuset.cpus", Errno::EIO));
        assert!(!row.fits("create", "write /sys/fs/cgroup/pids/c/tasks", Errno::EIO));
        assert!(!row.fits("create", "read /sys/fs/cgroup/cpuset/c/cpuset.cpus", Errno::EIO));
        let row = Survived { errnos: vec!["EINTR".to_owned()], ..Survived::default() };
        assert!(row.fits("run", "poll", Errno::EINTR) && !row.fits("run", "poll", Errno::EIO));
    }
}
