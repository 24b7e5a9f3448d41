//! An allocator for commands that live for milliseconds: it touches few pages.
//!
//! What a short command costs is the pages that it touches, each of them twice where it clones a
//! process. So blocks lie side by side: a block is the next piece of the current chunk, or one of
//! its size that was freed before. A freed block that was the last piece is taken back at once, and
//! the last piece grows in place, which is what a growing `Vec` or `String` mostly is.
//!
//! Freed blocks stay in lists by size, so a command that goes on for days (`events`, `run`) reuses
//! them. Chunks are never given back, and blocks above [`LARGEST`] are the system's.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::UnsafeCell;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicBool, Ordering};

/// Bytes of a chunk: a mapping of which only what is used is ever touched.
const CHUNK: usize = 256 * 1024;
/// Every block's size is a multiple of this, and every block is aligned to it.
const UNIT: usize = 16;
/// Blocks up to this many bytes are rounded up to whole units, larger ones to powers of two.
const FINE: usize = 512;
/// The largest block that comes out of a chunk.
const LARGEST: usize = 32 * 1024;
/// Sizes: those in units, then 1 KiB, 2 KiB, ... up to [`LARGEST`].
const CLASSES: usize = FINE / UNIT + (LARGEST / FINE).ilog2() as usize;

/// The allocator, for `#[global_allocator]`.
#[derive(Debug)]
pub struct Heap {
    busy: AtomicBool,
    state: UnsafeCell<State>,
}

#[derive(Debug)]
struct State {
    next: *mut u8,
    left: usize,
    /// The first free block of each size; its first word is the address of the next.
    free: [*mut u8; CLASSES],
}

// SAFETY: `state` is reached through `Heap::with` alone, which lets one caller in at a time.
unsafe impl Sync for Heap {}

impl Heap {
    /// An empty heap.
    #[allow(clippy::new_without_default)] // Only a constant one is of use.
    pub const fn new() -> Heap {
        let state = State { next: null_mut(), left: 0, free: [null_mut(); CLASSES] };
        Heap { busy: AtomicBool::new(false), state: UnsafeCell::new(state) }
    }

    /// A program of ours has one thread, and never waits here.
    fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        while self.busy.swap(true, Ordering::Acquire) {
            std::hint::spin_loop();
        }
        // SAFETY: whoever has set `busy` is alone, and `act` neither allocates nor panics.
        let result = act(unsafe { &mut *self.state.get() });
        self.busy.store(false, Ordering::Release);
        result
    }
}

/// A block's size for a layout, and its class; nothing for what is left to the system.
fn class(layout: Layout) -> Option<(usize, usize)> {
    let size = layout.size().max(1);
    if layout.align() > UNIT || size > LARGEST {
        return None;
    }
    if size <= FINE {
        let units = size.div_ceil(UNIT);
        return Some((units * UNIT, units - 1));
    }
    let size = size.next_power_of_two();
    Some((size, FINE / UNIT + (size / FINE).ilog2() as usize - 1))
}

impl State {
    fn take(&mut self, size: usize, class: usize) -> *mut u8 {
        let freed = self.free[class];
        if !freed.is_null() {
            // SAFETY: a block in the list holds the address of the next one, written by `give`.
            self.free[class] = unsafe { freed.cast::<*mut u8>().read() };
            return freed;
        }
        if self.left < size && !self.refill() {
            return null_mut();
        }
        let block = self.next;
        self.left -= size;
        // SAFETY: `size` bytes are left in the chunk.
        self.next = unsafe { block.add(size) };
        block
    }

