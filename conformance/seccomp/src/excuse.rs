//! Where libseccomp's answer is a fault of its own, shown by libseccomp itself.
//!
//! Its documentation says that a rule's action is taken where the rule holds, and the default
//! action where none does. Its tree of comparisons does not always keep to that: an added rule can
//! lose a part of an earlier one, or of itself. Which of several rules that hold comes first is
//! not documented; for two rules alone it follows from what they compare, and that is what is taken
//! over. So a difference is libseccomp's fault where
//!
//! - its answer is neither that of a rule that holds nor, where none does, the default action, or
//! - it contradicts itself: one of the rules that hold with tare's answer is the one that it
//!   prefers to each of those with its own answer, when it is given only the two, or
//! - it answers otherwise when the two rules are given to it in the other order: the order of rules is
//!   what its tree is not to depend on, says its source (`__db_chain_op_priority`). Up to 2.5.6 it does
//!   where high words are less, by a slip of the pen that its commit 5404f5c corrects; or
//! - on the way to its answer it compares a word that is another one on another way to the same
//!   instruction. Its blocks of instructions have one state of the accumulator to begin with
//!   (`acc_start` in gen_bpf.c), so one of the two is not the word that is meant; or
//! - it comes right when a rule for another call is added, which has no conditions: without any
//!   such rule it does not load the number where the profile also names a call that an architecture
//!   lacks.
//!
//! And a refusal is its fault where it accepts the refused rule, which to libseccomp is one name with
//! its conditions, with each of the earlier ones alone, or the profile without a name that adds
//! nothing to it; that it accepts a profile, where it refuses two of its rules alone. Where it does not
//! return (it goes round in a list of comparisons that ends in itself) there is nothing to compare.

use std::collections::{BTreeSet, HashMap};

use bpf::interpret::{Data, run};
use bpf::seccomp::{Arch, Instruction};

use crate::Failure;
use crate::claims::{self, Part};
use crate::names;
use crate::oracle::{Answer, Oracle, Question};
use crate::random::{Random, arguments};

/// Codes of linux/bpf_common.h; all others that there are compare.
const LOAD: u16 = 0x20;
const AND: u16 = 0x54;
const JUMP: u16 = 0x05;
const RETURN: u16 = 0x06;
/// An answer that no profile asks for.
const NOBODYS: u32 = 0x1234_5678;

/// What libseccomp does wrong.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Fault {
    /// It answers what no rule that holds says.
    Loses,
    /// It prefers another rule than when it is given only the two.
    Contradicts,
    /// It prefers the rule that it is given first.
    Orders,
    /// It compares another word than the one that is meant.
    Mistakes,
    /// It does not load the number.
    Forgets,
    /// It refuses rules that it accepts two by two.
    Refuses,
    /// It accepts rules of which it refuses two alone.
    Accepts,
    /// It does not return.
    Hangs,
}

impl Fault {
    pub(crate) const ALL: [(Fault, &str); 8] = [
        (Fault::Loses, "answers what no rule that holds says"),
        (Fault::Contradicts, "prefers another rule than of the two alone"),
        (Fault::Orders, "prefers of two rules the one that it is given first"),
        (Fault::Mistakes, "compares a word for another one"),
        (Fault::Forgets, "does not load the number of the call"),
        (Fault::Refuses, "refuses rules that it takes two by two"),
        (Fault::Accepts, "takes rules of which it refuses two alone"),
        (Fault::Hangs, "does not return"),
    ];
}

/// Looks for faults on one profile.
pub(crate) struct Judge<'p, 'a> {
    pub(crate) profile: &'p spec::Seccomp<'a>,
    pub(crate) native: Arch,
    pub(crate) optimize: u32,
    /// libseccomp's programs for two parts alone; `None`: it refuses them.
    pairs: HashMap<[Part; 2], Option<Vec<Instruction>>>,
    /// The program for the profile with one more rule.
    more: Option<Option<Vec<Instruction>>>,
}

impl<'p, 'a> Judge<'p, 'a> {
    pub(crate) fn new(
        profile: &'p spec::Seccomp<'a>,
        native: Arch,
        optimize: u32,
    ) -> Judge<'p, 'a> {
        Judge { profile, native, optimize, pairs: HashMap::new(), more: None }
    }

