//! The room: where a suite's file runs so that nothing it does outlives it.
//!
//! Three processes: the driver starts the *door* (this program with [`DOOR`]), which makes the
//! namespaces and starts the *keeper* (with [`KEEPER`]), the first process in them. The keeper makes
//! the file systems and a controlling terminal, starts the suite's command and reaps. When one of
//! them dies so do those after it, and with the keeper everything in the room.
//! All run as root in the machine's own user namespace; the room is for tidiness, not for safety.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::mount::{MsFlags, mount};
use nix::pty::openpty;
use nix::sched::{CloneFlags, unshare};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::{SigSet, Signal};
use nix::sys::wait::{WaitStatus, wait};
use nix::unistd::{Pid, pipe2, setsid, ttyname};

use crate::cgroups;
use crate::error::{Doing, Error, Result};

/// The first argument of the process that makes the namespaces.
pub(crate) const DOOR: &str = "--door";
/// The first argument of the process that runs the suite's command in them.
pub(crate) const KEEPER: &str = "--keeper";
/// Before the command, after the paths to keep.
const COMMAND: &str = "--";
/// A directory of the room's own, first in its PATH.
const PROGRAMS: &str = "/run/suites-programs";

/// A command for the room.
#[derive(Debug)]
pub(crate) struct Visit<'a> {
    /// What must stay visible if it is below the machine's `/tmp`: the room has its own.
    pub(crate) keep: &'a [PathBuf],
    /// The command's working directory.
    pub(crate) directory: &'a Path,
    /// The command: program and arguments.
    pub(crate) command: Vec<OsString>,
    /// What the command finds in its environment, besides the driver's own.
    pub(crate) environment: Vec<(&'static str, OsString)>,
}

impl Visit<'_> {
    /// Starts the command; its output can be read from the child's `stdout`, both streams in one.
    pub(crate) fn start(self) -> Result<Child> {
        let itself = std::env::current_exe().doing("find this program")?;
        let (from, to) = pipe2(OFlag::O_CLOEXEC).doing("make a pipe")?;
        let mut door = Command::new(itself);
        door.arg(DOOR).args(self.keep).arg(COMMAND).args(self.command);
        door.current_dir(self.directory).envs(self.environment);
        door.stdin(Stdio::null()).stdout(to.try_clone().doing("share a pipe")?).stderr(to);
        let mut child = door.spawn().doing("start the room's door")?;
        // The command's own copies of the pipe's end go when `door` does.
        drop(door);
        child.stdout = Some(ChildStdout::from(from));
        Ok(child)
    }
}

/// The door: makes the namespaces, and waits for the keeper.
pub(crate) fn door(arguments: &[OsString]) -> Result<u8> {
    set_pdeathsig(Signal::SIGKILL).doing("tie the door to the driver")?;
    let mut namespaces = CloneFlags::CLONE_NEWNS
        | CloneFlags::CLONE_NEWNET
        | CloneFlags::CLONE_NEWIPC
        | CloneFlags::CLONE_NEWUTS;
    // systemd is told of processes by their pids, which must be those that it knows.
    if !with_systemd() {
        namespaces |= CloneFlags::CLONE_NEWPID;
    }
    unshare(namespaces).doing("make the room's namespaces")?;
    let itself = std::env::current_exe().doing("find this program")?;
    let status =
        Command::new(itself).arg(KEEPER).args(arguments).status().doing("start the keeper")?;
    Ok(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(u8::MAX))
}

/// The keeper: makes the file systems and the terminal, runs the command and returns its exit code.
pub(crate) fn keeper(arguments: &[OsString]) -> Result<u8> {
    thaw_when_told_to_end()?;
    let mut parts = arguments.splitn(2, |argument| *argument == *COMMAND);
    let (keep, command) = (parts.next().unwrap_or(&[]), parts.next().unwrap_or(&[]));
    let [program, arguments @ ..] = command else {
        return Err(Error::Usage("the keeper was given no command".into()));
    };
    let directory = std::env::current_dir().doing("find the working directory")?;
    furnish(keep)?;
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut search = OsString::from(format!("{PROGRAMS}:"));
    search.push(path);
    let terminal = terminal()?;
    let child = Command::new(program)
        .args(arguments)
        // Again: what it named before may be under a new mount now.
        .current_dir(directory)
        .env("PATH", search)
        .stdin(terminal)
        .spawn()
        .doing(format!("start {}", program.to_string_lossy()))?;
    let is_child = |pid: Pid| u32::try_from(pid.as_raw()).is_ok_and(|pid| pid == child.id());
    let code = loop {
        match wait() {
            Ok(WaitStatus::Exited(pid, code)) if is_child(pid) => {
                break u8::try_from(code).unwrap_or(u8::MAX);
            }
            Ok(WaitStatus::Signaled(pid, signal, _)) if is_child(pid) => {
                break 128_u8.saturating_add(u8::try_from(signal as i32).unwrap_or(0));
            }
            Ok(_) | Err(Errno::EINTR) => {}
            Err(why) => return Err(why).doing("wait for the suite's command"),
        }
    };
    cgroups::thaw();
    Ok(code)
}

