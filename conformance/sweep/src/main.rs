//! Ends or fails a runtime's commands at every single system call, and looks at what is left: of the
//! container, and of the machine; and takes whole calls away from it. `docs/sweeps.md` tells how to run it, and a point of it again.

#![forbid(unsafe_code)]

mod calls;
mod census;
mod enosys;
mod errno;
mod hindered;
mod kill;
mod options;
mod pairs;
mod report;
mod resources;
mod room;
mod scenario;
mod soak;
mod tracer;
mod truth;
mod without;

use std::collections::BTreeMap;
use std::process::ExitCode;

use crate::options::Options;
use crate::room::Room;
use crate::scenario::Scenario;
use crate::tracer::{Ended, Role};

/// What goes wrong here ends a point, or the run: a sentence is enough.
type Result<T> = std::result::Result<T, String>;

/// All points of it that are wanted; true if all held.
type Sweep = fn(&Room, &Options) -> Result<bool>;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if words.first().is_some_and(|word| word == tracer::DOOR) {
        return tracer::be_traced(words.get(1..).unwrap_or_default());
    }
    if words.first().is_some_and(|word| word == hindered::DOOR) {
        return hindered::become_hindered(words.get(1..).unwrap_or_default());
    }
    if words.first().is_some_and(|word| word == without::DOOR) {
        return without::be_without(words.get(1..).unwrap_or_default());
    }
    match Options::parse(&words).and_then(|options| sweep(&options)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(sentence) => {
            eprintln!("sweep: {sentence}");
            ExitCode::from(2)
        }
    }
}

/// All that is wanted; true if nothing failed.
fn sweep(options: &Options) -> Result<bool> {
    // All that a dead runtime leaves comes to this process.
    nix::sys::prctl::set_child_subreaper(true).map_err(|e| format!("prctl: {e}"))?;
    let room = Room::make(&options.runtime, &options.rootfs)?;
    warm_up(&room)?;
    let sweeps: [(&str, Sweep); 6] = [
        ("kill", kill::sweep),
        ("errno", errno::sweep),
        ("pairs", pairs::sweep),
        ("soak", soak::sweep),
        ("resources", resources::sweep),
        ("enosys", enosys::sweep),
    ];
    let mut held = true;
    if !sweeps.iter().any(|(name, _)| options.wants(name)) {
        let names: Vec<&str> = sweeps.iter().map(|(name, _)| *name).collect();
        return Err(format!("{:?} is none of {}", options.only, names.join(", ")));
    }
    for (name, sweep) in sweeps {
        if options.wants(name) {
            held &= sweep(&room, options)?;
        }
    }
    Ok(held)
}

/// Makes what stays once it is there: directories in the root, the cgroup above the containers'.
fn warm_up(room: &Room) -> Result<()> {
    let line = "run --bundle @true ID";
    room.call(line)?.ok(line).map(|_| ())
}

/// The calls that the scenario's command makes when nobody hinders it.
fn dry_run(room: &Room, scenario: &Scenario) -> Result<BTreeMap<Role, Vec<i64>>> {
    let before = census::Census::take(room);
    let init = scenario.set_up(room)?;
    let (traced, output) = room.traced(scenario.line, init, None)?;
    if traced.ended != Ended::Exited(0) {
        return Err(format!("{}: {:?}, {:?}", scenario.name, traced.ended, output.stderr));
    }
    scenario.check(room, true)?;
    kill::gone(room, &before)?;
    Ok(traced.calls)
}
