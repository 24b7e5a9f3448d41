//! Limits on cgroup v1 (Documentation/admin-guide/cgroup-v1).

use nix::errno::Errno;

use crate::error::{Error, Result};
use crate::file;
use crate::path;
use crate::resources::{BlockIo, Cpu, Memory, Network, OomKiller, Rdma, Throttle};
use crate::target::{Limiter, Target, write, write_either, write_lines, write_related};

pub(crate) const OOM_CONTROL: &str = "memory.oom_control";
pub(crate) const MEMORY_LIMIT: &str = "memory.limit_in_bytes";
const MEMSW_LIMIT: &str = "memory.memsw.limit_in_bytes";

/// The kernel changes `cpu.shares` outside of these silently.
const MIN_SHARES: u64 = 2;
const MAX_SHARES: u64 = 262_144;

impl<'t> Limiter<'t> {
    /// The directory of the controller that this limit needs.
    pub(crate) fn need(self, controller: &str, limit: &str) -> Result<Target<'t>> {
        self.v1_dir(controller).ok_or_else(|| no_controller(controller, limit))
    }

    pub(crate) fn set_memory_v1(self, memory: &Memory) -> Result<()> {
        let limit = memory.limit.filter(|&limit| limit != 0);
        let mut swap = memory.swap.filter(|&swap| swap != 0);
        // A kernel without swap accounting has no such file, and nothing that would need lifting.
        if limit == Some(-1) && swap.is_none_or(|swap| swap == -1) {
            swap = Some(-1);
        }
        let need = || self.need("memory", "memory limit");
        if limit.or(swap).is_some() {
            let dir = need()?;
            let mut values = Vec::with_capacity(2);
            values.extend(limit.map(|limit| (MEMORY_LIMIT, limit.to_string())));
            values.extend(swap.map(|swap| (MEMSW_LIMIT, swap.to_string())));
            let may_lack = if swap == Some(-1) { MEMSW_LIMIT } else { "" };
            write_related(dir, &values, may_lack)
                .map_err(|error| memory_refused(dir.dir, limit, swap, error))?;
        }
        if let Some(value) = memory.reservation.filter(|&value| value != 0) {
            write(need()?, "memory.soft_limit_in_bytes", &value.to_string())?;
        }
        if memory.use_hierarchy {
            write(need()?, "memory.use_hierarchy", "1")?;
        }
        match (memory.oom_killer, self.v1_dir("memory")) {
            (OomKiller::Disabled, _) => write(need()?, OOM_CONTROL, "1")?,
            (OomKiller::Enabled, Some(dir)) => write(dir, OOM_CONTROL, "0")?,
            // It is enabled where nobody can disable it.
            (OomKiller::Enabled, None) | (OomKiller::Unchanged, _) => {}
        }
        match memory.asked_swappiness() {
            Some(value @ ..=100) => write(need()?, "memory.swappiness", &value.to_string()),
            // The kernel takes 200, in the sense that it got with Linux 5.8.
            Some(value) => Err(Error::Value {
                name: "memory.swappiness".to_owned(),
                value: value.to_string(),
                reason: "valid range is 0-100",
            }),
            None => Ok(()),
        }
    }

    pub(crate) fn set_cpu_v1(self, cpu: &Cpu<'_>) -> Result<()> {
        let need = || self.need("cpu", "cpu limit");
        // An idle cgroup refuses shares: stop idling before, start after.
        if cpu.idle == Some(0) {
            write(need()?, "cpu.idle", "0")?;
        }
        if let Some(shares) = cpu.asked_shares() {
            set_shares(need()?, shares)?;
        }
        let period = cpu.period.filter(|&period| period != 0);
        let quota = cpu.quota.filter(|&quota| quota != 0);
        let mut values = Vec::with_capacity(3);
        values.extend(period.map(|period| ("cpu.cfs_period_us", period.to_string())));
        values.extend(quota.map(|quota| ("cpu.cfs_quota_us", quota.to_string())));
        values.extend(cpu.burst.map(|burst| ("cpu.cfs_burst_us", burst.to_string())));
        if !values.is_empty() {
            write_related(need()?, &values, may_lack_burst(cpu, "cpu.cfs_burst_us"))?;
        }
        let period = cpu.realtime_period.filter(|&period| period != 0);
        let runtime = cpu.realtime_runtime.filter(|&runtime| runtime != 0);
        let mut values = Vec::new();
        values.extend(period.map(|period| ("cpu.rt_period_us", period.to_string())));
        values.extend(runtime.map(|runtime| ("cpu.rt_runtime_us", runtime.to_string())));
        if !values.is_empty() {
            write_related(need()?, &values, "")?;
        }
        match cpu.idle {
            Some(idle) if idle != 0 => write(need()?, "cpu.idle", &idle.to_string()),
            _ => Ok(()),
        }
    }

    pub(crate) fn set_cpuset_v1(self, cpu: &Cpu<'_>) -> Result<()> {
        for (name, value) in [("cpuset.cpus", cpu.cpus), ("cpuset.mems", cpu.mems)] {
            if let Some(value) = value.filter(|value| !value.is_empty()) {
                write(self.need("cpuset", name)?, name, value)?;
            }
        }
        Ok(())
    }

    pub(crate) fn set_block_io_v1(self, io: &BlockIo) -> Result<()> {
        let need = || self.need("blkio", "block IO limit");
        // CFQ, until Linux 5.0, had the short names; BFQ has its own.
        if let Some(weight) = io.weight.filter(|&weight| weight != 0) {
            let weight = weight.to_string();
            let (cfq, bfq) = ("blkio.weight", "blkio.bfq.weight");
            write_either(need()?, (cfq, &weight), (bfq, weight.clone()))?;
        }
        if let Some(weight) = io.leaf_weight.filter(|&weight| weight != 0) {
            write(need()?, "blkio.leaf_weight", &weight.to_string())?;
        }
        for device in &io.weight_devices {
            let line = |weight: u16| format!("{}:{} {weight}", device.major, device.minor);
            if let Some(weight) = device.weight.filter(|&weight| weight != 0) {
                let line = line(weight);
                let (cfq, bfq) = ("blkio.weight_device", "blkio.bfq.weight_device");
                write_either(need()?, (cfq, &line), (bfq, line.clone()))?;
            }
            if let Some(weight) = device.leaf_weight.filter(|&weight| weight != 0) {
                write(need()?, "blkio.leaf_weight_device", &line(weight))?;
            }
        }
        let throttles = [
            ("blkio.throttle.read_bps_device", &io.throttle_read_bps),
            ("blkio.throttle.write_bps_device", &io.throttle_write_bps),
            ("blkio.throttle.read_iops_device", &io.throttle_read_iops),
            ("blkio.throttle.write_iops_device", &io.throttle_write_iops),
        ];
        for (name, rates) in throttles.into_iter().filter(|(_, rates)| !rates.is_empty()) {
            let line = |t: &Throttle| format!("{}:{} {}", t.major, t.minor, t.rate);
            write_lines(need()?, name, rates.iter().map(line))?;
        }
        Ok(())
    }

    pub(crate) fn set_network_v1(self, network: &Network<'_>) -> Result<()> {
        match (network.class_id, self.v1_dir("net_cls")) {
            (Some(id), Some(dir)) => write(dir, "net_cls.classid", &id.to_string())?,
            // Without the controller nobody has a class.
            (None | Some(0), _) => {}
            (Some(_), None) => return Err(no_controller("net_cls", "network class")),
        }
        if network.priorities.is_empty() {
            return Ok(());
        }
        let dir = self.need("net_prio", "network priorities")?;
        let lines = network.priorities.iter();
        write_lines(dir, "net_prio.ifpriomap", lines.map(|(name, value)| format!("{name} {value}")))
    }
}

