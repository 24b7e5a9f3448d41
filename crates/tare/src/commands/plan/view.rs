//! A plan as a document: every part of it by its name, numbers of the kernel as the names that
//! people know. In the order in which things are done.
//!
//! Every structure is taken apart without `..`: what is added to a plan is added here, or this does
//! not compile.

use bpf::seccomp::Arch;
use engine::Prospect;
use nix::errno::Errno;
use plan::{
    Agent, Attributes, Capabilities, CgroupDriver, CgroupPlan, CpuAffinity, Create, DeviceNode,
    DeviceRules, DeviceSource, HookKind, Hooks, IdMap, Join, Label, MappedBy, MemoryPolicy, Mount,
    Namespaces, NetDevice, NumberSet, Policies, Process, Propagation, Resctrl, Rlimit, Root,
    Scheduler, Seccomp, Sysctl, Terminal, UnitPlan, What, names,
};
use serde::Serialize;
use serde_json::{Map, Value};

/// An object by `json!`'s syntax. Made by one loop, which is a third of that macro's code.
macro_rules! object {
    ({ $($name:literal : $value:expr),* $(,)? }) => {
        object(&mut [$(($name, value(&$value))),*])
    };
}

fn object(members: &mut [(&str, Value)]) -> Value {
    let members = members.iter_mut().map(|(name, value)| ((*name).to_owned(), value.take()));
    Value::Object(members.collect::<Map<_, _>>())
}

/// Plans have no values that JSON can't have.
fn value(value: &(impl Serialize + ?Sized)) -> Value {
    serde_json::to_value(value).unwrap_or_default()
}

/// The whole plan.
pub(super) fn of(plan: &Create<'_>, prospect: &Prospect) -> Value {
    let Create {
        id,
        bundle,
        root,
        namespaces,
        hostname,
        domainname,
        sysctls,
        net_devices,
        mounts,
        mount_label,
        device_source,
        devices,
        masked_paths,
        readonly_paths,
        cgroup,
        resctrl,
        process,
        seccomp,
        policies,
        new_keyring,
        hooks,
        pidfd_receiver,
        annotations,
        rootless,
        warnings,
    } = plan;
    let at = |kinds: &[HookKind]| hooks_of(hooks, kinds);
    object!({
        "container": object!({
            "id": id, "bundle": bundle, "rootless": rootless, "annotations": annotations,
        }),
        "warnings": warnings,
        "cgroup": cgroup_of(cgroup, prospect),
        "devices allowed": device_rules(&cgroup.devices, &cgroup.own_devices, prospect),
        "namespaces": namespaces_of(namespaces),
        "limits": writes(prospect),
        "limits ignored": prospect.ignored.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "root": root_of(root),
        "session": object!({
            "keyring": if *new_keyring { "new" } else { "the caller's" },
            "hostname": hostname,
            "domainname": domainname,
        }),
        "sysctl": sysctls.iter().map(sysctl).collect::<Vec<_>>(),
        "network devices": net_devices.iter().map(net_device).collect::<Vec<_>>(),
        "mounts": mounts.iter().map(mount).collect::<Vec<_>>(),
        "mount label": match mount_label.context {
            "" => String::new(),
            context => format!("{}={context}", mount_label.option),
        },
        "devices": nodes(*device_source, devices),
        "hooks in create": at(&[
            HookKind::Prestart,
            HookKind::CreateRuntime,
            HookKind::CreateContainer,
        ]),
        "paths read-only": readonly_paths,
        "paths masked": masked_paths,
        "process": process_of(process, policies),
        "shares of caches and bandwidth": resctrl.as_ref().map(resctrl_of),
        "capabilities": capabilities(process.capabilities),
        "pidfd receiver": pidfd_receiver,
        "hooks in start": at(&[HookKind::StartContainer, HookKind::Poststart]),
        "seccomp": seccomp.as_ref().map(seccomp_of),
        "hooks in delete": at(&[HookKind::Poststop]),
    })
}

