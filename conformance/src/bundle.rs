//! Bundles, written by the `oci-spec` crate: an independent reading of the specification.

use std::cell::RefCell;
use std::fs;
use std::path::{Path, PathBuf};

use oci_spec::runtime::Spec;
use serde_json::{Value, json};

use crate::call::{Call, Output};
use crate::case::Case;
use crate::container::Container;
use crate::layout;
use crate::rootfs;
use crate::verdict::{Verdict, fail};

/// The capabilities that a container has in the usual engines.
pub(crate) const CAPS: &[&str] = &[
    "CAP_AUDIT_WRITE",
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_MKNOD",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_RAW",
    "CAP_SETFCAP",
    "CAP_SETGID",
    "CAP_SETPCAP",
    "CAP_SETUID",
    "CAP_SYS_CHROOT",
];

/// A bundle being described. Properties are set by JSON pointer, in the specification's names;
/// what is written went through the types of `oci-spec`, unless a property was set `raw`.
pub(crate) struct Bundle<'t> {
    /// The case that the bundle belongs to.
    pub case: &'t Case,
    /// The id of its container.
    pub id: String,
    /// The bundle's directory.
    pub dir: PathBuf,
    config: Value,
    raw: bool,
    flags: RefCell<Vec<String>>,
}

impl<'t> Bundle<'t> {
    /// A plain bundle: five new namespaces, the usual mounts, a shell that does nothing.
    pub(crate) fn new(case: &'t Case, busybox: &Path) -> Verdict<Self> {
        let id = case.id();
        let dir = case.dir(&format!("bundle-{id}"))?;
        rootfs::make(&dir.join("rootfs"), busybox)?;
        let config = plain(&id);
        let bundle = Self { case, id, dir, config, raw: false, flags: RefCell::default() };
        let bundle = if layout::rootless() { bundle.of_user()? } else { bundle };
        // crun makes a cgroup of its own below a scope, with the limits, unless told not to.
        if layout::systemd() {
            return Ok(bundle.set("/annotations/run.oci.systemd.subgroup", ""));
        }
        Ok(bundle)
    }

    /// What an ordinary user can run: a user namespace with the user's own ids.
    fn of_user(self) -> Verdict<Self> {
        let (uid, gid) = (nix::unistd::geteuid().as_raw(), nix::unistd::getegid().as_raw());
        let user = nix::unistd::User::from_uid(uid.into())?.map(|user| user.name);
        let user = user.unwrap_or_default();
        let map = |file: &str, own: u32| -> Verdict<Value> {
            let mut map = vec![json!({ "containerID": 0, "hostID": own, "size": 1 })];
            let text = fs::read_to_string(file).unwrap_or_default();
            let line = text.lines().find_map(|line| line.strip_prefix(&user)?.strip_prefix(':'));
            if let Some((first, size)) = line.and_then(|line| line.split_once(':')) {
                let (first, size): (u32, u32) = (first.parse()?, size.parse()?);
                map.push(json!({ "containerID": 1, "hostID": first, "size": size }));
            }
            Ok(map.into())
        };
        let uids = map("/etc/subuid", uid)?;
        let gids = map("/etc/subgid", gid)?;
        let bundle = self.unshare("user").set("/linux/uidMappings", uids);
        Ok(bundle.set("/linux/gidMappings", gids))
    }

    /// The root filesystem on the host.
    pub(crate) fn rootfs(&self, path: &str) -> PathBuf {
        self.dir.join("rootfs").join(path)
    }

    /// Another id for the container.
    pub(crate) fn id(mut self, id: &str) -> Self {
        self.case.owns(&self.case.root, id);
        id.clone_into(&mut self.id);
        self
    }

    /// Sets a property.
    pub(crate) fn set(mut self, pointer: &str, value: impl Into<Value>) -> Self {
        *at(&mut self.config, pointer) = value.into();
        self
    }

    /// Sets a property to what `oci-spec` would not write.
    pub(crate) fn raw(mut self, pointer: &str, value: impl Into<Value>) -> Self {
        self.raw = true;
        self.set(pointer, value)
    }

    /// Takes a property away. What the specification requires must be taken away `raw`.
    pub(crate) fn without(mut self, pointer: &str) -> Self {
        let (parent, name) = pointer.rsplit_once('/').unwrap_or(("", pointer));
        if let Some(object) = at(&mut self.config, parent).as_object_mut() {
            object.remove(name);
        }
        self
    }

    /// Takes a required property away.
    pub(crate) fn without_raw(mut self, pointer: &str) -> Self {
        self.raw = true;
        self.without(pointer)
    }

