//! Runs public suites against a runtime, from checkouts that someone prepared, and compares what
//! comes out with checked-in lists. See `docs/suites.md`.

#![forbid(unsafe_code)]

mod arguments;
mod bats;
mod cgroups;
mod error;
mod expected;
mod images;
mod programs;
mod report;
mod room;
mod tap;
mod watch;

use std::ffi::OsString;
use std::fs::{self, File};
use std::path::Path;
use std::process::ExitCode;

use nix::fcntl::{Flock, FlockArg};

use crate::arguments::{Run, Suite};
use crate::error::{Doing, Error, Result};
use crate::expected::{Expected, Place};
use crate::report::Report;

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    let result = match arguments.split_first() {
        Some((first, rest)) if *first == *room::DOOR => room::door(rest),
        Some((first, rest)) if *first == *room::KEEPER => room::keeper(rest),
        _ => drive(&arguments).map(|as_expected| u8::from(!as_expected)),
    };
    match result {
        Ok(code) => ExitCode::from(code),
        Err(why) => {
            eprintln!("suites: {why}");
            ExitCode::from(if matches!(why, Error::Usage(_)) { 2 } else { 3 })
        }
    }
}

/// Runs a suite; true if nothing was unexpected.
fn drive(arguments: &[OsString]) -> Result<bool> {
    let run = Run::parse(arguments)?;
    let expected = Expected::load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("expected"))?;
    let logs = images::repository().join("target/suites");
    let logs = logs.join(run.suite.name()).join(run.runtime_name());
    fs::create_dir_all(&logs).doing(format!("make {}", logs.display()))?;
    // Tests of two runs would meet in the same cgroups.
    let _alone = alone()?;
    let before = cgroups::Before::now();
    let files = match run.suite {
        Suite::RuntimeTools => programs::files(&run)?,
        Suite::RuncBats => bats::files(&run)?,
    };
    let mut report = Report::begin();
    for file in &files {
        let path = logs.join(file).with_extension("log");
        let mut log = File::create(&path).doing(format!("create {}", path.display()))?;
        let tests = match run.suite {
            Suite::RuntimeTools => programs::run(&run, file, &mut log)?,
            Suite::RuncBats => {
                bats::run(&run, file, &mut log, |test| expected.lost_a_race(run.suite, test))?
            }
        };
        let runtime = run.runtime_name();
        let place = Place { suite: run.suite, runtime: &runtime, file };
        let judge = |test| {
            let verdict = expected.judge(&place, &test);
            (test, verdict)
        };
        report.file(file, &tests.into_iter().map(judge).collect::<Vec<_>>());
        before.restore();
    }
    Ok(report.end())
}

/// Waits until no other run is under way, and keeps others from starting.
fn alone() -> Result<Flock<File>> {
    let place = std::env::temp_dir().join("tare-suites.lock");
    let file = File::create(&place).doing(format!("create {}", place.display()))?;
    Flock::lock(file, FlockArg::LockExclusive)
        .map_err(|(_, why)| why)
        .doing("wait for another run to end")
}
