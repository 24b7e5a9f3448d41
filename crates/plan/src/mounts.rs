//! `mounts`: the table of options (runtime-spec config.md, "Linux mount options") and what each
//! mount is made of.

use std::borrow::Cow;

use libc::{
    MOUNT_ATTR_NOATIME, MOUNT_ATTR_NODEV, MOUNT_ATTR_NODIRATIME, MOUNT_ATTR_NOEXEC,
    MOUNT_ATTR_NOSUID, MOUNT_ATTR_NOSYMFOLLOW, MOUNT_ATTR_RDONLY, MOUNT_ATTR_STRICTATIME,
    MS_DIRSYNC, MS_I_VERSION, MS_LAZYTIME, MS_MANDLOCK, MS_NOATIME, MS_NODEV, MS_NODIRATIME,
    MS_NOEXEC, MS_NOSUID, MS_PRIVATE, MS_RDONLY, MS_RELATIME, MS_SHARED, MS_SILENT, MS_SLAVE,
    MS_STRICTATIME, MS_SYNCHRONOUS, MS_UNBINDABLE,
};

use crate::namespaces::{self, NamespaceKind, Namespaces};
use crate::refusal::{Findings, Refusals};
use crate::{Host, HostResctrl, RootKind, Security};

/// All the bits in which mount_setattr(2) keeps the kind of access times.
const ATTR_ATIME: u64 = 0x70;
/// `MS_NOSYMFOLLOW` (Linux 5.10), which libc lacks on some targets.
const MS_NOSYMFOLLOW: u64 = 256;

/// One mount, in the order in which they are made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount<'a> {
    /// Its place in `mounts`.
    pub index: usize,
    /// Where it goes, as an absolute path inside the container, not resolved.
    pub destination: Cow<'a, str>,
    /// What is mounted.
    pub what: What<'a>,
    /// How its files' owners are shown, if not as they are.
    pub id_map: Option<IdMap<'a>>,
    /// Propagation changes, in order.
    pub propagation: Vec<Propagation>,
    /// Attributes of this mount and all below it (the `r*` options).
    pub recursive: Attributes,
}

/// What is mounted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What<'a> {
    /// A piece of the host's tree. Whether it is a file or a directory shows when it is open.
    Bind {
        /// Absolute path on the host.
        source: Cow<'a, str>,
        /// With the mounts below it.
        recursive: bool,
        /// How its attributes differ from those of the source's mount.
        attributes: BindAttributes,
    },
    /// A file system of its own.
    Filesystem {
        /// Its type.
        kind: &'a str,
        /// Its device, or a mere name.
        source: &'a str,
        /// `MS_*` of mount(2).
        flags: u64,
        /// What is left for the file system, comma separated.
        data: String,
        /// Whether a tmpfs starts with a copy of what it hides (`tmpcopyup`).
        copy_up: bool,
    },
    /// The container's own cgroups, shaped as on the host.
    Cgroup {
        /// `MS_*` of mount(2).
        flags: u64,
    },
    /// New flags for what is mounted at the destination already.
    Remount {
        /// `MS_*` of mount(2).
        flags: u64,
        /// What is left for the file system.
        data: String,
    },
}

/// How the owners of a mount's files are shown (mount_setattr(2), `MOUNT_ATTR_IDMAP`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IdMap<'a> {
    /// What maps them.
    pub by: MappedBy<'a>,
    /// With the mounts below it.
    pub recursive: bool,
}

/// What maps the ids of a mount.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MappedBy<'a> {
    /// Lines as of a user namespace's maps.
    Lines {
        /// Of `uid_map`.
        uids: &'a [spec::IdMapping],
        /// Of `gid_map`.
        gids: &'a [spec::IdMapping],
    },
    /// The user namespace that the container joins: its file.
    Namespace(&'a str),
}

/// One propagation change (mount_namespaces(7)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Propagation {
    /// `MS_SHARED`, `MS_SLAVE`, `MS_PRIVATE` or `MS_UNBINDABLE`.
    pub kind: u64,
    /// With all mounts below.
    pub recursive: bool,
}

/// `MOUNT_ATTR_*` to set and to clear (mount_setattr(2)).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Attributes {
    /// To set.
    pub set: u64,
    /// To clear.
    pub clear: u64,
}

