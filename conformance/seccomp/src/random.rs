//! Random profiles, the same ones for the same seed.

use bpf::seccomp::{Arch, operator_names};

use crate::names::Names;

/// SplitMix64.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Below `end`, which is not 0.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    pub(crate) fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    pub(crate) fn of<'a, T>(&mut self, list: &'a [T]) -> &'a T {
        &list[self.below(list.len())]
    }
}

const ACTIONS: [&str; 8] = [
    "SCMP_ACT_ALLOW",
    "SCMP_ACT_ERRNO",
    "SCMP_ACT_KILL",
    "SCMP_ACT_KILL_PROCESS",
    "SCMP_ACT_LOG",
    "SCMP_ACT_TRACE",
    "SCMP_ACT_TRAP",
    "SCMP_ACT_NOTIFY",
];

/// Values around which comparisons of halves go wrong.
const VALUES: [u64; 12] = [
    0,
    1,
    2,
    5,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_ffff,
    0x1_0000_0000,
    0x1_0000_0001,
    0x2_0000_0002,
    0x8000_0000_0000_0000,
    u64::MAX,
];

/// A machine and a profile for it.
pub(crate) fn profile(random: &mut Random, names: &Names) -> (Arch, spec::Seccomp<'static>) {
    let native = *random.of(&names.arches);
    let mut architectures = Vec::new();
    for &arch in &names.arches {
        if arch.is_big_endian() == native.is_big_endian() && random.one_in(6) {
            architectures.push(arch);
        }
    }
    let mut all = vec![native];
    all.extend(&architectures);
    let mut known = names.known(&all);
    // For `excuse`.
    known.retain(|name| *name != "getppid");
    // A few calls that many rules are about.
    let crowd: Vec<&str> = (0..4).map(|_| *random.of(&known)).collect();
    let through: Vec<&str> =
        known.iter().copied().filter(|name| names.is_multiplexed(name)).collect();
    let mut rules = Vec::new();
    for _ in 0..random.below(8) {
        let mut called = Vec::new();
        for _ in 0..=random.below(8) {
            let list = match random.below(8) {
                0..4 => &crowd,
                4 if !through.is_empty() => &through,
                _ => &known,
            };
            let name = *random.of(list);
            // libseccomp takes some rules for their own contradiction when they are repeated.
            if !called.contains(&name.into()) {
                called.push(name.into());
            }
        }
        let action = *random.of(&ACTIONS);
        let write = action == "SCMP_ACT_NOTIFY" && called.contains(&"write".into());
        let action = if write { "SCMP_ACT_TRAP" } else { action };
        rules.push(spec::SyscallRule {
            names: called,
            action: action.into(),
            errno_ret: errno(random, action),
            args: if random.one_in(3) { Vec::new() } else { conditions(random) },
        });
    }
    let default = *random.of(&ACTIONS[..7]);
    let profile = spec::Seccomp {
        default_action: default.into(),
        default_errno_ret: errno(random, default),
        architectures: architectures.into_iter().map(|arch| arch.name().into()).collect(),
        listener_path: "/agent".into(),
        syscalls: rules,
        ..spec::Seccomp::default()
    };
    (native, profile)
}

/// Only two actions have one. To 2.6.1, libseccomp does not take the last errno, 4095.
fn errno(random: &mut Random, action: &str) -> Option<u32> {
    let has = ["SCMP_ACT_ERRNO", "SCMP_ACT_TRACE"].contains(&action) && random.one_in(2);
    has.then(|| random.below(4095) as u32)
}

fn conditions(random: &mut Random) -> Vec<spec::SyscallArg<'static>> {
    let operators: Vec<&'static str> = operator_names().collect();
    let mut conditions = Vec::new();
    let count = if random.one_in(8) { 6 } else { random.below(4) };
    for index in 0..count {
        // Mostly one for each argument, in any order.
        let index = if random.one_in(6) { random.below(6) } else { 5 - index };
        conditions.push(spec::SyscallArg {
            index: if random.one_in(2) { index as u32 } else { (index % 3) as u32 },
            value: value(random),
            value_two: value(random),
            op: (*random.of(&operators)).into(),
        });
    }
    conditions
}

fn value(random: &mut Random) -> u64 {
    if random.one_in(8) { random.next() } else { *random.of(&VALUES) }
}

/// Arguments on and beside the values of `rules`, and others.
pub(crate) fn arguments(random: &mut Random, values: &[u64]) -> [u64; 6] {
    std::array::from_fn(|_| match random.below(8) {
        0 => random.next(),
        1 => random.below(26) as u64,
        2 | 3 => *random.of(&VALUES),
        _ if values.is_empty() => 0,
        4 => random.of(values).wrapping_add(1),
        5 => random.of(values).wrapping_sub(1),
        6 => random.of(values) ^ (1 << random.below(64)),
        _ => *random.of(values),
    })
}
