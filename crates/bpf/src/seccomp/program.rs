//! Sections and their ranges as a program: dispatch by architecture, a search tree over the
//! numbers, comparisons of arguments at some of its leaves.

use super::Instruction;
use super::action::Action;
use super::calls::{Chain, Clause, Verdict};
use super::emit::{AND, Emitter, LOAD, Label, Target, Test};
use super::order::{Node, Path};
use super::profile::Condition;
use super::ranges::{BAD_ARCH, Range, Section};

/// Offsets into `struct seccomp_data` (linux/seccomp.h).
pub(super) const NUMBER: u32 = 0;
pub(super) const ARCH: u32 = 4;
pub(super) const ARGUMENTS: u32 = 16;

/// Beyond this many equality tests one after the other, halving costs less.
const LINEAR: usize = 3;

/// The program for `sections`, of which the first is found first.
pub(super) fn program(
    sections: &[Section],
    default: Action,
    is_big_endian: bool,
) -> Vec<Instruction> {
    let mut writer = Writer { emitter: Emitter::new(), chains: &[], default, is_big_endian };
    let mut otherwise = Target::Return(BAD_ARCH);
    for section in sections.iter().rev() {
        writer.chains = &section.chains;
        let tree = writer.tree(&section.ranges);
        writer.emitter.fall_into(tree);
        let start = writer.emitter.put(LOAD, NUMBER);
        let branch =
            writer.emitter.branch(Test::Equal, section.token, Target::At(start), otherwise);
        otherwise = Target::At(branch);
    }
    writer.emitter.put(LOAD, ARCH);
    writer.emitter.finish()
}

struct Writer<'a> {
    emitter: Emitter,
    /// Of the section at hand.
    chains: &'a [Chain],
    default: Action,
    is_big_endian: bool,
}

