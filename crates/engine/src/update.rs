//! `update`: other limits for a container that lives.

use cgroup::{Network, Resources};
use spec::ContainerStatus;

use crate::error::{Error, Result};
use crate::messages;
use crate::status::status;
use crate::store::Store;

/// Changes the limits that are given, all of them or none, and leaves the others as they are.
///
/// As in runc these are memory, CPU, tasks, block I/O and `unified`. Device rules are passed over
/// without a word, since whoever updates hands over all resources of a container, and plugins
/// allow devices behind the runtime's back.
pub fn update(
    store: &Store,
    id: &str,
    resources: &spec::Resources<'_>,
    warn: &dyn Fn(&str),
) -> Result<()> {
    let dir = store.container(id)?;
    let _lock = dir.lock()?;
    let bytes = dir.read_record()?;
    let record = bytes.record()?;
    match status(&dir, &record)? {
        ContainerStatus::Created | ContainerStatus::Running | ContainerStatus::Paused => {}
        // Creating: its `create`, which would hold the lock, has been killed.
        ContainerStatus::Creating | ContainerStatus::Stopped => {
            return Err(Error::State(messages::NOT_RUNNING));
        }
    }
    ignored(resources).into_iter().for_each(warn);
    let cgroup = record.cgroup();
    let mut limits = limits(resources);
    limits.memory = cgroup.complete(limits.memory);
    let before = cgroup.snapshot(&limits);
    cgroup.set(&limits).map_err(|error| {
        if let Err(left) = before.restore() {
            warn(&format!("the limits from before could not all be put back: {left}"));
        }
        Error::Cgroup(error)
    })
}

/// What is said of limits that are not updated.
fn ignored(resources: &spec::Resources<'_>) -> Vec<&'static str> {
    let kernel = |memory: &spec::Memory| memory.kernel.or(memory.kernel_tcp).is_some();
    let all = [
        (
            resources.memory.as_ref().is_some_and(kernel),
            "Kernel memory settings are ignored and will be removed",
        ),
        (!resources.hugepage_limits.is_empty(), "update: hugepageLimits are ignored"),
        (resources.network.is_some(), "update: network is ignored"),
        (!resources.rdma.is_empty(), "update: rdma is ignored"),
    ];
    all.into_iter().filter(|(given, _)| *given).map(|(_, sentence)| sentence).collect()
}

/// The limits that are updated: as runc, not those that only make sense for a new container.
fn limits<'a>(from: &'a spec::Resources<'a>) -> Resources<'a> {
    let mut limits = plan::resources(from);
    limits.hugepages.clear();
    limits.rdma.clear();
    limits.network = Network::default();
    limits.memory.swappiness = None;
    limits.memory.disable_oom_killer = false;
    limits.memory.use_hierarchy = false;
    limits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_updated_is_named() {
        let resources = spec::Resources {
            memory: Some(spec::Memory { kernel_tcp: Some(1), ..spec::Memory::default() }),
            hugepage_limits: vec![spec::HugepageLimit::default()],
            ..spec::Resources::default()
        };
        let sentences = ignored(&resources);
        assert_eq!(sentences.len(), 2);
        assert_eq!(sentences[0], "Kernel memory settings are ignored and will be removed");
        assert_eq!(limits(&resources), Resources::default());
        assert!(ignored(&spec::Resources::default()).is_empty());
    }
}
