//! What is said, and where: errors and warnings, to standard error and to `--log`. Nothing else in
//! this workspace prints them.
//!
//! The forms are logrus's, which engines read: containerd takes the last JSON object whose level is
//! `error`; podman wants exactly one object in the file, so that warnings go there only with
//! `--debug`. With a log file the bare sentence goes to standard error as well, as in runc.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use nix::errno::Errno;
use nix::fcntl::OFlag;

use crate::args::{self, Stop};
use crate::commands::Failure;
use crate::complete;
use crate::help::{help, program};
use crate::journal::Daemon;

/// How long the reader of a log that is a FIFO may take to come.
const PATIENCE: Duration = Duration::from_secs(5);

/// `--log`, `--log-format`, `--log-level` and `--debug`.
#[derive(Debug, Default, Clone)]
pub(crate) struct LogOptions {
    /// Where the log goes.
    pub(crate) to: Option<String>,
    /// JSON lines instead of text.
    pub(crate) json: bool,
    /// What goes there.
    pub(crate) level: Level,
}

/// How much is logged.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Level {
    /// Errors.
    Error,
    /// Errors; on standard error, and for the log daemons, warnings, too.
    #[default]
    Usual,
    /// Errors and warnings, also in a file.
    Warning,
    /// Every step, too.
    Debug,
}

/// Where sentences go.
#[derive(Debug, Default, Clone)]
pub(crate) struct Log {
    to: Arc<Destination>,
    options: LogOptions,
    /// What a line is about, for programs: names and values; also of the steps.
    about: Arc<Mutex<Vec<(&'static str, String)>>>,
}

#[derive(Debug, Default)]
enum Destination {
    #[default]
    StandardError,
    File(File),
    Daemon(Daemon),
}

impl Log {
    /// Opens the log, if there is one.
    pub(crate) fn open(options: LogOptions) -> Result<Log, String> {
        let to = Arc::new(match &options.to {
            None => Destination::StandardError,
            Some(to) => destination(to)?,
        });
        Ok(Log { to, options, ..Log::default() })
    }

    /// Says what the lines from now on are about: a field of each in JSON, beside the three that
    /// engines read. What is empty is nothing.
    pub(crate) fn about(&self, name: &'static str, value: &str) {
        if self.options.json && !value.is_empty() {
            let mut about = self.about.lock().unwrap_or_else(PoisonError::into_inner);
            about.push((name, value.to_owned()));
        }
    }

    /// As JSON, behind the fields of every line: `,"errno":"ENOENT"`.
    fn fields(&self) -> String {
        let field = |(name, value): &(&str, String)| {
            format!(",\"{name}\":{}", serde_json::Value::from(value.as_str()))
        };
        let about = self.about.lock().unwrap_or_else(PoisonError::into_inner);
        about.iter().map(field).collect()
    }

    fn line(&self, level: &str, sentence: &str) -> String {
        let now = SystemTime::now();
        let time = humantime::format_rfc3339_seconds(now);
        if self.options.json {
            let sentence = serde_json::Value::from(sentence);
            let fields = self.fields();
            format!("{{\"level\":\"{level}\",\"msg\":{sentence},\"time\":\"{time}\"{fields}}}\n")
        } else {
            format!("time=\"{time}\" level={level} msg={sentence:?}\n")
        }
    }

    /// With `--debug` or `--log-level debug`: says every step from now on.
    pub(crate) fn steps(&self) {
        if self.options.level == Level::Debug {
            let log = self.clone();
            engine::show_steps(move |step| log.write("debug", 7, step));
        }
    }

    /// Says something that hinders nothing.
    pub(crate) fn warn(&self, sentence: &str) {
        match (&*self.to, self.options.level) {
            (_, Level::Error) | (Destination::File(_), Level::Usual) => {}
            _ => self.write("warning", 4, sentence),
        }
    }

    /// A line, wherever lines go; `priority` is syslog(3)'s.
    fn write(&self, level: &str, priority: u8, sentence: &str) {
        match &*self.to {
            Destination::File(file) => write(file, &self.line(level, sentence)),
            Destination::Daemon(daemon) => drop(daemon.send(priority, sentence)),
            Destination::StandardError => write(std::io::stderr(), &self.line(level, sentence)),
        }
    }

