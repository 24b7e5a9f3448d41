//! What is passed through to the container beside its streams: descriptors, and systemd's sockets.

use crate::confine::check_preserved;
use crate::error::Result;

/// Descriptors and variables that the container's process gets from the runtime's caller.
#[derive(Debug, Clone, Default)]
pub struct Passed {
    /// How many descriptors from 3 on.
    pub(crate) descriptors: u32,
    /// Variables such as `LISTEN_FDS=2`.
    pub(crate) environment: Vec<String>,
}

impl Passed {
    /// `--preserve-fds COUNT`, behind the sockets of systemd's activation (sd_listen_fds(3)).
    ///
    /// `LISTEN_PID` is rewritten: the process is number 1 in the container.
    pub fn new(preserve: u32) -> Result<Passed> {
        let listen = std::env::var("LISTEN_FDS").ok().and_then(|n| n.parse::<u32>().ok());
        let listen = listen.unwrap_or(0);
        let mut environment = Vec::new();
        if listen > 0 {
            environment.push(format!("LISTEN_FDS={listen}"));
            environment.push("LISTEN_PID=1".to_owned());
            if let Ok(names) = std::env::var("LISTEN_FDNAMES") {
                environment.push(format!("LISTEN_FDNAMES={names}"));
            }
        }
        let descriptors = listen.saturating_add(preserve);
        check_preserved(descriptors)?;
        Ok(Passed { descriptors, environment })
    }
}
