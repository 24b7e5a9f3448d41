//! `create` and `run`: from a bundle to a container, on the runtime's side.
//!
//! The story is [`make`]; what the child does meanwhile is [`crate::init`]. Everything that exists is
//! owned by a [`Making`], which undoes it in reverse unless it is finished.

use std::os::fd::OwnedFd;
use std::path::Path;
use std::rc::Rc;
use std::time::SystemTime;

use log::debug;
use nix::poll::PollTimeout;
use nix::sys::signal::Signal;
use nix::sys::signalfd::SignalFd;
use nix::unistd::Pid;
use plan::{CgroupChoice, Command, HookKind};
use spec::ContainerStatus;

use crate::agent::{self, Agent};
use crate::bundle::{self, Bundle};
use crate::channel::{Channel, Message};
use crate::error::{Error, Result, Step};
use crate::hooks::{self, HookFiles, Place};
use crate::init::{self, Init, Start};
use crate::listen::Passed;
use crate::process::{Forked, Process};
use crate::receiver::Receiver;
use crate::store::{Announced, ContainerDir, ExecRecord, Lock, Record, SECCOMP_FILE, Store};
use crate::units::NewUnit;
use crate::{
    device_rules, foreground, host_mounts, idmap, limits, messages, net_devices, notify, pid_file,
    probe, process, resctrl, start_socket, trace, units,
};

/// How long a process that the kernel is killing may take, in milliseconds.
const DYING: u16 = 500;

/// What `create` and `run` are asked for.
pub struct Request<'a> {
    /// Where containers are kept.
    pub store: &'a Store,
    /// The new container's id.
    pub id: &'a str,
    /// What it is made of.
    pub bundle: &'a Bundle,
    /// Who gets the terminal (`--console-socket`).
    pub console_socket: Option<&'a Path>,
    /// Who gets the init's descriptor (`--pidfd-socket`).
    pub pidfd_socket: Option<&'a Path>,
    /// Where the pid is written (`--pid-file`).
    pub pid_file: Option<&'a Path>,
    /// `--no-pivot`.
    pub no_pivot: bool,
    /// `--no-new-keyring`.
    pub keep_keyring: bool,
    /// Descriptors and variables that the process gets.
    pub passed: &'a Passed,
    /// Whether the command returns while the container lives.
    pub detach: bool,
    /// Who makes the cgroup (`--systemd-cgroup`, `--cgroup-manager`).
    pub cgroups: Cgroups,
    /// Where a timeline of the steps is written (`--trace`).
    pub trace: Option<&'a trace::Request>,
    /// Whether to do without the cgroups that may not be made (`--rootless`); `None`: as root no,
    /// without root's powers yes.
    pub rootless_cgroups: Option<bool>,
    /// Told what hinders nothing but should be known.
    pub warn: &'a dyn Fn(&str),
}

impl Request<'_> {
    /// Whether the cgroups are to be treated as a user's.
    pub(crate) fn is_rootless(&self, plan: &plan::Create<'_>) -> bool {
        self.rootless_cgroups.unwrap_or(plan.rootless)
    }
}

/// Who makes a new container's cgroup.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cgroups {
    /// The runtime.
    Files,
    /// Systemd: the machine's, or for a user without root's powers the user's.
    Systemd,
    /// Nobody: the container stays where the runtime is.
    Disabled,
}

/// `create`: the container waits for `start`.
pub fn create(request: &Request<'_>) -> Result<()> {
    with_plan(request, Command::Create, |config, plan| {
        let (mut made, channel) = make(request, config, plan, true)?;
        made.save(request)?;
        channel.go()?;
        made.finish(request)?;
        Ok(())
    })
}

/// A container whose process runs, as a child of this process.
#[derive(Debug)]
pub(crate) struct Started {
    /// Its init.
    pub(crate) process: Process,
    /// The terminal's master, unless it went to a console socket.
    pub(crate) terminal: Option<OwnedFd>,
    /// The signals that are passed on, in the foreground.
    pub(crate) signals: Option<SignalFd>,
}

