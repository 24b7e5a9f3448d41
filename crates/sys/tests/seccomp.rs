//! `bpf::interpret::check` says of every program what the kernel says.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use bpf::interpret::check;
use bpf::seccomp::{Arch, Filter, Instruction, compile};
use nix::errno::Errno;
use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// `SECCOMP_FILTER_FLAG_NEW_LISTENER`
const NEW_LISTENER: u32 = 1 << 3;

/// Whether the kernel takes a program. It is not loaded: the descriptor of its listener, which comes
/// after all checks, is one too many.
fn kernel_takes(program: &[Instruction]) -> bool {
    let filter = Filter { program: program.to_vec(), flags: 0, notify: false };
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, 0, hard).unwrap();
    let result = sys::seccomp_set_filter(&filter.instructions(), NEW_LISTENER);
    setrlimit(Resource::RLIMIT_NOFILE, soft, hard).unwrap();
    match result.unwrap_err().errno {
        Errno::EMFILE => true,
        Errno::EINVAL => false,
        errno => panic!("{errno}"),
    }
}

/// SplitMix64.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u32) -> u32 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % u64::from(end)) as u32
    }

    fn instruction(&mut self) -> Instruction {
        let k = match self.below(4) {
            0 => self.below(70),
            1 => self.below(20),
            2 => self.below(4) * 4,
            _ => self.below(u32::MAX),
        };
        let small = |n: u32| u8::try_from(n).unwrap();
        let (jt, jf) = (small(self.below(6)), small(self.below(6)));
        let code = u16::try_from(self.below(0x100)).unwrap();
        Instruction { code, jt, jf, k }
    }
}

#[test]
fn programs_are_taken_as_by_the_kernel() {
    sys::set_no_new_privileges().unwrap();
    let profile = include_str!("../../bpf/tests/data/docker.json");
    let profile: spec::Seccomp<'_> = serde_json::from_str(profile).unwrap();
    let docker = compile(&profile, Arch::native()).unwrap().unwrap().program;
    assert!(kernel_takes(&docker));
    let mut random = Random(1);
    let (mut taken, mut refused) = (0, 0);
    let mut compare = |program: &[Instruction]| {
        let kernel = kernel_takes(program);
        assert_eq!(check(program).is_ok(), kernel, "{:?}: {program:?}", check(program));
        *if kernel { &mut taken } else { &mut refused } += 1;
    };
    // Every code there can be, with operands on both sides of every bound.
    for code in 0..0x200 {
        for k in [0, 1, 3, 4, 15, 16, 31, 32, 60, 61, 64] {
            let it = Instruction { code, jt: 0, jf: 0, k };
            let end = Instruction { code: 0x06, jt: 0, jf: 0, k: 0 };
            compare(&[it, end]);
            compare(&[end, it]);
            compare(&[Instruction { jt: 1, jf: 0, ..it }, end, end]);
            compare(&[Instruction { jt: 0, jf: 2, ..it }, end, end]);
            // After a store to the same word.
            compare(&[Instruction { code: 0x02, jt: 0, jf: 0, k: k % 16 }, it, end]);
        }
    }
    // One that is real, with a few instructions changed.
    for _ in 0..4000 {
        let mut program = docker.clone();
        for _ in 0..=random.below(2) {
            let place = random.below(u32::try_from(program.len()).unwrap()) as usize;
            program[place] = random.instruction();
        }
        compare(&program);
    }
    // Short ones, of which memory is used more often.
    for _ in 0..20000 {
        let codes = [0x02, 0x03, 0x60, 0x61, 0x05, 0x15, 0x20, 0x06];
        let mut program: Vec<Instruction> = (0..=random.below(8))
            .map(|_| Instruction {
                code: codes[random.below(8) as usize],
                k: random.below(3),
                ..random.instruction()
            })
            .collect();
        program.push(Instruction { code: 0x06, jt: 0, jf: 0, k: 0 });
        compare(&program);
    }
    compare(&[]);
    for len in [Filter::MAX_LEN, Filter::MAX_LEN + 1] {
        compare(&vec![Instruction { code: 0x06, jt: 0, jf: 0, k: 0 }; len]);
    }
    assert!(taken > 1000 && refused > 1000, "{taken} taken, {refused} refused");
}
