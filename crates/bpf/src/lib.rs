//! Policies as programs for the kernel: a seccomp profile becomes classic BPF, and the device
//! rules of a cgroup become eBPF.
#![forbid(unsafe_code)]

pub mod devices;
#[cfg(any(test, feature = "interpret"))]
pub mod interpret;
mod problem;
pub mod seccomp;

pub use problem::Problem;
