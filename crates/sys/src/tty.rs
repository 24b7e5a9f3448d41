//! Pseudo-terminals by descriptor: no path of the container is trusted (ioctl_tty(2)).

use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use crate::{Error, Result};

/// A terminal's size, in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WindowSize {
    /// Rows.
    pub rows: u16,
    /// Columns.
    pub columns: u16,
}

/// Unlocks the slave of a new pseudo-terminal (`TIOCSPTLCK`).
pub fn unlock_pty(master: BorrowedFd<'_>) -> Result<()> {
    let unlock: libc::c_int = 0;
    // SAFETY: TIOCSPTLCK reads an int, and `unlock` is one.
    let result =
        unsafe { libc::ioctl(master.as_raw_fd(), libc::TIOCSPTLCK as _, &raw const unlock) };
    if result < 0 {
        return Err(Error::last("ioctl TIOCSPTLCK", ""));
    }
    Ok(())
}

/// The number N of the slave, which devpts shows as `N` (`TIOCGPTN`).
pub fn pty_number(master: BorrowedFd<'_>) -> Result<u32> {
    let mut number: libc::c_uint = 0;
    // SAFETY: TIOCGPTN writes an unsigned int, and `number` is one.
    let result = unsafe { libc::ioctl(master.as_raw_fd(), libc::TIOCGPTN as _, &raw mut number) };
    if result < 0 {
        return Err(Error::last("ioctl TIOCGPTN", ""));
    }
    Ok(number)
}

/// Opens the slave of `master` without a path (`TIOCGPTPEER`, Linux 4.13): a container that has put
/// a link at /dev/pts/N can't redirect it (CVE-2025-52565).
pub fn pty_peer(master: BorrowedFd<'_>) -> Result<OwnedFd> {
    let flags = libc::O_RDWR | libc::O_NOCTTY | libc::O_CLOEXEC;
    // SAFETY: TIOCGPTPEER takes open flags by value.
    let fd = unsafe { libc::ioctl(master.as_raw_fd(), libc::TIOCGPTPEER as _, flags) };
    if fd < 0 {
        return Err(Error::last("ioctl TIOCGPTPEER", ""));
    }
    // SAFETY: the kernel returned a new descriptor that nobody owns yet.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// The terminal's size (`TIOCGWINSZ`).
pub fn window_size(tty: BorrowedFd<'_>) -> Result<WindowSize> {
    // SAFETY: winsize is plain data for which all zeroes is a valid value.
    let mut size: libc::winsize = unsafe { std::mem::zeroed() };
    // SAFETY: TIOCGWINSZ writes a winsize, and `size` is one.
    let result = unsafe { libc::ioctl(tty.as_raw_fd(), libc::TIOCGWINSZ as _, &raw mut size) };
    if result < 0 {
        return Err(Error::last("ioctl TIOCGWINSZ", ""));
    }
    Ok(WindowSize { rows: size.ws_row, columns: size.ws_col })
}

/// Sets the terminal's size (`TIOCSWINSZ`).
pub fn set_window_size(tty: BorrowedFd<'_>, size: WindowSize) -> Result<()> {
    let size =
        libc::winsize { ws_row: size.rows, ws_col: size.columns, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: TIOCSWINSZ reads a winsize, and `size` is one.
    let result = unsafe { libc::ioctl(tty.as_raw_fd(), libc::TIOCSWINSZ as _, &raw const size) };
    if result < 0 {
        return Err(Error::last("ioctl TIOCSWINSZ", ""));
    }
    Ok(())
}

/// Makes the terminal the controlling one of the session that the caller leads (`TIOCSCTTY`).
pub fn acquire_controlling_terminal(tty: BorrowedFd<'_>) -> Result<()> {
    // SAFETY: TIOCSCTTY takes a number by value.
    let result = unsafe { libc::ioctl(tty.as_raw_fd(), libc::TIOCSCTTY as _, 0) };
    if result < 0 {
        return Err(Error::last("ioctl TIOCSCTTY", ""));
    }
    Ok(())
}