/// `run`: the same, started at once. Returns the process's exit status; 0 if detached.
///
/// Unless `keep`, a container that ended is deleted.
pub fn run(request: &Request<'_>, keep: bool) -> Result<i32> {
    let started = with_plan(request, Command::Run, |config, plan| {
        let (mut made, channel) = make(request, config, plan, false)?;
        let listener = notify::listen(&made.dir)?;
        let signals = foreground::hold_signals(request.detach)?;
        // First: were this process ended while the program runs, `state` and `delete` must find it.
        made.save(request)?;
        made.let_go(&channel)?;
        let started = Started { signals, ..made.finish(request)? };
        after_start(request, plan)?;
        if let Some(listener) = listener {
            match request.detach {
                true => listener.wait(&started.process)?,
                false => listener.wait_aside(&started.process)?,
            }
        }
        Ok(started)
    })?;
    let Some(signals) = &started.signals else {
        return Ok(0);
    };
    let status = foreground::wait(&started.process, started.terminal, signals)?;
    if !keep {
        crate::delete::delete(request.store, request.id, true, request.warn)?;
    }
    Ok(status)
}

fn after_start(request: &Request<'_>, plan: &plan::Create<'_>) -> Result<()> {
    if plan.hooks.of(HookKind::Poststart).is_empty() {
        return Ok(());
    }
    let dir = request.store.container(request.id)?;
    let bytes = dir.read_record()?;
    let result = crate::start::run_poststart(&bytes.record()?);
    if result.is_err() {
        // A container whose hooks failed is stopped and removed (runtime.md, "Lifecycle", 9).
        crate::delete::delete(request.store, request.id, true, request.warn)?;
    }
    result
}

/// Plans, and acts; with a timeline if one is wanted.
pub(crate) fn with_plan<T>(
    request: &Request<'_>,
    command: Command,
    act: impl FnOnce(&spec::Spec<'_>, &plan::Create<'_>) -> Result<T>,
) -> Result<T> {
    let Some(wanted) = request.trace else {
        return plan_and(request, command, act);
    };
    trace::start(wanted.started)?;
    let done = plan_and(request, command, act);
    let command = match command {
        Command::Create => "create",
        Command::Run => "run",
        Command::Restore => "restore",
    };
    if let Err(error) = trace::write(&wanted.file, &format!("{command} {}", request.id)) {
        (request.warn)(&error.to_string());
    }
    done
}

fn plan_and<T>(
    request: &Request<'_>,
    command: Command,
    act: impl FnOnce(&spec::Spec<'_>, &plan::Create<'_>) -> Result<T>,
) -> Result<T> {
    crate::store::check_id(request.id)?;
    debug!("bundle: {}, {} bytes", request.bundle.file, request.bundle.bytes.len());
    let config = trace::during("read config.json", || {
        bundle::parse(&request.bundle.file, &request.bundle.bytes)
    })?;
    let receiver = probe::seccomp_receiver();
    let host = trace::during("ask the host", || {
        probe::host(&config, request.id, &request.bundle.directory, &receiver)
    })?;
    let options = plan::Options {
        id: request.id,
        detach: request.detach,
        command,
        console_socket: request.console_socket.is_some(),
        keep_keyring: request.keep_keyring,
        no_pivot: request.no_pivot,
        cgroups: choice(request.cgroups),
    };
    let plan = trace::during("plan", || plan::create(&config, &host, &options))?;
    for warning in &plan.warnings {
        (request.warn)(warning);
    }
    act(&config, &plan)
}

/// Who makes the cgroup, with whose systemd that is.
pub(crate) fn choice(cgroups: Cgroups) -> CgroupChoice {
    match cgroups {
        Cgroups::Files => CgroupChoice::Files,
        Cgroups::Systemd => CgroupChoice::Systemd(units::instance()),
        Cgroups::Disabled => CgroupChoice::Disabled,
    }
}

