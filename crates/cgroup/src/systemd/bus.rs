//! A connection to systemd: its private socket, or a bus (dbus-specification, "Authentication").

use std::io::{ErrorKind, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, socket};

use super::wire::{Call, Malformed, Message, Writer};

/// How long an answer may take: as long as runc waits for a job.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// How much longer, or shorter, a read may be waited for.
const SLACK: Duration = Duration::from_millis(500);

/// More than any line of the authentication has.
const LONGEST_LINE: usize = 4096;

/// Where to connect to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Address {
    /// A socket of systemd's own: no bus is between.
    Private(String),
    /// A bus: as D-Bus has it, `unix:path=/run/dbus/system_bus_socket`, several with `;` between.
    Bus(String),
}

/// Why there is no answer, or a bad one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// The connection can't be made, or breaks.
    Broken(String),
    /// Systemd, or the bus, says no.
    Refused {
        /// The error's name, such as `org.freedesktop.systemd1.UnitExists`.
        name: String,
        /// Its sentence.
        sentence: String,
    },
}

impl From<std::io::Error> for Trouble {
    fn from(error: std::io::Error) -> Self {
        match error.kind() {
            ErrorKind::WouldBlock => Trouble::Broken("no answer in time".to_owned()),
            _ => Trouble::Broken(match error.raw_os_error().map(Errno::from_raw) {
                Some(errno) => errno.desc().to_lowercase(),
                None => error.to_string(),
            }),
        }
    }
}

impl From<Malformed> for Trouble {
    fn from(_: Malformed) -> Self {
        Trouble::Broken("an answer that is no D-Bus message".to_owned())
    }
}

/// A connection. Calls are sent at once and answered later; meanwhile signals are kept.
#[derive(Debug)]
pub(crate) struct Bus {
    stream: UnixStream,
    /// How long a read waits, once that is set.
    timeout: Option<Duration>,
    received: Vec<u8>,
    /// Calls that go with the next one.
    queued: Vec<u8>,
    serial: u32,
    answers: Vec<Message>,
    /// The jobs that have ended, and how.
    ended: Vec<(String, String)>,
}

impl Bus {
    /// Connects, and hears from now on of jobs that end.
    pub(crate) fn connect(address: &Address) -> Result<Bus, Trouble> {
        let stream = match address {
            Address::Private(path) => connect(UnixAddr::new(path.as_str()))?,
            Address::Bus(address) => connect_to_bus(address)?,
        };
        let (received, answers, ended) = (Vec::new(), Vec::new(), Vec::new());
        let (timeout, queued) = (None, Vec::new());
        let mut bus = Bus { stream, timeout, received, queued, serial: 0, answers, ended };
        bus.authenticate()?;
        if matches!(address, Address::Bus(_)) {
            bus.join()?;
        }
        Ok(bus)
    }

    /// Says nothing of who calls: the other end asks the kernel. A number would be wrong in a user
    /// namespace, where this process doesn't know its user's.
    fn authenticate(&mut self) -> Result<(), Trouble> {
        self.stream.write_all(b"\0AUTH EXTERNAL\r\nDATA\r\nBEGIN\r\n")?;
        let deadline = Instant::now() + PATIENCE;
        loop {
            let end = self.received.windows(2).position(|two| two == b"\r\n");
            let Some(end) = end else {
                if self.received.len() > LONGEST_LINE {
                    return Err(Malformed.into());
                }
                self.receive(deadline)?;
                continue;
            };
            let line: Vec<u8> = self.received.drain(..end + 2).collect();
            match &line[..] {
                [b'O', b'K', b' ', ..] => return Ok(()),
                // It asks who this is; the answer, none, is on its way.
                [b'D', b'A', b'T', b'A', ..] => {}
                _ => return Err(Trouble::Broken("the authentication was rejected".to_owned())),
            }
        }
    }

    /// A bus wants to be greeted, and to be told what one wants to hear. Systemd speaks of jobs on a
    /// bus only to who subscribed.
    fn join(&mut self) -> Result<(), Trouble> {
        let on_bus = |member, signature, body| Call {
            destination: "org.freedesktop.DBus",
            path: "/org/freedesktop/DBus",
            interface: "org.freedesktop.DBus",
            member,
            signature,
            body,
        };
        let mut rule = Writer::default();
        rule.text(
            "type='signal',sender='org.freedesktop.systemd1',path='/org/freedesktop/systemd1',\
             interface='org.freedesktop.systemd1.Manager',member='JobRemoved'",
        );
        let calls = [
            self.queue(&on_bus("Hello", "", Writer::default())),
            self.queue(&on_bus("AddMatch", "s", rule)),
            self.send(&to_manager("Subscribe", "", Writer::default()))?,
        ];
        for serial in calls {
            self.answer(serial)?;
        }
        Ok(())
    }

    /// Has a call go with the next one that is sent; its number.
    pub(crate) fn queue(&mut self, call: &Call<'_>) -> u32 {
        self.serial += 1;
        self.queued.extend(call.to_bytes(self.serial));
        self.serial
    }

    /// Sends a call, and those that were queued before it; its number.
    pub(crate) fn send(&mut self, call: &Call<'_>) -> Result<u32, Trouble> {
        let serial = self.queue(call);
        self.stream.write_all(&std::mem::take(&mut self.queued))?;
        Ok(serial)
    }