/// How the attributes of a bind come out of those of its source's mount.
///
/// As in runc: without an option that names an attribute all of them stay; with one, the bind has those
/// that are named and no other, but for the kind of access times, which stays unless it is named.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BindAttributes {
    /// What the options name, and what nothing can lock: must hold.
    pub named: Attributes,
    /// What else is cleared, so far as the kernel has not locked it: in a user namespace it does that
    /// to the mounts that came from outside (mount_namespaces(7)).
    pub others: u64,
}

impl BindAttributes {
    /// What options add up to that set and clear these `MS_*` flags.
    fn of(set: u64, cleared: u64) -> BindAttributes {
        if set == 0 && cleared == 0 {
            return BindAttributes::default();
        }
        let mut bind = BindAttributes::default();
        for (ms, attribute) in ATTRIBUTES {
            if set & ms != 0 {
                bind.named.set |= attribute;
            } else if cleared & ms != 0 || *attribute == MOUNT_ATTR_NOSYMFOLLOW {
                bind.named.clear |= attribute;
            } else {
                bind.others |= attribute;
            }
        }
        // As mount(2) reads them on a remount: clearing alone changes nothing, a strict one wins, and
        // relative is what is left.
        if set & (MS_NOATIME | MS_NODIRATIME | MS_RELATIME | MS_STRICTATIME) != 0 {
            bind.named.clear |= ATTR_ATIME;
            bind.named.set |= match set {
                _ if set & MS_STRICTATIME != 0 => MOUNT_ATTR_STRICTATIME,
                _ if set & MS_NOATIME != 0 => MOUNT_ATTR_NOATIME,
                _ => 0,
            };
            match set & MS_NODIRATIME {
                0 => bind.named.clear |= MOUNT_ATTR_NODIRATIME,
                _ => bind.named.set |= MOUNT_ATTR_NODIRATIME,
            }
        }
        bind
    }

    /// All that differs, where nothing is locked.
    pub fn unlocked(self) -> Attributes {
        Attributes { clear: self.named.clear | self.others, ..self.named }
    }
}

/// `MS_*` flags that are attributes of a mount, and not the kind of its access times.
const ATTRIBUTES: &[(u64, u64)] = &[
    (MS_RDONLY, MOUNT_ATTR_RDONLY),
    (MS_NOSUID, MOUNT_ATTR_NOSUID),
    (MS_NODEV, MOUNT_ATTR_NODEV),
    (MS_NOEXEC, MOUNT_ATTR_NOEXEC),
    (MS_NOSYMFOLLOW, MOUNT_ATTR_NOSYMFOLLOW),
];

impl Attributes {
    fn apply(&mut self, change: Attr) {
        let (set, clear) = match change {
            Attr::Set(bits) => (bits, 0),
            Attr::Clear(bits) => (0, bits),
            // The kinds of access times exclude one another: the whole field is replaced.
            Attr::Atime(bits) => (bits, ATTR_ATIME),
        };
        self.set = self.set & !(clear | set) | set;
        self.clear = self.clear & !set | clear;
    }
}

#[derive(Debug, Clone, Copy)]
enum Attr {
    Set(u64),
    Clear(u64),
    Atime(u64),
}

#[derive(Debug, Clone, Copy)]
enum Meaning {
    /// A flag of mount(2), to be set or cleared.
    Flag {
        ms: u64,
        on: bool,
    },
    Recursive(Attr),
    Propagation(Propagation),
    Bind {
        recursive: bool,
    },
    IdMap {
        recursive: bool,
    },
    Remount,
    CopyUp,
    Nothing,
}