/// Everything that exists of a container being made. Dropped, it undoes itself: the process, the
/// unit, the cgroup, the directory, in this order; before them network devices go back.
#[derive(Debug)]
pub(crate) struct Making<'p> {
    pub(crate) dir: ContainerDir,
    pub(crate) record: Record<'p>,
    cgroup: Option<cgroup::Created>,
    /// The saved record, for as long as the cgroup's number is still to be added.
    announced: Option<Announced>,
    pub(crate) unit: Option<NewUnit>,
    pub(crate) child: Option<Process>,
    devices: Option<net_devices::Moved>,
    resctrl: Option<resctrl::Joined<'p>>,
    pub(crate) terminal: Option<OwnedFd>,
    finished: bool,
    /// The last to go.
    lock: Option<Lock>,
}

/// From a plan to a container whose init only waits for the word to start.
fn make<'p>(
    request: &Request<'_>,
    config: &spec::Spec<'_>,
    plan: &'p plan::Create<'p>,
    for_start: bool,
) -> Result<(Making<'p>, Channel)> {
    let console = Receiver::connect_if(request.console_socket, "console socket")?;
    let holder = Receiver::connect_if(request.pidfd_socket, "pidfd socket")?;
    let watcher = Receiver::connect_if(plan.pidfd_receiver.map(Path::new), "pidfd receiver")?;
    let hook_files = HookFiles::open(plan.annotations, plan.bundle)?;
    pid_file::check(request.pid_file)?;
    let (mut making, place, join) = Making::begin(request, config, plan)?;
    let (channel, child_channel) = Channel::pair()?;
    let notify = notify::mount(&making.dir)?;
    let mut extra_env = request.passed.environment.clone();
    extra_env.extend(notify::variable());
    let start = making.way_to_start(for_start)?;
    let program = making.set_device_rules(&place, &join, plan, request.is_rootless(plan))?;
    init::hide(plan.rootless)?;
    let (forked, needs_unit) = making.clone_init(plan, &place, &join)?;
    match forked {
        Forked::Child => {
            // Of the parent's things nothing may live on in the container.
            making.forget_as_child();
            drop((channel, holder, watcher));
            init::run(Init {
                plan,
                channel: Rc::new(child_channel),
                join: &join,
                needs_unit,
                cgroup: &place,
                start,
                console,
                notify,
                passed: request.passed,
                extra_env: &extra_env,
                hook_files: &hook_files,
            })
        }
        Forked::Parent(process) => making.child = Some(process),
    }
    debug!("clone3: process {}", making.child()?.pid());
    sys::close_all(join.into_fds().into_iter().chain(program))?;
    drop((child_channel, start));
    making.accompany(plan, &place, &channel, &hook_files).map_err(|error| making.explain(error))?;
    for receiver in holder.iter().chain(&watcher) {
        receiver.send(b"standard", making.child()?.pidfd()?)?;
    }
    Ok((making, channel))
}

impl<'p> Making<'p> {
    /// Reserves the id, saves what will be, and makes the cgroup: where it is, and how to join it.
    pub(crate) fn begin(
        request: &Request<'_>,
        config: &spec::Spec<'_>,
        plan: &'p plan::Create<'p>,
    ) -> Result<(Making<'p>, cgroup::Cgroup, cgroup::Join)> {
        let (mut place, unit) = limits::place(plan)?;
        limits::warn_of_ignored(&place, &plan.cgroup.resources, request.warn);
        device_rules::check(&place, plan)?;
        let dir = trace::during("make the state directory", || request.store.reserve(request.id))?;
        debug!("state directory: {}", dir.path().display());
        let lock = dir.lock().inspect_err(|_| {
            // The first error is on its way to the user.
            let _ = dir.remove();
        })?;
        let now = humantime::format_rfc3339_nanos(SystemTime::now()).to_string();
        let mut making = Making::of(dir, Record::new(plan, now), lock, unit);
        let announced = making.remember(&place, plan, config)?;
        let join = making.create_cgroup(&mut place, request.is_rootless(plan), announced)?;
        Ok((making, place, join))
    }

