//! The state directory: one directory a container, `ROOT/ID`, made by the mkdir(2) that is also the
//! check for an id in use.
//!
//! | file | what | written |
//! |---|---|---|
//! | `creating.json` | [`Record`]: what will exist, and must be cleaned up if `create` is ended; in a second line the cgroup's number, once it exists | once; gone when it is complete |
//! | `state.json` | [`Record`]: what exists | once, atomically: new file, rename |
//! | `exec.json` | the container's `process`, whose defaults `exec` takes; what of it is the host's, for `checkpoint`; the cgroup and the resctrl groups once more | once |
//! | `seccomp.bpf` | the filter, for `exec`, which knows it by the fingerprint in `exec.json` | once |
//! | `start.sock` | where the created init waits for `start` ([`crate::start_socket`]) | once; gone when it was started |
//!
//! The directory itself is the lock: flock(2) on it is held by every command that changes the
//! container, and by `create` for as long as it runs. A record is saved before the effects that it
//! describes, so that `delete --force` finds them after a crash at any point.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use bpf::seccomp::Filter;
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, openat};
use nix::sys::stat::{FileStat, Mode, SFlag, mkdirat};
use nix::unistd::{UnlinkatFlags, unlinkat};
use serde::{Deserialize, Serialize};
use spec::Text;
use sys::Context;

use crate::error::{Error, Result};
use crate::messages;
use crate::resctrl::ResctrlRecord;

/// The mode of a container's directory.
const DIRECTORY_MODE: u32 = 0o711;

/// The version of [`Record`]'s layout.
const VERSION: u32 = 1;

const STATE_FILE: &str = "state.json";
const CREATING_FILE: &str = "creating.json";
/// The [`ExecRecord`].
const EXEC_FILE: &str = "exec.json";
/// The compiled filter.
pub(crate) const SECCOMP_FILE: &str = "seccomp.bpf";
/// Where a created init waits for `start`.
pub(crate) const START_SOCKET: &str = "start.sock";
/// The same, from when somebody knocks there.
pub(crate) const KNOCKED_SOCKET: &str = "knocked.sock";

/// What exists of a container: all that its later commands need, and no plan.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Record<'a> {
    /// The layout's version.
    version: u32,
    /// The container's id.
    #[serde(borrow)]
    pub id: Text<'a>,
    /// Whether `create` has finished.
    pub phase: Phase,
    /// The init process, in the pid namespace of the runtime; 0 before there is one.
    pub pid: i32,
    /// Field 22 of its `/proc/PID/stat`: together with the pid it is never reused.
    pub start_time: u64,
    /// The bundle's absolute path.
    #[serde(borrow)]
    pub bundle: Text<'a>,
    /// The root file system's absolute path.
    #[serde(borrow)]
    pub rootfs: Text<'a>,
    /// When it was created (RFC 3339, nanoseconds, UTC).
    #[serde(borrow)]
    pub created: Text<'a>,
    /// The user id of who created it.
    pub owner: u32,
    /// Whether that user lacked root's powers.
    pub rootless: bool,
    /// The configuration's annotations.
    #[serde(borrow)]
    pub annotations: spec::StringMap<'a>,
    /// The cgroup's directory by controller; "" is cgroup v2.
    #[serde(borrow)]
    pub cgroup: BTreeMap<Text<'a>, Text<'a>>,
    /// The number of that cgroup ([`cgroup::Cgroup::number`]); 0 while there is none.
    #[serde(default)]
    pub(crate) cgroup_number: u64,
    /// What the device rules come to ([`bpf::devices::Table`]); empty where there are none.
    #[serde(default, borrow)]
    pub devices: Text<'a>,
    /// The rules for its own device nodes, in the same form.
    #[serde(default, borrow)]
    pub own_devices: Text<'a>,
    /// The groups of the resctrl file system that it is in.
    #[serde(default, borrow, skip_serializing_if = "Option::is_none")]
    pub(crate) resctrl: Option<ResctrlRecord<'a>>,
    /// The unit of systemd's that the cgroup is.
    #[serde(default, borrow, skip_serializing_if = "Option::is_none")]
    pub(crate) unit: Option<UnitRecord<'a>>,
    /// How many mounts were at the root's place, if the container's are the runtime's own
    /// ([`crate::host_mounts`]).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) mounts_before: Option<usize>,
    /// The namespaces that it has apart from the runtime's, by the names of `/proc/PID/ns`.
    #[serde(borrow)]
    pub namespaces: Vec<Text<'a>>,
    /// Whether it was created without a process, so that there is none to start.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub without_process: bool,
    /// Who decides about the calls that the filter notifies, for `start` and `exec`.
    #[serde(default, borrow, skip_serializing_if = "Option::is_none")]
    pub agent: Option<AgentRecord<'a>>,
    /// `poststart` hooks still to run, for `start`.
    #[serde(borrow)]
    pub poststart: Vec<spec::Hook<'a>>,
    /// `poststop` hooks, for `delete`.
    #[serde(borrow)]
    pub poststop: Vec<spec::Hook<'a>>,
}

