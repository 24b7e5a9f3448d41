//! Instructions, written from the last to the first, since all jumps of classic BPF go forward.

use super::Instruction;
use super::action::Action;

/// Where a branch goes.
#[derive(Debug, Clone, Copy)]
pub(super) enum Target {
    /// An instruction that returns this.
    Return(Action),
    /// An instruction that is written already.
    At(Label),
}

/// A written instruction: how many were written before it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Label(usize);

/// How a branch compares the accumulator with a constant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Test {
    Equal,
    /// The same once bits are masked out; but to libseccomp another comparison.
    MaskedEqual,
    Greater,
    GreaterOrEqual,
}

/// `BPF_LD | BPF_W | BPF_ABS`, `BPF_ALU | BPF_AND | BPF_K`, ... of linux/bpf_common.h.
pub(super) const LOAD: u16 = 0x20;
pub(super) const AND: u16 = 0x54;
pub(super) const RETURN: u16 = 0x06;
pub(super) const JUMP: u16 = 0x05;
pub(super) const JUMP_EQUAL: u16 = 0x15;
pub(super) const JUMP_GREATER: u16 = 0x25;
pub(super) const JUMP_GREATER_OR_EQUAL: u16 = 0x35;

/// What a conditional jump can skip.
const FAR: usize = u8::MAX as usize;

/// A program under way.
pub(super) struct Emitter {
    reversed: Vec<Instruction>,
    /// The return of each action that was written last.
    returns: Vec<(Action, Label)>,
}

impl Emitter {
    pub(super) fn new() -> Emitter {
        Emitter { reversed: Vec::with_capacity(512), returns: Vec::with_capacity(8) }
    }

    /// The program, first instruction first.
    pub(super) fn finish(mut self) -> Vec<Instruction> {
        self.reversed.reverse();
        self.reversed
    }

    /// Puts an instruction that goes on to the next one before what is written.
    pub(super) fn put(&mut self, code: u16, k: u32) -> Label {
        self.write(code, 0, 0, k)
    }

    /// Puts a branch before what is written.
    pub(super) fn branch(&mut self, test: Test, k: u32, yes: Target, no: Target) -> Label {
        let code = match test {
            Test::Equal | Test::MaskedEqual => JUMP_EQUAL,
            Test::Greater => JUMP_GREATER,
            Test::GreaterOrEqual => JUMP_GREATER_OR_EQUAL,
        };
        // Bringing the second one near may take an instruction.
        let yes = self.near(yes, FAR - 1);
        let no = self.near(no, FAR);
        self.write(code, self.distance(yes) as u8, self.distance(no) as u8, k)
    }

    /// Makes sure that the next instruction is `target`, or goes there.
    pub(super) fn fall_into(&mut self, target: Target) -> Label {
        self.near(target, 0)
    }

    /// An instruction at most `most` away from the next one to be written that is `target`, or
    /// leads to it: a return is repeated where the last one is too far, all else gets a jump.
    fn near(&mut self, target: Target, most: usize) -> Label {
        match target {
            Target::At(label) if self.distance(label) <= most => label,
            Target::At(label) => {
                let distance = self.distance(label) as u32;
                self.write(JUMP, 0, 0, distance)
            }
            Target::Return(action) => {
                let known = self.returns.iter().position(|(known, _)| *known == action);
                if let Some((_, label)) = known.map(|place| self.returns[place]) {
                    if self.distance(label) <= most {
                        return label;
                    }
                }
                let label = self.write(RETURN, 0, 0, action.0);
                match known {
                    Some(place) => self.returns[place].1 = label,
                    None => self.returns.push((action, label)),
                }
                label
            }
        }
    }

    /// How many instructions the next one has to skip to get to `label`.
    fn distance(&self, label: Label) -> usize {
        self.reversed.len() - label.0 - 1
    }

    fn write(&mut self, code: u16, jt: u8, jf: u8, k: u32) -> Label {
        self.reversed.push(Instruction { code, jt, jf, k });
        Label(self.reversed.len() - 1)
    }
}
