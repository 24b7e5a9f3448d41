//! The container's init, from its birth to the user's program. Runs in the process that was cloned,
//! with the runtime's powers inside the container's namespaces; it makes no requests, since the plan
//! already knew, and gives up its powers in [`confine`].
//!
//! The story is [`prepare`]; `docs/architecture.md` is the same list.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;
use std::rc::Rc;

use log::debug;
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag, openat};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::signal::{SigSet, SigmaskHow, Signal, sigprocmask};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::stat::Mode;
use nix::unistd::{getpid, sethostname, setsid};
use plan::{Create, HookKind, Join, Mount, NamespaceKind, Terminal};
use sys::{Clone3, Context, Forked};

use crate::channel::{Channel, Failure, Message};
use crate::confine::{self, Confined, Cpus, Surroundings};
use crate::console;
use crate::error::{Error, Result, Step};
use crate::hooks::{self, HookFiles, Place};
use crate::listen::Passed;
use crate::receiver::Receiver;
use crate::resolve::{self, Missing};
use crate::rootfs::{Rootfs, c_string};
use crate::{devices, procfs, steps, store, trace};

/// `CLONE_NEWTIME`, which nix doesn't name.
const CLONE_NEWTIME: i32 = 0x80;

/// All that the init gets from the runtime.
pub(crate) struct Init<'p> {
    /// What to do.
    pub(crate) plan: &'p Create<'p>,
    /// Where to report.
    pub(crate) channel: Rc<Channel>,
    /// How to get into the cgroup.
    pub(crate) join: &'p cgroup::Join,
    /// Whether it must ask before it goes on: its cgroup, or what it may do there, is not yet
    /// systemd's last word.
    pub(crate) needs_unit: bool,
    /// The cgroup, for mounts of it.
    pub(crate) cgroup: &'p cgroup::Cgroup,
    /// What the word to start comes through.
    pub(crate) start: Start,
    /// Who gets the terminal: a console socket, or the runtime itself.
    pub(crate) console: Option<Receiver>,
    /// The place of the socket on which the container says that it is ready.
    pub(crate) notify: Option<Mount<'static>>,
    /// Descriptors to pass on.
    pub(crate) passed: &'p Passed,
    /// Variables to pass on.
    pub(crate) extra_env: &'p [String],
    /// Where what hooks print goes.
    pub(crate) hook_files: &'p HookFiles,
}

/// What the word to start comes through.
#[derive(Debug)]
pub(crate) enum Start {
    /// The channel: `run`.
    Channel,
    /// A socket on which `start` will knock: `create`.
    Socket(OwnedFd),
}

/// Whether the process that was cloned must itself clone the init: when a namespace is joined or
/// made that only later children are in, or that decides who owns the others.
pub(crate) fn needs_stage(namespaces: &plan::Namespaces<'_>) -> bool {
    use NamespaceKind::{Pid, Time, User};
    namespaces.joins(User)
        || namespaces.joins(Pid)
        || namespaces.creates(Time)
        || namespaces.creates(User) && !namespaces.join.is_empty()
}

/// The namespaces that clone3 makes for the init; a cgroup namespace comes once it is in its cgroup.
pub(crate) fn clone_flags(namespaces: &plan::Namespaces<'_>) -> u64 {
    use NamespaceKind::{Cgroup, Time, User};
    let mut later = Cgroup.clone_flag() | Time.clone_flag();
    if needs_stage(namespaces) {
        later |= User.clone_flag();
    }
    namespaces.clone_flags() & !later
}

/// The cloned process's whole life.
pub(crate) fn run(init: Init<'_>) -> ! {
    steps::go_through(&init.channel);
    debug!("nsexec container setup: {}", init.plan.namespaces);
    let staged = needs_stage(&init.plan.namespaces);
    trace::in_lane(if staged { trace::Lane::Stage } else { trace::Lane::Init });
    let ended = match staged {
        true => stage(&init),
        false => enter(&init),
    };
    let prepared = ended.and_then(|()| leave_the_host(&init)).and_then(|()| prepare(&init));
    let (failure, report) = match prepared {
        Err(error) => (error, init.channel),
        Ok(confined) => match wait_for_start(init.channel, init.start) {
            // Nobody is left who could start it.
            None => std::process::exit(1),
            Some(report) => (start(init.plan, confined, &report, init.hook_files), report),
        },
    };
    // If nobody listens any more, nobody can be told.
    let _ = report.send(&Message::Failed(Failure::from(&failure)));
    std::process::exit(1)
}

