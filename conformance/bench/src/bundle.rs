//! The bundles, and the place where all of it happens; it goes when it is dropped.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::Result;
use crate::options::Options;
use crate::runtime::{Instance, Runtime};

/// What containerd's `ctr` writes, with Docker's default profile: three architectures, 377 names.
const ENGINE: &str = include_str!("../../../crates/spec/tests/data/containerd-ctr-seccomp.json");
/// What runc's own `spec` writes comes from the runtime under measurement; this is the rest.
const SLEEP: [&str; 2] = ["sleep", "1000000"];

/// A temporary directory with the bundles.
pub(crate) struct Room<'a> {
    directory: PathBuf,
    /// What is measured.
    pub(crate) instances: Vec<Instance<'a>>,
    /// The root file system of all of them.
    pub(crate) rootfs: PathBuf,
}

/// What a bundle is made of.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    /// `spec`'s default configuration.
    Plain,
    /// An engine's: with Docker's default seccomp profile.
    Engine,
}

impl<'a> Room<'a> {
    pub(crate) fn make(options: &'a Options) -> Result<Room<'a>> {
        let directory = std::env::temp_dir().join(format!("bench-{}", std::process::id()));
        fs::create_dir_all(&directory).map_err(|e| format!("{}: {e}", directory.display()))?;
        let instance = |runtime: &'a Runtime| Instance {
            runtime,
            state: directory.join(format!("state-{}", runtime.name)),
        };
        let instances = options.runtimes.iter().map(instance).collect();
        let rootfs = fs::canonicalize(&options.rootfs)
            .map_err(|e| format!("{}: {e}", options.rootfs.display()))?;
        let room = Room { directory, instances, rootfs };
        room.bundle("true", Kind::Plain, &["/bin/true"], None)?;
        room.bundle("sleep", Kind::Plain, &SLEEP, None)?;
        room.bundle("engine", Kind::Engine, &SLEEP, None)?;
        room.write_json("process.json", &probe())?;
        Ok(room)
    }

    /// A file or directory in it, as text.
    pub(crate) fn path(&self, name: &str) -> String {
        self.directory.join(name).display().to_string()
    }

    /// Makes the bundle `name`, or makes it anew.
    pub(crate) fn bundle(
        &self,
        name: &str,
        kind: Kind,
        arguments: &[&str],
        memory: Option<u64>,
    ) -> Result<String> {
        let mut config = match kind {
            Kind::Plain => self.default_config()?,
            Kind::Engine => parse(ENGINE, "the engine's configuration")?,
        };
        config["ociVersion"] = json!("1.0.2");
        config["root"]["path"] = json!(self.rootfs);
        config["process"]["args"] = json!(arguments);
        config["process"]["terminal"] = json!(false);
        if let Some(linux) = config["linux"].as_object_mut() {
            linux.remove("cgroupsPath");
        }
        if let Some(limit) = memory {
            config["linux"]["resources"]["memory"] = json!({"limit": limit});
        }
        fs::create_dir_all(self.directory.join(name)).map_err(|e| format!("{name}: {e}"))?;
        self.write_json(&format!("{name}/config.json"), &config)?;
        Ok(self.path(name))
    }

    /// The first runtime's `spec`.
    fn default_config(&self) -> Result<Value> {
        let base = self.directory.join("base");
        if !base.join("config.json").exists() {
            fs::create_dir_all(&base).map_err(|e| format!("base: {e}"))?;
            let ours = self.instances.first().ok_or("no runtime")?;
            ours.call(&["spec", "--bundle", &base.display().to_string()])?;
        }
        let text = fs::read_to_string(base.join("config.json")).map_err(|e| e.to_string())?;
        parse(&text, "the default configuration")
    }

    fn write_json(&self, name: &str, value: &Value) -> Result<()> {
        fs::write(self.directory.join(name), value.to_string()).map_err(|e| format!("{name}: {e}"))
    }
}

impl Drop for Room<'_> {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.directory);
    }
}

fn parse(text: &str, what: &str) -> Result<Value> {
    serde_json::from_str(text).map_err(|error| format!("{what}: {error}"))
}

/// What a probe hands to `exec --process`.
fn probe() -> Value {
    json!({
        "terminal": false,
        "user": {"uid": 0, "gid": 0},
        "args": ["/bin/true"],
        "env": ["PATH=/bin"],
        "cwd": "/",
        "capabilities": {"bounding": ["CAP_KILL"], "effective": ["CAP_KILL"], "permitted": ["CAP_KILL"]},
        "noNewPrivileges": true
    })
}

/// The pid in a file that `--pid-file` made.
pub(crate) fn pid(file: &Path) -> Result<i32> {
    let text = fs::read_to_string(file).map_err(|e| format!("{}: {e}", file.display()))?;
    text.trim().parse().map_err(|_| format!("{}: {text:?}", file.display()))
}
