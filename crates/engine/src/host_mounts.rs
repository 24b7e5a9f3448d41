//! The mounts of a container that has no mount namespace of its own: they are the runtime's, and would
//! stay there. Its root is a mount on the root's own place, with all others below it, which `delete` takes
//! away again. What an engine has mounted there before is left: how many mounts there were is on record.

use nix::mount::{MntFlags, umount2};
use plan::NamespaceKind;
use sys::Context;

use crate::error::Result;
use crate::store::Record;

/// How many mounts are at the root's place, for the record; `None` where there will be no others.
pub(crate) fn before(plan: &plan::Create<'_>) -> Result<Option<usize>> {
    match plan.namespaces.has(NamespaceKind::Mount) {
        true => Ok(None),
        false => Ok(Some(mounts_at(&plan.root.path)?)),
    }
}

/// Takes away what the container has mounted.
pub(crate) fn remove(record: &Record<'_>) -> Result<()> {
    let Some(before) = record.mounts_before else {
        return Ok(());
    };
    for _ in before..mounts_at(&record.rootfs)? {
        let flags = MntFlags::MNT_DETACH | MntFlags::UMOUNT_NOFOLLOW;
        umount2(record.rootfs.as_str(), flags).at("umount2", &*record.rootfs)?;
    }
    Ok(())
}

fn mounts_at(place: &str) -> Result<usize> {
    let table = std::fs::read_to_string("/proc/self/mountinfo").at("read", "mountinfo")?;
    let place = std::fs::canonicalize(place).at("realpath", place)?;
    Ok(count(&table, &escaped(&place.to_string_lossy())))
}

fn count(table: &str, place: &str) -> usize {
    table.lines().filter(|line| line.split(' ').nth(4) == Some(place)).count()
}

/// As the mount table has it (proc_pid_mountinfo(5)).
fn escaped(path: &str) -> String {
    let escape = |c| match c {
        ' ' | '\t' | '\n' | '\\' => format!("\\{:03o}", c as u32),
        c => c.to_string(),
    };
    path.chars().map(escape).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounts_are_counted_by_their_place() {
        let table = "1 0 8:1 / / rw - ext4 x rw\n2 1 0:2 / /a\\040b rw - tmpfs x rw\n\
                     3 2 0:3 / /a\\040b rw - tmpfs x rw\n4 1 0:4 / /a\\040b/c rw - tmpfs x rw\n";
        assert_eq!(count(table, &escaped("/a b")), 2);
        assert_eq!(count(table, &escaped("/a")), 0);
    }
}
