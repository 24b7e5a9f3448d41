//! The chapters, in the order of the table.

mod bad_input;
mod cgroups;
mod devices;
mod exec;
mod hooks;
mod lifecycle;
mod mounts;
mod namespaces;
mod operations;
mod process;
mod seccomp;
mod security;
mod terminal;

use crate::table::Chapter;

/// Every chapter.
pub(crate) const ALL: &[Chapter] = &[
    ("lifecycle", &[lifecycle::TESTS, operations::TESTS]),
    ("process", &[process::TESTS, seccomp::TESTS]),
    ("mounts", &[mounts::OPTIONS, mounts::PLACES]),
    ("namespaces", &[namespaces::TESTS, namespaces::ROOTLESS]),
    ("cgroups", &[cgroups::LIMITS, cgroups::PLACES, cgroups::DEVICES]),
    ("devices", &[devices::TESTS]),
    ("hooks", &[hooks::TESTS]),
    ("terminal", &[terminal::TESTS]),
    ("exec", &[exec::TESTS, exec::PRIVILEGES]),
    ("bad-input", &[bad_input::FILES, bad_input::IDS, bad_input::PROPERTIES]),
    ("security", &[security::TESTS]),
];