/// Makes the door's end the keeper's, and with it that of everything in the room.
///
/// A process in a frozen cgroup can't die, and the kernel would wait for it: the keeper thaws first,
/// and can since it sees just the processes of its own room.
fn thaw_when_told_to_end() -> Result<()> {
    let told = SigSet::from(Signal::SIGTERM);
    told.thread_block().doing("block a signal")?;
    set_pdeathsig(Signal::SIGTERM).doing("tie the keeper to the door")?;
    std::thread::spawn(move || {
        let _ = told.wait();
        cgroups::thaw();
        std::process::exit(1);
    });
    Ok(())
}

/// Is systemd the init of this machine?
fn with_systemd() -> bool {
    Path::new("/run/systemd/system").exists()
}

/// Makes the room's own `/proc`, `/run` and `/tmp`.
fn furnish(keep: &[OsString]) -> Result<()> {
    let none = None::<&str>;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).doing("make / private")?;
    mount(Some("proc"), "/proc", Some("proc"), MsFlags::empty(), none).doing("mount /proc")?;
    // Where systemd is the init the tests talk to it, and need its sockets.
    if !with_systemd() {
        tmpfs(Path::new("/run"), "mode=755")?;
    }
    fresh_tmp(keep)?;
    programs()?;
    // Best effort: few tests use it, and `ip` need not be there.
    let _ = Command::new("ip").args(["link", "set", "lo", "up"]).status();
    Ok(())
}

/// A new `/tmp` in which the paths of `keep` are still what they were.
fn fresh_tmp(keep: &[OsString]) -> Result<()> {
    let new = Path::new("/run/suites-tmp");
    fs::create_dir(new).doing("make a directory in /run")?;
    tmpfs(new, "mode=1777")?;
    for kept in keep.iter().map(Path::new) {
        let Ok(below) = kept.strip_prefix("/tmp") else {
            continue;
        };
        let place = new.join(below);
        if place.exists() {
            continue;
        }
        let doing = || format!("keep {}", kept.display());
        if kept.is_dir() {
            fs::create_dir_all(&place).doing(doing())?;
            let flags = MsFlags::MS_BIND | MsFlags::MS_REC;
            mount(Some(kept), &place, None::<&str>, flags, None::<&str>).doing(doing())?;
        } else {
            // A copy: runc lays an overlay over its own directory, which sees no bind mounts.
            fs::create_dir_all(place.parent().unwrap_or(new)).doing(doing())?;
            fs::copy(kept, &place).doing(doing())?;
        }
    }
    mount(Some(new), "/tmp", None::<&str>, MsFlags::MS_MOVE, None::<&str>).doing("move to /tmp")?;
    fs::remove_dir(new).doing("remove a directory in /run")
}

/// The room's own programs: `go env GOARCH`, which is all that runc's tests ask of Go.
fn programs() -> Result<()> {
    let script = format!(
        "#!/bin/sh\n[ \"$*\" = 'env GOARCH' ] && exec echo {}\necho \"go $*: not in this room\" >&2\nexit 1\n",
        go_architecture(),
    );
    let go = Path::new(PROGRAMS).join("go");
    fs::create_dir_all(PROGRAMS).doing("make the room's programs")?;
    fs::write(&go, script).doing("make the room's programs")?;
    fs::set_permissions(go, fs::Permissions::from_mode(0o755)).doing("make the room's programs")
}

/// Go's name of this machine's architecture.
pub(crate) fn go_architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "x86" => "386",
        "aarch64" => "arm64",
        "powerpc64" => "ppc64le",
        other => other,
    }
}

/// An empty tmpfs over a directory.
fn tmpfs(directory: &Path, options: &str) -> Result<()> {
    mount(Some("tmpfs"), directory, Some("tmpfs"), MsFlags::empty(), Some(options))
        .doing(format!("mount a tmpfs at {}", directory.display()))
}

/// Makes this process a session leader with a terminal of its own, which nobody types at.
fn terminal() -> Result<File> {
    setsid().doing("start a session")?;
    let pair = openpty(None, None).doing("open a pty")?;
    let name = ttyname(&pair.slave).doing("name a pty")?;
    // The first terminal that a session leader opens becomes the session's.
    let terminal = OpenOptions::new()
        .read(true)
        .write(true)
        .open(&name)
        .doing(format!("open {}", name.display()))?;
    let mut master = File::from(pair.master);
    std::thread::spawn(move || {
        let mut lost = [0; 4096];
        while let Ok(1..) = master.read(&mut lost) {}
    });
    Ok(terminal)
}
