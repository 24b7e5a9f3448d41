//! The configuration that `spec` prints and `run --rootfs` uses: runc's, to the field.

use serde_json::{Value, json};

/// The default `config.json`. As runc's it has a cgroup namespace where cgroups are v2 alone.
pub(crate) fn default() -> Value {
    let mut config = base();
    let unified = std::path::Path::new("/sys/fs/cgroup/cgroup.controllers").exists();
    if let (true, Some(namespaces)) = (unified, config["linux"]["namespaces"].as_array_mut()) {
        namespaces.push(json!({ "type": "cgroup" }));
    }
    config
}

fn base() -> Value {
    json!({
        "ociVersion": spec::OCI_VERSION,
        "process": {
            "terminal": true,
            "user": { "uid": 0, "gid": 0 },
            "args": ["sh"],
            "env": [
                "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                "TERM=xterm"
            ],
            "cwd": "/",
            "capabilities": {
                "bounding": ["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"],
                "effective": ["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"],
                "permitted": ["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"]
            },
            "rlimits": [{ "type": "RLIMIT_NOFILE", "hard": 1024, "soft": 1024 }],
            "noNewPrivileges": true
        },
        "root": { "path": "rootfs", "readonly": true },
        "hostname": "tare",
        "mounts": mounts(),
        "linux": {
            "resources": { "devices": [{ "allow": false, "access": "rwm" }] },
            "namespaces": [
                { "type": "pid" },
                { "type": "network" },
                { "type": "ipc" },
                { "type": "uts" },
                { "type": "mount" }
            ],
            "maskedPaths": [
                "/proc/acpi",
                "/proc/asound",
                "/proc/kcore",
                "/proc/keys",
                "/proc/latency_stats",
                "/proc/timer_list",
                "/proc/timer_stats",
                "/proc/sched_debug",
                "/sys/firmware",
                "/proc/scsi"
            ],
            "readonlyPaths": [
                "/proc/bus",
                "/proc/fs",
                "/proc/irq",
                "/proc/sys",
                "/proc/sysrq-trigger"
            ]
        }
    })
}

fn mounts() -> Value {
    let mount = |destination: &str, kind: &str, source: &str, options: &[&str]| {
        json!({
            "destination": destination, "type": kind, "source": source, "options": options
        })
    };
    let safe = ["nosuid", "noexec", "nodev"];
    let mut mounts = vec![json!({ "destination": "/proc", "type": "proc", "source": "proc" })];
    mounts.push(mount(
        "/dev",
        "tmpfs",
        "tmpfs",
        &["nosuid", "strictatime", "mode=755", "size=65536k"],
    ));
    mounts.push(mount(
        "/dev/pts",
        "devpts",
        "devpts",
        &["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"],
    ));
    mounts.push(mount(
        "/dev/shm",
        "tmpfs",
        "shm",
        &["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"],
    ));
    mounts.push(mount("/dev/mqueue", "mqueue", "mqueue", &safe));
    mounts.push(mount("/sys", "sysfs", "sysfs", &["nosuid", "noexec", "nodev", "ro"]));
    mounts.push(mount(
        "/sys/fs/cgroup",
        "cgroup",
        "cgroup",
        &["nosuid", "noexec", "nodev", "relatime", "ro"],
    ));
    Value::Array(mounts)
}

/// The same for a user without root's powers: its own id as root, the host's network, no limits.
pub(crate) fn rootless(uid: u32, gid: u32) -> Value {
    let mut config = default();
    let map = |id: u32| json!([{ "containerID": 0, "hostID": id, "size": 1 }]);
    config["linux"]["uidMappings"] = map(uid);
    config["linux"]["gidMappings"] = map(gid);
    if let Some(namespaces) = config["linux"]["namespaces"].as_array_mut() {
        namespaces.retain(|namespace| namespace["type"] != "network");
        namespaces.push(json!({ "type": "user" }));
    }
    if let Some(linux) = config["linux"].as_object_mut() {
        linux.remove("resources");
    }
    if let Some(mounts) = config["mounts"].as_array_mut() {
        for mount in mounts.iter_mut() {
            if let Some(options) = mount["options"].as_array_mut() {
                // Ids that the user has no mapping for.
                options.retain(|option| option != "gid=5");
            }
            match mount["destination"].as_str() {
                Some("/sys") => {
                    *mount = json!({
                        "destination": "/sys", "type": "none", "source": "/sys",
                        "options": ["rbind", "nosuid", "noexec", "nodev", "ro"]
                    });
                }
                Some("/sys/fs/cgroup") => *mount = Value::Null,
                _ => {}
            }
        }
        mounts.retain(|mount| !mount.is_null());
    }
    config
}

/// The default for a root file system and a command: `run --rootfs`.
///
/// Without a command it is the default's shell, on a terminal if the caller has one.
pub(crate) fn for_rootfs(rootfs: &str, command: &[String], terminal: bool) -> Value {
    let mut config = match engine::is_rootless() {
        true => rootless(nix::unistd::geteuid().as_raw(), nix::unistd::getegid().as_raw()),
        false => default(),
    };
    config["root"]["path"] = json!(rootfs);
    config["process"]["terminal"] = json!(terminal);
    if !command.is_empty() {
        config["process"]["args"] = json!(command);
    }
    config
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_are_what_the_specification_means() {
        for config in [default(), rootless(1000, 1000)] {
            let text = config.to_string();
            let witness: oci_spec::runtime::Spec = serde_json::from_str(&text).unwrap();
            let ours: spec::Spec<'_> = spec::parse(text.as_bytes()).unwrap();
            assert_eq!(witness.mounts().as_ref().map(Vec::len), Some(ours.mounts.len()));
            assert_eq!(witness.version(), &ours.oci_version.to_string());
        }
    }
}
