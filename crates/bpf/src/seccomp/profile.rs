//! A profile with its texts understood, or everything in it that cannot be.

use super::action::Action;
use super::emit::Test;
use super::{Arch, filter, one_of};
use crate::Problem;

/// What a profile says.
pub(super) struct Profile {
    /// For a call that no rule matches.
    pub default: Action,
    /// The native architecture first, then the others in the order of the profile.
    pub arches: Vec<Arch>,
    /// `SECCOMP_FILTER_FLAG_*`
    pub flags: u32,
    /// One for each object in `syscalls`, in its order.
    pub rules: Vec<Rule>,
}

/// An object in `syscalls`, without its names.
pub(super) struct Rule {
    pub action: Action,
    /// Conditions of which one must hold; none at all if the rule has no `args`.
    pub alternatives: Vec<Conditions>,
}

/// Conditions which must all hold, ordered by argument, at most one for each.
pub(super) type Conditions = Vec<Condition>;

/// A comparison of an argument with a constant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Condition {
    /// 0 to 5
    pub arg: u8,
    pub op: Op,
    /// All ones, except where `op` is [`Op::MaskedEq`].
    pub mask: u64,
    pub value: u64,
}

impl Condition {
    /// Whether they are the same where only low words are compared, or both.
    pub(super) fn is_same(&self, other: &Condition, is_64_bit: bool) -> bool {
        let width = if is_64_bit { u64::MAX } else { u64::from(u32::MAX) };
        (self.arg, self.op, self.mask & width, self.value & width)
            == (other.arg, other.op, other.mask & width, other.value & width)
    }

    /// Whether the high word alone can decide that it holds.
    pub(super) fn has_two_ways(&self) -> bool {
        !matches!(self.op, Op::Eq | Op::MaskedEq)
    }
}

/// `SCMP_CMP_*`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Op {
    Ne,
    Lt,
    Le,
    Eq,
    MaskedEq,
    Ge,
    Gt,
}

/// In alphabetical order.
const OPERATORS: [(&str, Op); 7] = [
    ("SCMP_CMP_EQ", Op::Eq),
    ("SCMP_CMP_GE", Op::Ge),
    ("SCMP_CMP_GT", Op::Gt),
    ("SCMP_CMP_LE", Op::Le),
    ("SCMP_CMP_LT", Op::Lt),
    ("SCMP_CMP_MASKED_EQ", Op::MaskedEq),
    ("SCMP_CMP_NE", Op::Ne),
];

/// The names of all comparisons that are understood, in alphabetical order.
pub fn operator_names() -> impl Iterator<Item = &'static str> {
    OPERATORS.iter().map(|(name, _)| *name)
}

impl Op {
    fn parse(name: &str) -> Option<Op> {
        OPERATORS.iter().find(|(known, _)| *known == name).map(|(_, op)| *op)
    }

    /// The test that a filter makes for it, and how that has to come out.
    pub(super) fn test(self) -> (Test, bool) {
        match self {
            Op::Eq => (Test::Equal, true),
            Op::Ne => (Test::Equal, false),
            Op::MaskedEq => (Test::MaskedEqual, true),
            Op::Ge => (Test::GreaterOrEqual, true),
            Op::Lt => (Test::GreaterOrEqual, false),
            Op::Gt => (Test::Greater, true),
            Op::Le => (Test::Greater, false),
        }
    }
}

impl Profile {
    pub(super) fn read(profile: &spec::Seccomp<'_>, native: Arch) -> Result<Profile, Vec<Problem>> {
        let mut problems = Vec::new();
        let default = default_action(profile, &mut problems);
        let arches = arches(profile, native, &mut problems);
        let mut rules = Vec::with_capacity(profile.syscalls.len());
        let mut notify = false;
        for (index, rule) in profile.syscalls.iter().enumerate() {
            // As in runc: a rule whose calls are all unknown asks for an agent nevertheless.
            notify |= rule.action == "SCMP_ACT_NOTIFY" && !rule.names.is_empty();
            rules.extend(read_rule(index, rule, &mut problems));
        }
        let flags = flags(profile, notify, &mut problems);
        if problems.is_empty() {
            Ok(Profile { default, arches, flags, rules })
        } else {
            Err(problems)
        }
    }
}

fn default_action(profile: &spec::Seccomp<'_>, problems: &mut Vec<Problem>) -> Action {
    let errno = ("defaultErrnoRet", profile.default_errno_ret);
    match Action::parse(("defaultAction", &profile.default_action), errno) {
        // The agent would have to allow the very call that hands it the descriptor.
        Ok(Action::NOTIFY) => {
            let hint = "SCMP_ACT_ERRNO, and SCMP_ACT_NOTIFY in rules for the calls in question";
            problems.push(Problem::new("defaultAction", "cannot be SCMP_ACT_NOTIFY", hint));
            Action::NOTIFY
        }
        Ok(action) => action,
        Err(problem) => {
            problems.push(problem);
            Action::KILL_THREAD
        }
    }
}

