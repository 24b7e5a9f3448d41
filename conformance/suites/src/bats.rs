//! runc's integration tests: one visit per bats file.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::arguments::Run;
use crate::error::{Doing, Error, Result};
use crate::images;
use crate::room::Visit;
use crate::tap::{Stream, Test};
use crate::watch::{End, patient, watch};

/// How long a test may go without a word: the slowest that pass take half a minute.
const LIMIT: Duration = Duration::from_secs(150);

/// The files of the suite, in order.
pub(crate) fn files(run: &Run) -> Result<Vec<String>> {
    let missing = |missing, advice| Err(Error::Unprepared { missing, advice });
    let helpers = run.checkout.join("tests/cmd/_bin/recvtty");
    if !helpers.exists() {
        return missing(helpers, "build the checkout's test helpers first");
    }
    let tests = run.checkout.join("tests/integration");
    let mut files = Vec::new();
    for entry in fs::read_dir(&tests).doing(format!("list {}", tests.display()))? {
        let name = entry.doing("list the tests")?.file_name().to_string_lossy().into_owned();
        if name.ends_with(".bats") && run.wants(&name) {
            files.push(name);
        }
    }
    files.sort_unstable();
    images::provide(&tests.join("testdata"))?;
    let (directory, called) = called_runc(run);
    fs::create_dir_all(&directory).doing(format!("make {}", directory.display()))?;
    // What still runs it keeps the old file.
    let _ = fs::remove_file(&called);
    fs::copy(&run.runtime, &called).doing(format!("copy {}", run.runtime.display()))?;
    Ok(files)
}

/// A copy of the runtime by the name that some tests look for in its sentences, as it has it where it
/// takes runc's place; and its directory.
fn called_runc(run: &Run) -> (PathBuf, PathBuf) {
    let directory = images::repository().join("target/suites/called").join(run.runtime_name());
    let called = directory.join("runc");
    (directory, called)
}

/// And how long bats may take to end after the last test: it waits for what a failed test has left.
const AFTERWARDS: Duration = Duration::from_secs(5);
/// How often a test runs that loses a race of the suite's own.
const TRIES: usize = 4;

/// Runs one file.
pub(crate) fn run(
    run: &Run,
    file: &str,
    log: &mut File,
    lost_a_race: impl Fn(&Test) -> bool,
) -> Result<Vec<Test>> {
    let names = names(&run.checkout.join("tests/integration").join(file))?;
    let mut tests = through(run, file, &names, log)?;
    for _ in 1..TRIES {
        let lost: Vec<String> =
            tests.iter().filter(|test| lost_a_race(test)).map(|test| test.name.clone()).collect();
        if lost.is_empty() {
            break;
        }
        for again in through(run, file, &lost, log)? {
            if let Some(test) = tests.iter_mut().find(|test| test.name == again.name) {
                *test = again;
            }
        }
    }
    Ok(tests)
}

/// Runs a file's tests of these names, which are in the file's order.
///
/// A test that goes silent is killed with its file, counts as failed, and the file is run again for
/// the tests after it.
fn through(run: &Run, file: &str, names: &[String], log: &mut File) -> Result<Vec<Test>> {
    let mut done: Vec<Test> = Vec::new();
    while let Some(rest @ [_, ..]) = names.get(done.len()..) {
        let (stream, end) = visit(run, file, rest, log)?;
        done.extend(stream.tests);
        let Some(missing @ [next, ..]) = names.get(done.len()..) else {
            break;
        };
        match end {
            End::Silent => {
                done.push(Test::failed(
                    next,
                    format!("silent for {} s: killed", patient(LIMIT).as_secs()),
                ));
            }
            End::Exit(code) => {
                let why = format!("bats exited with {code}: {}", stream.before.join(" / "));
                done.extend(missing.iter().map(|name| Test::failed(name, &why)));
            }
        }
    }
    Ok(done)
}

/// One visit, for these tests.
fn visit(run: &Run, file: &str, names: &[String], log: &mut File) -> Result<(Stream, End)> {
    let (_, runtime) = called_runc(run);
    let visit = Visit {
        keep: &[run.checkout.clone(), runtime.clone()],
        directory: &run.checkout.join("tests/integration"),
        command: vec![
            "bats".into(),
            "--tap".into(),
            "--filter".into(),
            filter(names).into(),
            file.into(),
        ],
        environment: vec![("RUNC", runtime.into_os_string())],
    };
    let mut stream = Stream::default();
    let end = watch(visit, patient(LIMIT), log, |line| {
        stream.line(line);
        if stream.tests.len() < names.len() { patient(LIMIT) } else { AFTERWARDS }
    })?;
    log.flush().doing("write a log")?;
    Ok((stream, end))
}

/// The names of a file's tests, as its source has them.
fn names(file: &Path) -> Result<Vec<String>> {
    let source = fs::read_to_string(file).doing(format!("read {}", file.display()))?;
    Ok(source.lines().filter_map(name).map(str::to_owned).collect())
}

/// The name in a line that begins a test.
fn name(line: &str) -> Option<&str> {
    let (name, _) = line.strip_prefix("@test")?.trim_start().strip_prefix('"')?.rsplit_once('"')?;
    Some(name)
}

/// A regular expression that fits just these names.
fn filter(names: &[String]) -> String {
    let mut all = Vec::new();
    for name in names {
        let mut escaped = String::new();
        for c in name.chars() {
            if r"\.[]{}()*+?^$|".contains(c) {
                escaped.push('\\');
            }
            escaped.push(c);
        }
        all.push(escaped);
    }
    format!("^({})$", all.join("|"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_tests() {
        assert_eq!(name("@test \"runc run [a, b]\" {"), Some("runc run [a, b]"));
        assert_eq!(name("\t# @test \"not one\""), None);
    }

    #[test]
    fn filters() {
        let names = ["a (b) [c]".to_owned(), "d*".to_owned()];
        assert_eq!(filter(&names), r"^(a \(b\) \[c\]|d\*)$");
    }
}
