//! The answer to every number the kernel may show, as ranges, for each architecture it tells apart.

use super::Arch;
use super::action::Action;
use super::arch::X32_BIT;
use super::calls::{Chain, Decisions, Verdict};

/// The numbers from `start` up to the next range have one verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Range {
    pub start: u32,
    pub verdict: Verdict,
}

/// What is done with calls whose `seccomp_data.arch` is `token`.
pub(super) struct Section {
    pub token: u32,
    /// In ascending order, the first one from 0, neighbours with different verdicts.
    pub ranges: Vec<Range>,
    pub chains: Vec<Chain>,
}

/// The answer to a call for which there is no filter, libseccomp's `SCMP_FLTATR_ACT_BADARCH`.
pub(super) const BAD_ARCH: Action = Action::KILL_THREAD;

/// Bit 31, which no number has.
const HIGH: u32 = 0x8000_0000;
/// A tracer sets the number to this to have the call skipped (seccomp(2), since Linux 4.8).
const SKIPPED: u32 = u32::MAX;

/// The sections for all of `decisions`, in their order.
pub(super) fn sections(mut decisions: Vec<Decisions>, default: Action) -> Vec<Section> {
    let mut sections = Vec::with_capacity(decisions.len());
    while !decisions.is_empty() {
        let first = decisions.remove(0);
        let partner = match first.arch {
            Arch::X86_64 => Arch::X32,
            Arch::X32 => Arch::X86_64,
            _ => {
                sections.push(section(first, default));
                continue;
            }
        };
        let second = decisions.iter().position(|decisions| decisions.arch == partner);
        let second = second.map(|place| decisions.remove(place));
        sections.push(match partner {
            Arch::X32 => x86_section(Some(first), second, default),
            _ => x86_section(second, Some(first), default),
        });
    }
    sections
}

/// The section for an architecture that has its token for itself.
fn section(decisions: Decisions, default: Action) -> Section {
    let mut ranges = Ranges::new();
    ranges.append(0, &decisions, default, 0);
    if let Some(newer) = newer(&decisions, default) {
        // s390's system call entry leaves 0, setup(2) in old times, as the number of a call
        // above 255 that the kernel does not know.
        if matches!(decisions.arch, Arch::S390 | Arch::S390x) {
            ranges.list.retain(|range| range.start > 1);
            let one = decisions.verdicts().nth(1).map_or(Verdict::Action(default), |(_, v)| v);
            ranges.list.insert(0, Range { start: 1, verdict: one });
            ranges.list.insert(0, Range { start: 0, verdict: Verdict::Action(Action::ENOSYS) });
        }
        ranges.cut(newer, Action::ENOSYS);
    }
    Section { token: decisions.arch.token(), ranges: ranges.list, chains: decisions.chains }
}

/// The section for x86_64, x32, or both: only a bit of the number tells them apart.
fn x86_section(x86_64: Option<Decisions>, x32: Option<Decisions>, default: Action) -> Section {
    let mut ranges = Ranges::new();
    let mut chains = Vec::new();
    let mut half = |start: u32, decisions: Option<Decisions>| match decisions {
        None => {
            ranges.push(start, Verdict::Action(BAD_ARCH));
            BAD_ARCH
        }
        Some(decisions) => {
            ranges.append(start, &decisions, default, chains.len());
            let newer = newer(&decisions, default);
            chains.extend(decisions.chains);
            newer.map_or(default, |newer| {
                ranges.cut(newer, Action::ENOSYS);
                Action::ENOSYS
            })
        }
    };
    let (has_x86_64, has_x32) = (x86_64.is_some(), x32.is_some());
    let above_x86_64 = half(0, x86_64);
    let above_x32 = half(X32_BIT, x32);
    // runc looks at the bit, libseccomp asks whether the number is below it.
    let high = match above_x86_64 {
        Action::ENOSYS if has_x86_64 => Action::ENOSYS,
        _ if has_x32 => default,
        _ => BAD_ARCH,
    };
    ranges.push(HIGH, Verdict::Action(high));
    ranges.push(HIGH | X32_BIT, Verdict::Action(above_x32));
    if !has_x32 {
        ranges.push(SKIPPED, Verdict::Action(default));
    }
    Section { token: Arch::X86_64.token(), ranges: ranges.list, chains }
}

/// The first number that is newer than the profile, if such calls get `ENOSYS`.
fn newer(decisions: &Decisions, default: Action) -> Option<u32> {
    if default.suits_unknown_calls() {
        return None;
    }
    decisions.largest().map(|largest| largest + 1)
}

/// Ranges in ascending order, neighbours with the same verdict being one.
struct Ranges {
    list: Vec<Range>,
}

impl Ranges {
    fn new() -> Ranges {
        Ranges { list: Vec::with_capacity(256) }
    }

    /// Gives the numbers from `start` on, which is not before the last range, to `verdict`.
    fn push(&mut self, start: u32, verdict: Verdict) {
        self.drop_from(start);
        if self.list.last().is_none_or(|last| last.verdict != verdict) {
            self.list.push(Range { start, verdict });
        }
    }

    /// Takes all numbers from `start` on away from the ranges that have them.
    fn cut(&mut self, start: u32, action: Action) {
        self.drop_from(start);
        self.push(start, Verdict::Action(action));
    }

    fn drop_from(&mut self, start: u32) {
        while self.list.last().is_some_and(|last| last.start >= start) {
            self.list.pop();
        }
    }

    /// Adds the verdicts of an architecture, whose numbers begin at `start` or later, and after
    /// them the default. Its chains will be found `shift` places further on.
    fn append(&mut self, start: u32, decisions: &Decisions, default: Action, shift: usize) {
        let default = Verdict::Action(default);
        let mut next = start;
        for (number, verdict) in decisions.verdicts() {
            if number != next {
                self.push(next, default);
            }
            let verdict = match verdict {
                Verdict::Chain(chain) => Verdict::Chain(chain + shift),
                action => action,
            };
            self.push(number, verdict);
            next = number + 1;
        }
        self.push(next, default);
    }
}
