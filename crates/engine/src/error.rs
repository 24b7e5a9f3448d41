//! What a command can fail with. One line out, the object always named.

use std::fmt;

use nix::errno::Errno;
use spec::{ContainerStatus, ParseError};

/// Why a command failed.
#[derive(Debug)]
pub enum Error {
    /// The configuration asks for what can't be done; nothing was changed.
    Refused(plan::Refusals),
    /// A file of the user's can't be read as JSON.
    Parse {
        /// The file.
        file: String,
        /// What is wrong, and where.
        error: ParseError,
    },
    /// A file of the user's is larger than any configuration.
    TooLarge {
        /// The file.
        file: String,
        /// Its size in bytes.
        size: u64,
    },
    /// The container isn't in a state for this: one of [`crate::messages`].
    State(&'static str),
    /// `delete` of a container that lives.
    NotStopped {
        /// The container.
        id: String,
        /// Its status.
        status: ContainerStatus,
    },
    /// `pause` of a container that is neither running nor created.
    CannotPause {
        /// Its status.
        status: ContainerStatus,
    },
    /// The container's record can't be understood.
    Damaged {
        /// The file.
        file: String,
        /// Why.
        why: String,
    },
    /// The kernel said no.
    Kernel {
        /// What was being done, such as `mounts[3] /data`; may be empty.
        step: String,
        /// Which call, on what, why.
        error: sys::Error,
    },
    /// The cgroup can't be made, limited or removed.
    Cgroup(cgroup::Error),
    /// The resctrl file system said no.
    Resctrl {
        /// Which call, on what, why.
        error: sys::Error,
        /// What the kernel says of it beside that; may be empty.
        said: String,
    },
    /// A hook failed.
    Hook(crate::hooks::Failure),
    /// The container's process failed before it became the user's program.
    Init(crate::channel::Failure),
    /// The container's process failed after the word to start, where it speaks for itself.
    Late(crate::channel::Failure),
    /// A process of the runtime's own failed (`mounts`, `restore`).
    Aside(crate::channel::Failure),
    /// The container's process ended without a word.
    Died {
        /// Which process, and how it ended.
        how: String,
    },
    /// The container's path escapes from its root: an attack, or a mistake that looks like one.
    Escape {
        /// The path.
        path: String,
        /// Why it is refused.
        why: &'static str,
    },
    /// CRIU did not do what it was asked for.
    Criu(crate::criu::Failure),
    /// Anything that is said by itself: the caller's mistake on the command line.
    Usage(String),
}

/// What an error is about, for programs: each part may be empty.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Details {
    /// What was being done, such as `mounts[3] /data`.
    pub step: String,
    /// What it was done to: what the call was given, or the JSON pointers of what is refused.
    pub object: String,
    /// The file that it is about.
    pub path: String,
    /// The kernel's reason.
    pub errno: Option<Errno>,
}

impl Error {
    /// The kernel's reason, if a call of this program's own failed.
    pub(crate) fn errno(&self) -> Option<Errno> {
        match self {
            Error::Kernel { error, .. } => Some(error.errno),
            _ => None,
        }
    }

