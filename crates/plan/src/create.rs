//! The plan of `create` and `run`.

use std::borrow::Cow;

use crate::devices::{DeviceNode, DeviceRules, DeviceSource};
use crate::hooks::Hooks;
use crate::mounts::{Mount, MountLabel, Propagation, What};
use crate::namespaces::{NamespaceKind, Namespaces};
use crate::net_devices::NetDevice;
use crate::policies::Policies;
use crate::process::Process;
use crate::refusal::{Findings, Refusals};
use crate::resctrl::Resctrl;
use crate::resources::resources;
use crate::seccomp::Seccomp;
use crate::sysctl::Sysctl;
use crate::{CgroupChoice, Command, Host, Options, RootKind};
use crate::{
    annotations, devices, hooks, mounts, names, namespaces, net_devices, policies, process,
    resctrl, seccomp, sysctl, units,
};

/// What `create` will do.
#[derive(Debug)]
pub struct Create<'a> {
    /// The container's id.
    pub id: &'a str,
    /// The bundle's absolute path.
    pub bundle: &'a str,
    /// The root file system.
    pub root: Root<'a>,
    /// Namespaces to make and to join.
    pub namespaces: Namespaces<'a>,
    /// The new host name; empty: unchanged.
    pub hostname: &'a str,
    /// The new NIS domain name; empty: unchanged.
    pub domainname: &'a str,
    /// Kernel parameters of the container's namespaces.
    pub sysctls: Vec<Sysctl<'a>>,
    /// Network devices that move into the container.
    pub net_devices: Vec<NetDevice<'a>>,
    /// Mounts, in order.
    pub mounts: Vec<Mount<'a>>,
    /// The SELinux label of the file systems that are mounted.
    pub mount_label: MountLabel<&'a str>,
    /// Where device nodes come from.
    pub device_source: DeviceSource,
    /// Device nodes.
    pub devices: Vec<DeviceNode<'a>>,
    /// Paths inside that can't be read.
    pub masked_paths: &'a [spec::Text<'a>],
    /// Paths inside that can't be written.
    pub readonly_paths: &'a [spec::Text<'a>],
    /// Cgroup and limits.
    pub cgroup: CgroupPlan<'a>,
    /// The container's share of caches and memory bandwidth.
    pub resctrl: Option<Resctrl>,
    /// The container's process.
    pub process: Process<'a>,
    /// The filter of system calls.
    pub seccomp: Option<Seccomp<'a>>,
    /// How its processes run.
    pub policies: Policies,
    /// Whether the process gets a new session keyring.
    pub new_keyring: bool,
    /// Hooks.
    pub hooks: Hooks<'a>,
    /// A socket that gets the init's descriptor, whatever the command line says.
    pub pidfd_receiver: Option<&'a str>,
    /// Metadata, for `state` and hooks.
    pub annotations: &'a spec::StringMap<'a>,
    /// Whether the runtime lacks root's powers.
    pub rootless: bool,
    /// What should be said although it hinders nothing.
    pub warnings: Vec<String>,
}

impl<'a> Create<'a> {
    /// The first mount whose ids are mapped.
    pub fn mapped_mount(&self) -> Option<&Mount<'a>> {
        self.mounts.iter().find(|mount| mount.id_map.is_some())
    }
}

/// The root file system.
#[derive(Debug)]
pub struct Root<'a> {
    /// Its absolute path on the host.
    pub path: Cow<'a, str>,
    /// Whether it is read-only inside.
    pub readonly: bool,
    /// Its mount propagation, if it was configured.
    pub propagation: Option<Propagation>,
    /// `MS_MOVE` and chroot instead of pivot_root.
    pub no_pivot: bool,
}

/// Cgroup and limits.
#[derive(Debug)]
pub struct CgroupPlan<'a> {
    /// `linux.cgroupsPath`; empty: the runtime's choice.
    pub path: &'a str,
    /// Who makes it.
    pub driver: CgroupDriver<'a>,
    /// The user to whom it is given, to make cgroups below it (v2).
    pub owner: Option<u32>,
    /// The cgroup below it that the process is in, to manage it; empty: there is none.
    pub delegated: &'a str,
    /// Limits.
    pub resources: cgroup::Resources<'a>,
    /// Which devices may be used.
    pub devices: DeviceRules,
    /// The rules for the device nodes that the configuration lists.
    pub own_devices: Vec<bpf::devices::Rule>,
}

