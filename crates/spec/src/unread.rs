//! Properties that nobody reads. To ignore them is the specification's rule (config.md,
//! "Extensibility"), but who wrote `capabilites` did not mean that.

use serde_json::Value;

use crate::place::pointer_token;

/// A property of a configuration that these types don't have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unread {
    /// Where it is, as a JSON pointer.
    pub pointer: String,
    /// The property that may have been meant.
    pub meant: Option<String>,
}

/// The pointers to all properties that are read, a line each, `*` for a place in a list and a name in
/// a map. (To ask the types themselves, by writing what was read of them, is 45 KB of program: that
/// the two agree is held by a test.)
const READ: &str = include_str!("properties.txt");

/// Spellings that are read beside these (`resources.rs` says why): what is written, what it is.
const ALSO: [(&str, &str); 4] = [
    ("/linux/resources/CPU", "cpu"),
    ("/linux/resources/cpu/Cpus", "cpus"),
    ("/linux/resources/cpu/Mems", "mems"),
    ("/linux/resources/hugepageLimits/*/pagesize", "pageSize"),
];

/// What the specification has for other platforms.
const ELSEWHERE: [&str; 5] = ["/windows", "/solaris", "/vm", "/zos", "/freebsd"];

/// All that is in the document and that nobody reads.
pub fn unread(bytes: &[u8]) -> Vec<Unread> {
    let mut unread = Vec::new();
    if let Ok(document) = serde_json::from_slice(bytes) {
        look(&document, "", "", &mut unread);
    }
    unread.retain(|unread| !ELSEWHERE.contains(&&*unread.pointer));
    unread
}

/// The names that are read inside of what a line of [`READ`] names.
fn names<'r>(pattern: &'r str) -> impl Iterator<Item = &'static str> + 'r {
    let name = move |line: &'static str| line.strip_prefix(pattern)?.strip_prefix('/');
    READ.lines().filter_map(name).filter(|rest| !rest.contains('/'))
}

fn look(value: &Value, at: &str, pattern: &str, unread: &mut Vec<Unread>) {
    let into = |name: &str| format!("{pattern}/{name}");
    match value {
        Value::Object(members) => {
            let is_map = names(pattern).any(|name| name == "*");
            // What has no names that are known is not looked into.
            if names(pattern).next().is_none() {
                return;
            }
            for (name, value) in members {
                let pointer = format!("{at}/{}", pointer_token(name));
                let spelling = ALSO.iter().find(|(written, _)| *written == into(name));
                let spelled = spelling.map_or(name.as_str(), |(_, name)| name);
                if is_map {
                    look(value, &pointer, &into("*"), unread);
                } else if names(pattern).any(|known| known == spelled) {
                    look(value, &pointer, &into(spelled), unread);
                } else {
                    let others = names(pattern).filter(|known| !members.contains_key(*known));
                    let meant = others.min_by_key(|known| distance(name, known));
                    let near = |known: &&str| distance(name, known) <= 1 + known.len() / 5;
                    let meant = meant.filter(near).map(str::to_owned);
                    unread.push(Unread { pointer, meant });
                }
            }
        }
        Value::Array(list) => {
            for (n, value) in list.iter().enumerate() {
                look(value, &format!("{at}/{n}"), &into("*"), unread);
            }
        }
        _ => {}
    }
}

