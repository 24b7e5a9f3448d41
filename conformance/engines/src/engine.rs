//! The engines, and what is particular to each.

use std::fs;

use crate::check::Check;
use crate::checks::{containerd, docker, life, limits, podman, run};
use crate::error::{Error, Result};

/// An engine.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Engine {
    Podman,
    Containerd,
    Docker,
}

impl Engine {
    pub(crate) const ALL: [Self; 3] = [Self::Podman, Self::Containerd, Self::Docker];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Podman => "podman",
            Self::Containerd => "containerd",
            Self::Docker => "docker",
        }
    }

    pub(crate) fn named(name: &str) -> Result<Self> {
        let found = Self::ALL.into_iter().find(|engine| engine.name() == name);
        found.ok_or_else(|| Error::Usage(format!("there is no engine {name}")))
    }

    /// The engine's checks, in the order in which they run.
    pub(crate) fn checks(self) -> Vec<Check> {
        let own = match self {
            Self::Containerd => {
                return [containerd::run(), containerd::tasks()].into_iter().flatten().collect();
            }
            Self::Podman => podman::own(),
            Self::Docker => docker::own(may_raise_limits()),
        };
        let shared = [run::basics(), run::process(), run::surroundings(), limits::limits()];
        let life = [life::exec(), life::control(), life::reports()];
        shared.into_iter().chain(life).flatten().chain(own).collect()
    }

    /// The daemons, in the order in which they stop.
    pub(crate) fn daemons(self) -> &'static [&'static str] {
        match self {
            Self::Podman => &[],
            Self::Containerd => &["containerd"],
            Self::Docker => &["dockerd", "containerd"],
        }
    }

    /// Removes what a check may have left under its name.
    pub(crate) fn removal(self) -> &'static str {
        match self {
            Self::Podman => "$E rm -f -i -t 0 $N; $E pod rm -f -i -t 0 $N",
            Self::Docker => "$E rm -f $N",
            Self::Containerd => {
                "for n in $N ${N}b; do ctr task delete -f $n || true; ctr container delete $n || true; done"
            }
        }
    }

    /// Where the runtime keeps its containers when this engine calls it.
    pub(crate) fn states(self) -> &'static [&'static str] {
        match self {
            // podman passes no `--root`: the runtime's own place, whatever it calls itself.
            Self::Podman => &["/run/tare", "/run/runc", "/run/crun"],
            Self::Containerd => &["/run/containerd/runc/default"],
            Self::Docker => &["/run/docker/runtime-runc/moby", "/run/docker/runtime-tare/moby"],
        }
    }

    /// The cgroups that engine and runtime keep when no container is left in them; `#` stands for
    /// an id.
    pub(crate) fn cgroups(self) -> &'static [&'static str] {
        match self {
            Self::Podman => &[
                "chosen",
                "chosen/conmon",
                "libpod_parent",
                "libpod_parent/conmon",
                // A pod's own; podman forgets it in the hierarchies without controllers.
                "systemd/libpod_parent/#",
                "unified/libpod_parent/#",
            ],
            Self::Containerd => &["default", "own"],
            Self::Docker => &["chosen", "docker", "docker/buildkit"],
        }
    }

    /// The mounts that the engine keeps for itself.
    pub(crate) fn mounts(self) -> &'static [&'static str] {
        match self {
            Self::Podman => &["/var/lib/containers/storage/overlay", "/run/netns"],
            Self::Containerd => &[],
            Self::Docker => &["/run/docker/netns/default", "/var/lib/docker"],
        }
    }
}

/// Whether root can give a container every capability, as `--privileged` does.
fn may_raise_limits() -> bool {
    const SYS_RESOURCE: u32 = 24;
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let bounding = status.lines().find_map(|line| line.strip_prefix("CapBnd:\t"));
    let bounding = bounding.and_then(|hex| u64::from_str_radix(hex, 16).ok());
    bounding.is_some_and(|bounding| bounding & (1 << SYS_RESOURCE) != 0)
}