impl Writer<'_> {
    /// A search for the number, which is in the accumulator, among `ranges`.
    fn tree(&mut self, ranges: &[Range]) -> Target {
        let [first, rest @ ..] = ranges else {
            return Target::Return(self.default);
        };
        if rest.is_empty() {
            return self.leaf(first.verdict);
        }
        if let Some(target) = self.linear(ranges) {
            return target;
        }
        let (left, right) = ranges.split_at(ranges.len() / 2);
        let [middle, ..] = right else {
            return Target::Return(self.default);
        };
        let yes = self.tree(right);
        let no = self.tree(left);
        Target::At(self.emitter.branch(Test::GreaterOrEqual, middle.start, yes, no))
    }

    /// Equality tests, if all ranges but a few single numbers have the same verdict.
    fn linear(&mut self, ranges: &[Range]) -> Option<Target> {
        let is_single = |place: usize| {
            let next = ranges.get(place + 1)?;
            Some(next.start == ranges[place].start + 1)
        };
        let wide = (0..ranges.len()).find(|&place| is_single(place) != Some(true))?;
        let common = ranges[wide].verdict;
        let others = || (0..ranges.len()).filter(|&place| ranges[place].verdict != common);
        if others().count() > LINEAR || others().any(|place| is_single(place) != Some(true)) {
            return None;
        }
        let mut target = self.leaf(common);
        for place in others().collect::<Vec<_>>().into_iter().rev() {
            let yes = self.leaf(ranges[place].verdict);
            let branch = self.emitter.branch(Test::Equal, ranges[place].start, yes, target);
            target = Target::At(branch);
        }
        Some(target)
    }

    fn leaf(&mut self, verdict: Verdict) -> Target {
        match verdict {
            Verdict::Action(action) => Target::Return(action),
            Verdict::Chain(chain) => {
                let chain = &self.chains[chain];
                let mut target = Target::Return(self.default);
                if let Some(paths) = &chain.paths {
                    return self.level(paths, 0, None, target);
                }
                for clause in chain.clauses.iter().rev() {
                    target = self.clause(clause, chain.is_64_bit, target);
                }
                target
            }
        }
    }

    /// A level of a tree of clauses (`order.rs`): `paths` have the steps before `depth` in common.
    /// The word in the accumulator, if it is known, is that of the node `loaded`.
    fn level(
        &mut self,
        paths: &[Path],
        depth: usize,
        loaded: Option<&Node>,
        otherwise: Target,
    ) -> Target {
        let ends = paths.iter().position(|path| path.steps.len() == depth);
        let (mut next, mut rest) = match ends {
            // What would be asked after it is not.
            Some(end) => (Target::Return(paths[end].action), &paths[..end]),
            None => (otherwise, paths),
        };
        while let Some(node) = rest.last().map(|path| &path.steps[depth].node) {
            let is_other = |path: &Path| !path.steps[depth].node.is_same(node);
            let start = rest.iter().rposition(is_other).map_or(0, |other| other + 1);
            let (before, same) = rest.split_at(start);
            let turn = same.iter().position(|path| !path.steps[depth].holds);
            let (yes, no) = same.split_at(turn.unwrap_or(same.len()));
            let yes = self.level(yes, depth + 1, Some(node), next);
            let no = self.level(no, depth + 1, Some(node), next);
            let is_loaded = match before.last().map(|path| &path.steps[depth].node) {
                None => loaded.is_some_and(|loaded| loaded.has_word_of(node)),
                // It is reached from there alone if nothing is asked in between.
                Some(previous) => {
                    let mut there =
                        before.iter().filter(|path| path.steps[depth].node.is_same(previous));
                    previous.has_word_of(node) && there.all(|path| path.steps.len() == depth + 1)
                }
            };
            next = self.node(node, is_loaded, yes, no);
            rest = before;
        }
        next
    }

    fn node(&mut self, node: &Node, is_loaded: bool, yes: Target, no: Target) -> Target {
        if node.mask == 0 {
            // What is left when all is masked out is nothing.
            return yes;
        }
        let branch = self.emitter.branch(node.test, node.value, yes, no);
        if is_loaded {
            return Target::At(branch);
        }
        Target::At(self.word(node.arg(), node.is_high(), node.mask))
    }

    /// A clause that goes on to `otherwise` if one of its conditions does not hold.
    fn clause(&mut self, clause: &Clause, is_64_bit: bool, otherwise: Target) -> Target {
        let mut target = Target::Return(clause.action);
        for condition in clause.conditions.iter().rev() {
            target = self.condition(condition, is_64_bit, target, otherwise);
        }
        target
    }

    fn condition(&mut self, c: &Condition, is_64_bit: bool, yes: Target, no: Target) -> Target {
        let (test, holds) = c.op.test();
        let (yes, no) = if holds { (yes, no) } else { (no, yes) };
        let (mask, value) = (c.mask as u32, c.value as u32);
        let (high_mask, high_value) = ((c.mask >> 32) as u32, (c.value >> 32) as u32);
        let is_high_needed = is_64_bit && high_mask != 0;
        if mask == 0 && is_high_needed {
            self.emitter.branch(Test::Equal, high_value, yes, no);
            return Target::At(self.word(c.arg, true, high_mask));
        }
        self.emitter.branch(test, value, yes, no);
        let low = Target::At(self.word(c.arg, false, mask));
        if !is_high_needed {
            return low;
        }
        let equal = self.emitter.branch(Test::Equal, high_value, low, no);
        if matches!(test, Test::Greater | Test::GreaterOrEqual) {
            self.emitter.branch(Test::Greater, high_value, yes, Target::At(equal));
        }
        Target::At(self.word(c.arg, true, high_mask))
    }

    /// Loads a word of an argument and keeps the bits of `mask`.
    fn word(&mut self, arg: u8, high: bool, mask: u32) -> Label {
        if mask != u32::MAX {
            self.emitter.put(AND, mask);
        }
        let second = high != self.is_big_endian;
        self.emitter.put(LOAD, ARGUMENTS + u32::from(arg) * 8 + if second { 4 } else { 0 })
    }
}
