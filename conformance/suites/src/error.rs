//! What can go wrong with the driver itself; a test that fails is a result and not an error.

use std::fmt;
use std::path::PathBuf;

/// An error of the driver: what it was doing, and what stopped it.
#[derive(Debug)]
pub(crate) enum Error {
    /// The command line can't be followed.
    Usage(String),
    /// The checkout lacks something that has to be built or unpacked first.
    Unprepared { missing: PathBuf, advice: &'static str },
    /// A list of expected outcomes is wrong.
    List { file: PathBuf, why: String },
    /// A command that the driver needs (not a test) failed.
    Command { name: String, said: String },
    /// A call to the kernel or the standard library failed.
    Io { doing: String, cause: std::io::Error },
}

/// The driver's results.
pub(crate) type Result<T> = std::result::Result<T, Error>;

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(why) => write!(f, "{why}"),
            Self::Unprepared { missing, advice } => {
                write!(f, "{}: missing; {advice}", missing.display())
            }
            Self::List { file, why } => write!(f, "{}: {why}", file.display()),
            Self::Command { name, said } => write!(f, "`{name}` failed: {said}"),
            Self::Io { doing, cause } => write!(f, "{doing}: {cause}"),
        }
    }
}

/// Names what was being done when a call failed.
pub(crate) trait Doing<T> {
    /// Turns the call's error into [`Error::Io`].
    fn doing(self, what: impl fmt::Display) -> Result<T>;
}

impl<T, E: Into<std::io::Error>> Doing<T> for std::result::Result<T, E> {
    fn doing(self, what: impl fmt::Display) -> Result<T> {
        self.map_err(|cause| Error::Io { doing: what.to_string(), cause: cause.into() })
    }
}
