//! What is swept: each command, with what has to be there before.

use std::time::Duration;

use crate::Result;
use crate::census::Census;
use crate::room::{ID, Room, patiently};
use crate::truth;

/// A command that is swept.
pub(crate) struct Scenario {
    /// Its name on this program's command line.
    pub(crate) name: &'static str,
    /// Command lines before it.
    before: &'static [&'static str],
    /// The command line itself ([`Room::call`]).
    pub(crate) line: &'static str,
    /// The container's init is swept with it.
    init: bool,
    /// What the container is when it succeeded.
    done: &'static str,
    /// What the container may be when it failed.
    pub(crate) failed: &'static [&'static str],
    /// What else must hold after a success, and after a failure.
    holds: fn(&Room, succeeded: bool) -> Result<()>,
}

const CREATE: &str = "create --bundle @plain ID";
const RUN: &str = "run --detach --bundle @plain ID";
/// Who was killed may take this long to die, and to leave.
const DYING: Duration = Duration::from_secs(1);
const LIVES: &[&str] = &["created", "running"];

/// All of them.
pub(crate) const ALL: &[Scenario] = &[
    Scenario {
        name: "create",
        before: &[],
        line: "create --bundle @plain --pid-file @out/pid ID",
        init: false,
        done: "created",
        failed: &["gone"],
        holds: has_pid_file,
    },
    // With a process between the runtime and the init.
    Scenario {
        name: "create-staged",
        before: &[],
        line: "create --bundle @staged ID",
        init: false,
        done: "created",
        failed: &["gone"],
        holds: nothing,
    },
    Scenario {
        name: "run",
        before: &[],
        line: "run --bundle @true ID",
        init: false,
        done: "gone",
        // When it ran, and could then not be deleted.
        failed: &["gone", "stopped"],
        holds: nothing,
    },
    Scenario {
        name: "run-detached",
        before: &[],
        line: "run --detach --bundle @plain --pid-file @out/pid ID",
        init: false,
        done: "running",
        failed: &["gone"],
        holds: has_pid_file,
    },
    Scenario {
        name: "start",
        before: &[CREATE],
        line: "start ID",
        init: true,
        done: "running",
        failed: &["created", "running", "stopped"],
        holds: nothing,
    },
    Scenario {
        name: "exec",
        before: &[RUN],
        line: "exec ID /busybox true",
        init: false,
        done: "running",
        failed: &["running"],
        holds: is_alone,
    },
    Scenario {
        name: "exec-detached",
        before: &[RUN],
        line: "exec --detach --pid-file @out/pid ID /busybox sleep 1000",
        init: false,
        done: "running",
        failed: &["running"],
        holds: has_guest,
    },
    Scenario {
        name: "update",
        before: &[RUN],
        line: "update --memory 64M --pids-limit 50 ID",
        init: false,
        done: "running",
        failed: &["running"],
        holds: has_limits,
    },
    Scenario {
        name: "kill",
        before: &[RUN],
        line: "kill ID KILL",
        init: false,
        done: "stopped",
        failed: &["running", "stopped"],
        holds: nothing,
    },
    Scenario {
        name: "delete",
        before: &[CREATE, "kill ID KILL"],
        line: "delete ID",
        init: false,
        done: "gone",
        failed: &["stopped", "gone"],
        holds: nothing,
    },
    Scenario {
        name: "delete-force",
        before: &[RUN],
        line: "delete --force ID",
        init: false,
        done: "gone",
        failed: &["running", "stopped", "gone"],
        holds: nothing,
    },
    Scenario {
        name: "pause",
        before: &[RUN],
        line: "pause ID",
        init: false,
        done: "paused",
        failed: LIVES,
        holds: nothing,
    },
    Scenario {
        name: "resume",
        before: &[RUN, "pause ID"],
        line: "resume ID",
        init: false,
        done: "running",
        failed: &["paused", "running"],
        holds: nothing,
    },
];

impl Scenario {
    /// Does what comes before the command. Returns the init, if that is swept, too.
    pub(crate) fn set_up(&self, room: &Room) -> Result<Option<i32>> {
        for line in self.before {
            room.call(line)?.ok(line)?;
            if line.starts_with("kill") {
                becomes(room, &["stopped"])?;
            }
        }
        Ok(if self.init { Some(truth::status(room)?.pid) } else { None })
    }

    /// Whether nothing may be left of the container when the command has failed.
    pub(crate) fn makes(&self) -> bool {
        self.before.is_empty()
    }

    /// What must be so after the command, and nothing more than `before` where a container was not made.
    pub(crate) fn check_against(
        &self,
        room: &Room,
        before: &Census,
        succeeded: bool,
    ) -> Result<()> {
        if !succeeded && self.makes() && truth::status(room)?.name == "gone" {
            return before.is_back(room);
        }
        self.check(room, succeeded)
    }

    /// What must be so after the command.
    pub(crate) fn check(&self, room: &Room, succeeded: bool) -> Result<()> {
        becomes(room, if succeeded { std::slice::from_ref(&self.done) } else { self.failed })?;
        (self.holds)(room, succeeded)
    }
}

/// Who was killed may take a moment to die.
fn becomes(room: &Room, wanted: &[&str]) -> Result<()> {
    patiently(DYING, || {
        let is = truth::status(room)?.name;
        match wanted.contains(&is.as_str()) {
            true => Ok(()),
            false => Err(format!("the container is {is}, not {}", wanted.join(" or "))),
        }
    })
}

fn nothing(_: &Room, _: bool) -> Result<()> {
    Ok(())
}

fn has_pid_file(room: &Room, succeeded: bool) -> Result<()> {
    let pid = std::fs::read_to_string(room.path("out/pid"));
    match (succeeded, pid) {
        (true, Ok(pid)) if pid == truth::status(room)?.pid.to_string() => Ok(()),
        (false, Err(_)) => Ok(()),
        (_, pid) => Err(format!("the pid file: {pid:?}")),
    }
}

fn is_alone(room: &Room, _: bool) -> Result<()> {
    has_members(room, 1)
}

fn has_guest(room: &Room, succeeded: bool) -> Result<()> {
    if room.path("out/pid").exists() != succeeded {
        return Err(format!("the pid file is {}there", if succeeded { "not " } else { "" }));
    }
    has_members(room, if succeeded { 2 } else { 1 })
}

/// Who was killed may take a moment to leave.
fn has_members(room: &Room, wanted: usize) -> Result<()> {
    patiently(DYING, || match truth::members(room) {
        members if members == wanted => Ok(()),
        members => Err(format!("{ID} has {members} processes, not {wanted}")),
    })
}

/// The new limits, or all the old ones.
fn has_limits(room: &Room, succeeded: bool) -> Result<()> {
    let wanted = if succeeded { ["67108864", "50"] } else { ["268435456", "100"] };
    let read = |names: [&str; 2]| {
        let found = names.iter().find_map(|name| truth::files(room, name).next());
        found.map(|text| text.trim().to_owned()).unwrap_or_default()
    };
    let found = [read(["memory.limit_in_bytes", "memory.max"]), read(["pids.max", "pids.max"])];
    match found == wanted {
        true => Ok(()),
        false => Err(format!("the limits are {found:?}, not {wanted:?}")),
    }
}