/// Enters the namespaces as the process that is the init itself.
fn enter(init: &Init<'_>) -> Result<()> {
    join_cgroup(init.join)?;
    if init.plan.namespaces.creates(NamespaceKind::User) {
        // The parent writes the maps without being asked.
        wait_for_parent(&init.channel)?;
    }
    wait_for_unit(&init.channel, init.needs_unit)?;
    for join in &init.plan.namespaces.join {
        join_namespace(join)?;
    }
    unshare_cgroup(init.plan)
}

/// Enters the namespaces as a process between the runtime and the init, which it clones as its
/// sibling: the init is then the runtime's child all the same.
fn stage(init: &Init<'_>) -> Result<()> {
    let namespaces = &init.plan.namespaces;
    join_cgroup(init.join)?;
    wait_for_unit(&init.channel, init.needs_unit)?;
    join_in_order(namespaces)?;
    if namespaces.creates(NamespaceKind::User) {
        unshare(CloneFlags::CLONE_NEWUSER).at("unshare", "user namespace")?;
        init.channel.send(&Message::NeedsMaps)?;
        wait_for_parent(&init.channel)?;
    }
    if namespaces.creates(NamespaceKind::Time) {
        unshare(CloneFlags::from_bits_retain(CLONE_NEWTIME)).at("unshare", "time namespace")?;
        if !namespaces.time_offsets.is_empty() {
            procfs::write("self/timens_offsets", &namespaces.time_offsets)
                .step(|| "linux.timeOffsets".to_owned())?;
        }
    }
    let parent = CloneFlags::CLONE_PARENT.bits() as u64;
    let flags = clone_flags(namespaces) | parent;
    match sys::clone3(Clone3 { flags, into_cgroup: None })? {
        Forked::Parent { pid, .. } => {
            debug!("nsexec: the init is process {pid}");
            let told = init.channel.send(&Message::Init(pid));
            std::process::exit(i32::from(told.is_err()))
        }
        Forked::Child => {
            trace::in_lane(trace::Lane::Init);
            // Not before the runtime knows who its child is now.
            wait_for_parent(&init.channel)?;
            unshare_cgroup(init.plan)
        }
    }
}

/// Joins all namespaces that have a path. Those that the runtime may join as what it is come first;
/// what belongs to the joined user namespace is tried again from inside it.
fn join_in_order(namespaces: &plan::Namespaces<'_>) -> Result<()> {
    let (user, others): (Vec<_>, Vec<_>) =
        namespaces.join.iter().partition(|join| join.kind == NamespaceKind::User);
    let mut refused = Vec::new();
    for join in others {
        match join_namespace(join) {
            Err(Error::Kernel { error, .. }) if error.errno == Errno::EPERM && !user.is_empty() => {
                refused.push(join);
            }
            other => other?,
        }
    }
    for join in user.into_iter().chain(refused) {
        join_namespace(join)?;
    }
    Ok(())
}

fn join_namespace(join: &Join<'_>) -> Result<()> {
    let _step = trace::step("join", join.path);
    let flags = OFlag::O_RDONLY | OFlag::O_CLOEXEC;
    let step = || format!("linux.namespaces[{}]", join.index);
    let file =
        openat(AT_FDCWD, join.path, flags, Mode::empty()).at("open", join.path).step(step)?;
    let kind = CloneFlags::from_bits_retain(join.kind.clone_flag() as i32);
    setns(file, kind).at("setns", join.path).step(step)
}