fn cgroup_of(plan: &CgroupPlan<'_>, prospect: &Prospect) -> Value {
    // The limits and the rules have their own places.
    let CgroupPlan { path, driver, owner, delegated, resources: _, devices: _, own_devices: _ } =
        plan;
    let Prospect { cgroup, limits: _, devices: _, device_program: _, unit, ignored: _ } = prospect;
    let directories = directories(cgroup)
        .into_iter()
        .map(|(names, path)| object!({ "hierarchy": names, "directory": path }));
    let (by, unit) = match driver {
        CgroupDriver::Files => ("tare", Value::Null),
        CgroupDriver::Disabled => ("nobody: none is made", Value::Null),
        CgroupDriver::Systemd(UnitPlan { unit: which, annotations, subgroup }) => {
            let set = |property: &cgroup::systemd::Property| {
                let own = annotations.iter().any(|other| other == property);
                let cgroup::systemd::Property { name, value } = property;
                object!({
                    "property": name,
                    "value": value.to_string(),
                    "from": if own { "annotation" } else { "" },
                })
            };
            let unit = object!({
                "name": which.name(),
                "slice": which.slice(),
                "the container's cgroup below it": subgroup,
                "manager": match which.instance() {
                    cgroup::systemd::Instance::System => "system",
                    cgroup::systemd::Instance::User => "user",
                },
                "properties": unit.iter().map(set).collect::<Vec<_>>(),
            });
            ("systemd", unit)
        }
    };
    object!({
        "made by": by,
        "cgroupsPath": path,
        "given on v2 to user": owner,
        "the process's cgroup below it": delegated,
        "unit": unit,
        "directories": directories.collect::<Vec<_>>(),
    })
}

/// The cgroup's directories, each by its controllers.
fn directories(cgroup: &cgroup::Cgroup) -> Vec<(String, &str)> {
    let mut directories: Vec<(String, &str)> = Vec::new();
    for (name, path) in cgroup.paths() {
        let name = if name.is_empty() { "cgroup2" } else { name };
        match directories.iter_mut().find(|(_, known)| *known == path) {
            Some((names, _)) => {
                names.push(',');
                names.push_str(name);
            }
            None => directories.push((name.to_owned(), path)),
        }
    }
    directories
}

/// Files are named below the directory of their hierarchy.
fn writes(prospect: &Prospect) -> Vec<Value> {
    let directories = directories(&prospect.cgroup);
    let one = |write: &cgroup::Write| {
        let cgroup::Write { file, value, or } = write;
        let found = directories.iter().find_map(|(hierarchy, path)| {
            Some((hierarchy.as_str(), file.strip_prefix(path)?.strip_prefix('/')?))
        });
        let (hierarchy, file) = found.unwrap_or(("", file));
        let or = or.as_ref().map(|(file, value)| format!("{file} = {value}"));
        object!({ "hierarchy": hierarchy, "file": file, "value": value, "or, without it": or })
    };
    prospect.limits.iter().map(one).collect()
}

fn device_rules(rules: &DeviceRules, own: &[bpf::devices::Rule], prospect: &Prospect) -> Value {
    let DeviceRules { rules, table } = rules;
    let text =
        |rules: &[bpf::devices::Rule]| rules.iter().map(ToString::to_string).collect::<Vec<_>>();
    let table = table.to_string();
    object!({
        "in all": table.split(';').filter(|line| !line.ends_with(" -")).collect::<Vec<_>>(),
        "rules": text(rules),
        "kept by update": text(own),
        "program": prospect.device_program.map(|length| format!("{length} eBPF instructions")),
        "written": prospect.devices.iter().map(written).collect::<Vec<_>>(),
    })
}

/// `devices.allow c 1:3 rwm`
fn written(write: &cgroup::Write) -> String {
    let cgroup::Write { file, value, or: _ } = write;
    format!("{} {value}", file.rsplit('/').next().unwrap_or_default())
}

