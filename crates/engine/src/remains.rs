//! What is left of a container whose `create` was ended in the middle: for those who look, so that
//! nobody has to guess. `delete --force` removes all of it.

use crate::store::{ContainerDir, Phase, Record};

/// What a `create` left behind that is at work no more; `None` while it is, or when it had finished.
/// Without a record it did not even come to write one.
pub fn remains(dir: &ContainerDir, record: Option<&Record<'_>>) -> Option<Vec<String>> {
    let unfinished = record.is_none_or(|record| record.phase == Phase::Creating);
    if !unfinished || dir.is_locked() || !dir.exists().unwrap_or(true) {
        return None;
    }
    let mut things = vec![dir.path().display().to_string()];
    let Some(record) = record else { return Some(things) };
    let cgroup = if record.owns_cgroup() { record.cgroup() } else { cgroup::Cgroup::default() };
    let mut directories: Vec<&str> = cgroup.paths().map(|(_, path)| path).collect();
    directories.dedup();
    directories.retain(|path| std::fs::metadata(path).is_ok());
    things.extend(match directories[..] {
        [] => None,
        [one] => Some(format!("the cgroup {one}")),
        [one, ..] => Some(format!("a cgroup in {} hierarchies such as {one}", directories.len())),
    });
    let pids = cgroup.pids().unwrap_or_default();
    things.extend(pids.iter().map(|pid| format!("process {pid}")));
    things.extend(record.unit_name().map(|unit| format!("perhaps systemd's unit {unit}")));
    Some(things)
}
