//! Which of several conditional rules for one call comes first.
//!
//! It matters only where their actions differ and their conditions overlap. libseccomp keeps the
//! conditions of a call in a tree, one comparison of a 32-bit word at a node, with what follows if
//! it holds and what follows if it does not. It visits the nodes of a level from the "largest" to
//! the smallest, and goes on to the next one where a branch comes to nothing; a rule thus goes
//! before another because of what it compares, not because of its place in the profile. Here the
//! tree is the list of its paths in the order of a walk:
//!
//! ```text
//!   TRAP  if arg0 > 0x1_00000005               hi0 > 1 ─ yes ─────────────────────────── TRAP
//!   ERRNO if arg0 > 0x1_00000003 && arg1 = 7     │ no      (ERRNO would follow, too late)
//!                                              hi0 = 1 ─ yes ─ lo0 > 5 ─ yes ─────────── TRAP
//!                                                │ no            │ no
//!                                                ▼             lo0 > 3 ─ yes ─ arg1 = 7 ─ ERRNO
//! ```
//!
//! A comparison by order of 64 bits has two paths: one on which the high words decide, and one on
//! which they are the same. So which of two rules is first may differ between the two.

use std::ops::Range;

use super::action::Action;
use super::calls::{Clause, Source};
use super::emit::Test;
use super::profile::{Condition, Op};

/// One comparison of a 32-bit word.
#[derive(Debug, Clone, Copy)]
pub(super) struct Node {
    /// Twice the argument, plus one for its high word.
    word: u8,
    /// The operator of the condition; of the first one, if several have the node in common.
    op: Op,
    /// How the word is compared.
    pub test: Test,
    pub mask: u32,
    pub value: u32,
    /// The 64 bits that the condition compares with.
    full: u64,
}

impl Node {
    pub(super) fn arg(&self) -> u8 {
        self.word / 2
    }

    pub(super) fn is_high(&self) -> bool {
        self.word % 2 == 1
    }

    /// Whether both compare the same bits.
    pub(super) fn has_word_of(&self, other: &Node) -> bool {
        (self.word, self.mask) == (other.word, other.mask)
    }

    pub(super) fn is_same(&self, other: &Node) -> bool {
        (self.word, self.test, self.mask, self.value)
            == (other.word, other.test, other.mask, other.value)
    }

    /// Whether a walk visits it before `other`, which was there first.
    fn is_before(&self, other: &Node) -> bool {
        let rank = |op| match op {
            Op::Ge | Op::Gt => 1,
            Op::Lt | Op::Le => 2,
            Op::Ne | Op::Eq | Op::MaskedEq => 3,
        };
        let key = |node: &Node| (node.word, rank(node.op));
        if key(self) != key(other) {
            return key(self) > key(other);
        }
        match other.op {
            Op::Lt | Op::Le => self.value < other.value,
            _ => self.value > other.value,
        }
    }
}

/// A comparison, and how it has to come out.
#[derive(Debug, Clone, Copy)]
pub(super) struct Step {
    pub node: Node,
    pub holds: bool,
}

/// A way through the tree.
#[derive(Debug, Clone)]
pub(super) struct Path {
    pub steps: Vec<Step>,
    /// What is answered at its end.
    pub action: Action,
    /// The place of its clause.
    clause: usize,
}

/// Why clauses cannot be put in order.
pub(super) enum Disorder {
    /// `later` says otherwise than `earlier` under the same conditions, or under some that leave
    /// out the last of them.
    Contradiction { earlier: Source, later: Source },
    /// There are more than [`MOST`] paths when this one is added.
    TooMany(Source),
}

/// Enough for any program that the kernel takes, but for one whose paths have nearly all in common.
const MOST: usize = 0x4000;

/// Leaves out clauses that follow from others with the same answer: they say no more.
pub(super) fn drop_what_follows(clauses: &mut Vec<Clause>, is_64_bit: bool) {
    let mut kept: Vec<Clause> = Vec::with_capacity(clauses.len());
    for clause in clauses.drain(..) {
        if kept.iter().any(|earlier| clause.ends_with(earlier, is_64_bit)) {
            continue;
        }
        kept.retain(|earlier| !earlier.ends_with(&clause, is_64_bit));
        kept.push(clause);
    }
    *clauses = kept;
}

