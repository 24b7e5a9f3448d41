//! Runs classic BPF as the kernel does for seccomp(2): for tests, and to say what a filter is like.

use crate::seccomp::{Arch, Instruction};

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
    /// Whether an argument or the instruction pointer was looked at, in which case the kernel
    /// cannot keep the outcome for later calls.
    pub saw_arguments: bool,
}

/// Runs `program` for one call, or says why the kernel would not have loaded it.
///
/// # Errors
/// An instruction that the kernel refuses, or a jump out of the program.
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
            0x06 => {
                return Ok(Outcome { action: i.k, steps, saw_arguments });
            }
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
        (16..64, 0) => {
            let value = data.args[(offset as usize - 16) / 8];
            let is_high = (offset % 8 == 0) == high_first;
            Ok(if is_high { (value >> 32) as u32 } else { value as u32 })
        }
        _ => Err(format!("loads from {offset}")),
    }
}
