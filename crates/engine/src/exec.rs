//! `exec`: another process in a container that lives. A shorter story than `create`, with the same
//! [`confine`](crate::confine) at its end, and no flags in between.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::rc::Rc;

use bpf::seccomp::Filter;
use log::debug;
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag, openat};
use nix::sched::CloneFlags;
use nix::sys::signalfd::SignalFd;
use nix::sys::stat::Mode;
use nix::unistd::{Pid, chroot, fchdir, setsid};
use plan::{NamespaceKind, Policies, Terminal};
use spec::{ContainerStatus, Text};
use sys::Context;

use crate::agent::{self, Agent};
use crate::channel::{Channel, Failure, Message};
use crate::confine::{self, Cpus, Surroundings};
use crate::error::{Error, Result, Step};
use crate::listen::Passed;
use crate::process::{Forked, Process};
use crate::receiver::Receiver;
use crate::store::{ContainerDir, Record, SECCOMP_FILE, Store};
use crate::{
    bundle, console, foreground, init, limits, messages, pid_file, probe, status, steps, units,
};

/// What `exec` is asked for.
pub struct Request<'a> {
    /// Where containers are kept.
    pub store: &'a Store,
    /// The container.
    pub id: &'a str,
    /// The process.
    pub process: Program<'a>,
    /// Who gets the terminal.
    pub console_socket: Option<&'a Path>,
    /// Who gets the process's descriptor (`--pidfd-socket`).
    pub pidfd_socket: Option<&'a Path>,
    /// Where the pid is written.
    pub pid_file: Option<&'a Path>,
    /// Return while the process lives.
    pub detach: bool,
    /// Also in a paused container.
    pub ignore_paused: bool,
    /// Cgroups below the container's: controller ("" is v2) and path.
    pub cgroups: &'a [(&'a str, &'a str)],
    /// Descriptors and variables that the process gets.
    pub passed: &'a Passed,
    /// Told what hinders nothing but should be known.
    pub warn: &'a dyn Fn(&str),
}

/// The process that `exec` starts.
#[derive(Debug)]
pub enum Program<'a> {
    /// As a file has it (`--process FILE`): the file's name and its bytes.
    File(&'a str, &'a [u8]),
    /// The container's own, with other arguments and what else the command line changes.
    Changed(&'a Changes<'a>),
}

/// What the command line of `exec` changes about the container's process.
#[derive(Debug, Default)]
pub struct Changes<'a> {
    /// Command and arguments.
    pub args: Vec<&'a str>,
    /// `--cwd`.
    pub cwd: Option<&'a str>,
    /// `--env`, behind the container's.
    pub env: Vec<&'a str>,
    /// `--tty`.
    pub tty: bool,
    /// `--user`: user, and group if named.
    pub user: Option<(u32, Option<u32>)>,
    /// `--additional-gids`.
    pub additional_gids: Vec<u32>,
    /// `--cap`, added to the bounding, effective, permitted and (if the container has any) ambient
    /// sets; never to the inheritable one (CVE-2022-29162).
    pub capabilities: Vec<&'a str>,
    /// `--no-new-privs`, which can be taken back with `--no-new-privs=false`.
    pub no_new_privileges: Option<bool>,
    /// `--apparmor`.
    pub apparmor: Option<&'a str>,
    /// `--process-label`.
    pub label: Option<&'a str>,
}

/// Starts the process. Returns its exit status; 0 if detached.
pub fn exec(request: &Request<'_>) -> Result<i32> {
    let dir = request.store.container(request.id)?;
    let bytes = dir.read_record()?;
    let record = bytes.record()?;
    match status(&dir, &record)? {
        ContainerStatus::Created | ContainerStatus::Running => {}
        ContainerStatus::Paused if request.ignore_paused => {}
        ContainerStatus::Paused => return Err(Error::State(messages::EXEC_PAUSED)),
        _ => return Err(Error::State(messages::EXEC_STOPPED)),
    }
    let saved = dir.read_exec()?;
    let saved = saved.exec()?;
    let policies = saved.policies();
    let filter = saved_filter(&dir, saved.filter)?;
    let own = saved.process;
    let config = match &request.process {
        Program::File(name, bytes) => {
            let mut file = bundle::parse(name, bytes)?;
            plan::complete(&mut file, &own);
            file
        }
        Program::Changed(changes) => changed(&own, changes),
    };
    let mut security = probe::security(Some(&config), false)?;
    if record.has_namespace(NamespaceKind::User.file()) {
        security.capabilities = u64::MAX;
    }
    let options = plan::Options {
        id: request.id,
        detach: request.detach,
        command: plan::Command::Run,
        console_socket: request.console_socket.is_some(),
        keep_keyring: false,
        no_pivot: false,
        cgroups: plan::CgroupChoice::Files,
    };
    pid_file::check(request.pid_file)?;
    let (mut process, warnings) = plan::exec(&config, &security, &options)?;
    process.keep_groups = plan::keep_groups(&record.annotations);
    for warning in &warnings {
        (request.warn)(warning);
    }
    let started = start(request, (&record, filter), &process, policies)?;
    match &started.signals {
        Some(signals) => foreground::wait(&started.process, started.terminal, signals),
        None => Ok(0),
    }
}

