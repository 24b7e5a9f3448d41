//! `checkpoint`: a container's processes become files, from which [`restore`](crate::restore) makes them
//! again. CRIU does the work; here is what it must know of the container, and what follows.

use std::os::fd::{AsFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use spec::ContainerStatus;
use sys::Context;

use crate::criu::options::{self, CriuOptions, Files};
use crate::criu::rpc::{self, Features, Kind, opts};
use crate::criu::swrk;
use crate::criu::wire::Message;
use crate::criu::{mounts, namespaces, streams};
use crate::delete;
use crate::error::{Error, Result};
use crate::status::status;
use crate::store::{ContainerDir, Record, Store};

/// What `checkpoint` is asked for.
pub struct Request<'a> {
    /// Where containers are kept.
    pub store: &'a Store,
    /// The container.
    pub id: &'a str,
    /// What both directions have.
    pub criu: CriuOptions<'a>,
    /// Images of an earlier `pre_dump`, from where the new ones are (`--parent-path`).
    pub parent: Option<&'a str>,
    /// The container goes on (`--leave-running`).
    pub leave_running: bool,
    /// Only the memory is saved, and the container goes on (`--pre-dump`).
    pub pre_dump: bool,
    /// Packets on their way are left out (`--tcp-skip-in-flight`).
    pub tcp_skip_in_flight: bool,
    /// Files that were unlinked get a name again (`--link-remap`).
    pub link_remap: bool,
    /// Who takes the pages: address and port (`--page-server`).
    pub page_server: Option<(&'a str, u16)>,
    /// What gets a NUL once pages can be fetched (`--status-fd`, with `--lazy-pages`).
    pub status_fd: Option<OwnedFd>,
    /// Told what hinders nothing but should be known.
    pub warn: &'a dyn Fn(&str),
}

/// Saves the container. Unless it is to go on, it is deleted.
pub fn checkpoint(request: Request<'_>) -> Result<()> {
    let dir = request.store.container(request.id)?;
    let _lock = dir.lock()?;
    let bytes = dir.read_record()?;
    let record = bytes.record()?;
    check_status(&dir, &record)?;
    let saved = dir.read_exec()?;
    let outside = saved.exec()?.outside;
    let mut options = Message::default();
    if !request.pre_dump {
        mounts::leave_out(&mut options, &outside, &record)?;
    }
    namespaces::leave_out(&mut options, &outside, record.pid)?;
    swrk::check(Features {
        memory_tracking: request.pre_dump,
        lazy_pages: request.criu.lazy_pages,
    })?;
    options::make_images(request.criu.images)?;
    check_parent(&request)?;
    let files = Files::open(&request.criu, "dump.log")?;
    describe(&request, &record, &files, &mut options);
    let (goes_on, warn) = (request.leave_running || request.pre_dump, request.warn);
    dump(request, &record, &files, &options)?;
    if goes_on {
        return Ok(());
    }
    // The images are complete: a container that can't be cleared away is no failure of theirs.
    if let Err(error) = delete::destroy(&dir, &record, warn) {
        warn(&error.to_string());
    }
    Ok(())
}

fn check_status(dir: &ContainerDir, record: &Record<'_>) -> Result<()> {
    match status(dir, record)? {
        ContainerStatus::Running | ContainerStatus::Paused => Ok(()),
        status => {
            let status = status.as_str();
            Err(Error::Usage(format!("Container cannot be checkpointed in {status} state")))
        }
    }
}

/// The parent's images must be beside the new ones: from there CRIU finds them, wherever both go.
fn check_parent(request: &Request<'_>) -> Result<()> {
    let Some(parent) = request.parent else { return Ok(()) };
    let path = request.criu.images.join(parent);
    let name = path.to_string_lossy();
    let found = std::fs::metadata(&path).at("stat", &name).and_then(|found| match found.is_dir() {
        true => Ok(()),
        false => Err(sys::Error::new("stat", &*name, Errno::ENOTDIR)),
    });
    found.map_err(|error| Error::Usage(format!("invalid --parent-path: {error}")))
}

/// What a dump is told of the container beside what is left out of the images.
fn describe(request: &Request<'_>, record: &Record<'_>, files: &Files<'_>, options: &mut Message) {
    options.append(&options::common(&request.criu, files, &record.annotations));
    options.number(opts::PID, i64::from(record.pid));
    options.text(opts::ROOT, &record.rootfs);
    options.switch(opts::LEAVE_RUNNING, request.leave_running);
    options.switch(opts::TCP_SKIP_IN_FLIGHT, request.tcp_skip_in_flight);
    options.switch(opts::LINK_REMAP, request.link_remap);
    if let Some(cgroup) = record.cgroup().freezer_dir() {
        options.text(opts::FREEZE_CGROUP, cgroup);
    }
    if let Some((address, port)) = request.page_server {
        options.message(opts::PAGE_SERVER, &rpc::page_server(address, port));
    }
    if let Some(parent) = request.parent {
        options.text(opts::PARENT_IMG, parent);
        options.switch(opts::TRACK_MEM, true);
    }
}

fn dump(
    request: Request<'_>,
    record: &Record<'_>,
    files: &Files<'_>,
    options: &Message,
) -> Result<()> {
    let kind = if request.pre_dump { Kind::PreDump } else { Kind::Dump };
    if kind == Kind::Dump {
        streams::save(files.images.as_fd(), record.pid)?;
    }
    let mut status_fd = request.status_fd;
    let inherited: Vec<_> = files.fds().collect();
    let mut criu = swrk::start_plain(&inherited, Some(files.log.clone()))?;
    criu.call(&rpc::request(kind, Some(options)), |notification| {
        match notification.script.as_str() {
            "status-ready" => status_fd.take().map_or(Ok(()), tell_ready),
            _ => Ok(()),
        }
    })?;
    match kind {
        // It waits for the dump that is to follow.
        Kind::PreDump => criu.dismiss(),
        _ => criu.end(),
    }
}

/// Tells whoever waits for it that pages can be fetched.
fn tell_ready(fd: OwnedFd) -> Result<()> {
    Ok(crate::store::write_all(fd.as_fd(), &[0]).at("write", "--status-fd")?)
}

/// Takes over the descriptor that the caller has passed as `--status-fd`.
pub fn open_status_fd(number: i32) -> Result<OwnedFd> {
    let invalid = |why: &str| Error::Usage(format!("invalid --status-fd argument {number}: {why}"));
    let fd = sys::take_passed(number).map_err(|error| invalid(&sys::describe(error.errno)))?;
    let flags = fcntl(&fd, FcntlArg::F_GETFL).map_err(|errno| invalid(&sys::describe(errno)))?;
    match OFlag::from_bits_truncate(flags) & OFlag::O_ACCMODE {
        OFlag::O_RDONLY => Err(invalid("not writable")),
        _ => Ok(fd),
    }
}