/// Who makes the container's cgroup.
#[derive(Debug)]
pub enum CgroupDriver<'a> {
    /// The runtime, in the file systems.
    Files,
    /// Systemd.
    Systemd(UnitPlan<'a>),
    /// Nobody: none is made or joined.
    Disabled,
}

/// The container's unit.
#[derive(Debug)]
pub struct UnitPlan<'a> {
    /// Which.
    pub unit: cgroup::systemd::Unit,
    /// What annotations set of it.
    pub annotations: Vec<cgroup::systemd::Property>,
    /// The cgroup below it that is the container's; empty: the unit's own is.
    pub subgroup: &'a str,
}

static NO_ANNOTATIONS: spec::StringMap<'static> = spec::StringMap::new();

/// Plans `create` and `run`, or says everything that is wrong.
pub fn create<'a>(
    config: &'a spec::Spec<'a>,
    host: &Host<'a>,
    options: &Options<'a>,
) -> Result<Create<'a>, Refusals> {
    let mut findings = Findings::default();
    check_version(&config.oci_version, &mut findings);
    let root = root(config, host, options, &mut findings);
    if config.linux.is_none() {
        let hint = "an object with namespaces; `tare spec` writes one";
        findings.refuse("/linux", "linux property must not be empty", hint);
    }
    let Some(linux) = &config.linux else {
        // What is wrong beside that is told all the same.
        process(config, host, &Namespaces::default(), options, &mut findings);
        hooks::hooks(config.hooks.as_ref(), &mut findings);
        return Err(Refusals(findings.refusals));
    };
    let namespaces = namespaces::namespaces(linux, host, &mut findings);
    let mount_label = mount_label(config, linux, host, &mut findings);
    let mounts = mounts(config, &root.path, host, &namespaces, mount_label, &mut findings);
    let device_source = devices::source(&namespaces, &mounts, host);
    let process = process(config, host, &namespaces, options, &mut findings);
    let owner = cgroup_owner(config, host, &namespaces, process.uid);
    check_names(config, &namespaces, &mut findings);
    let seccomp = seccomp::seccomp(config, linux, host, &mut findings);
    let plan = Create {
        id: options.id,
        bundle: host.bundle,
        root,
        hostname: config.hostname.as_deref().unwrap_or_default(),
        domainname: config.domainname.as_deref().unwrap_or_default(),
        sysctls: sysctl::sysctls(linux, &namespaces, &mut findings),
        net_devices: net_devices::net_devices(linux, &namespaces, host, options, &mut findings),
        mount_label,
        device_source,
        devices: devices::nodes(&linux.devices, &mut findings),
        masked_paths: &linux.masked_paths,
        readonly_paths: &linux.readonly_paths,
        cgroup: cgroup_plan(config, linux, options, owner, &mut findings),
        resctrl: resctrl::resctrl(linux, options.id, host, &mut findings),
        seccomp,
        policies: policies::policies(linux, &mut findings),
        new_keyring: !options.keep_keyring,
        hooks: hooks::hooks(config.hooks.as_ref(), &mut findings),
        pidfd_receiver: annotations::pidfd_receiver(&config.annotations, &mut findings),
        annotations: if config.annotations.is_empty() {
            &NO_ANNOTATIONS
        } else {
            &config.annotations
        },
        rootless: host.rootless,
        warnings: std::mem::take(&mut findings.warnings),
        namespaces,
        mounts,
        process,
    };
    findings.finish(plan)
}

