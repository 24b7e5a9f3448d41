//! OCI runtime-tools' validation programs: one visit each.

use std::fs::{self, File};
use std::time::Duration;

use crate::arguments::Run;
use crate::error::{Doing, Error, Result};
use crate::room::Visit;
use crate::tap::{Outcome, Stream, Test};
use crate::watch::{End, patient, watch};

/// The name under which a program's own end is reported, beside its tests.
const PROGRAM: &str = "(program)";
/// How long a program may go without a word: they write most of what they have at their end.
const LIMIT: Duration = Duration::from_secs(90);

/// The programs, in order.
pub(crate) fn files(run: &Run) -> Result<Vec<String>> {
    let inside = run.checkout.join("runtimetest");
    if !inside.exists() {
        return Err(Error::Unprepared {
            missing: inside,
            advice: "build the checkout's runtimetest and validation executables first",
        });
    }
    let directory = run.checkout.join("validation");
    let mut files = Vec::new();
    for entry in fs::read_dir(&directory).doing(format!("list {}", directory.display()))? {
        let path = entry.doing("list the validation programs")?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.join(format!("{name}.t")).exists() && run.wants(&name) {
            files.push(name);
        }
    }
    files.sort_unstable();
    Ok(files)
}

/// Runs one program.
pub(crate) fn run(run: &Run, file: &str, log: &mut File) -> Result<Vec<Test>> {
    let program = run.checkout.join(format!("validation/{file}/{file}.t"));
    let keep = [run.checkout.clone(), run.runtime.clone()];
    let visit = Visit {
        keep: &keep,
        // A program looks there for its root file system and for the program that looks from inside.
        directory: &run.checkout,
        command: vec![program.into_os_string()],
        environment: vec![("RUNTIME", run.runtime.clone().into_os_string())],
    };
    let mut stream = Stream::default();
    let end = watch(visit, patient(LIMIT), log, |line| {
        stream.line(line);
        patient(LIMIT)
    })?;
    Ok(tests(stream, end))
}

/// The tests of a program, and one for the program where its tests don't say it all.
fn tests(stream: Stream, end: End) -> Vec<Test> {
    let Stream { mut tests, plan, before } = stream;
    // Several programs report a failure only so: a diagnostic that belongs to no test.
    let complaint = before.iter().any(|line| line.trim_start().starts_with("\"error\":"));
    let why = match end {
        End::Silent => Some(format!("silent for {} s: killed", patient(LIMIT).as_secs())),
        // One that is planned for no tests may still have some.
        End::Exit(0) if plan.is_some_and(|plan| plan > tests.len()) => {
            Some(format!("{} of {} tests", tests.len(), plan.unwrap_or_default()))
        }
        End::Exit(0) if complaint => Some("an error that belongs to no test".to_owned()),
        End::Exit(0) => None,
        End::Exit(code) => Some(format!("exit status {code}")),
    };
    match why {
        Some(why) => {
            let mut failed = Test::failed(PROGRAM, why);
            failed.said.extend(before);
            if let Some(last) = tests.last() {
                // Its standard error comes after the last test's diagnostics.
                failed.said.extend(last.said.iter().cloned());
            }
            tests.push(failed);
        }
        None if tests.is_empty() => {
            tests.push(Test { name: PROGRAM.into(), outcome: Outcome::Pass, said: before });
        }
        None => {}
    }
    tests
}

#[cfg(test)]
mod test {
    use super::*;

    fn ends(text: &str, end: End) -> Vec<(String, Outcome)> {
        let mut stream = Stream::default();
        text.lines().for_each(|line| stream.line(line));
        tests(stream, end).into_iter().map(|test| (test.name, test.outcome)).collect()
    }

    #[test]
    fn programs_end() {
        let named = |outcome| vec![(PROGRAM.to_owned(), outcome)];
        assert_eq!(ends("TAP version 13\n1..0", End::Exit(0)), named(Outcome::Pass));
        assert_eq!(ends("no\n1..0", End::Exit(1)), named(Outcome::Fail));
        assert_eq!(ends("  \"error\": \"x\"\n1..0", End::Exit(0)), named(Outcome::Fail));
        assert_eq!(ends("", End::Silent), named(Outcome::Fail));
        assert_eq!(ends("ok 1 - a\n1..1", End::Exit(0)), [("a".to_owned(), Outcome::Pass)]);
        assert_eq!(ends("ok 1 - a\n1..2", End::Exit(0)).len(), 2);
    }
}
