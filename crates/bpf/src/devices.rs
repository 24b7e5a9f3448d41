//! Device rules: what they come to, as a list for cgroup v1's files or as a program for v2, which
//! has no files for them (`BPF_PROG_TYPE_CGROUP_DEVICE`).
//!
//! For each kind of access (read, write, mknod) the last rule that is for the device and for that
//! kind decides, and without any the answer is no (config-linux.md, "Allowed Device list": what
//! is allowed by default, the caller adds to the rules). Access is granted if each of the kinds
//! that were asked for is. A rule for [`Kind::All`] sets everything back, whatever numbers and
//! access it names, as in cgroup v1 (cgroup-v1/devices.rst) and in runc.
//!
//! [`Table::of`] works that out once, and everything else comes from the [`Table`]; so both layouts
//! decide the same:
//!
//! ```text
//! rules, in order                   table                        on v1: List
//!   deny  a                           char  *:*   m                deny  a
//!   allow c *:* m       Table::of     char  1:3   rwm    list()    allow c *:* m
//!   allow c 1:3 rwm    ----------->   char  5:*   rm    -------->  allow c 1:3 rwm
//!   allow c 5:* r                     block *:*   -                allow c 5:* rm
//!                                        |
//!                                        | program()             on v2: a program
//!                                        v
//!    load kind, access, major, minor
//!        |
//!      char? --- no -> block? -> ...          each major once, each minor of it once,
//!        | yes                                then the wildcards; answers are shared
//!      major 1? -- yes -> minor 3? -- yes ------------------------+
//!        | no                 | no                                v
//!      major 5? -- yes --+    |                             return 1
//!        | no            +----|-> wanted and not rm? = 0? -> return 0 or 1
//!        +--------------------+-> wanted and not m?  = 0? -> return 0 or 1
//! ```
//!
//! What v1 can't say, [`Table::list`] refuses: access that a wildcard allows, taken away from some
//! of its devices. (The kernel ignores such a rule without a word, runc refuses to start.) A
//! program can say it, and does.

mod list;
mod program;
mod table;

pub use list::{Change, Hole, List, changes};
pub use program::Instruction;
pub use table::{MOST_PATTERNS, Numbers, Table};

use std::fmt;

use crate::Problem;

/// Which devices a rule is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Character and block devices (`a`), with any number and for any access.
    All,
    /// Character devices (`c`).
    Char,
    /// Block devices (`b`).
    Block,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::All => "a",
            Kind::Char => "c",
            Kind::Block => "b",
        })
    }
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

    /// None of them.
    pub const NONE: Access = Access(0);

    /// What is in `self` and not in `other`.
    #[must_use]
    pub const fn without(self, other: Access) -> Access {
        Access(self.0 & !other.0)
    }

    /// Whether anything is in both.
    pub const fn overlaps(self, other: Access) -> bool {
        self.0 & other.0 != 0
    }

    /// Whether all that is in `other` is in `self`, too.
    pub const fn covers(self, other: Access) -> bool {
        other.0 & !self.0 == 0
    }
}

/// Letters in the kernel's order: `rwm`; `-` for none.
impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Access::NONE {
            return f.write_str("-");
        }
        for (letter, access) in [("r", Access::READ), ("w", Access::WRITE), ("m", Access::MKNOD)] {
            if self.covers(access) {
                f.write_str(letter)?;
            }
        }
        Ok(())
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
                let sentence = format!("is \"{other}\", not a, b or c");
                let hint = "a (all), b (block) or c (character)";
                problems.push(Problem::new("type", sentence, hint));
                Kind::All
            }
        };
        let mut number = |pointer: &str, number: Option<i64>| match number {
            None | Some(-1) => None,
            Some(number) => u32::try_from(number).ok().or_else(|| {
                let sentence = format!("{number} is not a device number");
                problems.push(Problem::new(pointer, sentence, "0 to 4294967295; all: -1, or none"));
                None
            }),
        };
        let (major, minor) = (number("major", rule.major), number("minor", rule.minor));
        let access = Access::parse(&rule.access).unwrap_or_else(|| {
            let sentence = format!("\"{}\" is not made of r, w and m", rule.access);
            let hint = "any of r (read), w (write) and m (mknod), such as rwm";
            problems.push(Problem::new("access", sentence, hint));
            Access::ALL
        });
        if problems.is_empty() {
            Ok(Rule { allow: rule.allow, kind, major, minor, access })
        } else {
            Err(problems)
        }
    }

    /// The numbers that it is for.
    pub fn numbers(&self) -> Numbers {
        Numbers { major: self.major, minor: self.minor }
    }

    /// Whether no device can have these numbers: the kernel has 12 and 20 bits for them. (To v1
    /// the largest number would even mean "any".)
    fn is_void(&self) -> bool {
        self.major.is_some_and(|n| n >= 1 << 12) || self.minor.is_some_and(|n| n >= 1 << 20)
    }
}

/// As v1 takes it, after the word that says where it is written: `allow c 1:3 rwm`, `deny a`.
impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.allow { "allow " } else { "deny " })?;
        match self.kind {
            Kind::All => f.write_str("a"),
            kind => write!(f, "{kind} {} {}", self.numbers(), self.access),
        }
    }
}

#[cfg(test)]
mod tests;
