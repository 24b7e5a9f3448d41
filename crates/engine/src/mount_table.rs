//! The mounts of a process, as `/proc/PID/mountinfo` has them (proc_pid_mountinfo(5)).

use sys::Context;

use crate::error::Result;

/// One mount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    /// The mount's number.
    pub(crate) number: u32,
    /// The number of the mount that it is on.
    pub(crate) parent: u32,
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
    Ok(parse(&String::from_utf8_lossy(&bytes)))
}

/// The mounts in the text of such a file.
pub(crate) fn parse(table: &str) -> Vec<Entry> {
    table.lines().filter_map(entry).collect()
}

/// The mounts of a table that are on this one, or on others that are.
pub(crate) fn below(table: &[Entry], number: u32) -> Vec<&Entry> {
    let mut numbers = vec![number];
    let mut found = Vec::new();
    while let Some(above) = numbers.pop() {
        let next = table.iter().filter(|mount| mount.parent == above && mount.number != above);
        found.extend(next.clone());
        numbers.extend(next.map(|mount| mount.number));
    }
    found
}

impl Entry {
    /// Whether it is mounted over another, right on its root.
    pub(crate) fn covers(&self, other: &Entry) -> bool {
        self.parent == other.number && self.place == other.place
    }
}

fn entry(line: &str) -> Option<Entry> {
    let (mount, file_system) = line.split_once(" - ")?;
    let kind = file_system.split(' ').next()?.to_owned();
    let mut fields = mount.split(' ');
    let number = fields.next()?.parse().ok()?;
    let parent = fields.next()?.parse().ok()?;
    Some(Entry { number, parent, place: unescaped(fields.nth(2)?), kind })
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
    fn what_is_below_is_found_by_numbers() {
        let line =
            |number, parent, place| format!("{number} {parent} 0:1 / {place} rw - tmpfs t rw");
        let lines = [line(9, 8, "/a/b/c"), line(7, 1, "/a"), line(8, 7, "/a/b"), line(6, 1, "/x")];
        let table = parse(&(lines.join("\n") + "\n" + &line(5, 8, "/a/b")));
        let places: Vec<u32> = below(&table, 7).iter().map(|mount| mount.number).collect();
        assert_eq!(places, [8, 9, 5]);
        assert!(table[4].covers(&table[2]) && !table[0].covers(&table[2]));
    }

    #[test]
    fn a_line_with_and_without_optional_fields() {
        let line = "36 35 98:0 /mnt1 /a\\040b rw,noatime master:1 shared:2 - ext3 /dev/root rw";
        let expected = Entry { number: 36, parent: 35, place: "/a b".into(), kind: "ext3".into() };
        assert_eq!(entry(line), Some(expected));
        let line = "21 1 0:19 / /proc rw - proc proc rw";
        assert_eq!(
            entry(line),
            Some(Entry { number: 21, parent: 1, place: "/proc".into(), kind: "proc".into() })
        );
        assert_eq!(entry("no mount"), None);
        assert_eq!(unescaped("\\134040"), "\\040");
    }
}