    /// Appends to a list.
    pub(crate) fn push(mut self, pointer: &str, value: impl Into<Value>) -> Self {
        let list = at(&mut self.config, pointer);
        match list.as_array_mut() {
            Some(list) => list.push(value.into()),
            None => *list = Value::Array(vec![value.into()]),
        }
        self
    }

    /// The process is a shell with this script.
    pub(crate) fn sh(self, script: &str) -> Self {
        self.args(["/bin/sh", "-c", script])
    }

    /// The process's arguments.
    pub(crate) fn args<'a>(self, args: impl IntoIterator<Item = &'a str>) -> Self {
        let args: Vec<&str> = args.into_iter().collect();
        self.set("/process/args", args)
    }

    /// The process sleeps for longer than any test lasts.
    pub(crate) fn sleeps(self) -> Self {
        self.args(["/bin/sleep", "100"])
    }

    /// Adds a mount.
    pub(crate) fn mount(
        self,
        destination: &str,
        kind: &str,
        source: &str,
        options: &[&str],
    ) -> Self {
        let mount = json!({
            "destination": destination, "type": kind, "source": source, "options": options
        });
        self.push("/mounts", mount)
    }

    /// Adds a bind mount of a host's path; `options` begins with `bind` or `rbind`.
    pub(crate) fn bind(self, source: &Path, destination: &str, options: &[&str]) -> Self {
        self.mount(destination, "bind", &source.to_string_lossy(), options)
    }

    /// Takes the mount at `destination` away.
    pub(crate) fn unmount(mut self, destination: &str) -> Self {
        if let Some(mounts) = at(&mut self.config, "/mounts").as_array_mut() {
            mounts.retain(|mount| mount["destination"] != destination);
        }
        self
    }

    /// Adds a new namespace.
    pub(crate) fn unshare(self, kind: &str) -> Self {
        self.push("/linux/namespaces", json!({ "type": kind }))
    }

    /// The host's namespace of this kind.
    pub(crate) fn share(mut self, kind: &str) -> Self {
        if let Some(list) = at(&mut self.config, "/linux/namespaces").as_array_mut() {
            list.retain(|namespace| namespace["type"] != kind);
        }
        if kind == "pid" && layout::rootless() {
            // An ordinary user can't mount the procfs of the host's pid namespace, but bind it.
            return self.unmount("/proc").bind(Path::new("/proc"), "/proc", &["rbind"]);
        }
        self
    }

    /// Joins a namespace by its path.
    pub(crate) fn join(self, kind: &str, path: &str) -> Self {
        self.share(kind).push("/linux/namespaces", json!({ "type": kind, "path": path }))
    }

    /// A new user namespace with ids from `first` on the host; that of an ordinary user is there
    /// already, with the user's own.
    pub(crate) fn user_namespace(self, first: u32) -> Self {
        if layout::rootless() {
            return self;
        }
        let map = json!([{ "containerID": 0, "hostID": first, "size": 65536 }]);
        self.unshare("user").set("/linux/uidMappings", map.clone()).set("/linux/gidMappings", map)
    }

    /// The files of the root belong to `id`, as an engine does it for a user namespace.
    pub(crate) fn owned_by(self, id: u32) -> Verdict<Self> {
        if layout::rootless() {
            return Ok(self);
        }
        let owner = format!("{id}:{id}");
        let root = self.dir.join("rootfs");
        self.case.host(["chown", "-hR", "--from=0:0", &owner, &root.to_string_lossy()])?;
        Ok(self)
    }

    /// The process's five sets of capabilities, equal.
    pub(crate) fn caps(self, names: &[&str]) -> Self {
        let set = json!(names);
        self.set(
            "/process/capabilities",
            json!({ "bounding": set, "effective": set, "permitted": set }),
        )
    }

    /// Adds a hook that runs a shell of the host with this script.
    pub(crate) fn hook(self, kind: &str, script: &str) -> Self {
        let hook = json!({ "path": rootfs::BUSYBOX, "args": ["sh", "-c", script] });
        self.push(&format!("/hooks/{kind}"), hook)
    }

    /// Adds command line flags to every `create` and `run` of this bundle.
    pub(crate) fn flags<'a>(self, flags: impl IntoIterator<Item = &'a str>) -> Self {
        self.flags.borrow_mut().extend(flags.into_iter().map(str::to_owned));
        self
    }

    /// The configuration as it is now.
    pub(crate) fn config(&self) -> &Value {
        &self.config
    }

    /// Writes config.json.
    #[track_caller]
    pub(crate) fn write(&self) -> Verdict {
        let text = if self.raw {
            serde_json::to_vec(&self.config)?
        } else {
            let spec: Spec = serde_json::from_value(self.config.clone())?;
            let written = serde_json::to_value(&spec)?;
            if sorted(&written) != sorted(&self.config) {
                return fail(format!("oci-spec writes {written}, the test means {}", self.config));
            }
            serde_json::to_vec(&spec)?
        };
        // Whole, even for a runtime that reads it at this moment.
        let new = self.dir.join(format!(".config.json.{:?}", std::thread::current().id()));
        fs::write(&new, text)?;
        fs::rename(new, self.dir.join("config.json"))?;
        Ok(())
    }

    /// A call of `create` or `run` for this bundle.
    pub(crate) fn call(&self, command: &str) -> Verdict<Call<'t>> {
        self.write()?;
        let flags = self.flags.borrow().clone();
        let call = self.case.call([command, "--bundle"]).arg(&self.dir).args(flags);
        Ok(call.arg(&self.id))
    }

    /// `run` in the foreground, to its end.
    #[track_caller]
    pub(crate) fn run(&self) -> Verdict<Output> {
        self.call("run")?.output()
    }

    /// `run` must exit 0; returns what the process printed.
    #[track_caller]
    pub(crate) fn prints(&self) -> Verdict<String> {
        self.run()?.ok()
    }

    /// `run` with this script must exit 0; returns what the script printed.
    #[track_caller]
    pub(crate) fn says(self, script: &str) -> Verdict<String> {
        self.sh(script).prints()
    }

    /// `create`, whatever comes of it.
    #[track_caller]
    pub(crate) fn try_create(&self) -> Verdict<Output> {
        self.call("create")?.output()
    }

    /// `create` must succeed.
    #[track_caller]
    pub(crate) fn create(&self) -> Verdict<Container<'t>> {
        self.create_by(self.call("create")?)
    }

    /// This call, which is of `create` with more options, must succeed.
    #[track_caller]
    pub(crate) fn create_by(&self, call: Call<'t>) -> Verdict<Container<'t>> {
        let running = call.spawn()?;
        let stdout = running.stdout.clone();
        running.wait()?.ok()?;
        Ok(Container::new(self.case, &self.id, stdout))
    }

    /// `create` and `start` must succeed.
    #[track_caller]
    pub(crate) fn start(&self) -> Verdict<Container<'t>> {
        let container = self.create()?;
        container.start()?;
        Ok(container)
    }

    /// `create` must fail with all of `parts` in its message (a runtime that always fails has
    /// none), and leave nothing behind.
    #[track_caller]
    pub(crate) fn refused(&self, parts: &[&str]) -> Verdict {
        self.try_create()?.refused(parts)?;
        self.case.nothing_left()
    }
}

