//! `linux.resources` in the terms of the crate `cgroup`.

use cgroup::{
    BlockIo, Cpu, Hugepage, Memory, Network, OomKiller, Rdma, Resources, Throttle, WeightDevice,
};

/// The limits as the crate `cgroup` takes them; device rules are planned apart.
pub fn resources<'a>(from: &'a spec::Resources<'a>) -> Resources<'a> {
    Resources {
        memory: from.memory.as_ref().map(memory).unwrap_or_default(),
        cpu: from.cpu.as_ref().map(cpu).unwrap_or_default(),
        pids: from.pids.as_ref().and_then(|pids| pids.limit),
        block_io: from.block_io.as_ref().map(block_io).unwrap_or_default(),
        hugepages: from
            .hugepage_limits
            .iter()
            .map(|limit| Hugepage { page_size: &limit.page_size, limit: limit.limit })
            .collect(),
        network: from.network.as_ref().map(network).unwrap_or_default(),
        rdma: from
            .rdma
            .iter()
            .map(|(device, limit)| Rdma {
                device,
                hca_handles: limit.hca_handles,
                hca_objects: limit.hca_objects,
            })
            .collect(),
        unified: from.unified.iter().map(|(file, value)| (file.as_str(), value.as_str())).collect(),
    }
}

fn memory(from: &spec::Memory) -> Memory {
    Memory {
        limit: from.limit,
        reservation: from.reservation,
        swap: from.swap,
        kernel: from.kernel,
        kernel_tcp: from.kernel_tcp,
        swappiness: from.swappiness,
        oom_killer: match from.disable_oom_killer {
            None => OomKiller::Unchanged,
            Some(false) => OomKiller::Enabled,
            Some(true) => OomKiller::Disabled,
        },
        use_hierarchy: from.use_hierarchy.unwrap_or(false),
        check_before_update: from.check_before_update.unwrap_or(false),
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
    let throttles = |list: &[spec::ThrottleDevice]| {
        list.iter()
            .map(|device| Throttle { major: device.major, minor: device.minor, rate: device.rate })
            .collect()
    };
    BlockIo {
        weight: from.weight,
        leaf_weight: from.leaf_weight,
        weight_devices: from
            .weight_device
            .iter()
            .map(|device| WeightDevice {
                major: device.major,
                minor: device.minor,
                weight: device.weight,
                leaf_weight: device.leaf_weight,
            })
            .collect(),
        throttle_read_bps: throttles(&from.throttle_read_bps_device),
        throttle_write_bps: throttles(&from.throttle_write_bps_device),
        throttle_read_iops: throttles(&from.throttle_read_iops_device),
        throttle_write_iops: throttles(&from.throttle_write_iops_device),
    }
}

fn network<'a>(from: &'a spec::Network<'a>) -> Network<'a> {
    let priorities = from.priorities.iter().map(|p| (p.name.as_str(), p.priority)).collect();
    Network { class_id: from.class_id, priorities }
}
