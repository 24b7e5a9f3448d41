//! Any bytes as a message that is received: from the process that becomes the container's, from a container
//! that says that it is ready, from CRIU. The first byte chooses.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Some((kind, message)) = bytes.split_first() else { return };
    match kind % 3 {
        0 => engine::fuzzing::message(message),
        1 => engine::fuzzing::readiness(message),
        _ => engine::fuzzing::criu(message),
    }
});
