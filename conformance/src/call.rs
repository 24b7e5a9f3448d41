//! One bounded call of the runtime under test.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::case::Case;
use crate::layout;
use crate::verdict::{Verdict, fail, is, that};

static THROUGH: OnceLock<Vec<String>> = OnceLock::new();

/// Says once, at the start, what stands before every call of the runtime: `--through`.
pub(crate) fn go_through(words: Vec<String>) {
    let _ = THROUGH.set(words);
}

/// Those words.
pub(crate) fn through() -> &'static [String] {
    THROUGH.get().map_or(&[], Vec::as_slice)
}

/// A command line of the runtime, being written.
pub(crate) struct Call<'t> {
    case: &'t Case,
    through: Vec<OsString>,
    globals: Vec<OsString>,
    root: Option<PathBuf>,
    args: Vec<OsString>,
    env: Vec<(String, String)>,
    dir: Option<PathBuf>,
    stdio: [Option<Stdio>; 3],
    flagged: bool,
}

impl<'t> Call<'t> {
    /// A call of the case's runtime with the case's own `--root`.
    pub(crate) fn new(case: &'t Case) -> Self {
        Self {
            case,
            through: Vec::new(),
            globals: Vec::new(),
            root: Some(case.root.clone()),
            args: Vec::new(),
            env: Vec::new(),
            dir: None,
            stdio: [None, None, None],
            flagged: layout::systemd(),
        }
    }

    /// Adds arguments.
    pub(crate) fn args<A: Into<OsString>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// Adds one argument.
    pub(crate) fn arg(mut self, arg: impl Into<OsString>) -> Self {
        self.args.push(arg.into());
        self
    }

    /// Adds global options, which stand before the subcommand.
    pub(crate) fn global<A: Into<OsString>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.globals.extend(args.into_iter().map(Into::into));
        self
    }

    /// Another `--root`, or none.
    pub(crate) fn root(mut self, root: Option<&Path>) -> Self {
        self.root = root.map(Path::to_path_buf);
        self
    }

    /// Runs the runtime by another program, e.g. `setpriv --reuid 1000`.
    pub(crate) fn through<A: Into<OsString>>(
        mut self,
        program: impl IntoIterator<Item = A>,
    ) -> Self {
        self.through = program.into_iter().map(Into::into).collect();
        self
    }

    /// Sets a variable in the runtime's own environment.
    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The working directory of the runtime.
    pub(crate) fn dir(mut self, dir: &Path) -> Self {
        self.dir = Some(dir.to_path_buf());
        self
    }

    /// What the runtime finds on its standard input.
    pub(crate) fn stdin(mut self, text: impl AsRef<[u8]>) -> Verdict<Self> {
        let path = self.case.path(&format!("stdin-{}", self.case.number()));
        fs::write(&path, text)?;
        self.stdio[0] = Some(File::open(path)?.into());
        Ok(self)
    }

    /// Replaces standard input, output and error by a terminal's end.
    pub(crate) fn stdio(mut self, stdio: [Stdio; 3]) -> Self {
        self.stdio = stdio.map(Some);
        self
    }

    /// Without `--systemd-cgroup`, though systemd makes the cgroups.
    pub(crate) fn unflagged(mut self) -> Self {
        self.flagged = false;
        self
    }

    /// Starts the call and returns at once.
    pub(crate) fn spawn(self) -> Verdict<Running<'t>> {
        let case = self.case;
        case.reap();
        // Files, not pipes: what a detached container inherits must not keep us waiting.
        let number = case.number();
        let stdout = case.path(&format!("call-{number}.out"));
        let stderr = case.path(&format!("call-{number}.err"));
        let mut line: Vec<OsString> = through().iter().map(OsString::from).collect();
        line.extend(self.through);
        line.push(case.runtime.clone().into());
        if self.flagged {
            line.push("--systemd-cgroup".into());
        }
        line.extend(self.globals);
        if let Some(root) = self.root {
            line.extend(["--root".into(), root.into()]);
        }
        line.extend(self.args);
        let mut command = Command::new(&line[0]);
        command.args(&line[1..]).env_clear().env("PATH", crate::case::PATH).envs(self.env);
        if layout::rootless() {
            // Where a user's runtime finds the user's systemd.
            let bus = ["XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS"];
            command.envs(bus.iter().filter_map(|name| Some((name, std::env::var_os(name)?))));
        }
        command.current_dir(self.dir.as_deref().unwrap_or(&case.scratch));
        let [stdin, out, err] = self.stdio;
        command.stdin(stdin.unwrap_or_else(Stdio::null));
        command.stdout(out.map_or_else(|| writable(&stdout), Ok)?);
        command.stderr(err.map_or_else(|| writable(&stderr), Ok)?);
        let child = command.spawn()?;
        case.live.borrow_mut().insert(child.id());
        let line = line.iter().map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ");
        Ok(Running { case, line, child, stdout, stderr, done: None })
    }

    /// Runs the call to its end.
    pub(crate) fn output(self) -> Verdict<Output> {
        self.spawn()?.wait()
    }

    /// Runs the call, which must exit 0; returns its standard output without the last newline.
    #[track_caller]
    pub(crate) fn ok(self) -> Verdict<String> {
        self.output()?.ok()
    }
}

