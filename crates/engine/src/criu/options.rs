//! What the user has CRIU do, and where: the part of a request that `checkpoint` and `restore` share.

use std::fs::DirBuilder;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use nix::fcntl::{AT_FDCWD, OFlag, openat};
use nix::sys::stat::Mode;
use sys::Context;

use super::rpc::opts;
use super::wire::Message;
use crate::error::Result;

/// What CRIU is to do, of all that both its directions have.
#[derive(Debug, Clone, Copy)]
pub struct CriuOptions<'a> {
    /// Where the images are (`--image-path`).
    pub images: &'a Path,
    /// Where logs and other files go (`--work-path`); where the images are, if nowhere else.
    pub work: Option<&'a Path>,
    /// `--tcp-established`: connections live on.
    pub tcp_established: bool,
    /// `--ext-unix-sk`: Unix sockets whose other end is outside.
    pub ext_unix_sk: bool,
    /// `--shell-job`: a terminal of the caller's.
    pub shell_job: bool,
    /// `--file-locks`: held locks are taken along.
    pub file_locks: bool,
    /// `--auto-dedup`: pages leave an image once a newer one has them.
    pub auto_dedup: bool,
    /// `--lazy-pages`: pages are fetched when they are used.
    pub lazy_pages: bool,
    /// `--manage-cgroups-mode`.
    pub cgroups: CriuCgroups,
    /// `--network-lock`: how packets are kept away; CRIU's choice if `None`.
    pub network_lock: Option<NetworkLock>,
}

/// What CRIU does about cgroups, by CRIU's numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CriuCgroups {
    /// Nothing.
    Ignore = 0,
    /// Makes those below the container's that are missing, with their limits.
    Soft = 3,
    /// Makes all below the container's, and sets their limits.
    Full = 4,
    /// As `Full`, and none may be there before.
    Strict = 5,
    /// CRIU's own choice, which is `Soft`.
    Default = 6,
}

/// How packets are kept away from connections while they are moved, by CRIU's numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NetworkLock {
    /// By iptables.
    Iptables = 1,
    /// By nftables.
    Nftables = 2,
    /// Not at all.
    Skip = 3,
}

/// The directories of a request, open, and the log.
#[derive(Debug)]
pub(crate) struct Files<'a> {
    /// Where the images are.
    pub(crate) images: OwnedFd,
    images_path: &'a Path,
    work: OwnedFd,
    work_path: &'a Path,
    /// The log's path.
    pub(crate) log: PathBuf,
    log_name: &'static str,
}

impl<'a> Files<'a> {
    /// Opens them. The one for logs is made; that of the images must be there.
    pub(crate) fn open(options: &CriuOptions<'a>, log_name: &'static str) -> Result<Files<'a>> {
        let images_path = options.images;
        let images = open(images_path)?;
        options.work.map_or(Ok(()), make)?;
        let work_path = options.work.unwrap_or(images_path);
        let (work, log) = (open(work_path)?, work_path.join(log_name));
        Ok(Files { images, images_path, work, work_path, log, log_name })
    }

    /// Descriptors that CRIU must have.
    pub(crate) fn fds(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        [self.work.as_fd(), self.images.as_fd()].into_iter()
    }

    /// In a process that has got a mount namespace of its own: the same directories as that has them,
    /// under the same numbers. CRIU works in one of them, and mounts there; the images it reads as they
    /// are shown on `place`, if there is one.
    pub(crate) fn reopen(&self, place: Option<&Path>) -> Result<()> {
        sys::replace(self.work.as_fd(), open(self.work_path)?.as_fd())?;
        let mut images = open(self.images_path)?;
        if let Some(place) = place {
            images = super::images::show(images.as_fd(), place)?;
        }
        Ok(sys::replace(self.images.as_fd(), images.as_fd())?)
    }
}

/// A directory of which only the last part may be missing, for root alone: all memory goes there.
fn make(path: &Path) -> Result<()> {
    match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        other => Ok(other.at("mkdir", path.to_string_lossy())?),
    }
}

/// The directory of the images, with all above it.
pub(crate) fn make_images(path: &Path) -> Result<()> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
    Ok(made.at("mkdir", path.to_string_lossy())?)
}

pub(super) fn open(path: &Path) -> Result<OwnedFd> {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    Ok(openat(AT_FDCWD, path, flags, Mode::empty()).at("open", path.to_string_lossy())?)
}

/// The annotation that names a file of CRIU's options.
pub const CRIU_CONFIG_ANNOTATION: &str = "org.criu.config";
/// CRIU says all that there is to say in its log.
const LOG_LEVEL: i64 = 4;

/// The options of both directions (`criu_opts`).
pub(crate) fn common(
    options: &CriuOptions<'_>,
    files: &Files<'_>,
    annotations: &spec::StringMap<'_>,
) -> Message {
    let mut message = Message::default();
    message.number(opts::IMAGES_DIR_FD, i64::from(files.images.as_raw_fd()));
    message.number(opts::WORK_DIR_FD, i64::from(files.work.as_raw_fd()));
    message.number(opts::LOG_LEVEL, LOG_LEVEL);
    message.text(opts::LOG_FILE, files.log_name);
    message.switch(opts::NOTIFY_SCRIPTS, true);
    message.switch(opts::MANAGE_CGROUPS, true);
    message.number(opts::MANAGE_CGROUPS_MODE, options.cgroups as i64);
    message.switch(opts::TCP_ESTABLISHED, options.tcp_established);
    message.switch(opts::EXT_UNIX_SK, options.ext_unix_sk);
    message.switch(opts::SHELL_JOB, options.shell_job);
    message.switch(opts::FILE_LOCKS, options.file_locks);
    message.switch(opts::AUTO_DEDUP, options.auto_dedup);
    message.switch(opts::LAZY_PAGES, options.lazy_pages);
    message.switch(opts::ORPHAN_PTS_MASTER, true);
    // As runc: links and addresses of a network namespace are not the runtime's to restore.
    message.number(opts::EMPTY_NS, plan::NamespaceKind::Network.clone_flag() as i64);
    if let Some(lock) = options.network_lock {
        message.number(opts::NETWORK_LOCK, lock as i64);
    }
    if let Some(file) = config_file(annotations) {
        message.text(opts::CONFIG_FILE, file);
    }
    message
}

/// CRIU's configuration for this container: what the annotation names, none if it is empty, else the
/// machine's own for containers.
fn config_file<'r>(annotations: &'r spec::StringMap<'_>) -> Option<&'r str> {
    const OWN: &str = "/etc/criu/tare.conf";
    const RUNC: &str = "/etc/criu/runc.conf";
    match annotations.get(&spec::Text::new(CRIU_CONFIG_ANNOTATION)) {
        Some(file) => Some(file.as_str()).filter(|file| !file.is_empty()),
        None if Path::new(OWN).exists() => Some(OWN),
        None => Some(RUNC),
    }
}
