//! `restore`: a container from the files that [`checkpoint`](crate::checkpoint) made. As `create` it
//! begins with a plan and a [`Making`]; the processes are CRIU's to bring back, in the cgroup that was
//! made for them and below a mount namespace of its own, of which nothing is left on the host.

use std::cell::Cell;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

use nix::fcntl::{AT_FDCWD, OFlag, openat};
use nix::sched::{CloneFlags, setns};
use nix::sys::stat::Mode;
use nix::unistd::Pid;
use plan::NamespaceKind;
use sys::Context;

use crate::channel::{Channel, Message as Word};
use crate::create::{self, Making, Started};
use crate::criu::namespaces::Joined;
use crate::criu::options::{self, CriuCgroups, CriuOptions, Files};
use crate::criu::rpc::{self, Features, Kind, opts};
use crate::criu::streams::Streams;
use crate::criu::swrk::{self, Criu, Notification};
use crate::criu::wire::Message;
use crate::criu::{images, mounts};
use crate::error::{Result, Step};
use crate::hooks::HookFiles;
use crate::process::Process;
use crate::receiver::Receiver;
use crate::store::Record;
use crate::{aside, foreground, init, limits, notify, pid_file, units};

/// What `restore` is asked for.
pub struct Request<'a> {
    /// What `create` needs, too.
    pub create: create::Request<'a>,
    /// What both directions have.
    pub criu: CriuOptions<'a>,
    /// Connections are closed, not restored (`--tcp-close`).
    pub tcp_close: bool,
    /// The profile that the processes get instead of their own, such as `apparmor:name`.
    pub lsm_profile: Option<&'a str>,
    /// The context that mounts get instead of their own.
    pub lsm_mount_context: Option<&'a str>,
}

/// Restores the container. Returns its exit status; 0 if detached.
pub fn restore(request: &Request<'_>) -> Result<i32> {
    pid_file::check(request.create.pid_file)?;
    let files = Files::open(&request.criu, "restore.log")?;
    let streams = Streams::open(files.images.as_fd())?;
    let lazy_pages = request.criu.lazy_pages;
    let started = create::with_plan(&request.create, plan::Command::Restore, |config, plan| {
        mounts::refuse_mapped_plan(plan)?;
        let joined = Joined::open(&plan.namespaces.join)?;
        swrk::check(Features { lazy_pages, ..Features::default() })?;
        let hook_files = HookFiles::open(plan.annotations, plan.bundle)?;
        let (files, streams, joined, hook_files) = (&files, &streams, &joined, &hook_files);
        Restoring { request, plan, files, streams, joined, hook_files }.make(config)
    })?;
    let Some(signals) = &started.signals else {
        return Ok(0);
    };
    let status = foreground::wait(&started.process, started.terminal, signals)?;
    crate::delete::delete(request.create.store, request.create.id, true, request.create.warn)?;
    Ok(status)
}

/// All that is known before anything is done.
struct Restoring<'r, 'p> {
    request: &'r Request<'r>,
    plan: &'p plan::Create<'p>,
    files: &'r Files<'r>,
    streams: &'r Streams,
    joined: &'r Joined<'p>,
    hook_files: &'r HookFiles,
}

