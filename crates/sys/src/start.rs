//! The start of a program, in the place of the standard library's: [`main!`](crate::main).
//!
//! What Rust does before `main` is a dozen system calls and a handler that says "stack overflow" before the
//! end that comes anyway. What of it a runtime needs is here: descriptors 0 to 2 are open, and writing to a
//! pipe that nobody reads is an error and not the end. docs/decisions/0006-start-up.md has the figures.

use std::ffi::{CStr, OsString};
use std::os::unix::ffi::OsStringExt;
use std::sync::OnceLock;

use nix::errno::Errno;

static ARGUMENTS: OnceLock<Vec<OsString>> = OnceLock::new();

/// What the program was called with, its own name first. Nothing where [`main!`](crate::main) did not
/// start it, as in tests.
pub fn arguments() -> &'static [OsString] {
    ARGUMENTS.get().map_or(&[], Vec::as_slice)
}

/// Makes a function without arguments, whose result is the exit status, the program's `main`. The
/// crate has to be `#![no_main]`.
#[macro_export]
macro_rules! main {
    ($story:path) => {
        // SAFETY: it is the only `main`, and has C's type for it.
        #[allow(unsafe_code)]
        #[unsafe(no_mangle)]
        extern "C" fn main(
            count: std::ffi::c_int,
            words: *const *const std::ffi::c_char,
        ) -> std::ffi::c_int {
            // SAFETY: the C library calls this once, with what execve(2) passed.
            unsafe { $crate::start(count, words) };
            let status: u8 = $story();
            // Not by returning: this writes out what is still to be printed.
            std::process::exit(status.into())
        }
    };
}

/// Takes the arguments, opens /dev/null in the place of each standard descriptor that is closed, and
/// ignores SIGPIPE. Without these three a program does not go on.
///
/// # Safety
///
/// `words` points to `count` C strings that live as long as the program.
#[doc(hidden)]
pub unsafe fn start(count: libc::c_int, words: *const *const libc::c_char) {
    // SAFETY: that many pointers are there, by this function's contract.
    let words = unsafe { std::slice::from_raw_parts(words, count as usize) };
    let word = |word: &*const libc::c_char| {
        // SAFETY: it is a C string, by the same.
        let word = unsafe { CStr::from_ptr(*word) };
        OsString::from_vec(word.to_bytes().to_vec())
    };
    let _ = ARGUMENTS.set(words.iter().map(word).collect());
    // SAFETY: ignoring is no function of this program.
    let ignored = unsafe { libc::signal(libc::SIGPIPE, libc::SIG_IGN) } != libc::SIG_ERR;
    if !(ignored && has_standard_descriptors()) {
        std::process::abort();
    }
}

/// A file that is opened later must not get the number of a closed one: it would be written to by whoever
/// prints.
fn has_standard_descriptors() -> bool {
    let mut three = [0, 1, 2].map(|fd| libc::pollfd { fd, events: 0, revents: 0 });
    // SAFETY: it is an array of three.
    while unsafe { libc::poll(three.as_mut_ptr(), 3, 0) } < 0 {
        if Errno::last() != Errno::EINTR {
            return false;
        }
    }
    let mut closed = three.iter().filter(|fd| fd.revents & libc::POLLNVAL != 0);
    // SAFETY: the path is a C string. The lowest free number, which it gets, is the one that is closed.
    closed.all(|_| unsafe { libc::open(c"/dev/null".as_ptr(), libc::O_RDWR) } >= 0)
}