/// How far `create` came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// It is at work, or was ended in the middle.
    Creating,
    /// It has finished.
    Created,
}

/// A unit of systemd's.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct UnitRecord<'a> {
    /// Its name.
    #[serde(borrow)]
    pub(crate) name: Text<'a>,
    /// Whether it is the user's systemd that has it, not the machine's.
    pub(crate) user: bool,
    /// The cgroup below it that is the container's; empty: its own is.
    #[serde(default, borrow)]
    pub(crate) subgroup: Text<'a>,
}

/// Who decides about the calls that a filter notifies.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AgentRecord<'a> {
    /// Its socket.
    #[serde(borrow)]
    pub path: Text<'a>,
    /// What it is told.
    #[serde(borrow)]
    pub metadata: Text<'a>,
}

/// What `exec` and `checkpoint` need of a container beside its record, and what `delete` falls back on when the
/// record was damaged.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ExecRecord<'a> {
    /// The cgroup's directory by controller.
    #[serde(borrow)]
    pub(crate) cgroup: CgroupPaths<'a>,
    /// The groups of the resctrl file system.
    #[serde(default, borrow, skip_serializing_if = "Option::is_none")]
    pub(crate) resctrl: Option<ResctrlRecord<'a>>,
    /// The container's `process`, whose defaults `exec` takes.
    #[serde(borrow)]
    pub(crate) process: spec::Process<'a>,
    /// The fingerprint of its filter, which is saved beside this. Must be there, `null` for none:
    /// nothing starts without a filter because a record does not say.
    #[serde(deserialize_with = "Option::deserialize")]
    pub(crate) filter: Option<u32>,
    /// The execution domain and its flags, if the container has others than the host.
    pub(crate) personality: Option<u32>,
    /// The container's NUMA policy, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) memory_policy: Option<MemoryPolicyRecord>,
    /// What of it is the host's, for `checkpoint`.
    #[serde(default, borrow)]
    pub(crate) outside: Outside<'a>,
}

/// What of a container is the host's, and not in the images of a checkpoint, as far as the configuration
/// tells.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Outside<'a> {
    /// Destinations of binds.
    #[serde(borrow)]
    pub(crate) binds: Vec<Text<'a>>,
    /// The first mount whose ids are mapped: its index, and its destination.
    #[serde(borrow)]
    pub(crate) mapped: Option<(usize, Text<'a>)>,
    /// `linux.maskedPaths`.
    #[serde(borrow)]
    pub(crate) masked: Vec<Text<'a>>,
    /// Paths of `linux.devices`.
    #[serde(borrow)]
    pub(crate) devices: Vec<Text<'a>>,
    /// Kinds of namespaces that it joined by their paths.
    #[serde(borrow)]
    pub(crate) joined: Vec<Text<'a>>,
}

