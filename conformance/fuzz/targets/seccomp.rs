//! Any JSON to a profile to a program: never a panic, never a program that the kernel would refuse
//! or that does not answer, and the same program when it is saved and read again.
#![no_main]

use bpf::interpret::{Data, check, run};
use bpf::seccomp::{Arch, Filter, compile};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    // The first byte chooses the machine.
    let Some((machine, text)) = bytes.split_first() else { return };
    let Ok(profile) = serde_json::from_slice::<spec::Seccomp<'_>>(text) else { return };
    let native = Arch::all().nth(usize::from(*machine) % Arch::all().count());
    let native = native.unwrap_or(Arch::native());
    match compile(&profile, native) {
        Ok(Some(filter)) => holds(&filter, &profile, native),
        Ok(None) => {}
        Err(problems) => {
            assert!(!problems.is_empty());
            // Every pointer points at something that is there.
            let value = serde_json::to_value(&profile).unwrap_or_default();
            for problem in problems {
                assert!(value.pointer(&format!("/{}", problem.pointer)).is_some(), "{problem}");
            }
        }
    }
});

fn holds(filter: &Filter, profile: &spec::Seccomp<'_>, native: Arch) {
    check(&filter.program).unwrap_or_else(|why| panic!("{why}"));
    let listed = profile.architectures.iter().filter_map(|name| Arch::parse(name));
    let value = profile.syscalls.iter().flat_map(|rule| &rule.args).map(|arg| arg.value).next();
    for arch in listed.chain([native]) {
        let numbers = (0..480).chain([0xf_0001, 0x4000_0000, 0x4000_0200, u32::MAX]);
        for number in numbers.chain([4001, 5001, 6001]) {
            let args = [value.unwrap_or(number.into()); 6];
            let outcome = run(&filter.program, &Data { number, arch, args });
            let outcome = outcome.unwrap_or_else(|why| panic!("{why}"));
            assert!(outcome.steps <= filter.program.len());
        }
    }
    assert_eq!(Filter::from_bytes(&filter.to_bytes()).as_ref(), Ok(filter));
}
