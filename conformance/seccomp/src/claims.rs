//! What a profile says about a call, read rule by rule: no table, no tree, no order.

use bpf::interpret::Data;

use crate::names;

/// A part of a rule that libseccomp gets as one: the conditions that must all hold.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Part {
    /// Place in `syscalls`.
    pub(crate) rule: usize,
    /// The one condition; `None`: all of the rule's.
    pub(crate) condition: Option<usize>,
}

/// The parts of a rule: all conditions together, but each for itself as soon as two are on one
/// argument.
pub(crate) fn parts(profile: &spec::Seccomp<'_>, rule: usize) -> Vec<Part> {
    let args = &profile.syscalls[rule].args;
    let twice = (0..6).any(|index| args.iter().filter(|arg| arg.index == index).count() > 1);
    if twice {
        (0..args.len()).map(|n| Part { rule, condition: Some(n) }).collect()
    } else {
        vec![Part { rule, condition: None }]
    }
}

/// The profile with a rule of its own for each name, as libseccomp gets it.
pub(crate) fn name_by_name<'a>(profile: &spec::Seccomp<'a>) -> spec::Seccomp<'a> {
    let mut split = profile.clone();
    let one = |rule: &spec::SyscallRule<'a>, name: &spec::Text<'a>| spec::SyscallRule {
        names: vec![name.clone()],
        ..rule.clone()
    };
    let rules = profile.syscalls.iter();
    split.syscalls =
        rules.flat_map(|rule| rule.names.iter().map(move |name| one(rule, name))).collect();
    split
}

impl Part {
    /// Its conditions.
    pub(crate) fn args<'p, 'a>(self, profile: &'p spec::Seccomp<'a>) -> &'p [spec::SyscallArg<'a>] {
        let args = &profile.syscalls[self.rule].args;
        self.condition.map_or(args, |n| &args[n..=n])
    }

    /// What it answers.
    pub(crate) fn action(self, profile: &spec::Seccomp<'_>) -> u32 {
        let rule = &profile.syscalls[self.rule];
        value(&rule.action, rule.errno_ret)
    }

    /// Whether it has something to say about a call.
    pub(crate) fn holds(self, profile: &spec::Seccomp<'_>, data: &Data) -> bool {
        let args = self.args(profile);
        profile.syscalls[self.rule].names.iter().filter(|name| is_meant(name, data)).any(|name| {
            // What is behind a multiplexer is selected by the first argument.
            let is_behind = names::selector(name, data).is_some();
            args.iter().filter(|arg| !is_behind || arg.index != 0).all(|arg| holds(arg, data))
        })
    }
}

/// Whether the call is the one of that name.
fn is_meant(name: &str, data: &Data) -> bool {
    match names::selector(name, data) {
        Some(selector) => {
            data.args[0] as u32 == selector && (!data.arch.is_64_bit() || data.args[0] >> 32 == 0)
        }
        None => names::number(name, data.arch) == Some(data.number),
    }
}

/// The profile with the names alone that mean this call: the same rules, some of them without names,
/// for no other architecture.
pub(crate) fn about<'a>(profile: &spec::Seccomp<'a>, data: &Data) -> spec::Seccomp<'a> {
    let mut about = profile.clone();
    about.architectures.clear();
    for rule in &mut about.syscalls {
        rule.names.retain(|name| is_meant(name, data));
    }
    about
}

/// The parts that hold for a call and say something else than the default action.
pub(crate) fn holding(profile: &spec::Seccomp<'_>, data: &Data) -> Vec<Part> {
    let default = default(profile);
    let all = (0..profile.syscalls.len()).flat_map(|rule| parts(profile, rule));
    all.filter(|part| part.action(profile) != default && part.holds(profile, data)).collect()
}

/// The answer where no rule holds.
pub(crate) fn default(profile: &spec::Seccomp<'_>) -> u32 {
    value(&profile.default_action, profile.default_errno_ret)
}

fn holds(arg: &spec::SyscallArg<'_>, data: &Data) -> bool {
    let width = if data.arch.is_64_bit() { u64::MAX } else { u64::from(u32::MAX) };
    let (actual, value) = (data.args[arg.index as usize] & width, arg.value & width);
    match arg.op.as_str() {
        "SCMP_CMP_NE" => actual != value,
        "SCMP_CMP_LT" => actual < value,
        "SCMP_CMP_LE" => actual <= value,
        "SCMP_CMP_GE" => actual >= value,
        "SCMP_CMP_GT" => actual > value,
        "SCMP_CMP_MASKED_EQ" => actual & value == arg.value_two & value,
        _ => actual == value,
    }
}

fn value(action: &str, errno: Option<u32>) -> u32 {
    let data = errno.unwrap_or(1);
    match action {
        "SCMP_ACT_KILL_PROCESS" => 0x8000_0000,
        "SCMP_ACT_TRAP" => 0x0003_0000,
        "SCMP_ACT_ERRNO" => 0x0005_0000 | data,
        "SCMP_ACT_NOTIFY" => 0x7fc0_0000,
        "SCMP_ACT_TRACE" => 0x7ff0_0000 | data,
        "SCMP_ACT_LOG" => 0x7ffc_0000,
        "SCMP_ACT_ALLOW" => 0x7fff_0000,
        _ => 0,
    }
}
