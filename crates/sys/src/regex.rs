//! POSIX extended regular expressions (regcomp(3)): what crun's `--regex` takes.

use std::ffi::{CStr, CString};
use std::mem::MaybeUninit;

/// A compiled extended regular expression.
pub struct Regex(libc::regex_t);

impl Regex {
    /// Compiles `pattern`; the error is the C library's sentence.
    pub fn new(pattern: &str) -> Result<Regex, String> {
        let pattern = CString::new(pattern).map_err(|_| "holds a NUL character".to_owned())?;
        let mut compiled = MaybeUninit::<libc::regex_t>::zeroed();
        let flags = libc::REG_EXTENDED | libc::REG_NOSUB;
        // SAFETY: `compiled` is writable, `pattern` ends with NUL.
        let error = unsafe { libc::regcomp(compiled.as_mut_ptr(), pattern.as_ptr(), flags) };
        if error != 0 {
            return Err(describe(error, &compiled));
        }
        // SAFETY: regcomp succeeded, so all of it is set.
        Ok(Regex(unsafe { compiled.assume_init() }))
    }

    /// Whether it matches anywhere in `text`.
    pub fn is_match(&self, text: &str) -> bool {
        let Ok(text) = CString::new(text) else {
            return false;
        };
        // SAFETY: the expression is compiled, `text` ends with NUL, and no matches are asked for.
        unsafe { libc::regexec(&self.0, text.as_ptr(), 0, std::ptr::null_mut(), 0) == 0 }
    }
}

fn describe(error: libc::c_int, compiled: &MaybeUninit<libc::regex_t>) -> String {
    let mut text = [0_u8; 128];
    let (start, size) = (text.as_mut_ptr().cast(), text.len());
    // SAFETY: `text` has `size` bytes; the expression is only looked at, and was zeroed.
    unsafe { libc::regerror(error, compiled.as_ptr(), start, size) };
    let text = CStr::from_bytes_until_nul(&text).unwrap_or_default();
    text.to_string_lossy().into_owned()
}

impl Drop for Regex {
    fn drop(&mut self) {
        // SAFETY: compiled by `new`, freed once.
        unsafe { libc::regfree(&mut self.0) }
    }
}

impl std::fmt::Debug for Regex {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Regex")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extended_and_not_anchored() {
        let pattern = Regex::new("^web-[0-9]+$|db").unwrap();
        assert!(pattern.is_match("web-12") && pattern.is_match("a-db-b"));
        assert!(!pattern.is_match("web-") && !pattern.is_match("xweb-1"));
        assert!(Regex::new("").unwrap().is_match("anything"));
    }

    #[test]
    fn mistakes_are_told() {
        for pattern in ["[", "(", "a\0b"] {
            assert!(!Regex::new(pattern).unwrap_err().is_empty(), "{pattern}");
        }
    }
}