impl<'a> Outside<'a> {
    /// What `config`, and what was planned of it, tells.
    fn of(config: &spec::Spec<'a>, plan: &plan::Create<'a>) -> Outside<'a> {
        let binds = config.mounts.iter().filter(|mount| plan::is_bind(mount));
        let mapped = plan.mapped_mount();
        let mut outside = Outside {
            binds: binds.map(|mount| mount.destination.clone()).collect(),
            mapped: mapped.map(|mount| (mount.index, Text(mount.destination.clone()))),
            ..Outside::default()
        };
        if let Some(linux) = &config.linux {
            let joined = linux.namespaces.iter().filter(|namespace| !namespace.path.is_empty());
            outside.masked.clone_from(&linux.masked_paths);
            outside.devices = linux.devices.iter().map(|device| device.path.clone()).collect();
            outside.joined = joined.map(|namespace| namespace.kind.clone()).collect();
        }
        outside
    }
}

/// The arguments of set_mempolicy(2): mode with flags, and nodes as a mask in words.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct MemoryPolicyRecord(u32, Vec<u64>);

impl<'a> ExecRecord<'a> {
    /// What `exec` will need of the container that is about to be made.
    pub(crate) fn new(
        record: &Record<'a>,
        config: &spec::Spec<'a>,
        plan: &plan::Create<'a>,
        filter: Option<&[u8]>,
    ) -> ExecRecord<'a> {
        let no_process = || spec::Process { cwd: Text::new("/"), ..spec::Process::default() };
        let memory = plan.policies.memory.as_ref();
        ExecRecord {
            cgroup: record.cgroup.clone(),
            resctrl: record.resctrl.clone(),
            process: config.process.clone().unwrap_or_else(no_process),
            filter: filter.map(Filter::fingerprint),
            personality: plan.policies.personality,
            memory_policy: memory
                .map(|policy| MemoryPolicyRecord(policy.mode, policy.nodes.words.clone())),
            outside: Outside::of(config, plan),
        }
    }

    /// How every process of the container runs.
    pub(crate) fn policies(&self) -> plan::Policies {
        let memory = self.memory_policy.as_ref().map(|MemoryPolicyRecord(mode, words)| {
            let nodes = plan::NumberSet { words: words.clone() };
            plan::MemoryPolicy { mode: *mode, nodes }
        });
        plan::Policies { personality: self.personality, memory }
    }
}

/// A cgroup's directory by controller; "" is cgroup v2.
pub(crate) type CgroupPaths<'a> = BTreeMap<Text<'a>, Text<'a>>;

/// The cgroup whose paths were stored.
pub(crate) fn cgroup_of(paths: &CgroupPaths<'_>) -> cgroup::Cgroup {
    cgroup::Cgroup::from_paths(paths.iter().map(|(name, path)| (name.as_str(), path.as_str())))
}