/// The place in `config` that `pointer` names, made if it is missing.
fn at<'v>(config: &'v mut Value, pointer: &str) -> &'v mut Value {
    let mut place = config;
    for name in pointer.split('/').skip(1) {
        place = match (place.is_array(), name.parse::<usize>()) {
            (true, Ok(index)) => &mut place[index],
            _ => {
                if !place.is_object() {
                    *place = json!({});
                }
                &mut place[name]
            }
        };
    }
    place
}

/// The same document with every list of strings in order: `oci-spec` keeps capabilities as a set.
fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(map) => map.iter().map(|(k, v)| (k.clone(), sorted(v))).collect(),
        Value::Array(list) => {
            let mut list: Vec<Value> = list.iter().map(sorted).collect();
            if list.iter().all(Value::is_string) {
                list.sort_by_key(Value::to_string);
            }
            Value::Array(list)
        }
        other => other.clone(),
    }
}

fn plain(id: &str) -> Value {
    json!({
        "ociVersion": "1.0.2",
        "process": {
            "user": { "uid": 0, "gid": 0 },
            "args": ["/bin/true"],
            "env": ["PATH=/bin", "TERM=xterm"],
            "cwd": "/",
            "capabilities": { "bounding": CAPS, "effective": CAPS, "permitted": CAPS },
            "noNewPrivileges": true
        },
        "root": { "path": "rootfs", "readonly": false },
        "hostname": "conformance",
        "mounts": [
            { "destination": "/proc", "type": "proc", "source": "proc" },
            {
                "destination": "/dev", "type": "tmpfs", "source": "tmpfs",
                "options": ["nosuid", "strictatime", "mode=755", "size=65536k"]
            },
            {
                "destination": "/dev/pts", "type": "devpts", "source": "devpts",
                "options": [
                    "nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"
                ]
            },
            {
                "destination": "/sys", "type": "sysfs", "source": "sysfs",
                "options": ["nosuid", "noexec", "nodev", "ro"]
            }
        ],
        "linux": {
            "cgroupsPath": layout::place(id),
            "resources": { "devices": [{ "allow": false, "access": "rwm" }] },
            "namespaces": [
                { "type": "pid" }, { "type": "network" }, { "type": "ipc" }, { "type": "uts" },
                { "type": "mount" }
            ]
        }
    })
}
