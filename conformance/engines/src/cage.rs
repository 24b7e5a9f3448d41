//! The cage: where an engine runs so that nothing it does outlives it.

use std::fs;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitStatus, Stdio};

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;

use crate::cgroups;
use crate::error::{Doing, Error, Result};

/// The cage's own directory: the runtime, configuration, logs and images.
pub(crate) const HOME: &str = "/run/engines";

/// Makes the namespaces, starts `inside` below an init that reaps, and waits for it.
///
/// The init is tini with `-p SIGKILL`: when this process is killed, the cage dies as well.
pub(crate) fn enter() -> Result<ExitStatus> {
    set_pdeathsig(Signal::SIGKILL).doing("ask to die with the driver")?;
    cgroups::join()?;
    let namespaces = CloneFlags::CLONE_NEWNS
        | CloneFlags::CLONE_NEWNET
        | CloneFlags::CLONE_NEWPID
        | CloneFlags::CLONE_NEWUTS
        | CloneFlags::CLONE_NEWIPC
        | CloneFlags::CLONE_NEWCGROUP;
    unshare(namespaces).doing("make the cage's namespaces")?;
    // Behind the namespace, whose root this leaves; and here, since nobody inside has a name for this process.
    cgroups::leave_the_root()?;
    let itself = std::env::current_exe().doing("find this program")?;
    let arguments = std::env::args().skip(1).filter(|argument| argument != "--cage");
    let mut init = Command::new("docker-init");
    init.args(["-s", "-p", "SIGKILL", "--"]).arg(itself).arg("--inside").args(arguments);
    init.stdin(Stdio::null()).process_group(0).status().doing("start the cage's init")
}

/// Makes the cage's file systems: an own `/proc` and `/sys`, an empty `/run`, and an `/etc`, `/var`
/// and `/opt` whose changes go to memory.
pub(crate) fn furnish() -> Result<()> {
    let none = None::<&str>;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).doing("make / private")?;
    mount(Some("proc"), "/proc", Some("proc"), MsFlags::empty(), none).doing("mount /proc")?;
    cgroups::mount_again()?;
    fresh("/run", "mode=755")?;
    // podman keeps its locks there.
    fresh("/dev/shm", "mode=1777")?;
    for directory in ["etc", "var", "opt"] {
        let (upper, work) = (format!("{HOME}/{directory}"), format!("{HOME}/{directory}.work"));
        for directory in [&upper, &work] {
            fs::create_dir_all(directory).doing(format!("make {directory}"))?;
        }
        let options = format!("lowerdir=/{directory},upperdir={upper},workdir={work}");
        let place = format!("/{directory}");
        mount(Some("overlay"), place.as_str(), Some("overlay"), MsFlags::empty(), Some(&*options))
            .doing(format!("mount an overlay at {place}"))?;
    }
    // An overlay can't be the upper layer of another one, and this is where the engines make them.
    for storage in ["/var/lib/containers", "/var/lib/containerd", "/var/lib/docker"] {
        fresh(storage, "mode=755")?;
    }
    // As systemd has it: a runtime that does not keep its mounts to itself is found out.
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_SHARED, none).doing("make / shared")?;
    let up = Command::new("ip").args(["link", "set", "lo", "up"]).status().doing("start ip")?;
    match up.success() {
        true => Ok(()),
        false => Err(Error::Command { script: "ip link set lo up".into(), said: up.to_string() }),
    }
}

/// An empty tmpfs over a directory, which is made if it is missing.
fn fresh(directory: &str, mode: &str) -> Result<()> {
    fs::create_dir_all(directory).doing(format!("make {directory}"))?;
    mount(Some("tmpfs"), directory, Some("tmpfs"), MsFlags::empty(), Some(mode))
        .doing(format!("mount a tmpfs at {directory}"))
}
