//! `process`: what `create` and `exec` have in common.

use crate::policies::{self, CpuAffinity, Scheduler};
use crate::refusal::Findings;
use crate::{Options, names};

/// The process that will run in the container.
#[derive(Debug, Clone, PartialEq)]
pub struct Process<'a> {
    /// The command and its arguments; empty only in a container that has no process to start.
    pub args: Vec<&'a str>,
    /// The environment: of two with the same name only the last.
    pub env: Vec<&'a str>,
    /// Absolute working directory.
    pub cwd: &'a str,
    /// User id inside.
    pub uid: u32,
    /// Group id inside.
    pub gid: u32,
    /// Supplementary groups inside.
    pub groups: &'a [u32],
    /// Whether it has the groups of the runtime's caller instead.
    pub keep_groups: bool,
    /// File mode creation mask.
    pub umask: u32,
    /// The five capability sets.
    pub capabilities: Capabilities,
    /// Resource limits.
    pub rlimits: Vec<Rlimit>,
    /// Whether execve may no longer add privileges.
    pub no_new_privileges: bool,
    /// The terminal.
    pub terminal: Terminal,
    /// What `/proc/PID/oom_score_adj` becomes, if anything.
    pub oom_score_adj: Option<i32>,
    /// The scheduling policy, if it changes.
    pub scheduler: Option<Scheduler>,
    /// The I/O class (1 to 3) and priority (0 to 7), if they change.
    pub io_priority: Option<(u8, u8)>,
    /// The CPUs of a process of `exec`.
    pub cpus: CpuAffinity,
    /// What is written to which file below `/proc/thread-self/attr` right before execve.
    pub label: Option<Label<'a>>,
}

/// Capability sets, bit N for capability N (capabilities(7)).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Capabilities {
    /// Bounding set.
    pub bounding: u64,
    /// Effective set.
    pub effective: u64,
    /// Inheritable set.
    pub inheritable: u64,
    /// Permitted set.
    pub permitted: u64,
    /// Ambient set.
    pub ambient: u64,
}

/// A resource limit (setrlimit(2)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rlimit {
    /// `RLIMIT_*`.
    pub resource: u32,
    /// Soft limit.
    pub soft: u64,
    /// Hard limit.
    pub hard: u64,
}

/// Whether the process gets a terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Terminal {
    /// Its standard streams are the runtime's.
    None,
    /// A new pseudo-terminal, whose size nobody said.
    Allocate,
    /// A new pseudo-terminal of that size.
    Sized {
        /// Rows.
        rows: u16,
        /// Columns.
        columns: u16,
    },
}

/// A security module's label.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Label<'a> {
    /// An AppArmor profile.
    AppArmor(&'a str),
    /// An SELinux context.
    SeLinux(&'a str),
}

/// The mask of runc, and of most login shells.
const DEFAULT_UMASK: u32 = 0o022;

/// What waits in a container that has no process: nothing that could be started, without any power.
pub(crate) fn none() -> Process<'static> {
    Process {
        args: Vec::new(),
        env: Vec::new(),
        cwd: "/",
        uid: 0,
        gid: 0,
        groups: &[],
        keep_groups: false,
        umask: DEFAULT_UMASK,
        capabilities: Capabilities::default(),
        rlimits: Vec::new(),
        no_new_privileges: true,
        terminal: Terminal::None,
        oom_score_adj: None,
        scheduler: None,
        io_priority: None,
        cpus: CpuAffinity::default(),
        label: None,
    }
}

/// The largest number is no id: to the kernel it means "leave it as it is", and that is root.
fn refuse_no_ids(user: &spec::User, at: &str, findings: &mut Findings) {
    let groups = user.additional_gids.iter().enumerate();
    let groups = groups.map(|(n, gid)| (*gid, "group", format!("{at}/user/additionalGids/{n}")));
    let own = [
        (user.uid, "user", format!("{at}/user/uid")),
        (user.gid, "group", format!("{at}/user/gid")),
    ];
    for (id, kind, pointer) in own.into_iter().chain(groups) {
        if id == u32::MAX {
            let sentence = format!("{id} is no {kind}: the kernel would keep the one that it has");
            findings.refuse(pointer, sentence, "a number below 4294967295");
        }
    }
}

