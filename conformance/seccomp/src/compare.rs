//! One profile through both, and every decision beside the other's.

use std::collections::BTreeMap;

use bpf::interpret::{Data, run};
use bpf::seccomp::{Arch, compile};

use crate::Failure;
use crate::excuse::{self, Fault, Judge};
use crate::names;
use crate::oracle::{Answer, Oracle, Question};
use crate::random::{Random, arguments};

/// What runc puts before libseccomp's filter for calls newer than the profile.
const ENOSYS: u32 = 0x0005_0026;
const X32_BIT: u32 = 0x4000_0000;

/// Sums over profiles.
#[derive(Default)]
pub(crate) struct Tally {
    pub(crate) profiles: u64,
    pub(crate) decisions: u64,
    /// Decisions that are runc's stub's.
    pub(crate) newer: u64,
    /// Profiles that both refuse because rules contradict each other.
    pub(crate) refused: u64,
    /// Profiles too long for the kernel.
    pub(crate) long: u64,
    /// What libseccomp does wrong: by fault the decisions, the profiles that they are of, and the
    /// first of them.
    pub(crate) faults: BTreeMap<Fault, (u64, u64, Vec<String>)>,
    /// The differences.
    pub(crate) differences: u64,
    pub(crate) examples: Vec<String>,
}

/// So many examples are kept of each fault, and of the differences.
const EXAMPLES: usize = 12;

impl Tally {
    fn differ(&mut self, text: impl FnOnce() -> String) {
        self.differences += 1;
        if self.examples.len() < EXAMPLES {
            self.examples.push(text());
        }
    }

    fn excuse(&mut self, fault: Fault, is_first: bool, text: impl FnOnce() -> String) {
        let (decisions, profiles, examples) = self.faults.entry(fault).or_default();
        *decisions += 1;
        *profiles += u64::from(is_first);
        if is_first && examples.len() < EXAMPLES {
            examples.push(text());
        }
    }
}