/// The option's name, and its meaning: the specification's table, in its order.
#[rustfmt::skip]
const OPTIONS: &[(&str, Meaning)] = {
    use Meaning::{Bind, CopyUp, Flag, IdMap, Nothing, Recursive, Remount};
    const fn set(bits: u64) -> Meaning { Recursive(Attr::Set(bits)) }
    const fn clear(bits: u64) -> Meaning { Recursive(Attr::Clear(bits)) }
    const fn share(kind: u64, recursive: bool) -> Meaning {
        Meaning::Propagation(Propagation { kind, recursive })
    }
    &[
        ("async", Flag { ms: MS_SYNCHRONOUS, on: false }),
        ("atime", Flag { ms: MS_NOATIME, on: false }),
        ("bind", Bind { recursive: false }),
        ("defaults", Nothing),
        ("dev", Flag { ms: MS_NODEV, on: false }),
        ("diratime", Flag { ms: MS_NODIRATIME, on: false }),
        ("dirsync", Flag { ms: MS_DIRSYNC, on: true }),
        ("exec", Flag { ms: MS_NOEXEC, on: false }),
        ("idmap", IdMap { recursive: false }),
        ("iversion", Flag { ms: MS_I_VERSION, on: true }),
        ("lazytime", Flag { ms: MS_LAZYTIME, on: true }),
        ("loud", Flag { ms: MS_SILENT, on: false }),
        ("mand", Flag { ms: MS_MANDLOCK, on: true }),
        ("noatime", Flag { ms: MS_NOATIME, on: true }),
        ("nodev", Flag { ms: MS_NODEV, on: true }),
        ("nodiratime", Flag { ms: MS_NODIRATIME, on: true }),
        ("noexec", Flag { ms: MS_NOEXEC, on: true }),
        ("noiversion", Flag { ms: MS_I_VERSION, on: false }),
        ("nolazytime", Flag { ms: MS_LAZYTIME, on: false }),
        ("nomand", Flag { ms: MS_MANDLOCK, on: false }),
        ("norelatime", Flag { ms: MS_RELATIME, on: false }),
        ("nostrictatime", Flag { ms: MS_STRICTATIME, on: false }),
        ("nosuid", Flag { ms: MS_NOSUID, on: true }),
        ("nosymfollow", Flag { ms: MS_NOSYMFOLLOW, on: true }),
        ("private", share(MS_PRIVATE, false)),
        ("ratime", Recursive(Attr::Atime(0))),
        ("rbind", Bind { recursive: true }),
        ("rdev", clear(MOUNT_ATTR_NODEV)),
        ("rdiratime", clear(MOUNT_ATTR_NODIRATIME)),
        ("relatime", Flag { ms: MS_RELATIME, on: true }),
        ("remount", Remount),
        ("rexec", clear(MOUNT_ATTR_NOEXEC)),
        ("ridmap", IdMap { recursive: true }),
        ("rnoatime", Recursive(Attr::Atime(MOUNT_ATTR_NOATIME))),
        ("rnodev", set(MOUNT_ATTR_NODEV)),
        ("rnodiratime", set(MOUNT_ATTR_NODIRATIME)),
        ("rnoexec", set(MOUNT_ATTR_NOEXEC)),
        // As the kernel takes no `norelatime`: access times stay relative.
        ("rnorelatime", Recursive(Attr::Atime(0))),
        ("rnostrictatime", Recursive(Attr::Atime(0))),
        ("rnosuid", set(MOUNT_ATTR_NOSUID)),
        ("rnosymfollow", set(MOUNT_ATTR_NOSYMFOLLOW)),
        ("ro", Flag { ms: MS_RDONLY, on: true }),
        ("rprivate", share(MS_PRIVATE, true)),
        ("rrelatime", Recursive(Attr::Atime(0))),
        ("rro", set(MOUNT_ATTR_RDONLY)),
        ("rrw", clear(MOUNT_ATTR_RDONLY)),
        ("rshared", share(MS_SHARED, true)),
        ("rslave", share(MS_SLAVE, true)),
        ("rstrictatime", Recursive(Attr::Atime(MOUNT_ATTR_STRICTATIME))),
        ("rsuid", clear(MOUNT_ATTR_NOSUID)),
        ("rsymfollow", clear(MOUNT_ATTR_NOSYMFOLLOW)),
        ("runbindable", share(MS_UNBINDABLE, true)),
        ("rw", Flag { ms: MS_RDONLY, on: false }),
        ("shared", share(MS_SHARED, false)),
        ("silent", Flag { ms: MS_SILENT, on: true }),
        ("slave", share(MS_SLAVE, false)),
        ("strictatime", Flag { ms: MS_STRICTATIME, on: true }),
        ("suid", Flag { ms: MS_NOSUID, on: false }),
        ("symfollow", Flag { ms: MS_NOSYMFOLLOW, on: false }),
        ("sync", Flag { ms: MS_SYNCHRONOUS, on: true }),
        ("tmpcopyup", CopyUp),
        ("unbindable", share(MS_UNBINDABLE, false)),
    ]
};

/// The names of all mount options that are understood, in alphabetical order.
pub fn option_names() -> impl Iterator<Item = &'static str> {
    OPTIONS.iter().map(|(name, _)| *name)
}

