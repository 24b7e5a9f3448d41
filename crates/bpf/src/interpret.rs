//! What the kernel does with classic BPF for seccomp(2): which programs it takes, and what they
//! answer. For tests and fuzzing, to say what a filter is like, and to know a saved one for whole.

use crate::seccomp::{Arch, Filter, Instruction};

/// What the kernel shows of a call: `struct seccomp_data` (linux/seccomp.h) on a machine with the
/// byte order of `arch`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Data {
    /// The number of the call.
    pub number: u32,
    /// Whose call it is.
    pub arch: Arch,
    /// Its arguments.
    pub args: [u64; 6],
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outcome {
    /// `SECCOMP_RET_*` with its data.
    pub action: u32,
    /// Instructions executed.
    pub steps: usize,
    /// Whether an argument or the instruction pointer was looked at. Where none was, the kernel works
    /// an answer of `SECCOMP_RET_ALLOW` out beforehand for all calls with this number
    /// (`seccomp_is_const_allow` in kernel/seccomp.c, since Linux 5.11), and doesn't run the filter
    /// any more.
    pub saw_arguments: bool,
}

/// `sizeof(struct seccomp_data)`
const DATA_SIZE: u32 = 64;
/// `BPF_MEMWORDS`
const WORDS: u32 = 16;

/// Whether the kernel loads `program`, or why it does not: the rules of `bpf_check_classic` and
/// `check_load_and_stores` (net/core/filter.c) and of `seccomp_check_filter` (kernel/seccomp.c).
///
/// # Errors
/// The first rule that is broken, and where. seccomp(2) has one word for all of them: `EINVAL`.
pub fn check(program: &[Instruction]) -> Result<(), String> {
    if program.is_empty() || program.len() > Filter::MAX_LEN {
        return Err(format!("has {} instructions", program.len()));
    }
    for (at, i) in program.iter().enumerate() {
        check_one(at, i, program.len()).map_err(|why| format!("instruction {at}: {why}"))?;
    }
    if !matches!(program.last().map(|last| last.code), Some(0x06 | 0x16)) {
        return Err("does not end with a return".to_owned());
    }
    check_memory(program)
}

fn check_one(at: usize, i: &Instruction, len: usize) -> Result<(), String> {
    let behind = len - at - 1;
    let rule = |holds: bool, what: &str| if holds { Ok(()) } else { Err(what.to_owned()) };
    match i.code {
        // ld [k]
        0x20 => rule(i.k < DATA_SIZE && i.k % 4 == 0, "loads from where nothing is"),
        // ld len, ldx len, ld #k, ldx #k, tax, txa, neg, ret #k, ret a
        0x80 | 0x81 | 0x00 | 0x01 | 0x07 | 0x87 | 0x84 | 0x06 | 0x16 => Ok(()),
        // add, sub, mul, or, and, xor with k or x
        0x04 | 0x0c | 0x14 | 0x1c | 0x24 | 0x2c | 0x44 | 0x4c | 0x54 | 0x5c | 0xa4 | 0xac => Ok(()),
        // div by k, by x
        0x34 => rule(i.k != 0, "divides by zero"),
        0x3c => Ok(()),
        // lsh, rsh by k, by x
        0x64 | 0x74 => rule(i.k < 32, "shifts by 32 or more"),
        0x6c | 0x7c => Ok(()),
        // ld M[k], ldx M[k], st M[k], stx M[k]
        0x60 | 0x61 | 0x02 | 0x03 => rule(i.k < WORDS, "uses memory that is not there"),
        // ja
        0x05 => rule((i.k as usize) < behind, "jumps out of the program"),
        // jeq, jgt, jge, jset with k or x
        0x15 | 0x1d | 0x25 | 0x2d | 0x35 | 0x3d | 0x45 | 0x4d => {
            rule(usize::from(i.jt.max(i.jf)) < behind, "jumps out of the program")
        }
        code => Err(format!("has the code {code:#x}")),
    }
}

/// Memory has to be written before it is read, on every way through the program.
fn check_memory(program: &[Instruction]) -> Result<(), String> {
    // What is written on all ways to each instruction; unreached ones can claim anything.
    let mut written = vec![u16::MAX; program.len()];
    let mut now = 0_u16;
    for (at, i) in program.iter().enumerate() {
        now &= written[at];
        let mut reaches = |skip: usize| written[at + 1 + skip] &= now;
        match i.code {
            0x02 | 0x03 => now |= 1 << i.k,
            0x60 | 0x61 if now & 1 << i.k == 0 => {
                return Err(format!("instruction {at}: reads memory that is not written"));
            }
            0x05 => {
                reaches(i.k as usize);
                now = u16::MAX;
            }
            0x15 | 0x1d | 0x25 | 0x2d | 0x35 | 0x3d | 0x45 | 0x4d => {
                reaches(usize::from(i.jt));
                reaches(usize::from(i.jf));
                now = u16::MAX;
            }
            _ => {}
        }
    }
    Ok(())
}

/// Runs `program` for one call.
///
/// # Errors
/// An instruction that [`compile`](crate::seccomp::compile) has no use for, or a jump out of the
/// program.
pub fn run(program: &[Instruction], data: &Data) -> Result<Outcome, String> {
    let (mut accumulator, mut at, mut steps, mut saw_arguments) = (0_u32, 0_usize, 0, false);
    loop {
        let i = *program.get(at).ok_or_else(|| format!("leaves the program at {at}"))?;
        steps += 1;
        let skip = |holds: bool| usize::from(if holds { i.jt } else { i.jf });
        at += 1 + match i.code {
            0x20 => {
                saw_arguments |= i.k >= 8;
                accumulator = load(data, i.k)?;
                0
            }
            0x54 => {
                accumulator &= i.k;
                0
            }
            0x05 => i.k as usize,
            0x15 => skip(accumulator == i.k),
            0x25 => skip(accumulator > i.k),
            0x35 => skip(accumulator >= i.k),
            0x06 => return Ok(Outcome { action: i.k, steps, saw_arguments }),
            code => {
                return Err(format!("instruction {at} has the unexpected code {code:#x}"));
            }
        };
    }
}

fn load(data: &Data, offset: u32) -> Result<u32, String> {
    let high_first = data.arch.is_big_endian();
    match (offset, offset % 4) {
        (0, _) => Ok(data.number),
        (4, _) => Ok(data.arch.token()),
        (16..DATA_SIZE, 0) => {
            let value = data.args[(offset as usize - 16) / 8];
            let is_high = (offset % 8 == 0) == high_first;
            Ok(if is_high { (value >> 32) as u32 } else { value as u32 })
        }
        _ => Err(format!("loads from {offset}")),
    }
}
