//! `linux` (config-linux.md), but for `resources` and `seccomp`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::text::nullable;
use crate::{Resources, Seccomp, StringMap, Text};

/// `linux`: namespaces, devices, cgroups and what else only Linux has.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", remote = "Self")]
pub struct Linux<'a> {
    /// The namespaces that are created or joined.
    #[serde(default, deserialize_with = "nullable", borrow)]
    pub namespaces: Vec<Namespace<'a>>,
    /// User id map of a new user namespace.
    #[serde(default, deserialize_with = "nullable")]
    pub uid_mappings: Vec<IdMapping>,
    /// Group id map of a new user namespace.
    #[serde(default, deserialize_with = "nullable")]
    pub gid_mappings: Vec<IdMapping>,
    /// Offsets of a new time namespace, by clock name.
    #[serde(default, deserialize_with = "nullable", borrow)]
    pub time_offsets: BTreeMap<Text<'a>, TimeOffset>,
    /// Device nodes, beside the default ones.
    #[serde(default, deserialize_with = "nullable", borrow)]
    pub devices: Vec<Device<'a>>,
    /// Host network devices moved into the container, by name.
    #[serde(default, deserialize_with = "nullable", borrow)]
    pub net_devices: BTreeMap<Text<'a>, NetDevice<'a>>,
    /// Where the container's cgroup is.
    #[serde(default, deserialize_with = "nullable", borrow)]
    pub cgroups_path: Text<'a>,
    /// The cgroup's limits.
    #[serde(default, borrow)]
    pub resources: Option<Resources<'a>>,
    /// Mount propagation of the root.
    #[serde(default, deserialize_with = "nullable", borrow)]
    pub rootfs_propagation: Text<'a>,
    /// Paths that can't be read inside.
    #[serde(default, deserialize_with = "nullable", borrow)]
    pub masked_paths: Vec<Text<'a>>,
    /// Paths that can't be written inside.
    #[serde(default, deserialize_with = "nullable", borrow)]
    pub readonly_paths: Vec<Text<'a>>,
    /// SELinux context of the mounts.
    #[serde(default, deserialize_with = "nullable", borrow)]
    pub mount_label: Text<'a>,
    /// The filter of system calls.
    #[serde(default, borrow)]
    pub seccomp: Option<Seccomp<'a>>,
    /// Kernel parameters set in the container's namespaces.
    #[serde(default, deserialize_with = "nullable", borrow)]
    pub sysctl: StringMap<'a>,
    /// The execution domain of personality(2).
    #[serde(default, borrow)]
    pub personality: Option<Personality<'a>>,
    /// Cache and memory bandwidth allocation.
    #[serde(default, borrow)]
    pub intel_rdt: Option<IntelRdt<'a>>,
    /// The NUMA policy of set_mempolicy(2).
    #[serde(default, borrow)]
    pub memory_policy: Option<MemoryPolicy<'a>>,
}

/// One namespace that the container gets.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", remote = "Self")]
pub struct Namespace<'a> {
    /// `pid`, `network`, `mount`, `ipc`, `uts`, `user`, `cgroup` or `time`.
    #[serde(rename = "type", default, deserialize_with = "nullable", borrow)]
    pub kind: Text<'a>,
    /// The namespace to join; empty: a new one.
    #[serde(default, deserialize_with = "nullable", borrow)]
    pub path: Text<'a>,
}

/// One line of a user namespace's map (user_namespaces(7)).
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", remote = "Self")]
pub struct IdMapping {
    /// First id inside.
    #[serde(rename = "containerID")]
    pub container_id: u32,
    /// First id outside.
    #[serde(rename = "hostID")]
    pub host_id: u32,
    /// How many ids.
    pub size: u32,
}

/// How far a clock of a time namespace is ahead (time_namespaces(7)).
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", remote = "Self")]
pub struct TimeOffset {
    /// Seconds.
    #[serde(default, deserialize_with = "nullable")]
    pub secs: i64,
    /// Nanoseconds.
    #[serde(default, deserialize_with = "nullable")]
    pub nanosecs: u32,
}

/// One device node.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", remote = "Self")]
pub struct Device<'a> {
    /// Where it is, inside.
    #[serde(default, deserialize_with = "nullable", borrow)]
    pub path: Text<'a>,
    /// `c`, `u`, `b` or `p`.
    #[serde(rename = "type", default, deserialize_with = "nullable", borrow)]
    pub kind: Text<'a>,
    /// Major number; not for `p`.
    #[serde(default, deserialize_with = "nullable")]
    pub major: i64,
    /// Minor number; not for `p`.
    #[serde(default, deserialize_with = "nullable")]
    pub minor: i64,
    /// Permission bits.
    #[serde(default)]
    pub file_mode: Option<u32>,
    /// Owner inside.
    #[serde(default)]
    pub uid: Option<u32>,
    /// Owning group inside.
    #[serde(default)]
    pub gid: Option<u32>,
}

/// A host network device that moves into the container.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", remote = "Self")]
pub struct NetDevice<'a> {
    /// Its name inside; empty: the same.
    #[serde(default, deserialize_with = "nullable", borrow)]
    pub name: Text<'a>,
}

/// The execution domain of personality(2).
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", remote = "Self")]
pub struct Personality<'a> {
    /// `LINUX` or `LINUX32`.
    #[serde(default, deserialize_with = "nullable", borrow)]
    pub domain: Text<'a>,
    /// None is defined yet.
    #[serde(default, deserialize_with = "nullable", borrow)]
    pub flags: Vec<Text<'a>>,
}

/// A resctrl group (config-linux.md, "IntelRdt").
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", remote = "Self")]
pub struct IntelRdt<'a> {
    /// The group's name.
    #[serde(rename = "closID", default, deserialize_with = "nullable", borrow)]
    pub clos_id: Text<'a>,
    /// Lines for the group's `schemata` file.
    #[serde(default, deserialize_with = "nullable", borrow)]
    pub schemata: Vec<Text<'a>>,
    /// The L3 line of `schemata`.
    #[serde(default, deserialize_with = "nullable", borrow)]
    pub l3_cache_schema: Text<'a>,
    /// The MB line of `schemata`.
    #[serde(default, deserialize_with = "nullable", borrow)]
    pub mem_bw_schema: Text<'a>,
    /// Whether a monitoring group is made.
    #[serde(default, deserialize_with = "nullable")]
    pub enable_monitoring: bool,
}

/// The NUMA policy of set_mempolicy(2).
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", remote = "Self")]
pub struct MemoryPolicy<'a> {
    /// Such as `MPOL_BIND`.
    #[serde(default, deserialize_with = "nullable", borrow)]
    pub mode: Text<'a>,
    /// A list of nodes, such as `0-1,3`.
    #[serde(default, deserialize_with = "nullable", borrow)]
    pub nodes: Text<'a>,
    /// Such as `MPOL_F_STATIC_NODES`.
    #[serde(default, deserialize_with = "nullable", borrow)]
    pub flags: Vec<Text<'a>>,
}
