//! What a test says: nothing (it holds), or why it doesn't.

use std::fmt::Debug;
use std::panic::Location;

/// Why a test did not pass.
#[derive(Debug)]
pub(crate) enum Miss {
    /// The runtime did something else than the test's sentence.
    Fail(String),
    /// The machine can't show the behaviour; the reason is printed in the table.
    Skip(String),
}

/// A test's result, and that of every step in it: `?` ends the test.
pub(crate) type Verdict<T = ()> = Result<T, Miss>;

impl<E: std::error::Error> From<E> for Miss {
    #[track_caller]
    fn from(error: E) -> Self {
        Self::Fail(at(&error.to_string()))
    }
}

#[track_caller]
fn at(text: &str) -> String {
    let place = Location::caller();
    let file = place.file().rsplit('/').next().unwrap_or_default();
    format!("{file}:{}: {text}", place.line())
}

/// Ends the test as failed.
#[track_caller]
pub(crate) fn fail<T>(why: impl AsRef<str>) -> Verdict<T> {
    Err(Miss::Fail(at(why.as_ref())))
}

/// Ends the test as skipped unless the machine has what it takes.
pub(crate) fn needs(present: bool, what: &str) -> Verdict {
    if present { Ok(()) } else { Err(Miss::Skip(format!("needs {what}"))) }
}

/// `found` must equal `wanted`.
#[track_caller]
pub(crate) fn is<A: PartialEq<B> + Debug, B: Debug>(found: A, wanted: B) -> Verdict {
    if found == wanted { Ok(()) } else { fail(format!("found {found:?}, wanted {wanted:?}")) }
}

/// `text` must contain `part`.
#[track_caller]
pub(crate) fn has(text: impl AsRef<str>, part: &str) -> Verdict {
    let text = text.as_ref();
    if text.contains(part) { Ok(()) } else { fail(format!("no {part:?} in {text:?}")) }
}

/// `text` must not contain `part`.
#[track_caller]
pub(crate) fn lacks(text: impl AsRef<str>, part: &str) -> Verdict {
    let text = text.as_ref();
    if text.contains(part) { fail(format!("{part:?} is in {text:?}")) } else { Ok(()) }
}

/// `condition` must be true; `what` says so in words.
#[track_caller]
pub(crate) fn that(condition: bool, what: impl AsRef<str>) -> Verdict {
    if condition { Ok(()) } else { fail(format!("not so: {}", what.as_ref())) }
}
