//! The conversation between the runtime and the process that becomes the container's.
//!
//! Both ends are of one sequenced-packet socket pair, so that a message arrives whole or not at
//! all. The child speaks first: it reports, asks, or fails; the parent only ever says "go". When
//! the child has executed the user's program the socket closes by itself (close-on-exec): the end
//! of the stream without a [`Message::Failed`] before it means success after [`Message::Ready`].

use std::fmt;
use std::io::{IoSlice, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use log::debug;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout};
use nix::sys::socket::{
    AddressFamily, ControlMessage, ControlMessageOwned, MsgFlags, SockFlag, SockType, recvmsg,
    sendmsg, socketpair,
};
use nix::unistd::{Pid, read, write};
use sys::Context;

use crate::error::{Details, Error, Result};
use crate::process::Process;

/// One end of the conversation.
#[derive(Debug)]
pub(crate) struct Channel(OwnedFd);

/// What the child says.
#[derive(Debug)]
pub(crate) enum Message {
    /// A new user namespace waits for its id maps; answer with [`Channel::go`].
    NeedsMaps,
    /// It may go on only when systemd has its cgroup; answer with [`Channel::go`].
    NeedsUnit,
    /// The process that will be the container's, when it isn't the one that was cloned; answer with
    /// [`Channel::go`].
    Init(Pid),
    /// The source of mount N waits for the map of its ids, which needs power over the file system;
    /// answer with [`Channel::go`].
    NeedsIdMap(u32, OwnedFd),
    /// It is in its network namespace, and waits there for the host's devices that it gets; answer
    /// with [`Channel::go`].
    NeedsNetDevices,
    /// All namespaces and mounts are there, the root is not yet pivoted: the moment for the
    /// runtime's hooks; answer with [`Channel::go`].
    NeedsHooks,
    /// The master of the container's terminal.
    Terminal(OwnedFd),
    /// The other end of a socket through which the program that it becomes is spoken to.
    Socket(OwnedFd),
    /// The number of the listener that its filter of system calls has given it: to be handed to the
    /// agent, before whom it can't go on; answer with [`Channel::go`].
    Listener(i32),
    /// Nothing is left to do but to execute the user's program, on [`Channel::go`].
    Ready,
    /// What it does (`--debug`): nothing to answer.
    Step(String),
    /// It failed.
    Failed(Failure),
    /// It closed its end: it has executed the program, or has ended.
    Closed,
    /// It has ended, without having read what it was told.
    Unheard,
}

/// Why the child failed, as it crosses to the parent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Failure {
    /// The whole sentence, object included.
    pub sentence: String,
    /// The kernel's reason, if there was one.
    pub errno: Option<Errno>,
    /// What was being done; may be empty.
    pub step: String,
    /// What it was done to; may be empty.
    pub object: String,
}

impl Failure {
    /// As it crosses: the errno, the lengths of step and object, and the three texts.
    fn to_bytes(&self) -> Vec<u8> {
        let errno = self.errno.map_or(0, |errno| errno as i32);
        let short = |text: &str| text.len().min(LONGEST / 4) as u16;
        let (step, object) = (short(&self.step), short(&self.object));
        let mut bytes = vec![b'F'];
        bytes.extend(errno.to_ne_bytes());
        bytes.extend(step.to_ne_bytes());
        bytes.extend(object.to_ne_bytes());
        bytes.extend(self.step.bytes().take(step.into()));
        bytes.extend(self.object.bytes().take(object.into()));
        bytes.extend(self.sentence.bytes());
        bytes.truncate(LONGEST);
        bytes
    }

    fn from_bytes(bytes: &[u8]) -> Option<Failure> {
        let (errno, rest) = bytes.split_first_chunk()?;
        let (step, rest) = rest.split_first_chunk()?;
        let (object, rest) = rest.split_first_chunk()?;
        let errno = i32::from_ne_bytes(*errno);
        let (step, rest) = rest.split_at_checked(u16::from_ne_bytes(*step).into())?;
        let (object, sentence) = rest.split_at_checked(u16::from_ne_bytes(*object).into())?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Some(Failure {
            sentence: text(sentence),
            errno: (errno != 0).then(|| Errno::from_raw(errno)),
            step: text(step),
            object: text(object),
        })
    }
}

impl Failure {
    /// In runc's words for what fails before the container is created.
    pub(crate) fn during_init(self) -> Failure {
        let sentence = format!("error during container init: {}", self.sentence);
        Failure { sentence, ..self }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.sentence)
    }
}

