//! Device rules as a program for `BPF_PROG_TYPE_CGROUP_DEVICE` (cgroup v2 has no files for them).

/// Which devices a rule is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Character and block devices (`a`).
    All,
    /// Character devices (`c`).
    Char,
    /// Block devices (`b`).
    Block,
}

/// Kinds of access, as bits (`BPF_DEVCG_ACC_*` of linux/bpf.h).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Access(pub u8);

/// Allows or denies access to devices: a [`spec::DeviceRule`] with its texts understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    /// Allow or deny.
    pub allow: bool,
    /// Which kind of device.
    pub kind: Kind,
    /// Major number; `None` means any.
    pub major: Option<u32>,
    /// Minor number; `None` means any.
    pub minor: Option<u32>,
    /// What the rule allows or denies.
    pub access: Access,
}

/// One instruction of eBPF: the kernel's `struct bpf_insn`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub struct Instruction {
    /// Operation.
    pub code: u8,
    /// Destination register in the low half, source register in the high half, where the machine
    /// is little-endian; the other way round where it is big-endian.
    pub registers: u8,
    /// Offset of a jump or of a memory access.
    pub offset: i16,
    /// Operand.
    pub immediate: i32,
}

/// The program for `rules`.
pub fn compile(_rules: &[Rule]) -> Vec<Instruction> {
    Vec::new()
}
