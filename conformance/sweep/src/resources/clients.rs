//! Clients that disappear, or stand still: those who read what is printed, and those who are sent something.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::process::Stdio;

use nix::fcntl::OFlag;
use nix::sys::signal::{Signal, kill as signal};
use nix::sys::stat::Mode;
use nix::unistd::{Pid, mkfifo, pipe};
use serde_json::json;

use crate::Result;
use crate::census::Census;
use crate::kill;
use crate::room::Room;
use crate::tracer::Ended;
use crate::truth;

use super::{Case, More, Points};

pub(super) const CASES: &[Case] = &[
    Case { name: "output", sweep: outputs },
    Case { name: "log", sweep: logs },
    Case { name: "receiver", sweep: receivers },
    Case { name: "visitors", sweep: visitors },
];

const CREATE: &str = "create --bundle @plain ID";
const RUN: &str = "run --detach --bundle @plain ID";

/// Where what is written goes, and does not come to anybody.
type Reader = fn() -> Result<Stdio>;

const READERS: &[(&str, Reader)] = &[("full", full), ("gone", gone)];

pub(super) fn full() -> Result<Stdio> {
    let file = OpenOptions::new().write(true).open("/dev/full");
    file.map(Stdio::from).map_err(|error| format!("/dev/full: {error}"))
}

fn gone() -> Result<Stdio> {
    pipe().map(|(_, writer)| Stdio::from(writer)).map_err(|error| format!("pipe: {error}"))
}

/// What prints says that it could not; and what can't even say that ends by itself, and not by a signal.
fn outputs(points: &mut Points<'_>) -> Result<()> {
    const PRINTING: &[&str] = &[
        "state ID",
        "list",
        "list --quiet",
        "list --format json",
        "ps ID",
        "ps --format json ID",
        "events --stats ID",
        "features",
        "exec --help",
        "check @plain",
        "plan @plain",
    ];
    for (reader, stream) in READERS {
        for line in PRINTING {
            points.at(&format!("{reader} {}", line.replace(' ', "_")), |room| {
                on_a_container(room, |room| {
                    let output = room.call_into(line, stream()?, None)?;
                    match output.succeeded()? {
                        // What is help to people fails for nobody.
                        succeeded if succeeded == line.contains("--help") => Ok(()),
                        _ => Err(format!("{:?}, {:?}", output.ended, output.stderr)),
                    }
                })
            });
        }
        for line in ["state other", "create --bundle @out ID", "exec ID /no/such"] {
            points.at(&format!("{reader} {}", line.replace(' ', "_")), |room| {
                on_a_container(room, |room| {
                    let output = room.call_into(line, Stdio::null(), Some(stream()?))?;
                    match output.ended {
                        Ended::Exited(status) if status > 0 => Ok(()),
                        ended => Err(format!("{ended:?}")),
                    }
                })
            });
        }
    }
    Ok(())
}

fn on_a_container(room: &Room, story: impl FnOnce(&Room) -> Result<()>) -> Result<More> {
    let before = Census::take(room);
    room.call(RUN)?.ok(RUN)?;
    story(room)?;
    truth::status(room)?;
    kill::gone(room, &before).map(|()| More::Yes)
}

/// A log that can't be written to hinders nothing; one that can't be opened is said.
fn logs(points: &mut Points<'_>) -> Result<()> {
    points.at("full", |room| with_log(room, "--log /dev/full", true));
    points.at("fifo", |room| with_log(room, "--log @fifo", false));
    points.at("fifo-read-no-more", |room| {
        let reader = OpenOptions::new()
            .read(true)
            .custom_flags(OFlag::O_NONBLOCK.bits())
            .open(made_fifo(room)?)
            .map_err(|error| format!("fifo: {error}"))?;
        let kept = with_log(room, "--debug --log @fifo", true);
        drop(reader);
        kept
    });
    points.at("fifo-full", |room| {
        let mut both = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(OFlag::O_NONBLOCK.bits())
            .open(made_fifo(room)?)
            .map_err(|error| format!("fifo: {error}"))?;
        while both.write(&[0; 4096]).is_ok() {}
        with_log(room, "--debug --log @fifo", true)
    });
    Ok(())
}

fn made_fifo(room: &Room) -> Result<PathBuf> {
    let path = room.path("fifo");
    let _ = std::fs::remove_file(&path);
    mkfifo(&path, Mode::S_IRUSR | Mode::S_IWUSR).map_err(|error| format!("fifo: {error}"))?;
    Ok(path)
}

