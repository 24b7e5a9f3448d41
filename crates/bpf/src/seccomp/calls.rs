//! What a profile says about every number of one architecture.

use super::Arch;
use super::action::Action;
use super::order::{self, Disorder, Path};
use super::profile::{Condition, Conditions, Op, Rule};
use super::table::{Call, Through};

/// The answer to a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Action(Action),
    /// It depends on the arguments: the index of a [`Chain`].
    Chain(usize),
}

/// The clauses of a call: if none holds, the default action is the answer.
pub(super) struct Chain {
    /// Whether both words of an argument are compared.
    pub is_64_bit: bool,
    /// In the order of the profile.
    pub clauses: Vec<Clause>,
    /// Which is first, where it matters: their tree.
    pub paths: Option<Vec<Path>>,
}

/// Conditions, and the answer if they all hold.
pub(super) struct Clause {
    pub conditions: Conditions,
    pub action: Action,
    pub source: Source,
}

/// What a clause comes from: places in `syscalls`, and there in `names`.
#[derive(Clone, Copy)]
pub(super) struct Source {
    pub rule: usize,
    pub name: usize,
}

impl Chain {
    /// Whether all clauses have the same answer, so that their order does not matter.
    fn is_uniform(&self) -> bool {
        self.clauses.windows(2).all(|two| two[0].action == two[1].action)
    }

    /// Whether some clause holds in several ways, which would make its tree larger than itself.
    fn has_ways(&self) -> bool {
        let mut conditions = self.clauses.iter().flat_map(|clause| &clause.conditions);
        self.is_64_bit && conditions.any(Condition::has_two_ways)
    }
}

impl Clause {
    /// Whether its conditions are others and then those of `short`.
    pub(super) fn ends_with(&self, short: &Clause, is_64_bit: bool) -> bool {
        let (long, short) = (&self.conditions, &short.conditions);
        let Some(skipped) = long.len().checked_sub(short.len()) else { return false };
        long[skipped..].iter().zip(short).all(|(a, b)| a.is_same(b, is_64_bit))
    }
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
/// From here on, calls that the architecture does not have: that their rules contradict each other
/// is found out nevertheless.
const ABSENT: u32 = 0xffff_0000;

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
    pub(super) fn add(&mut self, call: Call, rule: &Rule, source: Source) {
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
            let put = |conditions| Clause { conditions, action: rule.action, source };
            if let Some((number, selector)) = through {
                self.put(number, put(behind(conditions, selector)));
            }
            // As libseccomp, which passes over them only where it has multiplexers in mind.
            let has_multiplexers = self.arch.multiplexer(Through::Socketcall).is_some();
            let absent = (!has_multiplexers).then_some(ABSENT + u32::from(call.place()));
            if let Some(number) = number.or(absent) {
                self.put(number, put(conditions.clone()));
            }
        }
    }

    /// An unconditional rule goes before conditional ones, and the first of several is kept.
    fn put(&mut self, number: u32, mut clause: Clause) {
        let is_64_bit = self.arch.is_64_bit();
        clause.conditions.retain(|c| if is_64_bit { c.mask != 0 } else { c.mask as u32 != 0 });
        let verdict = *self.slot(number);
        let is_free = verdict == Verdict::Action(self.default);
        match verdict {
            Verdict::Action(_) if !is_free => {}
            _ if clause.conditions.is_empty() => {
                *self.slot(number) = Verdict::Action(clause.action);
            }
            Verdict::Action(_) => {
                let chain = Chain { is_64_bit, clauses: vec![clause], paths: None };
                self.chains.push(chain);
                *self.slot(number) = Verdict::Chain(self.chains.len() - 1);
            }
            Verdict::Chain(chain) => self.chains[chain].clauses.push(clause),
        }
    }

    /// Puts the clauses of every call in order, once all rules are added.
    ///
    /// # Errors
    /// Of each call whose rules cannot be put in order, the first that is in the way.
    pub(super) fn order(&mut self) -> Result<(), Vec<Disorder>> {
        let mut disorders = Vec::new();
        for chain in &mut self.chains {
            if chain.is_uniform() {
                order::drop_what_follows(&mut chain.clauses, chain.is_64_bit);
                if chain.clauses.len() == 1 || chain.has_ways() {
                    continue;
                }
            }
            match order::paths(&chain.clauses, chain.is_64_bit) {
                Ok(paths) => chain.paths = Some(paths),
                Err(disorder) => disorders.push(disorder),
            }
        }
        if disorders.is_empty() { Ok(()) } else { Err(disorders) }
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
        let private = self.private.iter().copied().filter(|(number, _)| *number < ABSENT);
        numbers.zip(self.slots.iter().copied()).chain(private)
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
