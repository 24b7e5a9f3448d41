//! Limits on cgroup v1 (Documentation/admin-guide/cgroup-v1).

use nix::errno::Errno;

use crate::cgroup::Cgroup;
use crate::error::{Error, Result};
use crate::file::{self, write, write_lines, write_related};
use crate::path;
use crate::resources::{BlockIo, Cpu, DeviceRule, Memory, Resources, Throttle};

pub(crate) const OOM_CONTROL: &str = "memory.oom_control";
const MEMSW_LIMIT: &str = "memory.memsw.limit_in_bytes";

/// The kernel changes `cpu.shares` outside of these silently (`MIN_SHARES`, `MAX_SHARES`).
const SHARES: std::ops::RangeInclusive<u64> = 2..=262_144;

impl Cgroup {
    /// Applies the limits that are set, and touches nothing else.
    ///
    /// # Errors
    /// [`Error::NoController`] for a limit whose controller is not available, [`Error::Value`]
    /// for one that makes no sense, and what the kernel says. Limits set before the error stay.
    pub fn set(&self, resources: &Resources<'_>) -> Result<()> {
        match self.is_unified() {
            true => self.set_v2(resources),
            false => self.set_v1(resources),
        }
    }

    /// Writes the rules of the v1 device controller, in order. A rule `a` which denies clears
    /// the list first.
    ///
    /// They hold for whoever is in the cgroup from then on: a child which makes device nodes
    /// must not have joined before the rules are complete. On v2 a program is attached instead,
    /// to [`Join::dir`](crate::Join::dir).
    ///
    /// # Errors
    /// [`Error::NoController`] without v1's device controller, and what the kernel says: `EPERM`
    /// for a device that the parent may not use.
    pub fn set_devices(&self, rules: &[DeviceRule<'_>]) -> Result<()> {
        if rules.is_empty() {
            return Ok(());
        }
        let dir = self.need("devices", "device rules")?;
        for same in rules.chunk_by(|a, b| a.allow == b.allow) {
            let name = match same[0].allow {
                true => "devices.allow",
                false => "devices.deny",
            };
            write_lines(dir, name, same.iter().map(|rule| rule.line))?;
        }
        Ok(())
    }

    fn set_v1(&self, resources: &Resources<'_>) -> Result<()> {
        if let Some((name, _)) = resources.unified.first() {
            return Err(match self.v1.is_empty() {
                // A rootless user without a cgroup.
                true => no_controller(name.split('.').next().unwrap_or(name), name),
                false => Error::UnifiedOnV1,
            });
        }
        self.set_memory(&resources.memory)?;
        self.set_cpu(&resources.cpu)?;
        self.set_cpuset(&resources.cpu)?;
        if let Some(limit) = resources.pids {
            let dir = self.need("pids", "pids limit")?;
            write(dir, "pids.max", &pids_max(limit))?;
        }
        self.set_block_io(&resources.block_io)?;
        for page in &resources.hugepages {
            let dir = self.need("hugetlb", "hugepage limit")?;
            hugepage(dir, page.page_size, "limit_in_bytes", page.limit)?;
        }
        if let Some(id) = resources.network.class_id {
            let dir = self.need("net_cls", "network class")?;
            write(dir, "net_cls.classid", &id.to_string())?;
        }
        if !resources.network.priorities.is_empty() {
            let dir = self.need("net_prio", "network priorities")?;
            let priorities = resources.network.priorities.iter();
            write_lines(
                dir,
                "net_prio.ifpriomap",
                priorities.map(|(name, value)| format!("{name} {value}")),
            )?;
        }
        if !resources.rdma.is_empty() {
            let dir = self.need("rdma", "RDMA limit")?;
            rdma(dir, resources)?;
        }
        Ok(())
    }

    /// The directory of the controller that this limit needs.
    fn need(&self, controller: &str, limit: &str) -> Result<&str> {
        self.v1_dir(controller).ok_or_else(|| no_controller(controller, limit))
    }

    fn set_memory(&self, memory: &Memory) -> Result<()> {
        if *memory == Memory::default() {
            return Ok(());
        }
        let dir = self.need("memory", "memory limit")?;
        let limit = memory.limit.filter(|&limit| limit != 0);
        let mut swap = memory.swap.filter(|&swap| swap != 0);
        // A kernel without swap accounting has no such file, and nothing that would need lifting.
        if limit == Some(-1) && swap.is_none_or(|swap| swap == -1) {
            swap = Some(-1);
        }
        let mut values = Vec::with_capacity(2);
        values.extend(limit.map(|limit| ("memory.limit_in_bytes", limit.to_string())));
        values.extend(swap.map(|swap| (MEMSW_LIMIT, swap.to_string())));
        let may_lack = if swap == Some(-1) { MEMSW_LIMIT } else { "" };
        write_related(dir, &values, may_lack).map_err(|error| match error.errno() {
            Some(Errno::EBUSY) => in_use(dir, limit, error),
            _ => error,
        })?;
        if let Some(value) = memory.reservation.filter(|&value| value != 0) {
            write(dir, "memory.soft_limit_in_bytes", &value.to_string())?;
        }
        if memory.use_hierarchy {
            write(dir, "memory.use_hierarchy", "1")?;
        }
        if memory.disable_oom_killer {
            write(dir, OOM_CONTROL, "1")?;
        }
        // The largest number is -1 of those who mean "unset" by it, as runc takes it.
        match memory.swappiness.filter(|&value| value != u64::MAX) {
            Some(value) => write(dir, "memory.swappiness", &value.to_string()),
            None => Ok(()),
        }
    }

    fn set_cpu(&self, cpu: &Cpu<'_>) -> Result<()> {
        let rest = Cpu { cpus: None, mems: None, ..*cpu };
        if rest == Cpu::default() {
            return Ok(());
        }
        let dir = self.need("cpu", "cpu limit")?;
        // An idle cgroup refuses shares: stop idling before, start after.
        if cpu.idle == Some(0) {
            write(dir, "cpu.idle", "0")?;
        }
        if let Some(shares) = cpu.shares.filter(|&shares| shares != 0) {
            let value = shares.to_string();
            if !SHARES.contains(&shares) {
                return Err(Error::Value {
                    name: "cpu.shares".to_owned(),
                    value,
                    reason: "the kernel takes 2 to 262144",
                });
            }
            write(dir, "cpu.shares", &value)?;
        }
        let period = cpu.period.filter(|&period| period != 0);
        let quota = cpu.quota.filter(|&quota| quota != 0);
        let mut values = Vec::with_capacity(3);
        values.extend(period.map(|period| ("cpu.cfs_period_us", period.to_string())));
        values.extend(quota.map(|quota| ("cpu.cfs_quota_us", quota.to_string())));
        values.extend(cpu.burst.map(|burst| ("cpu.cfs_burst_us", burst.to_string())));
        write_related(dir, &values, "cpu.cfs_burst_us")?;
        let period = cpu.realtime_period.filter(|&period| period != 0);
        let runtime = cpu.realtime_runtime.filter(|&runtime| runtime != 0);
        let mut values = Vec::new();
        values.extend(period.map(|period| ("cpu.rt_period_us", period.to_string())));
        values.extend(runtime.map(|runtime| ("cpu.rt_runtime_us", runtime.to_string())));
        write_related(dir, &values, "")?;
        match cpu.idle {
            Some(idle) if idle != 0 => write(dir, "cpu.idle", &idle.to_string()),
            _ => Ok(()),
        }
    }

    fn set_cpuset(&self, cpu: &Cpu<'_>) -> Result<()> {
        for (name, value) in [("cpuset.cpus", cpu.cpus), ("cpuset.mems", cpu.mems)] {
            if let Some(value) = value.filter(|value| !value.is_empty()) {
                write(self.need("cpuset", name)?, name, value)?;
            }
        }
        Ok(())
    }

    fn set_block_io(&self, io: &BlockIo) -> Result<()> {
        if *io == BlockIo::default() {
            return Ok(());
        }
        let dir = self.need("blkio", "block IO limit")?;
        // CFQ, until Linux 5.0, had the short names; BFQ has its own.
        if let Some(weight) = io.weight.filter(|&weight| weight != 0) {
            first_of(dir, ["blkio.weight", "blkio.bfq.weight"], &weight.to_string())?;
        }
        if let Some(weight) = io.leaf_weight.filter(|&weight| weight != 0) {
            write(dir, "blkio.leaf_weight", &weight.to_string())?;
        }
        for device in &io.weight_devices {
            let line = |weight: u16| format!("{}:{} {weight}", device.major, device.minor);
            if let Some(weight) = device.weight.filter(|&weight| weight != 0) {
                let names = ["blkio.weight_device", "blkio.bfq.weight_device"];
                first_of(dir, names, &line(weight))?;
            }
            if let Some(weight) = device.leaf_weight.filter(|&weight| weight != 0) {
                write(dir, "blkio.leaf_weight_device", &line(weight))?;
            }
        }
        let throttles = [
            ("blkio.throttle.read_bps_device", &io.throttle_read_bps),
            ("blkio.throttle.write_bps_device", &io.throttle_write_bps),
            ("blkio.throttle.read_iops_device", &io.throttle_read_iops),
            ("blkio.throttle.write_iops_device", &io.throttle_write_iops),
        ];
        for (name, rates) in throttles {
            let line = |t: &Throttle| format!("{}:{} {}", t.major, t.minor, t.rate);
            write_lines(dir, name, rates.iter().map(line))?;
        }
        Ok(())
    }
}

pub(crate) fn no_controller(controller: &str, limit: &str) -> Error {
    Error::NoController { controller: controller.to_owned(), limit: limit.to_owned() }
}

/// Writes to the first of two files that exists; the second one's error is the one to report.
pub(crate) fn first_of(dir: &str, names: [&str; 2], value: &str) -> Result<()> {
    match write(dir, names[0], value) {
        Err(error) if error.errno() == Some(Errno::ENOENT) => write(dir, names[1], value),
        result => result,
    }
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
pub(crate) fn hugepage(dir: &str, size: &str, suffix: &str, limit: u64) -> Result<()> {
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

pub(crate) fn rdma(dir: &str, resources: &Resources<'_>) -> Result<()> {
    let lines = resources.rdma.iter().map(|limit| {
        let mut line = limit.device.to_owned();
        for (name, value) in [("hca_handle", limit.hca_handles), ("hca_object", limit.hca_objects)]
        {
            if let Some(value) = value {
                line.push_str(&format!(" {name}={value}"));
            }
        }
        line
    });
    write_lines(dir, "rdma.max", lines)
}

/// Says how much memory is in use where the kernel only says `EBUSY`.
fn in_use(dir: &str, limit: Option<i64>, error: Error) -> Error {
    let number = |name| file::read(dir, name).ok()?.trim().parse().ok();
    let usage = number("memory.usage_in_bytes");
    let peak = number("memory.max_usage_in_bytes");
    match (limit, usage, peak) {
        (Some(limit), Some(usage), Some(peak)) => Error::MemoryInUse { limit, usage, peak },
        _ => error,
    }
}
