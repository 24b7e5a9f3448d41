//! What is printed: a line for each failure, and one for each sweep.

use std::time::Instant;

use crate::Result;

/// A sweep being counted.
pub(crate) struct Tally {
    name: String,
    began: Instant,
    points: usize,
    failures: usize,
    /// Points that a command did not come to this time.
    unreached: usize,
}

/// What came of a point.
pub(crate) enum Outcome {
    /// All is as it must be.
    Held,
    /// The command ended before it.
    Unreached,
}

impl Tally {
    pub(crate) fn new(name: impl Into<String>) -> Tally {
        Tally { name: name.into(), began: Instant::now(), points: 0, failures: 0, unreached: 0 }
    }

    /// Counts a point; `words` run it again. Did it hold?
    pub(crate) fn count(&mut self, words: &str, outcome: Result<Outcome>) -> bool {
        match outcome {
            Ok(Outcome::Held) => self.points += 1,
            Ok(Outcome::Unreached) => self.unreached += 1,
            Err(why) => {
                self.points += 1;
                self.failures += 1;
                println!("FAIL {} {words}: {why}", self.name);
                return false;
            }
        }
        true
    }

    /// The sweep's line; true if something was tried, and nothing failed.
    pub(crate) fn print(&self) -> bool {
        let Tally { name, points, failures, unreached, .. } = self;
        let seconds = self.began.elapsed().as_secs();
        let unreached = match unreached {
            0 => String::new(),
            some => format!(", {some} not reached"),
        };
        println!("{name}: {points} points, {failures} failures, {seconds} s{unreached}");
        *failures == 0 && *points + self.unreached > 0
    }
}
