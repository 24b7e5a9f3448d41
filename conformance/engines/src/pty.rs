//! A terminal for a check: a real pty with a window size, on which a line is typed.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::pty::{Winsize, openpty};

use crate::error::{Doing, Result};

/// The size that a check's terminal has, rows and columns.
pub(crate) const SIZE: (u16, u16) = (33, 101);

/// The engine's side of the pty, and all that came out of it so far.
pub(crate) struct Pty {
    master: File,
    seen: Arc<Mutex<Vec<u8>>>,
    reader: JoinHandle<()>,
}

impl Pty {
    /// Opens a pty; the second value is the end that the command gets.
    pub(crate) fn open() -> Result<(Self, OwnedFd)> {
        let size = Winsize { ws_row: SIZE.0, ws_col: SIZE.1, ws_xpixel: 0, ws_ypixel: 0 };
        let pair = openpty(Some(&size), None).doing("open a pty")?;
        let master = File::from(pair.master);
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (mut from, to) = (master.try_clone().doing("share a pty")?, Arc::clone(&seen));
        let reader = std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            // The end is an error (EIO): the last process with the other end open is gone.
            while let Ok(length @ 1..) = from.read(&mut buffer) {
                if let (Ok(mut to), Some(read)) = (to.lock(), buffer.get(..length)) {
                    to.extend_from_slice(read);
                }
            }
        });
        Ok((Self { master, seen, reader }, pair.slave))
    }

    /// What the terminal shows, without carriage returns.
    pub(crate) fn seen(&self) -> String {
        let seen = self.seen.lock().map(|seen| seen.clone()).unwrap_or_default();
        String::from_utf8_lossy(&seen).replace('\r', "")
    }

    /// Types each line of `keys` as soon as there is a prompt for it, or not at all if none comes in
    /// time. No line has a prompt's character in it, as the terminal shows what is typed.
    pub(crate) fn type_at_prompts(&mut self, keys: &str, limit: Duration) -> Result<()> {
        let start = Instant::now();
        for (before, line) in keys.split_inclusive('\n').enumerate() {
            while self.seen().matches(['#', '$']).count() <= before {
                if start.elapsed() > limit {
                    return Ok(());
                }
                std::thread::sleep(Duration::from_millis(20));
            }
            self.type_slowly(line)?;
        }
        Ok(())
    }

    /// Waits until no process has the other end open any more, or for a second.
    pub(crate) fn drain(&self) {
        let start = Instant::now();
        while !self.reader.is_finished() && start.elapsed() < Duration::from_secs(1) {
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Key by key, as fingers do: podman sees its detach keys only if each comes alone, which on a
    /// busy machine takes a while.
    fn type_slowly(&mut self, keys: &str) -> Result<()> {
        for key in keys.as_bytes() {
            self.master.write_all(&[*key]).doing("type on a pty")?;
            let pause = if key.is_ascii_control() { 200 } else { 5 };
            std::thread::sleep(Duration::from_millis(pause));
        }
        Ok(())
    }
}
