//! The plan of `exec`.

use crate::process::Process;
use crate::refusal::{Findings, Refusals};
use crate::{Options, Security, process};

/// What a process file of `exec` leaves out is as in the container's own process, where it belongs to
/// the container more than to the program: as runc.
pub fn complete<'a>(file: &mut spec::Process<'a>, own: &spec::Process<'a>) {
    fn fill<T: Clone>(place: &mut Option<T>, own: &Option<T>) {
        if place.is_none() {
            place.clone_from(own);
        }
    }
    fill(&mut file.capabilities, &own.capabilities);
    fill(&mut file.scheduler, &own.scheduler);
    fill(&mut file.io_priority, &own.io_priority);
    fill(&mut file.exec_cpu_affinity, &own.exec_cpu_affinity);
    fill(&mut file.oom_score_adj, &own.oom_score_adj);
    fill(&mut file.user.umask, &own.user.umask);
    if file.apparmor_profile.is_empty() {
        file.apparmor_profile.clone_from(&own.apparmor_profile);
    }
    if file.selinux_label.is_empty() {
        file.selinux_label.clone_from(&own.selinux_label);
    }
}

/// Plans the process of `exec`, with warnings.
pub fn exec<'a>(
    config: &'a spec::Process<'a>,
    security: &Security,
    options: &Options<'_>,
) -> Result<(Process<'a>, Vec<String>), Refusals> {
    let mut findings = Findings::default();
    let plan = process::process(config, "/process", security, &mut findings);
    process::check_terminal(&plan, options, &mut findings);
    let warnings = std::mem::take(&mut findings.warnings);
    findings.finish((plan, warnings))
}
