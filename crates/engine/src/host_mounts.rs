//! The mounts of a container that has no mount namespace of its own: they are the runtime's, and would
//! stay there. Its root is a mount on the root's own place, with all others below it, which `delete` takes
//! away again. What an engine has mounted there before is left: how many mounts there were is on record.

use std::io::ErrorKind;
use std::path::Path;

use nix::mount::{MntFlags, umount2};
use plan::NamespaceKind;
use sys::Context;

use crate::error::Result;
use crate::mount_table;
use crate::store::Record;

/// How many mounts are at the root's place, for the record; `None` where there will be no others.
pub(crate) fn before(plan: &plan::Create<'_>) -> Result<Option<usize>> {
    match plan.namespaces.has(NamespaceKind::Mount) {
        true => Ok(None),
        false => {
            let place = std::fs::canonicalize(&*plan.root.path).at("realpath", &*plan.root.path)?;
            Ok(Some(mounts_at(&place)?))
        }
    }
}

/// Takes away what the container has mounted. A root that is gone has taken its mounts with it.
pub(crate) fn remove(record: &Record<'_>) -> Result<()> {
    let Some(before) = record.mounts_before else {
        return Ok(());
    };
    let place = match std::fs::canonicalize(&*record.rootfs) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        other => other.at("realpath", &*record.rootfs)?,
    };
    for _ in before..mounts_at(&place)? {
        let flags = MntFlags::MNT_DETACH | MntFlags::UMOUNT_NOFOLLOW;
        umount2(record.rootfs.as_str(), flags).at("umount2", &*record.rootfs)?;
    }
    Ok(())
}

fn mounts_at(place: &Path) -> Result<usize> {
    let is_there = |mount: &mount_table::Entry| Path::new(&mount.place) == place;
    Ok(mount_table::own()?.iter().filter(|mount| is_there(mount)).count())
}
