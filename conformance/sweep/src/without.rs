//! Being an older kernel: what it lacks answers as it would there, to a program and to all that it starts.
//!
//! A filter (seccomp(2)) sees a call's number and arguments, and not what they point to, nor what a
//! descriptor is of. So the table says of each feature what can honestly be shown by that.

use std::collections::BTreeMap;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

use bpf::seccomp::{self, Arch, Filter};
use serde::Deserialize;
use spec::{Seccomp, SyscallArg, SyscallRule, Text};

use crate::Result;

/// The first word of a command line that asks this program to become another one, without some features.
pub(crate) const DOOR: &str = "--be-without";

/// The name of all features together.
pub(crate) const ALL: &str = "all";

/// All features, and since when Linux has them.
const TABLE: &str = include_str!("../without.toml");

/// A thing that kernels have since some version.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Feature {
    /// What it is called on the command line.
    pub(crate) name: String,
    /// What it is called in `docs/kernel-features.md`.
    #[cfg_attr(not(test), expect(dead_code, reason = "the page's, which a test compares"))]
    title: String,
    /// The first version that has it, without patches of a distribution's.
    #[cfg_attr(not(test), expect(dead_code, reason = "the page's, which a test compares"))]
    linux: String,
    /// What tare does with it.
    #[cfg_attr(not(test), expect(dead_code, reason = "the page's, which a test compares"))]
    used_for: String,
    /// What holds without it.
    #[cfg_attr(not(test), expect(dead_code, reason = "the page's, which a test compares"))]
    without: String,
    /// What the kernel answers then.
    rules: Vec<Rule>,
}

/// Tests that can't hold, and why.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Listed {
    tests: Vec<String>,
    /// Without any of these features; [`ALL`]: only without all of them. Nothing: whatever is missing.
    without: Vec<String>,
    reason: String,
    /// It holds again without all of them.
    #[serde(default)]
    alone: bool,
}

/// Calls that fail.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Rule {
    calls: Vec<String>,
    /// The number; `ENOSYS` if not said.
    #[serde(default = "enosys")]
    errno: u32,
    /// Only with an argument like that: its index, an operator, one or two values.
    argument: Option<(u32, String, u64, u64)>,
}

/// The whole table.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Table {
    /// In the order of the page.
    #[serde(rename = "feature")]
    pub(crate) features: Vec<Feature>,
    listed: Vec<Listed>,
}

impl Table {
    /// Why tests can't hold without a feature, or without [`ALL`].
    pub(crate) fn listed(&self, name: &str) -> BTreeMap<&str, &str> {
        let is_for = |row: &&Listed| {
            row.without.is_empty()
                || (name == ALL && !row.alone)
                || row.without.iter().any(|one| one == name)
        };
        let rows = self.listed.iter().filter(is_for);
        rows.flat_map(|row| row.tests.iter().map(|test| (test.as_str(), row.reason.as_str())))
            .collect()
    }
}

fn enosys() -> u32 {
    libc::ENOSYS as u32
}

/// What there is.
pub(crate) fn table() -> Result<Table> {
    toml::from_str(TABLE).map_err(|error| format!("without.toml: {error}"))
}

/// Becomes a program, without some features: the first word has their names, the others are the program.
pub(crate) fn be_without(words: &[String]) -> ExitCode {
    let [names, program, arguments @ ..] = words else { return ExitCode::from(2) };
    let names: Vec<&str> = names.split(',').collect();
    let error = match table().and_then(|table| filter(&table, &names)).and_then(|filter| {
        // Not by no_new_privs, which the container would have, too: root may load it as it is.
        sys::seccomp_set_filter(&filter.instructions(), 0).map_err(|error| error.to_string())
    }) {
        Err(error) => error,
        Ok(_) => Command::new(program).args(arguments).exec().to_string(),
    };
    eprintln!("sweep: {program}: {error}");
    ExitCode::from(2)
}

/// The filter that takes these features away.
fn filter(table: &Table, names: &[&str]) -> Result<Filter> {
    let mut rules = Vec::new();
    for name in names {
        let feature = table.features.iter().find(|feature| feature.name == *name);
        let feature = feature.ok_or_else(|| format!("{name}: no such feature"))?;
        rules.extend(feature.rules.iter().map(rule));
    }
    // Of two rules for a call the one without a condition counts.
    let profile = Seccomp {
        default_action: "SCMP_ACT_ALLOW".into(),
        architectures: ARCHITECTURES.iter().map(|name| Text::new(name)).collect(),
        syscalls: rules,
        ..Seccomp::default()
    };
    match seccomp::compile(&profile, NATIVE) {
        Ok(Some(filter)) => Ok(filter),
        Ok(None) => Err("no features".to_owned()),
        Err(problems) => Err(format!("without.toml: {problems:?}")),
    }
}