fn changed<'a>(own: &spec::Process<'a>, changes: &Changes<'a>) -> spec::Process<'a> {
    let mut process = own.clone();
    process.args = changes.args.iter().map(|arg| Text::new(arg)).collect();
    process.terminal = changes.tty;
    process.console_size = None;
    process.env.extend(changes.env.iter().map(|variable| Text::new(variable)));
    process.no_new_privileges = changes.no_new_privileges.unwrap_or(own.no_new_privileges);
    if let Some(cwd) = changes.cwd {
        process.cwd = Text::new(cwd);
    }
    if let Some((uid, gid)) = changes.user {
        process.user.uid = uid;
        process.user.gid = gid.unwrap_or(process.user.gid);
    }
    process.user.additional_gids.extend(&changes.additional_gids);
    if let Some(profile) = changes.apparmor {
        process.apparmor_profile = Text::new(profile);
    }
    if let Some(label) = changes.label {
        process.selinux_label = Text::new(label);
    }
    if !changes.capabilities.is_empty() {
        let sets = process.capabilities.get_or_insert_default();
        let has_ambient = !sets.ambient.is_empty();
        let added = changes.capabilities.iter().map(|name| Text::new(name));
        for set in [&mut sets.bounding, &mut sets.effective, &mut sets.permitted] {
            set.extend(added.clone());
        }
        if has_ambient {
            sets.ambient.extend(added);
        }
    }
    process
}

struct Started {
    process: Process,
    terminal: Option<OwnedFd>,
    /// The signals that are passed on, in the foreground.
    signals: Option<SignalFd>,
}

