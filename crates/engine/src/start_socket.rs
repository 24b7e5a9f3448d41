//! The socket on which a created init waits for `start`: both of its ends.
//!
//! Its name says how far a `start` came, so that nobody has to disturb the init with the question: it is
//! [`START_SOCKET`] until a `start` is about to knock, [`KNOCKED_SOCKET`] then, and gone once that `start`
//! has been heard. Only after one that was killed at the door must be asked whether somebody listens.

use std::os::fd::{AsRawFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, UnixAddr, bind, connect, socket,
};
use sys::Context;

use crate::error::{Result, Step};
use crate::store::{ContainerDir, KNOCKED_SOCKET, START_SOCKET};

/// Makes the socket and listens on it.
pub(crate) fn listen(dir: &ContainerDir) -> Result<OwnedFd> {
    let made = || {
        let (socket, address) = socket_for(dir, START_SOCKET, SockFlag::empty())?;
        bind(socket.as_raw_fd(), &address)?;
        nix::sys::socket::listen(&socket, Backlog::new(8)?)?;
        Ok::<_, nix::Error>(socket)
    };
    made().at("bind", name(dir, START_SOCKET)).step(|| "state directory".to_owned())
}

/// Whether the init still waits, if it lives.
pub(crate) fn is_waited_at(dir: &ContainerDir) -> bool {
    // One who was stopped lets visitors queue up, and in the end wait.
    let listens = || match connect_to(dir, SockFlag::SOCK_NONBLOCK) {
        Ok(_) | Err(Errno::EAGAIN) => true,
        Err(_) => false,
    };
    dir.has(START_SOCKET) || (dir.has(KNOCKED_SOCKET) && listens())
}

/// Knocks: connects to the init, which listens. Whoever does it holds the container's lock.
pub(crate) fn knock(dir: &ContainerDir) -> Result<OwnedFd> {
    dir.rename(START_SOCKET, KNOCKED_SOCKET)?;
    Ok(connect_to(dir, SockFlag::empty()).at("connect", name(dir, KNOCKED_SOCKET))?)
}

/// Removes it, since nobody waits any more.
pub(crate) fn remove(dir: &ContainerDir) -> Result<()> {
    dir.unlink(KNOCKED_SOCKET)
}

fn connect_to(dir: &ContainerDir, flags: SockFlag) -> nix::Result<OwnedFd> {
    let (socket, address) = socket_for(dir, KNOCKED_SOCKET, flags)?;
    connect(socket.as_raw_fd(), &address)?;
    Ok(socket)
}

fn socket_for(dir: &ContainerDir, name: &str, flags: SockFlag) -> nix::Result<(OwnedFd, UnixAddr)> {
    let flags = SockFlag::SOCK_CLOEXEC | flags;
    let socket = socket(AddressFamily::Unix, SockType::SeqPacket, flags, None)?;
    Ok((socket, UnixAddr::new(&dir.short_path(name))?))
}

fn name(dir: &ContainerDir, name: &str) -> String {
    dir.path().join(name).to_string_lossy().into_owned()
}