fn writable(path: &Path) -> Verdict<Stdio> {
    // Readable for the user of the container, who may open /dev/stdout anew.
    let file = OpenOptions::new().create(true).append(true).read(true).mode(0o666).open(path)?;
    fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o666))?;
    Ok(file.into())
}

/// A call that was started.
pub(crate) struct Running<'t> {
    case: &'t Case,
    /// The command line, for messages.
    line: String,
    child: Child,
    /// The file that receives the standard output.
    pub stdout: PathBuf,
    stderr: PathBuf,
    done: Option<ExitStatus>,
}

impl Running<'_> {
    /// The runtime's pid.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// True once the runtime has ended.
    pub(crate) fn ended(&mut self) -> Verdict<bool> {
        if self.done.is_none() {
            self.done = self.child.try_wait()?;
        }
        Ok(self.done.is_some())
    }

    /// Waits for the end; a runtime that outstays the bound is killed and the test fails.
    #[track_caller]
    pub(crate) fn wait(mut self) -> Verdict<Output> {
        let end = Instant::now() + self.case.bound;
        let mut pause = Duration::from_micros(500);
        while !self.ended()? {
            if Instant::now() > end {
                return fail(format!("hangs: {}", self.line));
            }
            std::thread::sleep(pause);
            // A pid namespace ends when its last orphan is taken, and the runtime waits for that.
            self.case.reap();
            pause = (pause * 2).min(Duration::from_millis(8));
        }
        let status = self.done.unwrap_or_default();
        Ok(Output {
            line: self.line.clone(),
            code: status.code().unwrap_or_else(|| -status.signal().unwrap_or(0)),
            stdout: text_of(&self.stdout),
            stderr: text_of(&self.stderr),
        })
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        if self.done.is_none() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
        self.case.live.borrow_mut().remove(&self.child.id());
    }
}

fn text_of(path: &Path) -> String {
    String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned()
}

/// What a call said.
#[derive(Debug)]
pub(crate) struct Output {
    line: String,
    /// The exit code; minus the signal's number if a signal ended the runtime itself.
    pub code: i32,
    /// Standard output, whole.
    pub stdout: String,
    /// Standard error, whole.
    pub stderr: String,
}

impl Output {
    /// The call must have exited 0; returns the standard output without the last newline.
    #[track_caller]
    pub(crate) fn ok(&self) -> Verdict<String> {
        self.exits(0)?;
        Ok(self.text().to_owned())
    }

    /// The call must have exited with `code`.
    #[track_caller]
    pub(crate) fn exits(&self, code: i32) -> Verdict {
        if self.code == code {
            return Ok(());
        }
        let Self { line, code: found, stderr, stdout } = self;
        fail(format!("rc {found}, wanted {code}: {line}\n{}\n{}", stdout.trim(), stderr.trim()))
    }

    /// Standard output without the last newline.
    pub(crate) fn text(&self) -> &str {
        self.stdout.strip_suffix('\n').unwrap_or(&self.stdout)
    }

    /// The call must have failed, and its standard error must contain every one of `parts`,
    /// whatever the case of its letters; of a part `a|b` either will do.
    #[track_caller]
    pub(crate) fn refused(&self, parts: &[&str]) -> Verdict {
        that(self.code > 0 && !parts.is_empty(), format!("refused (rc {}): {self:?}", self.code))?;
        // A log line has its message in quotes, and the quotes in it escaped.
        let said = self.stderr.replace("\\\"", "\"").to_lowercase();
        for part in parts {
            let mut either = part.split('|').map(str::to_lowercase);
            that(either.any(|part| said.contains(&part)), format!("{part:?} is in {said:?}"))?;
        }
        Ok(())
    }

    /// Standard output as JSON.
    #[track_caller]
    pub(crate) fn json(&self) -> Verdict<Value> {
        self.exits(0)?;
        Ok(serde_json::from_str(&self.stdout)?)
    }

    /// The call must have exited 0 and printed exactly `text`.
    #[track_caller]
    pub(crate) fn prints(&self, text: &str) -> Verdict {
        is(self.ok()?.as_str(), text)
    }
}
