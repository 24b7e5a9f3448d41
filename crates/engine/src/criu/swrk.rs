//! `criu swrk FD`: CRIU as a child that takes one request from a socket, asks back while it works
//! (notifications), and answers at the end.
//!
//! It runs with all of the runtime's powers. Of the runtime's descriptors it has its end of the
//! socket, standard input, and those that it is to inherit; what it prints is kept for errors.

use std::io::Seek;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;

use nix::errno::Errno;
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::socket::{AddressFamily, Shutdown, SockFlag, SockType, shutdown, socketpair};
use nix::unistd::{Pid, dup2_stderr, dup2_stdout, execvp};
use sys::Context;

use super::failure::{Failure, OLDEST, Why};
use super::rpc::{self, Features, Kind, Response};
use super::wire::Message;
use crate::channel::{self, Channel, Message as Word};
use crate::error::{Error, Result};
use crate::process::{self, Forked, Process};

/// Longer than any answer: notifications are names, messages are sentences.
const LONGEST: usize = 64 * 1024;

/// CRIU at work. Dropped, its process is ended.
#[derive(Debug)]
pub(crate) struct Criu {
    socket: OwnedFd,
    pid: Pid,
    process: Ended,
    said: OwnedFd,
    log: Option<PathBuf>,
}

/// What CRIU asks while it works.
#[derive(Debug)]
pub(crate) struct Notification {
    /// Its name, such as `post-restore`.
    pub(crate) script: String,
    /// The container's init, where it is about one.
    pub(crate) pid: Pid,
    /// What it hands over.
    pub(crate) fd: Option<OwnedFd>,
}

/// A process that is about to become CRIU, and the way to hear from it until it does.
#[derive(Debug)]
pub(crate) struct Starting {
    process: Process,
    said: OwnedFd,
    log: Option<PathBuf>,
    channel: Channel,
}

