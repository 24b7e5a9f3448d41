//! How a process is scheduled, where its memory comes from, and which machine it sees.

use crate::names;
use crate::numbers::NumberSet;
use crate::refusal::Findings;

/// The fields of sched_setattr(2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scheduler {
    /// `SCHED_*`.
    pub policy: u32,
    /// `SCHED_FLAG_*`.
    pub flags: u64,
    /// Nice value.
    pub nice: i32,
    /// Static priority.
    pub priority: u32,
    /// Runtime, deadline and period in nanoseconds.
    pub times: [u64; 3],
}

/// What `linux` says about how every process of the container runs, those of `exec`, too.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Policies {
    /// Execution domain and flags (personality(2)), if they change.
    pub personality: Option<u32>,
    /// The NUMA policy, if it changes.
    pub memory: Option<MemoryPolicy>,
}

/// The arguments of set_mempolicy(2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemoryPolicy {
    /// `MPOL_*`, with its `MPOL_F_*`.
    pub mode: u32,
    /// The memory nodes.
    pub nodes: NumberSet,
}

/// The CPUs of a process of `exec` (`execCPUAffinity`).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CpuAffinity {
    /// Those that the runtime runs on while it sets the process up; `None`: not said.
    pub initial: Option<NumberSet>,
    /// Those that the process runs on; `None`: not said.
    pub last: Option<NumberSet>,
}

const SCHED_OTHER: u32 = 0;
const SCHED_FIFO: u32 = 1;
const SCHED_RR: u32 = 2;
const SCHED_BATCH: u32 = 3;
const SCHED_DEADLINE: u32 = 6;

/// How many memory nodes a mode of set_mempolicy(2) takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Nodes {
    None,
    Some,
    Any,
}

/// set_mempolicy(2), linux/mempolicy.h; in alphabetical order, as `features` prints them.
const MEMORY_MODES: [(&str, u32, Nodes); 7] = [
    ("MPOL_BIND", 2, Nodes::Some),
    ("MPOL_DEFAULT", 0, Nodes::None),
    ("MPOL_INTERLEAVE", 3, Nodes::Some),
    ("MPOL_LOCAL", 4, Nodes::None),
    ("MPOL_PREFERRED", 1, Nodes::Any),
    ("MPOL_PREFERRED_MANY", 5, Nodes::Some),
    ("MPOL_WEIGHTED_INTERLEAVE", 6, Nodes::Some),
];

const MEMORY_FLAGS: [(&str, u32); 3] = [
    ("MPOL_F_NUMA_BALANCING", 1 << 13),
    ("MPOL_F_RELATIVE_NODES", 1 << 14),
    ("MPOL_F_STATIC_NODES", 1 << 15),
];

/// The names of all modes of `linux.memoryPolicy`, in alphabetical order.
pub fn memory_policy_modes() -> impl Iterator<Item = &'static str> {
    MEMORY_MODES.iter().map(|(name, ..)| *name)
}

/// The mode and the flags of a [`MemoryPolicy`], by their names.
pub fn memory_policy_name(mode: u32) -> String {
    let bits = MEMORY_FLAGS.iter().fold(0, |all, (_, bit)| all | bit);
    let known = MEMORY_MODES.iter().find(|(_, number, _)| *number == mode & !bits);
    let flags = MEMORY_FLAGS.iter().filter(|(_, bit)| mode & bit != 0).map(|(name, _)| *name);
    known.map(|(name, ..)| *name).into_iter().chain(flags).collect::<Vec<_>>().join(" ")
}

/// The names of all flags of `linux.memoryPolicy`, in alphabetical order.
pub fn memory_policy_flags() -> impl Iterator<Item = &'static str> {
    MEMORY_FLAGS.iter().map(|(name, _)| *name)
}

const PERSONALITY_DOMAINS: [(&str, u32); 2] = [("LINUX", 0), ("LINUX32", 8)];

