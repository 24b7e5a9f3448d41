//! Network interfaces and their addresses by rtnetlink(7): the few requests that moving an interface
//! to another network namespace takes. Runs in the runtime, with its powers.
//!
//! A socket belongs to the network namespace that it was opened in. One request is under way at a
//! time, and every one is acknowledged, so that an answer is whole when its acknowledgement is there.

use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::libc;
use nix::libc::{
    IFA_ADDRESS, IFA_ANYCAST, IFA_BROADCAST, IFA_F_HOMEADDRESS, IFA_F_MANAGETEMPADDR,
    IFA_F_MCAUTOJOIN, IFA_F_NODAD, IFA_F_NOPREFIXROUTE, IFA_F_PERMANENT, IFA_FLAGS, IFA_LOCAL,
    NLM_F_ACK, NLM_F_CREATE, NLM_F_DUMP, NLM_F_EXCL, NLM_F_REQUEST, NLMSG_DONE, NLMSG_ERROR,
    RTM_GETADDR, RTM_GETLINK, RTM_NEWADDR, RTM_NEWLINK,
};
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, send, socket,
};
use sys::Context;

/// Attributes of an interface (linux/if_link.h), which libc has as an enumeration.
const IFLA_IFNAME: u16 = 3;
const IFLA_EXT_MASK: u16 = 29;
const IFLA_NET_NS_FD: u16 = 28;
/// Nothing is asked about statistics, which would be most of an answer.
const RTEXT_FILTER_SKIP_STATS: u32 = 8;
/// Attributes of an address (linux/if_addr.h) that libc lacks.
const IFA_RT_PRIORITY: u16 = 9;
const IFA_PROTO: u16 = 11;

/// What of an address is the user's own, and is kept (linux/if_addr.h).
const KEPT_ATTRIBUTES: [u16; 6] =
    [IFA_ADDRESS, IFA_LOCAL, IFA_BROADCAST, IFA_ANYCAST, IFA_RT_PRIORITY, IFA_PROTO];
const KEPT_FLAGS: u32 =
    IFA_F_NODAD | IFA_F_HOMEADDRESS | IFA_F_MANAGETEMPADDR | IFA_F_NOPREFIXROUTE | IFA_F_MCAUTOJOIN;

/// `struct nlmsghdr`, `struct ifinfomsg` and `struct ifaddrmsg`, in bytes.
const HEADER: usize = 16;
const LINK_HEADER: usize = 16;
const ADDRESS_HEADER: usize = 8;
/// More than the kernel puts into one message.
const LONGEST: usize = 64 * 1024;

/// An interface, as far as it is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Link {
    /// Its index, the number by which requests name it.
    pub(crate) index: i32,
    /// Its name.
    pub(crate) name: String,
    /// Whether it is up (`IFF_UP`).
    pub(crate) up: bool,
}

/// An address of an interface that is to be given to it again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Address {
    family: u8,
    prefix_length: u8,
    flags: u32,
    attributes: Vec<(u16, Vec<u8>)>,
}

/// A netlink socket.
#[derive(Debug)]
pub(crate) struct Socket(OwnedFd);

type Result<T> = std::result::Result<T, sys::Error>;

impl Socket {
    /// A socket into the network namespace that this process is in.
    pub(crate) fn open() -> Result<Socket> {
        let family = AddressFamily::Netlink;
        let protocol = SockProtocol::NetlinkRoute;
        let socket = socket(family, SockType::Raw, SockFlag::SOCK_CLOEXEC, protocol);
        Ok(Socket(socket.at("socket", "NETLINK_ROUTE")?))
    }

    /// The interface of that name, if there is one.
    pub(crate) fn link(&self, name: &str) -> Result<Option<Link>> {
        let mut request = Request::link(RTM_GETLINK, 0, 0, 0);
        request.attribute(IFLA_EXT_MASK, &RTEXT_FILTER_SKIP_STATS.to_ne_bytes());
        request.attribute(IFLA_IFNAME, &terminated(name));
        match self.ask(request) {
            Ok(answers) => Ok(answers.iter().find_map(|message| Link::of(message))),
            Err(Errno::ENODEV) => Ok(None),
            Err(errno) => Err(sys::Error::new("RTM_GETLINK", name, errno)),
        }
    }

    /// Moves an interface into a network namespace, and renames it there.
    pub(crate) fn move_link(&self, link: &Link, to: BorrowedFd<'_>, name: &str) -> Result<()> {
        let mut request = Request::link(RTM_NEWLINK, link.index, 0, 0);
        request.attribute(IFLA_NET_NS_FD, &to.as_raw_fd().to_ne_bytes());
        request.attribute(IFLA_IFNAME, &terminated(name));
        self.ask(request).at("RTM_NEWLINK", format!("{} to {name}", link.name)).map(drop)
    }