/// From a plan to a process that runs the program.
fn start(
    request: &Request<'_>,
    (record, filter): (&Record<'_>, Option<Filter>),
    process: &plan::Process<'_>,
    policies: Policies,
) -> Result<Started> {
    let console = Receiver::connect_if(request.console_socket, "console socket")?;
    let holder = Receiver::connect_if(request.pidfd_socket, "pidfd socket")?;
    let init = Process::open(record.pid, record.start_time)?
        .ok_or(Error::State(messages::EXEC_STOPPED))?;
    let state = record.state(ContainerStatus::Running, Some(record.pid));
    let agent = Agent::connect(record.agent.as_ref(), state)?;
    let join = join(request.cgroups, record)?;
    let (channel, child_channel) = Channel::pair()?;
    init::hide(record.rootless)?;
    let joined = enter_before_clone(record, &init)?;
    if let Some(cpus) = &process.cpus.initial {
        // Inherited by the process, and then the kernel's to reconcile with its cgroup.
        confine::run_on(cpus).step(|| "process.execCPUAffinity.initial".to_owned())?;
    }
    let (forked, needs_unit) = units::clone_beside(record, &join, !request.cgroups.is_empty())?;
    let child = match forked {
        Forked::Child => {
            drop(channel);
            run(Child {
                record,
                process,
                init,
                joined,
                join: &join,
                needs_unit,
                channel: child_channel,
                console,
                around: Surroundings {
                    filter,
                    label: None,
                    cpus: Cpus::of_exec(&process.cpus),
                    own_rlimits: !record.has_namespace("user"),
                    may_lack_groups: record.rootless,
                    policies: &policies,
                    preserved: request.passed.descriptors,
                    extra_env: &request.passed.environment,
                },
            })
        }
        Forked::Parent(process) => Making(Some(process)),
    };
    debug!("clone3: process {}", child.process()?.pid());
    sys::close_all(join.into_fds())?;
    drop(child_channel);
    let terminal = accompany(request, record, process, (&channel, child.process()?.pid()))?;
    if let Some(holder) = holder {
        holder.send(b"setns", child.process()?.pidfd()?)?;
    }
    let signals = foreground::hold_signals(request.detach)?;
    let process = release(request, &channel, child, agent.as_ref())?;
    Ok(Started { process, terminal, signals })
}

/// What the runtime does from outside while the child makes itself ready, and then; the terminal, if it
/// sent one.
fn accompany(
    request: &Request<'_>,
    record: &Record<'_>,
    process: &plan::Process<'_>,
    (channel, pid): (&Channel, Pid),
) -> Result<Option<OwnedFd>> {
    let terminal = attend(channel, || {
        let below = request.cgroups.iter().find(|(name, _)| name.is_empty());
        units::attach(record, below.map(|(_, path)| *path), pid.as_raw().unsigned_abs())
    })?;
    record.resctrl.as_ref().map_or(Ok(()), |groups| groups.join(pid))?;
    limits::set_on_process(pid, process, record.has_namespace("user"))?;
    Ok(terminal)
}

/// Lets the process go on to its program. From here on it lives whatever becomes of this one.
fn release(
    request: &Request<'_>,
    channel: &Channel,
    mut child: Making,
    agent: Option<&Agent>,
) -> Result<Process> {
    agent::let_go(channel, child.process()?, agent)?;
    if let Some(path) = request.pid_file {
        pid_file::write(path, child.process()?.pid())?;
    }
    child.0.take().ok_or(Error::State(messages::NOT_RUNNING))
}

/// The way into the container's cgroup, or to where its init has moved if that cgroup is gone.
fn join(below: &[(&str, &str)], record: &Record<'_>) -> Result<cgroup::Join> {
    let cgroup = record.cgroup();
    match cgroup.join(below) {
        Err(error)
            if error.errno() == Some(Errno::ENOENT) && below.is_empty() && cgroup.is_unified() =>
        {
            limits::join_of(record.pid)
        }
        other => Ok(other?),
    }
}

/// A process being made; dropped, it is ended.
struct Making(Option<Process>);

impl Making {
    fn process(&self) -> Result<&Process> {
        self.0.as_ref().ok_or(Error::State(messages::NOT_RUNNING))
    }
}

impl Drop for Making {
    fn drop(&mut self) {
        if let Some(process) = self.0.take() {
            process.end();
        }
    }
}

/// The filter that the container's init is under, if it is: without it, or under another one, nothing
/// starts in the container.
fn saved_filter(dir: &ContainerDir, fingerprint: Option<u32>) -> Result<Option<Filter>> {
    let Some(fingerprint) = fingerprint else { return Ok(None) };
    let damaged = |why: String| Error::Damaged {
        file: dir.path().join(SECCOMP_FILE).display().to_string(),
        why,
    };
    let bytes = dir.read_own(SECCOMP_FILE)?;
    let filter = Filter::from_bytes(&bytes).map_err(damaged)?;
    if Filter::fingerprint(&bytes) != fingerprint {
        return Err(damaged("is not the filter that the container was created with".to_owned()));
    }
    Ok(Some(filter))
}

/// A pid namespace is joined by the children of who asks for it. A user must be in the user
/// namespace before it may.
fn enter_before_clone(record: &Record<'_>, init: &Process) -> Result<CloneFlags> {
    let mut kinds = CloneFlags::empty();
    if must_join_user_first() && record.has_namespace("user") {
        kinds |= CloneFlags::CLONE_NEWUSER;
    }
    if record.has_namespace("pid") {
        kinds |= CloneFlags::CLONE_NEWPID;
    }
    if !kinds.is_empty() {
        init.enter(kinds).step(|| "namespaces".to_owned())?;
    }
    Ok(kinds)
}

/// Another user than root has power over the container's namespaces only inside its user namespace.
fn must_join_user_first() -> bool {
    !nix::unistd::geteuid().is_root()
}

/// Listens to the child until it is ready; returns the terminal if it sent one.
fn attend(channel: &Channel, attach: impl Fn() -> Result<()>) -> Result<Option<OwnedFd>> {
    let mut terminal = None;
    loop {
        match channel.receive()? {
            Message::NeedsUnit => {
                attach()?;
                channel.go()?;
            }
            Message::Terminal(master) => terminal = Some(master),
            Message::Ready => {
                debug!("the process is ready");
                return Ok(terminal);
            }
            Message::Failed(failure) => return Err(Error::Init(failure)),
            Message::Closed | Message::Unheard => {
                let how = "the process ended before it was set up".to_owned();
                return Err(Error::Died { how });
            }
            _ => {}
        }
    }
}

struct Child<'a> {
    record: &'a Record<'a>,
    process: &'a plan::Process<'a>,
    init: Process,
    /// The namespaces that it is in already.
    joined: CloneFlags,
    join: &'a cgroup::Join,
    /// Only systemd can move it into the cgroup.
    needs_unit: bool,
    channel: Channel,
    console: Option<Receiver>,
    around: Surroundings<'a>,
}

