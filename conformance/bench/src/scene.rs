//! What is timed: the cycles that engines run. The runtimes take turns in every round.

use std::path::Path;

use crate::Result;
use crate::bundle::{Room, pid};
use crate::cost::{self, Cost};
use crate::options::Options;
use crate::runtime::Instance;

/// A cycle.
pub(crate) struct Scene {
    /// Its name on the command line.
    pub(crate) name: &'static str,
    /// What it is, for the table.
    pub(crate) about: &'static str,
    /// What is to be reached: wall and CPU time, as parts of the first peer's.
    pub(crate) target: (f64, Option<f64>),
    /// How many of the kernel's floor are beside it, at the same time.
    floor: usize,
    /// Rounds are this many times fewer.
    weight: u32,
    /// What has to be there, once.
    enter: Step,
    /// What has to be there for a round.
    before: Step,
    /// What is timed.
    act: Step,
    /// What takes it away after a round.
    after: Step,
    /// What takes it away at the end.
    leave: Step,
}

const SCENE: Scene = Scene {
    name: "",
    about: "",
    target: (0.40, None),
    floor: 0,
    weight: 1,
    enter: nothing,
    before: nothing,
    act: nothing,
    after: nothing,
    leave: nothing,
};

type Step = fn(&Stage<'_, '_>) -> Result<()>;

/// A runtime in the room.
struct Stage<'r, 'a> {
    room: &'r Room<'a>,
    instance: &'r Instance<'a>,
    /// The container's id; cgroups are shared with the other runtimes, so it has the runtime's name.
    id: String,
}

const CONTAINERS_AT_ONCE: usize = 32;
/// The first rounds are for the caches.
const WARM_UP: u32 = 2;

/// All scenes, in the order of the table.
pub(crate) const ALL: &[Scene] = &[
    Scene {
        name: "run",
        about: "`run` of /bin/true",
        target: (0.40, Some(0.50)),
        floor: 1,
        act: |s| s.call(&["run", "--bundle", &s.room.path("true"), &s.id]),
        ..SCENE
    },
    Scene {
        name: "life",
        about: "`create`, `start`, `delete` of /bin/true",
        target: (0.40, Some(0.50)),
        act: |s| {
            s.run_to_its_end("true")?;
            s.call(&["delete", &s.id])
        },
        ..SCENE
    },
    Scene {
        name: "engine",
        about: "containerd's cycle, Docker's profile",
        target: (0.40, Some(0.50)),
        act: |s| {
            s.run_detached("engine")?;
            s.call(&["kill", "--all", &s.id, "9"])?;
            s.wait_for_init()?;
            s.call(&["delete", &s.id])?;
            s.call(&["delete", "--force", &s.id])
        },
        ..SCENE
    },
    Scene {
        name: "exec",
        about: "`exec` of /bin/true, as a probe",
        enter: |s| s.run_detached("sleep"),
        act: |s| s.probe(),
        leave: |s| s.end(),
        ..SCENE
    },
    Scene {
        name: "exec-profile",
        about: "the same, Docker's profile",
        enter: |s| s.run_detached("engine"),
        act: |s| s.probe(),
        leave: |s| s.end(),
        ..SCENE
    },
    Scene {
        name: "delete",
        about: "`delete` of a stopped container",
        target: (0.30, None),
        before: |s| s.run_to_its_end("true"),
        act: |s| s.call(&["delete", &s.id]),
        ..SCENE
    },
    Scene {
        name: "at-once",
        about: "32 `create` at the same time (CPU: and `delete`)",
        floor: CONTAINERS_AT_ONCE,
        weight: 8,
        act: |s| s.create_at_once(),
        after: |s| s.ids_at_once().iter().try_for_each(|id| s.call(&["delete", "--force", id])),
        ..SCENE
    },
];

fn nothing(_: &Stage<'_, '_>) -> Result<()> {
    Ok(())
}

impl Stage<'_, '_> {
    fn call(&self, arguments: &[&str]) -> Result<()> {
        self.instance.call(arguments)
    }

    fn pid_file(&self) -> String {
        self.room.path(&format!("{}.pid", self.id))
    }

