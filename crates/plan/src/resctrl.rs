//! `linux.intelRdt`: the container's group in the resctrl file system, which has a share of the caches
//! and of the memory's bandwidth (the kernel's Documentation/filesystems/resctrl.rst).

use crate::Host;
use crate::refusal::Findings;

/// The group that the container's processes get into.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resctrl {
    /// Where the file system is mounted.
    pub mount: String,
    /// Its directory.
    pub group: String,
    /// Whether it has to be made.
    pub makes: bool,
    /// Whether `delete` removes it: made for this container alone.
    pub removes: bool,
    /// What is written to its `schemata`, in order: whole lines.
    pub schemata: Vec<String>,
    /// The directory of the container's monitoring group, to be made and removed.
    pub monitor: Option<String>,
}

/// What there is of the resctrl file system. Asked only for a configuration that needs it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum HostResctrl {
    /// This kernel has none, on this machine.
    #[default]
    None,
    /// Nobody has mounted it.
    Unmounted,
    /// It is mounted.
    Mounted(ResctrlMount),
}

/// A mounted resctrl file system, and the group that is to be the container's.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ResctrlMount {
    /// Where.
    pub place: String,
    /// Whether shares of the L3 cache can be given (`info/L3`).
    pub cache: bool,
    /// Whether bandwidth can be given: then its steps, in percent (`info/MB/bandwidth_gran`).
    pub bandwidth: Option<u64>,
    /// Whether it counts (`info/L3_MON`).
    pub monitors: bool,
    /// The group's `schemata`, if there is such a group.
    pub group: Option<String>,
}

/// The name of the group; empty for the root, which is every process's at first.
pub fn resctrl_group<'a>(rdt: &'a spec::IntelRdt<'a>, id: &'a str) -> &'a str {
    match &*rdt.clos_id {
        "" => id,
        "/" => "",
        name => name,
    }
}

pub(crate) fn resctrl(
    linux: &spec::Linux<'_>,
    id: &str,
    host: &Host<'_>,
    findings: &mut Findings,
) -> Option<Resctrl> {
    let rdt = linux.intel_rdt.as_ref()?;
    check_texts(rdt, id, findings);
    let at = "/linux/intelRdt";
    let mount = match &host.resctrl {
        HostResctrl::None => {
            let hint = "nothing: leave it out, or a machine that shares out its caches";
            findings.refuse(at, "this kernel has no resctrl file system", hint);
            return None;
        }
        HostResctrl::Unmounted => {
            let hint = "`mount -t resctrl resctrl /sys/fs/resctrl` on the host";
            findings.refuse(at, "the resctrl file system is not mounted", hint);
            return None;
        }
        HostResctrl::Mounted(mount) => mount,
    };
    check_host(rdt, id, mount, findings);
    let name = resctrl_group(rdt, id);
    let group = match name {
        "" => mount.place.clone(),
        name => format!("{}/{name}", mount.place),
    };
    let makes = mount.group.is_none();
    let monitor = rdt.enable_monitoring.then(|| format!("{group}/mon_groups/{id}"));
    // In the specification's order, so that the last word is that of `schemata`; which are one write,
    // of which the kernel takes all or nothing.
    let lines = rdt.schemata.iter().map(|line| format!("{line}\n")).collect::<String>();
    let first = [&rdt.l3_cache_schema, &rdt.mem_bw_schema].map(|line| format!("{line}\n"));
    let all = first.into_iter().chain([lines]);
    let schemata = all.filter(|text| !text.trim_end().is_empty()).collect();
    let removes = makes && rdt.clos_id.is_empty();
    Some(Resctrl { mount: mount.place.clone(), group, makes, removes, schemata, monitor })
}

/// What is wrong on any host.
fn check_texts(rdt: &spec::IntelRdt<'_>, id: &str, findings: &mut Findings) {
    /// The kernel's own directories in a group.
    const RESERVED: [&str; 5] = [".", "..", "info", "mon_data", "mon_groups"];
    let at = "/linux/intelRdt";
    let name = resctrl_group(rdt, id);
    if RESERVED.contains(&name) || name.contains(['/', '\n']) {
        let sentence = format!("{name:?} is no name for a group");
        findings.refuse(format!("{at}/closID"), sentence, "a plain name, or / for the root");
    }
    let bandwidth = &rdt.mem_bw_schema;
    if !bandwidth.is_empty() && (!bandwidth.starts_with("MB:") || bandwidth.contains('\n')) {
        let sentence = "must be one line that begins with \"MB:\"";
        findings.refuse(format!("{at}/memBwSchema"), sentence, "MB:0=20;1=70");
    }
    for (n, line) in rdt.schemata.iter().enumerate() {
        if line.is_empty() || line.contains('\n') {
            let hint = "L3:0=7f0;1=1f";
            findings.refuse(format!("{at}/schemata/{n}"), "must be one line", hint);
        }
    }
}

