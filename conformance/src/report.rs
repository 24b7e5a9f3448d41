//! The table that people read.

use crate::expected;
use crate::schedule::{Column, Outcome};
use crate::table::Test;

/// Prints the tests and what they hold.
pub(crate) fn list(tests: &[(String, Test)]) {
    for (name, test) in tests {
        println!("{name}\n    {}", test.holds);
    }
    println!("{} tests", tests.len());
}

#[derive(Default)]
struct Counts {
    passed: usize,
    failed: usize,
    skipped: usize,
    expected: usize,
}

/// Prints a row a test and a column a runtime; true if nothing failed that should not.
pub(crate) fn print(tests: &[(String, Test)], columns: &[Column], verbose: bool) -> bool {
    let width = tests.iter().map(|(name, _)| name.len()).max().unwrap_or(4);
    print!("{:width$}", "test");
    columns.iter().for_each(|column| print!("  {:>8}", column.name));
    println!();
    let mut counts: Vec<Counts> = columns.iter().map(|_| Counts::default()).collect();
    let mut good = true;
    for (row, (name, test)) in tests.iter().enumerate() {
        let mut notes = Vec::new();
        print!("{name:width$}");
        for (column, count) in columns.iter().zip(&mut counts) {
            let known = expected::of(&column.name);
            let reason = known.as_ref().and_then(|list| list.get(name.as_str()));
            let word = match (&column.outcomes[row], reason) {
                (Outcome::Ok, None) => {
                    count.passed += 1;
                    "ok"
                }
                (Outcome::Ok, Some(reason)) => {
                    // Reported, not punished: a race is not lost every time.
                    count.passed += 1;
                    notes.push(format!("{} passes, but is expected not to: {reason}", column.name));
                    "ok!"
                }
                (Outcome::Fail(why), Some(reason)) => {
                    count.expected += 1;
                    notes.push(format!("{}: expected: {reason}", column.name));
                    notes.extend(verbose.then(|| format!("{}: {why}", column.name)));
                    "fail"
                }
                (Outcome::Fail(why), None) => {
                    count.failed += 1;
                    good &= known.is_none();
                    let short = why.lines().next().unwrap_or_default();
                    let why = if verbose { why.as_str() } else { short };
                    notes.push(format!("{}: {why}", column.name));
                    "FAIL"
                }
                (Outcome::Skip(why), _) => {
                    count.skipped += 1;
                    notes.push(format!("{}: skipped: {why}", column.name));
                    "skip"
                }
            };
            print!("  {word:>8}");
        }
        println!();
        if verbose && !notes.is_empty() {
            println!("    holds: {}", test.holds);
        }
        notes.iter().for_each(|note| println!("    {}", note.replace('\n', "\n      ")));
    }
    println!();
    for (column, count) in columns.iter().zip(&counts) {
        let Counts { passed, failed, skipped, expected } = count;
        let seconds = column.took.as_secs_f32();
        println!(
            "{}: {passed} ok, {failed} FAIL, {expected} failures expected (reason beside each), \
             {skipped} skip; {seconds:.0} s",
            column.name
        );
    }
    if verbose {
        slowest(tests, columns);
    }
    let sum = |of: fn(&Counts) -> usize| counts.iter().map(of).sum::<usize>();
    println!(
        "{} passed, {} failed, {} skipped",
        sum(|c| c.passed),
        sum(|c| c.failed),
        sum(|c| c.skipped + c.expected)
    );
    good
}

/// Prints where the time goes.
fn slowest(tests: &[(String, Test)], columns: &[Column]) {
    for column in columns {
        let mut times: Vec<_> = column.times.iter().zip(tests).collect();
        times.sort_by_key(|(time, _)| std::cmp::Reverse(**time));
        let worst = times
            .iter()
            .take(8)
            .map(|(time, (name, _))| format!("{name} {:.1} s", time.as_secs_f32()));
        println!("{}, slowest: {}", column.name, worst.collect::<Vec<_>>().join(", "));
    }
}
