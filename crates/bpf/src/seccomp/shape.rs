//! What a compiled filter is like: for people, who can't read its instructions.

use std::collections::BTreeMap;

use super::action::Action;
use super::arch::X32_BIT;
use super::emit::{JUMP, JUMP_EQUAL, JUMP_GREATER, JUMP_GREATER_OR_EQUAL, LOAD, RETURN};
use super::program::ARCH;
use super::table::Call;
use super::{Arch, Filter, Instruction, filter};
use crate::interpret::{Data, run};

/// The shape of a filter.
#[derive(Debug, Clone, PartialEq)]
pub struct Shape {
    /// Its length.
    pub instructions: usize,
    /// The most instructions that any call costs.
    pub worst: usize,
    /// What a call of the native architecture costs, over all of them, with arguments of 0.
    pub mean: f64,
    /// The architectures that it tells apart, in the order of their names; calls of others end the
    /// thread.
    pub architectures: Vec<Arch>,
    /// How many of the native architecture's calls get each answer, with arguments of 0: names as in
    /// a profile, with the number that comes along.
    pub answers: Vec<(&'static str, Option<u32>, usize)>,
    /// How many of them are asked for their arguments.
    pub conditional: usize,
    /// The flags that it is loaded with, as a profile names them.
    pub flags: Vec<&'static str>,
}

impl Filter {
    /// Its shape on a machine of this architecture.
    pub fn shape(&self, native: Arch) -> Shape {
        let outcome = |arch, number| {
            let data = Data { number, arch, args: [0; 6] };
            run(&self.program, &data).ok()
        };
        let mut answers: BTreeMap<u32, usize> = BTreeMap::new();
        let (mut calls, mut steps, mut conditional) = (0usize, 0, 0);
        for number in Call::all().filter_map(|(call, _)| call.number(native)) {
            let Some(outcome) = outcome(native, number) else { continue };
            calls += 1;
            steps += outcome.steps;
            conditional += usize::from(outcome.saw_arguments);
            *answers.entry(outcome.action).or_default() += 1;
        }
        let answers = answers.into_iter().map(|(answer, calls)| {
            let (name, data) = Action(answer).name();
            (name, data, calls)
        });
        let mut answers: Vec<_> = answers.collect();
        answers.sort_by_key(|(_, _, calls)| std::cmp::Reverse(*calls));
        let tokens = self.tokens();
        let is_told_apart = |arch: &Arch| {
            tokens.contains(&arch.token())
                && match arch {
                    // One token for both: only the number tells.
                    Arch::X32 => outcome(Arch::X86_64, X32_BIT)
                        .is_some_and(|outcome| Action(outcome.action) != Action::KILL_THREAD),
                    _ => true,
                }
        };
        Shape {
            instructions: self.program.len(),
            worst: self.longest(),
            mean: steps as f64 / calls.max(1) as f64,
            architectures: Arch::all().filter(is_told_apart).collect(),
            answers,
            conditional,
            flags: filter::flags_of(self.flags).collect(),
        }
    }

    /// What `seccomp_data.arch` is compared with.
    fn tokens(&self) -> Vec<u32> {
        // Whether the accumulator holds it, before each instruction.
        let mut holds = vec![false; self.program.len() + 1];
        let mut tokens = Vec::new();
        for (at, i) in self.program.iter().enumerate() {
            let is_arch = if i.code == LOAD { i.k == ARCH } else { holds[at] };
            if i.code == JUMP_EQUAL && is_arch {
                tokens.push(i.k);
            }
            for skip in skips(i) {
                if let Some(next) = holds.get_mut(at + 1 + skip) {
                    *next |= is_arch;
                }
            }
        }
        tokens
    }

    /// The longest way through the program: jumps lead forward only.
    fn longest(&self) -> usize {
        let mut longest = vec![0; self.program.len() + 1];
        for (at, i) in self.program.iter().enumerate().rev() {
            let behind = |skip: usize| longest.get(at + 1 + skip).copied().unwrap_or(0);
            longest[at] = skips(i).map(behind).max().unwrap_or(0) + 1;
        }
        longest.first().copied().unwrap_or(0)
    }
}

/// How many instructions are passed over after this one: of a branch there are two answers, of a
/// return none.
fn skips(i: &Instruction) -> impl Iterator<Item = usize> {
    let skips = match i.code {
        RETURN => [None, None],
        JUMP => [Some(i.k as usize), None],
        JUMP_EQUAL | JUMP_GREATER | JUMP_GREATER_OR_EQUAL => [Some(i.jt.into()), Some(i.jf.into())],
        _ => [Some(0), None],
    };
    skips.into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seccomp::compile;

    #[test]
    fn a_profile_has_a_shape() {
        let rule = |name: &str, action: &str| spec::SyscallRule {
            names: vec![name.to_owned().into()],
            action: action.to_owned().into(),
            ..Default::default()
        };
        let conditional = spec::SyscallRule {
            args: vec![spec::SyscallArg {
                op: "SCMP_CMP_EQ".into(),
                value: 1,
                ..Default::default()
            }],
            ..rule("personality", "SCMP_ACT_ALLOW")
        };
        let profile = spec::Seccomp {
            default_action: "SCMP_ACT_ERRNO".into(),
            architectures: vec!["SCMP_ARCH_X86".into(), "SCMP_ARCH_X32".into()],
            flags: Some(vec!["SECCOMP_FILTER_FLAG_LOG".into()]),
            syscalls: vec![
                rule("read", "SCMP_ACT_ALLOW"),
                rule("ptrace", "SCMP_ACT_TRACE"),
                conditional,
            ],
            ..Default::default()
        };
        let filter = compile(&profile, Arch::X86_64).unwrap().unwrap();
        let shape = filter.shape(Arch::X86_64);
        assert_eq!(shape.instructions, filter.program.len());
        assert_eq!(shape.architectures, [Arch::X86, Arch::X86_64, Arch::X32]);
        assert_eq!(shape.conditional, 1);
        assert_eq!(shape.flags, ["SECCOMP_FILTER_FLAG_LOG"]);
        let calls = |name: &str, data| {
            let found = shape.answers.iter().find(|(n, d, _)| *n == name && *d == data);
            found.map_or(0, |(_, _, calls)| *calls)
        };
        assert_eq!(calls("SCMP_ACT_ALLOW", None), 1);
        assert_eq!(calls("SCMP_ACT_TRACE", Some(1)), 1);
        // Numbers above personality's are newer than the profile.
        assert_eq!(
            calls("SCMP_ACT_ERRNO", Some(1)) + calls("SCMP_ACT_ERRNO", Some(38)),
            shape.answers.iter().map(|(_, _, calls)| calls).sum::<usize>() - 2
        );
        assert!(shape.mean > 3.0 && shape.mean <= shape.worst as f64, "{shape:?}");
        assert!(shape.worst <= shape.instructions);
        let only = spec::Seccomp { architectures: Vec::new(), ..profile };
        let filter = compile(&only, Arch::X86_64).unwrap().unwrap();
        assert_eq!(filter.shape(Arch::X86_64).architectures, [Arch::X86_64]);
        // 8, which is mips's token, may also be the number of a call.
        assert_eq!(Arch::Mips.token(), 8);
    }
}
