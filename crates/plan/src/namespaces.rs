//! `linux.namespaces`, the id maps of a new user namespace and the offsets of a new time namespace.

use std::fmt;

use crate::refusal::Findings;
use crate::{Host, JoinedNamespace};

/// A kind of namespace (namespaces(7)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum NamespaceKind {
    /// Process ids.
    Pid,
    /// Network.
    Network,
    /// Mounts.
    Mount,
    /// System V IPC and POSIX message queues.
    Ipc,
    /// Host and domain name.
    Uts,
    /// User and group ids.
    User,
    /// Cgroup root.
    Cgroup,
    /// Clocks.
    Time,
}

impl NamespaceKind {
    /// All kinds, in the specification's order.
    pub const ALL: [NamespaceKind; 8] = [
        Self::Pid,
        Self::Network,
        Self::Mount,
        Self::Ipc,
        Self::Uts,
        Self::User,
        Self::Cgroup,
        Self::Time,
    ];

    /// The specification's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pid => "pid",
            Self::Network => "network",
            Self::Mount => "mount",
            Self::Ipc => "ipc",
            Self::Uts => "uts",
            Self::User => "user",
            Self::Cgroup => "cgroup",
            Self::Time => "time",
        }
    }

    /// The name of its file in `/proc/PID/ns`.
    pub fn file(self) -> &'static str {
        match self {
            Self::Network => "net",
            Self::Mount => "mnt",
            other => other.name(),
        }
    }

    /// Its `CLONE_NEW*` flag.
    pub fn clone_flag(self) -> u64 {
        (match self {
            Self::Pid => libc::CLONE_NEWPID,
            Self::Network => libc::CLONE_NEWNET,
            Self::Mount => libc::CLONE_NEWNS,
            Self::Ipc => libc::CLONE_NEWIPC,
            Self::Uts => libc::CLONE_NEWUTS,
            Self::User => libc::CLONE_NEWUSER,
            Self::Cgroup => libc::CLONE_NEWCGROUP,
            Self::Time => 0x80,
        }) as u64
    }

    fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// A namespace that the container joins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Join<'a> {
    /// Its place in `linux.namespaces`.
    pub index: usize,
    /// Its kind.
    pub kind: NamespaceKind,
    /// Its file.
    pub path: &'a str,
}

/// The namespaces of a container.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Namespaces<'a> {
    /// Kinds of which it gets a new one.
    pub new: Vec<NamespaceKind>,
    /// Those that it joins.
    pub join: Vec<Join<'a>>,
    /// Lines of a new user namespace's `uid_map`.
    pub uid_map: &'a [spec::IdMapping],
    /// Lines of a new user namespace's `gid_map`.
    pub gid_map: &'a [spec::IdMapping],
    /// Lines for `/proc/self/timens_offsets` of a new time namespace.
    pub time_offsets: String,
}

impl Namespaces<'_> {
    /// The host's number of a user of a new user namespace.
    pub fn host_uid(&self, uid: u32) -> Option<u32> {
        let within = |line: &&spec::IdMapping| {
            uid.checked_sub(line.container_id).is_some_and(|offset| offset < line.size)
        };
        let line = self.uid_map.iter().find(within)?;
        line.host_id.checked_add(uid - line.container_id)
    }

    /// Whether the container has a namespace of that kind apart from the runtime's, new or joined.
    pub fn has(&self, kind: NamespaceKind) -> bool {
        self.creates(kind) || self.joins(kind)
    }

    /// Whether a new one of that kind is made.
    pub fn creates(&self, kind: NamespaceKind) -> bool {
        self.new.contains(&kind)
    }

    /// Whether one of that kind is joined.
    pub fn joins(&self, kind: NamespaceKind) -> bool {
        self.join.iter().any(|join| join.kind == kind)
    }

    /// The `CLONE_NEW*` flags of all new ones.
    pub fn clone_flags(&self) -> u64 {
        self.new.iter().fold(0, |flags, kind| flags | kind.clone_flag())
    }
}

/// For people: `new pid, mount; joined network (/run/netns/x)`.
impl fmt::Display for Namespaces<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let new: Vec<&str> = self.new.iter().map(|kind| kind.name()).collect();
        write!(f, "new {}", new.join(", "))?;
        for (n, Join { kind, path, .. }) in self.join.iter().enumerate() {
            let before = if n == 0 { "; joined" } else { "," };
            write!(f, "{before} {} ({path})", kind.name())?;
        }
        Ok(())
    }
}

pub(crate) fn namespaces<'a>(
    linux: &'a spec::Linux<'a>,
    host: &Host<'_>,
    findings: &mut Findings,
) -> Namespaces<'a> {
    let mut plan = Namespaces::default();
    for (index, namespace) in linux.namespaces.iter().enumerate() {
        let at = format!("/linux/namespaces/{index}");
        let Some(kind) = NamespaceKind::parse(&namespace.kind) else {
            let sentence = format!("unknown namespace {:?}", namespace.kind);
            let hint = NamespaceKind::ALL.map(NamespaceKind::name).join(", ");
            findings.refuse(format!("{at}/type"), sentence, format!("one of {hint}"));
            continue;
        };
        if plan.has(kind) {
            let sentence = format!("malformed spec file: duplicated namespace {:?}", kind.name());
            findings.refuse(format!("{at}/type"), sentence, "each type once");
        } else if namespace.path.is_empty() {
            plan.new.push(kind);
        } else {
            check_joined(index, kind, &namespace.path, host, findings);
            plan.join.push(Join { index, kind, path: &namespace.path });
        }
    }
    if !plan.has(NamespaceKind::Mount) {
        let restricted = [
            ("/linux/maskedPaths", &linux.masked_paths),
            ("/linux/readonlyPaths", &linux.readonly_paths),
        ];
        for (pointer, paths) in restricted {
            if !paths.is_empty() {
                let sentence = "unable to restrict sys entries without a private MNT namespace";
                let hint = r#"none, or { "type": "mount" } in /linux/namespaces"#;
                findings.refuse(pointer, sentence, hint);
            }
        }
    }
    user_maps(linux, &mut plan, host, findings);
    time_offsets(linux, &mut plan, findings);
    plan
}

