//! Runs a command with limits, and prints what it used; on cgroup v1, hybrid and v2, as root:
//! `cargo run -p cgroup --example limit -- 64 50 dd if=/dev/zero of=/dev/null bs=32M count=9`
//! (at most 64 MiB of memory and half a processor).

use std::os::fd::AsRawFd;
use std::process::{Command, ExitCode};

use cgroup::{Cgroup, Cpu, Memory, OnDenied, Resources, Signal};

type Fallible<T> = Result<T, Box<dyn std::error::Error>>;

fn main() -> Fallible<ExitCode> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [mebibytes, percent, command @ ..] = &words[..] else {
        eprintln!("usage: limit MEBIBYTES PERCENT COMMAND...");
        return Ok(ExitCode::from(2));
    };
    let limit = Some(mebibytes.parse::<i64>()? << 20);
    let quota = Some(percent.parse::<i64>()? * 1000);
    let mut cgroup = Cgroup::place(Some(&format!("/limit-{}", std::process::id())), "limit")?;
    let created = cgroup.create(OnDenied::Fail)?;
    let resources = Resources {
        memory: Memory { limit, swap: limit, ..Memory::default() },
        cpu: Cpu { quota, period: Some(100_000), ..Cpu::default() },
        ..Resources::default()
    };
    let ended =
        cgroup.set(&resources).map_err(Into::into).and_then(|()| run(&created.join, command));
    let used = cgroup.stats();
    let killed = cgroup.oom_kills();
    clean(&cgroup)?;
    let (ended, used) = (ended?, used?);
    println!(
        "{} ms of processor, at most {} KiB of memory, {} tasks left, {} killed for memory",
        used.cpu.total / 1_000_000,
        used.memory.usage.max >> 10,
        used.pids,
        killed?
    );
    Ok(if ended { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// A shell joins, then becomes the command: what a runtime does in the child that it clones.
fn run(join: &cgroup::Join, command: &[String]) -> Fallible<bool> {
    let us = std::process::id();
    let mut script = String::new();
    for file in join.files() {
        script += &format!("echo 0 > /proc/{us}/fd/{} && ", file.as_raw_fd());
    }
    if let Some(dir) = join.dir() {
        script += &format!("echo 0 > /proc/{us}/fd/{}/cgroup.procs && ", dir.as_raw_fd());
    }
    let script = script + "exec \"$@\"";
    Ok(Command::new("sh").args(["-c", &script, "sh"]).args(command).status()?.success())
}

fn clean(cgroup: &Cgroup) -> cgroup::Result<()> {
    cgroup.kill(Signal::SIGKILL)?;
    cgroup.delete()
}
