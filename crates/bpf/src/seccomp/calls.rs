//! What a profile says about every number of one architecture.

use super::Arch;
use super::action::Action;
use super::order::{self, Node};
use super::profile::{Condition, Conditions, Op, Rule};
use super::table::Call;

/// The answer to a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Action(Action),
    /// It depends on the arguments: the index of a [`Chain`].
    Chain(usize),
}

/// The clauses of a call: the first that holds decides, and if none does, the default action.
pub(super) struct Chain {
    /// Whether both words of an argument are compared.
    pub is_64_bit: bool,
    pub clauses: Vec<Clause>,
}

/// Conditions, and the answer if they all hold.
pub(super) struct Clause {
    pub conditions: Conditions,
    pub action: Action,
    path: Vec<Node>,
}

/// The answers for one architecture.
pub(super) struct Decisions {
    pub arch: Arch,
    /// By number without the base of the architecture.
    slots: Vec<Verdict>,
    /// The private calls of arm, whose numbers are far from the others.
    private: Vec<(u32, Verdict)>,
    /// What [`Verdict::Chain`] refers to.
    pub chains: Vec<Chain>,
    /// The largest number that the profile names.
    largest: u32,
    default: Action,
}

/// Numbers above this one are kept apart.
const DENSE: u32 = 0x1000;

impl Decisions {
    pub(super) fn new(arch: Arch, default: Action) -> Decisions {
        Decisions {
            arch,
            slots: Vec::with_capacity(512),
            private: Vec::new(),
            chains: Vec::new(),
            largest: 0,
            default,
        }
    }

    /// Takes in that `call` is one of the names of `rule`.
    pub(super) fn add(&mut self, call: Call, rule: &Rule) {
        let number = call.number(self.arch);
        let through = call.through().and_then(|(multiplexer, selector)| {
            Some((self.arch.multiplexer(multiplexer)?, selector))
        });
        // What is behind a multiplexer does not tell how new the profile is (as in runc).
        if let (Some(number), None) = (number, through) {
            self.largest = self.largest.max(number);
        }
        // A rule that says what happens anyway (as in runc; libseccomp would refuse it).
        if rule.action == self.default {
            return;
        }
        let none = [Conditions::new()];
        let alternatives = if rule.alternatives.is_empty() { &none } else { &*rule.alternatives };
        for conditions in alternatives {
            if let Some((number, selector)) = through {
                self.put(number, behind(conditions, selector), rule.action);
            }
            if let Some(number) = number {
                self.put(number, conditions.clone(), rule.action);
            }
        }
    }

    /// An unconditional rule goes before conditional ones, and the first of several is kept.
    fn put(&mut self, number: u32, mut conditions: Conditions, action: Action) {
        let is_64_bit = self.arch.is_64_bit();
        conditions.retain(|c| if is_64_bit { c.mask != 0 } else { c.mask as u32 != 0 });
        let verdict = *self.slot(number);
        if conditions.is_empty() {
            if !matches!(verdict, Verdict::Action(action) if action != self.default) {
                *self.slot(number) = Verdict::Action(action);
            }
            return;
        }
        let chain = match verdict {
            Verdict::Chain(chain) => chain,
            Verdict::Action(action) if action == self.default => {
                self.chains.push(Chain { is_64_bit, clauses: Vec::new() });
                *self.slot(number) = Verdict::Chain(self.chains.len() - 1);
                self.chains.len() - 1
            }
            Verdict::Action(_) => return,
        };
        let path = order::path(&conditions, is_64_bit);
        let clauses = &mut self.chains[chain].clauses;
        let paths: Vec<&[Node]> = clauses.iter().map(|clause| &*clause.path).collect();
        let place = order::place(&paths, &path);
        clauses.insert(place, Clause { conditions, action, path });
    }

    fn slot(&mut self, number: u32) -> &mut Verdict {
        let default = Verdict::Action(self.default);
        let index = number.wrapping_sub(self.arch.base());
        if index < DENSE {
            let index = index as usize;
            if index >= self.slots.len() {
                self.slots.resize(index + 1, default);
            }
            return &mut self.slots[index];
        }
        let place = match self.private.binary_search_by_key(&number, |(number, _)| *number) {
            Ok(place) => place,
            Err(place) => {
                self.private.insert(place, (number, default));
                place
            }
        };
        &mut self.private[place].1
    }

    /// The largest number that the profile names, if that means anything: runc cannot tell 0
    /// from none.
    pub(super) fn largest(&self) -> Option<u32> {
        (self.largest != 0).then_some(self.largest)
    }

    /// Every number that has been given a place, in ascending order, with its verdict.
    pub(super) fn verdicts(&self) -> impl Iterator<Item = (u32, Verdict)> {
        let numbers = self.arch.base()..;
        numbers.zip(self.slots.iter().copied()).chain(self.private.iter().copied())
    }
}

/// The conditions of a rule as they are behind a multiplexer.
///
/// The multiplexer's first argument says which call is meant. What libseccomp makes of conditions
/// on the other arguments is kept: they apply to the multiplexer's, of which the second one is a
/// pointer, so such a rule hardly ever matches there.
fn behind(conditions: &[Condition], selector: u64) -> Conditions {
    let first = Condition { arg: 0, op: Op::Eq, mask: u64::MAX, value: selector };
    let others = conditions.iter().copied().filter(|condition| condition.arg != 0);
    std::iter::once(first).chain(others).collect()
}
