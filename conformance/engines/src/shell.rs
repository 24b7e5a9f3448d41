//! Commands with an end: each is a line of shell, has its output kept, and is killed when it
//! takes too long.

use std::fs::{self, File};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use crate::cage::HOME;
use crate::error::{Doing, Error, Result};
use crate::pty::Pty;

/// The environment that the scripts of an engine run in.
pub(crate) struct Shell {
    variables: Vec<(String, String)>,
}

/// How a script ended. `code` is 128 and the signal for one that was killed.
pub(crate) struct Outcome {
    pub(crate) code: i32,
    pub(crate) said: String,
    pub(crate) took: Duration,
}

impl Shell {
    /// A shell with the cage's programs in front of the distribution's, and no others.
    pub(crate) fn new() -> Self {
        let mut shell = Self { variables: Vec::new() };
        shell.set("PATH", &format!("{HOME}/bin:/usr/sbin:/usr/bin:/sbin:/bin"));
        shell.set("HOME", HOME);
        shell.set("TMPDIR", HOME);
        shell
    }

    /// Sets a variable for all the scripts that follow.
    pub(crate) fn set(&mut self, name: &str, value: &str) {
        self.variables.retain(|(known, _)| known != name);
        self.variables.push((name.to_owned(), value.to_owned()));
    }

    /// Runs a script; its output goes to a file, so a process that it leaves holds nobody up.
    pub(crate) fn run(&self, script: &str, limit: Duration) -> Result<Outcome> {
        let place = format!("{HOME}/output");
        let output = File::create(&place).doing("make a file for the output")?;
        let errors = output.try_clone().doing("share the output")?;
        let mut command = Command::new("sh");
        command.args(["-euc", script]).envs(self.variables.clone());
        command.stdin(Stdio::null()).stdout(output).stderr(errors).process_group(0);
        let start = Instant::now();
        let mut child = command.spawn().doing("start a shell")?;
        let code = wait(&mut child, start + patient(limit))?;
        let took = start.elapsed();
        let said = fs::read(&place).doing("read the output")?;
        Ok(Outcome { code, said: String::from_utf8_lossy(&said).into_owned(), took })
    }

    /// Runs a script on a terminal of its own, and types each line of `keys` when there is a prompt.
    pub(crate) fn run_on_pty(&self, script: &str, keys: &str, limit: Duration) -> Result<Outcome> {
        let (mut pty, theirs) = Pty::open()?;
        let share = || theirs.try_clone().map(Stdio::from).doing("share a pty");
        let mut command = Command::new("setsid");
        command.args(["--ctty", "sh", "-euc", script]).envs(self.variables.clone());
        command.stdin(share()?).stdout(share()?).stderr(share()?);
        let start = Instant::now();
        let mut child = command.spawn().doing("start a shell on a pty")?;
        // The command holds copies of the pty's other end; without them no end would be seen.
        drop((command, theirs));
        pty.type_at_prompts(keys, patient(limit) / 2)?;
        let code = wait(&mut child, start + patient(limit))?;
        let took = start.elapsed();
        pty.drain();
        Ok(Outcome { code, said: pty.seen(), took })
    }

    /// Runs a script that has to work for there to be any checks.
    pub(crate) fn must(&self, script: &str, limit: Duration) -> Result<String> {
        let outcome = self.run(script, limit)?;
        match outcome.code {
            0 => Ok(outcome.said),
            _ => Err(Error::Command { script: script.to_owned(), said: outcome.said }),
        }
    }
}

/// How long to wait here for what takes no longer than `limit` elsewhere: `ENGINES_PATIENCE` times as
/// long, on a machine that is so much slower.
fn patient(limit: Duration) -> Duration {
    let patience = std::env::var("ENGINES_PATIENCE").ok().and_then(|times| times.parse().ok());
    limit * patience.unwrap_or(1)
}

/// Waits for a script until `end`, and then kills it with all that it started.
fn wait(child: &mut Child, end: Instant) -> Result<i32> {
    let group = Pid::from_raw(child.id() as i32);
    loop {
        if let Some(status) = child.try_wait().doing("wait for a script")? {
            return Ok(status.code().unwrap_or(128 + status.signal().unwrap_or_default()));
        }
        if Instant::now() > end {
            killpg(group, Signal::SIGKILL).doing("kill a script")?;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}