    /// Waits for the answer to a call.
    pub(crate) fn answer(&mut self, serial: u32) -> Result<Message, Trouble> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(at) = self.answers.iter().position(|answer| answer.answers == serial) {
                let answer = self.answers.swap_remove(at);
                if answer.kind == 2 {
                    return Ok(answer);
                }
                let sentence = answer.reader().text().unwrap_or_default().to_owned();
                return Err(Trouble::Refused { name: answer.error, sentence });
            }
            self.next_message(deadline)?;
        }
    }

    /// Waits for a job's end, and says how it ended: `done`, `failed`, `timeout`, ...; `None` if it
    /// doesn't end in time.
    pub(crate) fn job_result(&mut self, job: &str) -> Result<Option<String>, Trouble> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(at) = self.ended.iter().position(|(ended, _)| ended == job) {
                return Ok(Some(self.ended.swap_remove(at).1));
            }
            if Instant::now() >= deadline {
                return Ok(None);
            }
            match self.next_message(deadline) {
                Err(_) if Instant::now() >= deadline => return Ok(None),
                other => other?,
            }
        }
    }

    /// Takes in one message.
    fn next_message(&mut self, deadline: Instant) -> Result<(), Trouble> {
        let message = loop {
            if let Some((message, length)) = Message::parse(&self.received)? {
                self.received.drain(..length);
                break message;
            }
            self.receive(deadline)?;
        };
        match message.kind {
            2 | 3 => self.answers.push(message),
            4 if message.member == "JobRemoved" => {
                // Number, job, unit, result.
                let mut values = message.reader();
                if let (Some(_), Some(job), Some(_), Some(result)) =
                    (values.u32(), values.text(), values.text(), values.text())
                {
                    self.ended.push((job.to_owned(), result.to_owned()));
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn receive(&mut self, deadline: Instant) -> Result<(), Trouble> {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            // Also of one who speaks on and on, and gives no answer.
            return Err(Trouble::Broken("no answer in time".to_owned()));
        }
        // Not anew for each of the messages that mostly come at once.
        if self.timeout.is_none_or(|timeout| timeout > left + SLACK || timeout + SLACK < left) {
            // No time at all would mean forever.
            let timeout = left.max(Duration::from_millis(1));
            self.stream.set_read_timeout(Some(timeout))?;
            self.timeout = Some(timeout);
        }
        let mut chunk = [0; 16 << 10];
        match self.stream.read(&mut chunk) {
            Ok(0) => Err(Trouble::Broken("the connection was closed".to_owned())),
            Ok(length) => {
                self.received.extend(&chunk[..length]);
                Ok(())
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

/// A call of systemd's manager.
pub(crate) fn to_manager<'a>(member: &'a str, signature: &'a str, body: Writer) -> Call<'a> {
    to_object(MANAGER, "org.freedesktop.systemd1.Manager", member, signature, body)
}

/// The object that is systemd itself.
pub(crate) const MANAGER: &str = "/org/freedesktop/systemd1";

/// A call of an object of systemd's.
pub(crate) fn to_object<'a>(
    path: &'a str,
    interface: &'a str,
    member: &'a str,
    signature: &'a str,
    body: Writer,
) -> Call<'a> {
    Call { destination: "org.freedesktop.systemd1", path, interface, member, signature, body }
}

/// The question for a property of an object of systemd's.
pub(crate) fn get<'a>(path: &'a str, interface: &str, property: &str) -> Call<'a> {
    let mut body = Writer::default();
    body.text(interface);
    body.text(property);
    to_object(path, "org.freedesktop.DBus.Properties", "Get", "ss", body)
}

/// Connects; one who takes no connection, or nothing that is sent, is waited for as for an answer.
fn connect(address: nix::Result<UnixAddr>) -> std::io::Result<UnixStream> {
    let flags = SockFlag::SOCK_CLOEXEC;
    let stream = UnixStream::from(socket(AddressFamily::Unix, SockType::Stream, flags, None)?);
    stream.set_write_timeout(Some(PATIENCE))?;
    let address = address?;
    while let Err(errno) = nix::sys::socket::connect(stream.as_raw_fd(), &address) {
        if errno != Errno::EINTR {
            return Err(errno.into());
        }
    }
    Ok(stream)
}

/// Connects to the first address of a list that can be reached.
fn connect_to_bus(addresses: &str) -> Result<UnixStream, Trouble> {
    let mut trouble = Trouble::Broken(format!("no socket in the address {addresses:?}"));
    for address in addresses.split(';').filter_map(|address| address.strip_prefix("unix:")) {
        for (key, value) in address.split(',').filter_map(|pair| pair.split_once('=')) {
            let value = unescape(value);
            let address = match key {
                "path" => UnixAddr::new(value.as_str()),
                "abstract" => UnixAddr::new_abstract(value.as_bytes()),
                _ => continue,
            };
            match connect(address) {
                Ok(stream) => return Ok(stream),
                Err(error) => trouble = error.into(),
            }
        }
    }
    Err(trouble)
}

/// `%20` is a space (dbus-specification, "Server Addresses").
fn unescape(value: &str) -> String {
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value;
    while let Some((before, after)) = rest.split_once('%') {
        bytes.extend(before.bytes());
        match after.get(..2).and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            None => {
                bytes.push(b'%');
                rest = after;
            }
        }
    }
    bytes.extend(rest.bytes());
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::net::{SocketAddr, UnixListener};

    use super::*;

    #[test]
    fn addresses() {
        assert_eq!(unescape("/run/a%20b%2fc%"), "/run/a b/c%");
        for address in ["", "tcp:host=localhost", "unix:guid=1", "unix:path=/nowhere/at/all"] {
            assert!(connect_to_bus(address).is_err(), "{address}");
        }
        let name = format!("tare test {}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let _listener = UnixListener::bind_addr(&address).unwrap();
        let list = format!("tcp:port=1;unix:abstract={}", name.replace(' ', "%20"));
        assert!(connect_to_bus(&list).is_ok(), "{list}");
    }
}
