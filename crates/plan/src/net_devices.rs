//! `linux.netDevices`: the host's network devices that move into the container.

use crate::namespaces::{NamespaceKind, Namespaces};
use crate::refusal::Findings;
use crate::{Command, Host, Options};

/// A network device that moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NetDevice<'a> {
    /// Its name on the host.
    pub host_name: &'a str,
    /// Its name inside; for a `%d` in it the kernel puts a number.
    pub name: &'a str,
}

pub(crate) fn net_devices<'a>(
    linux: &'a spec::Linux<'a>,
    namespaces: &Namespaces<'_>,
    host: &Host<'_>,
    options: &Options<'_>,
    findings: &mut Findings,
) -> Vec<NetDevice<'a>> {
    let mut plan: Vec<NetDevice<'a>> = Vec::with_capacity(linux.net_devices.len());
    // A restored container has its devices: in its network namespace, or in the images.
    if linux.net_devices.is_empty() || options.command == Command::Restore {
        return plan;
    }
    let at = "/linux/netDevices";
    if !namespaces.has(NamespaceKind::Network) {
        let sentence = "unable to move network devices without a NET namespace";
        findings.refuse(at, sentence, "a network namespace in /linux/namespaces");
    }
    if host.unprivileged {
        let sentence = "network devices are not supported for rootless containers";
        findings.refuse(at, sentence, "nothing: a user owns no device");
    }
    for (host_name, device) in &linux.net_devices {
        let at = format!("{at}/{}", spec::pointer_token(host_name));
        let name = if device.name.is_empty() { host_name } else { &device.name };
        for (name, at) in [(host_name, &at), (name, &format!("{at}/name"))] {
            if !is_name(name) || name == host_name && name.contains('%') {
                let hint = "1 to 15 bytes without blanks, / and :, for a new name with one %d";
                findings.refuse(at, format!("invalid network device name {name:?}"), hint);
                break;
            }
        }
        if plan.iter().any(|other| other.name == name.as_str() && !name.contains('%')) {
            let sentence = format!("two network devices would have the name {name:?}");
            findings.refuse(format!("{at}/name"), sentence, "a name of its own for each");
        }
        if host.absent_devices.iter().any(|absent| absent == host_name.as_str()) {
            let sentence = format!("link not found for interface {host_name} on runtime namespace");
            findings.refuse(&at, sentence, "one that `ip link` lists");
        }
        plan.push(NetDevice { host_name, name });
    }
    plan
}

/// What the kernel takes as a name (`dev_valid_name`), or as the pattern of one.
fn is_name(name: &str) -> bool {
    /// `IFNAMSIZ`, which has room for a terminating 0.
    const SIZE: usize = 16;
    let pattern = match name.split_once('%') {
        Some((_, rest)) => rest.starts_with('d') && !rest.contains('%'),
        None => true,
    };
    let bad = |byte: u8| matches!(byte, b'/' | b':') || byte.is_ascii_whitespace() || byte == 0x0b;
    (1..SIZE).contains(&name.len())
        && pattern
        && name != "."
        && name != ".."
        && !name.bytes().any(bad)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_the_kernels() {
        for name in ["eth0", "a", "eth%d", "wlp3s0.100", "123456789012345", "%d"] {
            assert!(is_name(name), "{name}");
        }
        for name in
            ["", ".", "..", "a/b", "a:b", "a b", "a\tb", "1234567890123456", "e%s", "%d%d", "%"]
        {
            assert!(!is_name(name), "{name}");
        }
    }
}