/// The tree of `clauses`, which are in the order of the profile: its paths in the order of a walk.
pub(super) fn paths(clauses: &[Clause], is_64_bit: bool) -> Result<Vec<Path>, Disorder> {
    let mut paths: Vec<Path> = Vec::new();
    let mut kept: Vec<usize> = Vec::new();
    for (place, clause) in clauses.iter().enumerate() {
        let follows = |long: usize, short: usize| {
            let (long, short) = (&clauses[long], &clauses[short]);
            long.action == short.action && long.ends_with(short, is_64_bit)
        };
        if kept.iter().any(|&earlier| follows(place, earlier)) {
            continue;
        }
        // libseccomp leaves one in that can be decided by the high word of its last argument. It is
        // never asked then, since the new one is asked before it; but others can contradict it.
        let last = clause.conditions.last();
        let has_ways = is_64_bit && last.is_some_and(Condition::has_two_ways);
        kept.retain(|&earlier| {
            let stays = has_ways || !follows(earlier, place);
            if !stays {
                paths.retain(|path| path.clause != earlier);
            }
            stays
        });
        kept.push(place);
        let contradiction = |earlier: usize| {
            let (earlier, later) = (clauses[earlier].source, clause.source);
            Disorder::Contradiction { earlier, later }
        };
        let mut behind: Vec<(Vec<Step>, usize)> = Vec::new();
        for steps in ways(&clause.conditions, is_64_bit) {
            let first = first_place(&paths, &steps, &behind);
            let path = Path { steps, action: clause.action, clause: place };
            match insert(&mut paths, path, first).map_err(contradiction)? {
                Fate::Placed => {}
                Fate::Behind(other, beginning) => behind.push((beginning, other)),
            }
        }
        if paths.len() > MOST {
            return Err(Disorder::TooMany(clause.source));
        }
    }
    Ok(paths)
}

/// The ways on which all conditions hold.
fn ways(conditions: &[Condition], is_64_bit: bool) -> Vec<Vec<Step>> {
    let mut ways: Vec<Vec<Step>> = vec![Vec::with_capacity(conditions.len() * 3)];
    for condition in conditions {
        let ends = ends(condition, is_64_bit);
        let with = |way: &Vec<Step>, end: &Vec<Step>| way.iter().chain(end).copied().collect();
        ways = ways.iter().flat_map(|way| ends.iter().map(move |end| with(way, end))).collect();
    }
    ways
}

/// The ways on which one condition holds.
fn ends(&Condition { arg, op, mask, value }: &Condition, is_64_bit: bool) -> Vec<Vec<Step>> {
    let step = |high: bool, test: Test, holds: bool| {
        let shift = if high { 32 } else { 0 };
        let node = Node {
            word: arg * 2 + u8::from(high),
            op,
            test,
            mask: (mask >> shift) as u32,
            value: (value >> shift) as u32,
            full: value,
        };
        Step { node, holds }
    };
    let (test, holds) = op.test();
    let low = step(false, test, holds);
    let high = |test, holds| step(true, test, holds);
    if !is_64_bit {
        return vec![vec![low]];
    }
    match (test, holds) {
        (Test::Equal | Test::MaskedEqual, true) => vec![vec![high(test, true), low]],
        (Test::Equal | Test::MaskedEqual, false) => {
            vec![vec![high(test, false)], vec![high(test, true), low]]
        }
        (Test::Greater | Test::GreaterOrEqual, _) => {
            let same = vec![high(Test::Greater, false), high(Test::Equal, true), low];
            let decided = match holds {
                true => vec![high(Test::Greater, true)],
                false => vec![high(Test::Greater, false), high(Test::Equal, false)],
            };
            vec![decided, same]
        }
    }
}