/// The options that stand for `MS_*` flags of mount(2).
pub fn flag_names(flags: u64) -> impl Iterator<Item = &'static str> {
    OPTIONS.iter().filter_map(move |(name, meaning)| match meaning {
        Meaning::Flag { ms, on: true } => (flags & ms != 0).then_some(*name),
        Meaning::Bind { recursive: false } => (flags & libc::MS_BIND != 0).then_some(*name),
        _ => None,
    })
}

impl Propagation {
    /// The option that stands for it.
    pub fn name(self) -> &'static str {
        let is_it = |meaning: &Meaning| matches!(meaning, Meaning::Propagation(p) if *p == self);
        OPTIONS.iter().find(|(_, meaning)| is_it(meaning)).map_or("?", |(name, _)| name)
    }
}

impl Attributes {
    /// The options that stand for them; with `recursive`, those for all mounts below as well.
    pub fn names(self, recursive: bool) -> impl Iterator<Item = &'static str> {
        /// Of several names for one kind of access times, these are not shown.
        const SYNONYMS: [&str; 3] = ["ratime", "rnostrictatime", "rnorelatime"];
        let names = OPTIONS.iter().filter_map(move |(name, meaning)| {
            let Meaning::Recursive(attr) = meaning else { return None };
            let is_it = match *attr {
                Attr::Set(bits) => self.set & bits == bits,
                Attr::Clear(bits) => self.clear & bits == bits,
                Attr::Atime(bits) => {
                    self.clear & ATTR_ATIME != 0
                        && self.set & ATTR_ATIME == bits
                        && !SYNONYMS.contains(name)
                }
            };
            is_it.then_some(*name)
        });
        // Each has the name of its counterpart for one mount, behind an `r`.
        names.map(move |name| if recursive { name } else { &name[1..] })
    }
}

fn meaning(option: &str) -> Option<Meaning> {
    OPTIONS.binary_search_by(|(name, _)| (*name).cmp(option)).ok().map(|n| OPTIONS[n].1)
}

/// The kind of a `rootfsPropagation`, such as `rslave`.
pub(crate) fn propagation(name: &str) -> Option<Propagation> {
    match meaning(name)? {
        Meaning::Propagation(propagation) => Some(propagation),
        _ => None,
    }
}

/// What a mount's options add up to.
#[derive(Debug, Default)]
struct Options {
    /// `MS_*` that are set, and those that are cleared: the last word counts.
    flags: u64,
    cleared: u64,
    recursive: Attributes,
    propagation: Vec<Propagation>,
    bind: Option<bool>,
    id_map: Option<bool>,
    remount: bool,
    copy_up: bool,
    data: String,
}

fn fold(options: &[spec::Text<'_>]) -> Options {
    let mut folded = Options::default();
    for option in options {
        match meaning(option) {
            Some(Meaning::Flag { ms, on: true }) => {
                folded.flags |= ms;
                folded.cleared &= !ms;
            }
            Some(Meaning::Flag { ms, on: false }) => {
                folded.flags &= !ms;
                folded.cleared |= ms;
            }
            Some(Meaning::Recursive(attr)) => folded.recursive.apply(attr),
            Some(Meaning::Propagation(propagation)) => folded.propagation.push(propagation),
            Some(Meaning::Bind { recursive }) => folded.bind = Some(recursive),
            Some(Meaning::IdMap { recursive }) => folded.id_map = Some(recursive),
            Some(Meaning::Remount) => folded.remount = true,
            Some(Meaning::CopyUp) => folded.copy_up = true,
            Some(Meaning::Nothing) => {}
            None => {
                if !folded.data.is_empty() {
                    folded.data.push(',');
                }
                folded.data.push_str(option);
            }
        }
    }
    folded
}

/// Whether a mount is a piece of the host's tree, by its type or its options.
pub fn is_bind(mount: &spec::Mount<'_>) -> bool {
    mount.kind == "bind" || mount.options.iter().any(|o| *o == "bind" || *o == "rbind")
}

/// Plans mounts for a container that lives: binds, and file systems that belong to no namespace but
/// those of networks, messages and cgroups.
pub fn more_mounts<'a>(
    mounts: &'a [spec::Mount<'a>],
    bundle: &'a str,
) -> Result<Vec<Mount<'a>>, Refusals> {
    let host = Host {
        bundle,
        rootless: false,
        unprivileged: false,
        root: RootKind::Directory,
        unreachable: Vec::new(),
        listener: String::new(),
        joined: Vec::new(),
        absent_devices: Vec::new(),
        resctrl: HostResctrl::None,
        receiver: "",
        security: Security { capabilities: 0, apparmor: false, selinux: false },
    };
    let mut findings = Findings::default();
    let mut plan = Vec::with_capacity(mounts.len());
    for (index, element) in mounts.iter().enumerate() {
        let Some(planned) = mount(index, element, &host, &Namespaces::default(), &mut findings)
        else {
            continue;
        };
        let at = |field: &str| format!("/mounts/{index}{field}");
        let hint = "a bind, or a file system such as tmpfs";
        if planned.id_map.is_some() {
            let hint = "neither idmap nor ridmap, and no mappings";
            findings.refuse(at(""), "ids can't be mapped in a container that lives", hint);
        }
        match &planned.what {
            What::Filesystem { kind: "proc", .. } | What::Cgroup { .. } => {
                let sentence = format!("{:?} would be the runtime's own", element.kind);
                findings.refuse(at("/type"), sentence, hint);
            }
            What::Remount { .. } => {
                findings.refuse(at("/options"), "nothing can be remounted", hint);
            }
            What::Bind { .. } | What::Filesystem { .. } => {}
        }
        plan.push(planned);
    }
    findings.finish(plan)
}

