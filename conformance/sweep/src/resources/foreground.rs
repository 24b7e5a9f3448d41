//! A `run` in the foreground whose world goes away: its terminal, its caller, who reads what it prints; and
//! signals to it.

use std::fs;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::process::{Child, Stdio};
use std::time::Duration;

use nix::fcntl::{FcntlArg, FdFlag, OFlag, fcntl};
use nix::pty::openpty;
use nix::sys::signal::{Signal, kill as signal};
use nix::unistd::{Pid, pipe2};
use serde_json::json;

use crate::Result;
use crate::census::{self, Census};
use crate::kill;
use crate::room::{Room, patiently};
use crate::tracer::Ended;
use crate::truth;

use super::{Case, More, Points, clients};

pub(super) const CASES: &[Case] = &[
    Case { name: "hang-up", sweep: hang_ups },
    Case { name: "caller-killed", sweep: callers },
    Case { name: "streams-gone", sweep: streams },
    Case { name: "signals", sweep: signals },
];

const RUN: &str = "run --bundle @plain ID";
/// How long the container may take to run.
const BEGINNING: Duration = Duration::from_secs(10);
/// How long is looked whether a runtime that waits is idle.
const MOMENT: Duration = Duration::from_secs(1);
/// How much time of a processor it may take meanwhile, in hundredths of a second: who is idle takes none.
const IDLE: u64 = 10;

/// What the container's process ends with when it has noticed.
const NOTICED: i32 = 7;

/// What the container's process does.
struct Payload {
    name: &'static str,
    script: &'static str,
    /// Whether it ends by itself when its world is gone.
    notices: bool,
}

const OBEDIENT: Payload = Payload {
    name: "obedient",
    script: "trap 'exit 7' HUP INT QUIT TERM; /busybox sleep 1000 & echo up >/up; while :; do wait; done",
    notices: true,
};
/// Hears no hang-up, and sees it where it reads.
const READER: Payload = Payload {
    name: "reader",
    script: "trap '' HUP; echo up >/up; while read x; do :; done; exit 7",
    notices: true,
};
/// Hears no hang-up, and sees it where it writes.
const WRITER: Payload = Payload {
    name: "writer",
    script: "trap '' HUP PIPE; trap 'exit 7' TERM; echo up >/up; while echo x; do :; done 2>/dev/null; exit 7",
    notices: true,
};
/// Does not care for the hang-up, and ends when it is told to.
const STEADY: Payload = Payload {
    name: "steady",
    script: "trap '' HUP; trap 'exit 7' TERM; /busybox sleep 1000 & echo up >/up; while :; do echo x; wait; done",
    notices: true,
};
const DEAF: Payload = Payload {
    name: "deaf",
    script: "trap '' HUP INT QUIT TERM; echo up >/up; /busybox sleep 1000",
    notices: false,
};

/// Gives the bundles a process, which says on a file system of its own that it is there.
fn prepare(room: &Room, terminal: bool, payload: &Payload) -> Result<()> {
    let said = room.path("up");
    let _ = fs::remove_file(&said);
    fs::write(&said, "").map_err(|error| format!("up: {error}"))?;
    room.change_bundles(|config| {
        config["process"]["terminal"] = json!(terminal);
        config["process"]["args"] = json!(["/busybox", "sh", "-c", payload.script]);
        if let Some(mounts) = config["mounts"].as_array_mut() {
            let options = ["bind", "rw"];
            let (source, target) = (said.display().to_string(), "/up");
            mounts.push(json!({ "destination": target, "source": source, "type": "bind", "options": options }));
        }
    })
}

fn is_up(room: &Room) -> Result<()> {
    patiently(BEGINNING, || match fs::read_to_string(room.path("up")) {
        Ok(said) if said.contains("up") => Ok(()),
        _ => Err("the container's process has not begun".to_owned()),
    })
}

/// Tries a point, and puts back what the bundles were.
fn at(
    room: &Room,
    terminal: bool,
    payload: &Payload,
    story: impl Fn(&Room) -> Result<()>,
) -> Result<More> {
    let before = Census::take(room);
    let told = prepare(room, terminal, payload)
        .and_then(|()| story(room))
        // Without any `delete`.
        .and_then(|()| before.is_back(room))
        .and_then(|()| kill::gone(room, &before));
    let _ = fs::remove_file(room.path("up"));
    room.change_bundles(|_| ())?;
    told.map(|()| More::Yes)
}

/// The command ends as the container's process does when it has noticed; or waits, idle, for that one.
fn ends(room: &Room, command: &mut Child, payload: &Payload) -> Result<()> {
    if payload.notices {
        return ended_with(room, command, NOTICED);
    }
    is_idle(command.id())?;
    truth::status(room)?;
    room.call("kill ID KILL")?.ok("kill")?;
    ended_with(room, command, 128 + 9)
}