/// What became of a path.
enum Fate {
    /// It is among the others, or says the same as one of them.
    Placed,
    /// One of a clause ends where it goes on, and decides before it is asked: the clause, and the
    /// steps that they have in common.
    Behind(usize, Vec<Step>),
}

/// Where a path can be put at the earliest: if a clause decides where the high word of an argument
/// is greater, it is asked first where it is the same, too.
fn first_place(paths: &[Path], steps: &[Step], behind: &[(Vec<Step>, usize)]) -> usize {
    let parts_from = |beginning: &[Step]| {
        let Some((last, before)) = beginning.split_last() else { return false };
        let is_same = |(a, b): (&Step, &Step)| a.node.is_same(&b.node) && a.holds == b.holds;
        steps.len() > before.len()
            && before.iter().zip(steps).all(is_same)
            && steps[before.len()].node.is_same(&last.node)
            && !steps[before.len()].holds
    };
    let clauses = behind.iter().filter(|(beginning, _)| parts_from(beginning));
    let places = clauses.filter_map(|&(_, other)| paths.iter().rposition(|p| p.clause == other));
    places.max().map_or(0, |place| place + 1)
}

/// Puts a path among the others, not before `first`.
///
/// # Errors
/// The clause that it contradicts.
fn insert(paths: &mut Vec<Path>, mut new: Path, first: usize) -> Result<Fate, usize> {
    // The paths that begin as the new one does are next to each other.
    let (mut start, mut end) = (0, paths.len());
    for depth in 0..new.steps.len() {
        let Step { node, holds } = new.steps[depth];
        let there = |place: usize| paths.get(place)?.steps.get(depth);
        let is_same = |place: usize| there(place).is_some_and(|step| step.node.is_same(&node));
        let goes_on = |place: usize| there(place).is_some_and(|step| step.holds == holds);
        let is_after = |place: usize| there(place).is_some_and(|step| node.is_before(&step.node));
        let at = (start..end).find(|&place| is_same(place) || is_after(place)).unwrap_or(end);
        let Some(step) = there(at).filter(|_| at < end && is_same(at)) else {
            paths.insert(at.max(first), new);
            return Ok(Fate::Placed);
        };
        // A node keeps the operator that it came with.
        new.steps[depth].node.op = step.node.op;
        let last = (at..end).find(|&place| !is_same(place)).unwrap_or(end);
        // Those that go on where it holds, then those that go on where it does not.
        start = (at..last).find(|&place| holds || goes_on(place)).unwrap_or(last);
        end = (start..last).find(|&place| !goes_on(place)).unwrap_or(last);
        if start == end {
            paths.insert(start.max(first), new);
            return Ok(Fate::Placed);
        }
        let ends = |place: &usize| paths[*place].steps.len() == depth + 1;
        if let Some(other) = (start..end).find(ends).filter(|_| depth + 1 < new.steps.len()) {
            new.steps.truncate(depth + 1);
            return Ok(Fate::Behind(paths[other].clause, new.steps));
        }
    }
    finish(paths, start..end, new)?;
    Ok(Fate::Placed)
}

/// Puts a path at the place of those that begin with all of it.
fn finish(paths: &mut Vec<Path>, same: Range<usize>, mut new: Path) -> Result<(), usize> {
    let length = new.steps.len();
    let Some(last) = new.steps.last_mut() else { return Ok(()) };
    let there = same.clone().find(|&place| paths[place].steps.len() == length);
    if let Some(place) = there.filter(|_| last.node.is_high()) {
        // If the high word decides, the two may still differ in the low one, and are asked in the
        // order that they have there.
        let (mine, other) = (last.node.full, paths[place].steps[length - 1].node.full);
        let is_first = if last.holds { mine > other } else { mine < other };
        if paths[place].action != new.action {
            if is_first {
                paths[place] = new;
            }
            return Ok(());
        }
        if !is_first {
            last.node.full = other;
        }
    }
    if let Some(other) = paths[same.clone()].iter().find(|path| path.action != new.action) {
        return Err(other.clause);
    }
    paths.splice(same, [new]);
    Ok(())
}
