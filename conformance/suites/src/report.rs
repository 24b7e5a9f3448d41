//! What is printed: a line per file while they run, what was unexpected, and the sums.

use std::fmt::Write as _;

use crate::expected::Verdict;
use crate::tap::{Outcome, Test};

/// How many lines of what a test said are shown.
const SHOWN: usize = 12;

/// Counts of outcomes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    pass: usize,
    skip: usize,
    fail: usize,
    expected: usize,
    unexpected: usize,
}

impl Counts {
    /// Counts one more test.
    fn add(&mut self, test: &Test, verdict: Verdict<'_>) {
        match test.outcome {
            Outcome::Pass => self.pass += 1,
            Outcome::Skip => self.skip += 1,
            Outcome::Fail => self.fail += 1,
        }
        match verdict {
            Verdict::Fine => {}
            Verdict::Expected(_) => self.expected += 1,
            Verdict::Unexpected(_) => self.unexpected += 1,
        }
    }

    /// One row of the table.
    fn row(&self, name: &str) -> String {
        let Self { pass, skip, fail, expected, unexpected } = self;
        format!("{name:<36} {pass:>5} {skip:>5} {fail:>5} {expected:>9} {unexpected:>11}")
    }
}

/// A report that is being written.
#[derive(Debug, Default)]
pub(crate) struct Report {
    total: Counts,
    surprises: String,
}

impl Report {
    /// Prints the table's head.
    pub(crate) fn begin() -> Self {
        println!("{:<36}  pass  skip  fail  expected  unexpected", "file");
        Self::default()
    }

    /// Prints a file's row, and keeps what was unexpected for the end.
    pub(crate) fn file(&mut self, file: &str, judged: &[(Test, Verdict<'_>)]) {
        let mut counts = Counts::default();
        for (test, verdict) in judged {
            counts.add(test, *verdict);
            self.total.add(test, *verdict);
            if let Verdict::Unexpected(otherwise) = verdict {
                self.surprise(file, test, *otherwise);
            }
        }
        println!("{}", counts.row(file));
    }

    /// Describes an unexpected outcome.
    fn surprise(&mut self, file: &str, test: &Test, otherwise: Option<&str>) {
        let Test { name, outcome, said } = test;
        // Writing to a string does not fail.
        let _ = writeln!(self.surprises, "\nunexpected {outcome:?}: {file}: {name}");
        if let Some(reason) = otherwise {
            let _ = writeln!(self.surprises, "    the list says otherwise: {reason}");
        }
        for line in said.iter().take(SHOWN) {
            let _ = writeln!(self.surprises, "    {line}");
        }
    }

    /// Prints the rest; true if nothing was unexpected.
    pub(crate) fn end(self) -> bool {
        let Counts { pass, skip, fail, unexpected, .. } = self.total;
        println!("{}", self.total.row("all"));
        println!("{}", self.surprises);
        println!("{pass} passed, {fail} failed, {skip} skipped");
        unexpected == 0
    }
}