fn with_log(room: &Room, log: &str, succeeds: bool) -> Result<More> {
    if log.ends_with("@fifo") && !room.path("fifo").exists() {
        made_fifo(room)?;
    }
    let before = Census::take(room);
    let created = room.call(&format!("{log} {CREATE}"));
    let failed = room.call(&format!("{log} start other"));
    let _ = std::fs::remove_file(room.path("fifo"));
    let (created, failed) = (created?, failed?);
    if created.succeeded()? != succeeds || failed.succeeded()? {
        return Err(format!("{created:?}, {failed:?}"));
    }
    truth::status(room)?;
    kill::gone(room, &before).map(|()| More::Yes)
}

/// Makes a socket to which a descriptor is sent, and nobody who takes it.
type Sink = fn(PathBuf) -> Result<Behind>;

const SOCKETS: &[(&str, Sink)] = &[
    ("absent", |_| Ok(Vec::new())),
    ("closes", |path| {
        let listener = listener(path)?;
        std::thread::spawn(move || listener.accept().map(drop));
        Ok(Vec::new())
    }),
    ("never-accepts", |path| Ok(vec![listener(path)?.into()])),
    ("full", crowded),
];

/// What must stay for as long as the command runs: a socket, and connections to it.
type Behind = Vec<OwnedFd>;

/// A socket that nobody accepts at, and where one more has to wait.
pub(super) fn crowded(path: PathBuf) -> Result<Behind> {
    let mut all: Behind = vec![listener(path.clone())?.into()];
    while let Some(stream) = try_connect(&path)? {
        all.push(stream);
    }
    Ok(all)
}

fn listener(path: PathBuf) -> Result<UnixListener> {
    UnixListener::bind(&path).map_err(|error| format!("{}: {error}", path.display()))
}

fn try_connect(path: &std::path::Path) -> Result<Option<OwnedFd>> {
    use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, connect, socket};
    let made = socket(AddressFamily::Unix, SockType::Stream, SockFlag::SOCK_NONBLOCK, None)
        .map_err(|error| format!("socket: {error}"))?;
    let address = UnixAddr::new(path).map_err(|error| format!("socket: {error}"))?;
    match connect(std::os::fd::AsRawFd::as_raw_fd(&made), &address) {
        Ok(()) => Ok(Some(made)),
        Err(nix::errno::Errno::EAGAIN) => Ok(None),
        Err(error) => Err(format!("connect: {error}")),
    }
}

fn receivers(points: &mut Points<'_>) -> Result<()> {
    const LINES: &[(&str, &str)] = &[
        ("console", "create --bundle @plain --console-socket @socket ID"),
        ("pidfd", "create --bundle @plain --pidfd-socket @socket ID"),
        ("agent", RUN),
    ];
    for (what, line) in LINES {
        for (name, behind) in SOCKETS {
            points.at(&format!("{what} {name}"), |room| received(room, what, line, *behind));
        }
    }
    Ok(())
}

fn received(room: &Room, what: &str, line: &str, behind: Sink) -> Result<More> {
    let path = room.path("socket");
    room.change_bundles(|config| {
        config["process"]["terminal"] = json!(what == "console");
        if what == "agent" {
            config["linux"]["seccomp"] = json!({
                "defaultAction": "SCMP_ACT_ALLOW",
                "listenerPath": path,
                "syscalls": [{ "names": ["acct"], "action": "SCMP_ACT_NOTIFY" }]
            });
        }
    })?;
    let before = Census::take(room);
    let behind = behind(path.clone())?;
    let output = room.call(line)?;
    drop(behind);
    let _ = std::fs::remove_file(path);
    let after = || {
        output.succeeded()?;
        truth::status(room)?;
        kill::gone(room, &before)
    };
    let held = after().map_err(|why| format!("{why} ({output:?})"));
    room.change_bundles(|_| ())?;
    held.map(|()| More::Yes)
}

/// A created container that stands still answers nobody, and is what it is.
fn visitors(points: &mut Points<'_>) -> Result<()> {
    points.at("created", |room| {
        let before = Census::take(room);
        room.call(CREATE)?.ok(CREATE)?;
        let init = Pid::from_raw(truth::status(room)?.pid);
        signal(init, Signal::SIGSTOP).map_err(|error| format!("SIGSTOP: {error}"))?;
        let stands = (0..40).try_for_each(|_| match truth::status(room)?.name.as_str() {
            "created" => Ok(()),
            other => Err(format!("said to be {other}")),
        });
        stands.and_then(|()| kill::gone(room, &before)).map(|()| More::Yes)
    });
    Ok(())
}