/// How many letters must be put in, taken out or changed; the case of letters is none.
fn distance(a: &str, b: &str) -> usize {
    let b = b.to_ascii_lowercase();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.to_ascii_lowercase().bytes().enumerate() {
        let mut diagonal = i;
        row[0] = i + 1;
        for (j, y) in b.bytes().enumerate() {
            let change = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = change.min(row[j] + 1).min(row[j + 1] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_read_is_found_with_what_was_meant() {
        let text = br#"{
            "ociVersion": "1.0.2", "hostName": "x", "windows": {}, "vendor": 1,
            "annotations": { "any": "thing" },
            "process": { "args": ["x"], "capabilites": {}, "oomScoreAdj": null },
            "mounts": [{ "destination": "/x", "option": ["ro"] }]
        }"#;
        let found: Vec<(String, Option<String>)> =
            unread(text).into_iter().map(|u| (u.pointer, u.meant)).collect();
        let expected = [
            ("/hostName", Some("hostname")),
            ("/mounts/0/option", Some("options")),
            ("/process/capabilites", Some("capabilities")),
            ("/vendor", None),
        ];
        let expected = expected.map(|(at, meant)| (at.to_owned(), meant.map(str::to_owned)));
        let mut found = found;
        found.sort();
        assert_eq!(found, expected);
    }

    /// Every structure once.
    const EACH: &str = r#"{
        "process": { "consoleSize": {}, "user": {}, "capabilities": {}, "rlimits": [{}],
            "scheduler": {}, "ioPriority": {}, "execCPUAffinity": {} },
        "root": {}, "annotations": { "*": "" },
        "mounts": [{ "uidMappings": [{ "containerID": 0, "hostID": 0, "size": 0 }],
                     "gidMappings": [{ "containerID": 0, "hostID": 0, "size": 0 }] }],
        "hooks": { "prestart": [{}], "createRuntime": [{}], "createContainer": [{}],
            "startContainer": [{}], "poststart": [{}], "poststop": [{}] },
        "linux": {
            "namespaces": [{}], "devices": [{}], "netDevices": { "*": {} }, "sysctl": { "*": "" },
            "uidMappings": [{ "containerID": 0, "hostID": 0, "size": 0 }],
            "gidMappings": [{ "containerID": 0, "hostID": 0, "size": 0 }],
            "timeOffsets": { "*": {} }, "personality": {}, "intelRdt": {}, "memoryPolicy": {},
            "seccomp": { "syscalls": [{ "args": [{}] }] },
            "resources": { "devices": [{}], "memory": {}, "cpu": {}, "pids": {}, "network": {
                "priorities": [{}] }, "hugepageLimits": [{}], "rdma": { "*": {} },
                "unified": { "*": "" }, "blockIO": { "weightDevice": [{}],
                "throttleReadBpsDevice": [{}], "throttleWriteBpsDevice": [{}],
                "throttleReadIOPSDevice": [{}], "throttleWriteIOPSDevice": [{}] } }
        } }"#;

    fn pointers(value: &Value, at: &str, lines: &mut Vec<String>) {
        let mut inside = |name: &str, value: &Value| {
            let pointer = format!("{at}/{name}");
            pointers(value, &pointer, lines);
            lines.push(pointer);
        };
        match value {
            Value::Object(members) => members.iter().for_each(|(name, v)| inside(name, v)),
            Value::Array(list) => list.iter().for_each(|value| inside("*", value)),
            _ => {}
        }
    }

    #[test]
    fn the_list_is_what_the_types_read() {
        let config: crate::Spec<'_> = crate::parse(EACH.as_bytes()).unwrap();
        let mut lines = Vec::new();
        pointers(&serde_json::to_value(&config).unwrap(), "", &mut lines);
        lines.sort();
        lines.dedup();
        let list: Vec<&str> = READ.lines().collect();
        assert_eq!(lines, list, "properties.txt is to be:\n{}", lines.join("\n"));
    }

    #[test]
    fn other_spellings_are_read_and_known() {
        let text = br#"{ "linux": { "resources": { "cpu": { "mems": "1", "shares": 3 },
            "CPU": { "Cpus": "0", "Mems": "2", "Shares": 2, "period": 4 },
            "hugepageLimits": [{ "pagesize": "2MB", "limit": 4 }] } } }"#;
        let config: crate::Spec<'_> = crate::parse(text).unwrap();
        let resources = config.linux.unwrap().resources.unwrap();
        let cpu = resources.cpu.unwrap();
        assert_eq!((&*cpu.cpus, &*cpu.mems, cpu.shares, cpu.period), ("0", "1", Some(3), Some(4)));
        assert_eq!(&*resources.hugepage_limits[0].page_size, "2MB");
        let meant = Some("shares".to_owned());
        assert_eq!(unread(text), [Unread { pointer: "/linux/resources/CPU/Shares".into(), meant }]);
    }

    #[test]
    fn distances() {
        assert_eq!(distance("hostName", "hostname"), 0);
        assert_eq!(distance("option", "options"), 1);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("abc", "xbz"), 2);
    }
}
