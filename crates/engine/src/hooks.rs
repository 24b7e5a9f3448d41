//! Running hooks (config.md, "POSIX-platform Hooks"): the state on stdin, a time limit, and what they
//! printed in the error when they fail.

use std::ffi::{CString, OsStr};
use std::fmt;
use std::fs::OpenOptions;
use std::io::{Seek, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use log::debug;
use nix::poll::PollTimeout;
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::signal::SigSet;
use nix::unistd::Pid;
use plan::HookKind;
use sys::Context;

use crate::error::{Error, Result};
use crate::process::Process;

/// How much of a failed hook's output is shown.
const SHOWN: usize = 2048;

/// A hook that failed.
#[derive(Debug)]
pub struct Failure {
    /// Its kind.
    pub kind: HookKind,
    /// Its place among those of its kind.
    pub index: usize,
    /// Its program.
    pub path: String,
    /// How it failed.
    pub how: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Failure { kind, index, path, how } = self;
        write!(f, "error running {} hook #{index}: {path}: {how}", kind.name())
    }
}

/// Files that what hooks print is appended to (crun's annotations `run.oci.hooks.stdout` and
/// `.stderr`); where there is none it is kept for the error of a hook that fails.
#[derive(Debug, Default)]
pub(crate) struct HookFiles {
    stdout: Option<OwnedFd>,
    stderr: Option<OwnedFd>,
}

impl HookFiles {
    /// Opens the files that annotations name, relative ones below the bundle.
    pub(crate) fn open(annotations: &spec::StringMap<'_>, bundle: &str) -> Result<HookFiles> {
        let open = |path: Option<&str>| -> Result<Option<OwnedFd>> {
            let Some(path) = path else { return Ok(None) };
            let path = Path::new(bundle).join(path);
            let file = OpenOptions::new().append(true).create(true).mode(0o600).open(&path);
            Ok(Some(file.at("open", path.to_string_lossy())?.into()))
        };
        if annotations.is_empty() {
            return Ok(HookFiles::default());
        }
        let [stdout, stderr] = plan::hook_files(annotations);
        Ok(HookFiles { stdout: open(stdout)?, stderr: open(stderr)? })
    }

    /// Their descriptors.
    pub(crate) fn descriptors(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.stdout.iter().chain(&self.stderr).map(AsFd::as_fd)
    }
}

/// Where hooks run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place<'a> {
    /// Their working directory.
    pub(crate) directory: &'a Path,
    /// What a hook finds in its environment that doesn't name it: these, or what this process has.
    pub(crate) environment: Option<&'a [CString]>,
    /// Where what they print goes.
    pub(crate) files: &'a HookFiles,
}

impl<'a> Place<'a> {
    /// With the runtime's own environment.
    pub(crate) fn of_runtime(bundle: &'a str, files: &'a HookFiles) -> Place<'a> {
        Place { directory: Path::new(bundle), environment: None, files }
    }
}

