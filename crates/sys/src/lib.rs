//! Safe wrappers named after the kernel's calls: the only crate of the workspace with `unsafe`.
//!
//! What `nix` wraps is used from `nix`; here is what it lacks (clone3, the file-descriptor based
//! mount calls, close_range, seccomp, bpf, keyctl, capset, pseudo-terminals by descriptor) and the
//! error type that gives both a face: [`Error`] names the call, the object and the errno.
//!
//! Conventions: descriptors go in as [`BorrowedFd`](std::os::fd::BorrowedFd) and come out as
//! [`OwnedFd`](std::os::fd::OwnedFd), always close-on-exec; one system call an unsafe block.

mod bpf;
mod clone;
mod error;
mod fd;
mod heap;
mod mount;
mod net;
mod policy;
mod process;
mod regex;
mod seccomp;
mod shared;
mod start;
mod tty;

pub use bpf::{attach_device_program, detach_device_program, device_programs, load_device_program};
pub use clone::{Clone3, Forked, clone3, pidfd_getfd, pidfd_open, pidfd_send_signal};
pub use error::{Context, Error, describe, describe_signal};
pub use fd::{
    check_open, close_all, close_all_but, close_from, keep_on_exec, lock_file, namespace_kind,
    replace, set_close_on_exec, take_inherited, take_passed,
};
pub use heap::Heap;
pub use mount::{
    Attributes, OpenTree, PROC_MAGIC, attributes, change_attributes, magic, map_ids, move_mount,
    move_mount_into, open_tree, pivot_root_here, remount_flags, set_label_here, set_propagation,
};
pub use net::{create_interface_socket, loopback_up};
pub use policy::{
    IoClass, set_cpus, set_io_priority, set_memory_policy, set_personality, set_scheduler,
};
pub use process::{
    CapabilitySets, Exec, LAST_CAPABILITY, clear_ambient, drop_bounding, join_session_keyring,
    keep_capabilities, kill, permitted_capabilities, raise_ambient, reset_signals,
    set_capabilities, set_domain_name, set_dumpable, set_groups, set_ids, set_no_new_privileges,
    set_parent_death_signal, set_rlimit, unblock_signals_of,
};
pub use regex::Regex;
pub use seccomp::{seccomp_knows, seccomp_set_filter};
pub use shared::shared_words;
pub use start::{arguments, start};
pub use tty::{
    WindowSize, acquire_controlling_terminal, pty_number, pty_peer, set_window_size, unlock_pty,
    window_size,
};

/// The errno of a failed call.
pub use nix::errno::Errno;

/// What a wrapper returns.
pub type Result<T> = std::result::Result<T, Error>;