#[cfg(target_arch = "x86_64")]
const NATIVE: Arch = Arch::X86_64;
#[cfg(target_arch = "aarch64")]
const NATIVE: Arch = Arch::Aarch64;
/// What this machine can run, too.
#[cfg(target_arch = "x86_64")]
const ARCHITECTURES: [&str; 2] = ["SCMP_ARCH_X86", "SCMP_ARCH_X32"];
#[cfg(target_arch = "aarch64")]
const ARCHITECTURES: [&str; 1] = ["SCMP_ARCH_ARM"];

fn rule(rule: &Rule) -> SyscallRule<'_> {
    let argument = rule.argument.iter().map(|(index, op, value, value_two)| SyscallArg {
        index: *index,
        value: *value,
        value_two: *value_two,
        op: Text::new(op),
    });
    SyscallRule {
        names: rule.calls.iter().map(|name| Text::new(name)).collect(),
        action: "SCMP_ACT_ERRNO".into(),
        errno_ret: Some(rule.errno),
        args: argument.collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bpf::interpret::{Data, run};

    fn row(feature: &Feature) -> String {
        let Feature { title, linux, used_for, without, .. } = feature;
        format!("| {title} | {linux} | {used_for} | {without} |")
    }

    #[test]
    fn the_page_has_the_tables_rows_and_no_others() {
        let page = include_str!("../../../docs/kernel-features.md");
        let swept = page.split("\n## ").find(|part| part.starts_with("Swept")).unwrap();
        let rows = swept.lines().filter(|line| line.starts_with("| ")).skip(1);
        let table = table().unwrap();
        let expected: Vec<String> = table.features.iter().map(row).collect();
        assert_eq!(rows.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn each_feature_compiles_and_all_together() {
        let table = table().unwrap();
        let all: Vec<&str> = table.features.iter().map(|feature| feature.name.as_str()).collect();
        for name in &all {
            filter(&table, &[name]).unwrap();
        }
        filter(&table, &all).unwrap();
        filter(&table, &["openat3"]).unwrap_err();
    }

    #[test]
    fn what_is_listed_is_so_for_a_feature_that_there_is() {
        let table = table().unwrap();
        let known = |name: &String| name == ALL || table.features.iter().any(|f| f.name == *name);
        for row in &table.listed {
            assert!(row.without.iter().all(known) && !row.reason.is_empty(), "{row:?}");
        }
        assert!(table.listed("pidfd_getfd").contains_key("seccomp/listener"));
        let threads = |name| table.listed(name).contains_key("cgroups/threads-counted");
        assert_eq!([threads("CLONE_INTO_CGROUP"), threads(ALL)], [true, false]);
        assert!(!table.listed("openat2").contains_key("seccomp/listener"));
        assert!(table.listed("openat2").contains_key("seccomp/none"));
    }

    #[test]
    fn a_condition_is_on_an_argument() {
        let table = table().unwrap();
        let answer = |feature, number: libc::c_long, args| {
            let filter = filter(&table, &[feature]).unwrap();
            let data = Data { number: number as u32, arch: NATIVE, args };
            run(&filter.program, &data).unwrap().action
        };
        let (allow, fail) = (0x7fff_0000, 0x0005_0000);
        let pid = [libc::P_PID.into(), 1, 0, 0, 0, 0];
        let pidfd = [libc::P_PIDFD.into(), 1, 0, 0, 0, 0];
        assert_eq!(answer("P_PIDFD", libc::SYS_waitid, pid), allow);
        assert_eq!(answer("P_PIDFD", libc::SYS_waitid, pidfd), fail | libc::EINVAL as u32);
        assert_eq!(answer("clone3", libc::SYS_clone3, [0; 6]), fail | libc::ENOSYS as u32);
        let size = |size| [0, size, 0, 0, 0, 0];
        assert_eq!(answer("CLONE_INTO_CGROUP", libc::SYS_clone3, size(64)), allow);
        let too_big = fail | libc::E2BIG as u32;
        assert_eq!(answer("CLONE_INTO_CGROUP", libc::SYS_clone3, size(88)), too_big);
    }
}