    /// What it is about.
    pub fn details(&self) -> Details {
        let none = Details::default;
        match self {
            Error::Refused(refusals) => {
                let pointers: Vec<&str> = refusals.0.iter().map(|r| r.pointer.as_str()).collect();
                Details { step: "plan".to_owned(), object: pointers.join(" "), ..none() }
            }
            Error::Parse { file, error } => {
                let (step, object) = ("parse".to_owned(), error.pointer.clone());
                Details { step, object, path: file.clone(), ..none() }
            }
            Error::TooLarge { file, .. } | Error::Damaged { file, .. } => {
                Details { step: "read".to_owned(), path: file.clone(), ..none() }
            }
            Error::NotStopped { id, .. } => Details { object: id.clone(), ..none() },
            Error::Kernel { step, error } => {
                let step = if step.is_empty() { &*error.call } else { step.as_str() };
                Details::new(step, &error.object, Some(error.errno))
            }
            Error::Cgroup(error) => {
                let path = error.path().unwrap_or_default().to_owned();
                Details { step: "cgroup".to_owned(), path, errno: error.errno(), ..none() }
            }
            Error::Resctrl { error, said: _ } => {
                Details::new("linux.intelRdt", &error.object, Some(error.errno))
            }
            Error::Hook(failure) => {
                let step = format!("hooks.{}[{}]", failure.kind.name(), failure.index);
                Details { step, path: failure.path.clone(), ..none() }
            }
            Error::Init(failure) | Error::Late(failure) | Error::Aside(failure) => {
                Details::new(&failure.step, &failure.object, failure.errno)
            }
            Error::Criu(failure) => {
                let path = failure.log().map(|log| log.display().to_string()).unwrap_or_default();
                Details { step: "criu".to_owned(), path, ..none() }
            }
            Error::Escape { path, .. } => Details { path: path.clone(), ..none() },
            Error::State(_) | Error::CannotPause { .. } | Error::Died { .. } | Error::Usage(_) => {
                none()
            }
        }
    }
}

impl Details {
    fn new(step: &str, object: &str, errno: Option<Errno>) -> Details {
        let path = if object.starts_with('/') { object } else { "" };
        let (step, object, path) = (step.to_owned(), object.to_owned(), path.to_owned());
        Details { step, object, path, errno }
    }
}

/// What this crate's functions return.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// The same, after the word to start.
    pub(crate) fn late(self) -> Error {
        match self {
            Error::Init(failure) => Error::Late(failure),
            other => other,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Refused(refusals) => refusals.fmt(f),
            Error::Parse { file, error } => write!(f, "{file}: {error}"),
            Error::TooLarge { file, size } => {
                write!(f, "{file}: {size} bytes is too large for a configuration")
            }
            Error::State(sentence) => f.write_str(sentence),
            Error::NotStopped { id, status } => {
                let status = status.as_str();
                write!(f, "cannot delete container {id} that is not stopped: {status}")
            }
            Error::CannotPause { status } => {
                let status = status.as_str();
                write!(f, "container not running or created: {status}")
            }
            Error::Damaged { file, why } => write!(f, "{file}: {why}"),
            Error::Kernel { step, error } if step.is_empty() => error.fmt(f),
            Error::Kernel { step, error } => write!(f, "{step}: {error}"),
            Error::Cgroup(error) => error.fmt(f),
            Error::Resctrl { error, said } if said.is_empty() => {
                write!(f, "linux.intelRdt: {error}")
            }
            Error::Resctrl { error, said } => write!(f, "linux.intelRdt: {error}: {said}"),
            Error::Hook(failure) => failure.fmt(f),
            Error::Init(failure) => {
                write!(f, "unable to start container process: {failure}")
            }
            Error::Late(failure) => failure.fmt(f),
            Error::Aside(failure) => failure.fmt(f),
            Error::Died { how } => {
                write!(f, "unable to start container process: {how}")
            }
            Error::Escape { path, why } => write!(f, "{path:?}: {why}"),
            Error::Criu(failure) => failure.fmt(f),
            Error::Usage(sentence) => f.write_str(sentence),
        }
    }
}

impl std::error::Error for Error {}

impl From<sys::Error> for Error {
    fn from(error: sys::Error) -> Self {
        Error::Kernel { step: String::new(), error }
    }
}

impl From<cgroup::Error> for Error {
    fn from(error: cgroup::Error) -> Self {
        Error::Cgroup(error)
    }
}

impl From<plan::Refusals> for Error {
    fn from(refusals: plan::Refusals) -> Self {
        Error::Refused(refusals)
    }
}

/// Says what was being done when a call failed.
pub(crate) trait Step<T> {
    fn step(self, step: impl FnOnce() -> String) -> Result<T>;
}

impl<T, E: Into<Error>> Step<T> for std::result::Result<T, E> {
    fn step(self, step: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|error| match error.into() {
            Error::Kernel { step: inner, error } => {
                let outer = step();
                let step = if inner.is_empty() { outer } else { format!("{outer}: {inner}") };
                Error::Kernel { step, error }
            }
            other => other,
        })
    }
}