    /// Why libseccomp answers `theirs`, by `program`, where tare answers `ours`, if that is its fault.
    pub(crate) fn answer(
        &mut self,
        oracle: &mut Oracle,
        (program, data): (&[Instruction], &Data),
        (ours, theirs): (u32, u32),
    ) -> Result<Option<Fault>, Failure> {
        let profile = self.profile;
        let asked = data;
        let data = &names::whose(data);
        let holding = claims::holding(profile, data);
        let says = |action: u32| -> Vec<Part> {
            holding.iter().copied().filter(|part| part.action(profile) == action).collect()
        };
        let (mine, others) = (says(ours), says(theirs));
        if mine.is_empty() && !(holding.is_empty() && ours == claims::default(profile)) {
            return Ok(None);
        }
        if self.comes_right(oracle, data, ours)? {
            return Ok(Some(Fault::Forgets));
        }
        if others.is_empty() && !(holding.is_empty() && theirs == claims::default(profile)) {
            return Ok(Some(Fault::Loses));
        }
        if mistakes_words(program, asked)? {
            return Ok(Some(Fault::Mistakes));
        }
        // Other calls of the same rules have nothing to do with it, nor other architectures.
        let about = claims::about(profile, data);
        Judge::new(&about, data.arch, self.optimize).order(oracle, (data, ours), (&mine, &others))
    }

    /// Whether libseccomp itself prefers one of the parts `mine`, which answer `ours`, to each of the
    /// `others`.
    fn order(
        &mut self,
        oracle: &mut Oracle,
        (data, ours): (&Data, u32),
        (mine, others): (&[Part], &[Part]),
    ) -> Result<Option<Fault>, Failure> {
        for &part in mine {
            let mut wins = !others.is_empty();
            for &other in others {
                let pair = [part, other];
                wins = wins
                    && (self.prefers(oracle, pair, data)? == Some(ours)
                        || self.is_broken(oracle, pair, data)?);
            }
            if wins {
                return Ok(Some(Fault::Contradicts));
            }
        }
        for &part in mine {
            let mut wins = !others.is_empty();
            for &other in others {
                wins = wins && self.depends_on_order(oracle, [part, other], (data, ours))?;
            }
            if wins {
                return Ok(Some(Fault::Orders));
            }
        }
        Ok(None)
    }

    /// Whether libseccomp accepts a name of a rule with each of the names before it alone.
    pub(crate) fn accepts_two_by_two(
        &self,
        oracle: &mut Oracle,
        (rule, name): (usize, usize),
    ) -> Result<bool, Failure> {
        let earlier = self.profile.syscalls[..rule].iter().map(|rule| rule.names.len());
        let place = earlier.sum::<usize>() + name;
        let split = claims::name_by_name(self.profile);
        Judge::new(&split, self.native, self.optimize).accepts_with_earlier(oracle, place)
    }

