//! What is said, and where: errors and warnings, to standard error and to `--log`. Nothing else in
//! this workspace prints them.
//!
//! The forms are logrus's, which engines read: containerd takes the last JSON object whose level is
//! `error`; podman wants exactly one object in the file, so that warnings go there only with
//! `--debug`. With a log file the bare sentence goes to standard error as well, as in runc.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use crate::args::{self, Stop};

/// `--log`, `--log-format` and `--debug`.
#[derive(Debug, Default, Clone)]
pub(crate) struct LogOptions {
    /// The log's path.
    pub(crate) file: Option<String>,
    /// JSON lines instead of text.
    pub(crate) json: bool,
    /// Every step, and warnings to the file, too.
    pub(crate) debug: bool,
}

/// Where sentences go.
#[derive(Debug, Default, Clone)]
pub(crate) struct Log {
    file: Option<Arc<File>>,
    options: LogOptions,
    /// What a line is about, for programs: names and values; also of the steps.
    about: Arc<Mutex<Vec<(&'static str, String)>>>,
}

impl Log {
    /// Opens the log's file, if there is one.
    pub(crate) fn open(options: LogOptions) -> Result<Log, String> {
        let Some(path) = &options.file else {
            return Ok(Log { options, ..Log::default() });
        };
        let opened = OpenOptions::new().append(true).create(true).mode(0o644).open(path);
        match opened {
            Ok(file) => Ok(Log { file: Some(Arc::new(file)), options, ..Log::default() }),
            Err(error) => Err(format!("unable to open log {path:?}: {error}")),
        }
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

    /// With `--debug`: says every step from now on.
    pub(crate) fn steps(&self) {
        if self.options.debug {
            let log = self.clone();
            engine::show_steps(move |step| {
                let line = log.line("debug", step);
                match &log.file {
                    Some(file) => write(&**file, &line),
                    None => write(std::io::stderr(), &line),
                }
            });
        }
    }

    /// Says something that hinders nothing.
    pub(crate) fn warn(&self, sentence: &str) {
        match &self.file {
            Some(file) if self.options.debug => write(&**file, &self.line("warning", sentence)),
            Some(_) => {}
            None => write(std::io::stderr(), &self.line("warning", sentence)),
        }
    }

    fn error(&self, sentence: &str, bare: bool) {
        match &self.file {
            None if bare => write(std::io::stderr(), &format!("{sentence}\n")),
            Some(file) => {
                write(&**file, &self.line("error", sentence));
                write(std::io::stderr(), &format!("{sentence}\n"));
            }
            None => write(std::io::stderr(), &self.line("error", sentence)),
        }
    }
}

/// There is nowhere left to say that it could not be said.
fn write(mut to: impl Write, text: &str) {
    let _ = to.write_all(text.as_bytes());
}

/// A command failed.
pub(crate) fn failed(log: &Log, sentence: &str, status: u8) -> ExitCode {
    log.error(sentence, false);
    ExitCode::from(status)
}

/// The container's process failed, and it is its own sentence: as from runc it comes without a frame.
pub(crate) fn failed_late(log: &Log, sentence: &str, status: u8) -> ExitCode {
    log.error(sentence, true);
    ExitCode::from(status)
}

/// There was nothing to run.
pub(crate) fn stopped(options: LogOptions, stop: Stop) -> ExitCode {
    match stop {
        Stop::Help(command) => {
            write(std::io::stdout(), &args::help(command));
            ExitCode::SUCCESS
        }
        Stop::Version => {
            write(std::io::stdout(), &version());
            ExitCode::SUCCESS
        }
        Stop::Usage { sentence, command } => {
            let usage = format!("Incorrect Usage: {sentence}\n\n{}", args::help(command));
            write(std::io::stdout(), &usage);
            failed(&Log::open(options).unwrap_or_default(), &sentence, 1)
        }
        Stop::UnknownCommand(name) => {
            let sentence = format!("No help topic for '{name}'");
            failed(&Log::open(options).unwrap_or_default(), &sentence, 3)
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