/// Runs the hooks of one kind, in order, each with `state` on stdin; the first failure ends it.
pub(crate) fn run(
    kind: HookKind,
    hooks: &[spec::Hook<'_>],
    state: &spec::State<'_>,
    place: Place<'_>,
) -> Result<()> {
    if hooks.is_empty() {
        return Ok(());
    }
    let state = serde_json::to_vec(state)
        .map_err(|error| Error::Damaged { file: "state".to_owned(), why: error.to_string() })?;
    for (index, hook) in hooks.iter().enumerate() {
        let _step = crate::trace::hook(kind.name(), &hook.path);
        debug!("hook {}[{index}]: {}", kind.name(), hook.path);
        run_one(hook, &state, place).map_err(|how| {
            Error::Hook(Failure { kind, index, path: hook.path.as_str().to_owned(), how })
        })?;
    }
    Ok(())
}

fn run_one(
    hook: &spec::Hook<'_>,
    state: &[u8],
    place: Place<'_>,
) -> std::result::Result<(), String> {
    let text = |error: sys::Error| error.to_string();
    // Memory files, not pipes: a hook that reads nothing, or prints much, blocks nobody.
    let input = memory_file(state).map_err(text)?;
    let output = memory_file(b"").map_err(text)?;
    let copy = |file: &Option<OwnedFd>| {
        file.as_ref().unwrap_or(&output).try_clone().at("dup", "").map_err(text)
    };
    let mut command = Command::new(hook.path.as_str());
    command
        .current_dir(place.directory)
        .stdin(Stdio::from(input))
        .stdout(Stdio::from(copy(&place.files.stdout)?))
        .stderr(Stdio::from(copy(&place.files.stderr)?));
    if let Some((name, arguments)) = hook.args.split_first() {
        command.arg0(name.as_str()).args(arguments.iter().map(spec::Text::as_str));
    }
    set_environment(&mut command, hook, place.environment);
    // A runtime in the foreground holds back nearly all; the hook could not even be ended.
    if SigSet::thread_get_mask().is_ok_and(|held| held.iter().next().is_some()) {
        sys::unblock_signals_of(&mut command);
    }
    let mut child = command.spawn().at("fork/exec", &*hook.path).map_err(text)?;
    let status = wait(&mut child, hook.timeout)?;
    if status.success() {
        return Ok(());
    }
    let printed = shown(output);
    Err(format!("{}, output: {printed}", describe(status)))
}

/// As runc: a hook's environment is what it names, and if it names none what its place has.
fn set_environment(command: &mut Command, hook: &spec::Hook<'_>, default: Option<&[CString]>) {
    let variables: Vec<&[u8]> = match (&hook.env, default) {
        (Some(named), _) => named.iter().map(|variable| variable.as_bytes()).collect(),
        (None, Some(default)) => default.iter().map(|variable| variable.as_bytes()).collect(),
        (None, None) => return,
    };
    command.env_clear();
    for variable in variables {
        let mut parts = variable.splitn(2, |byte| *byte == b'=');
        if let (Some(name), Some(value)) = (parts.next(), parts.next()) {
            command.env(OsStr::from_bytes(name), OsStr::from_bytes(value));
        }
    }
}

fn memory_file(contents: &[u8]) -> std::result::Result<OwnedFd, sys::Error> {
    let fd = memfd_create(c"hook", MFdFlags::MFD_CLOEXEC).at("memfd_create", "hook")?;
    let mut file = std::fs::File::from(fd);
    file.write_all(contents).at("write", "hook")?;
    file.rewind().at("lseek", "hook")?;
    Ok(file.into())
}

/// Waits for the hook, at most its timeout (seconds); one that takes longer is killed.
fn wait(child: &mut Child, timeout: Option<i64>) -> std::result::Result<ExitStatus, String> {
    let text = |error: sys::Error| error.to_string();
    if let Some(seconds) = timeout {
        let limit = Duration::from_secs(u64::try_from(seconds).unwrap_or_default());
        let pid = Pid::from_raw(i32::try_from(child.id()).unwrap_or_default());
        let process = Process::of_child(pid).map_err(|error| error.to_string())?;
        if !ended_within(&process, limit).map_err(text)? {
            child.kill().at("kill", "hook").map_err(text)?;
            child.wait().at("wait", "hook").map_err(text)?;
            return Err(format!("hook ran past specified timeout of {:.1}s", limit.as_secs_f64()));
        }
    }
    child.wait().at("wait", "hook").map_err(text)
}

fn ended_within(process: &Process, limit: Duration) -> std::result::Result<bool, sys::Error> {
    let deadline = Instant::now() + limit;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        // Rounded up, or the last millisecond would be spent spinning.
        let left = left.as_millis().saturating_add(u128::from(!left.is_zero()));
        let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
        match process.poll(&mut [], timeout) {
            Ok(false) if Instant::now() >= deadline => return Ok(false),
            Ok(false) | Err(nix::Error::EINTR) => {}
            other => return other.at("poll", "hook"),
        }
    }
}

fn shown(output: OwnedFd) -> String {
    let mut file = std::fs::File::from(output);
    let bytes = file.rewind().ok().and_then(|()| crate::store::read_all(file.as_fd()).ok());
    let bytes = bytes.unwrap_or_default();
    let end = bytes.len().min(SHOWN);
    let text = String::from_utf8_lossy(bytes.get(..end).unwrap_or_default()).into_owned();
    text.trim_end().replace('\n', "\\n")
}

/// `exit status 1` or `signal: killed`, as Go's runtime words it.
fn describe(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit status {code}"),
        (None, Some(signal)) => {
            let core = if status.core_dumped() { " (core dumped)" } else { "" };
            format!("signal: {}{core}", sys::describe_signal(signal))
        }
        (None, None) => "ended".to_owned(),
    }
}