pub(crate) fn process<'a>(
    process: &'a spec::Process<'a>,
    at: &str,
    host: &crate::Security,
    findings: &mut Findings,
) -> Process<'a> {
    if process.args.is_empty() {
        let hint = "a program and its arguments";
        findings.refuse(format!("{at}/args"), "args must not be empty", hint);
    }
    if process.cwd.is_empty() {
        let hint = "an absolute path inside, such as /";
        findings.refuse(format!("{at}/cwd"), "Cwd property must not be empty", hint);
    } else if !process.cwd.starts_with('/') {
        let sentence = format!("Cwd must be an absolute path, not {:?}", process.cwd);
        findings.refuse(format!("{at}/cwd"), sentence, format!("/{}", process.cwd));
    }
    refuse_no_ids(&process.user, at, findings);
    let capabilities = process.capabilities.as_ref();
    Process {
        args: process.args.iter().map(|arg| arg.as_str()).collect(),
        env: last_of_each(&process.env),
        cwd: &process.cwd,
        uid: process.user.uid,
        gid: process.user.gid,
        groups: &process.user.additional_gids,
        keep_groups: false,
        umask: process.user.umask.unwrap_or(DEFAULT_UMASK),
        capabilities: capabilities
            .map(|sets| self::capabilities(sets, at, host.capabilities, findings))
            .unwrap_or_default(),
        rlimits: rlimits(&process.rlimits, at, findings),
        no_new_privileges: process.no_new_privileges,
        terminal: match (process.terminal, &process.console_size) {
            (false, _) => Terminal::None,
            (true, Some(size)) if size.height > 0 && size.width > 0 => {
                Terminal::Sized { rows: size.height, columns: size.width }
            }
            (true, _) => Terminal::Allocate,
        },
        oom_score_adj: oom_score_adj(process, at, findings),
        scheduler: process.scheduler.as_ref().and_then(|s| policies::scheduler(s, at, findings)),
        io_priority: process
            .io_priority
            .as_ref()
            .and_then(|priority| policies::io_priority(priority, at, findings)),
        cpus: policies::affinity(process, at, findings),
        label: label(process, at, host, findings),
    }
}

/// Refuses a terminal that nobody would hold, and a socket that nothing would come through.
pub(crate) fn check_terminal(
    process: &Process<'_>,
    options: &Options<'_>,
    findings: &mut Findings,
) {
    let terminal = process.terminal != Terminal::None;
    if options.detach && terminal && !options.console_socket {
        findings.refuse("", names::NO_CONSOLE_SOCKET, "--console-socket, or no /process/terminal");
    }
    if options.console_socket && !(options.detach && terminal) {
        let hint = "/process/terminal and --detach, or no --console-socket";
        findings.refuse("", names::USELESS_CONSOLE_SOCKET, hint);
    }
}

/// Of two variables with one name the last one counts, at the place of the first (as in runc 1.5).
fn last_of_each<'a>(env: &'a [spec::Text<'a>]) -> Vec<&'a str> {
    let name = |variable: &'a str| variable.split_once('=').map_or(variable, |(name, _)| name);
    let mut kept: Vec<&str> = Vec::with_capacity(env.len());
    for variable in env {
        match kept.iter_mut().find(|seen| name(seen) == name(variable)) {
            Some(seen) => *seen = variable,
            None => kept.push(variable),
        }
    }
    kept
}

/// Names of capabilities that nobody knows, or that the runtime can't grant, are left out with a
/// warning (config.md: what "cannot be granted otherwise, MUST be logged as a warning").
fn capabilities<'a>(
    sets: &'a spec::Capabilities<'a>,
    at: &str,
    available: u64,
    findings: &mut Findings,
) -> Capabilities {
    let mut left_out: Vec<&'a str> = Vec::new();
    let mut mask = |names: &'a [spec::Text<'a>]| {
        names.iter().fold(0u64, |mask, name| match names::capability(name) {
            Some(number) if available & 1 << number != 0 => mask | 1 << number,
            _ => {
                if !left_out.contains(&name.as_str()) {
                    left_out.push(name);
                }
                mask
            }
        })
    };
    let mut plan = Capabilities {
        bounding: mask(&sets.bounding),
        effective: mask(&sets.effective),
        inheritable: mask(&sets.inheritable),
        permitted: mask(&sets.permitted),
        ambient: mask(&sets.ambient),
    };
    if !left_out.is_empty() {
        findings.warn(format!(
            "{at}/capabilities: ignoring unknown or unavailable capabilities: {left_out:?}"
        ));
    }
    leave_out_ambient(&mut plan, findings);
    plan
}

