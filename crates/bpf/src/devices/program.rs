//! The table as a program: see the drawing in the module above.

use super::table::{Numbers, Patterns, lookup};
use super::{Access, Kind, Table};

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
pub(super) const LOAD: u8 = 0x61;
pub(super) const MOVE: u8 = 0xb7;
pub(super) const COPY: u8 = 0xbf;
pub(super) const AND: u8 = 0x57;
pub(super) const SHIFT_RIGHT: u8 = 0x77;
pub(super) const JUMP: u8 = 0x05;
pub(super) const JUMP_IF: u8 = 0x15;
pub(super) const JUMP_IF_NOT: u8 = 0x55;
pub(super) const EXIT: u8 = 0x95;

/// The answer, 1 or 0.
const ANSWER: u8 = 0;
/// The argument: a `struct bpf_cgroup_dev_ctx`.
const CONTEXT: u8 = 1;
/// `BPF_DEVCG_DEV_*`
const KIND: u8 = 2;
/// The kinds of access that are asked for.
const WANTED: u8 = 3;
const MAJOR: u8 = 4;
const MINOR: u8 = 5;

const BLOCK: u32 = 1;
const CHAR: u32 = 2;

impl Table {
    /// The program: three instructions for a major number, one for each minor number of it, and a
    /// dozen more, of which only the ones on the way are executed. The kernel takes 4096 from a
    /// process without `CAP_BPF`, else a million.
    pub fn program(&self) -> Vec<Instruction> {
        let mut program = Program::default();
        program.instructions.extend([
            load(WANTED, 0),
            load(MAJOR, 4),
            load(MINOR, 8),
            // The access is in the high half, the kind in the low one.
            instruction(COPY, KIND, WANTED, 0, 0),
            instruction(AND, KIND, 0, 0, 0xffff),
            instruction(SHIFT_RIGHT, WANTED, 0, 0, 16),
        ]);
        program.unless(KIND, CHAR, |program| program.search(self.of_kind(Kind::Char)));
        program.unless(KIND, BLOCK, |program| program.search(self.of_kind(Kind::Block)));
        program.go(Access::NONE);
        program.answers()
    }
}

/// A program with jumps to answers that have no place yet.
#[derive(Default)]
struct Program {
    instructions: Vec<Instruction>,
    /// Jumps to an answer.
    jumps: Vec<(usize, Access)>,
}

impl Program {
    /// Skips what `then` appends where a register has another value.
    fn unless(&mut self, register: u8, value: u32, then: impl FnOnce(&mut Program)) {
        let test = self.instructions.len();
        self.instructions.push(instruction(JUMP_IF_NOT, register, 0, 0, value as i32));
        then(self);
        self.instructions[test].offset = distance(test, self.instructions.len());
    }

    /// Looks a device up among the patterns of its kind, and goes to the answer.
    fn search(&mut self, patterns: &Patterns) {
        let mut majors: Vec<u32> = patterns.keys().filter_map(|numbers| numbers.major).collect();
        majors.dedup();
        let mut wild_jumps = Vec::new();
        for major in majors {
            self.unless(MAJOR, major, |program| {
                let major = Some(major);
                program.minors(patterns, major);
                match patterns.get(&Numbers { major, minor: None }) {
                    Some(access) => program.go(*access),
                    None => wild_jumps.push(program.jump()),
                }
            });
        }
        for jump in wild_jumps {
            self.instructions[jump].offset = distance(jump, self.instructions.len());
        }
        self.minors(patterns, None);
        self.go(lookup(patterns, Numbers::ANY));
    }

    /// Goes to the answers of the minor numbers that a major number has.
    fn minors(&mut self, patterns: &Patterns, major: Option<u32>) {
        for (numbers, access) in patterns.iter().filter(|(numbers, _)| numbers.major == major) {
            if let Some(minor) = numbers.minor {
                self.jumps.push((self.instructions.len(), *access));
                self.instructions.push(instruction(JUMP_IF, MINOR, 0, 0, minor as i32));
            }
        }
    }

    /// Goes to an answer.
    fn go(&mut self, access: Access) {
        let jump = self.jump();
        self.jumps.push((jump, access));
    }

    fn jump(&mut self) -> usize {
        self.instructions.push(instruction(JUMP, 0, 0, 0, 0));
        self.instructions.len() - 1
    }

    /// Appends the answers, each once, and has the jumps lead there.
    fn answers(mut self) -> Vec<Instruction> {
        let mut places = [None; 8];
        for (jump, access) in std::mem::take(&mut self.jumps) {
            let place = *places[usize::from(access.bits())].get_or_insert_with(|| {
                let place = self.instructions.len();
                self.answer(access);
                place
            });
            self.instructions[jump].offset = distance(jump, place);
        }
        self.instructions
    }

    fn answer(&mut self, access: Access) {
        let exit = instruction(EXIT, 0, 0, 0, 0);
        let say = |answer| instruction(MOVE, ANSWER, 0, 0, answer);
        match access {
            Access::ALL => self.instructions.extend([say(1), exit]),
            Access::NONE => self.instructions.extend([say(0), exit]),
            access => self.instructions.extend([
                say(0),
                instruction(AND, WANTED, 0, 0, i32::from(Access::ALL.without(access).bits())),
                instruction(JUMP_IF_NOT, WANTED, 0, 1, 0),
                say(1),
                exit,
            ]),
        }
    }
}

/// Instructions between a jump and where it leads: a table is small enough for it to fit.
fn distance(jump: usize, place: usize) -> i16 {
    (place - jump - 1) as i16
}

fn load(register: u8, offset: i16) -> Instruction {
    instruction(LOAD, register, CONTEXT, offset, 0)
}

fn instruction(code: u8, target: u8, source: u8, offset: i16, immediate: i32) -> Instruction {
    let registers =
        if cfg!(target_endian = "big") { target << 4 | source } else { source << 4 | target };
    Instruction { code, registers, offset, immediate }
}
