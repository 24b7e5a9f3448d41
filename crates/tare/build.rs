//! How the release binary is linked, on musl: few pages, since those are what a start costs
//! (docs/decisions/0006-start-up.md).

use std::env;
use std::process::Command;

/// The first Rust whose musl (1.2.5) reads packed relocations.
const PACKED_SINCE: u32 = 93;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=no-unwind.ld");
    let is = |name: &str, value: &str| env::var(name).is_ok_and(|found| found == value);
    if !is("CARGO_CFG_TARGET_ENV", "musl") || !is("PROFILE", "release") {
        return;
    }
    if minor_version().is_some_and(|minor| minor >= PACKED_SINCE) {
        println!("cargo::rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    }
    // A binary with symbols is for tools that walk its stack.
    if is("DEBUG", "false") {
        let directory = env::var("CARGO_MANIFEST_DIR").unwrap_or_default();
        println!("cargo::rustc-link-arg-bins=-Wl,-T,{directory}/no-unwind.ld");
    }
}

/// N of the compiler's version 1.N.
fn minor_version() -> Option<u32> {
    let output = Command::new(env::var_os("RUSTC")?).arg("--version").output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    text.split_once("rustc 1.")?.1.split('.').next()?.parse().ok()
}