fn namespaces_of(plan: &Namespaces<'_>) -> Value {
    let Namespaces { new, join, uid_map, gid_map, time_offsets } = plan;
    let joined = |join: &Join<'_>| {
        let Join { index, kind, path } = join;
        object!({ "type": kind.name(), "path": path, "place": format!("/linux/namespaces/{index}") })
    };
    object!({
        "new": new.iter().map(|kind| kind.name()).collect::<Vec<_>>(),
        "joined": join.iter().map(joined).collect::<Vec<_>>(),
        "uid map": id_map(uid_map),
        "gid map": id_map(gid_map),
        "clocks ahead": time_offsets.lines().collect::<Vec<_>>(),
    })
}

fn id_map(map: &[spec::IdMapping]) -> Vec<Value> {
    let line = |line: &spec::IdMapping| {
        let spec::IdMapping { container_id, host_id, size } = line;
        object!({ "inside": container_id, "outside": host_id, "count": size })
    };
    map.iter().map(line).collect()
}

fn root_of(root: &Root<'_>) -> Value {
    let Root { path, readonly, propagation, no_pivot } = root;
    object!({
        "directory": path,
        "read-only": readonly,
        "propagation": propagation.map(Propagation::name),
        "becomes / by": if *no_pivot { "MS_MOVE and chroot" } else { "pivot_root" },
    })
}

fn sysctl(sysctl: &Sysctl<'_>) -> Value {
    let Sysctl { name, path, value } = sysctl;
    object!({ "name": name, "file": format!("/proc/sys/{path}"), "value": value })
}

fn attributes(attributes: Attributes, recursive: bool) -> Vec<&'static str> {
    // Both fields are in the names.
    let Attributes { set: _, clear: _ } = attributes;
    attributes.names(recursive).collect()
}

fn mount(mount: &Mount<'_>) -> Value {
    let Mount { index, destination, what, id_map, propagation, recursive } = mount;
    let flags = |flags: &u64| plan::flag_names(*flags).collect::<Vec<_>>();
    let (kind, source, mut options, data) = match what {
        What::Bind { source, recursive, attributes: own } => {
            let kind = if *recursive { "rbind" } else { "bind" };
            (kind, &**source, attributes(own.unlocked(), false), "")
        }
        What::Filesystem { kind, source, flags: own, data, copy_up } => {
            let mut options = flags(own);
            options.extend(copy_up.then_some("tmpcopyup"));
            (*kind, *source, options, data.as_str())
        }
        What::Cgroup { flags: own } => ("cgroup", "the container's own", flags(own), ""),
        What::Remount { flags: own, data } => ("remount", "", flags(own), data.as_str()),
    };
    options.extend(attributes(*recursive, true));
    options.extend(propagation.iter().map(|propagation| propagation.name()));
    object!({
        "n": index,
        "destination": destination,
        "type": kind,
        "source": source,
        "options": options.join(","),
        "data": data,
        "ids mapped": id_map.as_ref().map(mapped),
    })
}

fn mapped(map: &IdMap<'_>) -> String {
    let IdMap { by, recursive } = map;
    let lines = |map: &[spec::IdMapping]| {
        let line = |line: &spec::IdMapping| {
            let spec::IdMapping { container_id, host_id, size } = line;
            format!("{container_id}:{host_id}:{size}")
        };
        map.iter().map(line).collect::<Vec<_>>().join("+")
    };
    let by = match by {
        MappedBy::Lines { uids, gids } => format!("uids {} gids {}", lines(uids), lines(gids)),
        MappedBy::Namespace(path) => format!("by {path}"),
    };
    if *recursive { format!("{by}, recursively") } else { by }
}

fn nodes(source: DeviceSource, nodes: &[DeviceNode<'_>]) -> Value {
    let source = match source {
        DeviceSource::Mknod => "mknod(2)",
        DeviceSource::Bind => "binds of the host's nodes",
        DeviceSource::Host => "the host's /dev: none is made",
    };
    let node = |node: &DeviceNode<'_>| {
        let DeviceNode { path, kind, major, minor, mode, uid, gid } = node;
        let kind = match *kind & libc::S_IFMT {
            libc::S_IFBLK => "b",
            libc::S_IFIFO => "p",
            _ => "c",
        };
        object!({
            "path": path,
            "type": kind,
            "number": format!("{major}:{minor}"),
            "mode": format!("{mode:04o}"),
            "owner": format!("{uid}:{gid}"),
        })
    };
    object!({ "made by": source, "nodes": nodes.iter().map(node).collect::<Vec<_>>() })
}

