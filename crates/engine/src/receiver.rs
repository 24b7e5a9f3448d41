//! Who gets a descriptor from the runtime through a Unix socket: the holder of the terminal
//! (`--console-socket`), of the process's descriptor (`--pidfd-socket`), and the agent of a seccomp
//! filter. One message, with the descriptor as `SCM_RIGHTS` (unix(7)) and a text beside it.

use std::io::IoSlice;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

use nix::sys::socket::{
    AddressFamily, ControlMessage, MsgFlags, SockFlag, SockType, UnixAddr, connect, sendmsg,
    setsockopt, socket, sockopt::SendTimeout,
};
use nix::sys::time::TimeVal;
use sys::Context;

use crate::error::{Result, Step};

/// How long a receiver may take, in seconds.
const PATIENCE: TimeVal = TimeVal::new(10, 0);

/// A connection to who gets a descriptor.
#[derive(Debug)]
pub(crate) struct Receiver {
    socket: OwnedFd,
    /// What it is called in messages, such as `console socket`.
    name: &'static str,
}

impl AsFd for Receiver {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Receiver {
    /// Connects: before anything is done that would have to be undone. One who takes no connection, or
    /// nothing that is sent, is waited for no longer than [`PATIENCE`].
    pub(crate) fn connect(path: &Path, name: &'static str) -> Result<Receiver> {
        let connected = || {
            let flags = SockFlag::SOCK_CLOEXEC;
            let socket = socket(AddressFamily::Unix, SockType::Stream, flags, None)?;
            setsockopt(&socket, SendTimeout, &PATIENCE)?;
            connect(socket.as_raw_fd(), &UnixAddr::new(path)?)?;
            Ok::<_, nix::Error>(socket)
        };
        let socket = connected().at("connect", path.to_string_lossy()).step(|| name.to_owned())?;
        Ok(Receiver { socket, name })
    }

    /// Connects, if there is somebody to connect to.
    pub(crate) fn connect_if(path: Option<&Path>, name: &'static str) -> Result<Option<Receiver>> {
        path.map(|path| Receiver::connect(path, name)).transpose()
    }

    /// Sends the descriptor with its text.
    pub(crate) fn send(&self, text: &[u8], fd: BorrowedFd<'_>) -> Result<()> {
        let fds = [fd.as_raw_fd()];
        let control = [ControlMessage::ScmRights(&fds)];
        let data = [IoSlice::new(text)];
        // A receiver that is gone is an error here, never a signal.
        let flags = MsgFlags::MSG_NOSIGNAL;
        sendmsg::<()>(self.socket.as_raw_fd(), &data, &control, flags, None)
            .at("sendmsg", "")
            .step(|| self.name.to_owned())?;
        Ok(())
    }
}
