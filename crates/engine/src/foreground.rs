//! Staying with a process in the foreground: its terminal, its signals, its exit status.

use std::io::IsTerminal;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, SigmaskHow, Signal, sigprocmask};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::termios::{OutputFlags, SetArg, Termios, cfmakeraw, tcgetattr, tcsetattr};
use sys::Context;

use crate::error::Result;
use crate::process::Process;

/// Holds back the signals that are meant for the container: before it runs, or one that comes early
/// would end this process instead. The container's process has them back when it is executed. What
/// they are read from is made now: once the program runs nothing is undone any more. Who does not
/// stay in the foreground has none.
pub(crate) fn hold_signals(detach: bool) -> Result<Option<SignalFd>> {
    if detach {
        return Ok(None);
    }
    let forwarded = forwarded_signals();
    sigprocmask(SigmaskHow::SIG_BLOCK, Some(&forwarded), None).at("sigprocmask", "")?;
    let flags = SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK;
    Ok(Some(SignalFd::with_flags(&forwarded, flags).at("signalfd", "")?))
}

/// Waits for a child, passing the held signals on and, with a terminal, the bytes both ways.
pub(crate) fn wait(
    process: &Process,
    terminal: Option<OwnedFd>,
    signals: &SignalFd,
) -> Result<i32> {
    if let Some(terminal) = terminal {
        let raw = RawMode::enter();
        copy_window_size(&terminal);
        relay(process, signals, &terminal, raw.is_on())?;
        // Closed now: if the process still runs, its terminal hangs up.
    }
    while !wait_for_either(process, signals)? {
        forward(process, signals, None)?;
    }
    process.reap()
}

/// All that may be meant for the container. SIGCHLD and SIGURG are this process's own, and those
/// that the kernel sends for a mistake in the program can't be blocked with sense.
fn forwarded_signals() -> SigSet {
    let mut signals = SigSet::all();
    for own in [
        Signal::SIGCHLD,
        Signal::SIGURG,
        Signal::SIGSEGV,
        Signal::SIGBUS,
        Signal::SIGFPE,
        Signal::SIGILL,
        Signal::SIGTTOU,
        Signal::SIGTTIN,
        Signal::SIGPIPE,
    ] {
        signals.remove(own);
    }
    signals
}

/// Waits for the process or a signal; `true` when the process has ended.
fn wait_for_either(process: &Process, signals: &SignalFd) -> Result<bool> {
    let mut polled = [PollFd::new(signals.as_fd(), PollFlags::POLLIN)];
    match process.poll(&mut polled, PollTimeout::NONE) {
        Err(Errno::EINTR) => Ok(false),
        other => Ok(other.at("poll", "")?),
    }
}

fn forward(process: &Process, signals: &SignalFd, terminal: Option<&OwnedFd>) -> Result<()> {
    while let Some(info) = signals.read_signal().at("read", "signalfd")? {
        let signal = info.ssi_signo as i32;
        match terminal {
            Some(terminal) if signal == Signal::SIGWINCH as i32 => copy_window_size(terminal),
            _ => match process.signal(signal) {
                // It has ended meanwhile.
                Err(error) if error.errno != Errno::ESRCH => return Err(error.into()),
                _ => {}
            },
        }
    }
    Ok(())
}

fn copy_window_size(terminal: &OwnedFd) {
    // Without a terminal of our own there is no size to copy.
    if let Ok(size) = sys::window_size(std::io::stdin().as_fd()) {
        let _ = sys::set_window_size(terminal.as_fd(), size);
    }
}

/// Copies what is typed to the terminal and what it shows to standard output, until the process has
/// ended and all of that is read, or the caller has gone: the own terminal, or who reads what is
/// shown. No write waits, or no signal would be passed on and no end be seen meanwhile.
fn relay(
    process: &Process,
    signals: &SignalFd,
    terminal: &OwnedFd,
    on_terminal: bool,
) -> Result<()> {
    let (stdin, stdout) = (std::io::stdin(), std::io::stdout());
    fcntl(terminal, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).at("fcntl", "terminal")?;
    // The container may close its terminal and open it again, as systemd does: that is no end.
    let _inner = sys::pty_peer(terminal.as_fd())?;
    let mut typed = Some(Flow::new(stdin.as_fd(), terminal.as_fd()));
    let mut shown = Flow::new(terminal.as_fd(), stdout.as_fd());
    let mut ended = false;
    loop {
        let mut polled = vec![PollFd::new(signals.as_fd(), PollFlags::POLLIN), shown.wanted()];
        polled.extend(typed.as_ref().map(Flow::wanted));
        let over = match wait_for_some(process, &mut polled, ended && shown.is_empty(), ended) {
            Err(Errno::EINTR) => continue,
            other => other.at("poll", "")?,
        };
        let ready = |at: usize| polled.get(at).is_some_and(|fd| fd.any().unwrap_or(true));
        let (signalled, may_show, may_type) = (ready(0), ready(1), ready(2));
        let has_hung_up = polled.get(2).is_some_and(|fd| hung_up(fd, on_terminal));
        if signalled {
            forward(process, signals, Some(terminal))?;
        }
        match typed.as_mut().filter(|_| may_type).map_or(Step::Done, Flow::advance) {
            Step::Done => {}
            Step::SourceGone if has_hung_up => return Ok(()),
            // Its end; or it is the terminal of who stands in the background.
            Step::SourceGone | Step::SinkGone => typed = None,
        }
        if may_show && shown.advance() != Step::Done {
            return Ok(());
        }
        // Who can't show the rest, and is told to end, does.
        if ended && !may_show && (shown.is_empty() || signalled) {
            return Ok(());
        }
        if over {
            (ended, typed) = (true, None);
        }
    }
}

