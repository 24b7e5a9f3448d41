//! Limits: each is set where its controller is.
//!
//! A controller is on v1 or on v2, never on both; on a hybrid machine some may be on one and some
//! on the other. What v1 has is v1's; the rest is looked for on v2.

use crate::error::{Error, Result};
use crate::resources::Resources;
use crate::target::{Limiter, Target, write};
use crate::v1::no_controller;
use crate::{v1, v2};

impl<'t> Limiter<'t> {
    /// [`Cgroup::set`](crate::Cgroup::set) and [`Cgroup::writes`](crate::Cgroup::writes).
    pub(crate) fn set(self, resources: &Resources<'_>) -> Result<()> {
        self.check_unified(resources)?;
        let Resources { memory, cpu, block_io, .. } = resources;
        if let Some(limit) = resources.pids {
            self.set_either("pids", "pids limit", |dir, _| {
                write(dir, "pids.max", &v1::pids_max(limit))
            })?;
        }
        match self.v2_dir_of("memory") {
            None => self.set_memory_v1(memory)?,
            Some(dir) => {
                v2::enabling(dir, "memory", "memory limit", || v2::set_memory(dir, memory))?;
            }
        }
        match self.v2_dir_of("blkio") {
            None => self.set_block_io_v1(block_io)?,
            Some(dir) => v2::enabling(dir, "io", "block IO limit", || v2::set_io(dir, block_io))?,
        }
        match self.v2_dir_of("cpu") {
            None => self.set_cpu_v1(cpu)?,
            Some(dir) => v2::enabling(dir, "cpu", "cpu limit", || v2::set_cpu(dir, cpu))?,
        }
        match self.v2_dir_of("cpuset") {
            None => self.set_cpuset_v1(cpu)?,
            Some(dir) => v2::enabling(dir, "cpuset", "cpuset", || v2::set_cpuset(dir, cpu))?,
        }
        for page in &resources.hugepages {
            self.set_either("hugetlb", "hugepage limit", |dir, suffix| {
                v1::hugepage(dir, page.page_size, suffix, page.limit)
            })?;
        }
        if !resources.rdma.is_empty() {
            self.set_either("rdma", "RDMA limit", |dir, _| v1::rdma(dir, &resources.rdma))?;
        }
        match (self.cgroup.is_unified(), self.v2_dir()) {
            (true, Some(dir)) => v2::set_unified(dir, &resources.unified),
            _ => self.set_network_v1(&resources.network),
        }
    }

    /// `unified` names files of v2's; as in runc it is an error where v1 has controllers.
    fn check_unified(self, resources: &Resources<'_>) -> Result<()> {
        match resources.unified.first() {
            Some((name, _)) if self.cgroup.is_empty() => {
                // A rootless user without a cgroup.
                Err(no_controller(name.split('.').next().unwrap_or(name), name))
            }
            Some((name, _)) if !self.cgroup.is_unified() => {
                Err(Error::UnifiedOnV1 { name: (*name).to_owned() })
            }
            _ => Ok(()),
        }
    }

    /// Sets what v1 and v2 have in the same way, but for the word for a limit in some names.
    fn set_either(
        self,
        controller: &str,
        limit: &str,
        set: impl Fn(Target<'t>, &str) -> Result<()>,
    ) -> Result<()> {
        match self.v2_dir_of(controller) {
            None => set(self.need(controller, limit)?, "limit_in_bytes"),
            Some(dir) => v2::enabling(dir, controller, limit, || set(dir, "max")),
        }
    }
}
