//! `linux.seccomp` (config-linux.md, "Seccomp") as a program for seccomp(2).

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

pub use arch::Arch;
pub use filter::{Filter, Instruction};

use crate::Problem;
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
pub fn compile(
    profile: &spec::Seccomp<'_>,
    native: Arch,
) -> Result<Option<Filter>, Vec<Problem>> {
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
