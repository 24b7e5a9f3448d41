//! One profile through both, and every decision beside the other's.

use bpf::interpret::{Data, run};
use bpf::seccomp::{Arch, Instruction, compile};

use crate::Failure;
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
    /// Profiles on which libseccomp does not return.
    pub(crate) stuck: u64,
    /// Profiles too long for the kernel.
    pub(crate) long: u64,
    /// Profiles on which libseccomp answers what neither a rule that holds says nor, where none
    /// does, the default.
    pub(crate) lost: u64,
    pub(crate) lost_examples: Vec<String>,
    /// The differences.
    pub(crate) differences: u64,
    pub(crate) examples: Vec<String>,
}

impl Tally {
    fn lose(&mut self, text: impl FnOnce() -> String) {
        if self.lost_examples.len() < 12 {
            self.lost_examples.push(text());
        }
    }

    fn differ(&mut self, text: impl FnOnce() -> String) {
        self.differences += 1;
        if self.examples.len() < 12 {
            self.examples.push(text());
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
    let ours = compile(profile, native);
    let (theirs, largest) = match (answer, &ours) {
        (Answer::Stuck, _) => {
            tally.stuck += 1;
            return Ok(());
        }
        (Answer::Contradiction(why), Ok(_)) => {
            tally.differ(|| {
                let name = why.split([' ', ':']).nth(2).unwrap_or_default().trim_end_matches(':');
                let mut small = profile.clone();
                small.syscalls.retain(|rule| rule.names.iter().any(|known| known == name));
                small.syscalls.iter_mut().for_each(|rule| rule.names.retain(|known| known == name));
                let data = Data { number: 0, arch: native, args: [0; 6] };
                format!(
                    "only libseccomp refuses: {why}\n{}",
                    describe(&small, native, &data, (0, 0))
                )
            });
            return Ok(());
        }
        (Answer::Contradiction(_), Err(_)) => {
            tally.refused += 1;
            return Ok(());
        }
        (Answer::Refusal(why), _) => return Err(format!("libseccomp: {why}: {text}").into()),
        (Answer::Program(program, largest), _) => (program, largest),
    };
    let ours = match ours {
        Ok(Some(filter)) => filter.program,
        Ok(None) => return Err("an empty profile".into()),
        Err(problems) if problems.iter().any(|p| p.sentence.contains("the kernel takes")) => {
            tally.long += 1;
            return Ok(());
        }
        Err(problems) => {
            tally.differ(|| format!("only tare refuses {native:?} {text}: {problems:?}"));
            return Ok(());
        }
    };
    let theirs = read(theirs);
    let stub = Stub::new(profile, largest);
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
        let small = shrink(profile, native, &data, (mine, right), (oracle, optimize));
        let text = describe(&small, native, &data, (mine, right));
        if claims(profile, &data).contains(&right) {
            tally.differ(|| text);
        } else {
            tally.lost += 1;
            tally.lose(|| text);
        }
        return Ok(());
    }
    Ok(())
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

/// What the rules that hold for a call say, or the default action if none does: read from the
/// profile, rule by rule.
fn claims(profile: &spec::Seccomp<'_>, data: &Data) -> Vec<u32> {
    let mut claims = Vec::new();
    let default = value(&profile.default_action, profile.default_errno_ret);
    // runc leaves rules out that have the default action.
    let is_left_out =
        |rule: &&spec::SyscallRule<'_>| value(&rule.action, rule.errno_ret) == default;
    for rule in profile.syscalls.iter().filter(|rule| !is_left_out(rule)) {
        let holds = |arg: &spec::SyscallArg<'_>| holds(arg, data);
        let twice = (0..6).any(|i| rule.args.iter().filter(|arg| arg.index == i).count() > 1);
        let all = if twice { rule.args.iter().any(holds) } else { rule.args.iter().all(holds) };
        let is_named =
            rule.names.iter().any(|name| names::number(name, data.arch) == Some(data.number));
        // Behind a multiplexer, whatever the selector.
        let is_through = [names::number("socketcall", data.arch), names::number("ipc", data.arch)]
            .contains(&Some(data.number));
        if is_through || is_named && all {
            claims.push(value(&rule.action, rule.errno_ret));
        }
    }
    if claims.is_empty() {
        claims.push(default);
    }
    claims
}

fn holds(arg: &spec::SyscallArg<'_>, data: &Data) -> bool {
    let width = if data.arch.is_64_bit() { u64::MAX } else { u64::from(u32::MAX) };
    let (actual, value) = (data.args[arg.index as usize] & width, arg.value & width);
    match arg.op.as_str() {
        "SCMP_CMP_NE" => actual != value,
        "SCMP_CMP_LT" => actual < value,
        "SCMP_CMP_LE" => actual <= value,
        "SCMP_CMP_GE" => actual >= value,
        "SCMP_CMP_GT" => actual > value,
        "SCMP_CMP_MASKED_EQ" => actual & value == arg.value_two & value,
        _ => actual == value,
    }
}

fn value(action: &str, errno: Option<u32>) -> u32 {
    let data = errno.unwrap_or(1);
    match action {
        "SCMP_ACT_KILL_PROCESS" => 0x8000_0000,
        "SCMP_ACT_TRAP" => 0x0003_0000,
        "SCMP_ACT_ERRNO" => 0x0005_0000 | data,
        "SCMP_ACT_NOTIFY" => 0x7fc0_0000,
        "SCMP_ACT_TRACE" => 0x7ff0_0000 | data,
        "SCMP_ACT_LOG" => 0x7ffc_0000,
        "SCMP_ACT_ALLOW" => 0x7fff_0000,
        _ => 0,
    }
}

/// The profile without what can be left out while both still answer the same.
fn shrink<'a>(
    profile: &spec::Seccomp<'a>,
    native: Arch,
    data: &Data,
    (mine, theirs): (u32, u32),
    (oracle, optimize): (&mut Oracle, u32),
) -> spec::Seccomp<'a> {
    let mut holds = |profile: &spec::Seccomp<'_>| -> Result<bool, Failure> {
        let text = serde_json::to_string(profile)?;
        let question = Question {
            native: native.name().into(),
            profile: serde_json::from_str(&text)?,
            optimize,
        };
        let (Answer::Program(program, _), Ok(Some(filter))) =
            (oracle.ask(&question)?, compile(profile, native))
        else {
            return Ok(false);
        };
        Ok(run(&filter.program, data)?.action == mine
            && run(&read(program), data)?.action == theirs)
    };
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

fn read(program: Vec<(u16, u8, u8, u32)>) -> Vec<Instruction> {
    program.into_iter().map(|(code, jt, jf, k)| Instruction { code, jt, jf, k }).collect()
}

/// A profile, a call, and what became of it.
fn describe(
    profile: &spec::Seccomp<'_>,
    native: Arch,
    data: &Data,
    (mine, theirs): (u32, u32),
) -> String {
    let Data { arch, number, args } = data;
    let mut text = format!(
        "{arch:?} call {number} with {args:x?} on {native:?}: {mine:x}, libseccomp {theirs:x}"
    );
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
