//! Device nodes, and the rules of the device cgroup.

use bpf::devices::{Access, Kind, MOST_PATTERNS, Rule, Table};

use crate::Host;
use crate::mounts::clean;
use crate::namespaces::{NamespaceKind, Namespaces};
use crate::refusal::{Findings, Refusals};

/// How the container comes by its device nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeviceSource {
    /// mknod(2): the runtime may.
    Mknod,
    /// A bind of the host's node: in a user namespace mknod(2) is refused.
    Bind,
    /// `/dev` is the host's, so its nodes are, too.
    Host,
}

/// One device node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceNode<'a> {
    /// Its path inside.
    pub path: &'a str,
    /// `S_IFCHR`, `S_IFBLK` or `S_IFIFO`.
    pub kind: u32,
    /// Major number.
    pub major: u32,
    /// Minor number.
    pub minor: u32,
    /// Permission bits.
    pub mode: u32,
    /// Owner inside.
    pub uid: u32,
    /// Owning group inside.
    pub gid: u32,
}

/// The devices that every container has (config-linux.md, "Default Devices").
pub const DEFAULT_DEVICES: [(&str, u32, u32); 6] = [
    ("/dev/null", 1, 3),
    ("/dev/zero", 1, 5),
    ("/dev/full", 1, 7),
    ("/dev/tty", 5, 0),
    ("/dev/random", 1, 8),
    ("/dev/urandom", 1, 9),
];

pub(crate) fn source(
    namespaces: &Namespaces<'_>,
    mounts: &[crate::Mount<'_>],
    host: &Host<'_>,
) -> DeviceSource {
    let host_dev = mounts.iter().any(|mount| {
        matches!(mount.what, crate::What::Bind { .. }) && clean(&mount.destination) == "/dev"
    });
    if host_dev {
        DeviceSource::Host
    } else if host.rootless || namespaces.has(NamespaceKind::User) {
        DeviceSource::Bind
    } else {
        DeviceSource::Mknod
    }
}

pub(crate) fn nodes<'a>(
    devices: &'a [spec::Device<'a>],
    findings: &mut Findings,
) -> Vec<DeviceNode<'a>> {
    let mut nodes: Vec<DeviceNode<'a>> = DEFAULT_DEVICES
        .iter()
        .map(|&(path, major, minor)| DeviceNode {
            path,
            kind: libc::S_IFCHR,
            major,
            minor,
            mode: 0o666,
            uid: 0,
            gid: 0,
        })
        .collect();
    for (n, device) in devices.iter().enumerate() {
        let at = format!("/linux/devices/{n}");
        let kind = match device.kind.as_str() {
            "c" | "u" => libc::S_IFCHR,
            "b" => libc::S_IFBLK,
            "p" => libc::S_IFIFO,
            other => {
                let sentence = format!("invalid device type: {other:?}");
                let hint = "c or u (character), b (block) or p (FIFO)";
                findings.refuse(format!("{at}/type"), sentence, hint);
                continue;
            }
        };
        if !device.path.starts_with('/') {
            let sentence = format!("{:?} is not absolute", device.path);
            findings.refuse(format!("{at}/path"), sentence, "a path inside, such as /dev/fuse");
            continue;
        }
        let number = |value: i64, field: &str, findings: &mut Findings| {
            u32::try_from(value).unwrap_or_else(|_| {
                let sentence = format!("{value} is no device number");
                findings.refuse(format!("{at}/{field}"), sentence, "0 to 4294967295");
                0
            })
        };
        let node = DeviceNode {
            path: &device.path,
            kind,
            major: number(device.major, "major", findings),
            minor: number(device.minor, "minor", findings),
            mode: device.file_mode.unwrap_or(0o666) & 0o7777,
            uid: device.uid.unwrap_or(0),
            gid: device.gid.unwrap_or(0),
        };
        // A listed device replaces the default one at its place.
        match nodes.iter_mut().find(|other| other.path == node.path) {
            Some(other) => *other = node,
            None => nodes.push(node),
        }
    }
    nodes
}

/// What a device cgroup allows, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceRules {
    /// The rules, in order.
    pub rules: Vec<Rule>,
    /// What they come to.
    pub table: Table,
}

