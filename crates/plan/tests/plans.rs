//! Plans of what real engines write, and refusals of what nobody should.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]
#![allow(clippy::disallowed_methods, reason = "the corpus is read from files")]

use std::path::Path;

use plan::{
    CgroupChoice, CgroupDriver, Command, Host, HostResctrl, JoinedNamespace, NamespaceKind,
    Options, ResctrlMount, RootKind, Security, What,
};

fn host() -> Host<'static> {
    Host {
        bundle: "/bundle",
        rootless: false,
        unprivileged: false,
        root: RootKind::Directory,
        unreachable: Vec::new(),
        joined: Vec::new(),
        receiver: "",
        absent_devices: Vec::new(),
        resctrl: HostResctrl::None,
        listener: String::new(),
        security: Security { apparmor: true, selinux: false, capabilities: u64::MAX },
    }
}

fn options() -> Options<'static> {
    Options {
        id: "test",
        detach: true,
        command: Command::Create,
        console_socket: false,
        keep_keyring: false,
        no_pivot: false,
        cgroups: CgroupChoice::Files,
    }
}

fn bundle(name: &str) -> Vec<u8> {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../spec/tests/data");
    std::fs::read(data.join(name)).unwrap()
}

/// All that is wrong with a configuration, as sentences.
fn refusals(text: &str, host: &Host<'_>) -> Vec<String> {
    let config: spec::Spec<'_> = spec::parse(text.as_bytes()).unwrap();
    match plan::create(&config, host, &options()) {
        Ok(_) => Vec::new(),
        Err(refusals) => {
            assert!(refusals.0.iter().all(|refusal| !refusal.hint.is_empty()), "{refusals:?}");
            refusals.0.iter().map(ToString::to_string).collect()
        }
    }
}

#[test]
fn engines_configurations_are_planned() {
    for name in ["docker-echo", "containerd-ctr", "containerd-ctr-seccomp", "cri-sandbox"] {
        let bytes = bundle(&format!("{name}.json"));
        let config: spec::Spec<'_> = spec::parse(&bytes).unwrap();
        let plan = plan::create(&config, &host(), &options());
        let plan = plan.unwrap_or_else(|refusals| panic!("{name}: {refusals}"));
        assert_eq!(plan.mounts.len(), config.mounts.len(), "{name}");
        assert!(plan.namespaces.has(NamespaceKind::Mount), "{name}");
        assert_eq!(plan.seccomp.is_some(), name.contains("docker") || name.contains("seccomp"));
    }
}

#[test]
fn dockers_default_is_planned_as_it_is_meant() {
    let bytes = bundle("docker-echo.json");
    let config: spec::Spec<'_> = spec::parse(&bytes).unwrap();
    let plan = plan::create(&config, &host(), &options()).unwrap();
    let proc = plan.mounts.iter().find(|mount| mount.destination == "/proc").unwrap();
    assert!(matches!(proc.what, What::Filesystem { kind: "proc", .. }));
    assert_eq!(plan.process.args, ["echo", "hello"]);
    assert!(plan.process.capabilities.bounding & 1 << 27 != 0, "CAP_MKNOD");
    assert_eq!(plan.process.capabilities.inheritable, 0);
    assert_eq!(plan.devices.len(), plan::DEFAULT_DEVICES.len());
    assert_eq!(plan.cgroup.devices.rules[0].to_string(), "deny a");
    assert!(plan.cgroup.devices.table.list().is_ok());
}