fn arches(profile: &spec::Seccomp<'_>, native: Arch, problems: &mut Vec<Problem>) -> Vec<Arch> {
    let mut arches = vec![native];
    for (index, name) in profile.architectures.iter().enumerate() {
        let (sentence, hint) = match Arch::parse(name) {
            None => {
                let sentence = format!("\"{name}\" is not a known architecture");
                (sentence, one_of(Arch::all().map(Arch::name)))
            }
            // One program serves all of them, and reads the words of arguments by place.
            Some(arch) if arch.is_big_endian() != native.is_big_endian() => {
                let sentence = format!("{name} has another byte order than {}", native.name());
                (sentence, "only architectures that this machine's kernel runs".to_owned())
            }
            Some(arch) => {
                if !arches.contains(&arch) {
                    arches.push(arch);
                }
                continue;
            }
        };
        problems.push(Problem::new(format!("architectures/{index}"), sentence, hint));
    }
    arches
}

fn flags(profile: &spec::Seccomp<'_>, notify: bool, problems: &mut Vec<Problem>) -> u32 {
    let mut flags = if notify { filter::NEW_LISTENER } else { 0 };
    // As in runc: an empty list is not the default.
    let Some(listed) = &profile.flags else {
        return flags | filter::SPEC_ALLOW;
    };
    for (index, name) in listed.iter().enumerate() {
        let (sentence, hint) = match name.as_str() {
            filter::KILLABLE if !notify => {
                let sentence = format!("{name} needs a rule that says SCMP_ACT_NOTIFY");
                (sentence, "no such flag, or such a rule".to_owned())
            }
            name => match filter::flag(name) {
                Some(flag) => {
                    flags |= flag;
                    continue;
                }
                None => {
                    let sentence = format!("\"{name}\" is not a known flag");
                    (sentence, one_of(filter::flag_names()))
                }
            },
        };
        problems.push(Problem::new(format!("flags/{index}"), sentence, hint));
    }
    flags
}

fn read_rule(
    index: usize,
    rule: &spec::SyscallRule<'_>,
    problems: &mut Vec<Problem>,
) -> Option<Rule> {
    let at = &format!("syscalls/{index}");
    let before = problems.len();
    let action = Action::parse(("action", &rule.action), ("errnoRet", rule.errno_ret))
        .map_err(|problem| problems.push(problem.below(at)));
    for (n, name) in rule.names.iter().enumerate() {
        if name.is_empty() {
            let hint = "the name of a system call";
            problems.push(Problem::new(format!("names/{n}"), "is empty", hint).below(at));
        }
        // The child reports that it has loaded the filter, with this very call, to the one who
        // passes the descriptor on to the agent.
        if action == Ok(Action::NOTIFY) && name == "write" {
            let sentence = "SCMP_ACT_NOTIFY cannot be used for the write syscall";
            let hint = "a rule of its own for write, with another action";
            problems.push(Problem::new(format!("names/{n}"), sentence, hint).below(at));
        }
    }
    let mut conditions = Conditions::with_capacity(rule.args.len());
    for (n, arg) in rule.args.iter().enumerate() {
        match read_condition(arg) {
            Ok(condition) => conditions.push(condition),
            Err(problem) => problems.push(problem.below(format!("{at}/args/{n}"))),
        }
    }
    let action = action.ok()?;
    (problems.len() == before).then(|| Rule { action, alternatives: alternatives(conditions) })
}

fn read_condition(arg: &spec::SyscallArg<'_>) -> Result<Condition, Problem> {
    let op = Op::parse(&arg.op).ok_or_else(|| {
        let sentence = format!("\"{}\" is not a known operator", arg.op);
        Problem::new("op", sentence, one_of(operator_names()))
    })?;
    let index = u8::try_from(arg.index).ok().filter(|index| *index < 6).ok_or_else(|| {
        let sentence = format!("is {}, but a call has six arguments", arg.index);
        Problem::new("index", sentence, "0 to 5")
    })?;
    let (mask, value) = match op {
        Op::MaskedEq => (arg.value, arg.value_two & arg.value),
        _ => (u64::MAX, arg.value),
    };
    Ok(Condition { arg: index, op, mask, value })
}

/// Conditions on different arguments must all hold. As soon as two are on the same one, each
/// stands for itself: so runc has always done it, and profiles rely on it.
fn alternatives(mut conditions: Conditions) -> Vec<Conditions> {
    if conditions.is_empty() {
        return Vec::new();
    }
    let twice = (1..conditions.len())
        .any(|n| conditions[..n].iter().any(|earlier| earlier.arg == conditions[n].arg));
    if twice {
        return conditions.into_iter().map(|condition| vec![condition]).collect();
    }
    conditions.sort_unstable_by_key(|condition| condition.arg);
    vec![conditions]
}
