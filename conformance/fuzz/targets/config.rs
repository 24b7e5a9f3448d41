//! Any bytes to a configuration to a plan: never a panic.
#![no_main]

use libfuzzer_sys::fuzz_target;
use plan::{CgroupChoice, Host, HostResctrl, Options, RootKind, Security};

fuzz_target!(|bytes: &[u8]| {
    let Ok(config) = spec::parse(bytes) else { return };
    for unprivileged in [false, true] {
        let host = Host {
            bundle: "/bundle",
            rootless: unprivileged,
            unprivileged,
            root: RootKind::Directory,
            unreachable: Vec::new(),
            receiver: "",
            listener: String::new(),
            absent_devices: Vec::new(),
resctrl: HostResctrl::None,
            joined: Vec::new(),
            security: Security { apparmor: true, selinux: true, capabilities: u64::MAX },
        };
        let options = Options {
            id: "fuzz",
            detach: unprivileged,
            command: if unprivileged { plan::Command::Run } else { plan::Command::Create },
            console_socket: unprivileged,
            keep_keyring: false,
            no_pivot: false,
            cgroups: CgroupChoice::Files,
        };
        if let Err(refusals) = plan::create(&config, &host, &options) {
            assert!(!refusals.to_string().is_empty());
        }
    }
});
