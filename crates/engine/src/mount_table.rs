//! The mounts of a process, as `/proc/PID/mountinfo` has them (proc_pid_mountinfo(5)).

use sys::Context;

use crate::error::Result;

/// One mount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Where it is mounted, from the process's root.
    pub(crate) place: String,
    /// Its file system's type.
    pub(crate) kind: String,
}

/// The mounts of process `pid`, in the order in which the kernel has them.
pub(crate) fn of(pid: i32) -> Result<Vec<Entry>> {
    read(format!("/proc/{pid}/mountinfo"))
}

/// The same of the calling process.
pub(crate) fn own() -> Result<Vec<Entry>> {
    read("/proc/self/mountinfo".to_owned())
}

fn read(path: String) -> Result<Vec<Entry>> {
    let bytes = std::fs::read(&path).at("read", path)?;
    Ok(String::from_utf8_lossy(&bytes).lines().filter_map(entry).collect())
}

fn entry(line: &str) -> Option<Entry> {
    let (mount, file_system) = line.split_once(" - ")?;
    let kind = file_system.split(' ').next()?.to_owned();
    Some(Entry { place: unescaped(mount.split(' ').nth(4)?), kind })
}

/// Space, tab, line feed and backslash are octal numbers there.
fn unescaped(text: &str) -> String {
    let mut plain = text.to_owned();
    for (octal, character) in [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")] {
        if plain.contains(octal) {
            plain = plain.replace(octal, character);
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_with_and_without_optional_fields() {
        let line = "36 35 98:0 /mnt1 /a\\040b rw,noatime master:1 shared:2 - ext3 /dev/root rw";
        let expected = Entry { place: "/a b".into(), kind: "ext3".into() };
        assert_eq!(entry(line), Some(expected));
        let line = "21 1 0:19 / /proc rw - proc proc rw";
        assert_eq!(entry(line), Some(Entry { place: "/proc".into(), kind: "proc".into() }));
        assert_eq!(entry("no mount"), None);
        assert_eq!(unescaped("\\134040"), "\\040");
    }
}