impl From<&Error> for Failure {
    fn from(error: &Error) -> Self {
        if let Error::Init(failure) = error {
            // It has a face already, and gets its frame where it is shown.
            return failure.clone();
        }
        let Details { step, object, path, errno } = error.details();
        let object = if object.is_empty() { path } else { object };
        Failure { sentence: error.to_string(), errno, step, object }
    }
}

fn unknown() -> Failure {
    let sentence = "container init sent a message of no known kind".to_owned();
    Failure { sentence, errno: Some(Errno::EPROTO), ..Failure::default() }
}

const GO: &[u8] = b"G";
/// Longer than any sentence that a failure is made of: one path of 4,096 bytes, and words.
const LONGEST: usize = 16 * 1024;

impl Channel {
    /// The parent's end and the child's.
    pub(crate) fn pair() -> Result<(Channel, Channel)> {
        let (parent, child) =
            socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC)
                .at("socketpair", "")?;
        Ok((Channel(parent), Channel(child)))
    }

    /// The end that was made elsewhere, such as by accept(2).
    pub(crate) fn from_socket(socket: OwnedFd) -> Channel {
        Channel(socket)
    }

    /// Sends a message.
    pub(crate) fn send(&self, message: &Message) -> Result<()> {
        match message {
            Message::NeedsMaps => self.write(b"M", None),
            Message::NeedsUnit => self.write(b"U", None),
            Message::Init(pid) => {
                let [a, b, c, d] = pid.as_raw().to_ne_bytes();
                self.write(&[b'P', a, b, c, d], None)
            }
            Message::NeedsIdMap(index, tree) => {
                let [a, b, c, d] = index.to_ne_bytes();
                self.write(&[b'I', a, b, c, d], Some(tree.as_fd()))
            }
            Message::NeedsNetDevices => self.write(b"N", None),
            Message::NeedsHooks => self.write(b"H", None),
            Message::Terminal(fd) => self.write(b"T", Some(fd.as_fd())),
            Message::Socket(fd) => self.write(b"S", Some(fd.as_fd())),
            Message::Ready => self.write(b"R", None),
            Message::Step(step) => {
                let bytes: Vec<u8> = b"D".iter().copied().chain(step.bytes()).collect();
                self.write(&bytes[..bytes.len().min(LONGEST)], None)
            }
            Message::Listener(number) => {
                let [a, b, c, d] = number.to_ne_bytes();
                // The one call that no filter notifies.
                write(&self.0, &[b'L', a, b, c, d]).at("write", "")?;
                Ok(())
            }
            Message::Failed(failure) => {
                // Of the calls that a filter may deny or notify this is the last.
                write(&self.0, &failure.to_bytes()).at("write", "")?;
                Ok(())
            }
            Message::Closed | Message::Unheard => Ok(()),
        }
    }

    /// Waits until there is a message, or the process has ended; `false` if it said nothing.
    pub(crate) fn speaks_before(&self, process: &Process) -> Result<bool> {
        let mut polled = [PollFd::new(self.0.as_fd(), PollFlags::POLLIN)];
        loop {
            match process.poll(&mut polled, PollTimeout::NONE) {
                Err(Errno::EINTR) => {}
                other => {
                    other.at("poll", "")?;
                    return Ok(polled[0].any().unwrap_or(false));
                }
            }
        }
    }

    /// Waits for a message. Steps on the way to it are shown.
    pub(crate) fn receive(&self) -> Result<Message> {
        loop {
            match self.receive_any()? {
                Message::Step(step) => debug!("{step}"),
                message => return Ok(message),
            }
        }
    }

    fn receive_any(&self) -> Result<Message> {
        let mut buffer = vec![0; LONGEST];
        let Some((length, fd)) = read_message(self.0.as_fd(), &mut buffer)? else {
            return Ok(Message::Unheard);
        };
        let message = match (buffer.get(..length).unwrap_or_default(), fd) {
            ([], _) => Message::Closed,
            (b"M", _) => Message::NeedsMaps,
            (b"U", _) => Message::NeedsUnit,
            ([b'P', a, b, c, d], _) => {
                Message::Init(Pid::from_raw(i32::from_ne_bytes([*a, *b, *c, *d])))
            }
            ([b'I', a, b, c, d], Some(tree)) => {
                Message::NeedsIdMap(u32::from_ne_bytes([*a, *b, *c, *d]), tree)
            }
            (b"N", _) => Message::NeedsNetDevices,
            (b"H", _) => Message::NeedsHooks,
            (b"T", Some(fd)) => Message::Terminal(fd),
            (b"S", Some(fd)) => Message::Socket(fd),
            (b"R", _) => Message::Ready,
            ([b'D', step @ ..], _) => Message::Step(String::from_utf8_lossy(step).into_owned()),
            ([b'L', a, b, c, d], _) => Message::Listener(i32::from_ne_bytes([*a, *b, *c, *d])),
            ([b'F', failure @ ..], _) => {
                Message::Failed(Failure::from_bytes(failure).unwrap_or_else(unknown))
            }
            _ => Message::Failed(unknown()),
        };
        Ok(message)
    }

    /// Lets the child go on.
    pub(crate) fn go(&self) -> Result<()> {
        self.write(GO, None)
    }

    /// Waits until the parent lets this process go on; `false` when the parent is gone.
    pub(crate) fn wait_for_go(&self) -> Result<bool> {
        let mut buffer = [0; 1];
        loop {
            match read(&self.0, &mut buffer) {
                Err(Errno::EINTR) => {}
                // The other end was closed with our words unread: it is gone all the same.
                Err(Errno::ECONNRESET) => return Ok(false),
                other => return Ok(other.at("read", "")? == 1),
            }
        }
    }

    fn write(&self, bytes: &[u8], fd: Option<BorrowedFd<'_>>) -> Result<()> {
        let fds: Vec<RawFd> = fd.iter().map(AsRawFd::as_raw_fd).collect();
        let control = [ControlMessage::ScmRights(&fds)];
        let control = if fds.is_empty() { &control[..0] } else { &control[..] };
        let bytes = [IoSlice::new(bytes)];
        // A peer that is gone is an error here, never a signal.
        let flags = MsgFlags::MSG_NOSIGNAL;
        loop {
            match sendmsg::<()>(self.0.as_raw_fd(), &bytes, control, flags, None) {
                Err(Errno::EINTR) => {}
                other => return Ok(other.at("sendmsg", "").map(drop)?),
            }
        }
    }
}

