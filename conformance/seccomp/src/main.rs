//! Compares what `bpf` makes of seccomp profiles with what libseccomp, as runc drives it, makes of
//! them, decision by decision:
//!
//! ```text
//! seccomp-differential [--random COUNT] [--seed N] [PROFILE...]    compares; fails on a difference
//! seccomp-differential --measure PROFILE...                        lengths, and instructions executed
//! seccomp-differential --compile ours|libseccomp|neither PROFILE   for callgrind
//! ```
//!
//! The one difference that is meant is runc's own: `ENOSYS` for calls newer than the profile.

mod claims;
mod compare;
mod excuse;
mod names;
mod oracle;
mod published;
mod random;

use std::process::ExitCode;

use bpf::interpret::{Data, run};
use bpf::seccomp::{Arch, Filter, Instruction, compile};

use compare::{Tally, compare};
use excuse::Fault;
use names::Names;
use oracle::{Answer, Oracle, Question};
use published::Capabilities;
use random::Random;

pub(crate) type Failure = Box<dyn std::error::Error>;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let result = match words.as_slice() {
        ["--oracle"] => oracle::serve().map(|()| true),
        ["--measure", files @ ..] => files.iter().try_for_each(|file| measure(file)).map(|()| true),
        ["--compile", who, file] => compile_only(who, file).map(|()| true),
        words => differential(words),
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("seccomp-differential: {error}");
            ExitCode::FAILURE
        }
    }
}

fn differential(words: &[&str]) -> Result<bool, Failure> {
    let (mut count, mut seed, mut files, mut verbose) = (0, 1, Vec::new(), false);
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let mut number =
            || words.next().ok_or("a number is missing")?.parse::<u64>().map_err(Failure::from);
        match *word {
            "--random" => count = number()?,
            "--verbose" => verbose = true,
            "--seed" => seed = number()?,
            file => files.push(file),
        }
    }
    let names = Names::new();
    println!("libseccomp {}, {} architectures", oracle::version(), names.arches.len());
    for (arch, count, name) in &names.apart {
        println!("  {}: {count} names known to one only are left out ({name})", arch.name());
    }
    let (mut oracle, mut tally) = (Oracle::start()?, Tally::default());
    for file in files {
        published(file, &names, (&mut oracle, &mut Random(seed), &mut tally))?;
    }
    // The same profiles for the same seed, whichever files there are.
    let mut random = Random(seed);
    for _ in 0..count {
        let (native, profile) = random::profile(&mut random, &names);
        compare((native, &profile), &mut oracle, &mut random, &mut tally, 1)?;
    }
    for example in &tally.examples {
        println!("{example}");
    }
    println!(
        "{} profiles, {} decisions compared ({} of them ENOSYS by runc's stub), {} differences",
        tally.profiles, tally.decisions, tally.newer, tally.differences
    );
    println!("{} profiles refused by both, {} too long", tally.refused, tally.long);
    for (fault, what) in Fault::ALL {
        if let Some((decisions, profiles, examples)) = tally.faults.get(&fault) {
            println!("libseccomp {what}: {decisions} decisions on {profiles} profiles");
            examples.iter().filter(|_| verbose).for_each(|example| println!("  {example}"));
        }
    }
    Ok(tally.differences == 0)
}

/// A profile of an engine: for each architecture as the machine's own, with all capabilities and
/// with none, in both of the shapes of libseccomp's programs.
fn published(
    file: &str,
    names: &Names,
    (oracle, random, tally): (&mut Oracle, &mut Random, &mut Tally),
) -> Result<(), Failure> {
    let text = std::fs::read_to_string(file).map_err(|error| format!("{file}: {error}"))?;
    for &native in &names.arches {
        let resolve = |capabilities| {
            published::resolve(&text, native, capabilities)
                .map_err(|error| format!("{file}: {error}"))
        };
        let mut texts = vec![resolve(Capabilities::None)?, resolve(Capabilities::All)?];
        texts.dedup();
        for text in texts {
            let mut profile: spec::Seccomp<'_> =
                serde_json::from_str(&text).map_err(|error| format!("{file}: {error}"))?;
            only_known(&mut profile, native, names);
            for optimize in [1, 2] {
                compare((native, &profile), oracle, random, tally, optimize)?;
            }
        }
    }
    Ok(())
}

/// Leaves out calls that the two sides do not know by the same number, and the architectures of a
/// profile for another machine.
fn only_known(profile: &mut spec::Seccomp<'_>, native: Arch, names: &Names) {
    if !profile.architectures.iter().any(|name| *name == native.name()) {
        profile.architectures.clear();
    }
    let listed = profile.architectures.iter().filter_map(|name| Arch::parse(name));
    let known = names.known(&listed.chain([native]).collect::<Vec<_>>());
    for rule in &mut profile.syscalls {
        rule.names.retain(|name| known.contains(&name.as_str()));
    }
}

/// What programs cost: their length, and what the calls of x86_64 execute.
fn measure(file: &str) -> Result<(), Failure> {
    let text = std::fs::read_to_string(file).map_err(|error| format!("{file}: {error}"))?;
    let profile: spec::Seccomp<'_> = serde_json::from_str(&text)?;
    let ours = compile(&profile, Arch::X86_64).map_err(|problems| format!("{problems:?}"))?;
    let ours = ours.ok_or("an empty profile")?.program;
    println!("{file}");
    println!("  {:<22} {:>12} {:>6} {:>6}", "", "instructions", "worst", "mean");
    // The longest way through the program, whatever the arguments; the mean over all numbers.
    let steps = |program: &[Instruction]| -> Result<(usize, f64), String> {
        let filter = Filter { program: program.to_vec(), flags: 0, notify: false };
        let numbers = 0..470;
        let count = numbers.len() as f64;
        let mut sum = 0;
        for number in numbers {
            sum += run(program, &Data { number, arch: Arch::X86_64, args: [0; 6] })?.steps;
        }
        Ok((filter.shape(Arch::X86_64).worst, sum as f64 / count))
    };
    let (worst, mean) = steps(&ours)?;
    println!("  {:<22} {:>12} {worst:>6} {mean:>6.1}", "tare", ours.len());
    for (name, optimize) in [("libseccomp", 1), ("libseccomp, its tree", 2)] {
        let native = Arch::X86_64.name().to_owned();
        let question = Question { native, profile: serde_json::from_str(&text)?, optimize };
        let Answer::Program(program, _) = oracle::answer(&question)? else {
            return Err("libseccomp refuses it".into());
        };
        let program: Vec<Instruction> =
            program.into_iter().map(|(code, jt, jf, k)| Instruction { code, jt, jf, k }).collect();
        let (worst, mean) = steps(&program)?;
        println!("  {name:<22} {:>12} {worst:>6} {mean:>6.1}", program.len());
    }
    Ok(())
}

/// Compiles once, or not at all, so that the difference is what compiling costs.
fn compile_only(who: &str, file: &str) -> Result<(), Failure> {
    let text = std::fs::read_to_string(file).map_err(|error| format!("{file}: {error}"))?;
    let native = Arch::X86_64.name().to_owned();
    let question = Question { native, profile: serde_json::from_str(&text)?, optimize: 1 };
    match who {
        "ours" => drop(compile(&question.profile, Arch::X86_64).map_err(|p| format!("{p:?}"))?),
        "libseccomp" => drop(oracle::answer(&question)?),
        "neither" => {}
        who => return Err(format!("unknown compiler {who}").into()),
    }
    Ok(())
}
