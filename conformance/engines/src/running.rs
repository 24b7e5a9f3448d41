//! An engine at work: its checks, its end, and what it leaves.

use std::fs;
use std::io::Write;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::Options;
use crate::cage::HOME;
use crate::check::Check;
use crate::engine::Engine;
use crate::error::{Doing, Result};
use crate::leaks::{self, Before};
use crate::setup::set_up;
use crate::shell::Shell;

/// How long a check may take.
const LIMIT: Duration = Duration::from_secs(30);

/// An engine that was started, and what was there before.
pub(crate) struct Running {
    engine: Engine,
    before: Before,
    shell: Shell,
    /// Commands that the runtime was found to have or to lack.
    lacks: Vec<&'static str>,
}

impl Running {
    /// Starts the engine.
    pub(crate) fn start(engine: Engine, options: &Options) -> Result<Self> {
        let before = Before::look()?;
        let shell = set_up(engine, options)?;
        let mut running = Self { engine, before, shell, lacks: Vec::new() };
        running.lacks = running.lacking(&["update"])?;
        Ok(running)
    }

    /// Those of these commands that the runtime does not know.
    fn lacking(&self, commands: &[&'static str]) -> Result<Vec<&'static str>> {
        let mut lacks = Vec::new();
        for command in commands {
            if self.shell.run(&format!("{HOME}/bin/tare {command} --help"), LIMIT)?.code != 0 {
                lacks.push(*command);
            }
        }
        Ok(lacks)
    }

    /// Runs a script in the engine's environment, and gives what it says.
    pub(crate) fn say(&mut self, script: &str) -> Result<String> {
        self.shell.set("W", HOME);
        Ok(self.shell.run(script, 10 * LIMIT)?.said)
    }

    /// Runs the engine's checks, and prints a line for each.
    pub(crate) fn check_all(&mut self, matching: &str) -> Result<()> {
        println!("\n{}", self.engine.name());
        for (number, check) in self.engine.checks().iter().enumerate() {
            if check.name.contains(matching) {
                self.check(number, check)?;
            }
        }
        Ok(())
    }

    fn check(&mut self, number: usize, check: &Check) -> Result<()> {
        if let Some(why) = &check.skip {
            return print("skip", &format!("{}: {why}", check.name));
        }
        if let Some(command) = check.needs.filter(|needs| self.lacks.contains(needs)) {
            return print("later", &format!("{}: the runtime has no `{command}` yet", check.name));
        }
        let (name, work) = (format!("c{number}"), format!("{HOME}/work/{number}"));
        fs::create_dir_all(&work).doing(format!("make {work}"))?;
        self.shell.set("N", &name);
        self.shell.set("W", &work);
        let shell = &self.shell;
        let outcome = match check.typed {
            Some(keys) => shell.run_on_pty(&check.script, keys, LIMIT)?,
            None => shell.run(&check.script, LIMIT)?,
        };
        match check.fault(&outcome) {
            None => print("ok", &format!("{} ({:.1} s)", check.name, outcome.took.as_secs_f64())),
            Some(fault) => print("FAIL", &format!("{}: {fault}", check.name)),
        }?;
        if check.script.contains("$N") || check.script.contains("${N}") {
            self.shell.run(self.engine.removal(), LIMIT)?;
        }
        Ok(())
    }

    /// Stops the engine, looks at what is left, and prints a line for each kind of thing.
    pub(crate) fn finish(self) -> Result<()> {
        if self.engine == Engine::Podman {
            // A user's podman keeps a process that holds his namespaces, until this.
            self.shell.run("cd $HOME/rootless; rootless system migrate", LIMIT)?;
        }
        let engine = self.engine;
        let states = leaks::settle(|| Ok(leaks::states(engine.states())))?;
        left("state of the runtime", &states)?;
        left("cgroup", &leaks::settle(|| Ok(self.before.cgroups(engine.cgroups())))?)?;
        for daemon in engine.daemons() {
            stop(daemon)?;
        }
        left("process", &leaks::settle(leaks::processes)?)?;
        left("mount", &leaks::settle(|| self.before.mounts(engine.mounts()))?)
    }
}

/// Stops the daemon of that name; no others are in the cage's pid namespace.
fn stop(daemon: &str) -> Result<()> {
    let start = Instant::now();
    let mut signal = Some(Signal::SIGTERM);
    loop {
        let all = leaks::processes()?;
        let found =
            all.iter().find_map(|process| process.split_once(' ').filter(|p| p.1 == daemon));
        let Some(pid) = found.and_then(|(pid, _)| pid.parse().ok()) else {
            return Ok(());
        };
        if start.elapsed() > Duration::from_secs(15) {
            signal = Some(Signal::SIGKILL);
        }
        if let Some(signal) = signal.take() {
            kill(Pid::from_raw(pid), signal).doing(format!("stop {daemon}"))?;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The result of looking for what is left.
fn left(what: &str, found: &[String]) -> Result<()> {
    match found {
        [] => print("ok", &format!("no {what} is left")),
        found => print("FAIL", &format!("no {what} is left: there is {}", found.join(", "))),
    }
}

/// One line of the report.
fn print(word: &str, text: &str) -> Result<()> {
    println!("{word:<6} {text}");
    std::io::stdout().flush().doing("print")
}