#[test]
fn all_refusals_come_at_once_each_with_its_place() {
    let text = r#"{
        "ociVersion": "2.0.0",
        "process": { "cwd": "tmp", "args": [], "rlimits": [
            { "type": "RLIMIT_NOFILE", "soft": 1, "hard": 1 },
            { "type": "RLIMIT_NOFILE", "soft": 1, "hard": 1 } ] },
        "root": { "path": "rootfs" },
        "hostname": "x",
        "mounts": [
            { "destination": "/", "type": "tmpfs" },
            { "destination": "/d", "type": "bind", "source": "/s", "options": ["bind", "size=1"] } ],
        "linux": {
            "namespaces": [{ "type": "mount" }, { "type": "mount" }, { "type": "colour" }],
            "uidMappings": [
                { "containerID": 0, "hostID": 0, "size": 10 },
                { "containerID": 5, "hostID": 50, "size": 10 } ],
            "sysctl": { "net.ipv4.ip_forward": "1", "vm.swappiness": "1" }
        }
    }"#;
    let mut host = host();
    host.unreachable = vec![(1, "no such file or directory".to_owned())];
    let found = refusals(text, &host);
    for place in [
        "/ociVersion: ",
        "/process/cwd: ",
        "/process/args: ",
        "/process/rlimits/1/type: ",
        "/hostname: ",
        "/mounts/0/destination: ",
        "/mounts/1/options: ",
        "/mounts/1/source: ",
        "/linux/namespaces/1/type: ",
        "/linux/namespaces/2/type: ",
        "/linux/uidMappings: ",
        "/linux/uidMappings/1/containerID: ",
        "/linux/sysctl/net.ipv4.ip_forward: ",
        "/linux/sysctl/vm.swappiness: ",
    ] {
        assert!(found.iter().any(|refusal| refusal.starts_with(place)), "{place} in {found:#?}");
    }
    assert_eq!(found.len(), 14, "{found:#?}");
}

#[test]
fn what_is_missing_hides_nothing_else() {
    let found = refusals(r#"{ "process": { "cwd": "x", "args": ["x"] } }"#, &host());
    let places: Vec<&str> = found.iter().filter_map(|r| r.split(": ").next()).collect();
    assert_eq!(places, ["/ociVersion", "/root", "/linux", "/process/cwd"]);
    let found = refusals(
        r#"{ "ociVersion": "1.0.2", "linux": { "namespaces": [{ "type": "x" }] } }"#,
        &host(),
    );
    assert!(found.iter().any(|r| r.starts_with("/root: ")), "{found:?}");
    assert!(found.iter().any(|r| r.starts_with("/linux/namespaces/0/type: ")), "{found:?}");
}

#[test]
fn a_namespace_path_must_be_of_its_type() {
    let text = r#"{ "ociVersion": "1.0.2", "root": { "path": "r" },
        "process": { "cwd": "/", "args": ["x"] },
        "linux": { "namespaces": [
            { "type": "mount" }, { "type": "network", "path": "/proc/1/ns/ipc" } ] } }"#;
    let mut host = host();
    assert_eq!(refusals(text, &host), Vec::<String>::new());
    host.joined = vec![(1, JoinedNamespace::Kind(NamespaceKind::Ipc.clone_flag()))];
    let found = refusals(text, &host);
    assert_eq!(found.len(), 1);
    assert!(found[0].starts_with("/linux/namespaces/1/path: "), "{found:?}");
}

#[test]
fn an_unknown_capability_is_only_a_warning() {
    let text = r#"{ "ociVersion": "1.0.2", "root": { "path": "r" },
        "process": { "cwd": "/", "args": ["x"],
            "capabilities": { "bounding": ["CAP_CHOWN", "CAP_COFFEE"] } },
        "linux": { "namespaces": [{ "type": "mount" }] } }"#;
    let config: spec::Spec<'_> = spec::parse(text.as_bytes()).unwrap();
    let plan = plan::create(&config, &host(), &options()).unwrap();
    assert_eq!(plan.process.capabilities.bounding, 1);
    assert!(plan.warnings[0].contains("CAP_COFFEE"), "{:?}", plan.warnings);
}

#[test]
fn a_terminal_needs_a_holder() {
    let bytes = bundle("docker-tty.json");
    let config: spec::Spec<'_> = spec::parse(&bytes).unwrap();
    let refused = plan::create(&config, &host(), &options()).unwrap_err();
    assert_eq!(refused.to_string(), plan::names::NO_CONSOLE_SOCKET);
    let with_socket = Options { console_socket: true, ..options() };
    assert!(plan::create(&config, &host(), &with_socket).is_ok());
}

