//! The compiled program, and the bytes it is kept as between `create` and `exec`.

use super::table::fnv1a;
use crate::interpret;

/// One instruction of classic BPF: the kernel's `struct sock_filter`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub struct Instruction {
    /// Operation (`BPF_LD | BPF_W | BPF_ABS`, ...).
    pub code: u16,
    /// Instructions to skip when a comparison holds.
    pub jt: u8,
    /// Instructions to skip when it does not.
    pub jf: u8,
    /// Operand.
    pub k: u32,
}

/// A program for `seccomp(SECCOMP_SET_MODE_FILTER)`, with the flags to load it with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter {
    /// At least one and at most [`Filter::MAX_LEN`] instructions.
    pub program: Vec<Instruction>,
    /// `SECCOMP_FILTER_FLAG_*` (seccomp(2)); `NEW_LISTENER` is set if [`Filter::notify`] is.
    pub flags: u32,
    /// Whether seccomp(2) returns a descriptor for the agent at `listenerPath`.
    pub notify: bool,
}

/// First bytes of a saved filter; the digit is the version of the layout.
const MAGIC: &[u8; 8] = b"tarebpf1";
/// Magic, flags, number of instructions.
const HEADER: usize = 16;
/// `sizeof(struct sock_filter)`.
const SIZE: usize = 8;

const LOG: u32 = 1 << 1;
pub(super) const SPEC_ALLOW: u32 = 1 << 2;
/// Makes seccomp(2) return a descriptor.
pub(super) const NEW_LISTENER: u32 = 1 << 3;
const WAIT_KILLABLE_RECV: u32 = 1 << 5;
const FLAGS_OF_ALL: u32 = LOG | SPEC_ALLOW | NEW_LISTENER | WAIT_KILLABLE_RECV;

/// The flag that changes nothing: the runtime has one thread when it loads the filter, and with a
/// listener the kernel would refuse it.
pub(super) const TSYNC: &str = "SECCOMP_FILTER_FLAG_TSYNC";
/// The flag that is for listeners only.
pub(super) const KILLABLE: &str = "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV";

/// What a profile can ask for (linux/seccomp.h), in alphabetical order.
const FLAGS: [(&str, u32); 4] = [
    ("SECCOMP_FILTER_FLAG_LOG", LOG),
    ("SECCOMP_FILTER_FLAG_SPEC_ALLOW", SPEC_ALLOW),
    (TSYNC, 0),
    (KILLABLE, WAIT_KILLABLE_RECV),
];

/// The flag that a profile calls `name`.
pub(super) fn flag(name: &str) -> Option<u32> {
    FLAGS.iter().find(|(known, _)| *known == name).map(|(_, flag)| *flag)
}

/// The names of the flags that are set.
pub(super) fn flags_of(set: u32) -> impl Iterator<Item = &'static str> {
    FLAGS.iter().filter(move |(_, flag)| set & flag != 0).map(|(name, _)| *name)
}

/// The names of all flags that are understood, in alphabetical order.
pub fn flag_names() -> impl Iterator<Item = &'static str> {
    FLAGS.iter().map(|(name, _)| *name)
}

/// All flags that are understood, with what seccomp(2) must know for them.
pub fn flags() -> impl Iterator<Item = (&'static str, u32)> {
    FLAGS.iter().map(|&(name, flag)| match flag {
        // The kernel takes it with a listener only.
        WAIT_KILLABLE_RECV => (name, flag | NEW_LISTENER),
        _ => (name, flag),
    })
}

impl Filter {
    /// The kernel's limit on the length of a program (`BPF_MAXINSNS`).
    pub const MAX_LEN: usize = 4096;

    /// The filter as bytes for [`Filter::from_bytes`], in the machine's byte order.
    pub fn to_bytes(&self) -> Vec<u8> {
        let count = u32::try_from(self.program.len()).unwrap_or(u32::MAX);
        let mut bytes = Vec::with_capacity(HEADER + self.program.len() * SIZE);
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&self.flags.to_ne_bytes());
        bytes.extend_from_slice(&count.to_ne_bytes());
        self.write_instructions(&mut bytes);
        bytes
    }

    /// The program as seccomp(2) takes it: an array of the kernel's `struct sock_filter`.
    pub fn instructions(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.program.len() * SIZE);
        self.write_instructions(&mut bytes);
        bytes
    }

    fn write_instructions(&self, bytes: &mut Vec<u8>) {
        for i in &self.program {
            bytes.extend_from_slice(&i.code.to_ne_bytes());
            bytes.extend_from_slice(&[i.jt, i.jf]);
            bytes.extend_from_slice(&i.k.to_ne_bytes());
        }
    }

    /// The filter that [`Filter::to_bytes`] saved.
    ///
    /// # Errors
    /// What these bytes are not, as a sentence without its subject: of this layout, whole, with flags
    /// that there are, a program that the kernel takes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Filter, String> {
        let (flags, count, body) = split(bytes).ok_or("is no filter of this version")?;
        if body.len() != (count as usize).saturating_mul(SIZE) {
            let length = body.len();
            return Err(format!("has {length} bytes for {count} instructions of {SIZE}"));
        }
        if flags & !FLAGS_OF_ALL != 0 {
            return Err(format!("has the flags {flags:#x}, not all of which there are"));
        }
        let program = body.chunks_exact(SIZE).filter_map(|c| c.first_chunk().map(instruction));
        let program: Vec<Instruction> = program.collect();
        interpret::check(&program).map_err(|why| format!("is no program: {why}"))?;
        Ok(Filter { program, flags, notify: flags & NEW_LISTENER != 0 })
    }

    /// A number by which to know a filter again from what [`Filter::to_bytes`] gave (FNV-1a): other
    /// filters have another one, if nobody chose them so that they don't.
    pub fn fingerprint(bytes: &[u8]) -> u32 {
        fnv1a(bytes)
    }
}

/// Flags, number of instructions, and what is behind the header.
fn split(bytes: &[u8]) -> Option<(u32, u32, &[u8])> {
    let (header, body) = bytes.split_first_chunk::<HEADER>()?;
    let (magic, rest) = header.split_first_chunk::<8>()?;
    let (flags, count) = rest.split_first_chunk::<4>()?;
    let count = u32::from_ne_bytes(*count.first_chunk::<4>()?);
    (magic == MAGIC).then_some((u32::from_ne_bytes(*flags), count, body))
}

fn instruction(&[a, b, jt, jf, c, d, e, f]: &[u8; SIZE]) -> Instruction {
    Instruction { code: u16::from_ne_bytes([a, b]), jt, jf, k: u32::from_ne_bytes([c, d, e, f]) }
}
