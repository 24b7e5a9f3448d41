//! Any bytes as a container's files in the state directory: refused, or read, and then as it is written.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| engine::fuzzing::state(bytes));
