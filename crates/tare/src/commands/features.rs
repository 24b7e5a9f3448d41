//! `features`: what this program understands, by the specification's schema (features.md).
//!
//! Every list comes from the table that the code itself reads, so that it can't promise more, or
//! less, than is done. Of the machine only the flags of seccomp are asked.

use bpf::seccomp::{self, Arch};
use plan::{HookKind, NamespaceKind};
use serde::Serialize;
use serde_json::{Value, json};

use super::{Outcome, print};

/// The oldest version of the specification that is understood: the first one.
const OLDEST: &str = "1.0.0";

/// `features`.
pub(crate) fn features() -> Outcome {
    let mut text = Vec::new();
    let formatter = serde_json::ser::PrettyFormatter::with_indent(b"    ");
    let mut serializer = serde_json::Serializer::with_formatter(&mut text, formatter);
    document().serialize(&mut serializer).map_err(|error| error.to_string())?;
    text.push(b'\n');
    print(&text)?;
    Ok(0)
}

fn document() -> Value {
    json!({
        "ociVersionMin": OLDEST,
        "ociVersionMax": spec::OCI_VERSION,
        "hooks": HookKind::ALL.map(HookKind::name),
        "mountOptions": plan::option_names().collect::<Vec<_>>(),
        "linux": linux(),
        "annotations": {
            "org.opencontainers.runc.checkpoint.enabled": "true",
            "tare.version": env!("CARGO_PKG_VERSION"),
            "tare.commit": option_env!("TARE_COMMIT").unwrap_or("unknown"),
        },
        "potentiallyUnsafeConfigAnnotations": unsafe_annotations(),
    })
}

/// What an engine should not pass on from strangers: with `--systemd-cgroup` properties of the
/// container's unit, and what names sockets and files of the host, such as one of CRIU's options.
fn unsafe_annotations() -> Vec<&'static str> {
    let mut names = vec![cgroup::systemd::ANNOTATION_PREFIX, engine::CRIU_CONFIG_ANNOTATION];
    names.extend(plan::ANNOTATIONS);
    names
}

fn linux() -> Value {
    let mut namespaces = NamespaceKind::ALL.map(NamespaceKind::name);
    namespaces.sort_unstable();
    let capabilities: Vec<String> =
        plan::names::CAPABILITIES.iter().map(|name| format!("CAP_{name}")).collect();
    let mut arches: Vec<&str> = Arch::all().map(Arch::name).collect();
    arches.sort_unstable();
    let supported = seccomp::flags().filter(|(_, flags)| sys::seccomp_knows(*flags));
    let supported = supported.map(|(name, _)| name);
    let id_mapped = plan::option_names().any(|name| name == "idmap");
    json!({
        "namespaces": namespaces,
        "capabilities": capabilities,
        "cgroup": {
            "v1": true,
            "v2": true,
            "systemd": true,
            "systemdUser": true,
            "rdma": true,
        },
        "seccomp": {
            "enabled": true,
            "actions": seccomp::action_names().collect::<Vec<_>>(),
            "operators": seccomp::operator_names().collect::<Vec<_>>(),
            "archs": arches,
            "knownFlags": seccomp::flag_names().collect::<Vec<_>>(),
            "supportedFlags": supported.collect::<Vec<_>>(),
        },
        "apparmor": { "enabled": true },
        "selinux": { "enabled": true },
        "intelRdt": { "enabled": true, "schemata": true, "monitoring": true },
        "mountExtensions": { "idmap": { "enabled": id_mapped } },
        "memoryPolicy": {
            "modes": plan::memory_policy_modes().collect::<Vec<_>>(),
            "flags": plan::memory_policy_flags().collect::<Vec<_>>(),
        },
        "netDevices": { "enabled": true },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_independent_reader_of_the_schema_understands_it() {
        let features: oci_spec::runtime::Features = serde_json::from_value(document()).unwrap();
        assert_eq!(features.oci_version_min(), "1.0.0");
        assert_eq!(features.oci_version_max(), spec::OCI_VERSION);
        assert_eq!(features.hooks().as_ref().map(Vec::len), Some(6));
        let linux = features.linux().as_ref().unwrap();
        assert_eq!(linux.namespaces().as_ref().map(Vec::len), Some(8));
        assert_eq!(linux.capabilities().as_ref().map(Vec::len), Some(41));
        let seccomp = linux.seccomp().as_ref().unwrap();
        assert_eq!(seccomp.actions().as_ref().map(Vec::len), Some(9));
        assert_eq!(seccomp.operators().as_ref().map(Vec::len), Some(7));
    }

    #[test]
    fn every_field_of_the_schema_is_there_and_no_other() {
        // features.md and features-linux.md of runtime-spec 1.3.
        const FIELDS: &str = "ociVersionMin ociVersionMax hooks mountOptions linux/namespaces \
            linux/capabilities linux/cgroup/v1 linux/cgroup/v2 linux/cgroup/systemd \
            linux/cgroup/systemdUser linux/cgroup/rdma linux/seccomp/enabled linux/seccomp/actions \
            linux/seccomp/operators linux/seccomp/archs linux/seccomp/knownFlags \
            linux/seccomp/supportedFlags linux/apparmor/enabled linux/selinux/enabled \
            linux/intelRdt/enabled linux/intelRdt/schemata linux/intelRdt/monitoring \
            linux/mountExtensions/idmap/enabled linux/netDevices/enabled annotations \
            linux/memoryPolicy/modes linux/memoryPolicy/flags \
            potentiallyUnsafeConfigAnnotations";
        let document = document();
        let mut found = Vec::new();
        leaves("", &document, &mut found);
        let mut wanted: Vec<&str> = FIELDS.split_ascii_whitespace().collect();
        wanted.sort_unstable();
        found.sort_unstable();
        assert_eq!(found, wanted);
    }

    /// The fields of the schema, but for annotations, which are anybody's.
    fn leaves(at: &str, value: &Value, found: &mut Vec<String>) {
        match value.as_object().filter(|_| at != "annotations") {
            None => found.push(at.to_owned()),
            Some(object) => object.iter().for_each(|(name, value)| {
                let at = if at.is_empty() { name.clone() } else { format!("{at}/{name}") };
                leaves(&at, value, found);
            }),
        }
    }

    #[test]
    fn lists_are_sorted_as_readers_expect() {
        let document = document();
        let sorted = |pointer: &str| {
            let list = document.pointer(pointer).and_then(Value::as_array).unwrap();
            let names: Vec<&str> = list.iter().filter_map(Value::as_str).collect();
            !names.is_empty() && names.is_sorted()
        };
        for pointer in [
            "/mountOptions",
            "/linux/namespaces",
            "/linux/seccomp/actions",
            "/linux/seccomp/operators",
            "/linux/seccomp/archs",
            "/linux/seccomp/knownFlags",
            "/linux/memoryPolicy/modes",
            "/linux/memoryPolicy/flags",
        ] {
            assert!(sorted(pointer), "{pointer}");
        }
    }
}
