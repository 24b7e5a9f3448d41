//! Log lines for the machine's log daemons: systemd's journal, and syslog.
//!
//! One datagram a line, by the daemons' own protocols (systemd's JOURNAL_NATIVE_PROTOCOL, RFC 3164).

use std::os::unix::net::UnixDatagram;

const JOURNAL: &str = "/run/systemd/journal/socket";
const SYSLOG: &str = "/dev/log";
/// syslog(3)'s LOG_USER: a facility is eight priorities wide.
const USER: u8 = 1 << 3;

/// A daemon, and the name that lines go under.
#[derive(Debug)]
pub(crate) struct Daemon {
    kind: Kind,
    name: String,
    socket: UnixDatagram,
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Journal,
    Syslog,
}

impl Daemon {
    /// The daemon that a log destination names (`journald:NAME`, `syslog:NAME`): `None` if it is
    /// none of them, the socket with the reason if nobody listens to it.
    pub(crate) fn open(
        destination: &str,
    ) -> Option<Result<Daemon, (&'static str, std::io::Error)>> {
        let (kind, path, name) = match destination.split_once(':')? {
            ("journald", name) => (Kind::Journal, JOURNAL, name),
            ("syslog", name) => (Kind::Syslog, SYSLOG, name),
            _ => return None,
        };
        let name = if name.is_empty() { "tare" } else { name }.to_owned();
        let open = || {
            let socket = UnixDatagram::unbound()?;
            socket.connect(path)?;
            Ok(Daemon { kind, name, socket })
        };
        Some(open().map_err(|error| (path, error)))
    }

    /// Sends a line. `priority` is syslog(3)'s: 3 is an error, 4 a warning.
    pub(crate) fn send(&self, priority: u8, sentence: &str) -> std::io::Result<()> {
        let datagram = match self.kind {
            Kind::Journal => journal_entry(&self.name, priority, sentence),
            Kind::Syslog => {
                let (name, pid) = (&self.name, std::process::id());
                format!("<{}>{name}[{pid}]: {sentence}", USER | priority).into_bytes()
            }
        };
        self.socket.send(&datagram).map(drop)
    }
}

/// Fields with their lengths: no sentence can add a field of its own.
fn journal_entry(name: &str, priority: u8, sentence: &str) -> Vec<u8> {
    let mut entry = format!("PRIORITY={priority}\n").into_bytes();
    for (field, value) in [("SYSLOG_IDENTIFIER", name), ("MESSAGE", sentence)] {
        entry.extend_from_slice(field.as_bytes());
        entry.push(b'\n');
        entry.extend_from_slice(&(value.len() as u64).to_le_bytes());
        entry.extend_from_slice(value.as_bytes());
        entry.push(b'\n');
    }
    entry
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_break_makes_no_field() {
        let entry = journal_entry("x", 3, "a\nUNIT=b");
        let expected = b"PRIORITY=3\nSYSLOG_IDENTIFIER\n\x01\0\0\0\0\0\0\0x\n\
                         MESSAGE\n\x08\0\0\0\0\0\0\0a\nUNIT=b\n";
        assert_eq!(entry, expected);
    }

    #[test]
    fn a_path_is_no_daemon() {
        for path in ["/var/log/tare", "file:/l", "journald", "C:x"] {
            assert!(Daemon::open(path).is_none(), "{path}");
        }
    }
}
