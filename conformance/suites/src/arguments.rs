//! The command line.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::error::{Doing, Error, Result};

/// What to write when the command line can't be followed.
pub(crate) const USAGE: &str = "usage: suites runtime-tools DIR RUNTIME [PROGRAM...]
       suites runc-bats DIR RUNTIME [FILE.bats...]
DIR is a checkout whose validation programs or test helpers are built; RUNTIME is the runtime to try.
The programs and files to run are named as they are in the report; without any, all of them run.";

/// Which of the suites.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Suite {
    /// OCI runtime-tools' validation programs.
    RuntimeTools,
    /// runc's integration tests.
    RuncBats,
}

impl Suite {
    /// The suite's name on the command line and in the lists.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::RuntimeTools => "runtime-tools",
            Self::RuncBats => "runc-bats",
        }
    }
}

/// A run that was asked for.
#[derive(Debug)]
pub(crate) struct Run {
    /// Which suite.
    pub(crate) suite: Suite,
    /// The prepared checkout, absolute.
    pub(crate) checkout: PathBuf,
    /// The runtime, absolute, by the name it was given: a link stays a link.
    pub(crate) runtime: PathBuf,
    /// The files or programs to run; empty for all.
    pub(crate) only: Vec<String>,
}

impl Run {
    /// Reads the arguments after the program's name.
    pub(crate) fn parse(arguments: &[OsString]) -> Result<Self> {
        let usage = || Error::Usage(USAGE.into());
        let [suite, checkout, runtime, only @ ..] = arguments else {
            return Err(usage());
        };
        let suite = [Suite::RuntimeTools, Suite::RuncBats]
            .into_iter()
            .find(|known| *suite == *known.name())
            .ok_or_else(usage)?;
        let checkout = Path::new(checkout);
        let checkout = checkout.canonicalize().doing(format!("find {}", checkout.display()))?;
        let runtime = std::path::absolute(runtime).doing("make the runtime's path absolute")?;
        runtime.metadata().doing(format!("find {}", runtime.display()))?;
        let only = only.iter().map(|name| name.to_string_lossy().into_owned()).collect();
        Ok(Self { suite, checkout, runtime, only })
    }

    /// The runtime's name: what the lists go by.
    pub(crate) fn runtime_name(&self) -> String {
        self.runtime.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    /// Whether `file` is among those to run.
    pub(crate) fn wants(&self, file: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| only == file)
    }
}