/// Joins the v1 cgroups: a process may move itself without the wait that moving another costs.
pub(crate) fn join_cgroup(join: &cgroup::Join) -> Result<()> {
    let _step = trace::step("join the cgroups", "");
    for tasks in join.files().iter().chain(join.procs()) {
        store::write_all(tasks.as_fd(), b"0").at("write", "tasks").step(|| "cgroup".to_owned())?;
    }
    Ok(())
}

/// Where only systemd can put the process into its cgroup.
pub(crate) fn wait_for_unit(channel: &Channel, needed: bool) -> Result<()> {
    if needed {
        channel.send(&Message::NeedsUnit)?;
        wait_for_parent(channel)?;
    }
    Ok(())
}

/// A cgroup namespace has the cgroup as its root that the process is in when it is made.
fn unshare_cgroup(plan: &Create<'_>) -> Result<()> {
    if plan.namespaces.creates(NamespaceKind::Cgroup) {
        let _step = trace::step("unshare the cgroup namespace", "");
        unshare(CloneFlags::CLONE_NEWCGROUP).at("unshare", "cgroup namespace")?;
    }
    Ok(())
}

pub(crate) fn wait_for_parent(channel: &Channel) -> Result<()> {
    let _wait = trace::wait("wait for the runtime");
    match channel.wait_for_go()? {
        true => Ok(()),
        // The runtime was killed: what it began must not live on.
        false => std::process::exit(1),
    }
}

/// Forbids others to look into this process, and into what it clones from its birth on: in a pid
/// namespace that is joined the container's processes see it before it has let go of the host
/// (CVE-2016-9962).
///
/// Not for a user: of a process that may not be looked at, a user owns nothing in procfs, and the runtime
/// itself could set nothing from outside. It has no powers either that could be stolen.
pub(crate) fn hide(rootless: bool) -> Result<()> {
    if rootless { Ok(()) } else { Ok(sys::set_dumpable(false)?) }
}

/// From here on what is in the container may look at this process, a created one for as long as it
/// waits: so nothing of the runtime's, nor of its caller's, is open in it any more (CVE-2024-21626).
fn leave_the_host(init: &Init<'_>) -> Result<()> {
    let _step = trace::step("close what is the host's", "");
    let mut keep = vec![init.channel.as_fd()];
    if let Start::Socket(listener) = &init.start {
        keep.push(listener.as_fd());
    }
    keep.extend(init.console.as_ref().map(AsFd::as_fd));
    keep.extend(init.hook_files.descriptors());
    Ok(sys::close_all_but(3 + init.passed.descriptors, &keep)?)
}

/// From a process in its namespaces to one that only has to be started.
fn prepare(init: &Init<'_>) -> Result<Confined> {
    let Init { plan, channel, .. } = init;
    debug!("child process in init(): process {} of its pid namespace", getpid());
    let user_namespace = plan.namespaces.has(NamespaceKind::User);
    let label = confine::open_label(plan.process.label.as_ref())?;
    let mut rootfs = Rootfs::open(plan, init.notify.as_ref(), user_namespace)?;
    if user_namespace {
        sys::set_ids(0, 0).step(|| "root of the user namespace".to_owned())?;
    }
    setsid().at("setsid", "")?;
    if plan.new_keyring {
        trace::during("join a keyring", || join_keyring(plan.id))
            .step(|| "session keyring (--no-new-keyring)".to_owned())?;
    }
    set_up_network(plan, channel)?;
    set_up_kernel_names(plan)?;
    let map_ids = |index: usize, tree| {
        channel.send(&Message::NeedsIdMap(index as u32, tree))?;
        wait_for_parent(channel)
    };
    for mount in plan.mounts.iter().chain(&init.notify) {
        rootfs.mount(mount, init.cgroup, &map_ids)?;
    }
    devices::make(rootfs.fd(), plan, rootfs.trees())?;
    run_creation_hooks(plan, channel, init.hook_files)?;
    debug!("init: pivot to {:?}", plan.root.path);
    rootfs.pivot(plan)?;
    let terminal = set_up_terminal(init, &rootfs)?;
    rootfs.seal(plan)?;
    make_working_directory(&rootfs, plan.process.cwd);
    if let Some(pty) = terminal {
        pty.make_stdio(plan.process.uid)?;
    }
    let confined = confine::confine(
        &plan.process,
        Surroundings {
            filter: plan.seccomp.as_ref().map(|seccomp| seccomp.filter.clone()),
            label,
            own_rlimits: !user_namespace,
            cpus: Cpus::All,
            may_lack_groups: plan.rootless,
            policies: &plan.policies,
            preserved: init.passed.descriptors,
            extra_env: init.extra_env,
        },
    )?;
    channel.send(&Message::Ready)?;
    Ok(confined)
}