    /// Renames an interface that is down; in a name with `%d` the kernel puts a number.
    pub(crate) fn rename(&self, link: &Link, name: &str) -> Result<()> {
        let mut request = Request::link(RTM_NEWLINK, link.index, 0, 0);
        request.attribute(IFLA_IFNAME, &terminated(name));
        self.ask(request).at("RTM_NEWLINK", format!("{} to {name}", link.name)).map(drop)
    }

    /// Sets an interface up.
    pub(crate) fn set_up(&self, link: &Link) -> Result<()> {
        let up = libc::IFF_UP as u32;
        let request = Request::link(RTM_NEWLINK, link.index, up, up);
        self.ask(request).at("RTM_NEWLINK up", &link.name).map(drop)
    }

    /// The interface's permanent addresses of global scope, of any family: those that belong to it,
    /// and not to the network that it is in (config-linux.md, "Network Devices").
    pub(crate) fn addresses(&self, link: &Link) -> Result<Vec<Address>> {
        let request = Request::new(RTM_GETADDR, NLM_F_DUMP, &[0; ADDRESS_HEADER]);
        let answers = self.ask(request).at("RTM_GETADDR", &link.name)?;
        Ok(answers.iter().filter_map(|message| Address::of(message, link.index)).collect())
    }

    /// Gives an interface an address.
    pub(crate) fn add_address(&self, link: &Link, address: &Address) -> Result<()> {
        let mut header = vec![address.family, address.prefix_length, address.flags as u8, 0];
        header.extend(link.index.to_ne_bytes());
        let mut request = Request::new(RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, &header);
        for (kind, value) in &address.attributes {
            request.attribute(*kind, value);
        }
        request.attribute(IFA_FLAGS, &address.flags.to_ne_bytes());
        self.ask(request).at("RTM_NEWADDR", &link.name).map(drop)
    }

    /// Sends a request, and returns the messages that answer it.
    fn ask(&self, request: Request) -> nix::Result<Vec<Vec<u8>>> {
        send(self.0.as_raw_fd(), &request.finish(), MsgFlags::empty())?;
        let mut answers = Vec::new();
        let mut buffer = vec![0; LONGEST];
        loop {
            let length = match recv(self.0.as_raw_fd(), &mut buffer, MsgFlags::MSG_TRUNC) {
                Err(Errno::EINTR) => continue,
                other => other?,
            };
            let mut rest = buffer.get(..length).ok_or(Errno::EMSGSIZE)?;
            while let Some((kind, body, next)) = message(rest) {
                match i32::from(kind) {
                    NLMSG_DONE => return Ok(answers),
                    NLMSG_ERROR => return acknowledged(body).map(|()| answers),
                    _ => answers.push(body.to_vec()),
                }
                rest = next;
            }
        }
    }
}

impl Link {
    fn of(message: &[u8]) -> Option<Link> {
        let (header, attributes) = message.split_at_checked(LINK_HEADER)?;
        let name = self::attributes(attributes).find(|(kind, _)| *kind == IFLA_IFNAME)?.1;
        let name = name.split(|byte| *byte == 0).next().unwrap_or_default();
        Some(Link {
            index: i32::from_ne_bytes(header.get(4..8)?.try_into().ok()?),
            name: String::from_utf8_lossy(name).into_owned(),
            up: number(header.get(8..12)?) & libc::IFF_UP as u32 != 0,
        })
    }
}

impl Address {
    /// The address in an answer, if it is one of that interface's that are kept.
    fn of(message: &[u8], index: i32) -> Option<Address> {
        let (header, attributes) = message.split_at_checked(ADDRESS_HEADER)?;
        let &[family, prefix_length, short_flags, scope, a, b, c, d] = header else {
            return None;
        };
        let all: Vec<(u16, &[u8])> = self::attributes(attributes).collect();
        let long_flags = all.iter().find(|(kind, _)| *kind == IFA_FLAGS);
        let flags = long_flags.map_or(u32::from(short_flags), |(_, value)| number(value));
        let own = i32::from_ne_bytes([a, b, c, d]) == index
            && flags & IFA_F_PERMANENT != 0
            && scope == libc::RT_SCOPE_UNIVERSE;
        own.then(|| Address {
            family,
            prefix_length,
            flags: flags & KEPT_FLAGS,
            attributes: all
                .iter()
                .filter(|(kind, _)| KEPT_ATTRIBUTES.contains(kind))
                .map(|(kind, value)| (*kind, value.to_vec()))
                .collect(),
        })
    }
}

/// A request being written.
struct Request(Vec<u8>);

impl Request {
    fn new(kind: u16, flags: i32, header: &[u8]) -> Request {
        let mut bytes = vec![0; 4];
        bytes.extend(kind.to_ne_bytes());
        bytes.extend(((flags | NLM_F_REQUEST | NLM_F_ACK) as u16).to_ne_bytes());
        // Number and sender: nobody else has this socket.
        bytes.extend([0; 8]);
        bytes.extend(header);
        Request(bytes)
    }

