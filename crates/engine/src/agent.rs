//! The agent of a seccomp filter: who is asked about the calls that the filter notifies
//! (`SCMP_ACT_NOTIFY`, seccomp_unotify(2)).
//!
//! The kernel gives the listener to the process that loads the filter, which is then under it and can
//! make no call of its own that might be notified: nobody would answer yet. So it does the least: it
//! writes the listener's number into its channel and reads until it is let go, with write(2) and
//! read(2). The runtime at the other end (`run`, `exec`, or the `start` that knocked) takes a copy
//! of the listener out of the process (pidfd_getfd(2)), sends it to the agent, and lets the process
//! go; from then on the agent answers, also about that very read. A profile can't notify write(2):
//! `plan` refuses it, as runc does.
//!
//! The connection is made before the process is let go, so that an agent that isn't there
//! hinders the start, and harms no process that has begun.

use std::os::fd::AsFd;
use std::path::Path;

use nix::errno::Errno;
use sys::Context;

use crate::channel::{Channel, Message};
use crate::error::{Error, Result, Step};
use crate::process::Process;
use crate::receiver::Receiver;
use crate::store::AgentRecord;

const NAME: &str = "seccomp agent";

/// A connection to the agent, with what it is told.
#[derive(Debug)]
pub(crate) struct Agent<'a> {
    receiver: Receiver,
    metadata: &'a str,
    /// The container's state; its pid is the init's.
    state: spec::State<'a>,
}

impl<'a> Agent<'a> {
    /// Connects to the agent, if there is one.
    pub(crate) fn connect(
        agent: Option<&'a AgentRecord<'_>>,
        state: spec::State<'a>,
    ) -> Result<Option<Agent<'a>>> {
        let Some(AgentRecord { path, metadata }) = agent else {
            return Ok(None);
        };
        let receiver =
            Receiver::connect(Path::new(&**path), "failed to connect with seccomp agent")?;
        Ok(Some(Agent { receiver, metadata, state }))
    }

    /// Sends the listener that is descriptor `number` of the process, which is under the filter.
    fn send(&self, process: &Process, number: i32) -> Result<()> {
        let listener = sys::pidfd_getfd(process.pidfd()?, number).step(|| NAME.to_owned())?;
        let words = spec::ContainerProcessState {
            oci_version: spec::OCI_VERSION,
            fds: &["seccompFd"],
            pid: process.pid().as_raw(),
            metadata: self.metadata,
            state: &self.state,
        };
        let words = serde_json::to_vec(&words).map_err(std::io::Error::from);
        self.receiver.send(&words.at("write", "state").step(|| NAME.to_owned())?, listener.as_fd())
    }
}

/// Lets the process go, and waits until it has become the user's program.
pub(crate) fn let_go(
    channel: &Channel,
    process: &Process,
    agent: Option<&Agent<'_>>,
) -> Result<()> {
    channel.go()?;
    loop {
        match (channel.receive()?, agent) {
            (Message::Listener(number), Some(agent)) => {
                agent.send(process, number)?;
                channel.go()?;
            }
            (Message::Listener(_), None) => {
                let error = sys::Error::new("connect", "", Errno::EDESTADDRREQ);
                return Err(error).step(|| NAME.to_owned());
            }
            (Message::Failed(failure), _) => return Err(Error::Init(failure)),
            // Not the user's program, which would have heard the word.
            (Message::Unheard, _) => {
                let how = "the process ended before it was started".to_owned();
                return Err(Error::Died { how });
            }
            _ => return Ok(()),
        }
    }
}