/// The cloned process's whole life.
fn run(child: Child<'_>) -> ! {
    let channel = Rc::new(child.channel);
    steps::go_through(&channel);
    debug!("nsexec container setup: joins those of process {}", child.record.pid);
    if let Some(cpus) = &child.process.cpus.initial {
        debug!("nsexec: affinity: {}", mask(cpus));
    }
    let Child { record, process, init, console, .. } = child;
    let preserved = child.around.preserved;
    let error = match init::wait_for_unit(&channel, child.needs_unit)
        .and_then(|()| confine::open_label(process.label.as_ref()))
        .and_then(|label| {
            let mut keep = vec![channel.as_fd(), init.handle()];
            keep.extend(console.as_ref().map(AsFd::as_fd));
            keep.extend(label.as_ref().map(AsFd::as_fd));
            leave_the_host(child.join, preserved, &keep)?;
            Ok(label)
        })
        .and_then(|label| {
            enter(record, init, child.joined)?;
            set_up_terminal(&channel, console.as_ref(), process)?;
            confine::confine(process, Surroundings { label, ..child.around })
        })
        .and_then(|confined| channel.send(&Message::Ready).map(|()| confined))
    {
        Err(error) => error,
        Ok(confined) => match channel.wait_for_go() {
            Ok(true) => {
                debug!("setns_init: about to exec {:?}", child.process.args.first());
                confined.seal(&channel).map_or_else(|error| error, |()| confined.start())
            }
            // Nobody is left who wants it.
            _ => std::process::exit(1),
        },
    };
    // If nobody listens any more, nobody can be told.
    let _ = channel.send(&Message::Failed(Failure::from(&error)));
    std::process::exit(1)
}

/// Joins the cgroup, and lets go of everything else: what is in the container must find nothing of
/// the host in this process (CVE-2024-21626).
fn leave_the_host(join: &cgroup::Join, preserved: u32, keep: &[BorrowedFd<'_>]) -> Result<()> {
    init::join_cgroup(join)?;
    Ok(sys::close_all_but(3 + preserved, keep)?)
}

/// The CPUs as a mask, in hexadecimal digits.
fn mask(cpus: &plan::NumberSet) -> String {
    let mut words = cpus.words.iter().rev();
    let first = words.next().map_or_else(String::new, |word| format!("0x{word:x}"));
    words.fold(first, |mask, word| mask + &format!("{word:016x}"))
}

/// Enters the container: namespaces, a session of its own.
fn enter(record: &Record<'_>, init: Process, joined: CloneFlags) -> Result<()> {
    let mut kinds = CloneFlags::empty();
    for kind in NamespaceKind::ALL {
        if record.has_namespace(kind.file()) {
            kinds |= CloneFlags::from_bits_retain(kind.clone_flag() as i32);
        }
    }
    let kinds = kinds.difference(joined);
    // Without a mount namespace the root is all that tells the container's files from the host's.
    let root = match record.has_namespace(NamespaceKind::Mount.file()) {
        true => None,
        false => Some(open_root(&format!("/proc/{}/root", record.pid))?),
    };
    if !kinds.is_empty() {
        init.enter(kinds).step(|| "namespaces".to_owned())?;
    }
    drop(init);
    debug!("child process in init(): joined {kinds:?}");
    if let Some(root) = root {
        fchdir(&root).at("fchdir", "root")?;
        chroot(".").at("chroot", ".")?;
    }
    if record.has_namespace("user") {
        sys::set_ids(0, 0).step(|| "root of the user namespace".to_owned())?;
    }
    setsid().at("setsid", "")?;
    init::join_keyring(&record.id).step(|| "session keyring".to_owned())
}

fn open_root(path: &str) -> Result<OwnedFd> {
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    Ok(openat(AT_FDCWD, path, flags, Mode::empty()).at("open", path)?)
}

fn set_up_terminal(
    channel: &Channel,
    console: Option<&Receiver>,
    process: &plan::Process<'_>,
) -> Result<()> {
    if process.terminal == Terminal::None {
        return Ok(());
    }
    let root = open_root("/")?;
    let pty = console::allocate(root.as_fd(), process.terminal)?;
    pty.hand_over(console, channel)?;
    pty.make_stdio(process.uid)
}