/// Starts CRIU in a process that `clone` makes and `prepare` readies from inside, with `inherited`
/// open under the same numbers; `log` is where it will say what it does.
pub(crate) fn start(
    clone: impl FnOnce() -> Result<Forked>,
    prepare: impl FnOnce(&Channel) -> Result<()>,
    inherited: &[BorrowedFd<'_>],
    log: Option<PathBuf>,
) -> Result<Starting> {
    let said = memfd_create(c"criu", MFdFlags::MFD_CLOEXEC).at("memfd_create", "criu")?;
    let (channel, child_channel) = Channel::pair()?;
    match clone()? {
        Forked::Parent(process) => Ok(Starting { process, said, log, channel }),
        Forked::Child => {
            let error = prepare(&child_channel)
                .and_then(|()| execute(&child_channel, inherited, &said))
                .map_or_else(|error| error, |never| match never {});
            // If nobody listens any more, nobody can be told.
            let _ = child_channel.send(&Word::Failed((&error).into()));
            std::process::exit(1)
        }
    }
}

/// Becomes CRIU. The numbers of descriptors that a request holds are those of the process which made
/// the socket (`SO_PEERCRED`): so that is made here, and they are CRIU's own.
fn execute(
    channel: &Channel,
    inherited: &[BorrowedFd<'_>],
    said: &OwnedFd,
) -> Result<std::convert::Infallible> {
    let kind = SockType::SeqPacket;
    let (theirs, socket) = socketpair(AddressFamily::Unix, kind, None, SockFlag::SOCK_CLOEXEC)
        .at("socketpair", "criu")?;
    channel.send(&Word::Socket(theirs))?;
    // Nothing that the runtime's caller has left open is CRIU's.
    sys::close_from(3)?;
    for fd in inherited.iter().copied().chain([socket.as_fd()]) {
        sys::set_close_on_exec(fd, false)?;
    }
    dup2_stdout(said).at("dup2", "stdout")?;
    dup2_stderr(said).at("dup2", "stderr")?;
    sys::reset_signals()?;
    let number = std::ffi::CString::new(socket.as_raw_fd().to_string()).unwrap_or_default();
    let why = match execvp(c"criu", &[c"criu", c"swrk", &number]) {
        Err(Errno::ENOENT) => "executable file not found in $PATH".to_owned(),
        Err(errno) => sys::describe(errno),
        Ok(never) => match never {},
    };
    Err(Error::Criu(Failure::NotStarted(format!("criu: {why}"))))
}

impl Starting {
    /// Its process.
    pub(crate) fn pid(&self) -> Pid {
        self.process.pid()
    }

    /// Waits until it runs; `answer` is for what [`start`]'s `prepare` asks.
    pub(crate) fn running(self, mut answer: impl FnMut(&Word) -> Result<()>) -> Result<Criu> {
        let Starting { process, said, log, channel } = self;
        let pid = process.pid();
        let process = Ended(Some(process));
        let mut socket = None;
        loop {
            match (channel.receive()?, socket.take()) {
                (Word::Socket(other), _) => socket = Some(other),
                (Word::Closed | Word::Unheard, Some(socket)) => {
                    return Ok(Criu { socket, pid, process, said, log });
                }
                (Word::Closed | Word::Unheard, None) => {
                    let why = "criu: the process ended before it was set up".to_owned();
                    return Err(Error::Criu(Failure::NotStarted(why)));
                }
                (Word::Failed(failure), _) => {
                    return Err(Error::Criu(Failure::NotStarted(failure.sentence)));
                }
                // Shown already.
                (Word::Step(_), same) => socket = same,
                (word, same) => {
                    socket = same;
                    answer(&word)?;
                    channel.go()?;
                }
            }
        }
    }
}

/// A child of the runtime's; dropped, it is ended.
#[derive(Debug)]
struct Ended(Option<Process>);

impl Ended {
    /// Waits for its end; its exit status.
    fn end(&mut self) -> Result<i32> {
        self.0.take().map_or(Ok(0), |process| process.reap())
    }
}

impl Drop for Ended {
    fn drop(&mut self) {
        if let Some(process) = self.0.take() {
            process.end();
        }
    }
}

impl Criu {
    /// Its process.
    pub(crate) fn pid(&self) -> Pid {
        self.pid
    }

    /// Sends a request, has `attend` see to what CRIU asks meanwhile, and waits for the answer.
    ///
    /// An error of `attend`'s makes CRIU give up and undo what it began; it is then what is returned.
    pub(crate) fn call(
        &mut self,
        request: &Message,
        mut attend: impl FnMut(Notification) -> Result<()>,
    ) -> Result<Response> {
        self.send(request)?;
        let mut stopped = None;
        loop {
            let (response, fd) = self.receive()?;
            if response.is_notification() && response.success {
                let pid = Pid::from_raw(response.pid);
                let told = attend(Notification { script: response.script, pid, fd });
                // What came before it is why this one was asked.
                let good = told.is_ok() && stopped.is_none();
                if let Err(error) = told {
                    stopped.get_or_insert(error);
                }
                self.send(&rpc::notified(good))?;
                continue;
            }
            return match (stopped, response.success) {
                (Some(error), _) => Err(error),
                (None, true) => Ok(response),
                (None, false) => Err(self.refused(response)),
            };
        }
    }

    /// Waits until it has ended, as it does after its answer.
    pub(crate) fn end(mut self) -> Result<()> {
        match self.process.end()? {
            0 => Ok(()),
            status => Err(Error::Criu(Failure::Ended { status, why: self.why(None) })),
        }
    }

    /// Sends it away where it waits for another request.
    pub(crate) fn dismiss(mut self) -> Result<()> {
        shutdown(self.socket.as_raw_fd(), Shutdown::Write).at("shutdown", "criu")?;
        self.process.end().map(|_| ())
    }

    fn refused(&self, response: Response) -> Error {
        let (kind, errno) = (response.kind_name(), response.errno);
        Error::Criu(Failure::Refused { kind, errno, why: self.why(response.message) })
    }

    fn why(&self, message: Option<String>) -> Why {
        Why::of(message, self.log.clone(), &self.said())
    }

    /// What it printed.
    fn said(&self) -> String {
        let copy = self.said.try_clone().map(std::fs::File::from);
        let bytes = copy.and_then(|mut file| {
            file.rewind()?;
            Ok(crate::store::read_all(file.as_fd())?)
        });
        String::from_utf8_lossy(&bytes.unwrap_or_default()).into_owned()
    }

    fn send(&self, message: &Message) -> Result<()> {
        match crate::store::write_all(self.socket.as_fd(), message.as_bytes()) {
            // It is gone; why shows when its answer is waited for.
            Err(Errno::EPIPE) => Ok(()),
            other => Ok(other.at("write", "criu")?),
        }
    }

    fn receive(&mut self) -> Result<(Response, Option<OwnedFd>)> {
        let mut buffer = vec![0; LONGEST];
        let (length, fd) = channel::read_with_fd(self.socket.as_fd(), &mut buffer)?;
        if length == 0 {
            return Err(self.gone());
        }
        let damaged = |_| Error::Criu(Failure::Damaged);
        let response = Response::parse(buffer.get(..length).unwrap_or_default());
        Ok((response.map_err(damaged)?, fd))
    }

    fn gone(&mut self) -> Error {
        let status = self.process.end().unwrap_or_default();
        Error::Criu(Failure::Ended { status, why: self.why(None) })
    }
}

/// Asks CRIU, before anything is done, whether it will do: new enough, and with what is `wanted`.
pub(crate) fn check(wanted: Features) -> Result<()> {
    let mut criu = start_plain(&[], None)?;
    let mut version = rpc::request(Kind::Version, None);
    let asks_more = wanted != Features::default();
    version.switch(4, asks_more); // keep_open
    let version = criu.call(&version, |_| Ok(()))?.version;
    if version < OLDEST {
        return Err(Error::Criu(Failure::TooOld(version)));
    }
    if asks_more {
        let present = criu.call(&rpc::feature_check(wanted), |_| Ok(()))?.features;
        let missing = wanted.missing(present);
        if !missing.is_empty() {
            return Err(Error::Criu(Failure::Lacks(missing)));
        }
    }
    criu.end()
}

/// Starts CRIU where the runtime is.
pub(crate) fn start_plain(inherited: &[BorrowedFd<'_>], log: Option<PathBuf>) -> Result<Criu> {
    let clone = || process::clone(sys::Clone3::default());
    start(clone, |_| Ok(()), inherited, log)?.running(|_| Ok(()))
}
