//! Memory that a process and its children have in common.

use std::sync::atomic::AtomicU64;

use crate::{Error, Result};

/// `count` words of zero that this process and all that it clones see alike (mmap(2), `MAP_SHARED`
/// and `MAP_ANONYMOUS`), for as long as they live. A page exists once somebody writes to it.
pub fn shared_words(count: usize) -> Result<&'static [AtomicU64]> {
    let size = count * size_of::<AtomicU64>();
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    let flags = libc::MAP_SHARED | libc::MAP_ANONYMOUS;
    // SAFETY: no address is asked for, so that no other mapping is replaced.
    let start = unsafe { libc::mmap(std::ptr::null_mut(), size, protection, flags, -1, 0) };
    if start == libc::MAP_FAILED {
        return Err(Error::last("mmap", format!("{size} bytes")));
    }
    // SAFETY: the mapping is page aligned, `size` bytes long, zeroed and never unmapped; atomics may
    // be shared with anybody, other processes too, and have no invalid values.
    Ok(unsafe { std::slice::from_raw_parts(start.cast::<AtomicU64>(), count) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::Ordering::Relaxed;

    #[test]
    fn words_are_zero_and_stay() {
        let words = shared_words(1000).unwrap();
        assert_eq!(words.len(), 1000);
        assert!(words.iter().all(|word| word.load(Relaxed) == 0));
        words[999].store(7, Relaxed);
        assert_eq!(words[999].load(Relaxed), 7);
    }
}