/// personality(2), linux/personality.h.
const PERSONALITY_FLAGS: [(&str, u32); 11] = [
    ("UNAME26", 0x002_0000),
    ("ADDR_NO_RANDOMIZE", 0x004_0000),
    ("FDPIC_FUNCPTRS", 0x008_0000),
    ("MMAP_PAGE_ZERO", 0x010_0000),
    ("ADDR_COMPAT_LAYOUT", 0x020_0000),
    ("READ_IMPLIES_EXEC", 0x040_0000),
    ("ADDR_LIMIT_32BIT", 0x080_0000),
    ("SHORT_INODE", 0x100_0000),
    ("WHOLE_SECONDS", 0x200_0000),
    ("STICKY_TIMEOUTS", 0x400_0000),
    ("ADDR_LIMIT_3GB", 0x800_0000),
];

fn value<T: Copy>(table: &[(&str, T)], name: &str) -> Option<T> {
    table.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
}

pub(crate) fn scheduler(
    scheduler: &spec::Scheduler<'_>,
    at: &str,
    findings: &mut Findings,
) -> Option<Scheduler> {
    let mut refuse = |field: &str, sentence: String, hint: &str| {
        findings.refuse(format!("{at}/scheduler/{field}"), sentence, hint);
    };
    let name = scheduler.policy.as_str();
    let Some(policy) = names::SCHEDULERS.iter().position(|known| *known == name) else {
        let sentence = match name {
            "" => "scheduler policy is required".to_owned(),
            other => format!("invalid scheduler policy: {other}"),
        };
        refuse("policy", sentence, &format!("one of {}", names::SCHEDULERS.join(", ")));
        return None;
    };
    let policy = policy as u32;
    let mut flags = 0;
    for (n, flag) in scheduler.flags.iter().enumerate() {
        match names::SCHEDULER_FLAGS.iter().position(|known| *known == flag.as_str()) {
            Some(bit) => flags |= 1 << bit,
            None => {
                let hint = format!("one of {}", names::SCHEDULER_FLAGS.join(", "));
                refuse(&format!("flags/{n}"), format!("invalid scheduler flag: {flag}"), &hint);
            }
        }
    }
    let nice = scheduler.nice.unwrap_or(0);
    if matches!(policy, SCHED_OTHER | SCHED_BATCH) && !(-20..=19).contains(&nice) {
        let sentence = format!("invalid scheduler.nice: {nice} when scheduler.policy is {name}");
        refuse("nice", sentence, "-20 (first) to 19 (last)");
    }
    let priority = scheduler.priority.unwrap_or(0);
    if priority != 0 && !matches!(policy, SCHED_FIFO | SCHED_RR) {
        let sentence = "scheduler.priority can only be specified for SchedFIFO or SchedRR policy";
        let hint = "no priority, or the policy SCHED_FIFO or SCHED_RR";
        refuse("priority", sentence.to_owned(), hint);
    } else if priority < 0 {
        refuse("priority", format!("invalid scheduler.priority: {priority}"), "1 to 99");
    }
    let times =
        [scheduler.runtime, scheduler.deadline, scheduler.period].map(Option::unwrap_or_default);
    if policy != SCHED_DEADLINE && times != [0; 3] {
        let sentence =
            "scheduler runtime/deadline/period can only be specified for SchedDeadline policy";
        refuse("runtime", sentence.to_owned(), "none of them, or the policy SCHED_DEADLINE");
    }
    let priority = u32::try_from(priority).unwrap_or_default();
    Some(Scheduler { policy, flags, nice, priority, times })
}

pub(crate) fn io_priority(
    priority: &spec::IoPriority<'_>,
    at: &str,
    findings: &mut Findings,
) -> Option<(u8, u8)> {
    let name = priority.class.as_str();
    // The specification has no IOPRIO_CLASS_NONE.
    let class = names::IO_CLASSES.iter().position(|known| *known == name).filter(|&n| n > 0);
    let Some(class) = class else {
        let [_, realtime, best_effort, idle] = names::IO_CLASSES;
        let sentence = format!("invalid ioPriority.class: {name:?}");
        let hint = format!("{realtime}, {best_effort} or {idle}");
        findings.refuse(format!("{at}/ioPriority/class"), sentence, hint);
        return None;
    };
    match priority.priority {
        level @ 0..=7 => Some((class as u8, level as u8)),
        other => {
            let sentence = format!("invalid ioPriority.priority: {other}");
            let hint = "0 (first) to 7 (last)";
            findings.refuse(format!("{at}/ioPriority/priority"), sentence, hint);
            None
        }
    }
}

