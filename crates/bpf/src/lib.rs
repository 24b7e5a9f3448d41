//! Policies as programs for the kernel: a seccomp profile becomes classic BPF ([`seccomp`]), and
//! the device rules of a cgroup become eBPF ([`devices`]).
//!
//! Both take what `spec` has parsed, and answer with plain instructions or with every
//! [`Problem`] at once. Nothing here reads a file, looks at the machine or calls the kernel; the
//! caller loads the programs.
//!
//! A seccomp program first tells architectures apart, then searches for the number of the call
//! in a tree over ranges of numbers with the same answer:
//!
//! ```text
//!         load arch
//!            │
//!         x86_64? ── no ── i386? ── no ── return KILL_THREAD
//!            │               └ (a tree like the one below)
//!         load number
//!            │
//!        >= 203? ──────────── yes ───┐
//!            │ no                    │
//!        >= 101? ── yes ─ ...    >= 0x1d0? ── yes ── return ERRNO(ENOSYS)   newer than the profile
//!            │ no                    │ no
//!          = 56? ── yes ─┐         = 246? ── yes ── return ERRNO(EPERM)     one among allowed ones
//!            │ no        │           │ no
//!        return ALLOW    │       return ALLOW
//!                        └ load args[0] ─ and 0x7e020000 ─ = 0? ── yes ── return ALLOW
//! ```
//!
//! So a call costs about a dozen instructions however long the profile is; and wherever no rule
//! looks at arguments, only at instructions that the kernel can evaluate once and for all when
//! the filter is loaded (`seccomp_is_const_allow`, since Linux 5.11).
//!
//! ```
//! use bpf::seccomp::{self, Arch};
//!
//! let profile = spec::Seccomp {
//!     default_action: "SCMP_ACT_ALLOW".into(),
//!     syscalls: vec![spec::SyscallRule {
//!         names: vec!["keyctl".into(), "not_a_call_yet".into()],
//!         action: "SCMP_ACT_ERRNO".into(),
//!         ..Default::default()
//!     }],
//!     ..Default::default()
//! };
//! let filter = seccomp::compile(&profile, Arch::X86_64).unwrap().unwrap();
//! assert!(filter.program.len() < 12);
//!
//! let profile = spec::Seccomp { default_action: "SCMP_ACT_PANIC".into(), ..profile };
//! let problems = seccomp::compile(&profile, Arch::X86_64).unwrap_err();
//! assert_eq!(problems[0].to_string(), "defaultAction: \"SCMP_ACT_PANIC\" is not a known action");
//! ```
#![forbid(unsafe_code)]

pub mod devices;
pub mod interpret;
mod problem;
pub mod seccomp;

pub use problem::Problem;
