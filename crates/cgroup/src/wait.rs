//! Waiting for the kernel: by event on v2, by growing pauses on v1, which has no events.

use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::uio::pread;

use crate::error::Result;
use crate::file;

/// `cgroup.events` of a v2 cgroup (cgroup-v2.rst, "Populated Notification"): the kernel flags a
/// change of the file, so that `poll` returns with `POLLPRI`.
pub(crate) struct Events {
    fd: OwnedFd,
    path: String,
}

/// How a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Was {
    /// It was so from the start, or the cgroup is gone.
    Already,
    /// It became so.
    Waited,
    /// It did not become so in time.
    Late,
}

impl Events {
    pub(crate) fn open(dir: &str) -> nix::Result<Events> {
        let path = file::join(dir, "cgroup.events");
        let fd = file::open(&path, OFlag::O_RDONLY)?;
        Ok(Events { fd, path })
    }

    /// The value of `key` now; `None` if the cgroup is gone.
    fn value(&self, key: &str) -> Result<Option<u64>> {
        let mut text = [0; 256];
        match pread(&self.fd, &mut text, 0) {
            Ok(n) => Ok(file::keyed(&String::from_utf8_lossy(&text[..n]), key)),
            Err(Errno::ENODEV) => Ok(None),
            Err(errno) => Err(file::call_error("read", &self.path, errno)),
        }
    }

    /// Waits until `key` has `value`.
    pub(crate) fn until(&self, key: &str, value: u64, deadline: Instant) -> Result<Was> {
        let mut was = Was::Already;
        loop {
            match self.value(key)? {
                None => return Ok(was),
                Some(now) if now == value => return Ok(was),
                Some(_) => was = Was::Waited,
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(Was::Late);
            }
            // Rounded up: a poll of 0 ms would spin.
            let timeout = PollTimeout::try_from(left.as_millis() + 1).unwrap_or(PollTimeout::MAX);
            let mut fds = [PollFd::new(self.fd.as_fd(), PollFlags::POLLPRI)];
            match poll(&mut fds, timeout) {
                Ok(_) | Err(Errno::EINTR) => {}
                Err(errno) => return Err(file::call_error("poll", &self.path, errno)),
            }
        }
    }
}

/// Pauses that double, from 0.1 ms to 20 ms.
pub(crate) struct Pause(Duration);

impl Default for Pause {
    fn default() -> Pause {
        Pause(Duration::from_micros(100))
    }
}

impl Pause {
    pub(crate) fn sleep(&mut self) {
        std::thread::sleep(self.0);
        self.0 = (self.0 * 2).min(Duration::from_millis(20));
    }
}