impl<'a> Record<'a> {
    /// The record of a container that is about to be made of `plan`.
    pub(crate) fn new(plan: &'a plan::Create<'a>, created: String) -> Record<'a> {
        use plan::{HookKind, NamespaceKind};
        let kinds = NamespaceKind::ALL.into_iter().filter(|kind| plan.namespaces.has(*kind));
        Record {
            version: VERSION,
            id: Text::new(plan.id),
            phase: Phase::Creating,
            pid: 0,
            start_time: 0,
            bundle: Text::new(plan.bundle),
            rootfs: Text(plan.root.path.clone()),
            created: created.into(),
            owner: nix::unistd::geteuid().as_raw(),
            rootless: plan.rootless,
            annotations: plan.annotations.clone(),
            cgroup: BTreeMap::new(),
            cgroup_number: 0,
            devices: if plan.rootless {
                Text::default()
            } else {
                plan.cgroup.devices.table.to_string().into()
            },
            own_devices: plan
                .cgroup
                .own_devices
                .iter()
                .map(|rule| format!("{} {} {}", rule.kind, rule.numbers(), rule.access))
                .collect::<Vec<_>>()
                .join(";")
                .into(),
            resctrl: plan.resctrl.as_ref().map(ResctrlRecord::new),
            unit: None,
            mounts_before: None,
            namespaces: kinds.map(|kind| Text::new(kind.file())).collect(),
            without_process: plan.process.args.is_empty(),
            agent: plan.seccomp.as_ref().and_then(|seccomp| seccomp.agent.as_ref()).map(|agent| {
                AgentRecord { path: Text(agent.path.clone()), metadata: Text::new(agent.metadata) }
            }),
            poststart: plan.hooks.of(HookKind::Poststart).to_vec(),
            poststop: plan.hooks.of(HookKind::Poststop).to_vec(),
        }
    }

    /// The container's cgroup, as its paths were stored.
    pub fn cgroup(&self) -> cgroup::Cgroup {
        let paths = self.cgroup.iter().map(|(name, path)| (name.as_str(), path.as_str()));
        cgroup::Cgroup::from_paths(paths)
    }

    /// Whether v1's freezer has it.
    pub(crate) fn has_v1_freezer(&self) -> bool {
        self.cgroup.contains_key(&Text::new("freezer"))
    }

    /// As much of the cgroup as its freezer needs.
    pub(crate) fn freezer(&self) -> cgroup::Cgroup {
        let path = |name| self.cgroup.get(&Text::new(name)).map(|path| (name, path.as_str()));
        let paths = ["freezer", ""].into_iter().filter_map(path);
        cgroup::Cgroup::from_paths(paths)
    }

    /// Whether the cgroup that is there now is the container's. A `create` that was killed may not
    /// have come to it, and one that was removed may have been made anew by somebody else.
    pub(crate) fn owns_cgroup(&self) -> bool {
        match (self.cgroup_number, self.cgroup().number()) {
            (_, None) => true,
            (0, Some(_)) => self.phase == Phase::Created,
            (own, Some(found)) => own == found,
        }
    }

    /// Notes where the cgroup is.
    pub(crate) fn remember_cgroup(&mut self, cgroup: &cgroup::Cgroup) {
        let paths = cgroup.paths();
        self.cgroup =
            paths.map(|(name, path)| (name.to_owned().into(), path.to_owned().into())).collect();
    }

    /// The name of the unit of systemd's that it may have.
    pub(crate) fn unit_name(&self) -> Option<&str> {
        self.unit.as_ref().map(|unit| &*unit.name)
    }

    /// The state as hooks get it.
    pub(crate) fn state(&self, status: spec::ContainerStatus, pid: Option<i32>) -> spec::State<'_> {
        spec::State {
            oci_version: spec::OCI_VERSION,
            id: &self.id,
            status,
            pid,
            bundle: &self.bundle,
            annotations: &self.annotations,
        }
    }

    /// Whether the container has its own namespace of that kind (a name of `/proc/PID/ns`).
    pub fn has_namespace(&self, file: &str) -> bool {
        self.namespaces.iter().any(|name| *name == file)
    }
}

/// All containers below one state directory.
#[derive(Debug, Clone)]
pub struct Store {
    root: PathBuf,
    /// The directory is in `XDG_RUNTIME_DIR`.
    of_user: bool,
}

/// An id that is a safe name for a directory: letters, digits and `_+-.`, at most 1,024 of them.
pub fn check_id(id: &str) -> Result<()> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_+-.".contains(&byte);
    // A longer one fits no file name of the state directory, nor of a cgroup.
    let fits = id.len() <= 255;
    if id.is_empty() {
        return Err(Error::State(messages::EMPTY_ID));
    }
    if fits && id.bytes().all(allowed) && id != "." && id != ".." {
        return Ok(());
    }
    Err(Error::State(messages::INVALID_ID))
}

impl Store {
    /// The store at `root` (`--root`); nothing is made yet.
    pub fn new(root: impl Into<PathBuf>) -> Store {
        Store { root: root.into(), of_user: false }
    }

    /// The store of an ordinary user, below its `XDG_RUNTIME_DIR`: made by [`reserve`](Store::reserve)
    /// for the user alone, and sticky, so that nobody clears it away (XDG Base Directory Specification).
    pub fn of_user(root: impl Into<PathBuf>) -> Store {
        Store { root: root.into(), of_user: true }
    }

    /// Whether the state directory exists.
    pub fn exists(&self) -> bool {
        self.root.is_dir()
    }