fn hooks_of(hooks: &Hooks<'_>, kinds: &[HookKind]) -> Vec<Value> {
    let mut all = Vec::new();
    for kind in kinds {
        for hook in hooks.of(*kind) {
            let spec::Hook { path, args, env, timeout } = hook;
            all.push(object!({
                "when": kind.name(),
                "path": path,
                "args": args,
                "env": env,
                "timeout": timeout.map(|seconds| format!("{seconds} s")),
            }));
        }
    }
    all
}

fn resctrl_of(resctrl: &Resctrl) -> Value {
    let Resctrl { mount, group, makes, removes, schemata, monitor } = resctrl;
    let kept = |kept: bool| if kept { "kept by delete" } else { "removed by delete" };
    object!({
        "resctrl": mount,
        "group": group,
        "group is": if *makes { "made" } else { "there" },
        "and": kept(!removes),
        "written to schemata": schemata.iter().map(|text| text.trim_end()).collect::<Vec<_>>(),
        "counted by": monitor,
    })
}

fn net_device(device: &NetDevice<'_>) -> Value {
    let NetDevice { host_name, name } = device;
    object!({ "device": host_name, "inside": name })
}

fn process_of(process: &Process<'_>, policies: &Policies) -> Value {
    let Process {
        args,
        env,
        cwd,
        uid,
        gid,
        groups,
        keep_groups,
        umask,
        // They have their own place.
        capabilities: _,
        rlimits,
        no_new_privileges,
        terminal,
        oom_score_adj,
        scheduler,
        io_priority,
        cpus: CpuAffinity { initial, last },
        label,
    } = process;
    let (module, label) = match label {
        None => ("", ""),
        Some(Label::AppArmor(profile)) => ("AppArmor", *profile),
        Some(Label::SeLinux(context)) => ("SELinux", *context),
    };
    object!({
        "args": args,
        "cwd": cwd,
        "user": uid,
        "group": gid,
        "other groups": if *keep_groups { "the caller's".into() } else { value(groups) },
        "umask": format!("{umask:04o}"),
        "env": env,
        "terminal": match terminal {
            Terminal::None => Value::Null,
            Terminal::Allocate => "new".into(),
            Terminal::Sized { rows, columns } => format!("new, {columns}x{rows}").into(),
        },
        "noNewPrivileges": no_new_privileges,
        "rlimits": rlimits.iter().map(rlimit).collect::<Vec<_>>(),
        "oom_score_adj": oom_score_adj,
        "scheduler": scheduler.as_ref().map(scheduler_of),
        "I/O priority": io_priority.map(|(class, level)| {
            format!("{} {level}", name_of(&names::IO_CLASSES, class.into()))
        }),
        "CPUs of exec": object!({
            "at first": initial.as_ref().map(NumberSet::to_string),
            "then": last.as_ref().map(NumberSet::to_string),
        }),
        "label": object!({ "module": module, "label": label }),
        "memory policy": policies.memory.as_ref().map(|MemoryPolicy { mode, nodes }| {
            object!({ "mode": plan::memory_policy_name(*mode), "nodes": nodes.to_string() })
        }),
        "personality": policies.personality.map(|domain| match domain {
            0 => "LINUX".to_owned(),
            8 => "LINUX32".to_owned(),
            other => format!("{other:#x}"),
        }),
    })
}