    fn error(&self, sentence: &str, bare: bool) {
        let elsewhere = !matches!(*self.to, Destination::StandardError);
        if elsewhere || !bare {
            self.write("error", 3, sentence);
        }
        if elsewhere || bare {
            write(std::io::stderr(), &format!("{sentence}\n"));
        }
    }
}

/// `FILE`, `file:FILE`, `journald:NAME` or `syslog:NAME`: crun's forms beside runc's.
fn destination(to: &str) -> Result<Destination, String> {
    match Daemon::open(to) {
        Some(Ok(daemon)) => return Ok(Destination::Daemon(daemon)),
        Some(Err((socket, error))) => {
            return Err(format!("unable to open log {to:?}: connect {socket}: {}", lower(&error)));
        }
        None => {}
    }
    let path = to.strip_prefix("file:").unwrap_or(to);
    match open(Path::new(path)) {
        Ok(file) => Ok(Destination::File(file)),
        Err(error) => Err(format!("unable to open log {path:?}: {}", lower(&error))),
    }
}

/// Nobody is kept waiting by who reads the log: what a pipe has no room for is lost, and one that nobody
/// reads is waited for [`PATIENCE`] long.
fn open(path: &Path) -> std::io::Result<File> {
    let deadline = Instant::now() + PATIENCE;
    let mut options = OpenOptions::new();
    options.append(true).create(true).mode(0o644).custom_flags(OFlag::O_NONBLOCK.bits());
    loop {
        match options.open(path) {
            Err(error)
                if error.raw_os_error() == Some(Errno::ENXIO as i32)
                    && Instant::now() < deadline =>
            {
                std::thread::sleep(Duration::from_millis(10));
            }
            opened => return opened,
        }
    }
}

/// The system's words as this program says them: `no such file or directory`.
pub(crate) fn lower(error: &std::io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or(&text);
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_lowercase().chain(letters).collect())
}

/// There is nowhere left to say that it could not be said.
fn write(mut to: impl Write, text: &str) {
    let _ = to.write_all(text.as_bytes());
}

/// A command failed. What the container's process itself says comes without a frame, as from runc.
pub(crate) fn failed(log: &Log, failure: &Failure) -> u8 {
    log.error(&failure.sentence, failure.late);
    failure.status
}

/// There was nothing to run.
pub(crate) fn stopped(options: LogOptions, stop: Stop) -> u8 {
    match stop {
        Stop::Help(command) => {
            write(std::io::stdout(), &help(&program(), command.and_then(args::find)));
            0
        }
        Stop::Version => {
            write(std::io::stdout(), &version());
            0
        }
        Stop::Complete(words) => {
            write(std::io::stdout(), &complete::candidates(&words));
            0
        }
        Stop::Usage { sentence, command } => {
            let help = help(&program(), command.and_then(args::find));
            write(std::io::stdout(), &format!("Incorrect Usage: {sentence}\n\n{help}"));
            failed(&Log::open(options).unwrap_or_default(), &sentence.into())
        }
        Stop::UnknownCommand(name) => {
            let unknown = Failure { status: 3, ..format!("No help topic for '{name}'").into() };
            failed(&Log::open(options).unwrap_or_default(), &unknown)
        }
    }
}

/// The first line is for programs that look for runc (go-runc wants it to begin so); the second and
/// third have runc's labels.
fn version() -> String {
    let version = env!("CARGO_PKG_VERSION");
    let commit = option_env!("TARE_COMMIT").unwrap_or("unknown");
    let spec = spec::OCI_VERSION;
    format!(
        "runc version {spec}+tare.{version}\ncommit: {commit}\nspec: {spec}\n\
         tare: {version}, in runc's place\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_json_has_what_engines_read_and_more() {
        let options = LogOptions { json: true, ..LogOptions::default() };
        let log = Log::open(options).unwrap();
        log.about("operation", "create");
        log.about("id", "");
        log.about("path", "/a \"b\"\n");
        let line = log.line("error", "it \"failed\"");
        let value: serde_json::Value = serde_json::from_str(&line).unwrap();
        let names: Vec<&String> = value.as_object().unwrap().keys().collect();
        assert_eq!(names, ["level", "msg", "time", "operation", "path"]);
        assert_eq!(value["level"], "error");
        assert_eq!(value["msg"], "it \"failed\"");
        assert_eq!(value["path"], "/a \"b\"\n");
        assert!(line.ends_with("}\n") && line.matches('\n').count() == 1);
        let plain = Log::default();
        plain.about("operation", "create");
        assert!(plain.line("error", "x").ends_with("level=error msg=\"x\"\n"));
    }
}
