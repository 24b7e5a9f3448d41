//! A systemd that is not there, answers nothing, or leaves in the middle of a word.

use std::any::Any;
use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use serde_json::json;

use crate::Result;
use crate::census::{self, Census};
use crate::room::{Room, patiently};

use super::{Case, More, Points, clients};

pub(super) const CASES: &[Case] =
    &[Case { name: "systemd", sweep: each }, Case { name: "bus", sweep: each_on_a_bus }];

/// Where one listens: a directory, and a socket in it.
#[derive(Clone, Copy)]
struct Way {
    place: &'static str,
    socket: &'static str,
    /// What is said there until systemd is known.
    greeting: fn() -> Vec<u8>,
    /// The number of the call that asks for the unit.
    start: u32,
}

/// Root's systemd itself.
const PRIVATE: Way =
    Way { place: "/run/systemd", socket: "/run/systemd/private", greeting, start: 3 };
/// The bus, to which root goes where there is no such socket: after three calls to join it.
const BUS: Way = Way {
    place: "/run/dbus",
    socket: "/run/dbus/system_bus_socket",
    greeting: greeting_on_a_bus,
    start: 6,
};
const CREATE: &str = "--systemd-cgroup create --bundle @plain ID";
/// Longer than the runtime waits for an answer, which is as long as runc does.
const PATIENCE: Duration = Duration::from_secs(40);

/// A systemd that says so many bytes of what one would say.
#[derive(Clone, Copy)]
enum Systemd {
    /// There is none.
    Absent,
    /// It takes no connection: too many wait for that.
    IsFull,
    /// And closes.
    Leaves(usize),
    /// And says no more.
    Falls(usize),
    /// And then what is no message; or messages without end, of which none is an answer.
    Babbles(usize),
    Chatters(usize),
}

fn each(points: &mut Points<'_>) -> Result<()> {
    let (greeting, all) = (greeting().len(), greeting().len() + started(PRIVATE.start).len());
    points.at("absent", |room| at(room, PRIVATE, Systemd::Absent));
    points.at("is-full", |room| at(room, PRIVATE, Systemd::IsFull));
    for bytes in 0..=all {
        points.at(&format!("leaves {bytes}"), |room| at(room, PRIVATE, Systemd::Leaves(bytes)));
    }
    for bytes in [0, greeting] {
        points.at(&format!("is-silent {bytes}"), |room| at(room, PRIVATE, Systemd::Falls(bytes)));
    }
    Ok(())
}

/// There is no systemd beside the bus: on that it stands dead, leaves, or says what makes no sense.
fn each_on_a_bus(points: &mut Points<'_>) -> Result<()> {
    const WELCOME: usize = 43;
    let (joined, greeting) = (WELCOME + joined().len(), greeting_on_a_bus().len());
    let all = greeting + started(BUS.start).len();
    for bytes in (0..all).step_by(7).chain([WELCOME, joined, greeting, all]) {
        points.at(&format!("leaves {bytes}"), |room| at(room, BUS, Systemd::Leaves(bytes)));
    }
    for bytes in [0, WELCOME, joined, greeting] {
        points.at(&format!("babbles {bytes}"), |room| at(room, BUS, Systemd::Babbles(bytes)));
    }
    for bytes in [0, WELCOME, joined, greeting] {
        points.at(&format!("is-silent {bytes}"), |room| at(room, BUS, Systemd::Falls(bytes)));
    }
    points.at("is-full", |room| at(room, BUS, Systemd::IsFull));
    points.at("chatters", |room| at(room, BUS, Systemd::Chatters(greeting)));
    Ok(())
}

fn at(room: &Room, way: Way, systemd: Systemd) -> Result<More> {
    let place = Place::make(PRIVATE.place)?;
    let bus = Place::make(BUS.place)?;
    room.change_bundles(|config| {
        config["linux"]["cgroupsPath"] = json!(format!("{}.slice:tare:c", room.cgroup));
    })?;
    let before = Census::take(room);
    let fake = systemd.start(way)?;
    let mut command = room.spawn(CREATE, "first")?;
    let _ = patiently(PATIENCE, || match command.try_wait() {
        Ok(None) => Err(String::new()),
        _ => Ok(()),
    });
    let output = room.wait(&mut command, "first")?;
    let after = || {
        let succeeded = output.succeeded()?;
        if !succeeded {
            before.is_back(room)?;
            if !output.stderr.contains("systemd") {
                return Err("does not name systemd".to_owned());
            }
        }
        // Who can't be told that the unit is gone is warned of, and no more.
        room.call("delete --force ID")?.ok("delete --force")?;
        before.is_back(room)
    };
    let held = after().map_err(|why| format!("{why} ({output:?})"));
    room.change_bundles(|_| ())?;
    drop((fake, place, bus));
    held.map(|()| More::Yes)
}

/// The directory, empty, and this program's own.
struct Place {
    path: &'static str,
    is_new: bool,
}

impl Place {
    fn make(path: &'static str) -> Result<Place> {
        let is_new = !Path::new(path).exists();
        let (source, kind, none) = (Some(census::OWN_MOUNT), Some("tmpfs"), None::<&str>);
        fs::create_dir_all(path)
            .and_then(|()| Ok(mount(source, path, kind, MsFlags::empty(), none)?))
            .map_err(|error| format!("{path}: {error}"))?;
        Ok(Place { path, is_new })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = umount2(self.path, MntFlags::MNT_DETACH);
        if self.is_new {
            let _ = fs::remove_dir(self.path);
        }
    }
}

