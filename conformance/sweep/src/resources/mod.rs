//! The resources sweep: what a machine may lack, and who may stand still or disappear.
//!
//! Each case has points, which are words; what a command is short of grows from point to point until
//! the command succeeds.

mod clients;
mod foreground;
mod frozen;
mod hooks;
mod lacks;
mod places;
mod stopped;
mod systemd;

use crate::Result;
use crate::census;
use crate::options::Options;
use crate::report::{Outcome, Tally};
use crate::room::Room;

/// Something that can be missing or in the way.
struct Case {
    /// Its name on the command line.
    name: &'static str,
    /// Tries all points that are wanted.
    sweep: fn(&mut Points<'_>) -> Result<()>,
}

const CASES: &[&[Case]] = &[
    lacks::CASES,
    stopped::CASES,
    frozen::CASES,
    hooks::CASES,
    clients::CASES,
    foreground::CASES,
    systemd::CASES,
];

/// All points that are wanted; true if all held.
pub(crate) fn sweep(room: &Room, options: &Options) -> Result<bool> {
    let mut tally = Tally::new("resources");
    let cases = || CASES.iter().copied().flatten();
    if !cases().any(|case| options.wants_scenario(case.name)) {
        let names: Vec<&str> = cases().map(|case| case.name).collect();
        return Err(format!("resources: {}", names.join(", ")));
    }
    for case in cases().filter(|case| options.wants_scenario(case.name)) {
        let mut points = Points { room, options, tally: &mut tally, case: case.name, seen: 0 };
        (case.sweep)(&mut points)?;
    }
    Ok(tally.print())
}

/// The points of a case being tried.
struct Points<'p> {
    room: &'p Room,
    options: &'p Options,
    tally: &'p mut Tally,
    case: &'static str,
    /// How many there were, wanted or not.
    seen: usize,
}

impl Points<'_> {
    /// Whether all of them are tried, or all of one command.
    fn is_whole(&self) -> bool {
        self.options.point().len() < 2 && self.options.sample.is_none()
    }

    /// Counts what is wrong with all of them together.
    fn fail(&mut self, words: &str, why: &str) {
        self.tally.count(&format!("{} {words}", self.case), Err(why.to_owned()));
    }

    /// Of a sample: every so many-th point.
    const STRIDE: usize = 29;

    /// Tries a point, which these words name, if it is wanted, by all or the first of them; it says whether there are more behind it.
    fn at(&mut self, words: &str, point: impl FnOnce(&Room) -> Result<More>) -> More {
        let only = self.options.point();
        let number = self.seen;
        self.seen += 1;
        let wanted = match self.options.sample {
            _ if !only.is_empty() => words.split(' ').take(only.len()).eq(only),
            Some(seed) => number % Self::STRIDE == seed % Self::STRIDE,
            None => true,
        };
        if !wanted {
            return More::Untried;
        }
        let tried = point(self.room);
        let more = *tried.as_ref().unwrap_or(&More::Yes);
        let words = format!("{} {words}", self.case);
        if !self.tally.count(&words, tried.map(|_| Outcome::Held)) {
            census::clean(self.room);
        }
        more
    }
}

/// Whether there is more to be tried, or more of it would change nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum More {
    Yes,
    No,
    /// Nobody knows: the point was not wanted.
    Untried,
}
