//! `tare`: a low-level OCI container runtime with runc's command line.
//!
//! `main` reads top to bottom: arguments, the log, the command, the exit code. What the commands do
//! is in the crate `engine`; here is only what they are called, and how they answer.

#![cfg_attr(not(test), no_main)]

mod args;
#[cfg(test)]
mod as_clap;
mod commands;
mod complete;
mod default_spec;
mod help;
mod journal;
mod report;
mod seal;
mod table;

/// Few pages, and few system calls: docs/decisions/0006-start-up.md.
#[global_allocator]
static HEAP: sys::Heap = sys::Heap::new();

#[cfg(not(test))]
sys::main!(story);

/// From what was typed to the exit status.
#[cfg_attr(test, allow(dead_code))]
fn story() -> u8 {
    let words = sys::arguments().iter().map(|word| word.clone().into_string());
    let words: Vec<String> = match words.collect() {
        Ok(words) => words,
        Err(word) => {
            let sentence = format!("argument {word:?} is not valid UTF-8");
            return report::failed(&report::Log::default(), &sentence.into());
        }
    };
    let (log, parsed) = args::parse(words.get(1..).unwrap_or_default());
    let parsed = match parsed {
        Ok(parsed) => parsed,
        Err(stop) => return report::stopped(log, stop),
    };
    let log = match report::Log::open(log) {
        Ok(log) => log,
        Err(sentence) => return report::failed(&report::Log::default(), &sentence.into()),
    };
    log.steps();
    match commands::run(&parsed, &log) {
        Ok(status) => status,
        Err(failure) => report::failed(&log, &failure),
    }
}
