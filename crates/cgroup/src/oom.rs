//! Being told when the memory of a cgroup has run out.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::poll::PollFlags;
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::uio::pread;

use crate::cgroup::Cgroup;
use crate::error::Result;
use crate::{file, v1};

const CONTROL: &str = "cgroup.event_control";

/// A descriptor to poll for [`flags`](OomWatch::flags); when it is ready, [`OomWatch::take`] says
/// what it was.
#[derive(Debug)]
pub struct OomWatch {
    source: Source,
}

#[derive(Debug)]
enum Source {
    /// v1 tells an eventfd (memory.rst, "OOM Control"): when the memory runs out, before it kills
    /// anybody.
    V1 { told: EventFd, control: String },
    /// v2 flags a change of `memory.events`; `kills` is its `oom_kill`.
    V2 { events: OwnedFd, path: String, kills: u64 },
}

impl Cgroup {
    /// Starts to watch; `None` where there is no memory controller.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn watch_oom(&self) -> Result<Option<OomWatch>> {
        let source = match (self.v1_dir("memory"), self.v2_dir()) {
            (Some(dir), _) => Some(watch_v1(dir)?),
            (None, Some(dir)) => watch_v2(dir)?,
            (None, None) => None,
        };
        Ok(source.map(|source| OomWatch { source }))
    }

    /// The limit of the cgroup's own memory: the file that has it, and the bytes. `None` where there
    /// is none, or no memory controller.
    pub fn memory_limit(&self) -> Option<(&'static str, u64)> {
        let (dir, name) = match (self.v1_dir("memory"), self.v2_dir()) {
            (Some(dir), _) => (dir, v1::MEMORY_LIMIT),
            (None, dir) => (dir?, "memory.max"),
        };
        let limit = file::read(dir, name).ok()?.trim().parse().ok()?;
        // v1's no limit is the largest number of whole pages.
        (limit < 1 << 62).then_some((name, limit))
    }
}

fn watch_v1(dir: &str) -> Result<Source> {
    let path = file::join(dir, v1::OOM_CONTROL);
    let watched = file::open(&path, OFlag::O_RDONLY)
        .map_err(|errno| file::call_error("open", &path, errno))?;
    let told = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)
        .map_err(|errno| file::call_error("eventfd", &path, errno))?;
    let line = format!("{} {}", told.as_fd().as_raw_fd(), watched.as_raw_fd());
    file::write(dir, CONTROL, &line)?;
    Ok(Source::V1 { told, control: file::join(dir, CONTROL) })
}

fn watch_v2(dir: &str) -> Result<Option<Source>> {
    let path = file::join(dir, "memory.events");
    let events = match file::open(&path, OFlag::O_RDONLY) {
        Ok(events) => events,
        Err(Errno::ENOENT) => return Ok(None),
        Err(errno) => return Err(file::call_error("open", &path, errno)),
    };
    let kills = kills(&events).map_err(|errno| file::call_error("read", &path, errno))?;
    Ok(Some(Source::V2 { events, path, kills }))
}

fn kills(events: &OwnedFd) -> nix::Result<u64> {
    let mut text = [0; 512];
    let n = pread(events, &mut text, 0)?;
    Ok(file::keyed(&String::from_utf8_lossy(&text[..n]), "oom_kill").unwrap_or(0))
}

impl OomWatch {
    /// What to poll for.
    pub fn flags(&self) -> PollFlags {
        match self.source {
            Source::V1 { .. } => PollFlags::POLLIN,
            Source::V2 { .. } => PollFlags::POLLPRI,
        }
    }

    /// Whether the memory has run out since the last call. Never waits. The end of the cgroup,
    /// which v1 tells in the same way, is none.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn take(&mut self) -> Result<bool> {
        match &mut self.source {
            Source::V1 { told, control } => match told.read() {
                Ok(_) => Ok(std::fs::exists(&*control).unwrap_or(false)),
                Err(Errno::EAGAIN | Errno::EINTR) => Ok(false),
                Err(errno) => Err(file::call_error("read", control, errno)),
            },
            Source::V2 { events, path, kills: before } => match kills(events) {
                Ok(now) => Ok(std::mem::replace(before, now) < now),
                Err(Errno::ENODEV) => Ok(false),
                Err(errno) => Err(file::call_error("read", path, errno)),
            },
        }
    }
}

impl AsFd for OomWatch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.source {
            Source::V1 { told, .. } => told.as_fd(),
            Source::V2 { events, .. } => events.as_fd(),
        }
    }
}
