//! `events`: what a container uses, and when its memory has run out.

use std::ops::ControlFlow;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use cgroup::{OomWatch, Stats};
use nix::errno::Errno;
use nix::poll::{PollFd, PollTimeout};
use spec::ContainerStatus;
use sys::Context;

use crate::error::{Error, Result};
use crate::process::Process;
use crate::resctrl::ResctrlStats;
use crate::status::status;
use crate::store::{Record, Store};

/// What a container has used so far.
#[derive(Debug)]
pub struct Usage {
    /// Its cgroup.
    pub cgroup: Stats,
    /// Its resctrl groups.
    pub resctrl: Option<ResctrlStats>,
}

impl Usage {
    fn of(record: &Record<'_>) -> Result<Usage> {
        let resctrl = record.resctrl.as_ref().map(|groups| groups.stats()).transpose()?;
        Ok(Usage { cgroup: record.cgroup().stats()?, resctrl })
    }
}

/// Something about a container.
#[derive(Debug)]
pub enum Event {
    /// What it has used so far.
    Stats(Box<Usage>),
    /// Its memory has run out.
    Oom,
}

/// What a container that lives has used so far.
pub fn stats(store: &Store, id: &str) -> Result<Usage> {
    let dir = store.container(id)?;
    let bytes = dir.read_record()?;
    let record = bytes.record()?;
    if status(&dir, &record)? == ContainerStatus::Stopped {
        return Err(not_running(id));
    }
    Usage::of(&record)
}

/// Reports what a container uses, each `interval`, and at once when its memory has run out; until
/// its init ends, or `report` breaks: then with what.
pub fn events<B>(
    store: &Store,
    id: &str,
    interval: Duration,
    report: &mut dyn FnMut(Event) -> ControlFlow<B>,
) -> Result<Option<B>> {
    let dir = store.container(id)?;
    let bytes = dir.read_record()?;
    let record = bytes.record()?;
    let Some(init) = Process::open(record.pid, record.start_time)? else {
        return Err(not_running(id));
    };
    let mut oom = record.cgroup().watch_oom()?;
    let mut next = Instant::now() + interval;
    loop {
        let ended = wait(&init, oom.as_ref(), next)?;
        let out_of_memory = match &mut oom {
            Some(oom) => oom.take()?,
            None => false,
        };
        if out_of_memory {
            if let ControlFlow::Break(value) = report(Event::Oom) {
                return Ok(Some(value));
            }
        }
        if ended {
            return Ok(None);
        }
        if Instant::now() >= next {
            let stats = Box::new(Usage::of(&record)?);
            if let ControlFlow::Break(value) = report(Event::Stats(stats)) {
                return Ok(Some(value));
            }
            // One that took too long to print makes no later one come sooner.
            next = (next + interval).max(Instant::now());
        }
    }
}

/// runc's words.
fn not_running(id: &str) -> Error {
    Error::Usage(format!("container with id {id} is not running"))
}

/// Waits until the process has ended (`true`), the memory has run out, or it is time.
fn wait(init: &Process, oom: Option<&OomWatch>, until: Instant) -> Result<bool> {
    let left = until.saturating_duration_since(Instant::now());
    // Rounded up: a poll of 0 ms would spin.
    let left = if left.is_zero() { 0 } else { left.as_millis() + 1 };
    let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
    let mut polled: Vec<_> =
        oom.map(|oom| PollFd::new(oom.as_fd(), oom.flags())).into_iter().collect();
    match init.poll(&mut polled, timeout) {
        Err(Errno::EINTR) => Ok(false),
        other => Ok(other.at("poll", "pidfd")?),
    }
}
