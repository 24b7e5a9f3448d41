//! CRIU, which saves processes to files and brings them back (criu.org): `checkpoint` and `restore` are
//! conversations with it.
//!
//! | module | what |
//! |---|---|
//! | `wire` | the encoding of its messages |
//! | `rpc` | its messages |
//! | `swrk` | its process, and the conversation |
//! | `options` | what the user asks for, as part of a request |
//! | `images` | how those of a user namespace are shown to CRIU |
//! | `namespaces`, `mounts`, `streams` | what of the container is the host's, and so not in the images |
//! | `log`, `failure` | what went wrong |

mod failure;
pub(crate) mod images;
mod log;
pub(crate) mod mounts;
pub(crate) mod namespaces;
pub(crate) mod options;
pub(crate) mod rpc;
pub(crate) mod streams;
pub(crate) mod swrk;
pub(crate) mod wire;

pub use failure::{Failure, Why};
pub use options::{CRIU_CONFIG_ANNOTATION, CriuCgroups, CriuOptions, NetworkLock};

/// Reads a response, for the fuzzer.
#[cfg(fuzzing)]
pub(crate) fn read_response(bytes: &[u8]) {
    if let Ok(response) = rpc::Response::parse(bytes) {
        assert!(!response.kind_name().is_empty());
        response.is_notification();
    }
}
