//! A systemd that is not there, answers nothing, or leaves in the middle of a word.

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

use super::{Case, More, Points};

pub(super) const CASES: &[Case] = &[Case { name: "systemd", sweep: each }];

/// Where root's systemd listens.
const PLACE: &str = "/run/systemd";
const SOCKET: &str = "/run/systemd/private";
const CREATE: &str = "--systemd-cgroup create --bundle @plain ID";
/// Longer than the runtime waits for an answer, which is as long as runc does.
const PATIENCE: Duration = Duration::from_secs(40);

/// A systemd that says so many bytes of what one would say.
#[derive(Clone, Copy)]
enum Systemd {
    /// There is none.
    Absent,
    /// And closes.
    Leaves(usize),
    /// And says no more.
    Falls(usize),
}

fn each(points: &mut Points<'_>) -> Result<()> {
    let (greeting, all) = (greeting().len(), greeting().len() + started().len());
    points.at("absent", |room| at(room, Systemd::Absent));
    for bytes in 0..=all {
        points.at(&format!("leaves {bytes}"), |room| at(room, Systemd::Leaves(bytes)));
    }
    for bytes in [0, greeting] {
        points.at(&format!("is-silent {bytes}"), |room| at(room, Systemd::Falls(bytes)));
    }
    Ok(())
}

fn at(room: &Room, systemd: Systemd) -> Result<More> {
    let place = Place::make()?;
    room.change_bundles(|config| {
        config["linux"]["cgroupsPath"] = json!(format!("{}.slice:tare:c", room.cgroup));
    })?;
    let before = Census::take(room);
    let fake = systemd.start()?;
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
    drop((fake, place));
    held.map(|()| More::Yes)
}

/// The directory, empty, and this program's own.
struct Place {
    is_new: bool,
}

impl Place {
    fn make() -> Result<Place> {
        let is_new = !Path::new(PLACE).exists();
        let (source, kind, none) = (Some(census::OWN_MOUNT), Some("tmpfs"), None::<&str>);
        fs::create_dir_all(PLACE)
            .and_then(|()| Ok(mount(source, PLACE, kind, MsFlags::empty(), none)?))
            .map_err(|error| format!("{PLACE}: {error}"))?;
        Ok(Place { is_new })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = umount2(PLACE, MntFlags::MNT_DETACH);
        if self.is_new {
            let _ = fs::remove_dir(PLACE);
        }
    }
}

impl Systemd {
    fn start(self) -> Result<Option<Fake>> {
        let (bytes, leaves) = match self {
            Systemd::Absent => return Ok(None),
            Systemd::Leaves(bytes) => (bytes, true),
            Systemd::Falls(bytes) => (bytes, false),
        };
        let listener = UnixListener::bind(SOCKET).map_err(|error| format!("{SOCKET}: {error}"))?;
        let ends = Arc::new(AtomicBool::new(false));
        let ended = Arc::clone(&ends);
        let thread = std::thread::spawn(move || {
            while let Ok((mut stream, _)) = listener.accept() {
                if ended.load(Ordering::Relaxed) {
                    break;
                }
                let all = [greeting(), started()].concat();
                let _ = stream.write_all(all.get(..bytes).unwrap_or(&all));
                if !leaves {
                    // Until the other end has had enough.
                    let _ = stream.read_to_end(&mut Vec::new());
                }
            }
        });
        Ok(Some(Fake { ends, thread: Some(thread) }))
    }
}

/// A systemd being played.
struct Fake {
    ends: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Relaxed);
        // A last visitor, for whom it wakes up.
        let _ = UnixStream::connect(SOCKET);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// What a systemd says until it is known: its word of welcome, its version, its control group.
fn greeting() -> Vec<u8> {
    let welcome = b"DATA\r\nOK 0123456789abcdef0123456789abcdef\r\n".to_vec();
    [welcome, answer(1, "v", &variant("252")), answer(2, "v", &variant(""))].concat()
}

/// That a unit is being started, and that it was.
fn started() -> Vec<u8> {
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
    [answer(3, "o", &path), message(4, 0, &removed, "uoss", &body)].concat()
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
