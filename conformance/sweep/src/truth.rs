//! Whether `state` and `list` say what the kernel says.

use std::fs;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use crate::Result;
use crate::census::hierarchies;
use crate::room::{ID, Room, patiently};
use crate::tracer::Ended;

/// How long a process may take to become what it is to be.
const BECOMING: Duration = Duration::from_secs(3);

/// What a container is said to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Status {
    /// `gone`, or the runtime's word.
    pub(crate) name: String,
    /// Its init; 0 for none.
    pub(crate) pid: i32,
}

/// Asks for the status, and checks the answer. Who is about to end, or to become the container's
/// program, may take a moment.
pub(crate) fn status(room: &Room) -> Result<Status> {
    patiently(BECOMING, || ask(room).and_then(|status| check(room, &status).map(|()| status)))
}

fn ask(room: &Room) -> Result<Status> {
    let state = room.call("state ID")?;
    let list = room.call("list --format json")?.ok("list")?;
    let list: Value = serde_json::from_str(&list).map_err(|e| format!("list {list:?}: {e}"))?;
    let listed = list.as_array().and_then(|list| list.iter().find(|entry| entry["id"] == ID));
    match (state.ended, listed) {
        (Ended::Exited(0), Some(listed)) => {
            let state: Value = serde_json::from_str(&state.stdout)
                .map_err(|e| format!("state {:?}: {e}", state.stdout))?;
            if state["status"] != listed["status"] {
                return Err(format!("state: {}, list: {}", state["status"], listed["status"]));
            }
            let name = state["status"].as_str().unwrap_or_default().to_owned();
            let pid = state["pid"].as_i64().and_then(|pid| i32::try_from(pid).ok()).unwrap_or(0);
            Ok(Status { name, pid })
        }
        (Ended::Exited(1), None) if state.stderr.contains("does not exist") => {
            Ok(Status { name: "gone".to_owned(), pid: 0 })
        }
        // What was made before there was anything to record: known to be there, and no more.
        (Ended::Exited(1), Some(listed)) if state.stderr.contains("does not exist") => {
            Err(format!("state: does not exist, list: {listed}"))
        }
        (ended, _) => Err(format!("state: {ended:?}, {:?}, list: {list}", state.stderr.trim_end())),
    }
}

fn check(room: &Room, status: &Status) -> Result<()> {
    let program = fs::read_link(format!("/proc/{}/exe", status.pid)).unwrap_or_default();
    let lives = status.pid > 0 && !program.as_os_str().is_empty();
    let runs = program.file_name().is_some_and(|name| name == "busybox");
    let frozen = is_frozen(room);
    let members = members(room);
    let right = match status.name.as_str() {
        "created" => lives && !runs && !frozen,
        "running" => lives && runs && !frozen,
        "paused" => lives && frozen,
        "stopped" | "gone" => status.pid == 0 && members == 0,
        _ => false,
    };
    if right {
        return Ok(());
    }
    let Status { name, pid } = status;
    Err(format!(
        "said to be {name}: process {pid} is {program:?}, frozen: {frozen}, {members} members"
    ))
}

/// Whether the container's cgroup is frozen.
fn is_frozen(room: &Room) -> bool {
    files(room, "freezer.state").any(|text| text.starts_with("FROZEN"))
        || files(room, "cgroup.events").any(|text| text.contains("frozen 1"))
}

/// How many processes are in the container's cgroup.
pub(crate) fn members(room: &Room) -> usize {
    files(room, "cgroup.procs").map(|text| text.lines().count()).max().unwrap_or(0)
}

/// What this file of the container's cgroup says, in each hierarchy that has it.
pub(crate) fn files(room: &Room, name: &str) -> impl Iterator<Item = String> {
    let below = Path::new(&room.cgroup).join(ID).join(name);
    hierarchies().into_iter().filter_map(move |top| fs::read_to_string(top.join(&below)).ok())
}
