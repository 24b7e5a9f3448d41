//! `linux.sysctl`: only parameters that belong to a namespace of the container.

use crate::namespaces::{NamespaceKind, Namespaces};
use crate::refusal::Findings;

/// One kernel parameter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sysctl<'a> {
    /// Its name as configured, such as `net.ipv4.ip_forward`.
    pub name: &'a str,
    /// Its file, relative to `/proc/sys`.
    pub path: String,
    /// What is written to it.
    pub value: &'a str,
}

/// The parameters of an IPC namespace (ipc_namespaces(7)).
const IPC: [&str; 8] = [
    "kernel.msgmax",
    "kernel.msgmnb",
    "kernel.msgmni",
    "kernel.sem",
    "kernel.shmall",
    "kernel.shmmax",
    "kernel.shmmni",
    "kernel.shm_rmid_forced",
];

pub(crate) fn sysctls<'a>(
    linux: &'a spec::Linux<'a>,
    namespaces: &Namespaces<'_>,
    findings: &mut Findings,
) -> Vec<Sysctl<'a>> {
    let mut plan = Vec::with_capacity(linux.sysctl.len());
    for (name, value) in &linux.sysctl {
        let at = format!("/linux/sysctl/{}", spec::pointer_token(name));
        let path = path(name);
        if path.split('/').any(|part| matches!(part, "" | "." | "..")) {
            let sentence = format!("sysctl {:?} is not a name", name.as_str());
            findings.refuse(at, sentence, "such as net.ipv4.ip_forward");
            continue;
        }
        if let Err((sentence, hint)) = allowed(&path.replace('/', "."), name, namespaces) {
            findings.refuse(at, sentence, hint);
            continue;
        }
        plan.push(Sysctl { name, path, value });
    }
    plan
}

/// The file of a parameter: whichever of `.` and `/` comes first separates, the other is the
/// name's own (sysctl.d(5)): `net.ipv4.conf.eth0/1.mtu` is `net/ipv4/conf/eth0.1/mtu`.
fn path(name: &str) -> String {
    match name.find(['.', '/']) {
        Some(at) if name.as_bytes()[at] == b'.' => name
            .chars()
            .map(|c| {
                if c == '.' {
                    '/'
                } else if c == '/' {
                    '.'
                } else {
                    c
                }
            })
            .collect(),
        _ => name.to_owned(),
    }
}

/// Else what is wrong with it, and what would be right.
fn allowed(dotted: &str, name: &str, namespaces: &Namespaces<'_>) -> Result<(), (String, String)> {
    let ipc = IPC.contains(&dotted) || dotted.starts_with("fs.mqueue.");
    let kind = match dotted {
        _ if ipc => NamespaceKind::Ipc,
        _ if dotted.starts_with("net.") => NamespaceKind::Network,
        "kernel.domainname" => NamespaceKind::Uts,
        "kernel.hostname" => {
            let sentence = format!(
                "sysctl {name:?} is not allowed as it conflicts with the OCI \"hostname\" field"
            );
            return Err((sentence, "/hostname".to_owned()));
        }
        _ if dotted.starts_with("user.") => NamespaceKind::User,
        _ => {
            let sentence = format!("sysctl {name:?} is not in a separate kernel namespace");
            return Err((sentence, "set it on the host: it is for the whole machine".to_owned()));
        }
    };
    if namespaces.has(kind) {
        return Ok(());
    }
    let kind = kind.name();
    let sentence = format!("sysctl {name:?} is not allowed in the hosts {kind} namespace");
    Err((sentence, format!("{{ \"type\": \"{kind}\" }} in /linux/namespaces")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_separator_separates() {
        assert_eq!(path("net.ipv4.conf.eth0/1.mtu"), "net/ipv4/conf/eth0.1/mtu");
        assert_eq!(path("net/ipv4/ip_forward"), "net/ipv4/ip_forward");
    }
}
