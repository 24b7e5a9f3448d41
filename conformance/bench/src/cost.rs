//! What something cost: time on the wall, and time of the CPUs in all processes that it made.

use std::time::{Duration, Instant};

use nix::sys::prctl::set_child_subreaper;
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use crate::Result;

/// One measurement.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Cost {
    /// Nanoseconds that passed.
    pub(crate) wall: u64,
    /// Nanoseconds of user and system time of all processes that ended before it was taken away.
    pub(crate) cpu: u64,
}

/// A created container's init outlives the command that made it: from now on it is ours to wait for.
pub(crate) fn reap_orphans_from_now_on() -> Result<()> {
    set_child_subreaper(true).map_err(|error| format!("PR_SET_CHILD_SUBREAPER: {error}"))
}

/// Waits for an orphan that became ours.
pub(crate) fn wait_for(pid: i32) -> Result<()> {
    match waitpid(Pid::from_raw(pid), None) {
        Ok(_) | Err(nix::errno::Errno::ECHILD) => Ok(()),
        Err(error) => Err(format!("waitpid {pid}: {error}")),
    }
}

/// Collects orphans that have ended.
pub(crate) fn reap() {
    while let Ok(status) = waitpid(None, Some(WaitPidFlag::WNOHANG)) {
        if status == WaitStatus::StillAlive {
            return;
        }
    }
}

/// Does something, and says what it cost.
pub(crate) fn of(act: impl FnOnce() -> Result<()>) -> Result<Cost> {
    with_removal(act, || Ok(()))
}

/// Does something, and takes it away: the time on the wall is the first's, that of the CPUs both's, since
/// what a living process has used is not known before it ends.
pub(crate) fn with_removal(
    act: impl FnOnce() -> Result<()>,
    remove: impl FnOnce() -> Result<()>,
) -> Result<Cost> {
    // Somebody else's dead are not what this costs.
    reap();
    let (before, begin) = (cpu()?, Instant::now());
    act()?;
    let wall = nanoseconds(begin.elapsed());
    remove()?;
    reap();
    Ok(Cost { wall, cpu: cpu()?.saturating_sub(before) })
}

fn cpu() -> Result<u64> {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).map_err(|e| format!("getrusage: {e}"))?;
    let of = |time: nix::sys::time::TimeVal| {
        time.tv_sec() as u64 * 1_000_000_000 + time.tv_usec() as u64 * 1000
    };
    Ok(of(usage.user_time()) + of(usage.system_time()))
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// The value below which `part` of a list lies; 0 of an empty one.
pub(crate) fn quantile(values: impl IntoIterator<Item = f64>, part: f64) -> f64 {
    let mut sorted: Vec<f64> = values.into_iter().collect();
    sorted.sort_by(f64::total_cmp);
    let last = sorted.len().saturating_sub(1) as f64;
    sorted.get((part * last).round() as usize).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::quantile;

    #[test]
    fn quantiles() {
        let values = || [4.0, 1.0, 3.0, 2.0, 5.0];
        assert_eq!(quantile(values(), 0.5), 3.0);
        assert_eq!(quantile(values(), 0.25), 2.0);
        assert_eq!(quantile([], 0.5), 0.0);
    }
}