    fn of(
        dir: ContainerDir,
        mut record: Record<'p>,
        lock: Lock,
        unit: Option<NewUnit>,
    ) -> Making<'p> {
        record.unit = unit.as_ref().map(NewUnit::record);
        Making {
            dir,
            record,
            cgroup: None,
            announced: None,
            unit,
            child: None,
            devices: None,
            resctrl: None,
            terminal: None,
            finished: false,
            lock: Some(lock),
        }
    }

    /// Saves what will have to be cleaned up, before there is anything of it.
    fn remember(
        &mut self,
        place: &cgroup::Cgroup,
        plan: &plan::Create<'_>,
        config: &spec::Spec<'_>,
    ) -> Result<Announced> {
        let _step = trace::step("save what will be", "");
        self.record.remember_cgroup(place);
        self.record.mounts_before = host_mounts::before(plan)?;
        let announced = self.dir.announce(&self.record)?;
        let filter = plan.seccomp.as_ref().map(|seccomp| seccomp.filter.to_bytes());
        let exec = ExecRecord::new(&self.record, config, plan, filter.as_deref());
        self.dir.save_exec(&exec)?;
        if let Some(filter) = filter {
            self.dir.write(SECCOMP_FILE, &filter)?;
        }
        Ok(announced)
    }

    fn create_cgroup(
        &mut self,
        place: &mut cgroup::Cgroup,
        rootless: bool,
        announced: Announced,
    ) -> Result<cgroup::Join> {
        let _step = trace::step("make the cgroup", "");
        let denied = if rootless { cgroup::OnDenied::Skip } else { cgroup::OnDenied::Fail };
        let scope = self.unit.as_ref().is_some_and(NewUnit::is_scope);
        let mut created = match scope {
            true => place.create_for_scope(denied, self.has_subgroup())?,
            false => place.create(denied)?,
        };
        // A user may have got less than was planned.
        self.record.remember_cgroup(place);
        let join = std::mem::take(&mut created.join);
        // Where there was a directory before, or is none yet, the unit may become somebody else's.
        let is_ours = self.unit.is_none() || created.is_all_new(place);
        self.cgroup = Some(created);
        if is_ours {
            self.record.cgroup_number = place.number().unwrap_or(0);
            announced.add_cgroup(self.record.cgroup_number)?;
        } else {
            self.announced = Some(announced);
        }
        Ok(join)
    }

    fn has_subgroup(&self) -> bool {
        self.unit.as_ref().is_some_and(NewUnit::has_subgroup)
    }

    /// Whether it is systemd that makes most of the cgroup, and puts the init into it: on v1, and where
    /// the container's is below the unit's.
    pub(crate) fn waits_for_systemd(&self, place: &cgroup::Cgroup) -> bool {
        let left_to_it = !place.is_unified() || self.has_subgroup();
        left_to_it && self.unit.as_ref().is_some_and(NewUnit::is_scope)
    }

    /// Before anybody is in the cgroup; or later, if there is none yet.
    pub(crate) fn set_device_rules(
        &self,
        place: &cgroup::Cgroup,
        join: &cgroup::Join,
        plan: &plan::Create<'_>,
        rootless: bool,
    ) -> Result<Option<OwnedFd>> {
        match self.waits_for_systemd(place) {
            true => Ok(None),
            false => device_rules::set(place, self.cgroup.as_ref(), join, plan, rootless),
        }
    }

    fn way_to_start(&self, for_start: bool) -> Result<Start> {
        Ok(match for_start {
            true => Start::Socket(start_socket::listen(&self.dir)?),
            false => Start::Channel,
        })
    }

    /// Clones the init, or the stage that clones it; the second says whether it will ask for the unit.
    fn clone_init(
        &self,
        plan: &plan::Create<'_>,
        place: &cgroup::Cgroup,
        join: &cgroup::Join,
    ) -> Result<(Forked, bool)> {
        let _step = trace::step("clone the init", "");
        let staged = init::needs_stage(&plan.namespaces);
        let flags = if staged { 0 } else { init::clone_flags(&plan.namespaces) };
        let must_wait = staged || self.waits_for_systemd(place);
        units::clone_into(self.unit.as_ref(), flags, join, must_wait)
    }

    /// In the child: closes what is the parent's, and undoes nothing.
    fn forget_as_child(&mut self) {
        self.finished = true;
        self.lock = None;
        self.announced = None;
    }

    fn child(&self) -> Result<&Process> {
        self.child.as_ref().ok_or(Error::State(messages::NOT_RUNNING))
    }

    /// What the runtime does from outside while the child makes itself ready.
    fn accompany(
        &mut self,
        plan: &'p plan::Create<'p>,
        place: &cgroup::Cgroup,
        channel: &Channel,
        hook_files: &HookFiles,
    ) -> Result<()> {
        self.start_unit()?;
        self.map_ids_of_child(plan, channel)?;
        if self.unit.is_none() {
            trace::during("set the limits", || place.set(&plan.cgroup.resources))
                .step(|| "linux.resources".to_owned())?;
        }
        self.attend(plan, place, channel, hook_files)?;
        limits::delegate(place, plan, self.child()?.pid())?;
        self.join_resctrl(plan)?;
        limits::set_on_process(self.child()?.pid(), &plan.process, limits_from_outside(plan))
    }

    /// A new user namespace, made by clone3, waits for its maps.
    fn map_ids_of_child(&self, plan: &plan::Create<'_>, channel: &Channel) -> Result<()> {
        let namespaces = &plan.namespaces;
        if namespaces.creates(plan::NamespaceKind::User) && !init::needs_stage(namespaces) {
            debug!("id maps of process {}", self.child()?.pid());
            idmap::write(self.child()?.pid(), namespaces)?;
            channel.go()?;
        }
        Ok(())
    }

    /// Puts the child, and with it all its children to be, into the resctrl groups.
    pub(crate) fn join_resctrl(&mut self, plan: &'p plan::Create<'p>) -> Result<()> {
        if let Some(groups) = &plan.resctrl {
            debug!("resctrl group {}", groups.group);
            self.resctrl = Some(resctrl::join_new(groups, self.child()?.pid())?);
        }
        Ok(())
    }

    /// Asks systemd for the unit, which meanwhile makes it.
    pub(crate) fn start_unit(&mut self) -> Result<()> {
        let pid = self.child()?.pid().as_raw();
        self.unit.as_mut().map_or(Ok(()), |unit| unit.start(pid))
    }

    /// Waits until systemd has made the unit; only then do the cgroup's files keep what is written.
    pub(crate) fn complete_unit(
        &mut self,
        plan: &plan::Create<'_>,
        place: &cgroup::Cgroup,
    ) -> Result<()> {
        let Some(unit) = &mut self.unit else {
            return Ok(());
        };
        if trace::waiting("wait for systemd", || unit.wait())? {
            debug!("systemd has made unit {:?}", self.record.unit);
            place.complete_scope(self.child()?.pid().as_raw(), self.has_subgroup())?;
            if let Some(announced) = self.announced.take() {
                self.record.cgroup_number = place.number().unwrap_or(0);
                announced.add_cgroup(self.record.cgroup_number)?;
            }
            if place.has_v1_devices() {
                device_rules::with_lines(plan, |rules| place.set_devices(rules))??;
            } else if !place.is_unified() || self.waits_for_systemd(place) {
                device_rules::set(place, None, &place.join(&[])?, plan, false)?;
            }
            place.set(&plan.cgroup.resources).step(|| "linux.resources".to_owned())?;
        }
        Ok(())
    }

    /// Listens to the child until it is ready.
    fn attend(
        &mut self,
        plan: &plan::Create<'_>,
        place: &cgroup::Cgroup,
        channel: &Channel,
        hook_files: &HookFiles,
    ) -> Result<()> {
        let mut staged = init::needs_stage(&plan.namespaces);
        loop {
            if staged && !channel.speaks_before(self.child()?)? {
                // The init, if there is one, has the channel's other end, too, and waits for an answer.
                return Err(self.died());
            }
            match trace::waiting("wait for the init", || channel.receive())? {
                Message::NeedsMaps => {
                    idmap::write(self.child()?.pid(), &plan.namespaces)?;
                    channel.go()?;
                }
                Message::Init(pid) => {
                    self.adopt(pid)?;
                    staged = false;
                    channel.go()?;
                }
                Message::NeedsIdMap(index, tree) => {
                    idmap::map_mount(plan, index, &tree)?;
                    channel.go()?;
                }
                Message::NeedsUnit => {
                    self.complete_unit(plan, place)?;
                    channel.go()?;
                }
                Message::NeedsHooks => {
                    self.complete_unit(plan, place)?;
                    self.run_runtime_hooks(plan, hook_files)?;
                    channel.go()?;
                }
                Message::NeedsNetDevices => {
                    debug!("network devices: {:?}", plan.net_devices);
                    self.devices =
                        Some(net_devices::move_into(&plan.net_devices, self.child()?.pid())?);
                    channel.go()?;
                }
                Message::Terminal(master) => self.terminal = Some(master),
                Message::Ready => {
                    debug!("the init is ready");
                    return self.complete_unit(plan, place);
                }
                // Steps are shown already; the filter is loaded once it is ready and let go; a
                // socket is only CRIU's to send.
                Message::Step(_) | Message::Listener(_) | Message::Socket(_) => {}
                Message::Failed(failure) => return Err(Error::Init(failure.during_init())),
                Message::Closed | Message::Unheard => return Err(self.died()),
            }
        }
    }

    /// The stage has cloned the init and ends.
    fn adopt(&mut self, pid: Pid) -> Result<()> {
        let init = Process::of_child(pid)?;
        if let Some(stage) = self.child.replace(init) {
            stage.reap()?;
        }
        Ok(())
    }

    pub(crate) fn run_runtime_hooks(
        &self,
        plan: &plan::Create<'_>,
        files: &HookFiles,
    ) -> Result<()> {
        let pid = Some(self.child()?.pid().as_raw());
        let state = self.record.state(ContainerStatus::Creating, pid);
        let place = Place::of_runtime(plan.bundle, files);
        for kind in [HookKind::Prestart, HookKind::CreateRuntime] {
            hooks::run(kind, plan.hooks.of(kind), &state, place)?;
        }
        Ok(())
    }

    /// Lets the init go, and waits until it has become the user's program.
    fn let_go(&self, channel: &Channel) -> Result<()> {
        let child = self.child()?;
        let state = self.record.state(ContainerStatus::Created, Some(child.pid().as_raw()));
        let agent = Agent::connect(self.record.agent.as_ref(), state)?;
        debug!("the init may go on");
        trace::waiting("let it go, wait for the program", || {
            agent::let_go(channel, child, agent.as_ref())
        })
        .map_err(Error::late)
    }

    /// Why a child that said nothing is gone.
    fn died(&self) -> Error {
        if let Some(error) = self.killed_for_memory() {
            return error;
        }
        let status = self.child().and_then(Process::reap);
        Error::Died {
            how: match status {
                Ok(status @ 129..) => {
                    let memory = self.limit_without_cgroup().filter(|_| status == 128 + 9);
                    let hint = memory.map(|limit| format!(" (memory limit of {limit} too low?)"));
                    let signal = status - 128;
                    format!(
                        "container init was killed by signal {signal}{}",
                        hint.unwrap_or_default()
                    )
                }
                Ok(status) => format!("container init ended with status {status}"),
                Err(error) => format!("container init is gone: {error}"),
            },
        }
    }

    /// An error that only follows from the child having been killed gives way to why it was.
    fn explain(&self, error: Error) -> Error {
        let Some(child) = &self.child else {
            return error;
        };
        let ended = || child.wait_for_end(PollTimeout::from(DYING)).unwrap_or(false);
        match (&error, self.killed_for_memory()) {
            (Error::Died { .. }, _) => error,
            (_, Some(killed)) if ended() => killed,
            // What it has said itself.
            (Error::Init(_), None) => error,
            (_, None) if self.limit_without_cgroup().is_some() && ended() => self.died(),
            _ => error,
        }
    }

    /// What to say if the kernel killed the child for want of memory.
    fn killed_for_memory(&self) -> Option<Error> {
        let cgroup = self.record.cgroup();
        if !cgroup.oom_kills().is_ok_and(|kills| kills > 0) {
            return None;
        }
        let sentence = messages::OOM_KILLED;
        let how = match cgroup.memory_limit() {
            Some((file, limit)) => format!(
                "{sentence}: {file}: {limit}: smaller than what the container needs to start; the \
                 kernel killed its init"
            ),
            // It is a limit further up.
            None => sentence.to_owned(),
        };
        Some(Error::Died { how })
    }

    /// The memory limit of a container whose cgroup systemd has removed with the last process, and
    /// with it the kernel's word on how that came to its end.
    fn limit_without_cgroup(&self) -> Option<i64> {
        let limit = self.unit.as_ref()?.memory_limit()?;
        self.record.cgroup().number().is_none().then_some(limit)
    }

    /// Saves the container as created.
    pub(crate) fn save(&mut self, request: &Request<'_>) -> Result<()> {
        let pid = self.child()?.pid();
        self.record.pid = pid.as_raw();
        self.record.start_time = process::stat(pid.as_raw())?.map_or(0, |stat| stat.start_time);
        self.record.phase = crate::store::Phase::Created;
        trace::during("save the state", || self.dir.publish(&self.record))?;
        debug!("container {} is created", request.id);
        Ok(())
    }

    /// Tells the pid; nothing is undone from here on.
    pub(crate) fn finish(mut self, request: &Request<'_>) -> Result<Started> {
        let pid = self.child()?.pid();
        if let Some(path) = request.pid_file {
            pid_file::write(path, pid)?;
        }
        self.finished = true;
        if let Some(devices) = self.devices.take() {
            devices.stay();
        }
        if let Some(groups) = self.resctrl.take() {
            groups.stay();
        }
        let process = self.child.take().ok_or(Error::State(messages::NOT_RUNNING))?;
        Ok(Started { process, terminal: self.terminal.take(), signals: None })
    }
}

