//! The container as a unit of systemd's.

use cgroup::systemd::{ANNOTATION_PREFIX, Instance, Unit, annotation};

use crate::create::{CgroupDriver, UnitPlan};
use crate::refusal::Findings;

/// The unit that the configuration names, with what its annotations set.
pub(crate) fn unit(
    config: &spec::Spec<'_>,
    linux: &spec::Linux<'_>,
    id: &str,
    instance: Instance,
    findings: &mut Findings,
) -> CgroupDriver {
    let mut annotations = Vec::new();
    for (key, value) in &config.annotations {
        let Some(name) = key.strip_prefix(ANNOTATION_PREFIX) else {
            continue;
        };
        match annotation(name, value) {
            Ok(property) => annotations.push(property),
            Err(sentence) => {
                // A slash or tilde in a key of a pointer (RFC 6901).
                let key = key.replace('~', "~0").replace('/', "~1");
                findings.refuse(format!("/annotations/{key}"), sentence);
            }
        }
    }
    match Unit::parse(Some(&linux.cgroups_path), id, instance) {
        Ok(unit) => CgroupDriver::Systemd(UnitPlan { unit, annotations }),
        Err(error) => {
            findings.refuse("/linux/cgroupsPath", error.to_string());
            CgroupDriver::Files
        }
    }
}
