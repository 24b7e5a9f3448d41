//! What a profile means, call by call, without tables or trees: written after runc's
//! documentation of its stub and libseccomp's of its filters, to be read next to them.

use super::super::{Arch, table::Call};
use crate::interpret::Data;

pub(super) const KILL: u32 = 0;
pub(super) const ENOSYS: u32 = 0x0005_0026;
const X32_BIT: u32 = 1 << 30;

/// A profile on a machine, with its names looked up.
pub(super) struct Model<'a> {
    profile: &'a spec::Seccomp<'a>,
    /// The architectures that are covered, each once, x86_64 before x32.
    arches: Vec<Arch>,
    /// The known names, each with its rule.
    calls: Vec<(&'a spec::SyscallRule<'a>, Call)>,
    /// What runc's stub takes for the largest number of each.
    largest: Vec<(Arch, u32)>,
}

impl<'a> Model<'a> {
    pub(super) fn new(profile: &'a spec::Seccomp<'a>, native: Arch) -> Model<'a> {
        let mut arches = vec![native];
        arches.extend(profile.architectures.iter().map(|name| Arch::parse(name).unwrap()));
        arches.sort_by_key(|arch| *arch as u8);
        arches.dedup();
        let rules = profile.syscalls.iter();
        let calls: Vec<_> = rules
            .flat_map(|rule| rule.names.iter().map(move |name| (rule, name)))
            .filter_map(|(rule, name)| Some((rule, Call::find(name)?)))
            .collect();
        let is_pseudo = |arch: Arch, call: Call| {
            // libseccomp has negative numbers for what is behind a multiplexer.
            call.through().is_some_and(|(through, _)| arch.multiplexer(through).is_some())
        };
        let largest = |arch: Arch| {
            let calls = calls.iter().map(|(_, call)| *call).filter(|&c| !is_pseudo(arch, c));
            let largest = calls.filter_map(|call| call.number(arch)).max();
            largest.filter(|&largest| largest > 0).map(|largest| (arch, largest))
        };
        let largest = arches.iter().filter_map(|&arch| largest(arch)).collect();
        Model { profile, arches, calls, largest }
    }

    /// The answers that are right: one, unless rules with different actions overlap.
    pub(super) fn answers(&self, data: &Data) -> Vec<u32> {
        if self.is_newer(data) {
            return vec![ENOSYS];
        }
        let token = data.arch.token();
        let arches = self.arches.iter().copied().filter(|arch| arch.token() == token);
        let arches: Vec<Arch> = arches.collect();
        let Some(&arch) = arches.first() else {
            return vec![KILL];
        };
        let arch = match (arches.as_slice(), data.number >= X32_BIT) {
            ([Arch::X86_64], true) if data.number != u32::MAX => return vec![KILL],
            ([Arch::X32], false) => return vec![KILL],
            ([Arch::X86_64, Arch::X32], true) => Arch::X32,
            _ => arch,
        };
        self.filter(arch, data)
    }

    /// Whether runc's stub, which runs before the filter, returns ENOSYS.
    fn is_newer(&self, data: &Data) -> bool {
        let default = self.profile.default_action.as_str();
        if ["SCMP_ACT_ALLOW", "SCMP_ACT_LOG", "SCMP_ACT_TRACE"].contains(&default) {
            return false;
        }
        let number = data.number;
        let is_x32 = number & X32_BIT != 0;
        let mut largest = self.largest.iter().filter(|(a, _)| a.token() == data.arch.token());
        largest.any(|&(arch, largest)| match arch {
            Arch::X86_64 => !is_x32 && number > largest,
            Arch::X32 => is_x32 && number > largest,
            Arch::S390 | Arch::S390x => number == 0 || number > largest,
            _ => number > largest,
        })
    }

    /// What libseccomp's filter returns.
    fn filter(&self, arch: Arch, data: &Data) -> Vec<u32> {
        let default = action(&self.profile.default_action, self.profile.default_errno_ret);
        let mut conditional = Vec::new();
        for &(rule, call) in &self.calls {
            let applies = applies(call, &rule.args, arch, data);
            if matches!(applies, Applies::Never | Applies::NotNow) {
                continue;
            }
            match (action(&rule.action, rule.errno_ret), applies) {
                (answer, _) if answer == default => {}
                (answer, Applies::Always) => return vec![answer],
                (answer, _) => conditional.push(answer),
            }
        }
        if conditional.is_empty() { vec![default] } else { conditional }
    }
}

enum Applies {
    Never,
    NotNow,
    Now,
    Always,
}

fn applies(call: Call, args: &[spec::SyscallArg<'_>], arch: Arch, data: &Data) -> Applies {
    let through = call
        .through()
        .and_then(|(through, selector)| Some((arch.multiplexer(through)?, selector)))
        .filter(|(number, _)| *number == data.number);
    if through.is_none() && call.number(arch) != Some(data.number) {
        return Applies::Never;
    }
    let holds = |arg: &spec::SyscallArg<'_>| holds(arg, arch, data);
    let means = |arg: &&spec::SyscallArg<'_>| {
        let mask = if arch.is_64_bit() { u64::MAX } else { u64::from(u32::MAX) };
        arg.op != "SCMP_CMP_MASKED_EQ" || arg.value & mask != 0
    };
    let twice = (0..6).any(|index| args.iter().filter(|arg| arg.index == index).count() > 1);
    if let Some((_, selector)) = through {
        let others = || args.iter().filter(|arg| arg.index != 0);
        let is_first = |arg: &spec::SyscallArg<'_>| arg.index == 0;
        let rest = if twice {
            args.iter().any(|arg| is_first(arg) || holds(arg))
        } else {
            others().all(holds)
        };
        let mine = data.args[0] & if arch.is_64_bit() { u64::MAX } else { u64::from(u32::MAX) };
        return if mine == selector && rest { Applies::Now } else { Applies::NotNow };
    }
    let (always, now) = if twice {
        (args.iter().any(|arg| !means(&arg)), args.iter().any(holds))
    } else {
        (args.iter().filter(means).count() == 0, args.iter().all(holds))
    };
    match (always, now) {
        (true, _) => Applies::Always,
        (false, true) => Applies::Now,
        (false, false) => Applies::NotNow,
    }
}

fn holds(arg: &spec::SyscallArg<'_>, arch: Arch, data: &Data) -> bool {
    let width = if arch.is_64_bit() { u64::MAX } else { u64::from(u32::MAX) };
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