fn set_shares(dir: Target<'_>, shares: u64) -> Result<()> {
    check_shares(shares)?;
    write(dir, "cpu.shares", &shares.to_string())
}

/// Refuses shares that the kernel would change.
pub(crate) fn check_shares(shares: u64) -> Result<()> {
    let reason = match shares {
        ..MIN_SHARES => "the minimum allowed cpu-shares is 2",
        MIN_SHARES..=MAX_SHARES => return Ok(()),
        _ => "the maximum allowed cpu-shares is 262144",
    };
    Err(Error::Value { name: "cpu.shares".to_owned(), value: shares.to_string(), reason })
}

/// A burst of nothing is what a kernel without bursts has.
pub(crate) fn may_lack_burst<'n>(cpu: &Cpu<'_>, name: &'n str) -> &'n str {
    if cpu.burst == Some(0) { name } else { "" }
}

pub(crate) fn no_controller(controller: &str, limit: &str) -> Error {
    Error::NoController { controller: controller.to_owned(), limit: limit.to_owned() }
}

/// A file that older kernels lack, and whose limit can be done without.
pub(crate) fn ignore_missing(result: Result<()>, name: &str) -> Result<()> {
    match result {
        Err(Error::Write { file, errno: Errno::ENOENT, .. }) if file.ends_with(name) => Ok(()),
        result => result,
    }
}