    fn create(&self, bundle: &str) -> Result<()> {
        let (bundle, pid_file) = (self.room.path(bundle), self.pid_file());
        self.call(&["create", "--bundle", &bundle, "--pid-file", &pid_file, &self.id])
    }

    fn wait_for_init(&self) -> Result<()> {
        cost::wait_for(pid(Path::new(&self.pid_file()))?)
    }

    fn run_detached(&self, bundle: &str) -> Result<()> {
        self.create(bundle)?;
        self.call(&["start", &self.id])
    }

    fn run_to_its_end(&self, bundle: &str) -> Result<()> {
        self.run_detached(bundle)?;
        self.wait_for_init()
    }

    fn probe(&self) -> Result<()> {
        let file = self.room.path("probe.pid");
        let process = self.room.path("process.json");
        self.call(&["exec", "--process", &process, "--detach", "--pid-file", &file, &self.id])?;
        cost::wait_for(pid(Path::new(&file))?)
    }

    fn end(&self) -> Result<()> {
        self.call(&["delete", "--force", &self.id])
    }

    fn ids_at_once(&self) -> Vec<String> {
        (0..CONTAINERS_AT_ONCE).map(|n| format!("{}-{n}", self.id)).collect()
    }

    fn create_at_once(&self) -> Result<()> {
        let bundle = self.room.path("sleep");
        let ids = self.ids_at_once();
        let arguments = |id| ["create", "--bundle", bundle.as_str(), id];
        let started: Result<Vec<_>> =
            ids.iter().map(|id| self.instance.spawn(&arguments(id.as_str()))).collect();
        started?
            .into_iter()
            .zip(&ids)
            .try_for_each(|(child, id)| self.instance.wait(child, &arguments(id.as_str())))
    }
}

/// The costs of a scene, round by round.
pub(crate) struct Played {
    /// By runtime.
    pub(crate) costs: Vec<Vec<Cost>>,
    /// The kernel's floor, if it is beside the scene.
    pub(crate) floor: Vec<Cost>,
}

/// Plays a scene with every runtime in turn.
pub(crate) fn play(scene: &Scene, room: &Room<'_>, options: &Options) -> Result<Played> {
    eprintln!("bench: {}", scene.about);
    let stage = |instance| Stage { room, instance, id: instance.id() };
    let stages: Vec<Stage<'_, '_>> = room.instances.iter().map(stage).collect();
    let played = stages
        .iter()
        .try_for_each(scene.enter)
        .and_then(|()| rounds(scene, &stages, options))
        .and_then(|played| stages.iter().try_for_each(scene.leave).map(|()| played));
    if played.is_err() {
        for stage in &stages {
            stage.instance.try_call(&["delete", "--force", &stage.id]);
        }
    }
    played
}

fn rounds(scene: &Scene, stages: &[Stage<'_, '_>], options: &Options) -> Result<Played> {
    let mut played = Played { costs: vec![Vec::new(); stages.len()], floor: Vec::new() };
    for round in 0..(options.rounds / scene.weight).max(3) + WARM_UP {
        for (stage, costs) in stages.iter().zip(&mut played.costs) {
            (scene.before)(stage)?;
            costs.push(cost::with_removal(|| (scene.act)(stage), || (scene.after)(stage))?);
        }
        if let (1.., Some(floor), Some(stage)) = (scene.floor, &options.bare, stages.first()) {
            let words = [floor.display().to_string(), stage.room.rootfs.display().to_string()];
            played.floor.push(cost::of(|| run(&words, scene.floor))?);
        }
        if round < WARM_UP {
            played.costs.iter_mut().for_each(Vec::clear);
            played.floor.clear();
        }
    }
    Ok(played)
}

/// Runs a program, `times` at the same time.
fn run(words: &[String], times: usize) -> Result<()> {
    let started: Result<Vec<_>> = (0..times).map(|_| crate::runtime::spawn(words)).collect();
    started?.into_iter().try_for_each(|mut child| {
        let status = child.wait().map_err(|error| error.to_string())?;
        if status.success() { Ok(()) } else { Err(format!("{words:?}: {status}")) }
    })
}