    /// Whether libseccomp refuses some name of a rule with one before it alone.
    pub(crate) fn refuses_two_by_two(&self, oracle: &mut Oracle) -> Result<bool, Failure> {
        let split = claims::name_by_name(self.profile);
        let mut judge = Judge::new(&split, self.native, self.optimize);
        for place in 0..split.syscalls.len() {
            if !judge.accepts_with_earlier(oracle, place)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether libseccomp accepts the parts of `rule` with each of them, and of earlier rules, alone.
    fn accepts_with_earlier(&mut self, oracle: &mut Oracle, rule: usize) -> Result<bool, Failure> {
        let later = claims::parts(self.profile, rule);
        for earlier in (0..=rule).flat_map(|rule| claims::parts(self.profile, rule)) {
            for &part in later.iter().filter(|part| **part != earlier) {
                if self.pair(oracle, [earlier, part])?.is_none() {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    /// What libseccomp answers if there are only these two parts.
    fn prefers(
        &mut self,
        oracle: &mut Oracle,
        parts: [Part; 2],
        data: &Data,
    ) -> Result<Option<u32>, Failure> {
        let program = self.pair(oracle, parts)?;
        Ok(program.map(|program| run(program, data)).transpose()?.map(|outcome| outcome.action))
    }

    /// Whether libseccomp answers as tare does if it is given the two parts in the other order.
    fn depends_on_order(
        &mut self,
        oracle: &mut Oracle,
        mut parts: [Part; 2],
        (data, ours): (&Data, u32),
    ) -> Result<bool, Failure> {
        parts.sort_by_key(|part| (part.rule, part.condition));
        parts.reverse();
        let program = self.program(oracle, parts)?;
        Ok(program.map(|program| run(&program, data)).transpose()?.map(|it| it.action)
            == Some(ours))
    }

    /// Whether libseccomp gets some other call wrong if there are only these two parts: answers
    /// what neither of those that hold says. Then what it prefers means nothing.
    fn is_broken(
        &mut self,
        oracle: &mut Oracle,
        parts: [Part; 2],
        data: &Data,
    ) -> Result<bool, Failure> {
        if self.holds_on(oracle, parts, data)? {
            return Ok(true);
        }
        let (profile, arch) = (self.profile, data.arch);
        let Some(program) = self.pair(oracle, parts)? else { return Ok(true) };
        let values: Vec<u64> = parts
            .iter()
            .flat_map(|part| part.args(profile))
            .flat_map(|arg| [arg.value, arg.value_two])
            .collect();
        let mut random = Random(1);
        let names = parts.iter().flat_map(|part| &profile.syscalls[part.rule].names);
        let numbers: BTreeSet<u32> = names.filter_map(|name| names::number(name, arch)).collect();
        for number in numbers {
            for _ in 0..2000 {
                let data = Data { number, arch, args: arguments(&mut random, &values) };
                let mut claims: Vec<u32> = parts
                    .iter()
                    .filter(|part| part.holds(profile, &data))
                    .map(|part| part.action(profile))
                    .collect();
                if claims.is_empty() {
                    claims.push(claims::default(profile));
                }
                if !claims.contains(&run(program, &data)?.action) {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    /// Whether libseccomp still answers what the second part says when another low word in one of
    /// its conditions keeps it from holding.
    fn holds_on(
        &self,
        oracle: &mut Oracle,
        parts: [Part; 2],
        data: &Data,
    ) -> Result<bool, Failure> {
        let action = parts[1].action(self.profile);
        for condition in 0..parts[1].args(self.profile).len() {
            let mut profile = self.profile.clone();
            let place = parts[1].condition.unwrap_or(condition);
            let arg = &mut profile.syscalls[parts[1].rule].args[place];
            match arg.op.as_str() {
                "SCMP_CMP_GT" | "SCMP_CMP_GE" => arg.value |= u64::from(u32::MAX),
                _ => arg.value &= !u64::from(u32::MAX),
            }
            let judge = Judge::new(&profile, self.native, self.optimize);
            let mut pair = parts;
            pair.sort_by_key(|part| (part.rule, part.condition));
            if parts[0].rule == parts[1].rule || parts[1].holds(&profile, data) {
                continue;
            }
            if let Some(program) = judge.program(oracle, pair)? {
                if run(&program, data)?.action == action {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    fn pair(
        &mut self,
        oracle: &mut Oracle,
        mut parts: [Part; 2],
    ) -> Result<Option<&[Instruction]>, Failure> {
        parts.sort_by_key(|part| (part.rule, part.condition));
        if !self.pairs.contains_key(&parts) {
            let program = self.program(oracle, parts)?;
            self.pairs.insert(parts, program);
        }
        Ok(self.pairs[&parts].as_deref())
    }

    /// libseccomp's program for two parts alone, in this order; `None`: it refuses them.
    fn program(
        &self,
        oracle: &mut Oracle,
        parts: [Part; 2],
    ) -> Result<Option<Vec<Instruction>>, Failure> {
        let mut profile = self.profile.clone();
        profile.syscalls = parts
            .iter()
            .map(|part| spec::SyscallRule {
                args: part.args(self.profile).to_vec(),
                ..self.profile.syscalls[part.rule].clone()
            })
            .collect();
        ask(oracle, &with_one_more(profile), self.native, self.optimize)
    }

    fn comes_right(
        &mut self,
        oracle: &mut Oracle,
        data: &Data,
        ours: u32,
    ) -> Result<bool, Failure> {
        if self.more.is_none() {
            let profile = with_one_more(self.profile.clone());
            self.more = Some(ask(oracle, &profile, self.native, self.optimize)?);
        }
        let Some(Some(program)) = &self.more else { return Ok(false) };
        Ok(run(program, data)?.action == ours)
    }
}

/// What is in the accumulator before an instruction: the offset of a word and the bits that are left
/// of it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Word {
    /// Nothing comes there.
    Unreached,
    One(u32, u32),
    /// It depends on the way.
    Several,
}

/// Whether the program, run for `data`, compares a word that is another one on another way there.
fn mistakes_words(program: &[Instruction], data: &Data) -> Result<bool, Failure> {
    let words = words(program);
    let compares = |at: &usize| !matches!(program[*at].code, LOAD | AND | JUMP | RETURN);
    let doubtful = (0..program.len()).filter(|&at| words[at] == Word::Several).filter(compares);
    for at in doubtful {
        // It is on the way if the way ends there once it returns.
        let mut cut = program.to_vec();
        cut[at] = Instruction { code: RETURN, jt: 0, jf: 0, k: NOBODYS };
        if run(&cut, data)?.action == NOBODYS {
            return Ok(true);
        }
    }
    Ok(false)
}

/// What is in the accumulator before each instruction.
fn words(program: &[Instruction]) -> Vec<Word> {
    let mut words = vec![Word::Unreached; program.len()];
    let mut now = Word::One(u32::MAX, 0);
    for (at, i) in program.iter().enumerate() {
        now = words[at].or(now);
        words[at] = now;
        let after = match (i.code, now) {
            (LOAD, _) => Word::One(i.k, u32::MAX),
            (AND, Word::One(offset, mask)) => Word::One(offset, mask & i.k),
            (_, word) => word,
        };
        let (targets, falls) = match i.code {
            RETURN => ([None, None], Word::Unreached),
            JUMP => ([Some(i.k as usize), None], Word::Unreached),
            LOAD | AND => ([None, None], after),
            _ => ([Some(usize::from(i.jt)), Some(usize::from(i.jf))], Word::Unreached),
        };
        for skipped in targets.into_iter().flatten() {
            if let Some(word) = words.get_mut(at + 1 + skipped) {
                *word = word.or(after);
            }
        }
        now = falls;
    }
    words
}

impl Word {
    /// What is there if one comes with either.
    fn or(self, other: Word) -> Word {
        match (self, other) {
            (Word::Unreached, word) | (word, Word::Unreached) => word,
            (word, other) if word == other => word,
            _ => Word::Several,
        }
    }
}

/// A profile with a rule without conditions for a call that no generated profile names.
fn with_one_more(mut profile: spec::Seccomp<'_>) -> spec::Seccomp<'_> {
    let allows = profile.default_action == "SCMP_ACT_ALLOW";
    profile.syscalls.push(spec::SyscallRule {
        names: vec!["getppid".into()],
        action: if allows { "SCMP_ACT_TRAP" } else { "SCMP_ACT_ALLOW" }.into(),
        ..spec::SyscallRule::default()
    });
    profile
}

/// libseccomp's program; `None`: it refuses the profile, or does not return.
pub(crate) fn ask(
    oracle: &mut Oracle,
    profile: &spec::Seccomp<'_>,
    native: Arch,
    optimize: u32,
) -> Result<Option<Vec<Instruction>>, Failure> {
    let text = serde_json::to_string(profile)?;
    let question =
        Question { native: native.name().into(), profile: serde_json::from_str(&text)?, optimize };
    Ok(match oracle.ask(&question)? {
        Answer::Program(program, _) => Some(read(program)),
        Answer::Contradiction { .. } | Answer::Refusal(_) | Answer::Stuck => None,
    })
}

pub(crate) fn read(program: Vec<(u16, u8, u8, u32)>) -> Vec<Instruction> {
    program.into_iter().map(|(code, jt, jf, k)| Instruction { code, jt, jf, k }).collect()
}
