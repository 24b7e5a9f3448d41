//! The program that makes one system call inside a container (`data/probe.c`), for 64 bits and 32.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::bundle::Bundle;
use crate::case::Case;
use crate::verdict::{Verdict, fail, needs};

const SOURCE: &str = include_str!("../data/probe.c");

/// What it is compiled with: it needs no library, and so no headers either.
const FLAGS: [&str; 9] = [
    "-O1",
    "-nostdlib",
    "-static",
    "-ffreestanding",
    "-fno-stack-protector",
    "-fno-pic",
    "-no-pie",
    "-fno-asynchronous-unwind-tables",
    "-w",
];

/// Puts it into the root of a bundle, as `/bin/probe` and `/bin/probe32`; skips the test where it can't
/// be made.
pub(crate) fn install(bundle: Bundle<'_>) -> Verdict<Bundle<'_>> {
    needs(cfg!(target_arch = "x86_64"), "an x86_64 machine")?;
    needs(Path::new("/usr/bin/cc").exists(), "a C compiler")?;
    for (bits, name) in [("-m64", "probe"), ("-m32", "probe32")] {
        fs::copy(compiled(bundle.case, bits, name)?, bundle.rootfs("bin").join(name))?;
    }
    Ok(bundle)
}

/// The program, which the first test of a run that wants it compiles for all.
fn compiled(case: &Case, bits: &str, name: &str) -> Verdict<PathBuf> {
    let program = case.of_the_run(name);
    if program.exists() {
        return Ok(program);
    }
    let (source, made) = (case.file("probe.c", SOURCE)?, case.path(name));
    let mut compiler = Command::new("/usr/bin/cc");
    compiler.arg(bits).args(FLAGS).arg(source).arg("-o").arg(&made);
    let output = compiler.stdin(Stdio::null()).output()?;
    if !output.status.success() {
        return fail(format!("cc {bits}: {}", String::from_utf8_lossy(&output.stderr)));
    }
    // Whole, even for a test that looks at this moment.
    fs::rename(made, &program)?;
    Ok(program)
}

/// Skips the test where the kernel runs no 32-bit programs.
pub(crate) fn needs_32_bits(bundle: &Bundle<'_>) -> Verdict {
    // getpid(2)
    let runs = Command::new(bundle.rootfs("bin/probe32")).args(["call", "20"]).output();
    needs(runs.is_ok_and(|output| output.status.success()), "a kernel that runs 32-bit programs")
}
