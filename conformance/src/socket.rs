//! Sockets of an engine's, on which it is sent descriptors.

use std::fs;
use std::io::IoSliceMut;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;

use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};

use crate::case::Case;
use crate::console::Terminal;
use crate::verdict::{Verdict, fail, has, is};

/// A listening socket in a test's own directory.
pub(crate) struct Socket<'t> {
    case: &'t Case,
    listener: UnixListener,
    /// The socket's path.
    pub(crate) path: PathBuf,
}

impl<'t> Socket<'t> {
    /// Listens in the case's directory.
    pub(crate) fn listen(case: &'t Case) -> Verdict<Self> {
        let path = case.path(&format!("{}.sock", case.number()));
        let listener = UnixListener::bind(&path)?;
        listener.set_nonblocking(true)?;
        Ok(Self { case, listener, path })
    }

    /// The path as the value of a flag or a property.
    pub(crate) fn name(&self) -> String {
        self.path.to_string_lossy().into_owned()
    }

    /// Accepts a connection and takes its first message: descriptors and text.
    #[track_caller]
    pub(crate) fn receive(&self) -> Verdict<(Vec<OwnedFd>, String)> {
        let mut stream = None;
        self.case.until("a connection", || {
            stream = self.listener.accept().ok();
            Ok(stream.is_some())
        })?;
        let Some((stream, _)) = stream else {
            return fail("no connection");
        };
        stream.set_nonblocking(false)?;
        stream.set_read_timeout(Some(self.case.patience))?;
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(4))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let mut text = [0; 4096];
        let mut into = [IoSliceMut::new(&mut text)];
        let received = recvmsg(&stream, &mut into, &mut ancillary, RecvFlags::CMSG_CLOEXEC)?;
        let mut descriptors = Vec::new();
        for message in ancillary.drain() {
            if let RecvAncillaryMessage::ScmRights(some) = message {
                descriptors.extend(some);
            }
        }
        Ok((descriptors, String::from_utf8_lossy(&text[..received.bytes]).into_owned()))
    }

    /// The same with a terminal as the only descriptor; the message's text, and the terminal.
    #[track_caller]
    pub(crate) fn terminal(&self) -> Verdict<(String, Terminal<'t>)> {
        let (descriptors, text) = self.receive()?;
        match <[OwnedFd; 1]>::try_from(descriptors) {
            Ok([master]) => Ok((text, Terminal::new(self.case, master)?)),
            Err(other) => fail(format!("{} descriptors, wanted one", other.len())),
        }
    }
}

/// There must be one descriptor, which is a pidfd of the process `pid`.
#[track_caller]
pub(crate) fn is_pidfd_of(descriptors: &[OwnedFd], pid: &str) -> Verdict {
    is(descriptors.len(), 1)?;
    let info = fs::read_to_string(format!("/proc/self/fdinfo/{}", descriptors[0].as_raw_fd()))?;
    has(info, &format!("Pid:\t{pid}\n"))
}