    /// Makes the directory of a new container; the id must be free.
    pub(crate) fn reserve(&self, id: &str) -> Result<ContainerDir> {
        check_id(id)?;
        let path = self.root.join(id);
        match mkdirat(nix::fcntl::AT_FDCWD, &path, Mode::from_bits_truncate(DIRECTORY_MODE)) {
            Ok(()) => {}
            Err(Errno::EEXIST) => return Err(Error::State(messages::ALREADY_EXISTS)),
            Err(Errno::ENOENT) => {
                std::fs::create_dir_all(&self.root).at("mkdir", self.root.to_string_lossy())?;
                if self.of_user {
                    let only_user = std::fs::Permissions::from_mode(0o1700);
                    std::fs::set_permissions(&self.root, only_user)
                        .at("chmod", self.root.to_string_lossy())?;
                }
                return self.reserve(id);
            }
            Err(errno) => {
                return Err(errno).at("mkdir", path.to_string_lossy()).map_err(Into::into);
            }
        }
        ContainerDir::open(path.clone()).inspect_err(|_| {
            // The first error is on its way to the user.
            let _ = unlinkat(nix::fcntl::AT_FDCWD, &path, UnlinkatFlags::RemoveDir);
        })
    }

    /// The directory of a container that exists.
    pub fn container(&self, id: &str) -> Result<ContainerDir> {
        check_id(id)?;
        ContainerDir::open(self.root.join(id))
    }

    /// The ids that containers may have here, in alphabetical order: [`ContainerDir::is_container`] knows
    /// which do.
    pub fn names(&self) -> Result<Vec<String>> {
        let entries = match std::fs::read_dir(&self.root) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            other => other.at("opendir", self.root.to_string_lossy())?,
        };
        let mut ids: Vec<String> = entries
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .filter(|id| check_id(id).is_ok())
            .collect();
        ids.sort_unstable();
        Ok(ids)
    }

    /// The ids of all containers, in alphabetical order.
    pub fn ids(&self) -> Result<Vec<String>> {
        let mut ids = self.names()?;
        ids.retain(|id| self.container(id).is_ok_and(|dir| dir.is_container()));
        Ok(ids)
    }
}

/// The directory of one container.
#[derive(Debug)]
pub struct ContainerDir {
    path: PathBuf,
    fd: OwnedFd,
}

