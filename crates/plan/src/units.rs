//! The container as a unit of systemd's.

use cgroup::systemd::{ANNOTATION_PREFIX, Instance, Unit, annotation};

use crate::annotations;
use crate::create::{CgroupDriver, UnitPlan};
use crate::refusal::Findings;

/// The unit that the configuration names, with what its annotations set.
pub(crate) fn unit<'a>(
    config: &'a spec::Spec<'a>,
    linux: &spec::Linux<'_>,
    id: &str,
    instance: Instance,
    findings: &mut Findings,
) -> CgroupDriver<'a> {
    let mut properties = Vec::new();
    for (key, value) in &config.annotations {
        let Some(name) = key.strip_prefix(ANNOTATION_PREFIX) else {
            continue;
        };
        match annotation(name, value) {
            Ok(property) => properties.push(property),
            Err(sentence) => {
                let at = format!("/annotations/{}", spec::pointer_token(key));
                let hint = "a property of the unit that a container may set, as text of a GVariant";
                findings.refuse(at, sentence, hint);
            }
        }
    }
    let subgroup = annotations::subgroup(&config.annotations, findings);
    match Unit::parse(Some(&linux.cgroups_path), id, instance) {
        Ok(unit) => CgroupDriver::Systemd(UnitPlan { unit, annotations: properties, subgroup }),
        Err(error) => {
            let hint = "SLICE:PREFIX:NAME, such as system.slice:tare:web";
            findings.refuse("/linux/cgroupsPath", error.to_string(), hint);
            CgroupDriver::Files
        }
    }
}