fn ended_with(room: &Room, command: &mut Child, status: i32) -> Result<()> {
    let output = room.wait(command, "first")?;
    match output.ended {
        Ended::Exited(other) if other == status => Ok(()),
        _ => Err(format!("{output:?}, not status {status}")),
    }
}

fn is_idle(pid: u32) -> Result<()> {
    let before = ticks(pid)?;
    std::thread::sleep(MOMENT);
    match ticks(pid)? - before {
        spent if spent < IDLE => Ok(()),
        spent => Err(format!("it waits busily: {spent} ticks within {MOMENT:?}")),
    }
}

/// What the process has had of the processor: fields 14 and 15 of proc_pid_stat(5).
fn ticks(pid: u32) -> Result<u64> {
    let stat =
        fs::read_to_string(format!("/proc/{pid}/stat")).map_err(|e| format!("{pid}: {e}"))?;
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace().skip(11).take(2);
    Ok(fields.flat_map(str::parse::<u64>).sum())
}

/// A terminal of this program's: its outer end, and its inner one as three streams.
fn terminal() -> Result<(OwnedFd, [Option<Stdio>; 3])> {
    let said = |error: nix::Error| format!("openpty: {error}");
    let pair = openpty(None, None).map_err(said)?;
    for end in [&pair.master, &pair.slave] {
        fcntl(end, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC)).map_err(said)?;
    }
    let stream = || {
        let end = pair.slave.try_clone().map_err(|error| format!("dup: {error}"))?;
        Ok::<_, String>(Some(Stdio::from(end)))
    };
    let streams = [stream()?, stream()?, stream()?];
    Ok((pair.master, streams))
}

/// Starts a runtime on a terminal, as the leader of its session; that hangs up once the container runs.
fn hang_up(room: &Room) -> Result<Child> {
    let (outer, streams) = terminal()?;
    let command = room.spawn_through(&["setsid", "-c"], RUN, "first", streams)?;
    let begun = is_up(room);
    drop(outer);
    begun.map(|()| command)
}

/// The own terminal hangs up, whether the container's is another or the same.
fn hang_ups(points: &mut Points<'_>) -> Result<()> {
    for own in [true, false] {
        for payload in [OBEDIENT, READER, WRITER, DEAF] {
            let name = if own { "terminal" } else { "inherited" };
            points.at(&format!("{name} {}", payload.name), |room| {
                at(room, own, &payload, |room| ends(room, &mut hang_up(room)?, &payload))
            });
        }
    }
    points.at("terminal term-afterwards", |room| {
        at(room, true, &STEADY, |room| {
            let mut command = hang_up(room)?;
            // It has seen it by now, or will.
            std::thread::sleep(Duration::from_millis(300));
            send(command.id(), Signal::SIGTERM)?;
            ended_with(room, &mut command, NOTICED)
        })
    });
    Ok(())
}

fn send(pid: u32, what: Signal) -> Result<()> {
    signal(Pid::from_raw(pid as i32), what).map_err(|error| format!("{what}: {error}"))
}

/// Who called is killed: the runtime stays with the container, whoever its parent is.
fn callers(points: &mut Points<'_>) -> Result<()> {
    for payload in [OBEDIENT, DEAF] {
        points.at(payload.name, |room| {
            at(room, false, &payload, |room| {
                let shell = ["sh", "-c", "\"$@\" & wait", "sh"];
                let mut caller = room.spawn_through(&shell, RUN, "first", [None, None, None])?;
                is_up(room)?;
                let runtime = census::children(caller.id()).first().copied().ok_or("no runtime")?;
                let _ = caller.kill();
                room.wait(&mut caller, "first")?;
                is_idle(runtime as u32)?;
                send(runtime as u32, Signal::SIGTERM)?;
                if !payload.notices {
                    is_idle(runtime as u32)?;
                    room.call("kill ID KILL")?.ok("kill")?;
                }
                Ok(())
            })
        });
    }
    Ok(())
}

/// Starts a runtime that prints to there.
fn printing_to(room: &Room, stdout: Stdio) -> Result<Child> {
    room.spawn_through(&[], RUN, "first", [None, Some(stdout), None])
}

/// A pipe that no program inherits: what is read, and what is printed to.
fn new_pipe() -> Result<(fs::File, Stdio)> {
    let pipe = pipe2(OFlag::O_CLOEXEC).map_err(|error| format!("pipe: {error}"));
    pipe.map(|(reader, writer)| (reader.into(), writer.into()))
}