/// The right to change a container; ends when the last copy of its descriptor is closed. A cloned
/// process has one, too: it drops it before anything else.
#[derive(Debug)]
pub struct Lock(#[allow(dead_code, reason = "held for its drop")] OwnedFd);

/// The record of a container that is being made, while it may be added to.
#[derive(Debug)]
pub(crate) struct Announced(OwnedFd);

impl Announced {
    /// Adds the number of the cgroup, which is there now.
    pub(crate) fn add_cgroup(&self, number: u64) -> Result<()> {
        write_all(self.0.as_fd(), format!("\n{number}").as_bytes()).at("write", CREATING_FILE)?;
        Ok(())
    }
}

/// The bytes of a record, from which [`Record`] borrows.
#[derive(Debug)]
pub struct RecordBytes {
    file: PathBuf,
    bytes: Vec<u8>,
}

impl ContainerDir {
    fn open(path: PathBuf) -> Result<ContainerDir> {
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW;
        match openat(nix::fcntl::AT_FDCWD, &path, flags, Mode::empty()) {
            Ok(fd) => Ok(ContainerDir { path, fd }),
            Err(Errno::ENOENT) => Err(Error::State(messages::DOES_NOT_EXIST)),
            Err(errno) => Err(errno).at("open", path.to_string_lossy()).map_err(Into::into),
        }
    }

    /// Whether it is a container's at all: it has a record, or is as `create` makes it before it writes
    /// one.
    pub fn is_container(&self) -> bool {
        self.has(STATE_FILE) || self.has(CREATING_FILE) || self.is_new()
    }

    /// Whether it is as `create` makes it.
    fn is_new(&self) -> bool {
        let is_empty = std::fs::read_dir(&self.path).is_ok_and(|mut files| files.next().is_none());
        let mode = nix::sys::stat::fstat(&self.fd).map_or(0, |stat| stat.st_mode & 0o7777);
        is_empty && mode == DIRECTORY_MODE
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn reopen(&self) -> Result<OwnedFd> {
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        Ok(openat(&self.fd, ".", flags, Mode::empty()).at("open", self.path.to_string_lossy())?)
    }

    /// Waits for the right to change the container.
    pub fn lock(&self) -> Result<Lock> {
        let fd = self.reopen()?;
        sys::lock_file(fd.as_fd(), true, true).map_err(|error| self.named(error))?;
        Ok(Lock(fd))
    }

    /// The right to change the container, if nobody has it.
    pub(crate) fn try_lock(&self) -> Result<Option<Lock>> {
        let fd = self.reopen()?;
        match sys::lock_file(fd.as_fd(), true, false) {
            Ok(()) => Ok(Some(Lock(fd))),
            Err(error) if error.errno == Errno::EWOULDBLOCK => Ok(None),
            Err(error) => Err(self.named(error).into()),
        }
    }

    fn named(&self, error: sys::Error) -> sys::Error {
        sys::Error { object: text(&self.path).into_owned(), ..error }
    }

    /// Whether this path leads to the directory.
    pub(crate) fn is_at(&self, path: &Path) -> bool {
        let own = nix::sys::stat::fstat(&self.fd).map(|own| (own.st_dev, own.st_ino));
        let found = nix::sys::stat::stat(path).map(|found| (found.st_dev, found.st_ino));
        own.is_ok() && own == found
    }

    /// Whether somebody is changing the container right now.
    pub fn is_locked(&self) -> bool {
        let Ok(fd) = self.reopen() else { return false };
        let attempt = sys::lock_file(fd.as_fd(), false, false);
        attempt.is_err_and(|error| error.errno == Errno::EWOULDBLOCK)
    }

    /// Whether the directory is still the one that its path names: `delete` may have come between
    /// opening and locking it.
    pub fn exists(&self) -> Result<bool> {
        let stat = nix::sys::stat::fstat(&self.fd).at("fstat", text(&self.path))?;
        Ok(stat.st_nlink > 0)
    }

    /// Reads the record's bytes.
    pub fn read_record(&self) -> Result<RecordBytes> {
        for name in [STATE_FILE, CREATING_FILE, STATE_FILE] {
            match self.read(name) {
                // Its `create` is at the point of writing it, or was ended there: there is nothing.
                Ok(bytes) if bytes.is_empty() && name == CREATING_FILE => {}
                Ok(bytes) => return Ok(RecordBytes::of(self.path.join(name), bytes)),
                // The third look is for a `create` that finished between the first two.
                Err(sys::Error { errno: Errno::ENOENT, .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(Error::State(messages::DOES_NOT_EXIST))
    }

    /// Saves the record before there is anything of the container.
    pub(crate) fn announce(&self, record: &Record<'_>) -> Result<Announced> {
        self.create_file(CREATING_FILE, &self.to_json(record)?).map(Announced)
    }

    /// Saves the record of a container that is complete: whole, or not at all.
    ///
    /// The name is new, so that no file system takes the rename for a replacement that it must
    /// bring to the disk first (ext4 does, and deleting then waits for it).
    pub(crate) fn publish(&self, record: &Record<'_>) -> Result<()> {
        const NEW: &str = ".state.json.new";
        self.write(NEW, &self.to_json(record)?)?;
        self.rename(NEW, STATE_FILE)?;
        self.unlink(CREATING_FILE)
    }

    /// Saves what `exec` needs.
    pub(crate) fn save_exec(&self, record: &ExecRecord<'_>) -> Result<()> {
        self.write(EXEC_FILE, &self.to_json(record)?)
    }

    /// Reads what `exec` needs.
    pub(crate) fn read_exec(&self) -> Result<RecordBytes> {
        Ok(RecordBytes::of(self.path.join(EXEC_FILE), self.read(EXEC_FILE)?))
    }

    fn to_json(&self, value: &impl Serialize) -> Result<Vec<u8>> {
        serde_json::to_vec(value).map_err(|error| Error::Damaged {
            file: self.path.display().to_string(),
            why: error.to_string(),
        })
    }

    /// Reads one of the directory's files.
    pub(crate) fn read(&self, name: &str) -> std::result::Result<Vec<u8>, sys::Error> {
        let path = self.path.join(name);
        let object = path.to_string_lossy();
        let file = openat(&self.fd, name, OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty())
            .at("open", &object)?;
        read_all(file.as_fd()).at("read", &object)
    }

    /// Reads one of the directory's files that nobody else may have written.
    pub(crate) fn read_own(&self, name: &str) -> Result<Vec<u8>> {
        let path = self.path.join(name);
        let object = path.to_string_lossy();
        // Opening a FIFO must not wait for who writes into it.
        let flags = OFlag::O_RDONLY | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
        let file = openat(&self.fd, name, flags, Mode::empty()).at("open", &object)?;
        let found = nix::sys::stat::fstat(&file).at("fstat", &object)?;
        let owner = nix::sys::stat::fstat(&self.fd).at("fstat", text(&self.path))?.st_uid;
        let why = match found {
            found if !is_regular(&found) => "is no regular file".to_owned(),
            found if found.st_uid != owner => {
                format!("belongs to user {}, and its directory to user {owner}", found.st_uid)
            }
            found if found.st_mode & 0o022 != 0 => {
                format!("can be written by others (mode {:04o})", found.st_mode & 0o7777)
            }
            _ => return Ok(read_all(file.as_fd()).at("read", &object)?),
        };
        Err(Error::Damaged { file: object.into_owned(), why })
    }

    /// Writes one of the directory's files, which must not exist yet, or is left over.
    pub(crate) fn write(&self, name: &str, bytes: &[u8]) -> Result<()> {
        self.create_file(name, bytes).map(drop)
    }

    fn create_file(&self, name: &str, bytes: &[u8]) -> Result<OwnedFd> {
        let path = self.path.join(name);
        let object = path.to_string_lossy();
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_TRUNC | OFlag::O_CLOEXEC;
        let file =
            openat(&self.fd, name, flags, Mode::from_bits_truncate(0o600)).at("open", &object)?;
        write_all(file.as_fd(), bytes).at("write", &object)?;
        Ok(file)
    }

    /// The path of one of the directory's files through a descriptor: short enough for a socket.
    pub(crate) fn short_path(&self, name: &str) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}/{name}", self.fd.as_raw_fd()))
    }

    /// Whether one of the directory's files exists.
    pub(crate) fn has(&self, name: &str) -> bool {
        let access = nix::unistd::AccessFlags::F_OK;
        nix::unistd::faccessat(&self.fd, name, access, AtFlags::empty()).is_ok()
    }

    /// Renames one of the directory's files; that it has the new name already is fine.
    pub(crate) fn rename(&self, old: &str, new: &str) -> Result<()> {
        match nix::fcntl::renameat(&self.fd, old, &self.fd, new) {
            Ok(()) => Ok(()),
            Err(Errno::ENOENT) if self.has(new) => Ok(()),
            Err(errno) => Err(errno).at("rename", text(&self.path.join(old))).map_err(Into::into),
        }
    }

    /// Removes one of the directory's files; that it is gone already is fine.
    pub(crate) fn unlink(&self, name: &str) -> Result<()> {
        match unlinkat(&self.fd, name, UnlinkatFlags::NoRemoveDir) {
            Ok(()) | Err(Errno::ENOENT) => Ok(()),
            Err(errno) => {
                Err(errno).at("unlink", self.path.join(name).to_string_lossy()).map_err(Into::into)
            }
        }
    }

    /// Removes the directory with all that is in it: the record last, so that what could not be
    /// removed is found again.
    pub(crate) fn remove(&self) -> Result<()> {
        let sockets = [START_SOCKET, KNOCKED_SOCKET];
        let files = [SECCOMP_FILE, EXEC_FILE, CREATING_FILE, STATE_FILE];
        for name in sockets.into_iter().chain(files) {
            self.unlink(name)?;
        }
        match unlinkat(nix::fcntl::AT_FDCWD, &self.path, UnlinkatFlags::RemoveDir) {
            Ok(()) | Err(Errno::ENOENT) => Ok(()),
            Err(Errno::ENOTEMPTY) => {
                Ok(std::fs::remove_dir_all(&self.path).at("rmdir", self.path.to_string_lossy())?)
            }
            Err(errno) => Err(errno).at("rmdir", self.path.to_string_lossy()).map_err(Into::into),
        }
    }
}

impl AsFd for ContainerDir {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl RecordBytes {
    /// Bytes that are from `file`.
    pub(crate) fn of(file: PathBuf, bytes: Vec<u8>) -> RecordBytes {
        RecordBytes { file, bytes }
    }

    /// The record, borrowing from these bytes.
    pub fn record(&self) -> Result<Record<'_>> {
        let damaged = |why: String| Error::Damaged { file: self.file.display().to_string(), why };
        let (bytes, number) = self.lines();
        let mut record: Record<'_> =
            spec::parse(bytes).map_err(|error| damaged(format!("damaged: {error}")))?;
        record.cgroup_number = number.unwrap_or(record.cgroup_number);
        if record.version != VERSION {
            return Err(damaged(format!(
                "written by another version (layout {}, this one is {VERSION})",
                record.version
            )));
        }
        Ok(record)
    }

    /// The record itself, which has no line feed, and the number that was added to it.
    fn lines(&self) -> (&[u8], Option<u64>) {
        let mut lines = self.bytes.splitn(2, |byte| *byte == b'\n');
        let record = lines.next().unwrap_or_default();
        let number = lines.next().and_then(|line| std::str::from_utf8(line).ok()?.parse().ok());
        (record, number)
    }

    /// What `exec` needs, borrowing from these bytes.
    pub(crate) fn exec(&self) -> Result<ExecRecord<'_>> {
        spec::parse(&self.bytes).map_err(|error| self.damaged(format!("damaged: {error}")))
    }

    fn damaged(&self, why: String) -> Error {
        Error::Damaged { file: self.file.display().to_string(), why }
    }
}

/// Reads the file at `path` to its end.
pub(crate) fn read_path(path: &str) -> nix::Result<Vec<u8>> {
    let flags = OFlag::O_RDONLY | OFlag::O_CLOEXEC;
    let file = openat(nix::fcntl::AT_FDCWD, path, flags, Mode::empty())?;
    read_all(file.as_fd())
}

/// Reads a file to its end.
pub(crate) fn read_all(file: BorrowedFd<'_>) -> nix::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(4096);
    let mut buffer = [0; 4096];
    loop {
        match nix::unistd::read(file, &mut buffer) {
            Ok(0) => return Ok(bytes),
            Ok(n) => bytes.extend_from_slice(buffer.get(..n).unwrap_or_default()),
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno),
        }
    }
}

/// Writes all of it.
pub(crate) fn write_all(file: BorrowedFd<'_>, mut bytes: &[u8]) -> nix::Result<()> {
    while !bytes.is_empty() {
        match nix::unistd::write(file, bytes) {
            Ok(n) => bytes = bytes.get(n..).unwrap_or_default(),
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

/// Whether it is neither a directory, nor a device, a pipe, a socket.
pub(crate) fn is_regular(found: &FileStat) -> bool {
    found.st_mode & SFlag::S_IFMT.bits() == SFlag::S_IFREG.bits()
}

/// A path as text for messages and records.
pub(crate) fn text(path: &Path) -> Cow<'_, str> {
    path.to_string_lossy()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_names_of_directories() {
        for id in ["a", "web-1", "A_b+c.d", "..."] {
            assert!(check_id(id).is_ok(), "{id}");
        }
        for id in ["", ".", "..", "a/b", "a b", "ä", &"x".repeat(256)] {
            assert!(check_id(id).is_err(), "{id}");
        }
    }

    #[test]
    fn what_was_added_to_a_record_is_not_part_of_it() {
        let lines = |text: &str| {
            let bytes = RecordBytes::of(PathBuf::new(), text.into());
            let (record, number) = bytes.lines();
            (String::from_utf8(record.to_vec()).unwrap(), number)
        };
        assert_eq!(lines("{}"), ("{}".to_owned(), None));
        assert_eq!(lines("{}\n4711"), ("{}".to_owned(), Some(4711)));
        assert_eq!(lines("{}\n"), ("{}".to_owned(), None));
    }
}