/// What this host can't do, or has otherwise.
fn check_host(rdt: &spec::IntelRdt<'_>, id: &str, mount: &ResctrlMount, findings: &mut Findings) {
    let at = |field: &str| format!("/linux/intelRdt/{field}");
    let none = "nothing: leave it out";
    if !rdt.l3_cache_schema.is_empty() && !mount.cache {
        let sentence = "this machine has no shares of the L3 cache to give";
        findings.refuse(at("l3CacheSchema"), sentence, none);
    }
    if !rdt.mem_bw_schema.is_empty() && mount.bandwidth.is_none() {
        let sentence = "this machine has no shares of memory bandwidth to give";
        findings.refuse(at("memBwSchema"), sentence, none);
    }
    if rdt.enable_monitoring && !mount.monitors {
        findings.refuse(at("enableMonitoring"), "this machine does not count", none);
    }
    if rdt.clos_id.is_empty() {
        return;
    }
    let name = resctrl_group(rdt, id);
    let lines = [("l3CacheSchema", &rdt.l3_cache_schema), ("memBwSchema", &rdt.mem_bw_schema)];
    let given = lines.iter().any(|(_, line)| !line.is_empty()) || !rdt.schemata.is_empty();
    match &mount.group {
        None if !given => {
            let sentence = format!("there is no group {name:?}, and no schema to make it with");
            let hint = "a group of the host's, or schemata for a new one";
            findings.refuse(at("closID"), sentence, hint);
        }
        None => {}
        Some(schemata) => {
            for (field, line) in lines {
                if !line.is_empty() && !agrees(line, schemata, mount.bandwidth.unwrap_or(1)) {
                    let sentence = format!("the group {:?} has another", rdt.clos_id);
                    let hint = schemata.lines().map(str::trim).collect::<Vec<_>>().join(" ");
                    findings.refuse(at(field), sentence, format!("none, or as in {hint}"));
                }
            }
        }
    }
}

/// Whether a group's `schemata` has what all lines of `wanted` say. Bandwidth is kept in steps: what is
/// written is rounded up.
fn agrees(wanted: &str, schemata: &str, steps: u64) -> bool {
    wanted.lines().all(|line| {
        let Some((resource, wanted)) = shares(line) else { return false };
        let mut found = schemata.lines().filter_map(shares).filter(|(name, _)| *name == resource);
        let Some((_, found)) = found.next() else { return false };
        let value = |text: &str| match resource {
            "MB" => text.parse::<u64>().ok().map(|percent| percent.next_multiple_of(steps.max(1))),
            _ => u64::from_str_radix(text.trim_start_matches("0x"), 16).ok(),
        };
        wanted.iter().all(|(domain, share)| {
            let other = found.iter().find(|(other, _)| other == domain);
            other.is_some_and(|(_, other)| value(share).is_some() && value(share) == value(other))
        })
    })
}

/// The resource of a line such as `L3:0=ff;1=c0`, and what of it each domain has.
fn shares(line: &str) -> Option<(&str, Vec<(u32, &str)>)> {
    let (resource, shares) = line.split_once(':')?;
    let shares = shares.split(';').map(|share| {
        let (domain, value) = share.split_once('=')?;
        Some((domain.trim().parse().ok()?, value.trim()))
    });
    Some((resource.trim(), shares.collect::<Option<_>>()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_agrees_with_what_its_schemata_say() {
        let schemata = "    MB:0=100;1= 70\n    L3:0=007ff;1=0001f\n";
        for wanted in ["L3:0=7ff", "L3:1=1f;0=7FF", "L3:0=0x7ff", "MB:0=100", "MB:1=61;0=95"] {
            assert!(agrees(wanted, schemata, 10), "{wanted}");
        }
        for wanted in ["L3:0=ff", "L3:2=7ff", "L2:0=f", "MB:0=90", "L3:0", "L3", "MB:0=x"] {
            assert!(!agrees(wanted, schemata, 10), "{wanted}");
        }
        // Also the second of two lines.
        assert!(!agrees("L3:0=7ff\nMB:0=10", schemata, 10));
    }
}
