//! The loopback interface of a new network namespace.

use std::os::fd::{AsRawFd, OwnedFd};

use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};

use crate::{Context, Error, Result};

/// A socket to ask about interfaces with (netdevice(7)).
pub fn create_interface_socket() -> Result<OwnedFd> {
    let family = AddressFamily::Unix;
    socket(family, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None).at("socket", "AF_UNIX")
}

/// Brings `lo` of the current network namespace up (netdevice(7), `SIOCSIFFLAGS`).
///
/// The kernel then gives it 127.0.0.1 and ::1 by itself.
pub fn loopback_up() -> Result<()> {
    let socket = create_interface_socket()?;
    // SAFETY: ifreq is plain data for which all zeroes is a valid value.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    request.ifr_name[0] = b'l' as libc::c_char;
    request.ifr_name[1] = b'o' as libc::c_char;
    request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_short;
    // SAFETY: SIOCSIFFLAGS reads an ifreq, and `request` is one.
    let result =
        unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS as _, &raw const request) };
    if result < 0 {
        return Err(Error::last("ioctl SIOCSIFFLAGS", "lo"));
    }
    Ok(())
}
