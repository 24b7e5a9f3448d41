//! Compiled profiles, run by the interpreter, against the model of what they mean.

mod model;
mod random;
mod refusals;

use super::{Arch, Filter, compile};
use crate::interpret::{Data, check as kernel_takes, run};
use model::Model;

const DOCKER: &str = include_str!("../../../tests/data/docker.json");
const PODMAN: &str = include_str!("../../../tests/data/podman.json");
const CRI: &str = include_str!("../../../tests/data/cri.json");

fn parse(text: &str) -> spec::Seccomp<'_> {
    serde_json::from_str(text).unwrap()
}

fn filter(profile: &spec::Seccomp<'_>, native: Arch) -> Filter {
    let filter = compile(profile, native).unwrap().unwrap();
    assert_eq!(kernel_takes(&filter.program), Ok(()));
    filter
}

/// Every number that could be somebody's on one of `arches`, and the edges.
fn numbers(arches: &[Arch]) -> Vec<u32> {
    let mut numbers: Vec<u32> = (0..480).chain(u32::MAX - 2..=u32::MAX).collect();
    numbers.extend(arches.iter().flat_map(|arch| arch.base()..arch.base() + 480));
    numbers.extend((0xf_0000..0xf_0008).chain(0x3fff_fffe..0x4000_0001));
    numbers.extend([0x7fff_ffff, 0x8000_0000, 0xbfff_ffff, 0xc000_0000, 0xc000_0001]);
    numbers.sort_unstable();
    numbers.dedup();
    numbers
}

/// Runs the filter for `data`, and checks the answer with the model.
fn check(model: &Model<'_>, filter: &Filter, data: &Data) {
    let outcome = run(&filter.program, data).unwrap();
    let right = model.answers(data);
    assert!(right.contains(&outcome.action), "{data:x?}: {:x}, not {right:x?}", outcome.action);
}

/// Arguments that make a difference to the profiles of engines, and others.
const ARGS: [[u64; 6]; 6] = [
    [0; 6],
    [u64::MAX; 6],
    [0x2_0000, 0, 0, 0, 0, 0],
    [8, 2080, 0, 2080, 1, 40],
    [0x1_0000_0008, 16, 40, 0, 0, 0],
    [0x7e02_0000, 0x7e02_0000, 1, 2, 3, 4],
];

#[test]
fn engine_profiles_mean_what_they_say() {
    for (text, arches) in [
        (DOCKER, [Arch::X86_64, Arch::X86, Arch::X32]),
        (PODMAN, [Arch::X86_64, Arch::X86, Arch::X32]),
        (CRI, [Arch::X86_64, Arch::X86, Arch::X32]),
    ] {
        let profile = parse(text);
        let filter = filter(&profile, Arch::X86_64);
        let model = Model::new(&profile, Arch::X86_64);
        for arch in arches.into_iter().chain([Arch::Aarch64]) {
            for number in numbers(&arches) {
                for args in ARGS {
                    check(&model, &filter, &Data { number, arch, args });
                }
            }
        }
    }
}

#[test]
fn engine_profiles_hold_on_every_architecture() {
    for arch in Arch::all() {
        let mut profile = parse(DOCKER);
        profile.architectures.clear();
        let filter = filter(&profile, arch);
        let model = Model::new(&profile, arch);
        for number in numbers(&[arch]) {
            check(&model, &filter, &Data { number, arch, args: ARGS[3] });
        }
    }
}

#[test]
fn programs_are_short_and_quick() {
    for (text, most) in [(DOCKER, 400), (PODMAN, 500), (CRI, 400)] {
        let filter = filter(&parse(text), Arch::X86_64);
        assert!(filter.program.len() <= most, "{} instructions", filter.program.len());
        let mut steps = Vec::new();
        for number in 0..470 {
            let data = Data { number, arch: Arch::X86_64, args: [0; 6] };
            steps.push(run(&filter.program, &data).unwrap().steps);
        }
        let worst = steps.iter().max().unwrap();
        let mean = steps.iter().sum::<usize>() as f64 / steps.len() as f64;
        println!("{} instructions, worst {worst}, mean {mean:.1}", filter.program.len());
        assert!(*worst <= 40 && mean <= 12.0, "worst {worst}, mean {mean}");
    }
}