impl Systemd {
    /// What it gives is there until that is dropped.
    fn start(self, way: Way) -> Result<Box<dyn Any>> {
        let bytes = match self {
            Systemd::Absent => return Ok(Box::new(())),
            Systemd::IsFull => return Ok(Box::new(clients::crowded(way.socket.into())?)),
            Systemd::Leaves(bytes) | Systemd::Falls(bytes) => bytes,
            Systemd::Babbles(bytes) | Systemd::Chatters(bytes) => bytes,
        };
        let listener = UnixListener::bind(way.socket);
        let listener = listener.map_err(|error| format!("{}: {error}", way.socket))?;
        let ends = Arc::new(AtomicBool::new(false));
        let ended = Arc::clone(&ends);
        let thread = std::thread::spawn(move || {
            while let Ok((mut stream, _)) = listener.accept() {
                if ended.load(Ordering::Relaxed) {
                    break;
                }
                let all = [(way.greeting)(), started(way.start)].concat();
                let _ = stream.write_all(all.get(..bytes).unwrap_or(&all));
                self.go_on(&mut stream);
            }
        });
        Ok(Box::new(Fake { socket: way.socket, ends, thread: Some(thread) }))
    }

    /// Until the other end has had enough.
    fn go_on(self, stream: &mut UnixStream) {
        match self {
            Systemd::Absent | Systemd::IsFull | Systemd::Leaves(_) => return,
            Systemd::Falls(_) => {}
            Systemd::Babbles(_) => {
                let _ = stream.write_all(&[b'?'; 8192]);
            }
            Systemd::Chatters(_) => {
                let word = message(4, 0, &[(3, "s", "Chat")], "s", &variant("")[3..]);
                while stream.write_all(&word).is_ok() {
                    std::thread::sleep(Duration::from_millis(100));
                }
            }
        }
        let _ = stream.read_to_end(&mut Vec::new());
    }
}

/// A systemd being played.
struct Fake {
    socket: &'static str,
    ends: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Relaxed);
        // A last visitor, for whom it wakes up.
        let _ = UnixStream::connect(self.socket);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// What a systemd says until it is known: its word of welcome, its version, its control group.
fn greeting() -> Vec<u8> {
    let welcome = b"DATA\r\nOK 0123456789abcdef0123456789abcdef\r\n".to_vec();
    [welcome, answer(1, "v", &variant("252")), answer(2, "v", &variant(""))].concat()
}

/// The same on a bus: its welcome, its answers to who joins it, and systemd's.
fn greeting_on_a_bus() -> Vec<u8> {
    let welcome = b"DATA\r\nOK 0123456789abcdef0123456789abcdef\r\n".to_vec();
    [welcome, joined(), answer(4, "v", &variant("252")), answer(5, "v", &variant(""))].concat()
}

fn joined() -> Vec<u8> {
    let mut name = Vec::new();
    text(&mut name, ":1.7");
    [answer(1, "s", &name), answer(2, "", &[]), answer(3, "", &[])].concat()
}

/// That a unit is being started, which call `number` asked for, and that it was.
fn started(number: u32) -> Vec<u8> {
    let job = "/org/freedesktop/systemd1/job/1";
    let mut body = 1_u32.to_le_bytes().to_vec();
    for word in [job, "tare-c.scope", "done"] {
        text(&mut body, word);
    }
    let mut path = Vec::new();
    text(&mut path, job);
    let removed = [
        (1, "o", "/org/freedesktop/systemd1"),
        (2, "s", "org.freedesktop.systemd1.Manager"),
        (3, "s", "JobRemoved"),
    ];
    [answer(number, "o", &path), message(4, 0, &removed, "uoss", &body)].concat()
}

fn answer(serial: u32, signature: &str, body: &[u8]) -> Vec<u8> {
    message(2, serial, &[], signature, body)
}

/// A message (D-Bus specification, "Message Protocol"), an answer or a signal.
fn message(
    kind: u8,
    answers: u32,
    fields: &[(u8, &str, &str)],
    signature: &str,
    body: &[u8],
) -> Vec<u8> {
    let mut header = Vec::new();
    for (number, kind, value) in fields {
        align(&mut header, 8);
        header.extend([*number, 1, kind.as_bytes().first().copied().unwrap_or_default(), 0]);
        text(&mut header, value);
    }
    if answers > 0 {
        align(&mut header, 8);
        header.extend([5, 1, b'u', 0]);
        header.extend(answers.to_le_bytes());
    }
    align(&mut header, 8);
    header.extend([8, 1, b'g', 0, signature.len() as u8]);
    header.extend(signature.as_bytes());
    header.push(0);
    let mut all = vec![b'l', kind, 1, 1];
    for number in [body.len() as u32, 1, header.len() as u32] {
        all.extend(number.to_le_bytes());
    }
    all.extend(header);
    align(&mut all, 8);
    all.extend(body);
    all
}

fn variant(value: &str) -> Vec<u8> {
    let mut all = vec![1, b's', 0];
    text(&mut all, value);
    all
}

fn text(to: &mut Vec<u8>, value: &str) {
    align(to, 4);
    to.extend((value.len() as u32).to_le_bytes());
    to.extend(value.as_bytes());
    to.push(0);
}

fn align(to: &mut Vec<u8>, boundary: usize) {
    to.resize(to.len().next_multiple_of(boundary), 0);
}
