//! One test in a process of its own.

use std::path::Path;
use std::process::ExitCode;

use nix::sys::prctl::set_child_subreaper;

use crate::case::Case;
use crate::schedule::Scale;
use crate::table;
use crate::verdict::{Miss, Verdict, fail};

/// What the process prints first, for the one that started it.
pub(crate) const WORDS: [&str; 3] = ["ok", "FAIL", "skip"];

/// Runs one test and prints its result: a word on the first line, then the reason.
pub(crate) fn run(name: &str, runtime: &str, scratch: &str, tag: &str, scale: Scale) -> ExitCode {
    let result = held(name, Path::new(runtime), Path::new(scratch), tag, scale);
    let (word, why) = match result {
        Ok(()) => (WORDS[0], String::new()),
        Err(Miss::Fail(why)) => (WORDS[1], why),
        Err(Miss::Skip(why)) => (WORDS[2], why),
    };
    println!("{word}\n{why}");
    ExitCode::SUCCESS
}

/// In a container: starts threads, says how many there are, and waits.
pub(crate) fn threads(count: usize) -> ExitCode {
    let wait = || loop {
        std::thread::park();
    };
    for number in 0..count {
        if std::thread::Builder::new().spawn(wait).is_err() {
            println!("{number} of {count} threads");
            return ExitCode::FAILURE;
        }
    }
    println!("{count} threads");
    wait()
}

fn held(name: &str, runtime: &Path, scratch: &Path, tag: &str, scale: Scale) -> Verdict {
    // Orphans of the runtime become ours: none can get away.
    set_child_subreaper(true)?;
    let Some((_, test)) = table::all().into_iter().find(|(full, _)| full == name) else {
        return fail(format!("no test {name}"));
    };
    let case = Case::new(runtime, scratch, tag, scale)?;
    let result = (test.run)(&case);
    let left = case.finish();
    if result.is_ok() && !left.is_empty() {
        return fail(format!("left behind after delete --force: {}", left.join(", ")));
    }
    result
}