fn check_joined(
    index: usize,
    kind: NamespaceKind,
    path: &str,
    host: &Host<'_>,
    findings: &mut Findings,
) {
    let at = format!("/linux/namespaces/{index}/path");
    let hint = || format!("a namespace's file, such as /proc/PID/ns/{}; or none", kind.file());
    if !path.starts_with('/') {
        let sentence = format!("{path:?} is not an absolute path");
        findings.refuse(at, sentence, hint());
        return;
    }
    match host.joined.iter().find(|(n, _)| *n == index).map(|(_, joined)| joined) {
        Some(JoinedNamespace::Kind(flag)) if *flag == kind.clone_flag() => {}
        Some(JoinedNamespace::Kind(_)) => {
            let sentence = format!("{path:?} is not a namespace of type {:?}", kind.name());
            findings.refuse(at, sentence, hint());
        }
        Some(JoinedNamespace::Unusable(why)) => {
            findings.refuse(at, format!("invalid namespace path: {why}"), hint());
        }
        None => {}
    }
}

fn user_maps<'a>(
    linux: &'a spec::Linux<'a>,
    plan: &mut Namespaces<'a>,
    host: &Host<'_>,
    findings: &mut Findings,
) {
    let maps = [
        ("uid", "/linux/uidMappings", &linux.uid_mappings),
        ("gid", "/linux/gidMappings", &linux.gid_mappings),
    ];
    for (what, at, map) in maps {
        if plan.creates(NamespaceKind::User) && map.is_empty() {
            let sentence = format!("user namespaces enabled, but no {what} mapping found");
            let hint = r#"[{ "containerID": 0, "hostID": 100000, "size": 65536 }]"#;
            findings.refuse(at, sentence, hint);
        }
        if !plan.has(NamespaceKind::User) && !map.is_empty() {
            findings.refuse(
                at,
                "user namespace mappings specified, but user namespace isn't enabled in the config",
                r#"{ "type": "user" } in /linux/namespaces, or no mappings"#,
            );
        }
        check_map(at, map, findings);
    }
    if host.unprivileged && !plan.has(NamespaceKind::User) {
        let hint = r#"{ "type": "user" } in the list, with uidMappings and gidMappings"#;
        findings.refuse("/linux/namespaces", "rootless container requires user namespaces", hint);
    }
    plan.uid_map = &linux.uid_mappings;
    plan.gid_map = &linux.gid_mappings;
}

pub(crate) fn check_map(at: &str, map: &[spec::IdMapping], findings: &mut Findings) {
    let overlap = |a: u32, b: u32, a_size: u32, b_size: u32| {
        let (a, b) = (u64::from(a), u64::from(b));
        a < b + u64::from(b_size) && b < a + u64::from(a_size)
    };
    let hint = "each id in one line only";
    for (n, line) in map.iter().enumerate() {
        if line.size == 0 {
            findings.refuse(format!("{at}/{n}/size"), "must not be 0", "how many ids: 1 or more");
        }
        for (m, other) in map[..n].iter().enumerate() {
            if overlap(line.container_id, other.container_id, line.size, other.size) {
                let sentence = format!("overlaps with {at}/{m}");
                findings.refuse(format!("{at}/{n}/containerID"), sentence, hint);
            }
            if overlap(line.host_id, other.host_id, line.size, other.size) {
                let sentence = format!("overlaps with {at}/{m}");
                findings.refuse(format!("{at}/{n}/hostID"), sentence, hint);
            }
        }
    }
}

/// One second.
const NANOSECONDS: u32 = 1_000_000_000;
/// `KTIME_SEC_MAX / 2`, beyond which the kernel takes no offset (proc_timens_set_offset()).
const MOST_SECONDS: u64 = i64::MAX as u64 / NANOSECONDS as u64 / 2;

fn time_offsets(linux: &spec::Linux<'_>, plan: &mut Namespaces<'_>, findings: &mut Findings) {
    if linux.time_offsets.is_empty() {
        return;
    }
    if !plan.creates(NamespaceKind::Time) {
        let hint = r#"{ "type": "time" } without a path in /linux/namespaces, or no offsets"#;
        findings.refuse("/linux/timeOffsets", "needs a new time namespace", hint);
    }
    for (clock, offset) in &linux.time_offsets {
        let at = format!("/linux/timeOffsets/{}", spec::pointer_token(clock));
        if offset.nanosecs >= NANOSECONDS {
            let hint = "at most 999999999; what is more are seconds";
            findings.refuse(format!("{at}/nanosecs"), "must be less than a second", hint);
        }
        if offset.secs.unsigned_abs() > MOST_SECONDS {
            let hint = "at most some 146 years, before or behind the host's clock";
            findings.refuse(
                format!("{at}/secs"),
                "is more than the kernel's clocks can hold",
                hint,
            );
        }
        match clock.as_str() {
            "monotonic" | "boottime" => {
                let line = format!("{clock} {} {}\n", offset.secs, offset.nanosecs);
                plan.time_offsets.push_str(&line);
            }
            _ => {
                findings.refuse(at, "no such clock", "monotonic or boottime");
            }
        }
    }
}