/// Whether that is a terminal, and has hung up: a pipe's end is no error.
fn hung_up(typed: &PollFd<'_>, on_terminal: bool) -> bool {
    let sign = if on_terminal { PollFlags::POLLHUP } else { PollFlags::empty() };
    typed.revents().is_some_and(|events| events.intersects(sign | PollFlags::POLLERR))
}

/// Waits for one of these, or the process's end, if that hasn't been seen; whether it has ended now.
fn wait_for_some<'p>(
    process: &'p Process,
    polled: &mut [PollFd<'p>],
    at_once: bool,
    ended: bool,
) -> nix::Result<bool> {
    // Once the process has ended only what is in the terminal already is still of interest:
    // somebody else may hold it open for ever.
    let timeout = if at_once { PollTimeout::ZERO } else { PollTimeout::NONE };
    match ended {
        true => poll(polled, timeout).map(|_| false),
        false => process.poll(polled, timeout),
    }
}

/// What is read at once: a pipe that can be written to takes as much without waiting.
const CHUNK: usize = 4096;

/// Bytes on their way from one descriptor to another.
struct Flow<'f> {
    source: BorrowedFd<'f>,
    sink: BorrowedFd<'f>,
    /// Read, and not written yet.
    bytes: Vec<u8>,
}

/// What came of a read or a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Done,
    SourceGone,
    SinkGone,
}

impl<'f> Flow<'f> {
    fn new(source: BorrowedFd<'f>, sink: BorrowedFd<'f>) -> Flow<'f> {
        Flow { source, sink, bytes: Vec::new() }
    }

    fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// What it waits for.
    fn wanted(&self) -> PollFd<'f> {
        match self.is_empty() {
            true => PollFd::new(self.source, PollFlags::POLLIN),
            false => PollFd::new(self.sink, PollFlags::POLLOUT),
        }
    }

    /// Reads, or writes what was read. Whatever the error is, who has it is of no use any more.
    fn advance(&mut self) -> Step {
        if !self.is_empty() {
            return match nix::unistd::write(self.sink, &self.bytes) {
                Err(Errno::EINTR | Errno::EAGAIN) => Step::Done,
                Err(_) => Step::SinkGone,
                Ok(written) => {
                    self.bytes.drain(..written);
                    Step::Done
                }
            };
        }
        let mut buffer = [0; CHUNK];
        match nix::unistd::read(self.source, &mut buffer) {
            Err(Errno::EINTR | Errno::EAGAIN) => Step::Done,
            Ok(0) | Err(_) => Step::SourceGone,
            Ok(read) => {
                self.bytes.extend_from_slice(buffer.get(..read).unwrap_or_default());
                Step::Done
            }
        }
    }
}

/// The caller's own terminal in raw mode, until dropped: every key is the container's.
#[derive(Debug)]
struct RawMode(Option<Termios>);

impl RawMode {
    /// A terminal that has hung up by now is none.
    fn enter() -> RawMode {
        let stdin = std::io::stdin();
        let Some(before) = stdin.is_terminal().then(|| tcgetattr(&stdin).ok()).flatten() else {
            return RawMode(None);
        };
        let mut raw = before.clone();
        cfmakeraw(&mut raw);
        // What the container's terminal shows is a line's end here, too.
        raw.output_flags.insert(OutputFlags::OPOST);
        RawMode(tcsetattr(&stdin, SetArg::TCSANOW, &raw).is_ok().then_some(before))
    }

    fn is_on(&self) -> bool {
        self.0.is_some()
    }
}

impl Drop for RawMode {
    fn drop(&mut self) {
        if let Some(before) = &self.0 {
            // Nothing is left to be done about a terminal that is gone.
            let _ = tcsetattr(std::io::stdin(), SetArg::TCSANOW, before);
        }
    }
}
