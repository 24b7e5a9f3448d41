//! Moving the host's network devices into the container (`linux.netDevices`). Runs in the runtime,
//! while the container's init waits in its network namespace.
//!
//! An interface loses its addresses on the way; those that are its own are given to it again. Should
//! `create` fail later, it goes back as it was: a virtual one would end with the namespace.

use std::os::fd::{AsFd, OwnedFd};

use nix::fcntl::{AT_FDCWD, OFlag, openat};
use nix::sched::{CloneFlags, setns};
use nix::sys::stat::Mode;
use nix::unistd::Pid;
use plan::NetDevice;
use sys::Context;

use crate::error::{Error, Result, Step};
use crate::netlink::{Address, Link, Socket};

/// A network namespace.
#[derive(Debug)]
struct Side {
    socket: Socket,
    namespace: OwnedFd,
}

/// Interfaces that were moved. Dropped, it moves them back, unless they are to [stay](Self::stay).
#[derive(Debug)]
pub(crate) struct Moved {
    host: Side,
    container: Side,
    devices: Vec<Device>,
}

/// An interface that was moved.
#[derive(Debug)]
struct Device {
    /// As it was on the host.
    before: Link,
    /// As it came into the container.
    inside: Link,
    addresses: Vec<Address>,
}

/// Moves the devices into the network namespace of the process.
pub(crate) fn move_into(devices: &[NetDevice<'_>], pid: Pid) -> Result<Moved> {
    let host = Side { socket: Socket::open()?, namespace: open_namespace("/proc/self/ns/net")? };
    let container = enter_and_return(&host, &format!("/proc/{pid}/ns/net"))?;
    let mut moved = Moved { host, container, devices: Vec::with_capacity(devices.len()) };
    for device in devices {
        moved.move_one(device).step(|| format!("linux.netDevices[{}]", device.host_name))?;
    }
    Ok(moved)
}

fn open_namespace(path: &str) -> Result<OwnedFd> {
    let flags = OFlag::O_RDONLY | OFlag::O_CLOEXEC;
    Ok(openat(AT_FDCWD, path, flags, Mode::empty()).at("open", path)?)
}

/// A socket keeps the powers of who has opened it: so the runtime opens it, inside.
fn enter_and_return(host: &Side, path: &str) -> Result<Side> {
    let namespace = open_namespace(path)?;
    setns(&namespace, CloneFlags::CLONE_NEWNET).at("setns", path)?;
    let socket = Socket::open();
    setns(&host.namespace, CloneFlags::CLONE_NEWNET).at("setns", "the runtime's network")?;
    Ok(Side { socket: socket?, namespace })
}

impl Moved {
    /// The interfaces are the container's from here on.
    pub(crate) fn stay(mut self) {
        self.devices.clear();
    }

    fn move_one(&mut self, device: &NetDevice<'_>) -> Result<()> {
        let (outside, inside) = (&self.host.socket, &self.container.socket);
        let before = outside.link(device.host_name)?.ok_or_else(|| {
            let name = device.host_name;
            Error::Usage(format!("link not found for interface {name} on runtime namespace"))
        })?;
        // The kernel picks a name only among those of the namespace that the interface is in.
        let is_template = device.name.contains('%');
        let name =
            if is_template { format!("tare{}", before.index) } else { device.name.to_owned() };
        if let Some(taken) = inside.link(&name)? {
            let error = sys::Error::new("RTM_NEWLINK", taken.name, nix::errno::Errno::EEXIST);
            return Err(error.into());
        }
        let addresses = outside.addresses(&before)?;
        outside.move_link(&before, self.container.namespace.as_fd(), &name)?;
        let gone = || sys::Error::new("RTM_GETLINK", &*name, nix::errno::Errno::ENODEV);
        let link = inside.link(&name)?.ok_or_else(gone)?;
        self.devices.push(Device { before, inside: link.clone(), addresses: addresses.clone() });
        if is_template {
            inside.rename(&link, device.name)?;
        }
        settle(inside, &link, &addresses, true)
    }
}

/// Gives an interface its addresses, and sets it up.
fn settle(socket: &Socket, link: &Link, addresses: &[Address], up: bool) -> Result<()> {
    for address in addresses {
        socket.add_address(link, address)?;
    }
    if up {
        socket.set_up(link)?;
    }
    Ok(())
}

impl Drop for Moved {
    fn drop(&mut self) {
        // The first error is on its way to the user.
        let back = |device: &Device| -> Result<()> {
            let Device { before, inside, addresses } = device;
            let to = self.host.namespace.as_fd();
            self.container.socket.move_link(inside, to, &before.name)?;
            match self.host.socket.link(&before.name)? {
                Some(link) => settle(&self.host.socket, &link, addresses, before.up),
                None => Ok(()),
            }
        };
        for device in self.devices.iter().rev() {
            let _ = back(device);
        }
    }
}
