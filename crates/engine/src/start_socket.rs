//! The socket on which a created init waits for `start`: both of its ends.

use std::os::fd::{AsRawFd, OwnedFd};

use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, UnixAddr, bind, connect, socket,
};
use sys::Context;

use crate::error::{Result, Step};
use crate::store::{ContainerDir, START_SOCKET};

/// Makes the socket and listens on it.
pub(crate) fn listen(dir: &ContainerDir) -> Result<OwnedFd> {
    let made = || {
        let (socket, address) = socket_for(dir)?;
        bind(socket.as_raw_fd(), &address)?;
        nix::sys::socket::listen(&socket, Backlog::new(8)?)?;
        Ok::<_, nix::Error>(socket)
    };
    made().at("bind", name(dir)).step(|| "state directory".to_owned())
}

/// Knocks: connects to whoever listens.
pub(crate) fn knock(dir: &ContainerDir) -> Result<OwnedFd> {
    let connected = || {
        let (socket, address) = socket_for(dir)?;
        connect(socket.as_raw_fd(), &address)?;
        Ok::<_, nix::Error>(socket)
    };
    Ok(connected().at("connect", name(dir))?)
}

fn socket_for(dir: &ContainerDir) -> nix::Result<(OwnedFd, UnixAddr)> {
    let flags = SockFlag::SOCK_CLOEXEC;
    let socket = socket(AddressFamily::Unix, SockType::SeqPacket, flags, None)?;
    Ok((socket, UnixAddr::new(&dir.short_path(START_SOCKET))?))
}

fn name(dir: &ContainerDir) -> String {
    dir.path().join(START_SOCKET).to_string_lossy().into_owned()
}
