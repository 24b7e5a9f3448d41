//! Device rules as a program for `BPF_PROG_TYPE_CGROUP_DEVICE`: cgroup v2 has no files for them.
//!
//! For each kind of access (read, write, mknod) the last rule that is for the device and for that
//! kind decides, and without any the answer is no (config-linux.md, "Allowed Device list": what
//! is allowed by default, the caller adds to the rules). Access is granted if each of the kinds
//! that were asked for is. So two rules that allow reading and writing one each allow opening for
//! both, as they do in cgroup v1.
//!
//! A rule for [`Kind::All`] sets everything back, whatever numbers and access it names; this, too,
//! is as in cgroup v1 (cgroup-v1/devices.rst) and in runc. Where a rule denies part of what an
//! earlier one with a wildcard allows, cgroup v1 ignores it and runc refuses to start the
//! container; here it does what it says.

use crate::Problem;

/// Which devices a rule is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Character and block devices (`a`), with any number and for any access.
    All,
    /// Character devices (`c`).
    Char,
    /// Block devices (`b`).
    Block,
}

/// Kinds of access, as bits: `BPF_DEVCG_ACC_*` of linux/bpf.h.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Access(u8);

impl Access {
    /// Making a node of the device (`m`).
    pub const MKNOD: Access = Access(1);
    /// Opening it for reading (`r`).
    pub const READ: Access = Access(2);
    /// Opening it for writing (`w`).
    pub const WRITE: Access = Access(4);
    /// All of them.
    pub const ALL: Access = Access(7);

    /// Both what is in `self` and what is in `other`.
    #[must_use]
    pub const fn union(self, other: Access) -> Access {
        Access(self.0 | other.0)
    }

    /// Letters such as `rwm`; `None` if there is another one, or none at all.
    pub fn parse(letters: &str) -> Option<Access> {
        let letter = |letter| match letter {
            'r' => Some(Access::READ),
            'w' => Some(Access::WRITE),
            'm' => Some(Access::MKNOD),
            _ => None,
        };
        let access = letters.chars().try_fold(Access(0), |all, l| Some(all.union(letter(l)?)))?;
        (access != Access(0)).then_some(access)
    }

    /// The bits.
    pub const fn bits(self) -> u8 {
        self.0
    }
}

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

impl Rule {
    /// Understands a rule of `linux.resources.devices`.
    ///
    /// # Errors
    /// Everything in it that cannot be understood, with pointers relative to the rule (`access`).
    pub fn parse(rule: &spec::DeviceRule<'_>) -> Result<Rule, Vec<Problem>> {
        let mut problems = Vec::new();
        let kind = match rule.kind.as_str() {
            "" | "a" => Kind::All,
            "c" => Kind::Char,
            "b" => Kind::Block,
            other => {
                problems.push(Problem::new("type", format!("is \"{other}\", not a, b or c")));
                Kind::All
            }
        };
        let mut number = |pointer: &str, number: Option<i64>| match number {
            None | Some(-1) => None,
            Some(number) => u32::try_from(number).ok().or_else(|| {
                problems.push(Problem::new(pointer, format!("{number} is not a device number")));
                None
            }),
        };
        let (major, minor) = (number("major", rule.major), number("minor", rule.minor));
        let access = Access::parse(&rule.access).unwrap_or_else(|| {
            let sentence = format!("\"{}\" is not made of r, w and m", rule.access);
            problems.push(Problem::new("access", sentence));
            Access::ALL
        });
        if problems.is_empty() {
            Ok(Rule { allow: rule.allow, kind, major, minor, access })
        } else {
            Err(problems)
        }
    }

    /// Whether no device can have these numbers: the kernel has 12 and 20 bits for them.
    fn is_void(&self) -> bool {
        self.major.is_some_and(|n| n >= 1 << 12) || self.minor.is_some_and(|n| n >= 1 << 20)
    }
}

/// One instruction of eBPF: the kernel's `struct bpf_insn`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub struct Instruction {
    /// Operation.
    pub code: u8,
    /// The destination register in the low four bits and the source register in the high ones;
    /// the other way round where the machine is big-endian.
    pub registers: u8,
    /// Instructions to skip, or the offset of a load.
    pub offset: i16,
    /// Operand.
    pub immediate: i32,
}

impl Instruction {
    /// The instruction as the kernel reads it, in the machine's byte order.
    pub fn to_bytes(self) -> [u8; 8] {
        let [a, b] = self.offset.to_ne_bytes();
        let [c, d, e, f] = self.immediate.to_ne_bytes();
        [self.code, self.registers, a, b, c, d, e, f]
    }
}