/// Who reads is gone, now or later, or stands still; and there is nothing to read.
fn streams(points: &mut Points<'_>) -> Result<()> {
    for own in [true, false] {
        let name = if own { "terminal" } else { "plain" };
        for later in [false, true] {
            let when = if later { "later" } else { "at-once" };
            points.at(&format!("{name} reader-gone {when}"), |room| {
                at(room, own, &WRITER, |room| {
                    let (reader, writer) = new_pipe()?;
                    let mut reader = later.then_some(reader);
                    let mut command = printing_to(room, writer)?;
                    let _ = reader.as_mut().map(|reader| reader.read(&mut [0; 1]));
                    drop(reader);
                    ended_with(room, &mut command, NOTICED)
                })
            });
        }
        points.at(&format!("{name} full"), |room| {
            at(room, own, &WRITER, |room| {
                ended_with(room, &mut printing_to(room, clients::full()?)?, NOTICED)
            })
        });
        points.at(&format!("{name} reader-stands-still"), |room| {
            at(room, own, &WRITER, |room| {
                let (reader, writer) = new_pipe()?;
                let mut command = printing_to(room, writer)?;
                is_up(room)?;
                send(command.id(), Signal::SIGTERM)?;
                patiently(BEGINNING, || match truth::status(room)?.name.as_str() {
                    "stopped" | "gone" => Ok(()),
                    other => Err(format!("it is {other} after SIGTERM")),
                })?;
                drop(reader);
                ended_with(room, &mut command, NOTICED)
            })
        });
        points.at(&format!("{name} nothing-typed"), |room| {
            at(room, own, &OBEDIENT, |room| {
                let mut command = room.spawn(RUN, "first")?;
                is_up(room)?;
                is_idle(command.id())?;
                send(command.id(), Signal::SIGTERM)?;
                ended_with(room, &mut command, NOTICED)
            })
        });
    }
    Ok(())
}

/// What no other process sleeps for.
const SECONDS: &str = "876543";

/// Each signal while the container runs; while a hook runs before that, or behind it.
fn signals(points: &mut Points<'_>) -> Result<()> {
    for what in [Signal::SIGHUP, Signal::SIGINT, Signal::SIGQUIT, Signal::SIGTERM] {
        for own in [true, false] {
            for payload in [OBEDIENT, DEAF] {
                let name = if own { "terminal" } else { "plain" };
                points.at(&format!("running {what} {name} {}", payload.name), |room| {
                    at(room, own, &payload, |room| {
                        let mut command = room.spawn(RUN, "first")?;
                        is_up(room)?;
                        send(command.id(), what)?;
                        ends(room, &mut command, &payload)
                    })
                });
            }
        }
        for line in ["create --bundle @plain ID", RUN] {
            let name = line.split(' ').next().unwrap_or_default();
            points.at(&format!("creating {what} {name}"), |room| creating(room, what, line));
        }
        points.at(&format!("ending {what}"), |room| ending(room, what));
    }
    Ok(())
}

fn with_hook(room: &Room, kind: &str) -> Result<()> {
    room.change_bundles(|config| {
        let busybox = format!("{}/busybox", config["root"]["path"].as_str().unwrap_or_default());
        config["process"]["args"] = json!(["/busybox", "true"]);
        config["hooks"][kind] = json!([{ "path": busybox, "args": ["sleep", SECONDS] }]);
    })
}

fn hook() -> Result<u32> {
    patiently(BEGINNING, || {
        let sleeps = |pid: &i32| {
            let words = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            words == format!("sleep\0{SECONDS}\0")
        };
        let found = census::descendants().into_iter().find(sleeps);
        found.map(|pid| pid as u32).ok_or("the hook does not run".to_owned())
    })
}

/// It ends by the signal, as by SIGKILL: what there is of the container can be deleted.
fn creating(room: &Room, what: Signal, line: &str) -> Result<More> {
    let before = Census::take(room);
    with_hook(room, "createRuntime")?;
    let mut command = room.spawn(line, "first")?;
    let hook = hook();
    let told = hook.clone().and_then(|_| send(command.id(), what));
    let told = told.and_then(|()| match room.wait(&mut command, "first")?.ended {
        Ended::Killed(signal) if signal == what => truth::status(room).map(|_| ()),
        ended => Err(format!("{ended:?}")),
    });
    // The hook is the caller's.
    let _ = hook.map(|pid| send(pid, Signal::SIGKILL));
    let held = told.and_then(|()| kill::gone(room, &before));
    room.change_bundles(|_| ())?;
    held.map(|()| More::Yes)
}

/// It has the status of the container, and the hook that is waited for is no part of that: it can be ended by
/// the same signal.
fn ending(room: &Room, what: Signal) -> Result<More> {
    let before = Census::take(room);
    with_hook(room, "poststop")?;
    let mut command = room.spawn(RUN, "first")?;
    let told = hook().and_then(|hook| {
        send(command.id(), what)?;
        is_idle(command.id())?;
        send(hook, what)
    });
    let told = told.and_then(|()| ended_with(room, &mut command, 0));
    let held = told.and_then(|()| before.is_back(room));
    room.change_bundles(|_| ())?;
    held.map(|()| More::Yes)
}