fn check_version(version: &str, findings: &mut Findings) {
    let numbers = version.split(['-', '+']).next().unwrap_or_default();
    let mut parts = numbers.split('.').map(|part| part.parse::<u32>());
    let hint = || format!("the version that the bundle follows, up to {:?}", spec::OCI_VERSION);
    match (parts.next(), parts.next(), parts.next(), parts.next()) {
        (Some(Ok(1)), Some(Ok(_)), Some(Ok(_)), None) => {}
        _ if version.is_empty() => findings.refuse("/ociVersion", "must not be empty", hint()),
        _ => {
            let sentence = format!("{version:?} is no version 1.x of the specification");
            findings.refuse("/ociVersion", sentence, hint());
        }
    }
}

fn root<'a>(
    config: &'a spec::Spec<'a>,
    host: &Host<'a>,
    options: &Options<'_>,
    findings: &mut Findings,
) -> Root<'a> {
    let no_pivot = options.no_pivot;
    let Some(root) = config.root.as_ref().filter(|root| !root.path.is_empty()) else {
        let hint = r#"{ "path": "rootfs" }, below the bundle or absolute"#;
        findings.refuse("/root", "root must be specified", hint);
        return Root { path: Cow::Borrowed(""), readonly: false, propagation: None, no_pivot };
    };
    let path = if root.path.starts_with('/') {
        Cow::Borrowed(root.path.as_str())
    } else {
        Cow::Owned(format!("{}/{}", host.bundle, root.path))
    };
    let wrong = match &host.root {
        RootKind::Directory => None,
        RootKind::Symlink => Some((
            format!("{path:?} is not an absolute path, or is a symlink"),
            "the directory that the link leads to",
        )),
        RootKind::Other => {
            Some((format!("{path:?} is not a directory"), "the directory that becomes /"))
        }
        RootKind::Unreachable(why) => {
            Some((format!("stat {path}: {why}"), "a directory, below the bundle or absolute"))
        }
    };
    if let Some((sentence, hint)) = wrong {
        findings.refuse("/root/path", format!("invalid rootfs: {sentence}"), hint);
    }
    let linux = config.linux.as_ref();
    let name = linux.map_or("", |linux| linux.rootfs_propagation.as_str());
    let propagation = mounts::propagation(name);
    if propagation.is_none() && !name.is_empty() {
        let sentence = format!("rootfsPropagation={name:?} is not supported");
        let hint = "shared, slave, private or unbindable; with all mounts below: rshared, ...";
        findings.refuse("/linux/rootfsPropagation", sentence, hint);
    }
    Root { path, readonly: root.readonly, propagation, no_pivot }
}

fn mount_label<'a>(
    config: &spec::Spec<'_>,
    linux: &'a spec::Linux<'a>,
    host: &Host<'_>,
    findings: &mut Findings,
) -> MountLabel<&'a str> {
    let context = linux.mount_label.as_str();
    if !context.is_empty() && !host.security.selinux {
        let hint = "no label, or a kernel that runs with SELinux";
        findings.refuse("/linux/mountLabel", "selinux is not enabled on this host", hint);
    }
    let option = annotations::mount_context_type(&config.annotations, findings);
    MountLabel { context, option }
}

fn mounts<'a>(
    config: &'a spec::Spec<'a>,
    root: &str,
    host: &Host<'a>,
    namespaces: &Namespaces<'a>,
    label: MountLabel<&str>,
    findings: &mut Findings,
) -> Vec<Mount<'a>> {
    let mut plan = Vec::with_capacity(config.mounts.len());
    for (index, mount) in config.mounts.iter().enumerate() {
        let Some(mut mount) = mounts::mount(index, mount, host, namespaces, findings) else {
            continue;
        };
        // As runc: a destination may be the host's name for a place in the root.
        if let Some(inside) = mount.destination.strip_prefix(root).filter(|p| p.starts_with('/')) {
            mount.destination = Cow::Owned(inside.to_owned());
        }
        let unreachable = host.unreachable.iter().find(|(n, _)| *n == index);
        if let (What::Bind { source, .. }, Some((_, why))) = (&mount.what, unreachable) {
            let sentence = format!("bind source {source:?}: {why}");
            let hint = "a file or directory of the host, absolute or below the bundle";
            findings.refuse(format!("/mounts/{index}/source"), sentence, hint);
        }
        match &mut mount.what {
            What::Filesystem { kind, data, .. }
                if !label.context.is_empty() && mounts::takes_label(kind) =>
            {
                *data = label.with(data);
            }
            _ => {}
        }
        plan.push(mount);
    }
    plan
}

