//! The place where all of it happens, and calls of the runtime there.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::sys::signalfd::SignalFd;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use serde_json::{Value, json};

use crate::Result;
use crate::census;
use crate::hindered::{self, Hindrance};
use crate::tracer::{self, Ended, Point, Traced};

/// The container's id, the same at every point: none may become unusable.
pub(crate) const ID: &str = "c";
/// No untraced command takes longer.
const PATIENCE: Duration = Duration::from_secs(20);

/// A directory with bundles, a state directory, and what commands print.
pub(crate) struct Room {
    directory: PathBuf,
    runtime: PathBuf,
    /// The cgroup above all containers' in it.
    pub(crate) cgroup: String,
    /// SIGCHLD.
    signals: SignalFd,
    /// Commands that nobody has waited for yet.
    commands: RefCell<BTreeSet<i32>>,
    /// The bundles, as they are.
    bundles: Vec<(&'static str, Value)>,
}

/// What came of a command that was not traced.
#[derive(Debug)]
pub(crate) struct Output {
    pub(crate) ended: Ended,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Output {
    /// What it printed, if it succeeded.
    pub(crate) fn ok(self, words: &str) -> Result<String> {
        match self.ended {
            Ended::Exited(0) => Ok(self.stdout),
            ended => Err(format!("{words}: {ended:?}, {:?}", self.stderr)),
        }
    }

    /// Whether it succeeded; else it must have said why, in one sentence.
    pub(crate) fn succeeded(&self) -> Result<bool> {
        let sentence = self.stderr.strip_suffix('\n').unwrap_or(&self.stderr);
        let is_one =
            !sentence.is_empty() && !sentence.contains('\n') && !sentence.contains("panicked");
        match self.ended {
            Ended::Hung | Ended::Left => Err("hangs".to_owned()),
            Ended::Killed(signal) => Err(format!("ended by {signal}")),
            Ended::Exited(0) => Ok(true),
            Ended::Exited(_) if is_one => Ok(false),
            Ended::Exited(_) => Err("not one sentence".to_owned()),
        }
    }
}

impl Room {
    pub(crate) fn make(runtime: &Path, rootfs: &Path) -> Result<Room> {
        let name = format!("sweep-{}", std::process::id());
        let directory = std::env::temp_dir().join(&name);
        let absolute = |path: &Path| {
            fs::canonicalize(path).map_err(|error| format!("{}: {error}", path.display()))
        };
        let mut room = Room {
            directory,
            runtime: absolute(runtime)?,
            cgroup: name,
            signals: tracer::hold_child_signals()?,
            commands: RefCell::default(),
            bundles: Vec::new(),
        };
        for inner in ["out", "state"] {
            let path = room.path(inner);
            fs::create_dir_all(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        }
        let plain = room.config(&absolute(rootfs)?)?;
        let mut other = plain.clone();
        other["process"]["args"] = json!(["/busybox", "true"]);
        room.bundles.push(("plain", plain.clone()));
        room.bundles.push(("true", other));
        let mut staged = plain;
        if let Some(namespaces) = staged["linux"]["namespaces"].as_array_mut() {
            namespaces.push(json!({ "type": "time" }));
        }
        staged["linux"]["timeOffsets"] = json!({ "monotonic": { "secs": 100 } });
        room.bundles.push(("staged", staged));
        room.change_bundles(|_| ())?;
        Ok(room)
    }

    /// A file or directory in it.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// What the runtime's own `spec` writes, with what engines add: limits, a filter, a process that
    /// stays.
    fn config(&self, rootfs: &Path) -> Result<Value> {
        let base = self.path("base");
        fs::create_dir_all(&base).map_err(|error| format!("{}: {error}", base.display()))?;
        self.call("spec --bundle @base")?.ok("spec")?;
        let text = fs::read_to_string(base.join("config.json")).map_err(|e| e.to_string())?;
        let mut config: Value = serde_json::from_str(&text).map_err(|e| e.to_string())?;
        config["root"] = json!({ "path": rootfs });
        config["process"]["terminal"] = json!(false);
        config["process"]["args"] = json!(["/busybox", "sleep", "1000"]);
        config["linux"]["cgroupsPath"] = json!(format!("/{}/{ID}", self.cgroup));
        config["linux"]["resources"]["pids"] = json!({ "limit": 100 });
        config["linux"]["resources"]["memory"] = json!({ "limit": 256 << 20 });
        config["linux"]["seccomp"] = json!({
            "defaultAction": "SCMP_ACT_ALLOW",
            "syscalls": [{ "names": ["acct"], "action": "SCMP_ACT_ERRNO" }]
        });
        Ok(config)
    }

    /// Writes all bundles as they are but for a change.
    pub(crate) fn change_bundles(&self, change: impl Fn(&mut Value)) -> Result<()> {
        self.bundles.iter().try_for_each(|(name, config)| {
            let mut config = config.clone();
            change(&mut config);
            self.bundle(name, &config)
        })
    }

    fn bundle(&self, name: &str, config: &Value) -> Result<()> {
        let directory = self.path(name);
        fs::create_dir_all(&directory).map_err(|e| format!("{name}: {e}"))?;
        fs::write(directory.join("config.json"), config.to_string())
            .map_err(|e| format!("{name}: {e}"))
    }

    /// A bundle like the plain one, for a container of its own.
    pub(crate) fn variant(&self, id: &str) -> Result<()> {
        let text = fs::read_to_string(self.path("plain/config.json")).map_err(|e| e.to_string())?;
        let mut config: Value = serde_json::from_str(&text).map_err(|e| e.to_string())?;
        config["linux"]["cgroupsPath"] = json!(format!("/{}/{id}", self.cgroup));
        self.bundle(id, &config)
    }

    /// The words of a command line: `ID` is the container's, `@NAME` a path in this room.
    fn words(&self, line: &str) -> Vec<String> {
        let global = ["--root".to_owned(), self.path("state").display().to_string()];
        let words = line.split_ascii_whitespace().map(|word| match word.strip_prefix('@') {
            Some(name) => self.path(name).display().to_string(),
            None if word == "ID" => ID.to_owned(),
            None => word.to_owned(),
        });
        global.into_iter().chain(words).collect()
    }

    /// The command, with its streams in files: what a container inherits must keep nobody waiting.
    fn command(&self, program: &Path, words: &[String], name: &str) -> Result<Command> {
        let file = |stream: &str| {
            let path = self.path(&format!("{name}.{stream}"));
            File::create(&path).map_err(|error| format!("{}: {error}", path.display()))
        };
        let mut command = Command::new(program);
        command.args(words).stdin(Stdio::null()).stdout(file("out")?).stderr(file("err")?);
        command.current_dir(&self.directory).env_remove("RUST_BACKTRACE");
        Ok(command)
    }

    fn output(&self, name: &str, ended: Ended) -> Output {
        let text = |stream: &str| {
            let bytes = fs::read(self.path(&format!("{name}.{stream}"))).unwrap_or_default();
            String::from_utf8_lossy(&bytes).into_owned()
        };
        Output { ended, stdout: text("out"), stderr: text("err") }
    }

    /// Runs a command of the runtime.
    pub(crate) fn call(&self, line: &str) -> Result<Output> {
        let mut child = self.spawn(line, "call")?;
        Ok(self.output("call", self.end_of(&mut child)?))
    }

    /// Starts a command, whose streams go to files that begin with `name`.
    pub(crate) fn spawn(&self, line: &str, name: &str) -> Result<Child> {
        self.spawn_through(&[], line, name, [None, None, None])
    }

    /// Runs a command of the runtime whose output goes elsewhere; with `stderr` also what it says.
    pub(crate) fn call_into(
        &self,
        line: &str,
        stdout: Stdio,
        stderr: Option<Stdio>,
    ) -> Result<Output> {
        let mut child = self.spawn_through(&[], line, "call", [None, Some(stdout), stderr])?;
        self.wait(&mut child, "call")
    }

    /// Starts a command through another program, if there is one, with its words before those of the runtime;
    /// and with streams of the caller's where there are some.
    pub(crate) fn spawn_through(
        &self,
        through: &[&str],
        line: &str,
        name: &str,
        streams: [Option<Stdio>; 3],
    ) -> Result<Child> {
        let mut words: Vec<String> = through.iter().map(|word| (*word).to_owned()).collect();
        words.push(self.runtime.display().to_string());
        words.extend(self.words(line));
        let (program, words) = words.split_first().ok_or("no program")?;
        let mut command = self.command(Path::new(program), words, name)?;
        let [stdin, stdout, stderr] = streams;
        stdin.map(|stdin| command.stdin(stdin));
        stdout.map(|stdout| command.stdout(stdout));
        stderr.map(|stderr| command.stderr(stderr));
        let child = command.spawn().map_err(|error| format!("{line}: {error}"))?;
        self.commands.borrow_mut().insert(child.id() as i32);
        Ok(child)
    }

    /// Runs a command of the runtime without what it needs.
    pub(crate) fn call_hindered(&self, line: &str, hindrances: &[Hindrance]) -> Result<Output> {
        let hindrances: Vec<String> = hindrances.iter().map(Hindrance::word).collect();
        let mut through = vec!["/proc/self/exe", hindered::DOOR];
        through.extend(hindrances.iter().map(String::as_str).chain(["--"]));
        let mut child = self.spawn_through(&through, line, "hindered", [None, None, None])?;
        self.wait(&mut child, "hindered")
    }

    /// Waits for a command that was spawned with this name.
    pub(crate) fn wait(&self, child: &mut Child, name: &str) -> Result<Output> {
        Ok(self.output(name, self.end_of(child)?))
    }

    /// Waits for a command; what hangs is ended. Orphans are reaped meanwhile, as everywhere: an init
    /// that has ended waits until all of its pid namespace are.
    fn end_of(&self, child: &mut Child) -> Result<Ended> {
        let deadline = Instant::now() + PATIENCE;
        let mut pause = Duration::from_micros(200);
        let ended = loop {
            let mut orphans = census::children(std::process::id());
            orphans.retain(|pid| !self.commands.borrow().contains(pid));
            for orphan in orphans {
                let flags = WaitPidFlag::WNOHANG | WaitPidFlag::__WALL;
                let _ = waitpid(Pid::from_raw(orphan), Some(flags));
            }
            match child.try_wait().map_err(|error| format!("wait: {error}"))? {
                Some(status) => {
                    let signal = status.signal().and_then(|number| Signal::try_from(number).ok());
                    let exited = Ended::Exited(status.code().unwrap_or(-1));
                    break signal.map_or(exited, Ended::Killed);
                }
                None if Instant::now() > deadline => {
                    let _ = child.kill();
                    let _ = child.wait();
                    break Ended::Hung;
                }
                None => std::thread::sleep(pause),
            }
            pause = (pause * 2).min(Duration::from_millis(5));
        };
        self.commands.borrow_mut().remove(&(child.id() as i32));
        Ok(ended)
    }

    /// Runs a command of the runtime under the tracer.
    pub(crate) fn traced(
        &self,
        line: &str,
        init: Option<i32>,
        point: Option<&Point>,
    ) -> Result<(Traced, Output)> {
        let mut words = vec![tracer::DOOR.to_owned(), self.runtime.display().to_string()];
        words.extend(self.words(line));
        let mut command = self.command(Path::new("/proc/self/exe"), &words, "traced")?;
        let traced = tracer::run(&mut command, init, point, &self.signals)?;
        self.commands.borrow_mut().extend(traced.left.iter().map(|child| child.id() as i32));
        let output = self.output("traced", traced.ended);
        Ok((traced, output))
    }

    /// Takes away what commands have written for their callers.
    pub(crate) fn clear(&self) {
        for file in fs::read_dir(self.path("out")).into_iter().flatten().flatten() {
            let _ = fs::remove_file(file.path());
        }
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.directory);
        for hierarchy in census::hierarchies() {
            let _ = fs::remove_dir(hierarchy.join(&self.cgroup));
        }
    }
}

/// Reaps who has ended; all of a dead runtime's processes are this one's children.
pub(crate) fn reap() {
    loop {
        match waitpid(None, Some(WaitPidFlag::WNOHANG | WaitPidFlag::__WALL)) {
            Ok(WaitStatus::StillAlive) | Err(nix::errno::Errno::ECHILD) => return,
            _ => {}
        }
    }
}

/// Looks again for a while: who is dying, or becoming something else, may take a moment.
pub(crate) fn patiently<T>(most: Duration, mut look: impl FnMut() -> Result<T>) -> Result<T> {
    let deadline = Instant::now() + most;
    loop {
        match look() {
            Err(_) if Instant::now() < deadline => std::thread::sleep(Duration::from_millis(2)),
            last => return last,
        }
    }
}

/// Ends a process.
pub(crate) fn end(pid: i32) {
    let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
}
