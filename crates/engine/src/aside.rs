//! Doing something in a process of its own: what changes there, such as which namespaces it is in, stays
//! there.

use crate::channel::{Channel, Message};
use crate::error::{Error, Result};
use crate::process::{self, Forked};

/// Does `act` in a cloned process, and waits for its end. Its error comes back as a sentence.
pub(crate) fn run(act: impl FnOnce() -> Result<()>) -> Result<()> {
    let (channel, child_channel) = Channel::pair()?;
    match process::clone(sys::Clone3::default())? {
        Forked::Child => {
            let done = act();
            if let Err(error) = &done {
                // If nobody listens any more, nobody can be told.
                let _ = child_channel.send(&Message::Failed(error.into()));
            }
            std::process::exit(i32::from(done.is_err()))
        }
        Forked::Parent(process) => {
            drop(child_channel);
            let word = channel.receive();
            let status = process.reap()?;
            match word? {
                Message::Failed(failure) => Err(Error::Aside(failure)),
                _ if status == 0 => Ok(()),
                _ => Err(Error::Died { how: format!("a process ended with status {status}") }),
            }
        }
    }
}