impl AsFd for Channel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Reads one message and the descriptor that came with it; nothing once the other end is closed.
pub(crate) fn read_with_fd(
    socket: BorrowedFd<'_>,
    buffer: &mut [u8],
) -> Result<(usize, Option<OwnedFd>)> {
    Ok(read_message(socket, buffer)?.unwrap_or_default())
}

/// The same; `None` if the other end was closed with our words unread.
fn read_message(
    socket: BorrowedFd<'_>,
    buffer: &mut [u8],
) -> Result<Option<(usize, Option<OwnedFd>)>> {
    let mut space = nix::cmsg_space!(RawFd);
    let mut parts = [IoSliceMut::new(buffer)];
    let received = loop {
        let flags = MsgFlags::MSG_CMSG_CLOEXEC;
        match recvmsg::<()>(socket.as_raw_fd(), &mut parts, Some(&mut space), flags) {
            Err(Errno::EINTR) => {}
            Err(Errno::ECONNRESET) => return Ok(None),
            other => break other.at("recvmsg", "")?,
        }
    };
    let mut fd = None;
    for message in received.cmsgs().at("recvmsg", "")? {
        let ControlMessageOwned::ScmRights(fds) = message else { continue };
        if let Some(first) = fds.first() {
            fd = Some(sys::take_inherited(*first)?);
        }
    }
    Ok(Some((received.bytes, fd)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_crosses_whole() {
        let failure = Failure {
            sentence: "mounts[3] /data: open_tree \"/srv\": no such file or directory".to_owned(),
            errno: Some(Errno::ENOENT),
            step: "mounts[3] /data".to_owned(),
            object: "/srv".to_owned(),
        };
        let bytes = failure.to_bytes();
        assert_eq!(Failure::from_bytes(&bytes[1..]), Some(failure.clone()));
        let long = Failure { sentence: "x".repeat(2 * LONGEST), ..failure };
        assert_eq!(long.to_bytes().len(), LONGEST);
        assert!(Failure::from_bytes(&long.to_bytes()[1..]).is_some());
        for length in 0..12 {
            assert!(Failure::from_bytes(&bytes[1..1 + length]).is_none(), "{length}");
        }
    }
}
