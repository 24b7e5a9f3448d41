//! Any bytes as the process file of `exec`: refused, or a plan that keeps what it must.
#![no_main]

use libfuzzer_sys::fuzz_target;
use plan::{CgroupChoice, Options, Security};

fuzz_target!(|bytes: &[u8]| {
    let Ok(mut file) = spec::parse::<spec::Process<'_>>(bytes) else { return };
    let own = spec::Process::default();
    plan::complete(&mut file, &own);
    let security = Security { apparmor: true, selinux: true, capabilities: u64::MAX };
    let options = Options {
        id: "fuzz",
        detach: false,
        command: plan::Command::Run,
        console_socket: false,
        keep_keyring: false,
        no_pivot: false,
        cgroups: CgroupChoice::Files,
    };
    match plan::exec(&file, &security, &options) {
        Err(refusals) => assert!(!refusals.to_string().is_empty()),
        Ok((process, _)) => {
            assert!(!process.args.is_empty() && process.cwd.starts_with('/'));
            // What would leave the caller's own id, which is root's.
            let ids = process.groups.iter().chain([&process.uid, &process.gid]);
            assert!(ids.into_iter().all(|id| *id != u32::MAX));
        }
    }
});
