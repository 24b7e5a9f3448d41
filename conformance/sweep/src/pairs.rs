//! Two commands on one container at once, in every pair, and now and then one of them is killed.

use std::time::Duration;

use crate::Result;
use crate::census::{self, Census};
use crate::kill;
use crate::options::{Options, number};
use crate::report::{Outcome, Tally};
use crate::room::{Output, Room};
use crate::tracer::Ended;
use crate::truth;

/// How many rounds there are, and of a sample.
const ROUNDS: [usize; 2] = [10_000, 200];

const COMMANDS: &[&str] = &[
    "create --bundle @plain ID",
    "start ID",
    "exec ID /busybox true",
    "update --pids-limit 60 ID",
    "pause ID",
    "resume ID",
    "kill ID KILL",
    "delete ID",
    "delete --force ID",
    "state ID",
    "list",
    "run --detach --bundle @plain ID",
];

/// What there is before: nothing, or a container that was created, or that runs.
const BEFORE: [&[&str]; 3] =
    [&[], &["create --bundle @plain ID"], &["run --detach --bundle @plain ID"]];

/// All rounds that are wanted; true if all held.
pub(crate) fn sweep(room: &Room, options: &Options) -> Result<bool> {
    let mut tally = Tally::new("pairs");
    let [all, sample] = ROUNDS;
    let rounds = options.rounds.unwrap_or(if options.sample.is_some() { sample } else { all });
    let first = options.sample.unwrap_or(0);
    let rounds = match options.only.get(1) {
        Some(round) => vec![number(round)?],
        None => (first..first + rounds).collect(),
    };
    for round in rounds {
        if !tally.count(&round.to_string(), at(room, round).map(|()| Outcome::Held)) {
            census::clean(room);
        }
    }
    Ok(tally.print())
}

/// What is done in a round.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Round {
    /// The two commands, by their places in the table.
    commands: [usize; 2],
    /// What there is before.
    before: usize,
    /// Which of the two is killed.
    victim: Option<usize>,
}

impl Round {
    /// As many rounds are all that there are: twice without a kill, and once with each of the two.
    const ALL: usize = COMMANDS.len() * COMMANDS.len() * BEFORE.len() * 4;

    /// Neighbours differ in all; the step has no factor in common with the number of rounds, so that none is
    /// left out.
    fn number(round: usize) -> Round {
        let mut left = round % Self::ALL * 661 % Self::ALL;
        let mut take = |most: usize| {
            let taken = left % most;
            left /= most;
            taken
        };
        Round {
            victim: [None, Some(0), None, Some(1)].get(take(4)).copied().flatten(),
            before: take(BEFORE.len()),
            commands: [take(COMMANDS.len()), take(COMMANDS.len())],
        }
    }
}

fn at(room: &Room, round: usize) -> Result<()> {
    let Round { commands, before: state, victim } = Round::number(round);
    let lines = commands.map(|at| COMMANDS.get(at).copied().unwrap_or_default());
    let before = Census::take(room);
    for line in BEFORE.get(state).copied().unwrap_or_default() {
        room.call(line)?.ok(line)?;
    }
    let [first, second] = lines;
    let names = ["first", "second"];
    let mut commands = [room.spawn(first, names[0])?, room.spawn(second, names[1])?];
    if let Some(command) = victim.and_then(|victim| commands.get_mut(victim)) {
        // Within the time that a command takes.
        std::thread::sleep(Duration::from_micros((round * 7919 % 6000) as u64));
        let _ = command.kill();
    }
    // What came into a frozen container waits, as all in there do, until it is thawed.
    let is_pause = |at: usize| lines.get(at).is_some_and(|line| line.starts_with("pause"));
    let mut outputs = Vec::new();
    for at in if is_pause(1) { [1, 0] } else { [0, 1] } {
        let (Some(command), Some(name)) = (commands.get_mut(at), names.get(at)) else { continue };
        outputs.push(room.wait(command, name)?);
        if is_pause(at) {
            room.call("resume ID")?;
        }
    }
    outputs
        .iter()
        .try_for_each(check)
        .and_then(|()| truth::status(room).map(|_| ()))
        .and_then(|()| kill::gone(room, &before))
        .map_err(|why| format!("{} beside {}: {why}", lines[0], lines[1]))
}

/// A command that fails says why, in one sentence.
pub(crate) fn check(output: &Output) -> Result<()> {
    let lines = output.stderr.lines().count();
    match output.ended {
        Ended::Exited(0) => Ok(()),
        // The status of what `exec` has started, and the other command ended.
        Ended::Exited(137) if lines == 0 => Ok(()),
        Ended::Exited(_) if lines == 1 && !output.stderr.contains("panicked") => Ok(()),
        Ended::Killed(nix::sys::signal::Signal::SIGKILL) => Ok(()),
        ended => Err(format!("{ended:?}, {:?}", output.stderr)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pair_is_played_in_every_state_with_and_without_a_kill() {
        let all: std::collections::BTreeSet<Round> = (0..ROUNDS[0]).map(Round::number).collect();
        // Each with each, in each state: without a kill, and with one of either.
        assert_eq!(all.len(), COMMANDS.len() * COMMANDS.len() * BEFORE.len() * 3, "{}", all.len());
    }
}