/// Plans one element of `mounts`.
pub(crate) fn mount<'a>(
    index: usize,
    mount: &'a spec::Mount<'a>,
    host: &Host<'_>,
    namespaces: &Namespaces<'a>,
    findings: &mut Findings,
) -> Option<Mount<'a>> {
    let at = |field: &str| format!("/mounts/{index}{field}");
    if mount.destination.is_empty() {
        findings.refuse(at("/destination"), "must not be empty", "an absolute path inside");
        return None;
    }
    let options = fold(&mount.options);
    let destination = if mount.destination.starts_with('/') {
        Cow::Borrowed(mount.destination.as_str())
    } else {
        findings.warn(format!("mount destination {:?} is not absolute", mount.destination));
        Cow::Owned(format!("/{}", mount.destination))
    };
    if clean(&destination) == "/" && !options.remount {
        let hint = "a path below /; what is at / itself is /root/path";
        let sentence = format!("{destination:?} is on the top of rootfs");
        findings.refuse(at("/destination"), sentence, hint);
        return None;
    }
    let id_map = id_map(index, mount, options.id_map, namespaces, findings);
    let what = if options.remount {
        let bind = if options.bind.is_some() { libc::MS_BIND } else { 0 };
        What::Remount { flags: options.flags | bind, data: options.data }
    } else if let Some(recursive) = options.bind.or((mount.kind == "bind").then_some(false)) {
        if !options.data.is_empty() {
            findings.refuse(
                at("/options"),
                format!(
                    "{:?}: bind mounts cannot have any filesystem-specific options",
                    options.data
                ),
                "only options of the specification's table: it is the source's file system",
            );
        }
        let source = bind_source(mount, host.bundle, at("/source"), findings)?;
        let attributes = BindAttributes::of(options.flags, options.cleared);
        What::Bind { source, recursive, attributes }
    } else if mount.kind == "cgroup" {
        What::Cgroup { flags: options.flags }
    } else if mount.kind.is_empty() {
        let hint = "a type of file system such as tmpfs; for a bind, bind or rbind in options";
        findings.refuse(at("/type"), "must not be empty, unless the mount is a bind", hint);
        return None;
    } else {
        let (kind, source) = (mount.kind.as_str(), mount.source.as_str());
        let source = if source.is_empty() { kind } else { source };
        let Options { flags, data, copy_up, .. } = options;
        What::Filesystem { kind, source, flags, data, copy_up }
    };
    if id_map.is_some() && matches!(what, What::Cgroup { .. } | What::Remount { .. }) {
        let hint =
            "a bind or a file system of its own, or no uidMappings, gidMappings, idmap and ridmap";
        findings.refuse(at(""), "ids can be mapped only of a bind and of a new file system", hint);
    }
    if id_map.is_some() && host.unprivileged {
        let hint = "no uidMappings, gidMappings, idmap and ridmap: only root may map ids of mounts";
        findings.refuse(at(""), "id-mapped mounts are not supported for rootless containers", hint);
    }
    let (propagation, mut recursive) = (options.propagation, options.recursive);
    let may_own_cgroups = host.rootless || namespaces.has(NamespaceKind::User);
    if may_own_cgroups && shows_cgroups(&what) && recursive.clear & MOUNT_ATTR_RDONLY == 0 {
        recursive.set |= MOUNT_ATTR_RDONLY;
    }
    Some(Mount { index, destination, what, id_map, propagation, recursive })
}