/// The kernel raises an ambient capability only where it is permitted and inheritable
/// (capabilities(7)); as in runc the others are left out with a warning.
fn leave_out_ambient(plan: &mut Capabilities, findings: &mut Findings) {
    let lacking = plan.ambient & !(plan.permitted & plan.inheritable);
    plan.ambient &= !lacking;
    for number in (0..64).filter(|number| lacking & 1 << number != 0) {
        let name = names::capability_name(number).unwrap_or_default();
        let which = match plan.permitted & 1 << number {
            0 => "permitted",
            _ => "inheritable",
        };
        findings.warn(format!("can't raise ambient capability {name}: it is not {which}"));
    }
}

fn rlimits(limits: &[spec::Rlimit<'_>], at: &str, findings: &mut Findings) -> Vec<Rlimit> {
    let mut plan: Vec<Rlimit> = Vec::with_capacity(limits.len());
    for (n, limit) in limits.iter().enumerate() {
        let at = format!("{at}/rlimits/{n}");
        let Some(resource) = names::rlimit(&limit.kind) else {
            let sentence = format!("invalid rlimit type: {}", limit.kind);
            findings.refuse(format!("{at}/type"), sentence, "such as RLIMIT_NOFILE: getrlimit(2)");
            continue;
        };
        if plan.iter().any(|seen| seen.resource == resource) {
            let sentence = format!("rlimit {} is duplicated", limit.kind);
            findings.refuse(format!("{at}/type"), sentence, "each type once");
        }
        if limit.soft > limit.hard {
            let sentence = format!("{} is above the hard limit {}", limit.soft, limit.hard);
            let hint = format!("at most {}, or a higher hard limit", limit.hard);
            findings.refuse(format!("{at}/soft"), sentence, hint);
        }
        plan.push(Rlimit { resource, soft: limit.soft, hard: limit.hard });
    }
    plan
}

fn oom_score_adj(process: &spec::Process<'_>, at: &str, findings: &mut Findings) -> Option<i32> {
    let value = process.oom_score_adj?;
    if !(-1000..=1000).contains(&value) {
        let sentence = format!("{value} is not between -1000 and 1000");
        let hint = "-1000 (never killed) to 1000 (first)";
        findings.refuse(format!("{at}/oomScoreAdj"), sentence, hint);
    }
    Some(value)
}

fn label<'a>(
    process: &'a spec::Process<'a>,
    at: &str,
    host: &crate::Security,
    findings: &mut Findings,
) -> Option<Label<'a>> {
    let (profile, context) = (&process.apparmor_profile, &process.selinux_label);
    if !profile.is_empty() && !host.apparmor {
        let hint = "no profile, or a kernel that runs with AppArmor";
        let sentence = "apparmor is not enabled on this host";
        findings.refuse(format!("{at}/apparmorProfile"), sentence, hint);
    }
    if !context.is_empty() && !host.selinux {
        let hint = "no label, or a kernel that runs with SELinux";
        let sentence = "selinux is not enabled on this host";
        findings.refuse(format!("{at}/selinuxLabel"), sentence, hint);
    }
    match (profile.as_str(), context.as_str()) {
        ("", "") => None,
        // No kernel enforces both of one process.
        ("", context) => Some(Label::SeLinux(context)),
        (profile, _) => Some(Label::AppArmor(profile)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_variable_of_a_name_wins() {
        let env = ["A=1", "B=2", "A=3", "C"].map(spec::Text::new);
        assert_eq!(last_of_each(&env), ["A=3", "B=2", "C"]);
    }
}