/// What every container may, whatever its rules begin with: the default devices, terminals, tun.
///
/// The user's rules follow, but for a "deny all" at their front, which these begin with. (runc has
/// its defaults behind the user's rules, so that these can't deny a default device.)
const DEFAULT_RULES: [Rule; 10] = {
    const fn char(major: u32, minor: Option<u32>) -> Rule {
        Rule { allow: true, kind: Kind::Char, major: Some(major), minor, access: Access::ALL }
    }
    [
        char(1, Some(3)),
        char(1, Some(8)),
        char(1, Some(7)),
        char(5, Some(0)),
        char(1, Some(5)),
        char(1, Some(9)),
        char(136, None),
        char(5, Some(2)),
        char(10, Some(200)),
        char(5, Some(1)),
    ]
};

/// Making a node of any device of a kind, which is harmless as long as it can't be opened.
///
/// It comes after the user's rules, so that "deny c 10:229 rwm" (Docker has such a rule in every
/// container) means the same everywhere: v1 can't take from one device what a wildcard allows. A
/// rule that denies it for all devices of the kind takes it away.
const fn make_any(kind: Kind) -> Rule {
    Rule { allow: true, kind, major: None, minor: None, access: Access::MKNOD }
}

const EVERYTHING: Rule = Rule::reset(false);

/// Where a new container's rules are.
const POINTER: &str = "/linux/resources/devices";