/// The specification requires a process only from `start` on (config.md, "Process").
fn process<'a>(
    config: &'a spec::Spec<'a>,
    host: &Host<'_>,
    namespaces: &Namespaces<'_>,
    options: &Options<'_>,
    findings: &mut Findings,
) -> Process<'a> {
    let mut security = host.security;
    if namespaces.has(NamespaceKind::User) {
        security.capabilities = u64::MAX;
    }
    let mut process = match &config.process {
        Some(process) => process::process(process, "/process", &security, findings),
        None => {
            if options.command != Command::Create {
                let hint = "an object with args, cwd and user; `tare spec` writes one";
                findings.refuse("/process", names::NO_PROCESS, hint);
            }
            process::none()
        }
    };
    process.keep_groups = annotations::keep_groups(&config.annotations);
    process::check_terminal(&process, options, findings);
    process
}

fn check_names(config: &spec::Spec<'_>, namespaces: &Namespaces<'_>, findings: &mut Findings) {
    let names = [("hostname", &config.hostname), ("domainname", &config.domainname)];
    for (what, name) in names {
        if name.as_ref().is_some_and(|name| !name.is_empty()) && !namespaces.has(NamespaceKind::Uts)
        {
            let sentence = format!("unable to set {what} without a private UTS namespace");
            let hint = r#"{ "type": "uts" } in /linux/namespaces, or no name"#;
            findings.refuse(format!("/{what}"), sentence, hint);
        }
    }
}

/// Whose the container's cgroup becomes (config-linux.md, "Cgroup ownership"): the process's, where
/// it has ids and a cgroup namespace of its own and mounts its cgroups to write. An ordinary user
/// can't give away what is its own already.
fn cgroup_owner(
    config: &spec::Spec<'_>,
    host: &Host<'_>,
    namespaces: &Namespaces<'_>,
    uid: u32,
) -> Option<u32> {
    let writable = |mount: &spec::Mount<'_>| {
        *mount.source == *"cgroup"
            && mount.destination.trim_end_matches('/') == "/sys/fs/cgroup"
            && !mount.options.iter().any(|option| **option == *"ro")
    };
    if host.unprivileged
        || !namespaces.creates(NamespaceKind::Cgroup)
        || !config.mounts.iter().any(writable)
    {
        return None;
    }
    namespaces.host_uid(uid)
}

fn cgroup_plan<'a>(
    config: &'a spec::Spec<'a>,
    linux: &'a spec::Linux<'a>,
    options: &Options<'a>,
    owner: Option<u32>,
    findings: &mut Findings,
) -> CgroupPlan<'a> {
    let rules = linux.resources.as_ref().map_or(&[][..], |resources| &resources.devices);
    let rules = devices::rules(rules, &linux.devices, findings);
    let mut limits = linux.resources.as_ref().map(resources).unwrap_or_default();
    let driver = match options.cgroups {
        CgroupChoice::Files => CgroupDriver::Files,
        CgroupChoice::Systemd(instance) => {
            cgroup::systemd::round_quota(&mut limits.cpu);
            units::unit(config, linux, options.id, instance, findings)
        }
        CgroupChoice::Disabled => {
            if std::mem::take(&mut limits) != cgroup::Resources::default() {
                findings.warn("without a cgroup the limits of linux.resources are ignored");
            }
            CgroupDriver::Disabled
        }
    };
    let delegated = match driver {
        CgroupDriver::Disabled => "",
        _ => annotations::delegated_cgroup(&config.annotations, findings),
    };
    CgroupPlan {
        path: &linux.cgroups_path,
        driver,
        owner,
        delegated,
        resources: limits,
        own_devices: devices::own_rules(&linux.devices, &rules.table),
        devices: rules,
    }
}
