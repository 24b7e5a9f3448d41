//! What goes wrong with CRIU, as its reader needs it: the reason first, then where the rest is, then
//! the lines that matter.

use std::fmt;
use std::path::{Path, PathBuf};

use super::log::{self, Quote};

/// The oldest CRIU that will do: 3.15, as for crun. It has the v2 freezer, external pid namespaces
/// and notifications for lazy migration.
pub(super) const OLDEST: i32 = 31_500;

/// Why CRIU did not do what it was asked for.
#[derive(Debug)]
pub enum Failure {
    /// It isn't there, can't be executed, or its place can't be made ready: why.
    NotStarted(String),
    /// It is too old: its version, 31701 for 3.17.1.
    TooOld(i32),
    /// It, or the kernel, lacks what is needed: runc's names for it.
    Lacks(Vec<&'static str>),
    /// It answered that it failed.
    Refused {
        /// Which request or notification it answered.
        kind: &'static str,
        /// Its errno, often 0.
        errno: i32,
        /// What is known of the reason.
        why: Why,
    },
    /// It ended without an answer.
    Ended {
        /// Its exit status, or 128 and the signal.
        status: i32,
        /// What is known of the reason.
        why: Why,
    },
    /// What it sent was no message.
    Damaged,
}

impl Failure {
    /// CRIU's log, if it has written one.
    pub(crate) fn log(&self) -> Option<&Path> {
        match self {
            Failure::Refused { why, .. } | Failure::Ended { why, .. } => why.log.as_deref(),
            _ => None,
        }
    }
}

/// What is known of why CRIU failed.
#[derive(Debug, Default)]
pub struct Why {
    /// The reason in CRIU's words.
    cause: Option<String>,
    /// Its log.
    log: Option<PathBuf>,
    /// Lines of the log.
    lines: Vec<String>,
}

impl Why {
    /// From what CRIU answered, wrote to its log, and said on its standard error before there was one.
    pub(super) fn of(message: Option<String>, log: Option<PathBuf>, said: &str) -> Why {
        let quote = log.as_deref().map(log::read).unwrap_or_default();
        let Quote { cause, lines } = match quote.lines.is_empty() {
            true => log::quote_printed(said),
            false => quote,
        };
        let message = message.as_deref().map(|text| log::sentence(text).to_owned());
        Why { cause: cause.or(message), log: log.filter(|log| log.exists()), lines }
    }
}

impl fmt::Display for Why {
    /// What follows the sentence: containerd shows the first line and no other, so that the reason is
    /// there.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(cause) = &self.cause {
            write!(f, ": {cause}")?;
        }
        if let Some(log) = &self.log {
            write!(f, "\nlog file: {}", log.display())?;
        }
        self.lines.iter().try_for_each(|line| write!(f, "\n{line}"))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::NotStarted(why) => f.write_str(why),
            Failure::TooOld(version) => {
                write!(f, "CRIU version {version} must be {OLDEST} or higher")
            }
            Failure::Lacks(features) => {
                write!(f, "criu is missing features: [{}]", features.join(" "))
            }
            Failure::Refused { kind, errno, why } => {
                write!(f, "criu failed: type {kind} errno {errno}{why}")
            }
            Failure::Ended { status, why } => write!(f, "criu failed: exit status {status}{why}"),
            Failure::Damaged => f.write_str("criu failed: its answer is no message"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_is_in_the_first_line_behind_what_runc_says() {
        let said = "(00.1) Error (criu/net.c:3071): Locking network failed\n";
        let why = Why::of(None, None, said);
        let failure = Failure::Refused { kind: "NOTIFY", errno: 0, why }.to_string();
        let mut lines = failure.lines();
        assert_eq!(lines.next(), Some("criu failed: type NOTIFY errno 0: Locking network failed"));
        assert_eq!(lines.next(), Some("1: (00.1) Error (criu/net.c:3071): Locking network failed"));
        assert_eq!(lines.next(), None);
    }

    /// What it answers is its first error, be that of no consequence.
    #[test]
    fn what_criu_answers_is_the_reason_where_its_log_has_none() {
        let message = || Some("Error (criu/util.c:1): no such pid\n".to_owned());
        let ended = |why| Failure::Ended { status: 1, why }.to_string();
        assert_eq!(ended(Why::of(message(), None, "")), "criu failed: exit status 1: no such pid");
        assert_eq!(
            ended(Why::of(message(), None, "(0) Error (a.c:1): other\n")),
            "criu failed: exit status 1: other\n1: (0) Error (a.c:1): other"
        );
    }
}
