//! What a profile means, call by call, without tables or trees: written after runc's
//! documentation of its stub and libseccomp's of its filters, to be read next to them.

use super::super::{Arch, table::Call};
use crate::interpret::Data;

pub(super) const KILL: u32 = 0;
pub(super) const ENOSYS: u32 = 0x0005_0026;
const X32_BIT: u32 = 1 << 30;

/// The answers that are right: one, unless rules with different actions overlap.
pub(super) fn answers(profile: &spec::Seccomp<'_>, native: Arch, data: &Data) -> Vec<u32> {
    let mut arches = vec![native];
    arches.extend(
        profile
            .architectures
            .iter()
            .map(|name| Arch::parse(name).unwrap()),
    );
    arches.retain(|arch| arch.token() == data.arch.token());
    arches.sort_by_key(|arch| *arch as u8);
    arches.dedup();
    if is_newer(profile, &arches, data.number) {
        return vec![ENOSYS];
    }
    let Some(&arch) = arches.first() else {
        return vec![KILL];
    };
    let arch = match (arches.as_slice(), data.number >= X32_BIT) {
        ([Arch::X86_64], true) if data.number != u32::MAX => return vec![KILL],
        ([Arch::X32], false) => return vec![KILL],
        ([Arch::X86_64, Arch::X32], true) => Arch::X32,
        _ => arch,
    };
    filter(profile, arch, data)
}

/// Whether runc's stub, which runs before the filter, returns ENOSYS.
fn is_newer(profile: &spec::Seccomp<'_>, arches: &[Arch], number: u32) -> bool {
    let default = profile.default_action.as_str();
    if ["SCMP_ACT_ALLOW", "SCMP_ACT_LOG", "SCMP_ACT_TRACE"].contains(&default) {
        return false;
    }
    let names = || profile.syscalls.iter().flat_map(|rule| &rule.names);
    let numbers = |arch: Arch| {
        let calls = names().filter_map(|name| Call::find(name));
        // libseccomp has pseudo numbers, which are negative, for what is behind a multiplexer.
        let is_pseudo = move |call: &Call| {
            call.through()
                .is_some_and(|(through, _)| arch.multiplexer(through).is_some())
        };
        calls
            .filter(move |call| !is_pseudo(call))
            .filter_map(move |call| call.number(arch))
    };
    let largest: Vec<(Arch, u32)> = arches
        .iter()
        .filter_map(|&arch| Some((arch, numbers(arch).max().filter(|&largest| largest > 0)?)))
        .collect();
    let is_x32 = number & X32_BIT != 0;
    largest.iter().any(|&(arch, largest)| match arch {
        Arch::X86_64 => !is_x32 && number > largest,
        Arch::X32 => is_x32 && number > largest,
        Arch::S390 | Arch::S390x => number == 0 || number > largest,
        _ => number > largest,
    })
}

/// What libseccomp's filter returns.
fn filter(profile: &spec::Seccomp<'_>, arch: Arch, data: &Data) -> Vec<u32> {
    let default = action(&profile.default_action, profile.default_errno_ret);
    let mut conditional = Vec::new();
    for rule in &profile.syscalls {
        let answer = action(&rule.action, rule.errno_ret);
        for name in &rule.names {
            if answer == default {
                continue;
            }
            match applies(name, &rule.args, arch, data) {
                Applies::Never | Applies::NotNow => {}
                Applies::Now => conditional.push(answer),
                Applies::Always => return vec![answer],
            }
        }
    }
    if conditional.is_empty() {
        vec![default]
    } else {
        conditional
    }
}

enum Applies {
    Never,
    NotNow,
    Now,
    Always,
}

fn applies(name: &str, args: &[spec::SyscallArg<'_>], arch: Arch, data: &Data) -> Applies {
    let Some(call) = Call::find(name) else {
        return Applies::Never;
    };
    let holds = |arg: &spec::SyscallArg<'_>| holds(arg, arch, data);
    let means = |arg: &&spec::SyscallArg<'_>| {
        let mask = if arch.is_64_bit() {
            u64::MAX
        } else {
            u64::from(u32::MAX)
        };
        arg.op != "SCMP_CMP_MASKED_EQ" || arg.value & mask != 0
    };
    let twice = (0..6).any(|index| args.iter().filter(|arg| arg.index == index).count() > 1);
    let through = call
        .through()
        .and_then(|(through, selector)| Some((arch.multiplexer(through)?, selector)))
        .filter(|(number, _)| *number == data.number);
    if let Some((_, selector)) = through {
        let others = || args.iter().filter(|arg| arg.index != 0);
        let is_first = |arg: &spec::SyscallArg<'_>| arg.index == 0;
        let rest = if twice {
            args.iter().any(|arg| is_first(arg) || holds(arg))
        } else {
            others().all(holds)
        };
        let mine = data.args[0]
            & if arch.is_64_bit() {
                u64::MAX
            } else {
                u64::from(u32::MAX)
            };
        return if mine == selector && rest {
            Applies::Now
        } else {
            Applies::NotNow
        };
    }
    if call.number(arch) != Some(data.number) {
        return Applies::Never;
    }
    let (always, now) = if twice {
        (args.iter().any(|arg| !means(&arg)), args.iter().any(holds))
    } else {
        (
            args.iter().filter(means).count() == 0,
            args.iter().all(holds),
        )
    };
    match (always, now) {
        (true, _) => Applies::Always,
        (false, true) => Applies::Now,
        (false, false) => Applies::NotNow,
    }
}

fn holds(arg: &spec::SyscallArg<'_>, arch: Arch, data: &Data) -> bool {
    let width = if arch.is_64_bit() {
        u64::MAX
    } else {
        u64::from(u32::MAX)
    };
    let (actual, value) = (data.args[arg.index as usize] & width, arg.value & width);
    match arg.op.as_str() {
        "SCMP_CMP_NE" => actual != value,
        "SCMP_CMP_LT" => actual < value,
        "SCMP_CMP_LE" => actual <= value,
        "SCMP_CMP_EQ" => actual == value,
        "SCMP_CMP_GE" => actual >= value,
        "SCMP_CMP_GT" => actual > value,
        "SCMP_CMP_MASKED_EQ" => actual & value == arg.value_two & value,
        op => panic!("{op}"),
    }
}

fn action(name: &str, errno: Option<u32>) -> u32 {
    let data = errno.unwrap_or(1);
    match name {
        "SCMP_ACT_KILL" | "SCMP_ACT_KILL_THREAD" => KILL,
        "SCMP_ACT_KILL_PROCESS" => 0x8000_0000,
        "SCMP_ACT_TRAP" => 0x0003_0000,
        "SCMP_ACT_ERRNO" => 0x0005_0000 | data,
        "SCMP_ACT_NOTIFY" => 0x7fc0_0000,
        "SCMP_ACT_TRACE" => 0x7ff0_0000 | data,
        "SCMP_ACT_LOG" => 0x7ffc_0000,
        "SCMP_ACT_ALLOW" => 0x7fff_0000,
        name => panic!("{name}"),
    }
}