    /// What is left of the old chunk is forgotten: at most [`LARGEST`] bytes, never touched.
    fn refill(&mut self) -> bool {
        let (access, kind) =
            (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
        // SAFETY: a new mapping, which nobody else knows.
        let chunk = unsafe { libc::mmap(null_mut(), CHUNK, access, kind, -1, 0) };
        if chunk == libc::MAP_FAILED {
            return false;
        }
        (self.next, self.left) = (chunk.cast(), CHUNK);
        true
    }

    fn is_last(&self, block: *mut u8, size: usize) -> bool {
        block.wrapping_add(size) == self.next
    }

    fn give(&mut self, block: *mut u8, size: usize, class: usize) {
        if self.is_last(block, size) {
            (self.next, self.left) = (block, self.left + size);
            return;
        }
        // SAFETY: the block is nobody's any more, is aligned, and has room for an address.
        unsafe { block.cast::<*mut u8>().write(self.free[class]) };
        self.free[class] = block;
    }

    /// Makes the last block larger, or smaller, where it is.
    fn resize(&mut self, block: *mut u8, old: usize, new: usize) -> bool {
        if !self.is_last(block, old) || self.left + old < new {
            return false;
        }
        self.left = self.left + old - new;
        self.next = block.wrapping_add(new);
        true
    }
}

/// The block, if there is one. Without memory no error can be made of it, nor anything be undone: the
/// process ends with the one sentence that needs none, as if it had been killed here.
fn there(block: *mut u8) -> *mut u8 {
    const SENTENCE: &[u8] = b"out of memory\n";
    if block.is_null() {
        // SAFETY: the bytes are a constant's.
        unsafe { libc::write(libc::STDERR_FILENO, SENTENCE.as_ptr().cast(), SENTENCE.len()) };
        // SAFETY: nothing runs behind it.
        unsafe { libc::_exit(1) };
    }
    block
}

// SAFETY: blocks are aligned, disjoint, and as large as their layouts; what a layout is allocated
// with decides where it is freed, by the same function.
unsafe impl GlobalAlloc for Heap {
    #[inline(never)]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        there(match class(layout) {
            Some((size, class)) => self.with(|state| state.take(size, class)),
            // SAFETY: the layout is the caller's, who has checked it.
            None => unsafe { System.alloc(layout) },
        })
    }

    #[inline(never)]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        match class(layout) {
            Some((size, class)) => self.with(|state| state.give(block, size, class)),
            // SAFETY: the block came from the system, as its layout says.
            None => unsafe { System.dealloc(block, layout) },
        }
    }

    #[inline(never)]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: by the caller's contract the size is not too large for the alignment.
        let wanted = unsafe { Layout::from_size_align_unchecked(size, layout.align()) };
        match (class(layout), class(wanted)) {
            (Some((old, _)), Some((new, _)))
                if old == new || self.with(|state| state.resize(block, old, new)) =>
            {
                block
            }
            // SAFETY: both sizes are the system's.
            (None, None) => there(unsafe { System.realloc(block, layout, size) }),
            _ => {
                // SAFETY: the layout was checked by the caller.
                let moved = unsafe { self.alloc(wanted) };
                let both = layout.size().min(size);
                // SAFETY: both blocks are at least that long, and they are two.
                unsafe { moved.copy_from_nonoverlapping(block, both) };
                // SAFETY: it is the caller's block, with its layout.
                unsafe { self.dealloc(block, layout) };
                moved
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(size: usize) -> Layout {
        Layout::from_size_align(size, 8).unwrap()
    }

    #[test]
    fn classes_are_dense_and_hold_their_sizes() {
        let mut seen = [false; CLASSES];
        for size in 1..=LARGEST {
            let (block, class) = class(layout(size)).unwrap();
            assert!(block >= size && block % UNIT == 0, "{size}");
            seen[class] = true;
        }
        assert!(seen.iter().all(|seen| *seen));
        assert_eq!(class(layout(LARGEST + 1)), None);
        assert_eq!(class(Layout::from_size_align(8, 32).unwrap()), None);
    }

    fn take(heap: &Heap, size: usize) -> *mut u8 {
        // SAFETY: the size isn't 0.
        unsafe { heap.alloc(layout(size)) }
    }

    fn give(heap: &Heap, block: *mut u8, size: usize) {
        // SAFETY: every test frees what it took, with the size that it has.
        unsafe { heap.dealloc(block, layout(size)) }
    }

    fn grow(heap: &Heap, block: *mut u8, old: usize, new: usize) -> *mut u8 {
        // SAFETY: as for `give`.
        unsafe { heap.realloc(block, layout(old), new) }
    }

    fn content(block: *mut u8, size: usize) -> &'static mut [u8] {
        // SAFETY: the block is as large, the test's own, and was filled.
        unsafe { std::slice::from_raw_parts_mut(block, size) }
    }

    #[test]
    fn blocks_are_reused_and_the_last_one_grows_in_place() {
        let heap = Heap::new();
        let (first, second) = (take(&heap, 40), take(&heap, 100));
        assert_eq!(second, first.wrapping_add(48));
        assert_eq!(grow(&heap, second, 100, 3000), second);
        give(&heap, first, 40);
        assert_eq!(take(&heap, 33), first);
        give(&heap, second, 3000);
        assert_eq!(take(&heap, 16), second);
    }

    #[test]
    fn contents_survive_moves_between_sizes_and_to_the_system() {
        let heap = Heap::new();
        let mut size = 8;
        let mut block = take(&heap, size);
        content(block, size).fill(7);
        while size < 4 * LARGEST {
            take(&heap, 16); // In the way of growing in place.
            block = grow(&heap, block, size, size * 2);
            assert!(content(block, size).iter().all(|byte| *byte == 7), "{size}");
            size *= 2;
            content(block, size).fill(7);
        }
        give(&heap, block, size);
    }
}
