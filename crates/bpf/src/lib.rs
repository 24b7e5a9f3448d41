//! Policies as programs for the kernel: a seccomp profile becomes classic BPF, and the device
//! rules of a cgroup become eBPF.
#![forbid(unsafe_code)]

pub mod devices;
pub mod seccomp;