    /// A request about an interface: `struct ifinfomsg`.
    fn link(kind: u16, index: i32, flags: u32, change: u32) -> Request {
        let mut header = vec![0; 4];
        header.extend(index.to_ne_bytes());
        header.extend(flags.to_ne_bytes());
        header.extend(change.to_ne_bytes());
        Request::new(kind, 0, &header)
    }

    fn attribute(&mut self, kind: u16, value: &[u8]) {
        let length = 4 + value.len();
        self.0.extend((length as u16).to_ne_bytes());
        self.0.extend(kind.to_ne_bytes());
        self.0.extend(value);
        self.0.resize(self.0.len().next_multiple_of(4), 0);
    }

    fn finish(mut self) -> Vec<u8> {
        let length = self.0.len() as u32;
        self.0[..4].copy_from_slice(&length.to_ne_bytes());
        self.0
    }
}

fn terminated(name: &str) -> Vec<u8> {
    name.bytes().chain([0]).collect()
}

fn number(bytes: &[u8]) -> u32 {
    bytes.try_into().map_or(0, u32::from_ne_bytes)
}

/// The first message of a buffer: its kind, its body, and what comes behind it.
fn message(buffer: &[u8]) -> Option<(u16, &[u8], &[u8])> {
    let length = number(buffer.get(..4)?) as usize;
    let kind = u16::from_ne_bytes(buffer.get(4..6)?.try_into().ok()?);
    let body = buffer.get(HEADER..length)?;
    Some((kind, body, buffer.get(length.next_multiple_of(4)..).unwrap_or_default()))
}

/// The kind and the value of each attribute (`struct rtattr`).
fn attributes(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let length = usize::from(u16::from_ne_bytes(bytes.get(..2)?.try_into().ok()?));
        let kind = u16::from_ne_bytes(bytes.get(2..4)?.try_into().ok()?);
        let value = bytes.get(4..length)?;
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, value))
    })
}

/// `struct nlmsgerr`: a negative errno, or 0.
fn acknowledged(body: &[u8]) -> nix::Result<()> {
    let errno = body.get(..4).and_then(|bytes| bytes.try_into().ok()).map(i32::from_ne_bytes);
    match errno {
        Some(0) => Ok(()),
        Some(errno) => Err(Errno::from_raw(-errno)),
        None => Err(Errno::EBADMSG),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_found_and_others_are_not() {
        let socket = Socket::open().unwrap();
        let loopback = socket.link("lo").unwrap().unwrap();
        assert_eq!((loopback.index, loopback.name.as_str()), (1, "lo"));
        assert_eq!(socket.link("no-such-link").unwrap(), None);
        // 127.0.0.1 and ::1 are of the host's scope.
        assert_eq!(socket.addresses(&loopback).unwrap(), []);
    }

    #[test]
    fn messages_and_attributes_end_where_they_say() {
        let mut request = Request::link(RTM_NEWLINK, 7, 0, 0);
        request.attribute(IFLA_IFNAME, &terminated("abcd"));
        let bytes = request.finish();
        let (kind, body, rest) = message(&bytes).unwrap();
        assert_eq!((kind, rest), (RTM_NEWLINK, &[][..]));
        let link = Link { index: 7, name: "abcd".to_owned(), up: false };
        assert_eq!(Link::of(body), Some(link));
        for cut in 0..bytes.len() {
            assert_eq!(message(&bytes[..cut]), None, "{cut}");
        }
        assert_eq!(attributes(&[3, 0, 0, 0]).count(), 0);
        assert_eq!(attributes(&[0; 3]).count(), 0);
    }

    #[test]
    fn only_permanent_addresses_of_the_whole_world_are_kept() {
        let of = |index: u8, flags: u32, scope: u8| {
            let mut message = vec![2, 24, flags as u8, scope, index, 0, 0, 0];
            let mut request = Request(std::mem::take(&mut message));
            request.attribute(IFA_LOCAL, &[192, 0, 2, 1]);
            request.attribute(3, b"eth0\0");
            request.attribute(IFA_FLAGS, &flags.to_ne_bytes());
            Address::of(&request.0, 5)
        };
        let kept = of(5, IFA_F_PERMANENT | IFA_F_NOPREFIXROUTE, 0).unwrap();
        assert_eq!(kept.flags, IFA_F_NOPREFIXROUTE);
        assert_eq!(kept.attributes, [(IFA_LOCAL, vec![192, 0, 2, 1])]);
        assert_eq!(of(6, IFA_F_PERMANENT, 0), None, "another interface's");
        assert_eq!(of(5, 0, 0), None, "one of DHCP's");
        assert_eq!(of(5, IFA_F_PERMANENT, 253), None, "of the link");
    }
}
