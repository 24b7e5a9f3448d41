//! Which of several conditional rules for one call comes first.
//!
//! It matters only where their actions differ and their conditions overlap. libseccomp keeps the
//! conditions of a call in a tree, one comparison of a 32-bit word at a node, and visits the
//! nodes of a level from the "largest" to the smallest; a rule thus goes before another because
//! of what it compares, not because of its place in the profile. Here the clauses are a list in
//! the order of a walk through that tree.

use super::profile::{Condition, Op};

/// One comparison of a 32-bit word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Node {
    /// Twice the argument, plus one for its high word.
    word: u8,
    op: Op,
    /// How the word is compared, which two operators can have in common.
    compare: Op,
    mask: u32,
    value: u32,
}

impl Node {
    /// Whether a walk visits `other` before this one.
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

    fn is_same(&self, other: &Node) -> bool {
        (self.word, self.compare, self.mask, self.value)
            == (other.word, other.compare, other.mask, other.value)
    }
}

/// The path of a rule through libseccomp's tree.
pub(super) fn path(conditions: &[Condition], is_64_bit: bool) -> Vec<Node> {
    let mut path = Vec::with_capacity(conditions.len() * 3);
    for &Condition { arg, op, mask, value } in conditions {
        let mut node = |high: bool, compare| {
            let shift = if high { 32 } else { 0 };
            let (mask, value) = ((mask >> shift) as u32, (value >> shift) as u32);
            path.push(Node { word: arg * 2 + u8::from(high), op, compare, mask, value });
        };
        let low = match op {
            Op::Ne | Op::Eq => Op::Eq,
            Op::Ge | Op::Lt => Op::Ge,
            Op::Gt | Op::Le => Op::Gt,
            Op::MaskedEq => Op::MaskedEq,
        };
        if is_64_bit && matches!(low, Op::Ge | Op::Gt) {
            node(true, Op::Gt);
            node(true, Op::Eq);
        } else if is_64_bit {
            node(true, low);
        }
        node(false, low);
    }
    path
}

/// Where a clause with `new` as its path goes among those with `paths`.
///
/// Nodes that are there already keep the operator that they came with, and so does `new`.
pub(super) fn place(paths: &[&[Node]], new: &mut [Node]) -> usize {
    // The clauses whose paths begin as the new one does are next to each other.
    let (mut start, mut end) = (0, paths.len());
    for (depth, node) in new.iter_mut().enumerate() {
        let node_at = |place: usize| paths[place].get(depth);
        // What ends here is as general as the new one or more so, and it was there first.
        while start < end && node_at(start).is_none() {
            start += 1;
        }
        let mut at = start;
        let found = loop {
            let Some(there) = (at < end).then(|| node_at(at)).flatten() else {
                break false;
            };
            if there.is_same(node) {
                node.op = there.op;
                break true;
            }
            if node.is_before(there) {
                break false;
            }
            at += 1;
        };
        if !found {
            return at;
        }
        start = at;
        end = (at..end)
            .find(|&place| !node_at(place).is_some_and(|there| there.is_same(node)))
            .unwrap_or(end);
    }
    start
}
