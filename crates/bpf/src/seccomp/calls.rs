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
    /// Whose it is: a place in `syscalls`.
    rule: usize,
}

/// A rule that says otherwise under the same conditions: its place in `syscalls`.
pub(super) struct Contradicts(pub usize);

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
    ///
    /// # Errors
    /// An earlier rule that this one contradicts.
    pub(super) fn add(&mut self, call: Call, rule: &Rule) -> Result<(), Contradicts> {
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
            return Ok(());
        }
        let none = [Conditions::new()];
        let alternatives = if rule.alternatives.is_empty() { &none } else { &*rule.alternatives };
        for conditions in alternatives {
            if let Some((number, selector)) = through {
                self.put(number, behind(conditions, selector), rule)?;
            }
            if let Some(number) = number {
                self.put(number, conditions.clone(), rule)?;
            }
        }
        Ok(())
    }

    /// An unconditional rule goes before conditional ones, and the first of several is kept.
    fn put(
        &mut self,
        number: u32,
        mut conditions: Conditions,
        &Rule { action, place: rule, .. }: &Rule,
    ) -> Result<(), Contradicts> {
        let is_64_bit = self.arch.is_64_bit();
        conditions.retain(|c| if is_64_bit { c.mask != 0 } else { c.mask as u32 != 0 });
        let verdict = *self.slot(number);
        if conditions.is_empty() {
            if !matches!(verdict, Verdict::Action(action) if action != self.default) {
                *self.slot(number) = Verdict::Action(action);
            }
            return Ok(());
        }
        let chain = match verdict {
            Verdict::Chain(chain) => chain,
            Verdict::Action(action) if action == self.default => {
                self.chains.push(Chain { is_64_bit, clauses: Vec::new() });
                *self.slot(number) = Verdict::Chain(self.chains.len() - 1);
                self.chains.len() - 1
            }
            Verdict::Action(_) => return Ok(()),
        };
        let clauses = &mut self.chains[chain].clauses;
        if clauses
            .iter()
            .any(|c| c.action == action && ends_with(&conditions, &c.conditions, is_64_bit))
        {
            return Ok(());
        }
        clauses.retain(|c| c.action != action || !ends_with(&c.conditions, &conditions, is_64_bit));
        let mut first = 0;
        for (place, clause) in clauses.iter().enumerate() {
            let meeting = Meeting::of(&clause.conditions, &conditions, is_64_bit);
            if meeting.is_within && clause.action != action {
                return Err(Contradicts(clause.rule));
            }
            if meeting.is_beyond {
                // What is there decides before this one is asked.
                first = place + 1;
            }
        }
        let mut path = order::path(&conditions, is_64_bit);
        let paths: Vec<&[Node]> = clauses.iter().map(|clause| &*clause.path).collect();
        let place = order::place(&paths, &mut path).max(first);
        clauses.insert(place, Clause { conditions, action, path, rule });
        Ok(())
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

/// How conditions that are added meet those of an earlier clause in libseccomp's tree.
struct Meeting {
    /// The earlier ones go on where the new ones end.
    is_within: bool,
    /// The new ones go on where the earlier ones end.
    is_beyond: bool,
}

impl Meeting {
    fn of(earlier: &[Condition], new: &[Condition], is_64_bit: bool) -> Meeting {
        let in_common = earlier.iter().zip(new);
        let same = in_common.take_while(|(a, b)| a.is_same(b, is_64_bit)).count();
        let touch = |at: usize| earlier[at].has_same_high_word(&new[at], is_64_bit);
        // The answer to a comparison by order may follow from the high word alone.
        let ends = |ending: &[Condition], other: &[Condition]| {
            let end = ending.len();
            same == end || other.len() > end && same + 1 == end && touch(same)
        };
        Meeting { is_within: ends(new, earlier), is_beyond: ends(earlier, new) }
    }
}

/// Whether `long` is conditions and then `short`.
fn ends_with(long: &[Condition], short: &[Condition], is_64_bit: bool) -> bool {
    let Some(skipped) = long.len().checked_sub(short.len()) else { return false };
    long[skipped..].iter().zip(short).all(|(a, b)| a.is_same(b, is_64_bit))
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
