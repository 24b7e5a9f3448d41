//! `linux.seccomp` (config-linux.md, "Seccomp") as a program for seccomp(2).
//!
//! A profile means here what it means to runc, which hands it to libseccomp and puts a stub of
//! its own before the result:
//!
//! - The native architecture is always covered. A call of an architecture that is not covered
//!   kills the thread; so does a call of x32 where only x86_64 is covered.
//! - Calls with larger numbers than any that the profile names get `ENOSYS`, unless the default
//!   action is to allow, log or trace them, so that programs fall back to older calls.
//! - A rule with the default action is left out. Among the rules for one call an unconditional
//!   one wins, the first of several; conditional ones are tried in the order of libseccomp's
//!   tree (`order.rs`).
//! - Conditions of a rule must all hold, but as soon as two are on the same argument, each
//!   stands for itself.
//! - 32-bit architectures (x32 and n32 among them) compare the low words of arguments only.
//! - What x86, ppc, s390 and mips also have behind socketcall(2) and ipc(2) is covered there
//!   as well as under its own number.
//! - A rule that says otherwise than an earlier one under the same conditions, or under some that
//!   leave out the last of them, is refused (libseccomp: `EEXIST`), also where the architecture
//!   lacks the call.
//! - What the specification forbids is refused even where runc passes over it: an errno for an
//!   action that has none.
//!
//! `hack/seccomp compare` puts every decision beside libseccomp's. What it does wrong by its own
//! documentation is not taken over; `conformance/seccomp/src/excuse.rs` has the list of it, with
//! how each is shown: its tree of conditions loses rules, takes a word of one argument for that of
//! another, and (to 2.6.1 at least) the number is not loaded for an architecture that lacks a named
//! call when there is no unconditional rule. Names are known up to the Linux of `syscalls.csv`.

mod action;
mod arch;
mod calls;
mod emit;
mod filter;
mod order;
mod profile;
mod program;
mod ranges;
mod shape;
mod table;

pub use crate::Problem;
pub use action::action_names;
pub use arch::Arch;
pub use filter::{Filter, Instruction, flag_names, flags};
pub use profile::operator_names;
pub use shape::Shape;

use calls::{Decisions, Source};
use order::Disorder;
use profile::Profile;
use table::Call;

/// The filter of a profile, for a machine whose own architecture is `native`.
///
/// `None` means that the profile asks for none: it has neither a default action nor a rule.
/// Names that no architecture knows are skipped, since profiles are written for newer kernels,
/// too.
///
/// # Errors
/// Everything in the profile that cannot be done, not only the first such thing.
pub fn compile(profile: &spec::Seccomp<'_>, native: Arch) -> Result<Option<Filter>, Vec<Problem>> {
    if profile.default_action.is_empty() && profile.syscalls.is_empty() {
        return Ok(None);
    }
    let Profile { default, arches, flags, rules } = Profile::read(profile, native)?;
    let mut decisions: Vec<Decisions> =
        arches.into_iter().map(|arch| Decisions::new(arch, default)).collect();
    for (place, (rule, names)) in rules.iter().zip(&profile.syscalls).enumerate() {
        for (n, name) in names.names.iter().enumerate() {
            let Some(call) = Call::find(name) else { continue };
            for decisions in &mut decisions {
                decisions.add(call, rule, Source { rule: place, name: n });
            }
        }
    }
    order(&mut decisions, profile)?;
    let sections = ranges::sections(decisions, default);
    let program = program::program(&sections, default, native.is_big_endian());
    if program.len() > Filter::MAX_LEN {
        let (length, most) = (program.len(), Filter::MAX_LEN);
        let sentence = format!(
            "compile to {length} instructions{}; the kernel takes {most}",
            most_of(&rules, profile)
        );
        return Err(vec![Problem::new("syscalls", sentence, "fewer conditions on arguments")]);
    }
    Ok(Some(Filter { program, flags, notify: flags & filter::NEW_LISTENER != 0 }))
}

/// A hint at what a name may be.
fn one_of<'n>(names: impl Iterator<Item = &'n str>) -> String {
    format!("one of {}", names.collect::<Vec<_>>().join(", "))
}

/// Puts rules for the same call in order, or says which contradict each other.
fn order(decisions: &mut [Decisions], profile: &spec::Seccomp<'_>) -> Result<(), Vec<Problem>> {
    let mut problems = Vec::new();
    for decisions in decisions {
        let arch = decisions.arch.name();
        for disorder in decisions.order().err().into_iter().flatten() {
            let (source, what, hint) = match disorder {
                Disorder::Contradiction { earlier, later } => {
                    let earlier = earlier.rule;
                    let what = "has another action in syscalls/";
                    let what = format!("{what}{earlier} under the same conditions ({arch})");
                    (later, what, "one action for a call under the same conditions")
                }
                Disorder::TooMany(source) => {
                    let what = format!("has rules that overlap in too many ways ({arch})");
                    (source, what, "fewer conditions on arguments")
                }
            };
            let Source { rule, name } = source;
            let sentence = format!("{} {what}", profile.syscalls[rule].names[name]);
            problems.push(Problem::new(format!("syscalls/{rule}/names/{name}"), sentence, hint));
        }
    }
    if problems.is_empty() { Ok(()) } else { Err(problems) }
}

/// Which rules have the most conditions, as an apposition: those make a program long.
fn most_of(rules: &[profile::Rule], profile: &spec::Seccomp<'_>) -> String {
    let weight = |place: usize| {
        let conditions: usize = rules[place].alternatives.iter().map(Vec::len).sum();
        conditions * profile.syscalls[place].names.len()
    };
    let mut places: Vec<usize> = (0..rules.len()).filter(|&place| weight(place) > 0).collect();
    places.sort_by_key(|&place| std::cmp::Reverse(weight(place)));
    if places.is_empty() {
        return String::new();
    }
    let more = places.len().saturating_sub(5);
    let named: Vec<String> =
        places.iter().take(5).map(|place| format!("syscalls/{place}")).collect();
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!(", most of them for the conditions of {}{more}", named.join(", "))
}

#[cfg(test)]
mod tests;