#[test]
fn the_kernel_can_answer_allowed_calls_beforehand() {
    let filter = filter(&parse(DOCKER), Arch::X86_64);
    let run = |number| {
        let data = Data { number, arch: Arch::X86_64, args: [0; 6] };
        run(&filter.program, &data).unwrap()
    };
    // socket, clone and personality are the ones with conditions.
    let is_allowed = |number: &u32| run(*number).action == 0x7fff_0000;
    let (cached, run_each_time): (Vec<u32>, Vec<u32>) =
        (0..470).filter(is_allowed).partition(|number| !run(*number).saw_arguments);
    assert_eq!(run_each_time, [41, 56, 135]);
    assert!(cached.len() > 300);
}

#[test]
fn saved_filters_come_back_whole_or_not_at_all() {
    let filter = filter(&parse(PODMAN), Arch::X86_64);
    let bytes = filter.to_bytes();
    assert_eq!(Filter::from_bytes(&bytes).as_ref(), Ok(&filter));
    let with = |place: usize, byte: u8| {
        let mut bytes = bytes.clone();
        bytes[place] = byte;
        Filter::from_bytes(&bytes).unwrap_err()
    };
    let cut = |length: usize| Filter::from_bytes(&bytes[..length]).unwrap_err();
    let count = filter.program.len();
    let length = count * 8;
    assert_eq!(cut(0), "is no filter of this version");
    assert_eq!(cut(15), "is no filter of this version");
    assert_eq!(with(7, b'0'), "is no filter of this version");
    assert_eq!(cut(16), format!("has 0 bytes for {count} instructions of 8"));
    assert_eq!(
        cut(bytes.len() - 1),
        format!("has {} bytes for {count} instructions of 8", length - 1)
    );
    assert!(with(8, 0xff).starts_with("has the flags 0x"), "{}", with(8, 0xff));
    // The code of the first instruction; the last one, which returns.
    assert_eq!(with(16, 0xff), "is no program: instruction 0: has the code 0xff");
    assert_eq!(with(bytes.len() - 8, 0x04), "is no program: does not end with a return");
}

#[test]
fn a_filter_is_known_again() {
    let filter = filter(&parse(PODMAN), Arch::X86_64);
    let mut other = filter.clone();
    other.program[0].k ^= 1;
    let print = |filter: &Filter| Filter::fingerprint(&filter.to_bytes());
    assert_ne!(print(&filter), print(&other));
    assert_ne!(print(&filter), print(&Filter { flags: 2, ..filter.clone() }));
    assert_eq!(print(&filter), print(&Filter::from_bytes(&filter.to_bytes()).unwrap()));
}

#[test]
fn a_filter_of_one_instruction_kind_is_as_small_as_it_can_be() {
    let profile = parse(r#"{"defaultAction":"SCMP_ACT_ALLOW","architectures":["SCMP_ARCH_X86"]}"#);
    let filter = filter(&profile, Arch::X86_64);
    // arch; x86_64? number; x32? not -1? allow or kill; x86? allow or kill.
    assert!(filter.program.len() <= 12, "{:#?}", filter.program);
}

/// Where the high word decides, that of the largest value is asked first, as where the low one does:
/// also if a rule with the same answer has a smaller one.
#[test]
fn the_largest_value_is_asked_first() {
    let rules = [
        ("SCMP_ACT_KILL_PROCESS", "GE", 0x8000_0000_u32),
        ("SCMP_ACT_KILL_PROCESS", "GT", 1),
        ("SCMP_ACT_ALLOW", "GE", 0x7fff_ffff),
    ];
    for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        let rule = |&place: &usize| {
            let (action, op, value) = rules[place];
            format!(
                r#"{{"names": ["mincore"], "action": "{action}",
                    "args": [{{"index": 1, "op": "SCMP_CMP_{op}", "value": {value}}}]}}"#
            )
        };
        let rules = order.iter().map(rule).collect::<Vec<_>>().join(",");
        let text = format!(r#"{{"defaultAction": "SCMP_ACT_TRAP", "syscalls": [{rules}]}}"#);
        let filter = filter(&parse(&text), Arch::X86_64);
        for (value, action) in [
            (0x2_0000_0003, 0x8000_0000),
            (0x8000_0000, 0x8000_0000),
            (0x7fff_ffff, 0x7fff_0000),
            (2, 0x8000_0000),
            (1, 0x0003_0000),
        ] {
            let data = Data { number: 27, arch: Arch::X86_64, args: [0, value, 0, 0, 0, 0] };
            assert_eq!(run(&filter.program, &data).unwrap().action, action, "{order:?} {value:x}");
        }
    }
}