#[test]
fn a_unit_of_systemds_is_named_by_the_path_and_set_by_annotations() {
    use cgroup::systemd::Instance;
    let text = |path: &str, annotations: &str| {
        format!(
            r#"{{ "ociVersion": "1.0.2", "root": {{ "path": "r" }},
                "process": {{ "cwd": "/", "args": ["x"] }}, "annotations": {{ {annotations} }},
                "linux": {{ "cgroupsPath": "{path}", "namespaces": [{{ "type": "mount" }}],
                    "resources": {{ "cpu": {{ "quota": 1001 }} }} }} }}"#
        )
    };
    let good = text("a.slice:b:c", r#""org.systemd.property.TimeoutStopSec": "5", "x": "y""#);
    let bad = text(
        "/a/b",
        r#""org.systemd.property.ExecStartPre": "'x'", "org.systemd.property.a/b~": "1",
           "org.systemd.property.TimeoutStopUSec": "five""#,
    );
    let with = |text: &str, cgroups| {
        let config: spec::Spec<'_> = spec::parse(text.as_bytes()).unwrap();
        let options = Options { cgroups, ..options() };
        match plan::create(&config, &host(), &options) {
            Ok(plan) => Ok((format!("{:?}", plan.cgroup.driver), plan.cgroup.resources.cpu.quota)),
            Err(refusals) => Err(refusals.0.into_iter().map(|r| r.pointer).collect::<Vec<_>>()),
        }
    };
    let systemd = CgroupChoice::Systemd(Instance::System);
    let (driver, quota) = with(&good, systemd).unwrap();
    assert!(driver.contains("b-c.scope") && driver.contains("U64(5000000)"), "{driver}");
    assert_eq!(quota, Some(2000));
    assert_eq!(
        with(&bad, systemd).unwrap_err(),
        [
            "/annotations/org.systemd.property.ExecStartPre",
            "/annotations/org.systemd.property.TimeoutStopUSec",
            "/annotations/org.systemd.property.a~1b~0",
            "/linux/cgroupsPath",
        ]
    );
    // Without systemd they are annotations as any other, and the path is one of directories.
    let files = format!("{:?}", CgroupDriver::Files);
    assert_eq!(with(&bad, CgroupChoice::Files), Ok((files, Some(1001))));
    let disabled = format!("{:?}", CgroupDriver::Disabled);
    assert_eq!(with(&bad, CgroupChoice::Disabled), Ok((disabled, None)));
}

/// A plain configuration with these properties of `linux`.
fn with_linux(more: &str) -> String {
    format!(
        r#"{{ "ociVersion": "1.3.0", "root": {{ "path": "r" }},
            "process": {{ "cwd": "/", "args": ["x"] }},
            "linux": {{ "namespaces": [{{ "type": "mount" }}], {more} }} }}"#
    )
}