/// The rules of a new container with these device nodes.
pub(crate) fn rules(
    user: &[spec::DeviceRule<'_>],
    nodes: &[spec::Device<'_>],
    findings: &mut Findings,
) -> DeviceRules {
    let known = user.iter().enumerate().map(|(n, rule)| known_access(rule, n, findings));
    let user: Vec<_> = known.collect();
    let user = parse(&user, POINTER, findings);
    let nodes = nodes.iter().filter_map(rule_of);
    following(&default_rules(), user, nodes, POINTER, findings)
}

/// The rule that allows all access to a device node; a FIFO needs none.
fn rule_of(node: &spec::Device<'_>) -> Option<Rule> {
    let kind = match node.kind.as_str() {
        "c" | "u" => Kind::Char,
        "b" => Kind::Block,
        _ => return None,
    };
    let (major, minor) = (node.major.try_into().ok()?, node.minor.try_into().ok()?);
    Some(Rule { allow: true, kind, major: Some(major), minor: Some(minor), access: Access::ALL })
}

fn default_rules() -> Vec<Rule> {
    let make = [Kind::Char, Kind::Block].map(make_any);
    [EVERYTHING].into_iter().chain(make).chain(DEFAULT_RULES).collect()
}

/// The rules of a container after an update: `user` follows what is allowed at `present`, like
/// every update, which changes what it names. A list that begins with a rule for all devices, as
/// engines have it that hand over what the container was made of, is a whole one: before it come
/// the default rules, and `own`, those for the container's own device nodes, which whoever stands
/// between engine and runtime may have added (GPU vendors do).
///
/// # Errors
/// Everything that is wrong, with pointers into the resources.
pub fn updated_devices(
    user: &[spec::DeviceRule<'_>],
    present: &Table,
    own: &[Rule],
) -> Result<DeviceRules, Refusals> {
    let mut findings = Findings::default();
    let user = parse(user, "/devices", &mut findings);
    let is_whole = user.first().is_some_and(|rule| rule.kind == Kind::All);
    let base = match is_whole {
        true => [&default_rules(), own].concat(),
        false => present.rules(),
    };
    let rules = following(&base, user, own.iter().copied(), "/devices", &mut findings);
    findings.finish(rules)
}

/// The rules that let a container use the devices whose nodes it was given, as far as `table` does.
pub(crate) fn own_rules(nodes: &[spec::Device<'_>], table: &Table) -> Vec<Rule> {
    let allowed = |rule: Rule| {
        let access = table.allowed(rule.kind, rule.major?, rule.minor?);
        let more = !table.allowed_for_any(rule.kind).covers(access);
        more.then_some(Rule { access, ..rule })
    };
    nodes.iter().filter_map(rule_of).filter_map(allowed).collect()
}

fn parse(user: &[spec::DeviceRule<'_>], pointer: &str, findings: &mut Findings) -> Vec<Rule> {
    let mut rules = Vec::with_capacity(user.len());
    for (n, rule) in user.iter().enumerate() {
        match Rule::parse(rule) {
            Err(problems) => findings.refuse_problems(&format!("{pointer}/{n}"), problems),
            // v1 takes "everything" as one word only: all kinds of some devices are two rules.
            Ok(rule) if rule.kind == Kind::All && rule != Rule::reset(rule.allow) => {
                rules.extend([Kind::Block, Kind::Char].map(|kind| Rule { kind, ..rule }));
            }
            Ok(rule) => rules.push(rule),
        }
    }
    rules
}

/// Rule `n` without those letters of its access that mean nothing: runc passes over them.
fn known_access<'a>(
    rule: &spec::DeviceRule<'a>,
    n: usize,
    findings: &mut Findings,
) -> spec::DeviceRule<'a> {
    let mut rule = rule.clone();
    let is_known = |letter| matches!(letter, 'r' | 'w' | 'm');
    let is_unknown = |letter| !is_known(letter);
    if rule.access.contains(is_known) && rule.access.contains(is_unknown) {
        let sentence = "only r, w and m mean something";
        findings.warn(format!("{POINTER}/{n}/access: {:?}: {sentence}", rule.access));
        rule.access = rule.access.replace(is_unknown, "").into();
    }
    rule
}

/// `user` after `base`. Whatever it denies, the default devices and `nodes` may be made: the
/// container's init, which is in the cgroup, does so.
fn following(
    base: &[Rule],
    user: Vec<Rule>,
    nodes: impl Iterator<Item = Rule>,
    pointer: &str,
    findings: &mut Findings,
) -> DeviceRules {
    let takes_making = |rules: &[Rule], kind| {
        let takes = |rule: &Rule| {
            let all = (None, None) == (rule.major, rule.minor);
            rule.kind == Kind::All || rule.kind == kind && all && !rule.allow
        };
        rules.iter().any(|rule| takes(rule) && rule.access.covers(Access::MKNOD))
    };
    // `base` begins with this one.
    let skip = usize::from(user.first() == Some(&EVERYTHING));
    let user = &user[skip..];
    let kinds = [Kind::Char, Kind::Block];
    let (taken, kept): (Vec<Kind>, Vec<Kind>) =
        kinds.into_iter().partition(|kind| takes_making(user, *kind) || !makes_any(base, *kind));
    let default_nodes = DEFAULT_DEVICES.iter().map(|&(_, major, minor)| Rule {
        allow: true,
        kind: Kind::Char,
        major: Some(major),
        minor: Some(minor),
        access: Access::MKNOD,
    });
    let nodes = nodes.map(|rule| Rule { access: Access::MKNOD, ..rule });
    let nodes = default_nodes.chain(nodes).filter(|rule| taken.contains(&rule.kind));
    let kept = kept.into_iter().map(make_any);
    let rules: Vec<Rule> = base.iter().chain(user).copied().chain(kept).chain(nodes).collect();
    let table = Table::of(&rules).unwrap_or_else(|| {
        let hint = "fewer rules, or wildcards: a rule without a minor number is for all of a major";
        let sentence = format!("has rules for more than {MOST_PATTERNS} devices");
        findings.refuse(pointer, sentence, hint);
        Table::default()
    });
    DeviceRules { rules, table }
}

/// Whether the rules let any device of a kind be made.
fn makes_any(rules: &[Rule], kind: Kind) -> bool {
    Table::of(rules).is_some_and(|table| table.allowed_for_any(kind).covers(Access::MKNOD))
}

#[cfg(test)]
mod tests {
    use std::slice::from_ref;

    use super::*;

    fn rule(
        allow: bool,
        kind: &str,
        numbers: Option<(i64, i64)>,
        access: &str,
    ) -> spec::DeviceRule<'static> {
        spec::DeviceRule {
            allow,
            kind: kind.to_owned().into(),
            major: numbers.map(|(major, _)| major),
            minor: numbers.map(|(_, minor)| minor),
            access: access.to_owned().into(),
        }
    }

    fn deny_all() -> spec::DeviceRule<'static> {
        rule(false, "", None, "rwm")
    }

    fn new(user: &[spec::DeviceRule<'_>]) -> Table {
        let mut findings = Findings::default();
        let rules = rules(user, &[], &mut findings);
        assert_eq!(findings.refusals, []);
        rules.table
    }

    fn updated(user: &[spec::DeviceRule<'_>], present: &Table, own: &[Rule]) -> Table {
        updated_devices(user, present, own).unwrap().table
    }

    const DEFAULTS: &str = "c *:* m;c 1:3 rwm;c 1:5 rwm;c 1:7 rwm;c 1:8 rwm;c 1:9 rwm;c 5:0 rwm;\
                            c 5:1 rwm;c 5:2 rwm;c 10:200 rwm;c 136:* rwm;b *:* m";

    #[test]
    fn a_deny_all_at_the_front_leaves_the_default_devices() {
        assert_eq!(new(&[]).to_string(), DEFAULTS);
        assert_eq!(new(&[deny_all()]).to_string(), DEFAULTS);
        // Elsewhere, it is meant.
        let nothing = "c *:* -;c 1:3 m;c 1:5 m;c 1:7 m;c 1:8 m;c 1:9 m;c 5:0 m;b *:* -";
        assert_eq!(new(&[deny_all(), deny_all()]).to_string(), nothing);
        assert_eq!(new(&[rule(true, "a", None, "rwm")]).to_string(), "c *:* rwm;b *:* rwm");
    }

    #[test]
    fn the_users_rules_come_last() {
        let table = new(&[rule(false, "c", Some((1, 3)), "w")]);
        assert_eq!(table.allowed(Kind::Char, 1, 3), Access::parse("rm").unwrap());
        assert!(table.list().is_ok());
    }

    #[test]
    fn nodes_may_be_made_unless_that_is_denied_for_all() {
        let docker = [deny_all(), rule(false, "c", Some((10, 229)), "rwm")];
        assert_eq!(new(&docker).to_string(), DEFAULTS);
        let table = new(&[rule(false, "c", Some((-1, -1)), "m")]);
        assert_eq!(table.allowed_for_any(Kind::Char), Access::NONE);
        assert_eq!(table.allowed_for_any(Kind::Block), Access::MKNOD);
        assert!(table.list().is_ok());
        // But what the runtime itself makes.
        assert_eq!(table.allowed(Kind::Char, 1, 3), Access::ALL);
        let node =
            spec::Device { kind: "c".into(), major: 10, minor: 229, ..spec::Device::default() };
        let user = [rule(false, "c", None, "m"), rule(true, "c", Some((10, 229)), "r")];
        let made = rules(&user, from_ref(&node), &mut Findings::default()).table;
        assert_eq!(made.allowed(Kind::Char, 10, 229), Access::parse("rm").unwrap());
        // The same list again comes to the same.
        let own = own_rules(&[node], &made);
        let whole = [vec![deny_all()], user.to_vec()].concat();
        assert_eq!(updated(&whole, &made, &own), made);
        // All kinds of some access are two rules.
        let table = new(&[rule(true, "a", None, "r")]);
        assert_eq!(table.allowed_for_any(Kind::Block), Access::parse("rm").unwrap());
    }

    #[test]
    fn an_update_adds_to_what_is_there_and_a_whole_list_replaces_it() {
        let fuse = |allow| rule(allow, "c", Some((10, 229)), "rwm");
        let disk = rule(true, "b", Some((7, 0)), "r");
        let first = new(&[deny_all(), fuse(true)]);
        let both = updated(from_ref(&disk), &first, &[]);
        assert_eq!(both, new(&[fuse(true), disk.clone()]));
        assert_eq!(updated(&[fuse(false)], &both, &[]), new(from_ref(&disk)));
        assert_eq!(updated(&[deny_all(), disk.clone()], &both, &[]), new(from_ref(&disk)));
        assert_eq!(updated(&[deny_all(), fuse(true)], &first, &[]), first);
    }

    #[test]
    fn a_whole_list_keeps_the_containers_own_nodes() {
        let node =
            spec::Device { kind: "c".into(), major: 195, minor: 0, ..spec::Device::default() };
        let gpu = rule(true, "c", Some((195, 0)), "rw");
        let made = new(&[deny_all(), gpu]);
        let own = own_rules(from_ref(&node), &made);
        assert_eq!(own.len(), 1);
        assert_eq!(updated(&[deny_all()], &made, &own), made);
        let deny = rule(false, "c", Some((195, 0)), "rwm");
        assert_eq!(updated(&[deny_all(), deny], &made, &own), new(&[]));
        assert_eq!(own_rules(from_ref(&node), &new(&[])), []);
        assert_eq!(own_rules(&[node], &new(&[rule(true, "a", None, "rwm")])), []);
    }

    #[test]
    fn an_update_is_refused_with_its_pointers() {
        let bad = [deny_all(), rule(true, "x", None, "rwm"), rule(true, "c", None, "")];
        let refusals = updated_devices(&bad, &new(&[]), &[]).unwrap_err();
        let pointers: Vec<_> = refusals.0.iter().map(|refusal| &*refusal.pointer).collect();
        assert_eq!(pointers, ["/devices/1/type", "/devices/2/access"]);
        let many: Vec<_> = (0..5000).map(|n| rule(true, "c", Some((1, n)), "r")).collect();
        let refusals = updated_devices(&many, &new(&[]), &[]).unwrap_err();
        assert_eq!(refusals.to_string(), "/devices: has rules for more than 4096 devices");
    }
}
