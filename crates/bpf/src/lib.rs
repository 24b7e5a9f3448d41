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
//! What the crate needs is a profile, from JSON or made by hand, and the machine that it is for:
//!
//! ```
//! use bpf::interpret::{Data, run};
//! use bpf::seccomp::{self, Arch, Filter};
//!
//! let profile: spec::Seccomp<'_> = serde_json::from_str(
//!     r#"{
//!         "defaultAction": "SCMP_ACT_ALLOW",
//!         "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"],
//!         "syscalls": [
//!             { "names": ["keyctl", "not_a_call_yet"], "action": "SCMP_ACT_ERRNO", "errnoRet": 13 },
//!             { "names": ["socket"], "action": "SCMP_ACT_ERRNO",
//!               "args": [{ "index": 0, "value": 40, "op": "SCMP_CMP_EQ" }] }
//!         ]
//!     }"#,
//! )?;
//! let filter = match seccomp::compile(&profile, Arch::X86_64) {
//!     Ok(Some(filter)) => filter,
//!     Ok(None) => return Ok(()), // The profile asks for nothing.
//!     Err(problems) => panic!("{problems:?}"), // Everything that is wrong with it, and where.
//! };
//!
//! // For the kernel: an array of `struct sock_filter`, and the flags of seccomp(2).
//! assert_eq!(filter.instructions().len(), filter.program.len() * 8);
//! assert_eq!(filter.flags, 4); // SECCOMP_FILTER_FLAG_SPEC_ALLOW
//!
//! // What it answers, without a kernel: keyctl is 250 on x86_64, and 288 on x86.
//! let answer = |arch, number, args| run(&filter.program, &Data { number, arch, args });
//! assert_eq!(answer(Arch::X86_64, 250, [0; 6])?.action, 0x0005_000d); // SECCOMP_RET_ERRNO, EACCES
//! assert_eq!(answer(Arch::X86, 288, [0; 6])?.action, 0x0005_000d);
//! assert_eq!(answer(Arch::X86_64, 41, [40, 0, 0, 0, 0, 0])?.action, 0x0005_0001);
//! assert_eq!(answer(Arch::X86_64, 41, [2, 0, 0, 0, 0, 0])?.action, 0x7fff_0000); // SECCOMP_RET_ALLOW
//! assert!(!answer(Arch::X86_64, 0, [0; 6])?.saw_arguments); // read(2): the kernel remembers
//!
//! // As bytes for another time, which are checked when they come back.
//! assert_eq!(Filter::from_bytes(&filter.to_bytes()), Ok(filter));
//!
//! let profile = spec::Seccomp { default_action: "SCMP_ACT_PANIC".into(), ..profile };
//! let problems = seccomp::compile(&profile, Arch::X86_64).unwrap_err();
//! assert_eq!(problems[0].to_string(), "defaultAction: \"SCMP_ACT_PANIC\" is not a known action");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]

pub mod devices;
pub mod interpret;
mod problem;
pub mod seccomp;

pub use problem::Problem;
