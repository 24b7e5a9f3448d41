//! What a command is short of: a little of it, and more and more, until the command succeeds.

use std::fs;
use std::path::PathBuf;

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use super::places::{Counted, Small};
use super::{Case, More, Points};
use crate::Result;
use crate::census::{self, Census};
use crate::hindered::Hindrance;
use crate::kill;
use crate::room::Room;
use crate::scenario::{ALL, Scenario};
use crate::tracer::Ended;
use crate::truth;

/// A success may be luck; so many in a row are none.
const ENOUGH: usize = 3;
/// More than any command needs of anything.
const MOST: usize = 200;
/// What memory is taken away in.
const BYTES: usize = 64 << 10;

pub(super) const CASES: &[Case] = &[
    Case {
        name: "disk",
        sweep: |points| each(points, All, &mut Disk::new("state", Counted::Pages)),
    },
    Case {
        name: "files",
        sweep: |points| each(points, All, &mut Disk::new("state", Counted::Files)),
    },
    Case {
        name: "ext4",
        sweep: |points| each(points, All, &mut Disk::new("state", Counted::Blocks)),
    },
    Case {
        name: "pid-file",
        sweep: |points| {
            let with_pid_file = Only(&["create", "run-detached", "exec-detached"]);
            each(points, with_pid_file, &mut Disk::new("out", Counted::Pages))
        },
    },
    Case { name: "read-only", sweep: |points| each(points, All, &mut ReadOnly { place: None }) },
    Case { name: "descriptors", sweep: |points| each(points, All, &mut Descriptors) },
    Case { name: "free-descriptors", sweep: |points| each(points, All, &mut FreeDescriptors) },
    Case { name: "memory", sweep: |points| each(points, All, &mut Memory) },
    Case { name: "tasks", sweep: |points| each(points, All, &mut Tasks::default()) },
    Case {
        name: "memory-limit",
        sweep: |points| each(points, Only(&["create", "create-staged"]), &mut OwnLimit::memory()),
    },
    Case {
        name: "pids-limit",
        sweep: |points| each(points, Only(&["create", "create-staged"]), &mut OwnLimit::pids()),
    },
];

/// Which commands are tried.
enum Commands {
    All,
    Only(&'static [&'static str]),
}
use Commands::{All, Only};

impl Commands {
    fn have(&self, scenario: &Scenario) -> bool {
        match self {
            All => true,
            Only(names) => names.contains(&scenario.name),
        }
    }
}

/// Something of which a command has too little.
trait Lack {
    /// Before there is a container.
    fn prepare(&mut self, _: &Room, _: usize) -> Result<()> {
        Ok(())
    }
    /// Takes it away, but for this amount: from all, or from the command by what is returned.
    fn take(&mut self, _: &Room, _: usize) -> Result<Vec<Hindrance>> {
        Ok(Vec::new())
    }
    /// Before the container is deleted: what deleting can't do without.
    fn relent(&mut self) -> Result<()> {
        Ok(())
    }
    /// All is as it was.
    fn give_back(&mut self, _: &Room) {}
    /// Whether there is nobody to say a sentence, and to undo.
    fn ends(&self, _: Ended) -> bool {
        false
    }
    /// Whether there are amounts of it.
    fn grows(&self) -> bool {
        true
    }
}

/// Each command, with more and more of it.
fn each(points: &mut Points<'_>, commands: Commands, lack: &mut dyn Lack) -> Result<()> {
    // Of a sample there are none in a row.
    let enough = if points.is_whole() { ENOUGH } else { 1 };
    for scenario in ALL.iter().filter(|scenario| commands.have(scenario)) {
        let mut succeeded = 0;
        for amount in 0..MOST {
            let words = format!("{} {amount}", scenario.name);
            let more = points.at(&words, |room| at(room, scenario, lack, amount));
            match more {
                More::No => succeeded += 1,
                More::Yes => succeeded = 0,
                More::Untried => {}
            }
            if succeeded == enough || !lack.grows() {
                break;
            }
            if amount + 1 == MOST && more == More::Yes && points.is_whole() {
                points.fail(scenario.name, "it never succeeds");
            }
        }
    }
    Ok(())
}

fn at(room: &Room, scenario: &Scenario, lack: &mut dyn Lack, amount: usize) -> Result<More> {
    let tried = lack.prepare(room, amount).and_then(|()| try_with(room, scenario, lack, amount));
    lack.give_back(room);
    tried
}

fn try_with(room: &Room, scenario: &Scenario, lack: &mut dyn Lack, amount: usize) -> Result<More> {
    let before = Census::take(room);
    scenario.set_up(room)?;
    let hindrances = lack.take(room, amount)?;
    let output = room.call_hindered(scenario.line, &hindrances)?;
    let mut after = || {
        let succeeded = match lack.ends(output.ended) {
            true => truth::status(room).map(|_| false)?,
            false => {
                let succeeded = output.succeeded()?;
                scenario.check_against(room, &before, succeeded)?;
                succeeded
            }
        };
        lack.relent()?;
        kill::gone(room, &before)?;
        Ok(if succeeded { More::No } else { More::Yes })
    };
    after().map_err(|why: String| {
        format!("{why} (ended {:?}, said {:?})", output.ended, output.stderr.trim_end())
    })
}

