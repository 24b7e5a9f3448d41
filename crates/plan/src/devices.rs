//! Device nodes, and the rules of the device cgroup.

use bpf::devices::{Access, Kind, Rule};

use crate::Host;
use crate::mounts::clean;
use crate::namespaces::{NamespaceKind, Namespaces};
use crate::refusal::Findings;

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
                findings.refuse(format!("{at}/type"), sentence);
                continue;
            }
        };
        if !device.path.starts_with('/') {
            findings.refuse(format!("{at}/path"), format!("{:?} is not absolute", device.path));
            continue;
        }
        let number = |value: i64, field: &str, findings: &mut Findings| {
            u32::try_from(value).unwrap_or_else(|_| {
                findings.refuse(format!("{at}/{field}"), format!("{value} is no device number"));
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

/// The lines that the device cgroup starts with, as rules: nothing, then what every container may.
///
/// The user's rules follow, but for a "deny all" at their front, which these begin with. (runc has
/// its defaults behind the user's rules, so that these can't deny a default device.)
const DEFAULT_RULES: [Rule; 12] = {
    const fn allow(kind: Kind, major: Option<u32>, minor: Option<u32>, access: Access) -> Rule {
        Rule { allow: true, kind, major, minor, access }
    }
    const fn char(major: u32, minor: Option<u32>) -> Rule {
        allow(Kind::Char, Some(major), minor, Access::ALL)
    }
    [
        allow(Kind::Char, None, None, Access::MKNOD),
        allow(Kind::Block, None, None, Access::MKNOD),
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

/// The rule as a line for cgroup v1's `devices.allow` and `devices.deny`.
pub fn rule_line(rule: &Rule) -> String {
    let number = |n: Option<u32>| n.map_or_else(|| "*".to_owned(), |n| n.to_string());
    let kind = match rule.kind {
        Kind::All => return "a".to_owned(),
        Kind::Char => 'c',
        Kind::Block => 'b',
    };
    let access: String = [('r', Access::READ), ('w', Access::WRITE), ('m', Access::MKNOD)]
        .iter()
        .filter(|(_, access)| rule.access.bits() & access.bits() != 0)
        .map(|(letter, _)| *letter)
        .collect();
    format!("{kind} {}:{} {access}", number(rule.major), number(rule.minor))
}

const EVERYTHING: Rule =
    Rule { allow: false, kind: Kind::All, major: None, minor: None, access: Access::ALL };

pub(crate) fn rules(user: &[spec::DeviceRule<'_>], findings: &mut Findings) -> Vec<Rule> {
    let mut rules = vec![EVERYTHING];
    rules.extend(DEFAULT_RULES);
    for (n, rule) in user.iter().enumerate() {
        match Rule::parse(rule) {
            Err(problems) => {
                for problem in problems {
                    let at = format!("/linux/resources/devices/{n}/{}", problem.pointer);
                    findings.refuse(at, problem.sentence);
                }
            }
            // v1 takes "everything" as one word only: all kinds of some devices are two rules.
            Ok(rule)
                if rule.kind == Kind::All && rule != (Rule { allow: rule.allow, ..EVERYTHING }) =>
            {
                rules.extend([Kind::Block, Kind::Char].map(|kind| Rule { kind, ..rule }));
            }
            Ok(rule) if n == 0 && rule == EVERYTHING => {}
            Ok(rule) => rules.push(rule),
        }
    }
    rules
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deny_all_at_the_front_leaves_the_default_devices() {
        let user = [spec::DeviceRule { access: "rwm".into(), ..Default::default() }];
        let rules = rules(&user, &mut Findings::default());
        assert_eq!(rules.len(), DEFAULT_RULES.len() + 1);
        assert_eq!(rule_line(&rules[0]), "a");
        assert_eq!(rule_line(&rules[3]), "c 1:3 rwm");
    }

    #[test]
    fn the_users_rules_come_last() {
        let user = [spec::DeviceRule {
            allow: false,
            kind: "c".into(),
            major: Some(1),
            minor: Some(3),
            access: "w".into(),
        }];
        let rules = rules(&user, &mut Findings::default());
        assert_eq!(rules.last().map(rule_line), Some("c 1:3 w".to_owned()));
    }
}