/// Whether a bind shows the host's sysfs read-only, and with it the cgroups that are mounted there: some of
/// them may belong to who runs the container, and must be no more writable (CVE-2023-25809).
fn shows_cgroups(what: &What<'_>) -> bool {
    match what {
        What::Bind { source, recursive: true, attributes, .. } => {
            attributes.named.set & MOUNT_ATTR_RDONLY != 0
                && ["/sys", "/sys/fs", "/sys/fs/cgroup"].contains(&&*clean(source))
        }
        _ => false,
    }
}

/// How the mount's ids are mapped: as it says itself, or else (`idmap`) as the container's are.
fn id_map<'a>(
    index: usize,
    mount: &'a spec::Mount<'a>,
    option: Option<bool>,
    namespaces: &Namespaces<'a>,
    findings: &mut Findings,
) -> Option<IdMap<'a>> {
    let (uids, gids) = (&*mount.uid_mappings, &*mount.gid_mappings);
    let own = !uids.is_empty() || !gids.is_empty();
    let recursive = option.or(own.then_some(false))?;
    let joined = namespaces.join.iter().find(|join| join.kind == NamespaceKind::User);
    let (uids, gids) = match (own, joined) {
        (false, Some(join)) => {
            return Some(IdMap { by: MappedBy::Namespace(join.path), recursive });
        }
        (false, None) => (namespaces.uid_map, namespaces.gid_map),
        (true, _) => (uids, gids),
    };
    if uids.is_empty() || gids.is_empty() {
        let sentence = "id-mapped mounts must have both uid and gid mappings specified";
        let hint = "uidMappings and gidMappings, both here or both in /linux";
        findings.refuse(format!("/mounts/{index}"), sentence, hint);
    }
    if own {
        namespaces::check_map(&format!("/mounts/{index}/uidMappings"), uids, findings);
        namespaces::check_map(&format!("/mounts/{index}/gidMappings"), gids, findings);
    }
    Some(IdMap { by: MappedBy::Lines { uids, gids }, recursive })
}

/// Whether an option of mount(2) labels a file system of this type: procfs and sysfs have labels of
/// their own, and mqueue takes no option. As runc.
pub(crate) fn takes_label(kind: &str) -> bool {
    !matches!(kind, "proc" | "sysfs" | "mqueue")
}

/// What file systems are labelled with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MountLabel<C> {
    /// The SELinux context; empty: none.
    pub context: C,
    /// Which option of mount(8) says it: `context`, or another that leaves files the labels they have.
    pub option: &'static str,
}

impl<C: AsRef<str>> MountLabel<C> {
    /// A file system's options, and the label's.
    pub fn with(&self, data: &str) -> String {
        let (context, option) = (self.context.as_ref(), self.option);
        let comma = if data.is_empty() { "" } else { "," };
        let has_own =
            || data.split(',').any(|other| other.split_once('=').is_some_and(|o| o.0 == option));
        match context {
            "" => data.to_owned(),
            _ if has_own() => data.to_owned(),
            _ => format!("{data}{comma}{option}=\"{context}\""),
        }
    }
}

fn bind_source<'a>(
    mount: &'a spec::Mount<'a>,
    bundle: &str,
    pointer: String,
    findings: &mut Findings,
) -> Option<Cow<'a, str>> {
    if mount.source.is_empty() {
        let hint = "a file or directory of the host, absolute or below the bundle";
        findings.refuse(pointer, "a bind mount needs a source", hint);
        return None;
    }
    Some(if mount.source.starts_with('/') {
        Cow::Borrowed(mount.source.as_str())
    } else {
        Cow::Owned(format!("{bundle}/{}", mount.source))
    })
}

