//! `update`: other limits for a container that lives.

use cgroup::{BlockIo, Cpu, Memory, Resources, Throttle, WeightDevice};
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

/// The limits that are updated, as the crate `cgroup` takes them.
fn limits<'a>(from: &'a spec::Resources<'a>) -> Resources<'a> {
    Resources {
        memory: from.memory.as_ref().map(memory).unwrap_or_default(),
        cpu: from.cpu.as_ref().map(cpu).unwrap_or_default(),
        pids: from.pids.as_ref().and_then(|pids| pids.limit),
        block_io: from.block_io.as_ref().map(block_io).unwrap_or_default(),
        unified: from.unified.iter().map(|(file, value)| (file.as_str(), value.as_str())).collect(),
        ..Resources::default()
    }
}

fn memory(from: &spec::Memory) -> Memory {
    Memory {
        limit: from.limit,
        reservation: from.reservation,
        swap: from.swap,
        check_before_update: from.check_before_update.unwrap_or(false),
        ..Memory::default()
    }
}

fn cpu<'a>(from: &'a spec::Cpu<'a>) -> Cpu<'a> {
    let list = |text: &'a spec::Text<'a>| (!text.is_empty()).then_some(text.as_str());
    Cpu {
        shares: from.shares,
        quota: from.quota,
        period: from.period,
        burst: from.burst,
        realtime_runtime: from.realtime_runtime,
        realtime_period: from.realtime_period,
        cpus: list(&from.cpus),
        mems: list(&from.mems),
        idle: from.idle,
    }
}

fn block_io(from: &spec::BlockIo) -> BlockIo {
    let weight = |device: &spec::WeightDevice| WeightDevice {
        major: device.major,
        minor: device.minor,
        weight: device.weight,
        leaf_weight: device.leaf_weight,
    };
    let throttles = |list: &[spec::ThrottleDevice]| {
        let throttle = |device: &spec::ThrottleDevice| Throttle {
            major: device.major,
            minor: device.minor,
            rate: device.rate,
        };
        list.iter().map(throttle).collect()
    };
    BlockIo {
        weight: from.weight,
        leaf_weight: from.leaf_weight,
        weight_devices: from.weight_device.iter().map(weight).collect(),
        throttle_read_bps: throttles(&from.throttle_read_bps_device),
        throttle_write_bps: throttles(&from.throttle_write_bps_device),
        throttle_read_iops: throttles(&from.throttle_read_iops_device),
        throttle_write_iops: throttles(&from.throttle_write_iops_device),
    }
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