/// Joins the session keyring of a container: the caller's own stays outside.
pub(crate) fn join_keyring(id: &str) -> Result<()> {
    match sys::join_session_keyring(&c_string(&format!("_ses.{id}"))?) {
        // A kernel without keyrings has none to leak.
        Err(error) if error.errno == Errno::ENOSYS => Ok(()),
        other => Ok(other.map(|_| ())?),
    }
}

/// Loopback, and the host's devices that the container gets.
fn set_up_network(plan: &Create<'_>, channel: &Channel) -> Result<()> {
    let _step = trace::step("loopback, network devices", "");
    if plan.namespaces.creates(NamespaceKind::Network) {
        sys::loopback_up()?;
    }
    if !plan.net_devices.is_empty() {
        channel.send(&Message::NeedsNetDevices)?;
        wait_for_parent(channel)?;
    }
    Ok(())
}

/// Host name, domain name and kernel parameters. The host's procfs is still there, and the parameters
/// are written below one that is proven to be procfs: a mount namespace that is joined may be another
/// container's, with anything at `/proc` (CVE-2025-52881).
fn set_up_kernel_names(plan: &Create<'_>) -> Result<()> {
    let _step = trace::step("names, sysctls", "");
    if !plan.hostname.is_empty() {
        debug!("init: host name {:?}", plan.hostname);
        sethostname(plan.hostname).at("sethostname", plan.hostname)?;
    }
    if !plan.domainname.is_empty() {
        sys::set_domain_name(plan.domainname)?;
    }
    for sysctl in &plan.sysctls {
        debug!("init: sysctl {}={}", sysctl.name, sysctl.value);
        procfs::write(&format!("sys/{}", sysctl.path), sysctl.value)
            .step(|| format!("linux.sysctl[{}]", sysctl.name))?;
    }
    Ok(())
}

/// `prestart` and `createRuntime` in the runtime, then `createContainer` here.
fn run_creation_hooks(plan: &Create<'_>, channel: &Channel, files: &HookFiles) -> Result<()> {
    if plan.hooks.any(&[HookKind::Prestart, HookKind::CreateRuntime]) {
        channel.send(&Message::NeedsHooks)?;
        wait_for_parent(channel)?;
    }
    let hooks = plan.hooks.of(HookKind::CreateContainer);
    let state = state(plan, spec::ContainerStatus::Creating);
    let place = Place { directory: Path::new(&*plan.root.path), environment: Some(&[]), files };
    hooks::run(HookKind::CreateContainer, hooks, &state, place)
}

fn state<'p>(plan: &'p Create<'p>, status: spec::ContainerStatus) -> spec::State<'p> {
    spec::State {
        oci_version: spec::OCI_VERSION,
        id: plan.id,
        status,
        pid: Some(getpid().as_raw()),
        bundle: plan.bundle,
        annotations: plan.annotations,
    }
}

fn set_up_terminal(init: &Init<'_>, rootfs: &Rootfs) -> Result<Option<console::Pty>> {
    let terminal = init.plan.process.terminal;
    if terminal == Terminal::None {
        return Ok(None);
    }
    let _step = trace::step("make the terminal", "");
    let pty = console::allocate(rootfs.fd(), terminal)?;
    pty.mount_console(rootfs.fd(), rootfs.trees())?;
    pty.hand_over(init.console.as_ref(), &init.channel)?;
    Ok(Some(pty))
}

