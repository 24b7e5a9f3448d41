//! The container's terminal: allocated in its own devpts, handed to whoever holds it.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::fcntl::OFlag;
use nix::sys::stat::fstat;
use nix::sys::termios::{OutputFlags, SetArg, tcgetattr, tcsetattr};
use nix::unistd::{Uid, dup2_stderr, dup2_stdin, dup2_stdout, fchown};
use plan::Terminal;
use sys::{Context, OpenTree, WindowSize};

use crate::channel::{Channel, Message};
use crate::devices::is_character_device;
use crate::error::{Error, Result, Step};
use crate::receiver::Receiver;
use crate::resolve::{self, Missing};
use crate::tree::Trees;

/// A pseudo-terminal of the container.
#[derive(Debug)]
pub(crate) struct Pty {
    /// The end that the terminal's holder gets.
    pub(crate) master: OwnedFd,
    slave: OwnedFd,
    /// The slave's path inside.
    pub(crate) name: String,
}

/// Allocates a terminal from the container's devpts, below `root`.
///
/// Nothing there is trusted: the multiplexer must be one (5:2), and the slave is opened through the
/// master, not by its path (CVE-2025-52565).
pub(crate) fn allocate(root: BorrowedFd<'_>, terminal: Terminal) -> Result<Pty> {
    let path = ["/dev/pts/ptmx", "/dev/ptmx"]
        .into_iter()
        .find(|path| resolve::open(root, path, Missing::Fail).is_ok_and(|h| is_multiplexer(&h)));
    let Some(path) = path else {
        let why = "is no terminal multiplexer";
        return Err(Error::Escape { path: "/dev/ptmx".to_owned(), why });
    };
    let master = resolve::open_for_use(root, path, OFlag::O_RDWR | OFlag::O_NOCTTY)
        .step(|| "terminal".to_owned())?;
    if !is_multiplexer(&master) {
        let why = "was replaced while it was opened";
        return Err(Error::Escape { path: path.to_owned(), why });
    }
    sys::unlock_pty(master.as_fd())?;
    let name = format!("/dev/pts/{}", sys::pty_number(master.as_fd())?);
    let slave = sys::pty_peer(master.as_fd())?;
    if let Terminal::Sized { rows, columns } = terminal {
        sys::set_window_size(slave.as_fd(), WindowSize { rows, columns })?;
    }
    Ok(Pty { master, slave, name })
}

/// The character device 5:2, whose opening makes a new terminal (pts(4)).
fn is_multiplexer(file: &OwnedFd) -> bool {
    fstat(file).is_ok_and(|stat| is_character_device(&stat, 5, 2))
}

impl Pty {
    /// Hands the master over: to a console socket, with the terminal's name as text; without one to the
    /// runtime, which stays in the foreground.
    pub(crate) fn hand_over(&self, socket: Option<&Receiver>, runtime: &Channel) -> Result<()> {
        if let Some(receiver) = socket {
            return receiver.send(self.name.as_bytes(), self.master.as_fd());
        }
        self.keep_newlines()?;
        let master = self.master.try_clone().at("dup", &self.name)?;
        runtime.send(&Message::Terminal(master))
    }

    /// Shows the terminal as `/dev/console`, below `root`.
    pub(crate) fn mount_console(&self, root: BorrowedFd<'_>, trees: &Trees) -> Result<()> {
        let tree = trees.take(self.slave.as_fd(), c"", OpenTree::default())?;
        let target = resolve::open(root, "/dev/console", Missing::MakeFile)?;
        trees.cover(tree, target.as_fd()).step(|| "/dev/console".to_owned())
    }

    /// Leaves line ends alone: a runtime in the foreground has a terminal that makes of them what it
    /// needs.
    fn keep_newlines(&self) -> Result<()> {
        let mut settings = tcgetattr(&self.slave).at("tcgetattr", &self.name)?;
        settings.output_flags.remove(OutputFlags::ONLCR);
        Ok(tcsetattr(&self.slave, SetArg::TCSANOW, &settings).at("tcsetattr", &self.name)?)
    }

    /// Makes it the controlling terminal and the three standard streams of the calling process,
    /// which leads a session.
    pub(crate) fn make_stdio(&self, uid: u32) -> Result<()> {
        sys::acquire_controlling_terminal(self.slave.as_fd())?;
        // Writing to one's terminal's device needs to own it (mesg(1), su(1)).
        match fchown(&self.slave, Some(Uid::from_raw(uid)), None) {
            Ok(()) | Err(nix::Error::EINVAL | nix::Error::EPERM) => {}
            Err(errno) => Err(errno).at("fchown", &self.name)?,
        }
        dup2_stdin(&self.slave).at("dup2", "stdin")?;
        dup2_stdout(&self.slave).at("dup2", "stdout")?;
        dup2_stderr(&self.slave).at("dup2", "stderr")?;
        Ok(())
    }
}