/// The path without `.`, `..` and doubled slashes, as it reads; links are not looked at.
pub(crate) fn clean(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            _ => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(list: &[&'static str]) -> Options {
        fold(&list.iter().map(|option| spec::Text::new(option)).collect::<Vec<_>>())
    }

    #[test]
    fn the_table_is_sorted_for_the_binary_search() {
        assert!(OPTIONS.windows(2).all(|pair| pair[0].0 < pair[1].0));
    }

    fn bind(list: &[&'static str]) -> BindAttributes {
        let options = options(list);
        BindAttributes::of(options.flags, options.cleared)
    }

    #[test]
    fn what_was_understood_has_its_names_again() {
        let folded =
            options(&["ro", "dev", "noatime", "nosuid", "sync", "rro", "rsuid", "rnoatime"]);
        let names: Vec<&str> = flag_names(folded.flags).collect();
        assert_eq!(names, ["noatime", "nosuid", "ro", "sync"]);
        let attributes = BindAttributes::of(folded.flags, folded.cleared).unlocked();
        let names: Vec<&str> = attributes.names(false).collect();
        assert_eq!(names, ["dev", "diratime", "exec", "noatime", "nosuid", "ro", "symfollow"]);
        let names: Vec<&str> = folded.recursive.names(true).collect();
        assert_eq!(names, ["rnoatime", "rro", "rsuid"]);
        for name in ["shared", "rslave", "private", "runbindable"] {
            assert_eq!(propagation(name).unwrap().name(), name);
        }
        assert_eq!(Attributes::default().names(false).count(), 0);
    }

    #[test]
    fn the_last_of_two_opposites_wins() {
        assert_eq!(options(&["ro", "rw"]).flags, 0);
        assert_eq!(bind(&["ro", "rw"]).named.clear & MOUNT_ATTR_RDONLY, MOUNT_ATTR_RDONLY);
        assert_eq!(bind(&["rw", "ro"]).named.set, MOUNT_ATTR_RDONLY);
    }

    #[test]
    fn a_bind_without_attributes_keeps_its_sources() {
        assert_eq!(bind(&["rbind", "rprivate", "defaults"]), BindAttributes::default());
    }

    #[test]
    fn a_bind_with_attributes_has_no_others() {
        let bind = bind(&["bind", "ro", "exec"]);
        let (set, clear) = (MOUNT_ATTR_RDONLY, MOUNT_ATTR_NOEXEC | MOUNT_ATTR_NOSYMFOLLOW);
        assert_eq!(bind.named, Attributes { set, clear });
        assert_eq!(bind.others, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV);
    }

    #[test]
    fn access_times_stay_unless_a_kind_is_set() {
        let atime = |list: &[&'static str]| {
            let named = bind(list).named;
            (named.set, named.clear & !MOUNT_ATTR_NOSYMFOLLOW)
        };
        let field = ATTR_ATIME | MOUNT_ATTR_NODIRATIME;
        assert_eq!(atime(&["atime"]), (0, 0));
        assert_eq!(atime(&["norelatime", "diratime", "nostrictatime"]), (0, 0));
        assert_eq!(atime(&["relatime"]), (0, field));
        assert_eq!(atime(&["noatime"]), (MOUNT_ATTR_NOATIME, field));
        assert_eq!(atime(&["noatime", "strictatime"]), (MOUNT_ATTR_STRICTATIME, field));
        assert_eq!(atime(&["nodiratime"]), (MOUNT_ATTR_NODIRATIME, ATTR_ATIME));
    }

    #[test]
    fn what_is_unknown_is_the_file_systems() {
        let folded = options(&["mode=755", "nosuid", "size=64k"]);
        assert_eq!(folded.data, "mode=755,size=64k");
        assert_eq!(folded.flags, MS_NOSUID);
    }

    #[test]
    fn a_label_is_an_option_among_others() {
        let with = |data: &str, context: &str| MountLabel { context, option: "context" }.with(data);
        assert_eq!(with("", ""), "");
        assert_eq!(with("mode=755", ""), "mode=755");
        assert_eq!(with("", "u:r:t:s0:c1,c2"), "context=\"u:r:t:s0:c1,c2\"");
        assert_eq!(with("mode=755", "l"), "mode=755,context=\"l\"");
        assert_eq!(with("context=own", "l"), "context=own");
        let root = MountLabel { context: "l", option: "rootcontext" };
        assert_eq!(root.with("context=own"), "context=own,rootcontext=\"l\"");
        assert!(takes_label("tmpfs") && !takes_label("mqueue"));
    }

    #[test]
    fn a_destination_that_climbs_out_ends_at_the_root() {
        assert_eq!(clean("/../../etc/./x//y/.."), "/etc/x");
    }
}
