//! Staying with a process in the foreground: its terminal, its signals, its exit status.

use std::io::IsTerminal;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout};
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
    let Some(terminal) = terminal else {
        while !wait_for_either(process, signals)? {
            forward(process, signals, None)?;
        }
        return process.reap();
    };
    let raw = RawMode::enter()?;
    copy_window_size(&terminal);
    relay(process, signals, &terminal)?;
    drop(raw);
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

/// Copies what is typed to the terminal and what it shows to standard output, until both the process
/// has ended and the terminal is drained.
fn relay(process: &Process, signals: &SignalFd, terminal: &OwnedFd) -> Result<()> {
    let (stdin, stdout) = (std::io::stdin(), std::io::stdout());
    let mut reading = true;
    let mut ended = false;
    loop {
        let input = if reading && !ended { PollFlags::POLLIN } else { PollFlags::empty() };
        let mut polled = [
            PollFd::new(terminal.as_fd(), PollFlags::POLLIN),
            PollFd::new(signals.as_fd(), PollFlags::POLLIN),
            PollFd::new(stdin.as_fd(), input),
        ];
        // Once the process has ended only what is in the terminal already is still of interest:
        // somebody else may hold it open for ever.
        let timeout = if ended { PollTimeout::ZERO } else { PollTimeout::NONE };
        // Nobody polls a descriptor that only ever says "hung up".
        let count = if input.is_empty() { 2 } else { 3 };
        let over = match process.poll(polled.get_mut(..count).unwrap_or_default(), timeout) {
            Err(Errno::EINTR) => continue,
            other => other.at("poll", "")?,
        };
        let [output, signalled, typed] =
            polled.map(|fd| fd.revents().is_some_and(|events| !events.is_empty()));
        if signalled {
            forward(process, signals, Some(terminal))?;
        }
        if typed {
            reading = copy_some(stdin.as_fd(), terminal.as_fd())?;
        }
        if output && !copy_some(terminal.as_fd(), stdout.as_fd())? || ended && !output && !signalled
        {
            return wait_if(!ended && !over, process);
        }
        ended = ended || over;
    }
}

/// The terminal was closed by everybody in the container: what remains is its end.
fn wait_if(running: bool, process: &Process) -> Result<()> {
    if running {
        process.wait_for_end(PollTimeout::NONE)?;
    }
    Ok(())
}

/// Copies what there is; `false` at the end.
fn copy_some(from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> Result<bool> {
    let mut buffer = [0; 32 * 1024];
    match nix::unistd::read(from, &mut buffer) {
        // EIO: the other side of a terminal is closed.
        Ok(0) | Err(Errno::EIO) => Ok(false),
        Err(Errno::EINTR | Errno::EAGAIN) => Ok(true),
        Err(errno) => Ok(Err(errno).at("read", "terminal")?),
        Ok(n) => match crate::store::write_all(to, buffer.get(..n).unwrap_or_default()) {
            Ok(()) => Ok(true),
            Err(Errno::EIO | Errno::EPIPE) => Ok(false),
            Err(errno) => Ok(Err(errno).at("write", "terminal")?),
        },
    }
}

/// The caller's own terminal in raw mode, until dropped: every key is the container's.
#[derive(Debug)]
struct RawMode(Option<Termios>);

impl RawMode {
    fn enter() -> Result<RawMode> {
        let stdin = std::io::stdin();
        if !stdin.is_terminal() {
            return Ok(RawMode(None));
        }
        let before = tcgetattr(&stdin).at("tcgetattr", "stdin")?;
        let mut raw = before.clone();
        cfmakeraw(&mut raw);
        // What the container's terminal shows is a line's end here, too.
        raw.output_flags.insert(OutputFlags::OPOST);
        tcsetattr(&stdin, SetArg::TCSANOW, &raw).at("tcsetattr", "stdin")?;
        Ok(RawMode(Some(before)))
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