fn name_of(names: &[&'static str], number: usize) -> String {
    names.get(number).map_or_else(|| number.to_string(), |name| (*name).to_owned())
}

fn rlimit(limit: &Rlimit) -> Value {
    let Rlimit { resource, soft, hard } = limit;
    let limit = |limit: u64| match limit {
        u64::MAX => "unlimited".to_owned(),
        limit => limit.to_string(),
    };
    let name = names::rlimit_name(*resource).unwrap_or("?");
    object!({ "resource": name, "soft": limit(*soft), "hard": limit(*hard) })
}

fn scheduler_of(scheduler: &Scheduler) -> Value {
    let Scheduler { policy, flags, nice, priority, times: [runtime, deadline, period] } = scheduler;
    let set = names::SCHEDULER_FLAGS.iter().enumerate().filter(|(bit, _)| flags & 1 << bit != 0);
    let is_set = |number: u64| (number != 0).then_some(number);
    object!({
        "policy": name_of(&names::SCHEDULERS, *policy as usize),
        "flags": set.map(|(_, name)| *name).collect::<Vec<_>>(),
        "nice": (*nice != 0).then_some(nice),
        "priority": is_set((*priority).into()),
        "runtime ns": is_set(*runtime),
        "deadline ns": is_set(*deadline),
        "period ns": is_set(*period),
    })
}

fn capabilities(sets: Capabilities) -> Value {
    let Capabilities { bounding, effective, inheritable, permitted, ambient } = sets;
    let sets = [
        ("bounding", bounding),
        ("effective", effective),
        ("permitted", permitted),
        ("inheritable", inheritable),
        ("ambient", ambient),
    ];
    let mut view = Map::new();
    for (name, set) in sets {
        let is_in = |n: &usize| set & 1 << n != 0;
        let numbers = (0..64usize).filter(is_in);
        let names: Vec<String> = numbers.map(|n| name_of(&names::CAPABILITIES, n)).collect();
        view.insert(name.to_owned(), names.into());
    }
    view.into()
}

fn seccomp_of(seccomp: &Seccomp<'_>) -> Value {
    let Seccomp { filter, agent } = seccomp;
    let bpf::seccomp::Shape {
        instructions,
        worst,
        mean,
        architectures,
        answers,
        conditional,
        flags,
    } = filter.shape(Arch::native());
    let answer = |(name, data, calls): &(&str, Option<u32>, usize)| {
        let data = data.map(|data| match *name {
            "SCMP_ACT_ERRNO" => format!("{:?}", Errno::from_raw(data as i32)),
            _ => data.to_string(),
        });
        object!({ "answer": name, "with": data, "calls": calls })
    };
    object!({
        "instructions": instructions,
        "executed for a call": format!("{mean:.1} on average, {worst} at most"),
        "architectures": architectures.iter().map(|arch| arch.name()).collect::<Vec<_>>(),
        "answers": answers.iter().map(answer).collect::<Vec<_>>(),
        "calls whose arguments matter": conditional,
        "flags": flags,
        "agent": agent.as_ref().map(|agent| {
            let Agent { path, metadata } = agent;
            object!({ "socket": path, "metadata": metadata })
        }),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::plan::layout;
    use plan::{
        CgroupChoice, Host, HostResctrl, JoinedNamespace, NamespaceKind, Options, ResctrlMount,
        RootKind, Security,
    };

    /// A configuration in which every part of a plan has a value of its own.
    const FULL: &str = include_str!("full.json");

    fn with_view<T>(config: &str, cgroups: CgroupChoice, check: impl FnOnce(&Value) -> T) -> T {
        let config: spec::Spec<'_> = spec::parse(config.as_bytes()).unwrap();
        let host = Host {
            bundle: "/bundle",
            rootless: false,
            unprivileged: false,
            root: RootKind::Directory,
            unreachable: Vec::new(),
            joined: vec![(5, JoinedNamespace::Kind(NamespaceKind::Ipc.clone_flag()))],
            receiver: "",
            absent_devices: Vec::new(),
            resctrl: HostResctrl::Mounted(ResctrlMount {
                place: "/resctrl".to_owned(),
                cache: true,
                bandwidth: Some(10),
                monitors: true,
                group: None,
            }),
            listener: String::new(),
            security: Security { apparmor: true, selinux: true, capabilities: u64::MAX },
        };
        let options = Options {
            id: "web",
            detach: false,
            command: plan::Command::Run,
            console_socket: false,
            keep_keyring: true,
            no_pivot: true,
            cgroups,
        };
        let plan = plan::create(&config, &host, &options);
        let plan = plan.unwrap_or_else(|refusals| panic!("{refusals}"));
        let write = |file: &str, value: &str, or| cgroup::Write {
            file: format!("/sys/fs/cgroup/x/{file}"),
            value: value.to_owned(),
            or,
        };
        let prospect = Prospect {
            cgroup: cgroup::Cgroup::from_paths([("pids", "/sys/fs/cgroup/x")]),
            limits: vec![
                write("pids.max", "77", None),
                write("blkio.weight", "10", Some(("blkio.bfq.weight".into(), "11".into()))),
            ],
            devices: vec![write("devices.deny", "a", None)],
            device_program: Some(99),
            unit: Vec::new(),
            ignored: cgroup::Cgroup::from_paths([("", "/x")]).ignored(&plan.cgroup.resources),
        };
        check(&of(&plan, &prospect))
    }

    /// All values in a document, as the text shows them.
    fn scalars(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Object(map) => map.values().for_each(|value| scalars(value, found)),
            Value::Array(list) => list.iter().for_each(|value| scalars(value, found)),
            Value::String(text) if !text.is_empty() => found.push(text.clone()),
            Value::Number(number) => found.push(number.to_string()),
            _ => {}
        }
    }

    #[test]
    fn whatever_is_planned_is_shown() {
        with_view(FULL, CgroupChoice::Files, |view| {
            let text = layout::text(view);
            let mut values = Vec::new();
            scalars(view, &mut values);
            for value in values {
                assert!(text.contains(&value), "{value:?} of the document is not in\n{text}");
            }
            for part in NEEDLES {
                assert!(text.contains(part), "{part:?} is not in\n{text}");
            }
        });
    }

    /// Of every part of [`FULL`] something that only it has.
    const NEEDLES: &[&str] = &[
        "org.example.note",
        "/cgroup-path",
        "pids.max",
        "blkio.bfq.weight = 11",
        "memory.swappiness: ignored",
        "deny c 10:229 rwm",
        "99 eBPF instructions",
        "devices.deny a",
        "/proc/7/ns/ipc",
        "/linux/namespaces/5",
        "100000",
        "200000",
        "monotonic 11 12",
        "/bundle/the-root",
        "read-only",
        "rslave",
        "MS_MOVE and chroot",
        "the caller's",
        "the-host",
        "the-domain",
        "/proc/sys/net/ipv4/ip_forward",
        "nosuid,sync,tmpcopyup",
        "size=3m",
        "dev,exec,ro,suid,symfollow,rnoexec,rshared",
        "uids 0:5:6 gids 0:7:8, recursively",
        "remount",
        "the container's own",
        "/dev/fuse",
        "10:229",
        "0640",
        "3:4",
        "/hook/create-runtime",
        "hook-arg",
        "HOOK=env",
        "17 s",
        "/hook/poststop",
        "/read/only",
        "/masked",
        "an-argument",
        "NAME=value",
        "/working",
        "1001",
        "1002",
        "1003",
        "0027",
        "new, 81x25",
        "noNewPrivileges",
        "RLIMIT_NOFILE",
        "1024",
        "unlimited",
        "-998",
        "SCHED_DEADLINE",
        "SCHED_FLAG_RECLAIM",
        "5000001",
        "5000002",
        "5000003",
        "IOPRIO_CLASS_BE 6",
        "0-1",
        "AppArmor",
        "a-profile",
        "LINUX32",
        "KILL",
        "SYS_PTRACE",
        "SCMP_ARCH_X86_64",
        "SCMP_ACT_ERRNO",
        "EPERM",
        "SCMP_ACT_NOTIFY",
        "/bundle/agent.sock",
        "agent-data",
        "CAP_COFFEE",
        "/resctrl/gold/mon_groups/web",
        "L3:0=7f",
        "kept by delete",
    ];

    #[test]
    fn a_unit_is_shown_with_what_annotations_set() {
        use cgroup::systemd::Instance;
        let config = FULL.replace("/cgroup-path", "some.slice:prefix:name");
        with_view(&config, CgroupChoice::Systemd(Instance::System), |view| {
            let unit = &view["cgroup"]["unit"];
            assert_eq!(unit["name"], "prefix-name.scope");
            assert_eq!(unit["slice"], "some.slice");
        });
    }
}
