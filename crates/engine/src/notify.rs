//! Readiness of a service in a container (sd_notify(3)): what it says on its socket is passed on to
//! the manager that started the runtime, with the pid that the manager knows.
//!
//! `create` binds a directory of the state directory into the container; `start` makes the socket in
//! it, waits for `READY=1`, tells the manager, and goes (as runc does; it takes nothing else from the
//! container, which the manager has no reason to believe).

use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{ControlMessage, MsgFlags, UnixAddr, sendmsg};
use plan::{Attributes, BindAttributes, Mount, What};
use sys::Context;

use crate::error::{Result, Step};
use crate::process::{self, Forked, Process};
use crate::store::ContainerDir;

/// The directory in the container.
pub(crate) const INSIDE: &str = "/run/notify";
/// The directory in the state directory.
const DIRECTORY: &str = "notify";
const SOCKET: &str = "notify.sock";
/// As long as the manager may take to read what it was sent (sd_notify_barrier(3)), in milliseconds.
const BARRIER: u16 = 30_000;

/// The manager's socket, if there is a manager.
fn manager() -> Option<String> {
    std::env::var("NOTIFY_SOCKET").ok().filter(|path| !path.is_empty())
}

/// The variable for the container's process, if there is a manager.
pub(crate) fn variable() -> Option<String> {
    manager().map(|_| format!("NOTIFY_SOCKET={INSIDE}/{SOCKET}"))
}

/// The mount of the socket's directory, if there is a manager.
pub(crate) fn mount(dir: &ContainerDir) -> Result<Option<Mount<'static>>> {
    if manager().is_none() {
        return Ok(None);
    }
    let source = dir.path().join(DIRECTORY);
    let name = source.to_string_lossy().into_owned();
    std::fs::create_dir(&source).at("mkdir", &name)?;
    let open = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(&source, open).at("chmod", &name)?;
    // ro, nosuid, nodev, noexec
    let named = Attributes { set: 0xf, clear: 0 };
    let attributes = BindAttributes { named, others: 0 };
    Ok(Some(Mount {
        index: usize::MAX,
        destination: INSIDE.into(),
        what: What::Bind { source: name.into(), recursive: false, attributes },
        id_map: None,
        propagation: Vec::new(),
        recursive: Attributes::default(),
    }))
}

/// The container's socket, before its process runs.
#[derive(Debug)]
pub(crate) struct Listener {
    socket: UnixDatagram,
    manager: PathBuf,
}

/// Makes the container's socket, if there is a manager and the container has a place for it.
pub(crate) fn listen(dir: &ContainerDir) -> Result<Option<Listener>> {
    let Some(manager) = manager() else {
        return Ok(None);
    };
    if !dir.has(DIRECTORY) {
        return Ok(None);
    }
    let path = dir.short_path(&format!("{DIRECTORY}/{SOCKET}"));
    let socket = UnixDatagram::bind(&path).at("bind", SOCKET).step(|| "NOTIFY_SOCKET".into())?;
    // Whoever the process in the container is, it may write there.
    let everybody = std::fs::Permissions::from_mode(0o777);
    std::fs::set_permissions(&path, everybody).at("chmod", SOCKET)?;
    Ok(Some(Listener { socket, manager: manager.into() }))
}

impl Listener {
    /// Waits until the container is ready, or has ended, and tells the manager.
    pub(crate) fn wait(&self, process: &Process) -> Result<()> {
        while !self.ended_without_word(process)? {
            let mut buffer = [0; 4096];
            let length = self.socket.recv(&mut buffer).at("recv", SOCKET)?;
            let message = buffer.get(..length).unwrap_or_default();
            if says_ready(message) {
                return tell(&self.manager, process.pid().as_raw());
            }
        }
        Ok(())
    }

    /// The same in a process of its own, for a runtime that has something else to do.
    pub(crate) fn wait_aside(self, process: &Process) -> Result<()> {
        match process::clone(sys::Clone3::default())? {
            Forked::Parent(_) => Ok(()),
            Forked::Child => std::process::exit(i32::from(self.wait(process).is_err())),
        }
    }

    fn ended_without_word(&self, process: &Process) -> Result<bool> {
        loop {
            let mut polled = [PollFd::new(self.socket.as_fd(), PollFlags::POLLIN)];
            match process.poll(&mut polled, PollTimeout::NONE) {
                Err(nix::Error::EINTR) => {}
                other => {
                    other.at("poll", SOCKET)?;
                    return Ok(!polled[0].any().unwrap_or(false));
                }
            }
        }
    }
}

/// Whether one of a message's lines is the word (sd_notify(3)).
pub(crate) fn says_ready(message: &[u8]) -> bool {
    message.split(|byte| *byte == b'\n').any(|line| line == b"READY=1")
}

/// Tells the manager, and waits until it has read it: it may look at this process to know who spoke.
fn tell(manager: &Path, pid: i32) -> Result<()> {
    let name = manager.to_string_lossy();
    let step = || "NOTIFY_SOCKET".to_owned();
    let address = match name.strip_prefix('@') {
        Some(abstract_name) => UnixAddr::new_abstract(abstract_name.as_bytes()),
        None => UnixAddr::new(manager),
    };
    let address = address.at("connect", &name).step(step)?;
    let socket = UnixDatagram::unbound().at("socket", &name).step(step)?;
    socket
        .set_write_timeout(Some(Duration::from_millis(BARRIER.into())))
        .at("setsockopt", &name)?;
    let (ours, theirs) = nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC).at("pipe", "")?;
    let send = |text: &str, fds: &[i32]| {
        let control = [ControlMessage::ScmRights(fds)];
        let control = if fds.is_empty() { &control[..0] } else { &control[..] };
        let bytes = [std::io::IoSlice::new(text.as_bytes())];
        let flags = MsgFlags::MSG_NOSIGNAL;
        sendmsg(socket.as_raw_fd(), &bytes, control, flags, Some(&address))
            .at("sendmsg", &name)
            .step(step)
    };
    send("READY=1", &[])?;
    send(&format!("MAINPID={pid}"), &[])?;
    send("BARRIER=1", &[theirs.as_raw_fd()])?;
    drop(theirs);
    loop {
        let mut polled = [PollFd::new(ours.as_fd(), PollFlags::POLLIN)];
        match poll(&mut polled, PollTimeout::from(BARRIER)) {
            Err(nix::Error::EINTR) => {}
            other => return Ok(other.at("poll", &name).map(|_| ())?),
        }
    }
}