impl<'p> Restoring<'_, 'p> {
    /// From a plan to a container whose processes run.
    fn make(&self, config: &spec::Spec<'_>) -> Result<Started> {
        let (request, plan) = (&self.request.create, self.plan);
        let console = Receiver::connect_if(request.console_socket, "console socket")?;
        let watcher = Receiver::connect_if(plan.pidfd_receiver.map(Path::new), "pidfd receiver")?;
        let (mut making, place, join) = Making::begin(request, config, plan)?;
        let notify = notify::mount(&making.dir)?;
        making.set_device_rules(&place, &join, plan, request.is_rootless(plan))?;
        let mut criu = self.start_criu(&mut making, &place, &join, notify.as_ref())?;
        if self.images_have_limits() {
            self.set_limits(&place)?;
        }
        let mut options = self.describe(criu.pid())?;
        mounts::describe(&mut options, plan, notify.as_ref(), &place)?;
        let signals = foreground::hold_signals(request.detach)?;
        criu.call(&rpc::request(Kind::Restore, Some(&options)), |asked| {
            self.attend(&mut making, asked, &place, console.as_ref())
        })?;
        criu.end()?;
        making.save(request)?;
        if let (Some(watcher), Some(init)) = (watcher, &making.child) {
            watcher.send(b"standard", init.pidfd()?)?;
        }
        Ok(Started { signals, ..making.finish(request)? })
    }

    /// Starts CRIU in the container's cgroup, where all that it makes is born.
    fn start_criu(
        &self,
        making: &mut Making<'p>,
        place: &cgroup::Cgroup,
        join: &cgroup::Join,
        notify: Option<&plan::Mount<'_>>,
    ) -> Result<Criu> {
        let needs_unit = Cell::new(false);
        let clone = || {
            let must_wait = making.waits_for_systemd(place);
            let (forked, needs) = units::clone_into(making.unit.as_ref(), 0, join, must_wait)?;
            needs_unit.set(needs);
            Ok(forked)
        };
        let inherited: Vec<BorrowedFd<'_>> =
            self.files.fds().chain(self.joined.fds()).chain(self.streams.fds()).collect();
        let shown = images::make_place(&making.dir, &self.plan.namespaces)?;
        let prepare = |channel: &Channel| {
            init::join_cgroup(join)?;
            if needs_unit.get() {
                channel.send(&Word::NeedsUnit)?;
                init::wait_for_parent(channel)?;
            }
            mounts::set_up_root(self.plan, notify, || self.files.reopen(shown.as_deref()))
        };
        let log = Some(self.files.log.clone());
        let starting = swrk::start(clone, prepare, &inherited, log)?;
        // Until there is an init, CRIU is what the unit is made with.
        making.child = Some(Process::of_child(starting.pid())?);
        making.start_unit()?;
        making.join_resctrl(self.plan)?;
        let criu = starting.running(|_| making.complete_unit(self.plan, place))?;
        making.complete_unit(self.plan, place)?;
        making.child = None;
        Ok(criu)
    }

    /// What CRIU is told of the container, beside its mounts.
    fn describe(&self, criu: Pid) -> Result<Message> {
        let Restoring { request, plan, files, .. } = self;
        let mut options = options::common(&request.criu, files, plan.annotations);
        options.switch(opts::EVASIVE_DEVICES, true);
        // The restored init is this process's child.
        options.switch(opts::RST_SIBLING, true);
        options.text(opts::ROOT, &plan.root.path);
        options.switch(opts::TCP_CLOSE, request.tcp_close);
        if let Some(profile) = request.lsm_profile {
            options.text(opts::LSM_PROFILE, profile);
        }
        if let Some(context) = request.lsm_mount_context {
            options.text(opts::LSM_MOUNT_CONTEXT, context);
        }
        for (controllers, path) in cgroups_of(criu)? {
            options.message(opts::CG_ROOT, &rpc::pair(&controllers, &path));
        }
        self.joined.describe(&mut options);
        self.streams.describe(&mut options);
        Ok(options)
    }

    /// Sees to what CRIU asks while it works.
    fn attend(
        &self,
        making: &mut Making<'p>,
        asked: Notification,
        place: &cgroup::Cgroup,
        console: Option<&Receiver>,
    ) -> Result<()> {
        match (asked.script.as_str(), asked.fd) {
            ("setup-namespaces", _) => {
                making.child = Some(Process::of_child(asked.pid)?);
                if self.plan.namespaces.creates(NamespaceKind::Network) {
                    loopback_up(asked.pid)?;
                }
                making.run_runtime_hooks(self.plan, self.hook_files)
            }
            ("orphan-pts-master", Some(master)) => match console {
                Some(receiver) => receiver.send(b"orphan-pts-master", master.as_fd()),
                None => {
                    making.terminal = Some(master);
                    Ok(())
                }
            },
            // All is there, and nothing runs yet. Until now CRIU had to have room beside it.
            ("post-restore", _) => {
                note_namespaces(&mut making.record, asked.pid);
                limits::give_to_owner(place, self.plan)?;
                if self.images_have_limits() { Ok(()) } else { self.set_limits(place) }
            }
            _ => Ok(()),
        }
    }

    /// Whether CRIU sets limits from the images, which the configuration's must not replace.
    fn images_have_limits(&self) -> bool {
        matches!(self.request.criu.cgroups, CriuCgroups::Full | CriuCgroups::Strict)
    }

    fn set_limits(&self, place: &cgroup::Cgroup) -> Result<()> {
        place.set(&self.plan.cgroup.resources).step(|| "linux.resources".to_owned())
    }
}

/// The cgroups of a process, by hierarchy: names of controllers (none on v2), and the path.
fn cgroups_of(pid: Pid) -> Result<Vec<(String, String)>> {
    let path = format!("/proc/{pid}/cgroup");
    let text = std::fs::read_to_string(&path).at("read", path)?;
    let parts = |line: &str| {
        let mut parts = line.splitn(3, ':').skip(1).map(str::to_owned);
        Some((parts.next()?, parts.next()?))
    };
    Ok(text.lines().filter_map(parts).collect())
}

/// CRIU makes the network namespace anew, and empty. Sockets that listen on the loopback can be made
/// again only where that is up, as `create` leaves it.
fn loopback_up(pid: Pid) -> Result<()> {
    let path = format!("/proc/{pid}/ns/net");
    aside::run(|| {
        let flags = OFlag::O_RDONLY | OFlag::O_CLOEXEC;
        let file = openat(AT_FDCWD, path.as_str(), flags, Mode::empty()).at("open", &path)?;
        setns(file, CloneFlags::CLONE_NEWNET).at("setns", &path)?;
        Ok(sys::loopback_up()?)
    })
}

/// Notes namespaces that CRIU has made beyond the configured ones: a time namespace, which keeps the
/// clocks going on from where they were. `exec` has to join it.
fn note_namespaces(record: &mut Record<'_>, pid: Pid) {
    for kind in NamespaceKind::ALL.map(NamespaceKind::file) {
        let own = std::fs::read_link(format!("/proc/self/ns/{kind}")).ok();
        let other = std::fs::read_link(format!("/proc/{pid}/ns/{kind}")).ok();
        if own != other && !record.has_namespace(kind) {
            record.namespaces.push(spec::Text::new(kind));
        }
    }
}