pub(crate) fn affinity(
    process: &spec::Process<'_>,
    at: &str,
    findings: &mut Findings,
) -> CpuAffinity {
    let Some(cpus) = &process.exec_cpu_affinity else {
        return CpuAffinity::default();
    };
    let mut set = |field: &str, list: &spec::Text<'_>| match NumberSet::parse(list) {
        Ok(set) => Some(set).filter(|set| !set.is_empty()),
        Err(why) => {
            let sentence = format!("invalid CPU list {list:?}: {why}");
            let hint = "numbers and ranges, such as 0-3,7";
            findings.refuse(format!("{at}/execCPUAffinity/{field}"), sentence, hint);
            None
        }
    };
    CpuAffinity { initial: set("initial", &cpus.initial), last: set("final", &cpus.last) }
}

pub(crate) fn policies(linux: &spec::Linux<'_>, findings: &mut Findings) -> Policies {
    Policies {
        personality: linux.personality.as_ref().and_then(|p| personality(p, findings)),
        memory: linux.memory_policy.as_ref().and_then(|policy| memory(policy, findings)),
    }
}

fn memory(policy: &spec::MemoryPolicy<'_>, findings: &mut Findings) -> Option<MemoryPolicy> {
    let mut refuse = |field: &str, sentence: String, hint: &str| {
        findings.refuse(format!("/linux/memoryPolicy/{field}"), sentence, hint);
    };
    let known = MEMORY_MODES.iter().find(|(name, ..)| *name == policy.mode.as_str());
    if known.is_none() {
        let hint = format!("one of {}", memory_policy_modes().collect::<Vec<_>>().join(", "));
        refuse("mode", format!("invalid memory policy mode {:?}", policy.mode), &hint);
    }
    let mut bits = 0;
    for (n, flag) in policy.flags.iter().enumerate() {
        match value(&MEMORY_FLAGS, flag) {
            Some(bit) => bits |= bit,
            None => {
                let sentence = format!("invalid memory policy flag {flag:?}");
                let hint = "MPOL_F_STATIC_NODES, MPOL_F_RELATIVE_NODES or MPOL_F_NUMA_BALANCING";
                refuse(&format!("flags/{n}"), sentence, hint);
            }
        }
    }
    let nodes = match NumberSet::parse(&policy.nodes) {
        Ok(nodes) => nodes,
        Err(why) => {
            let sentence = format!("invalid memory policy nodes {:?}: {why}", policy.nodes);
            refuse("nodes", sentence, "numbers and ranges, such as 0-3,7");
            return None;
        }
    };
    let (_, mode, takes) = *known?;
    match takes {
        Nodes::None if !nodes.is_empty() => {
            let count = nodes.len();
            let sentence = format!("memory policy mode requires 0 nodes but got {count}");
            refuse("nodes", sentence, "no nodes");
        }
        Nodes::Some if nodes.is_empty() => {
            let sentence = "memory policy mode requires at least one node but got 0";
            refuse("nodes", sentence.to_owned(), "memory nodes, such as 0");
        }
        _ => {}
    }
    Some(MemoryPolicy { mode: mode | bits, nodes })
}

/// The specification knows no flags yet; the kernel's are taken by their names, and others ignored
/// with a warning, as runc ignores all.
fn personality(personality: &spec::Personality<'_>, findings: &mut Findings) -> Option<u32> {
    let Some(domain) = value(&PERSONALITY_DOMAINS, &personality.domain) else {
        let sentence = format!("invalid personality domain {:?}", personality.domain);
        findings.refuse("/linux/personality/domain", sentence, "LINUX or LINUX32");
        return None;
    };
    let mut bits = domain;
    for (n, flag) in personality.flags.iter().enumerate() {
        match value(&PERSONALITY_FLAGS, flag) {
            Some(bit) => bits |= bit,
            None => findings.warn(format!(
                "/linux/personality/flags/{n}: ignoring unsupported personality flag {flag:?}"
            )),
        }
    }
    Some(bits)
}
