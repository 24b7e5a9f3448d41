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
//!
//! Known to differ: where rules for the same call have the same conditions but different
//! actions, runc fails (`EEXIST`), and here one of them is taken; and where comparisons by order
//! overlap, libseccomp's tree sometimes loses a rule, and here none is lost. Names are known up
//! to Linux 7.0 (`syscalls.csv`).

mod action;
mod arch;
mod calls;
mod emit;
mod filter;
mod order;
mod profile;
mod program;
mod ranges;
mod table;

pub use crate::Problem;
pub use action::action_names;
pub use arch::Arch;
pub use filter::{Filter, Instruction, flag_names};
pub use profile::operator_names;

use calls::Decisions;
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
    for (rule, names) in rules.iter().zip(&profile.syscalls) {
        for call in names.names.iter().filter_map(|name| Call::find(name)) {
            for decisions in &mut decisions {
                decisions.add(call, rule);
            }
        }
    }
    let sections = ranges::sections(decisions, default);
    let program = program::program(&sections, default, native.is_big_endian());
    if program.len() > Filter::MAX_LEN {
        let (length, most) = (program.len(), Filter::MAX_LEN);
        let sentence = format!("compile to {length} instructions; the kernel takes {most}");
        return Err(vec![Problem::new("syscalls", sentence)]);
    }
    Ok(Some(Filter { program, flags, notify: flags & filter::NEW_LISTENER != 0 }))
}

#[cfg(test)]
mod tests;
