//! One face for every failed call.

use std::borrow::Cow;
use std::ffi::CStr;
use std::fmt;

use nix::errno::Errno;

/// A call that the kernel refused: which, on what, why.
///
/// Displays as `open_tree "/srv/data": no such file or directory`. The words for the errno are in
/// lower case since engines match them so (dockerd's exit codes 126 and 127 depend on it).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    /// The system call, or the name that its documentation has for it.
    pub call: Cow<'static, str>,
    /// What it was about: a path, a descriptor's meaning, rendered arguments; may be empty.
    pub object: String,
    /// Why.
    pub errno: Errno,
}

impl Error {
    /// A failure of `call` on `object`.
    pub fn new(call: &'static str, object: impl Into<String>, errno: Errno) -> Self {
        Error { call: Cow::Borrowed(call), object: object.into(), errno }
    }

    /// A failure of `call` on `object` with the calling thread's errno.
    pub(crate) fn last(call: &'static str, object: impl Into<String>) -> Self {
        let errno = Errno::last();
        Error::new(call, object, errno)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.call)?;
        if !self.object.is_empty() {
            write!(f, " {:?}", self.object)?;
        }
        write!(f, ": {}", describe(self.errno))
    }
}

impl std::error::Error for Error {}

/// The kernel's words for an errno, beginning in lower case: `permission denied`.
pub fn describe(errno: Errno) -> String {
    in_lower_case(errno.desc())
}

/// The words for a signal, beginning in lower case: `bad system call`.
pub fn describe_signal(signal: i32) -> String {
    // SAFETY: this program has one thread, so that nobody else may change the text meanwhile.
    let text = unsafe { libc::strsignal(signal) };
    if text.is_null() {
        return signal.to_string();
    }
    // SAFETY: strsignal(3) returned a terminated string.
    in_lower_case(&unsafe { CStr::from_ptr(text) }.to_string_lossy())
}

fn in_lower_case(text: &str) -> String {
    let mut chars = text.chars();
    match (chars.next(), chars.next()) {
        // "I/O error" and its like keep their capitals.
        (Some(first), Some(second)) if !second.is_ascii_uppercase() && second != '/' => {
            format!("{}{}", first.to_ascii_lowercase(), &text[first.len_utf8()..])
        }
        _ => text.to_owned(),
    }
}

/// Gives a result from `nix` or `std` the call and the object that it lacks.
pub trait Context<T> {
    /// Names the call and the object of a failure.
    fn at(self, call: &'static str, object: impl AsRef<str>) -> Result<T, Error>;
}

impl<T> Context<T> for Result<T, Errno> {
    fn at(self, call: &'static str, object: impl AsRef<str>) -> Result<T, Error> {
        self.map_err(|errno| Error::new(call, object.as_ref(), errno))
    }
}

impl<T> Context<T> for std::io::Result<T> {
    fn at(self, call: &'static str, object: impl AsRef<str>) -> Result<T, Error> {
        self.map_err(|error| {
            let errno = error.raw_os_error().map_or(Errno::EIO, Errno::from_raw);
            Error::new(call, object.as_ref(), errno)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_the_call_the_object_and_the_reason() {
        let error = Error::new("open_tree", "/srv/data", Errno::ENOENT);
        assert_eq!(error.to_string(), "open_tree \"/srv/data\": no such file or directory");
    }

    #[test]
    fn keeps_the_capitals_of_an_abbreviation() {
        assert_eq!(describe(Errno::EIO), "I/O error");
        assert_eq!(describe(Errno::EACCES), "permission denied");
    }
}
