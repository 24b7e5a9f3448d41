//! Random profiles.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

use super::*;

const OPS: &[&str] = &[
    "SCMP_CMP_NE",
    "SCMP_CMP_LT",
    "SCMP_CMP_LE",
    "SCMP_CMP_EQ",
    "SCMP_CMP_GE",
    "SCMP_CMP_GT",
    "SCMP_CMP_MASKED_EQ",
];
const ACTIONS: &[&str] = &[
    "SCMP_ACT_KILL",
    "SCMP_ACT_KILL_PROCESS",
    "SCMP_ACT_TRAP",
    "SCMP_ACT_ERRNO",
    "SCMP_ACT_TRACE",
    "SCMP_ACT_ALLOW",
    "SCMP_ACT_LOG",
];
/// Values around which comparisons of halves go wrong.
const VALUES: &[u64] = &[
    0,
    1,
    2,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_ffff,
    0x1_0000_0000,
    0x1_0000_0001,
    0x2_0000_0000,
    0x8000_0000_0000_0000,
    u64::MAX,
];
/// Machines whose filters differ in shape: x32's bit, multiplexers, byte order, bases, s390's 0.
const NATIVE: &[Arch] = &[Arch::X86_64, Arch::Aarch64, Arch::S390x, Arch::Mips64, Arch::Ppc64le];

fn arg() -> impl Strategy<Value = spec::SyscallArg<'static>> {
    let values = (select(VALUES), select(VALUES));
    (0_u32..3, values, select(OPS)).prop_map(|(index, (value, value_two), op)| spec::SyscallArg {
        index,
        value,
        value_two,
        op: op.into(),
    })
}

fn name() -> impl Strategy<Value = &'static str> {
    let known: Vec<_> = super::super::table::Call::all().map(|(_, name)| name).collect();
    let crowded = &["read", "write", "socket", "accept4", "semget", "shmat", "socketcall", "ipc"];
    prop_oneof![4 => select(known), 2 => select(&crowded[..]), 1 => Just("no_such_call")]
}

/// An action and its errno, if it is one that has one.
fn action() -> impl Strategy<Value = (&'static str, Option<u32>)> {
    let has_errno = |action| ["SCMP_ACT_ERRNO", "SCMP_ACT_TRACE"].contains(&action);
    (select(ACTIONS), option::of(0_u32..300))
        .prop_map(move |(action, errno)| (action, errno.filter(|_| has_errno(action))))
}

fn rule() -> impl Strategy<Value = spec::SyscallRule<'static>> {
    let args = prop_oneof![1 => Just(Vec::new()), 1 => vec(arg(), 0..4)];
    (vec(name(), 1..40), action(), args).prop_map(|(names, (action, errno_ret), args)| {
        spec::SyscallRule {
            names: names.into_iter().map(Into::into).collect(),
            action: action.into(),
            errno_ret,
            args,
        }
    })
}

fn profile() -> impl Strategy<Value = (Arch, spec::Seccomp<'static>)> {
    let parts = (select(NATIVE), action(), vec(rule(), 0..8), any::<[u32; 3]>());
    parts.prop_map(|(native, (default_action, default_errno_ret), syscalls, listed)| {
        let others = Arch::all().filter(|arch| arch.is_big_endian() == native.is_big_endian());
        let listed = listed[0] & listed[1] & listed[2];
        let listed = others.filter(|arch| listed >> *arch as u32 & 1 != 0);
        let profile = spec::Seccomp {
            default_action: default_action.into(),
            default_errno_ret,
            architectures: listed.map(|arch| arch.name().into()).collect(),
            syscalls,
            ..spec::Seccomp::default()
        };
        (native, profile)
    })
}

fn args() -> impl Strategy<Value = [u64; 6]> {
    let near = (select(VALUES), 0_u64..3).prop_map(|(value, plus)| value.wrapping_add(plus));
    prop::array::uniform6(prop_oneof![4 => near, 1 => 0_u64..25, 1 => any::<u64>()])
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn filters_mean_what_profiles_say((native, profile) in profile(), args in vec(args(), 3)) {
        let Ok(Some(filter)) = compile(&profile, native) else {
            return Err(TestCaseError::reject("too long"));
        };
        prop_assert_eq!(kernel_takes(&filter.program), Ok(()));
        let model = Model::new(&profile, native);
        let listed = profile.architectures.iter().map(|name| Arch::parse(name).unwrap());
        for arch in listed.chain([native]) {
            for number in numbers(&[arch]) {
                for args in &args {
                    check(&model, &filter, &Data { number, arch, args: *args });
                }
            }
        }
    }
}