/// The disk where the room's directory is.
struct Disk {
    directory: &'static str,
    counted: Counted,
    small: Option<Small>,
}

impl Disk {
    fn new(directory: &'static str, counted: Counted) -> Disk {
        Disk { directory, counted, small: None }
    }
}

impl Lack for Disk {
    fn prepare(&mut self, room: &Room, _: usize) -> Result<()> {
        self.small = Some(Small::mount(room, self.directory, self.counted)?);
        Ok(())
    }

    fn take(&mut self, _: &Room, amount: usize) -> Result<Vec<Hindrance>> {
        self.small.as_ref().map_or(Ok(()), |small| small.fill(amount))?;
        Ok(Vec::new())
    }

    fn give_back(&mut self, _: &Room) {
        self.small = None;
    }
}

/// The right to write into the state directory.
struct ReadOnly {
    place: Option<Small>,
}

impl Lack for ReadOnly {
    fn prepare(&mut self, room: &Room, _: usize) -> Result<()> {
        self.place = Some(Small::mount(room, "state", Counted::Pages)?);
        Ok(())
    }

    fn take(&mut self, _: &Room, _: usize) -> Result<Vec<Hindrance>> {
        self.place.as_ref().map_or(Ok(()), |place| place.set_read_only(true))?;
        Ok(Vec::new())
    }

    fn relent(&mut self) -> Result<()> {
        self.place.as_ref().map_or(Ok(()), |place| place.set_read_only(false))
    }

    fn give_back(&mut self, _: &Room) {
        self.place = None;
    }

    fn grows(&self) -> bool {
        false
    }
}

/// Descriptors (RLIMIT_NOFILE), beyond the standard streams.
struct Descriptors;

impl Lack for Descriptors {
    fn take(&mut self, _: &Room, amount: usize) -> Result<Vec<Hindrance>> {
        Ok(vec![Hindrance::Descriptors(3 + amount)])
    }
}

/// Descriptors, since the command inherits what is open.
struct FreeDescriptors;

impl Lack for FreeDescriptors {
    fn take(&mut self, _: &Room, amount: usize) -> Result<Vec<Hindrance>> {
        Ok(vec![Hindrance::FreeDescriptors(amount)])
    }
}

/// Memory (RLIMIT_AS).
struct Memory;

impl Lack for Memory {
    /// The container's program has all that it wants.
    fn prepare(&mut self, room: &Room, _: usize) -> Result<()> {
        let all = json!({ "type": "RLIMIT_AS", "soft": u64::MAX, "hard": u64::MAX });
        room.change_bundles(|config| {
            if let Some(limits) = config["process"]["rlimits"].as_array_mut() {
                limits.push(all.clone());
            }
        })
    }

    fn take(&mut self, _: &Room, amount: usize) -> Result<Vec<Hindrance>> {
        Ok(vec![Hindrance::Memory(amount * BYTES)])
    }

    fn give_back(&mut self, room: &Room) {
        let _ = room.change_bundles(|_| ());
    }

    /// Not even the C library's for its own start.
    fn ends(&self, ended: Ended) -> bool {
        matches!(ended, Ended::Killed(Signal::SIGSEGV | Signal::SIGKILL))
    }
}

/// Processes, of those that the cgroup allows in which the command is.
#[derive(Default)]
struct Tasks {
    cgroup: Option<PathBuf>,
}

impl Lack for Tasks {
    fn take(&mut self, room: &Room, amount: usize) -> Result<Vec<Hindrance>> {
        let hierarchy = census::hierarchies()
            .into_iter()
            .find(|top| top.join(&room.cgroup).join("pids.max").exists())
            .ok_or("no cgroup has pids.max")?;
        let cgroup = hierarchy.join(format!("{}-few", room.cgroup));
        let made = fs::create_dir_all(&cgroup)
            .and_then(|()| fs::write(cgroup.join("pids.max"), (1 + amount).to_string()));
        made.map_err(|error| format!("{}: {error}", cgroup.display()))?;
        let word = Hindrance::Cgroup(cgroup.display().to_string());
        self.cgroup = Some(cgroup);
        Ok(vec![word])
    }

    fn give_back(&mut self, _: &Room) {
        if let Some(cgroup) = self.cgroup.take() {
            let _ = fs::remove_dir(cgroup);
        }
    }
}

/// What the container's own limit allows.
struct OwnLimit {
    limit: fn(&mut Value, usize),
}

impl OwnLimit {
    fn memory() -> OwnLimit {
        let limit = |resources: &mut Value, amount| {
            resources["memory"]["limit"] = json!((1 + amount) * BYTES);
        };
        OwnLimit { limit }
    }

    fn pids() -> OwnLimit {
        OwnLimit { limit: |resources, amount| resources["pids"]["limit"] = json!(1 + amount) }
    }
}

impl Lack for OwnLimit {
    fn prepare(&mut self, room: &Room, amount: usize) -> Result<()> {
        room.change_bundles(|config| (self.limit)(&mut config["linux"]["resources"], amount))
    }

    fn give_back(&mut self, room: &Room) {
        let _ = room.change_bundles(|_| ());
    }
}
