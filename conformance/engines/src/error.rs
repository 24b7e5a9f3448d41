//! What can go wrong with the driver itself; a check that fails is a result and not an error.

use std::fmt;

/// An error of the driver: what it was doing, and what stopped it.
#[derive(Debug)]
pub(crate) enum Error {
    /// The command line cannot be followed.
    Usage(String),
    /// A call to the kernel or the standard library failed.
    Io { doing: String, cause: std::io::Error },
    /// A command that the driver needs (not a check) failed.
    Command { script: String, said: String },
}

/// The driver's results.
pub(crate) type Result<T> = std::result::Result<T, Error>;

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(why) => write!(f, "{why}"),
            Self::Io { doing, cause } => write!(f, "{doing}: {cause}"),
            Self::Command { script, said } => write!(f, "`{script}` failed: {said}"),
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
