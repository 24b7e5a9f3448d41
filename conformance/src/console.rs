//! Terminals, as an engine or a person holds them.

use std::cell::RefCell;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::process::Stdio;

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use rustix::termios::{Winsize, tcgetwinsize, tcsetwinsize};

use crate::case::Case;
use crate::verdict::{Verdict, fail};

/// The outer end of a pseudoterminal.
pub(crate) struct Terminal<'t> {
    case: &'t Case,
    master: File,
    seen: RefCell<String>,
}

impl<'t> Terminal<'t> {
    /// The terminal whose outer end this is.
    pub(crate) fn new(case: &'t Case, master: OwnedFd) -> Verdict<Self> {
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
