//! Compiles the profile in a file: `cargo run --release --example compile FILE`.
//!
//! Prints how long the program is. What compiling costs is what this costs less the same
//! with `--parse-only`, under callgrind for instance.
#![allow(clippy::disallowed_methods, reason = "an example may read a file")]

use bpf::seccomp::{self, Arch};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let file = args.next().ok_or("usage: compile FILE [--parse-only]")?;
    let text = std::fs::read_to_string(file)?;
    let profile: spec::Seccomp<'_> = serde_json::from_str(&text)?;
    if args.next().is_some() {
        return Ok(());
    }
    match seccomp::compile(&profile, Arch::native()) {
        Ok(Some(filter)) => println!("{} instructions", filter.program.len()),
        Ok(None) => println!("no filter"),
        Err(problems) => problems.iter().for_each(|problem| eprintln!("{problem}")),
    }
    Ok(())
}