/// Compares all decisions on `profile` for a machine of `native`.
pub(crate) fn compare(
    (native, profile): (Arch, &spec::Seccomp<'_>),
    oracle: &mut Oracle,
    random: &mut Random,
    tally: &mut Tally,
    optimize: u32,
) -> Result<(), Failure> {
    let text = serde_json::to_string(profile)?;
    let question =
        Question { native: native.name().into(), profile: serde_json::from_str(&text)?, optimize };
    let answer = oracle.ask(&question)?;
    tally.profiles += 1;
    let mut judge = Judge::new(profile, native, optimize);
    let nothing = Data { number: 0, arch: native, args: [0; 6] };
    let (theirs, largest, ours) = match (answer, compile(profile, native)) {
        (Answer::Program(program, largest), Ok(Some(filter))) => {
            (excuse::read(program), largest, filter.program)
        }
        (Answer::Stuck, _) => {
            tally.excuse(Fault::Hangs, true, || describe(profile, native, &nothing, "no answer"));
            return Ok(());
        }
        (Answer::Contradiction { rule, name, why }, Ok(_)) => {
            let is_fault = judge.accepts_two_by_two(oracle, (rule, name))?
                || accepts_without_a_name((native, profile), (oracle, optimize), random)?;
            let text = || {
                let small = shrink_refusal(profile, native, (oracle, optimize));
                describe(&small, native, &nothing, &why)
            };
            match is_fault {
                true => tally.excuse(Fault::Refuses, true, text),
                false => tally.differ(text),
            }
            return Ok(());
        }
        (Answer::Contradiction { .. }, Err(_)) => {
            tally.refused += 1;
            return Ok(());
        }
        (Answer::Refusal(why), _) => return Err(format!("libseccomp: {why}: {text}").into()),
        (_, Ok(None)) => return Err("an empty profile".into()),
        (_, Err(problems)) if problems.iter().any(|p| p.sentence.contains("the kernel takes")) => {
            tally.long += 1;
            return Ok(());
        }
        (_, Err(problems)) => {
            let became = format!("only tare refuses: {problems:?}");
            match judge.refuses_two_by_two(oracle)? {
                true => tally.excuse(Fault::Accepts, true, || format!("{became}: {text}")),
                false => tally.differ(|| format!("{became}: {text}")),
            }
            return Ok(());
        }
    };
    let stub = Stub::new(profile, largest);
    let mut seen = Vec::new();
    for data in questions(profile, native, random) {
        let right = if stub.answers(&data) {
            tally.newer += 1;
            ENOSYS
        } else {
            run(&theirs, &data)?.action
        };
        tally.decisions += 1;
        let mine = run(&ours, &data)?.action;
        if mine == right {
            continue;
        }
        let fault = judge.answer(oracle, (&theirs, &data), (mine, right))?;
        let is_first = !seen.contains(&fault);
        seen.push(fault);
        let text = || {
            let found = (mine, right, fault);
            let small = shrink(profile, native, &data, found, (oracle, optimize));
            describe(&small, native, &data, &format!("{mine:x}, libseccomp {right:x}"))
        };
        match fault {
            Some(fault) => tally.excuse(fault, is_first, text),
            None => tally.differ(text),
        }
    }
    Ok(())
}

/// Whether libseccomp accepts the profile without a name that adds nothing: all decisions of tare's
/// are the same without it. libseccomp takes only half of such a rule away.
fn accepts_without_a_name(
    (native, profile): (Arch, &spec::Seccomp<'_>),
    (oracle, optimize): (&mut Oracle, u32),
    random: &mut Random,
) -> Result<bool, Failure> {
    let Ok(Some(whole)) = compile(profile, native) else { return Ok(false) };
    for rule in 0..profile.syscalls.len() {
        for name in 0..profile.syscalls[rule].names.len() {
            let mut smaller = profile.clone();
            smaller.syscalls[rule].names.remove(name);
            let Ok(Some(filter)) = compile(&smaller, native) else { continue };
            let mut is_same = true;
            for data in questions(profile, native, random) {
                is_same = is_same
                    && run(&whole.program, &data)?.action == run(&filter.program, &data)?.action;
            }
            if is_same && excuse::ask(oracle, &smaller, native, optimize)?.is_some() {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

/// runc's stub (libcontainer/seccomp/patchbpf).
struct Stub(Vec<(Arch, u32)>);

impl Stub {
    fn new(profile: &spec::Seccomp<'_>, largest: Vec<(String, u32)>) -> Stub {
        let allows = ["SCMP_ACT_ALLOW", "SCMP_ACT_LOG", "SCMP_ACT_TRACE"];
        if allows.contains(&profile.default_action.as_str()) {
            return Stub(Vec::new());
        }
        let arches = largest.iter().filter_map(|(name, n)| Some((Arch::parse(name)?, *n)));
        Stub(arches.collect())
    }

    fn answers(&self, data: &Data) -> bool {
        let is_x32 = data.number & X32_BIT != 0;
        self.0.iter().filter(|(arch, _)| arch.token() == data.arch.token()).any(
            |&(arch, largest)| {
                let newer = data.number > largest;
                match arch {
                    Arch::X86_64 => newer && !is_x32,
                    Arch::X32 => newer && is_x32,
                    Arch::S390 | Arch::S390x => newer || data.number == 0,
                    _ => newer,
                }
            },
        )
    }
}

/// Every number on every architecture of the profile and on one more; where a rule has conditions,
/// with many arguments.
fn questions(profile: &spec::Seccomp<'_>, native: Arch, random: &mut Random) -> Vec<Data> {
    let mut arches = vec![native];
    arches.extend(profile.architectures.iter().filter_map(|name| Arch::parse(name)));
    let foreign = Arch::all().find(|arch| arches.iter().all(|a| a.token() != arch.token()));
    let mut questions = Vec::new();
    let values: Vec<u64> = profile
        .syscalls
        .iter()
        .flat_map(|rule| &rule.args)
        .flat_map(|arg| [arg.value, arg.value_two])
        .collect();
    for &arch in &arches {
        let conditional = conditional(profile, arch);
        for number in numbers(arch) {
            let times = if conditional.contains(&number) { 40 } else { 1 };
            for _ in 0..times {
                questions.push(Data { number, arch, args: arguments(random, &values) });
            }
        }
    }
    for arch in foreign.into_iter().filter(|a| a.is_big_endian() == native.is_big_endian()) {
        questions.extend((0..8).map(|number| Data { number, arch, args: [0; 6] }));
    }
    questions
}

/// The numbers with conditions: those of the calls, and the multiplexers.
fn conditional(profile: &spec::Seccomp<'_>, arch: Arch) -> Vec<u32> {
    let rules = profile.syscalls.iter().filter(|rule| !rule.args.is_empty());
    let called = rules.flat_map(|rule| rule.names.iter().map(|name| name.as_str()));
    called.chain(["socketcall", "ipc"]).flat_map(|name| names::number(name, arch)).collect()
}

fn numbers(arch: Arch) -> Vec<u32> {
    let base = names::base(arch);
    let mut numbers: Vec<u32> = (0..=600).chain([u32::MAX, u32::MAX - 1]).collect();
    if base != 0 {
        numbers.extend(base..=base + 600);
    }
    // libseccomp's negative numbers, arm's private calls, the bits that tell conventions apart.
    numbers.extend((100..=230).map(|n: u32| n.wrapping_neg()));
    numbers.extend((10_000..10_100).map(|n: u32| n.wrapping_neg()));
    numbers.extend(0xf_0000..0xf_0008);
    numbers.extend([X32_BIT - 1, X32_BIT, 0x7fff_ffff, 0x8000_0000, 0xbfff_ffff, 0xc000_0000]);
    if arch == Arch::X86_64 {
        numbers.extend(X32_BIT..=X32_BIT + 600);
    }
    numbers
}

/// The profile without what can be left out while both still answer the same, by the same fault.
fn shrink<'a>(
    profile: &spec::Seccomp<'a>,
    native: Arch,
    data: &Data,
    (mine, theirs, fault): (u32, u32, Option<Fault>),
    (oracle, optimize): (&mut Oracle, u32),
) -> spec::Seccomp<'a> {
    smallest(profile, |profile| {
        let Ok(Some(filter)) = compile(profile, native) else { return Ok(false) };
        let Some(program) = excuse::ask(oracle, profile, native, optimize)? else {
            return Ok(false);
        };
        let answers = (run(&filter.program, data)?.action, run(&program, data)?.action);
        let mut judge = Judge::new(profile, native, optimize);
        Ok(answers == (mine, theirs) && judge.answer(oracle, (&program, data), answers)? == fault)
    })
}

/// The profile without what can be left out while only libseccomp refuses it.
fn shrink_refusal<'a>(
    profile: &spec::Seccomp<'a>,
    native: Arch,
    (oracle, optimize): (&mut Oracle, u32),
) -> spec::Seccomp<'a> {
    smallest(profile, |profile| {
        Ok(matches!(compile(profile, native), Ok(Some(_)))
            && excuse::ask(oracle, profile, native, optimize)?.is_none())
    })
}

/// The profile without all that can be left out while `holds` does.
fn smallest<'a>(
    profile: &spec::Seccomp<'a>,
    mut holds: impl FnMut(&spec::Seccomp<'a>) -> Result<bool, Failure>,
) -> spec::Seccomp<'a> {
    let mut small = profile.clone();
    let mut keep = |small: &mut spec::Seccomp<'a>, smaller: spec::Seccomp<'a>| {
        let kept = holds(&smaller).unwrap_or(false);
        if kept {
            *small = smaller;
        }
        kept
    };
    let mut place = 0;
    while place < small.architectures.len() {
        let mut smaller = small.clone();
        smaller.architectures.remove(place);
        place += usize::from(!keep(&mut small, smaller));
    }
    let mut rule = 0;
    while rule < small.syscalls.len() {
        let mut smaller = small.clone();
        smaller.syscalls.remove(rule);
        if keep(&mut small, smaller) {
            continue;
        }
        let mut place = 0;
        while place < small.syscalls[rule].names.len() {
            let mut smaller = small.clone();
            smaller.syscalls[rule].names.remove(place);
            place += usize::from(!keep(&mut small, smaller));
        }
        let mut place = 0;
        while place < small.syscalls[rule].args.len() {
            let mut smaller = small.clone();
            smaller.syscalls[rule].args.remove(place);
            place += usize::from(!keep(&mut small, smaller));
        }
        rule += 1;
    }
    small
}

/// A profile, a call, and what became of it.
fn describe(profile: &spec::Seccomp<'_>, native: Arch, data: &Data, became: &str) -> String {
    let Data { arch, number, args } = data;
    let mut text = format!("{arch:?} call {number} with {args:x?} on {native:?}: {became}");
    let names =
        |list: &[spec::Text<'_>]| list.iter().map(|s| s.as_str()).collect::<Vec<_>>().join(",");
    text += &format!("\n    default {} {:?}", profile.default_action, profile.default_errno_ret);
    text += &format!(" {}", names(&profile.architectures));
    for rule in &profile.syscalls {
        text += &format!("\n    {} {:?} {}", rule.action, rule.errno_ret, names(&rule.names));
        for a in &rule.args {
            text += &format!(" [{} {} {:#x} {:#x}]", a.index, a.op, a.value, a.value_two);
        }
    }
    text
}