#[test]
fn memory_policies_are_planned_in_the_kernels_numbers() {
    for (policy, mode, nodes) in [
        (r#""mode": "MPOL_DEFAULT""#, 0, vec![]),
        (r#""mode": "MPOL_PREFERRED", "nodes": """#, 1, vec![]),
        (r#""mode": "MPOL_BIND", "nodes": "0-1,64""#, 2, vec![3, 1]),
        (
            r#""mode": "MPOL_INTERLEAVE", "nodes": "2", "flags": ["MPOL_F_STATIC_NODES"]"#,
            0x8003,
            vec![4],
        ),
        (r#""mode": "MPOL_LOCAL""#, 4, vec![]),
        (
            r#""mode": "MPOL_PREFERRED_MANY", "nodes": "0", "flags": ["MPOL_F_RELATIVE_NODES"]"#,
            0x4005,
            vec![1],
        ),
        (r#""mode": "MPOL_WEIGHTED_INTERLEAVE", "nodes": "0""#, 6, vec![1]),
        (
            r#""mode": "MPOL_BIND", "nodes": "0", "flags": ["MPOL_F_NUMA_BALANCING"]"#,
            0x2002,
            vec![1],
        ),
    ] {
        let text = with_linux(&format!(r#""memoryPolicy": {{ {policy} }}"#));
        let config: spec::Spec<'_> = spec::parse(text.as_bytes()).unwrap();
        let plan = plan::create(&config, &host(), &options()).unwrap();
        let planned = plan.policies.memory.unwrap();
        assert_eq!((planned.mode, planned.nodes.words), (mode, nodes), "{policy}");
    }
    let text = with_linux(r#""memoryPolicy": { "mode": "X", "nodes": "y", "flags": ["z"] }"#);
    assert_eq!(
        refusals(&text, &host()),
        [
            "/linux/memoryPolicy/mode: invalid memory policy mode \"X\"",
            "/linux/memoryPolicy/flags/0: invalid memory policy flag \"z\"",
            "/linux/memoryPolicy/nodes: invalid memory policy nodes \"y\": \"y\" is no number",
        ]
    );
}

#[test]
fn a_process_is_needed_only_to_start_it() {
    let text = r#"{ "ociVersion": "1.0.2", "root": { "path": "r" },
        "linux": { "namespaces": [{ "type": "mount" }] } }"#;
    let config: spec::Spec<'_> = spec::parse(text.as_bytes()).unwrap();
    let plan = plan::create(&config, &host(), &options()).unwrap();
    assert!(plan.process.args.is_empty());
    assert_eq!(plan.process.capabilities, plan::Capabilities::default());
    let run = Options { command: Command::Run, ..options() };
    let refused = plan::create(&config, &host(), &run).unwrap_err();
    assert_eq!(refused.to_string(), format!("/process: {}", plan::names::NO_PROCESS));
}

#[test]
fn network_devices_that_move_have_names_and_a_place() {
    let devices = |devices: &str, network: bool| {
        let kind = if network { "network" } else { "ipc" };
        format!(
            r#"{{ "ociVersion": "1.3.0", "root": {{ "path": "r" }},
                "process": {{ "cwd": "/", "args": ["x"] }},
                "linux": {{ "namespaces": [{{ "type": "mount" }}, {{ "type": "{kind}" }}],
                    "netDevices": {{ {devices} }} }} }}"#
        )
    };
    let good = devices(r#""eth0": {}, "eth1": { "name": "in1" }, "eth2": { "name": "n%d" }"#, true);
    let config: spec::Spec<'_> = spec::parse(good.as_bytes()).unwrap();
    let plan = plan::create(&config, &host(), &options()).unwrap();
    let names: Vec<_> = plan.net_devices.iter().map(|d| (d.host_name, d.name)).collect();
    assert_eq!(names, [("eth0", "eth0"), ("eth1", "in1"), ("eth2", "n%d")]);

    // They are not the host's any more when the container is restored.
    let gone = Host { absent_devices: vec!["eth0".to_owned()], ..host() };
    let restore = Options { command: Command::Restore, ..options() };
    assert!(plan::create(&config, &gone, &options()).is_err());
    assert!(plan::create(&config, &gone, &restore).unwrap().net_devices.is_empty());

    let bad = devices(
        r#""a b": {}, "eth0": { "name": "x/y" }, "eth1": { "name": "z" }, "eth2": { "name": "z" },
           "gone": {}"#,
        false,
    );
    let host = Host { absent_devices: vec!["gone".to_owned()], unprivileged: true, ..host() };
    assert_eq!(
        refusals(&bad, &host)[1..],
        [
            "/linux/netDevices: unable to move network devices without a NET namespace",
            "/linux/netDevices: network devices are not supported for rootless containers",
            "/linux/netDevices/a b: invalid network device name \"a b\"",
            "/linux/netDevices/eth0/name: invalid network device name \"x/y\"",
            "/linux/netDevices/eth2/name: two network devices would have the name \"z\"",
            "/linux/netDevices/gone: link not found for interface gone on runtime namespace",
        ]
    );
}

#[test]
fn a_refused_clock_has_its_place() {
    let text = with_linux(r#""timeOffsets": { "a/b~": { "secs": 1 } }"#);
    assert_eq!(
        refusals(&text, &host()),
        [
            "/linux/timeOffsets: needs a new time namespace",
            "/linux/timeOffsets/a~1b~0: no such clock",
        ]
    );
    let text = with_linux(
        r#""timeOffsets": { "boottime": { "nanosecs": 1000000000 },
            "monotonic": { "secs": -4611686019, "nanosecs": 999999999 } }"#,
    );
    assert_eq!(
        refusals(&text, &host())[1..],
        [
            "/linux/timeOffsets/boottime/nanosecs: must be less than a second",
            "/linux/timeOffsets/monotonic/secs: is more than the kernel's clocks can hold",
        ]
    );
}

#[test]
fn mounts_of_a_container_that_lives_are_refused_at_their_place() {
    let text = r#"[
        { "destination": "/b", "source": "b", "options": ["rbind"] },
        { "destination": "/t", "type": "tmpfs" },
        { "destination": "/i", "source": "/i", "options": ["bind"],
            "uidMappings": [{ "containerID": 0, "hostID": 1, "size": 1 }],
            "gidMappings": [{ "containerID": 0, "hostID": 1, "size": 1 }] },
        { "destination": "/p", "type": "proc" },
        { "destination": "/c", "type": "cgroup" },
        { "destination": "/r", "options": ["remount"] },
        { "type": "tmpfs" }]"#;
    let list: Vec<spec::Mount<'_>> = spec::parse(text.as_bytes()).unwrap();
    let planned = plan::more_mounts(&list[..2], "/bundle").unwrap();
    assert_eq!(planned.iter().map(|mount| &*mount.destination).collect::<Vec<_>>(), ["/b", "/t"]);
    let refused = plan::more_mounts(&list, "/bundle").unwrap_err();
    assert_eq!(
        refused.0.iter().map(ToString::to_string).collect::<Vec<_>>(),
        [
            "/mounts/2: ids can't be mapped in a container that lives",
            "/mounts/3/type: \"proc\" would be the runtime's own",
            "/mounts/4/type: \"cgroup\" would be the runtime's own",
            "/mounts/5/options: nothing can be remounted",
            "/mounts/6/destination: must not be empty",
        ]
    );
}

#[test]
fn mount_labels_are_options_of_the_file_systems_that_take_them() {
    let text = r#"{ "ociVersion": "1.0.2", "root": { "path": "r" },
        "process": { "cwd": "/", "args": ["x"], "selinuxLabel": "p", "apparmorProfile": "a" },
        "mounts": [
            { "destination": "/proc", "type": "proc", "source": "proc" },
            { "destination": "/t", "type": "tmpfs", "source": "tmpfs", "options": ["size=1k"] },
            { "destination": "/q", "type": "mqueue", "source": "mqueue" } ],
        "linux": { "mountLabel": "u:r:t:s0", "namespaces": [{ "type": "mount" }] } }"#;
    let config: spec::Spec<'_> = spec::parse(text.as_bytes()).unwrap();
    let mut host = host();
    host.security.selinux = true;
    let plan = plan::create(&config, &host, &options()).unwrap();
    let data = plan.mounts.iter().map(|mount| match &mount.what {
        What::Filesystem { data, .. } => data.as_str(),
        _ => "no file system",
    });
    let wanted = ["", r#"size=1k,context="u:r:t:s0""#, ""];
    assert_eq!(data.collect::<Vec<_>>(), wanted);
    assert_eq!(plan.mount_label.context, "u:r:t:s0");
    let annotated = |kind: &str| {
        let annotations =
            format!(r#""annotations": {{ "run.oci.mount_context_type": "{kind}" }},"#);
        text.replacen('{', &format!("{{ {annotations}"), 1)
    };
    let rootcontext = annotated("rootcontext");
    let config: spec::Spec<'_> = spec::parse(rootcontext.as_bytes()).unwrap();
    let plan = plan::create(&config, &host, &options()).unwrap();
    assert!(matches!(&plan.mounts[1].what,
        What::Filesystem { data, .. } if data == r#"size=1k,rootcontext="u:r:t:s0""#));
    assert_eq!(
        refusals(&annotated("text"), &host),
        ["/annotations/run.oci.mount_context_type: invalid mount context type \"text\""]
    );
    host.security.selinux = false;
    assert_eq!(
        refusals(text, &host),
        [
            "/linux/mountLabel: selinux is not enabled on this host",
            "/process/selinuxLabel: selinux is not enabled on this host",
        ]
    );
}

/// A machine with shares of both kinds, where the group `web` and the root are.
fn with_resctrl(group: Option<&str>) -> Host<'static> {
    let mount = ResctrlMount {
        place: "/sys/fs/resctrl".to_owned(),
        cache: true,
        bandwidth: Some(10),
        monitors: true,
        group: group.map(str::to_owned),
    };
    Host { resctrl: HostResctrl::Mounted(mount), ..host() }
}

fn resctrl(rdt: &str, host: &Host<'_>) -> plan::Resctrl {
    let text = with_linux(&format!(r#""intelRdt": {rdt}"#));
    let config: spec::Spec<'_> = spec::parse(text.as_bytes()).unwrap();
    let plan = plan::create(&config, host, &options());
    plan.unwrap_or_else(|refusals| panic!("{rdt}: {refusals}")).resctrl.unwrap()
}

#[test]
fn a_group_is_the_containers_own_unless_it_has_a_name() {
    let own = resctrl(r#"{ "enableMonitoring": true }"#, &with_resctrl(None));
    assert_eq!((own.group.as_str(), own.makes, own.removes), ("/sys/fs/resctrl/test", true, true));
    assert_eq!(own.monitor.as_deref(), Some("/sys/fs/resctrl/test/mon_groups/test"));
    let there = resctrl("{}", &with_resctrl(Some("")));
    assert!(!there.makes && !there.removes && there.monitor.is_none());
    let named = resctrl(r#"{ "closID": "g", "schemata": ["L3:0=f"] }"#, &with_resctrl(None));
    assert_eq!((named.group.as_str(), named.makes), ("/sys/fs/resctrl/g", true));
    assert!(!named.removes, "it is everybody's");
    let root = resctrl(r#"{ "closID": "/" }"#, &with_resctrl(Some("L3:0=f\n")));
    assert_eq!((root.group.as_str(), root.makes), ("/sys/fs/resctrl", false));
}

#[test]
fn shares_are_written_in_the_specifications_order() {
    let rdt = r#"{ "schemata": ["L2:0=f", "L3:0=7"], "memBwSchema": "MB:0=20", "l3CacheSchema": "L3:0=f" }"#;
    let plan = resctrl(rdt, &with_resctrl(None));
    assert_eq!(plan.schemata, ["L3:0=f\n", "MB:0=20\n", "L2:0=f\nL3:0=7\n"]);
    assert!(resctrl("{}", &with_resctrl(None)).schemata.is_empty());
}

#[test]
fn what_resctrl_can_not_do_is_refused_at_its_place() {
    let refused =
        |rdt: &str, host: &Host<'_>| refusals(&with_linux(&format!(r#""intelRdt": {rdt}"#)), host);
    let none = ["/linux/intelRdt: this kernel has no resctrl file system"];
    assert_eq!(refused("{}", &host()), none);
    let unmounted = Host { resctrl: HostResctrl::Unmounted, ..host() };
    assert_eq!(
        refused("{}", &unmounted),
        ["/linux/intelRdt: the resctrl file system is not mounted"]
    );
    let bad = r#"{ "closID": "a/b", "memBwSchema": "L3:0=f", "schemata": ["a", "a\nb", ""] }"#;
    assert_eq!(
        refused(bad, &with_resctrl(None)),
        [
            "/linux/intelRdt/closID: \"a/b\" is no name for a group",
            "/linux/intelRdt/memBwSchema: must be one line that begins with \"MB:\"",
            "/linux/intelRdt/schemata/1: must be one line",
            "/linux/intelRdt/schemata/2: must be one line",
        ]
    );
    for name in [".", "..", "info", "mon_groups"] {
        let found = refused(&format!(r#"{{ "closID": "{name}" }}"#), &with_resctrl(Some("")));
        assert_eq!(found, [format!("/linux/intelRdt/closID: {name:?} is no name for a group")]);
    }
    let poor = HostResctrl::Mounted(ResctrlMount::default());
    let all =
        r#"{ "l3CacheSchema": "L3:0=f", "memBwSchema": "MB:0=20", "enableMonitoring": true }"#;
    assert_eq!(
        refused(all, &Host { resctrl: poor, ..host() }),
        [
            "/linux/intelRdt/l3CacheSchema: this machine has no shares of the L3 cache to give",
            "/linux/intelRdt/memBwSchema: this machine has no shares of memory bandwidth to give",
            "/linux/intelRdt/enableMonitoring: this machine does not count",
        ]
    );
    let named = r#"{ "closID": "g", "l3CacheSchema": "L3:0=f", "memBwSchema": "MB:0=15" }"#;
    assert_eq!(
        refused(r#"{ "closID": "g" }"#, &with_resctrl(None)),
        ["/linux/intelRdt/closID: there is no group \"g\", and no schema to make it with"]
    );
    assert!(refused(named, &with_resctrl(Some("MB:0=20\nL3:0=0f\n"))).is_empty());
    assert_eq!(
        refused(named, &with_resctrl(Some("MB:0=30\nL3:0=ff\n"))),
        [
            "/linux/intelRdt/l3CacheSchema: the group \"g\" has another",
            "/linux/intelRdt/memBwSchema: the group \"g\" has another",
        ]
    );
}