/// `BPF_LDX | BPF_MEM | BPF_W`, `BPF_ALU64 | BPF_MOV | BPF_K`, ... of linux/bpf.h.
pub(crate) const LOAD: u8 = 0x61;
pub(crate) const MOVE: u8 = 0xb7;
pub(crate) const AND: u8 = 0x57;
pub(crate) const SHIFT_RIGHT: u8 = 0x77;
pub(crate) const JUMP_IF_NOT: u8 = 0x55;
pub(crate) const JUMP_IF_ANY: u8 = 0x45;
pub(crate) const EXIT: u8 = 0x95;

/// The answer, 1 or 0.
const ANSWER: u8 = 0;
/// The argument: a `struct bpf_cgroup_dev_ctx`.
const CONTEXT: u8 = 1;
/// `BPF_DEVCG_DEV_*`
const KIND: u8 = 2;
/// The kinds of access that were asked for and not yet granted.
const WANTED: u8 = 3;
const MAJOR: u8 = 4;
const MINOR: u8 = 5;

/// The program for `rules`, of which a later one goes before an earlier one.
///
/// It has at most seven instructions for each; the kernel takes 4096 from a process without
/// `CAP_BPF`, else a million.
pub fn compile(rules: &[Rule]) -> Vec<Instruction> {
    let mut program = Vec::with_capacity(8 + rules.len() * 7);
    program.extend([
        load(WANTED, 0),
        load(MAJOR, 4),
        load(MINOR, 8),
        // The access is in the high half, the kind in the low one.
        instruction(MOVE | FROM_REGISTER, KIND, WANTED, 0, 0),
        instruction(AND, KIND, 0, 0, 0xffff),
        instruction(SHIFT_RIGHT, WANTED, 0, 0, 16),
    ]);
    let last_reset = rules.iter().rposition(|rule| rule.kind == Kind::All);
    let (default, rules) = match last_reset {
        Some(place) => (rules[place].allow, &rules[place + 1..]),
        None => (false, rules),
    };
    for rule in rules.iter().rev().filter(|rule| !rule.is_void()) {
        append(&mut program, rule);
    }
    program.extend(answer(default));
    program
}

/// Set in the code of an operation whose operand is the source register.
pub(crate) const FROM_REGISTER: u8 = 0x08;

fn append(program: &mut Vec<Instruction>, rule: &Rule) {
    // What follows the tests of the kind and the numbers.
    let access = i32::from(rule.access.bits());
    let decide = if rule.access == Access::ALL {
        vec![]
    } else if rule.allow {
        vec![instruction(AND, WANTED, 0, 0, !access & 7), instruction(JUMP_IF_NOT, WANTED, 0, 2, 0)]
    } else {
        vec![instruction(JUMP_IF_ANY, WANTED, 0, 1, access), instruction(JUMP, 0, 0, 2, 0)]
    };
    let kind = match rule.kind {
        Kind::All => None,
        Kind::Block => Some(1),
        Kind::Char => Some(2),
    };
    let tests = [(KIND, kind), (MAJOR, rule.major), (MINOR, rule.minor)];
    let mut tests: Vec<_> = tests.iter().filter_map(|&(r, value)| Some((r, value?))).collect();
    tests.reverse();
    let mut left = tests.len();
    while let Some((register, value)) = tests.pop() {
        left -= 1;
        let skip = (left + decide.len() + 2) as i16;
        program.push(instruction(JUMP_IF_NOT, register, 0, skip, value as i32));
    }
    program.extend(decide);
    program.extend(answer(rule.allow));
}

/// `BPF_JMP | BPF_JA`
pub(crate) const JUMP: u8 = 0x05;

fn answer(allow: bool) -> [Instruction; 2] {
    [instruction(MOVE, ANSWER, 0, 0, i32::from(allow)), instruction(EXIT, 0, 0, 0, 0)]
}

fn load(register: u8, offset: i16) -> Instruction {
    instruction(LOAD, register, CONTEXT, offset, 0)
}

fn instruction(code: u8, target: u8, source: u8, offset: i16, immediate: i32) -> Instruction {
    let registers =
        if cfg!(target_endian = "big") { target << 4 | source } else { source << 4 | target };
    Instruction { code, registers, offset, immediate }
}

#[cfg(test)]
mod tests;