/// As runc: a working directory that the image lacks is made, while that is still allowed. It is entered
/// later, with what the user may do: then a failure shows.
fn make_working_directory(rootfs: &Rootfs, path: &str) {
    if path != "/" {
        let _ = resolve::open(rootfs.fd(), path, Missing::MakeDirectory);
    }
}

/// Waits for the word to start, and says where a failure after it is to be reported.
fn wait_for_start(channel: Rc<Channel>, start: Start) -> Option<Rc<Channel>> {
    let _wait = trace::wait("wait for the word to start");
    let listener = match start {
        Start::Channel => {
            return channel.wait_for_go().is_ok_and(|go| go).then_some(channel);
        }
        Start::Socket(listener) => listener,
    };
    // Nobody reads them any more: unread, they would cost the runtime's last word.
    steps::hold();
    let signals = Signals::hold()?;
    // A container that its runtime was ended before it could save is nobody's to start.
    signals.wait_for(&*channel)?;
    channel.wait_for_go().ok().filter(|saved| *saved)?;
    drop(channel);
    loop {
        signals.wait_for(&listener)?;
        let socket = match nix::sys::socket::accept4(
            listener.as_raw_fd(),
            nix::sys::socket::SockFlag::SOCK_CLOEXEC,
        ) {
            Err(Errno::EINTR | Errno::ECONNABORTED) => continue,
            other => sys::take_inherited(other.ok()?).ok()?,
        };
        let visitor = Rc::new(Channel::from_socket(socket));
        // Who only asks whether somebody waits here says nothing and leaves.
        if visitor.wait_for_go().is_ok_and(|go| go) {
            steps::go_through(&visitor);
            return Some(visitor);
        }
    }
}

/// A signal to a container that was only created ends it, as it would any process. The kernel spares
/// process 1 of a pid namespace the default action, so it is taken here.
struct Signals(SignalFd);

impl Signals {
    fn hold() -> Option<Signals> {
        let mut fatal = SigSet::all();
        for harmless in [
            Signal::SIGCHLD,
            Signal::SIGCONT,
            Signal::SIGURG,
            Signal::SIGWINCH,
            Signal::SIGTSTP,
            Signal::SIGTTIN,
            Signal::SIGTTOU,
        ] {
            fatal.remove(harmless);
        }
        sigprocmask(SigmaskHow::SIG_SETMASK, Some(&fatal), None).ok()?;
        let flags = SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK;
        SignalFd::with_flags(&fatal, flags).ok().map(Signals)
    }

    /// Waits until there is something to read or to accept; a signal before that ends the process.
    fn wait_for(&self, socket: &impl AsFd) -> Option<()> {
        loop {
            let mut polled = [
                PollFd::new(socket.as_fd(), PollFlags::POLLIN),
                PollFd::new(self.0.as_fd(), PollFlags::POLLIN),
            ];
            match poll(&mut polled, PollTimeout::NONE) {
                Err(Errno::EINTR) => continue,
                other => other.ok()?,
            };
            if let Ok(Some(info)) = self.0.read_signal() {
                std::process::exit(128 + info.ssi_signo as i32);
            }
            if polled[0].any().unwrap_or(false) {
                return Some(());
            }
        }
    }
}

/// The last steps, after the word to start; returns only when they failed.
///
/// The hooks are the image's programs: what its process must not do they must not do either.
fn start(plan: &Create<'_>, confined: Confined, channel: &Channel, files: &HookFiles) -> Error {
    debug!(
        "init: closing the pipe to signal completion, by execve of {:?}",
        plan.process.args.first()
    );
    let hooks = plan.hooks.of(HookKind::StartContainer);
    let state = state(plan, spec::ContainerStatus::Created);
    let environment = Some(confined.environment());
    let place = Place { directory: Path::new(plan.process.cwd), environment, files };
    confined
        .seal(channel)
        .and_then(|()| hooks::run(HookKind::StartContainer, hooks, &state, place))
        .map_or_else(|error| error, |()| confined.start())
}
