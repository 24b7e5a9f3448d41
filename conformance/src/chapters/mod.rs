//! The chapters, in the order of the table.

mod cgroups;
mod devices;
mod lifecycle;
mod mounts;
mod namespaces;
mod operations;
mod process;
mod seccomp;

use crate::table::Chapter;

/// Every chapter.
pub(crate) const ALL: &[Chapter] = &[
    ("lifecycle", &[lifecycle::TESTS, operations::TESTS]),
    ("process", &[process::TESTS, seccomp::TESTS]),
    ("mounts", &[mounts::OPTIONS, mounts::PLACES]),
    ("namespaces", &[namespaces::TESTS, namespaces::ROOTLESS]),
    ("cgroups", &[cgroups::LIMITS, cgroups::PLACES, cgroups::DEVICES]),
    ("devices", &[devices::TESTS]),
];
