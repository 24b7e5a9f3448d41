//! `linux.seccomp` (config-linux.md, "Seccomp").

use serde::{Deserialize, Serialize};

use crate::Text;
use crate::text::nullable;

/// `linux.seccomp`: the filter of system calls.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", remote = "Self")]
pub struct Seccomp<'a> {
    /// What happens to a call that no rule matches.
    #[serde(default, deserialize_with = "nullable", borrow)]
    pub default_action: Text<'a>,
    /// The errno of a default `SCMP_ACT_ERRNO` (or the value of `SCMP_ACT_TRACE`).
    #[serde(default)]
    pub default_errno_ret: Option<u32>,
    /// Such as `SCMP_ARCH_X86_64`; the host's own is always one of them.
    #[serde(default, deserialize_with = "nullable", borrow)]
    pub architectures: Vec<Text<'a>>,
    /// Such as `SECCOMP_FILTER_FLAG_LOG`. An empty list asks for none; without one the runtime
    /// has its default.
    #[serde(default, borrow)]
    pub flags: Option<Vec<Text<'a>>>,
    /// Socket of the agent that gets the notification descriptor.
    #[serde(default, deserialize_with = "nullable", borrow)]
    pub listener_path: Text<'a>,
    /// Opaque data for that agent.
    #[serde(default, deserialize_with = "nullable", borrow)]
    pub listener_metadata: Text<'a>,
    /// The rules.
    #[serde(default, deserialize_with = "nullable", borrow)]
    pub syscalls: Vec<SyscallRule<'a>>,
}

/// One rule of the filter.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", remote = "Self")]
pub struct SyscallRule<'a> {
    /// The calls it is for; at least one.
    #[serde(default, deserialize_with = "nullable", borrow)]
    pub names: Vec<Text<'a>>,
    /// What happens to them.
    #[serde(default, deserialize_with = "nullable", borrow)]
    pub action: Text<'a>,
    /// The errno of `SCMP_ACT_ERRNO` (or the value of `SCMP_ACT_TRACE`).
    #[serde(default)]
    pub errno_ret: Option<u32>,
    /// Conditions, all of which must hold.
    #[serde(default, deserialize_with = "nullable", borrow)]
    pub args: Vec<SyscallArg<'a>>,
}

/// A condition on an argument of a call.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", remote = "Self")]
pub struct SyscallArg<'a> {
    /// Which argument, 0 to 5.
    #[serde(default, deserialize_with = "nullable")]
    pub index: u32,
    /// What it is compared with.
    #[serde(default, deserialize_with = "nullable")]
    pub value: u64,
    /// For `SCMP_CMP_MASKED_EQ`: what the masked argument must equal.
    #[serde(default, deserialize_with = "nullable")]
    pub value_two: u64,
    /// Such as `SCMP_CMP_EQ`.
    #[serde(default, deserialize_with = "nullable", borrow)]
    pub op: Text<'a>,
}
