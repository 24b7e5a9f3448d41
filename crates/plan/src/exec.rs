//! The plan of `exec`.

use crate::process::Process;
use crate::refusal::{Findings, Refusals};
use crate::{Options, Security, process};

/// Plans the process of `exec`, with warnings; capabilities that the file does not name are the
/// container's.
pub fn exec<'a>(
    config: &'a spec::Process<'a>,
    container: &'a spec::Process<'a>,
    security: &Security,
    options: &Options<'_>,
) -> Result<(Process<'a>, Vec<String>), Refusals> {
    let mut findings = Findings::default();
    let mut plan = process::process(config, "/process", security, &mut findings);
    if config.capabilities.is_none() {
        let inherited = process::process(container, "/process", security, &mut Findings::default());
        plan.capabilities = inherited.capabilities;
    }
    process::check_terminal(&plan, options, &mut findings);
    if findings.refusals.is_empty() {
        Ok((plan, findings.warnings))
    } else {
        Err(Refusals(findings.refusals))
    }
}
