//! Drives podman, containerd and Docker, as Debian packages them, with a given runtime.
//!
//! Each engine runs in a cage of its own: private mount, network, pid and cgroup namespaces with a
//! fresh `/run`, `/sys` and storage, so that whatever it leaves dies with the cage. What it leaves
//! is looked at before that, and is a failure.
//!
//! The program runs itself twice for each engine: `cage` makes the namespaces, and `inside`, which
//! is the child of the cage's pid 1, starts the engine and does the checks.
#![forbid(unsafe_code)]

mod cage;
mod cgroups;
mod check;
mod checks;
mod engine;
mod error;
mod leaks;
mod pty;
mod running;
mod setup;
mod shell;

use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};

use engine::Engine;
use error::{Doing, Error, Result};
use running::Running;

const USAGE: &str =
    "usage: engines [--only ENGINE] [--match TEXT] [--shell SCRIPT] RUNTIME BUSYBOX_ROOT DEBIAN_ROOT
  --only ENGINE   podman, containerd or docker
  --match TEXT    only the checks whose name has TEXT in it
  --shell SCRIPT  no checks: start the engine, run SCRIPT in its cage, and show what it says";

/// The line with which a cage says that none of its checks is missing.
const END: &str = "end";

/// What the command line asks for; the stages pass it on to each other as it is.
struct Options {
    stage: Stage,
    only: Option<Engine>,
    matching: String,
    script: Option<String>,
    runtime: PathBuf,
    busybox: PathBuf,
    debian: PathBuf,
}

enum Stage {
    Outside,
    Cage,
    Inside,
}

impl Options {
    fn parse(mut args: impl Iterator<Item = String>) -> Result<Self> {
        let (mut only, mut matching, mut script) = (None, String::new(), None);
        let (mut stage, mut roots) = (Stage::Outside, Vec::new());
        while let Some(arg) = args.next() {
            let mut value = || args.next().ok_or_else(|| Error::Usage(USAGE.to_owned()));
            match arg.as_str() {
                "--cage" => stage = Stage::Cage,
                "--inside" => stage = Stage::Inside,
                "--only" => only = Some(Engine::named(&value()?)?),
                "--match" => matching = value()?,
                "--shell" => script = Some(value()?),
                _ => roots.push(PathBuf::from(arg)),
            }
        }
        let [runtime, busybox, debian] =
            <[PathBuf; 3]>::try_from(roots).map_err(|_| Error::Usage(USAGE.to_owned()))?;
        Ok(Self { stage, only, matching, script, runtime, busybox, debian })
    }
}

fn main() -> ExitCode {
    let done = Options::parse(std::env::args().skip(1)).and_then(|options| match options.stage {
        Stage::Outside => outside(&options),
        Stage::Cage => cage::enter().map(|status| status.success()),
        Stage::Inside => inside(&options),
    });
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("engines: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Runs the engines, all at the same time, prints what each says, and adds it up.
fn outside(options: &Options) -> Result<bool> {
    let engines = options.only.map_or(Engine::ALL.to_vec(), |only| vec![only]);
    let (mut passed, mut failed, mut skipped) = (0, 0, 0);
    let cages: Vec<_> = engines.into_iter().map(|engine| (engine, in_cage(engine))).collect();
    for (engine, cage) in cages {
        let mut finished = false;
        for line in cage {
            match line.split_whitespace().next() {
                Some("ok") => passed += 1,
                Some("FAIL") => failed += 1,
                Some("skip" | "later") => skipped += 1,
                _ => {}
            }
            match line.as_str() {
                END => finished = true,
                line => println!("{line}"),
            }
            std::io::stdout().flush().doing("print")?;
        }
        if !finished {
            failed += 1;
            println!("FAIL   {}: its checks did not come to their end", engine.name());
        }
    }
    if options.script.is_none() {
        println!("{passed} passed, {failed} failed, {skipped} skipped");
    }
    Ok(failed == 0)
}

/// Runs an engine in its cage, in a thread; the lines come as they are printed.
fn in_cage(engine: Engine) -> Receiver<String> {
    let (lines, receiver) = channel();
    std::thread::spawn(move || {
        if let Err(error) = cage_lines(engine, &lines) {
            // The other side has no interest in more only when it is gone itself.
            let _ = lines.send(format!("engines: {}: {error}", engine.name()));
        }
    });
    receiver
}

fn cage_lines(engine: Engine, lines: &Sender<String>) -> Result<()> {
    let groups = cgroups::Groups::make(engine.name())?;
    let mut cage = Command::new("/proc/self/exe")
        .args(["--cage", "--only", engine.name()])
        .args(std::env::args().skip(1))
        .env(cgroups::VARIABLE, groups.to_string())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .doing("start a cage")?;
    for line in cage.stdout.take().into_iter().flat_map(|out| BufReader::new(out).lines()) {
        let _ = lines.send(line.doing("read from the cage")?);
    }
    cage.wait().doing("wait for the cage").map(|_| ())
}

/// Does the checks of the one engine of this cage.
fn inside(options: &Options) -> Result<bool> {
    let engine = options.only.ok_or_else(|| Error::Usage(USAGE.to_owned()))?;
    cage::furnish()?;
    let mut running = Running::start(engine, options)?;
    match &options.script {
        Some(script) => println!("{}", running.say(script)?),
        None => running.check_all(&options.matching)?,
    }
    running.finish()?;
    println!("{END}");
    Ok(true)
}