pub(crate) fn pids_max(limit: i64) -> String {
    match limit {
        ..0 => "max".to_owned(),
        limit => limit.max(1).to_string(),
    }
}

/// The limit on pages in use, and on those reserved where the kernel has it (Linux 5.7).
pub(crate) fn hugepage(dir: Target<'_>, size: &str, suffix: &str, limit: u64) -> Result<()> {
    if !path::is_file_name(size) {
        return Err(Error::Value {
            name: "hugepage size".to_owned(),
            value: size.to_owned(),
            reason: "not the size of a page, such as 2MB",
        });
    }
    let limit = limit.to_string();
    write(dir, &format!("hugetlb.{size}.{suffix}"), &limit)?;
    let reserved = format!("hugetlb.{size}.rsvd.{suffix}");
    ignore_missing(write(dir, &reserved, &limit), &reserved)
}

pub(crate) fn rdma(dir: Target<'_>, limits: &[Rdma<'_>]) -> Result<()> {
    let lines = limits.iter().map(|limit| {
        let mut line = limit.device.to_owned();
        for (name, value) in [("hca_handle", limit.hca_handles), ("hca_object", limit.hca_objects)]
        {
            match value {
                None => {}
                // More than the kernel's numbers can be.
                Some(u32::MAX) => line.push_str(&format!(" {name}=max")),
                Some(value) => line.push_str(&format!(" {name}={value}")),
            }
        }
        line
    });
    write_lines(dir, "rdma.max", lines)
}

/// Says more than the kernel where that only says `EBUSY`, for a limit below what is in use, or
/// `EINVAL`, for one above that of memory and swap together.
fn memory_refused(dir: &str, limit: Option<i64>, swap: Option<i64>, error: Error) -> Error {
    let number = |name| file::read(dir, name).ok()?.trim().parse().ok();
    let Error::Write { file, errno, .. } = &error else { return error };
    match (limit, errno) {
        (Some(limit), Errno::EBUSY) if file.ends_with(MEMORY_LIMIT) => {
            let usage = number("memory.usage_in_bytes");
            let peak = number("memory.max_usage_in_bytes");
            match (usage, peak) {
                (Some(usage), Some(peak)) => Error::MemoryInUse { limit, usage, peak },
                _ => error,
            }
        }
        (Some(limit @ 1..), Errno::EINVAL) if swap.is_none() => match number(MEMSW_LIMIT) {
            Some(both) if both < limit.unsigned_abs() => Error::Value {
                name: MEMORY_LIMIT.to_owned(),
                value: limit.to_string(),
                reason: "above the present limit of memory and swap, which has to be set with it",
            },
            _ => error,
        },
        _ => error,
    }
}