impl Drop for Making<'_> {
    fn drop(&mut self) {
        if self.finished {
            return;
        }
        // While the namespace is there that they are in.
        drop(self.devices.take());
        // The first error is on its way to the user; what fails here is found by `delete --force`.
        if let Some(child) = self.child.take() {
            let _ = child.signal(Signal::SIGKILL as i32);
            // A frozen process dies only when it is thawed.
            if self.record.cgroup().is_frozen().unwrap_or(false) {
                let _ = self.record.cgroup().thaw();
            }
            let _ = child.reap();
        }
        drop(self.resctrl.take());
        if let Some(unit) = &mut self.unit {
            unit.undo();
        }
        let began = self.cgroup.is_some();
        if let Some(cgroup) = self.cgroup.take() {
            let own = self.record.cgroup();
            // On v1 others may be where systemd didn't come to put this container.
            if own.is_unified() || self.unit.as_ref().is_none_or(NewUnit::is_owned) {
                let _ = own.kill(Signal::SIGKILL);
            }
            let _ = cgroup.undo();
        }
        let _ = host_mounts::remove(&self.record);
        let _ = self.dir.remove();
        if began {
            // A failed `create` ends in the life cycle's last step (runtime.md, "Lifecycle", 3).
            let _ = crate::delete::run_poststop(&self.record);
        }
    }
}

/// Inside a user namespace a limit can't be raised: there the runtime does it, in whose power the
/// namespace is. Elsewhere the process does it itself, before it becomes somebody else.
fn limits_from_outside(plan: &plan::Create<'_>) -> bool {
    plan.namespaces.has(plan::NamespaceKind::User)
}
