//! Terminals, as an engine or a person holds them.

use std::cell::RefCell;
use std::fs::File;
use std::io::{IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::process::Stdio;

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use rustix::termios::{Winsize, tcgetwinsize, tcsetwinsize};

use crate::case::Case;
use crate::verdict::{Verdict, fail};

/// A listening socket for `--console-socket`.
pub(crate) struct ConsoleSocket<'t> {
    case: &'t Case,
    listener: UnixListener,
    /// The socket's path.
    pub(crate) path: PathBuf,
}

impl<'t> ConsoleSocket<'t> {
    /// Listens in the case's directory.
    pub(crate) fn listen(case: &'t Case) -> Verdict<Self> {
        let path = case.path(&format!("tty{}.sock", case.number()));
        let listener = UnixListener::bind(&path)?;
        listener.set_nonblocking(true)?;
        Ok(Self { case, listener, path })
    }

    /// The path as a flag's value.
    pub(crate) fn flag(&self) -> String {
        self.path.to_string_lossy().into_owned()
    }

    /// Receives descriptors: how many came with the first message, its text, and the terminal.
    #[track_caller]
    pub(crate) fn receive(&self) -> Verdict<(String, Terminal<'t>)> {
        let (descriptors, text) = receive(self.case, &self.listener)?;
        match <[OwnedFd; 1]>::try_from(descriptors) {
            Ok([master]) => Ok((text, Terminal::new(self.case, master)?)),
            Err(other) => fail(format!("{} descriptors, wanted one", other.len())),
        }
    }
}

/// Accepts a connection and takes its first message: descriptors and text.
#[track_caller]
pub(crate) fn receive(case: &Case, listener: &UnixListener) -> Verdict<(Vec<OwnedFd>, String)> {
    let mut stream = None;
    case.until("a connection", || {
        stream = listener.accept().ok();
        Ok(stream.is_some())
    })?;
    let Some((stream, _)) = stream else {
        return fail("no connection");
    };
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(case.patience))?;
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

/// The outer end of a pseudoterminal.
pub(crate) struct Terminal<'t> {
    case: &'t Case,
    master: File,
    seen: RefCell<String>,
}

impl<'t> Terminal<'t> {
    fn new(case: &'t Case, master: OwnedFd) -> Verdict<Self> {
        fcntl(&master, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
        Ok(Self { case, master: master.into(), seen: RefCell::default() })
    }

    /// A terminal of the host, and its inner end as three standard streams.
    pub(crate) fn open(case: &'t Case) -> Verdict<(Self, [Stdio; 3])> {
        let pair = nix::pty::openpty(None, None)?;
        let again = || -> Verdict<Stdio> { Ok(pair.slave.try_clone()?.into()) };
        let stdio = [again()?, again()?, again()?];
        fcntl(&pair.master, FcntlArg::F_SETFD(nix::fcntl::FdFlag::FD_CLOEXEC))?;
        fcntl(&pair.slave, FcntlArg::F_SETFD(nix::fcntl::FdFlag::FD_CLOEXEC))?;
        Ok((Self::new(case, pair.master)?, stdio))
    }

    /// Waits until `text` has appeared.
    #[track_caller]
    pub(crate) fn shows(&self, text: &str) -> Verdict {
        let shown = self.case.until(text, || {
            let mut bytes = [0; 4096];
            if let Ok(count) = (&self.master).read(&mut bytes) {
                self.seen.borrow_mut().push_str(&String::from_utf8_lossy(&bytes[..count]));
            }
            Ok(self.seen.borrow().contains(text))
        });
        shown.or_else(|_| fail(format!("never {text:?} in {:?}", self.seen.borrow())))
    }

    /// Types `text`.
    pub(crate) fn types(&self, text: &str) -> Verdict {
        Ok((&self.master).write_all(text.as_bytes())?)
    }

    /// Rows and columns.
    pub(crate) fn size(&self) -> Verdict<(u16, u16)> {
        let size = tcgetwinsize(&self.master)?;
        Ok((size.ws_row, size.ws_col))
    }

    /// Sets rows and columns; the foreground process gets SIGWINCH.
    pub(crate) fn resize(&self, rows: u16, columns: u16) -> Verdict {
        let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        Ok(tcsetwinsize(&self.master, size)?)
    }
}
