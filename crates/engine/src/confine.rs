//! From the runtime's powers to the user's process: one order, written once, for `create` and `exec`.
//!
//! The order is what makes it work:
//! 1. what needs root's powers: terminal ownership, scheduling, the bounding set;
//! 2. groups, then user (`KEEPCAPS` keeps the permitted set across it), then the capability sets;
//! 3. what the user must be able to do itself: enter the working directory, find the program;
//! 4. *ready*: nothing is left that may fail for a reason of the configuration;
//! 5. *seal*: the label, the seccomp filter, the last capability;
//! 6. hooks that run in the container, execve. After the filter only capset(2) and execve(2) are called
//!    if there are none, so that a filter needs to allow no more; one with an [agent](crate::agent)
//!    has to allow write(2), and read(2) unless the agent does.
//!
//! A filter without no_new_privs needs `CAP_SYS_ADMIN`: it is kept over step 2 and dropped in step 5.

use std::ffi::CString;
use std::io::Read;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use bpf::seccomp::Filter;
use log::debug;
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags, OFlag, openat};
use nix::sys::stat::{Mode, SFlag, fstat, umask};
use nix::unistd::{
    AccessFlags, Gid, Pid, Uid, chdir, dup2_stderr, dup2_stdin, dup2_stdout, fchown,
};
use plan::{Capabilities, CpuAffinity, Label, MemoryPolicy, NumberSet, Policies, Process};
use sys::{CapabilitySets, Context};

use crate::channel::{Channel, Failure, Message};
use crate::error::{Error, Result, Step};
use crate::rootfs::c_string;
use crate::{devices, procfs, store};

/// `SCHED_DEADLINE` (sched(7)).
const SCHED_DEADLINE: u32 = 6;
/// Larger than any table of users, in bytes.
const LARGEST_PASSWD: u64 = 16 * 1024 * 1024;
/// `CAP_SYS_ADMIN`.
const SYS_ADMIN: u64 = 1 << 21;

/// How the process that is to be confined differs between `create` and `exec`.
#[derive(Debug)]
pub(crate) struct Surroundings<'a> {
    /// The filter.
    pub(crate) filter: Option<Filter>,
    /// The label file of this process, which is the only one that may write to it, opened while procfs
    /// was still the host's.
    pub(crate) label: Option<OwnedFd>,
    /// Whether it sets its resource limits itself; else they are set from outside.
    pub(crate) own_rlimits: bool,
    /// Whether it may be unable to set its groups: a user namespace that a user made.
    pub(crate) may_lack_groups: bool,
    /// The CPUs to run on.
    pub(crate) cpus: Cpus<'a>,
    /// How every process of the container runs.
    pub(crate) policies: &'a Policies,
    /// Inherited descriptors to pass on: from 3, this many.
    pub(crate) preserved: u32,
    /// Variables that the runtime adds.
    pub(crate) extra_env: &'a [String],
}

/// The CPUs that a process will run on.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Cpus<'a> {
    /// All that its cgroup has: which ones the runtime's caller was bound to is nothing to the
    /// container.
    All,
    /// What the kernel has made of those that the runtime itself was bound to for the process.
    AsTheyAre,
    /// These.
    Only(&'a NumberSet),
}

impl<'a> Cpus<'a> {
    /// Those of a process of `exec` (config.md, `execCPUAffinity`).
    pub(crate) fn of_exec(affinity: &'a CpuAffinity) -> Self {
        match (&affinity.initial, &affinity.last) {
            (_, Some(last)) => Cpus::Only(last),
            (Some(_), None) => Cpus::AsTheyAre,
            (None, None) => Cpus::All,
        }
    }
}

/// A process that only has to be started.
#[derive(Debug)]
pub(crate) struct Confined {
    /// The program; none in a container without a process.
    exec: Option<sys::Exec>,
    /// The filter's instructions as bytes, and its flags.
    filter: Option<(Vec<u8>, u32)>,
    capabilities: CapabilitySets,
    admin_kept: bool,
    label: Option<(OwnedFd, String)>,
}

/// Steps 1 to 3.
pub(crate) fn confine(process: &Process<'_>, around: Surroundings<'_>) -> Result<Confined> {
    let _step = crate::trace::step("give up privileges, find the program", "");
    let (uid, gid) = (process.uid, process.gid);
    debug!("init: user {uid}:{gid}, {:x?}", process.capabilities);
    own_stdio(process.uid)?;
    if around.own_rlimits {
        crate::limits::set_rlimits(Pid::from_raw(0), process)?;
    }
    umask(Mode::from_bits_truncate(process.umask));
    set_cpus(around.cpus)?;
    set_policies(process, around.policies)?;
    if process.no_new_privileges {
        sys::set_no_new_privileges()?;
    }
    let Capabilities { bounding, effective, inheritable, permitted, ambient } =
        process.capabilities;
    sys::drop_bounding(bounding)?;
    sys::keep_capabilities(true)?;
    // A directory that only root may enter (its home, for `exec --user`) is entered as root, too.
    let entered = chdir(process.cwd).is_ok();
    if !process.keep_groups {
        set_groups(process.groups, around.may_lack_groups)?;
    }
    sys::set_ids(process.uid, process.gid)?;
    let capabilities = CapabilitySets { effective, permitted, inheritable };
    let admin_kept = around.filter.is_some()
        && !process.no_new_privileges
        && (effective & permitted & SYS_ADMIN) == 0;
    let extra = if admin_kept { SYS_ADMIN } else { 0 };
    sys::set_capabilities(CapabilitySets {
        effective: effective | extra,
        permitted: permitted | extra,
        inheritable,
    })
    .step(|| "process.capabilities".to_owned())?;
    set_ambient(ambient)?;
    enter_directory(process.cwd, entered)?;
    let exec = match process.args.is_empty() {
        true => None,
        false => Some(program(process, around.extra_env)?),
    };
    sys::close_from(3 + around.preserved)?;
    for number in 3..3 + around.preserved {
        sys::keep_on_exec(number as i32).step(|| "preserved descriptor".to_owned())?;
    }
    let label = around.label.zip(process.label.as_ref().map(|label| match label {
        Label::AppArmor(profile) => format!("exec {profile}"),
        Label::SeLinux(context) => (*context).to_owned(),
    }));
    Ok(Confined {
        exec,
        filter: around.filter.map(|filter| (filter.instructions(), filter.flags)),
        capabilities,
        admin_kept,
        label,
    })
}

impl Confined {
    /// What the program finds in its environment.
    pub(crate) fn environment(&self) -> &[CString] {
        self.exec.as_ref().map_or(&[], sys::Exec::environment)
    }

    /// Step 6 without hooks; returns only when it failed.
    pub(crate) fn start(&self) -> Error {
        let Some(exec) = &self.exec else {
            return Error::State(plan::names::NO_PROCESS);
        };
        match exec.exec() {
            Ok(never) => match never {},
            // The words of Go's os/exec, which engines look for.
            Err(error) => Error::Init(Failure {
                sentence: format!("exec {}: {}", error.object, sys::describe(error.errno)),
                errno: Some(error.errno),
                step: "process.args[0]".to_owned(),
                object: error.object,
            }),
        }
    }

    /// Step 5. What is sealed may still run hooks, and then the program.
    pub(crate) fn seal(&self, channel: &Channel) -> Result<()> {
        let step = crate::trace::step("load the filter, execve", "");
        if let Some((file, label)) = &self.label {
            store::write_all(file.as_fd(), label.as_bytes())
                .at("write", label)
                .step(|| "security label".to_owned())?;
        }
        sys::reset_signals()?;
        let mut listener = None;
        if let Some((program, flags)) = &self.filter {
            debug!("seccomp filter flags: {flags}");
            listener = sys::seccomp_set_filter(program, *flags)?;
        }
        // From here on nothing may allocate: the filter may notify brk(2) and mmap(2).
        if let Some(listener) = &listener {
            channel.send(&Message::Listener(listener.as_raw_fd()))?;
            if !channel.wait_for_go()? {
                return Err(Error::State("seccomp agent: the runtime is gone"));
            }
        }
        if self.admin_kept {
            sys::set_capabilities(self.capabilities)?;
        }
        // Both end with execve, and not before: close(2) may be notified.
        std::mem::forget((listener, step));
        Ok(())
    }
}

/// Opens this process's label file, below the procfs of the host.
pub(crate) fn open_label(label: Option<&Label<'_>>) -> Result<Option<OwnedFd>> {
    let write = OFlag::O_WRONLY;
    Ok(match label {
        None => None,
        Some(Label::SeLinux(_)) => Some(procfs::open("thread-self/attr/exec", write)?),
        Some(Label::AppArmor(_)) => match procfs::open("thread-self/attr/apparmor/exec", write) {
            // Before Linux 5.8 the modules shared one file.
            Err(Error::Kernel { error: sys::Error { errno: Errno::ENOENT, .. }, .. }) => {
                Some(procfs::open("thread-self/attr/exec", write)?)
            }
            other => Some(other?),
        },
    })
}

/// Gives the standard streams to the user, who may have to open them again (/dev/stdout). Those that
/// are the null device become the container's own, as in runc: a checkpoint has no way to name a file
/// outside, not even one of the same device, as in a user namespace, where it is bound.
fn own_stdio(uid: u32) -> Result<()> {
    let mut own = None;
    let (stdin, stdout, stderr) = (std::io::stdin(), std::io::stdout(), std::io::stderr());
    for (n, stream) in [stdin.as_fd(), stdout.as_fd(), stderr.as_fd()].into_iter().enumerate() {
        let Ok(stat) = fstat(stream) else { continue };
        if devices::is_null(&stat) {
            if let Some(null) = own.get_or_insert_with(own_null) {
                replace(n, null);
            }
            continue;
        }
        if stat.st_uid == uid {
            continue;
        }
        match fchown(stream, Some(Uid::from_raw(uid)), None::<Gid>) {
            // No mapping here, not ours, or not to be changed: the stream works all the same.
            Ok(()) | Err(Errno::EINVAL | Errno::EPERM | Errno::EROFS | Errno::ENOSYS) => {}
            Err(errno) => Err(errno).at("fchown", "standard stream")?,
        }
    }
    Ok(())
}

/// The container's null device, unless what it has there is another.
fn own_null() -> Option<OwnedFd> {
    let flags = OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let open = |how| openat(AT_FDCWD, "/dev/null", flags | how, Mode::empty());
    // Opening a device may do something; that it is this one is known first.
    open(OFlag::O_PATH).and_then(fstat).ok().filter(devices::is_null)?;
    let null = open(OFlag::O_RDWR).ok()?;
    fstat(&null).ok().filter(devices::is_null)?;
    Some(null)
}

/// Puts the null device in the place of stream `n`, another null device: where this fails, that works as well.
fn replace(n: usize, null: &OwnedFd) {
    let _ = match n {
        0 => dup2_stdin(null),
        1 => dup2_stdout(null),
        _ => dup2_stderr(null),
    };
}

fn set_cpus(cpus: Cpus<'_>) -> Result<()> {
    /// More CPUs than any kernel is built for.
    const ALL: [u64; 128] = [u64::MAX; 128];
    match cpus {
        // Where it isn't allowed the process stays where its caller was.
        Cpus::All => sys::set_cpus(&ALL).or(Ok(())),
        Cpus::AsTheyAre => Ok(()),
        Cpus::Only(set) => run_on(set).step(|| "process.execCPUAffinity.final".to_owned()),
    }
}

/// Runs this process on these CPUs.
pub(crate) fn run_on(set: &NumberSet) -> Result<()> {
    Ok(sys::set_cpus(&set.words)?)
}

fn set_policies(process: &Process<'_>, policies: &Policies) -> Result<()> {
    if let Some(scheduler) = &process.scheduler {
        let plan::Scheduler { policy, flags, nice, priority, times } = *scheduler;
        sys::set_scheduler(policy, flags, nice, priority, times)
            .step(|| "process.scheduler".to_owned())
            .map_err(|error| explain_deadline(error, policy))?;
    }
    if let Some((class, level)) = process.io_priority {
        let class = match class {
            1 => sys::IoClass::RealTime,
            2 => sys::IoClass::BestEffort,
            _ => sys::IoClass::Idle,
        };
        sys::set_io_priority(class, level).step(|| "process.ioPriority".to_owned())?;
    }
    if let Some(domain) = policies.personality {
        sys::set_personality(domain).step(|| "linux.personality".to_owned())?;
    }
    if let Some(MemoryPolicy { mode, nodes }) = &policies.memory {
        sys::set_memory_policy(*mode, &nodes.words).step(|| "linux.memoryPolicy".to_owned())?;
    }
    Ok(())
}

/// The kernel has one number for two reasons; the words for the second are runc's.
fn explain_deadline(error: Error, policy: u32) -> Error {
    match error {
        Error::Kernel { step, error }
            if error.errno == Errno::EPERM && policy == SCHED_DEADLINE =>
        {
            let why = "process scheduler can't be used together with AllowedCPUs, nor without \
                       CAP_SYS_NICE";
            Error::Kernel { step: format!("{step}: {why}"), error }
        }
        other => other,
    }
}

fn set_groups(groups: &[u32], may_lack: bool) -> Result<()> {
    match sys::set_groups(groups) {
        // Where setgroups(2) is denied (user_namespaces(7)) there are none to be dropped.
        Err(error) if error.errno == Errno::EPERM && may_lack && groups.is_empty() => Ok(()),
        other => other.step(|| "process.user.additionalGids".to_owned()),
    }
}

fn set_ambient(ambient: u64) -> Result<()> {
    sys::clear_ambient()?;
    for capability in (0..=sys::LAST_CAPABILITY).filter(|n| ambient & 1 << n != 0) {
        match sys::raise_ambient(capability) {
            // The plan has said so of what it could know: what is left is a bit that forbids it
            // (capabilities(7), `SECBIT_NO_CAP_AMBIENT_RAISE`). runc only warns, too.
            Err(error) if error.errno == Errno::EPERM => debug!("{error}"),
            other => other?,
        }
    }
    Ok(())
}

fn enter_directory(path: &str, entered: bool) -> Result<()> {
    match chdir(path) {
        Err(Errno::EACCES) if entered => {}
        other => other.at("chdir to cwd", path).step(|| "process.cwd".to_owned())?,
    }
    match nix::unistd::getcwd() {
        // A directory that has no path from our root is one outside of it (CVE-2024-21626).
        Err(Errno::ENOENT) => Err(Error::Escape {
            path: path.to_owned(),
            why: "current working directory is outside of container mount namespace root -- possible container breakout detected",
        }),
        other => match other.at("getcwd", path)? {
            inside if inside.is_absolute() => Ok(()),
            _ => Err(Error::Escape {
                path: path.to_owned(),
                why: "current working directory is outside of container mount namespace root",
            }),
        },
    }
}

/// The plan's variables, and `HOME` of the user's passwd entry where none is set.
fn environment(process: &Process<'_>, extra: &[String]) -> Vec<String> {
    let mut environment: Vec<String> = process.env.iter().map(|s| (*s).to_owned()).collect();
    environment.extend(extra.iter().cloned());
    if !environment.iter().any(|variable| variable.starts_with("HOME=") && variable.len() > 5) {
        environment.retain(|variable| !variable.starts_with("HOME="));
        let home = passwd().ok();
        let home = home.as_deref().and_then(|table| home_of(table, process.uid));
        environment.push(format!("HOME={}", home.as_deref().unwrap_or("/")));
    }
    environment
}

/// The container's table of users, as far as it is one: what an image has there may as well be a device
/// that never ends, or a pipe that never begins.
fn passwd() -> nix::Result<Vec<u8>> {
    const PATH: &str = "/etc/passwd";
    // Opening a device may do something; what it is is known first.
    if !store::is_regular(&nix::sys::stat::stat(PATH)?) {
        return Err(Errno::EINVAL);
    }
    let flags = OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
    let file = std::fs::File::from(openat(AT_FDCWD, PATH, flags, Mode::empty())?);
    let mut table = Vec::with_capacity(4096);
    match file.take(LARGEST_PASSWD).read_to_end(&mut table) {
        Ok(_) => Ok(table),
        Err(error) => Err(error.raw_os_error().map_or(Errno::EIO, Errno::from_raw)),
    }
}

/// Field 6 of the first line for `uid` (passwd(5)).
fn home_of(passwd: &[u8], uid: u32) -> Option<String> {
    let text = String::from_utf8_lossy(passwd);
    let line = text.lines().find(|line| {
        line.split(':').nth(2).and_then(|field| field.parse::<u32>().ok()) == Some(uid)
    })?;
    line.split(':').nth(5).filter(|home| !home.is_empty()).map(str::to_owned)
}

/// The program with its arguments and environment.
fn program(process: &Process<'_>, extra_env: &[String]) -> Result<sys::Exec> {
    let environment = environment(process, extra_env);
    let path = find_program(process, &environment)?;
    let arguments = process.args.iter().map(|arg| c_string(arg)).collect::<Result<_>>()?;
    let environment =
        environment.iter().map(|variable| c_string(variable)).collect::<Result<_>>()?;
    Ok(sys::Exec::new(c_string(&path)?, arguments, environment))
}

/// Finds the program as Go's os/exec does, and words a failure as it does: engines turn
/// "executable file not found", "no such file or directory" and "permission denied" into exit codes.
fn find_program(process: &Process<'_>, environment: &[String]) -> Result<String> {
    let name = process.args.first().copied().unwrap_or_default();
    let failed = |reason: String, errno: Errno| {
        let sentence = format!("exec: {name:?}: {reason}");
        let (step, object) = ("process.args[0]".to_owned(), name.to_owned());
        Error::Init(Failure { sentence, errno: Some(errno), step, object })
    };
    if name.contains('/') {
        return match executable(name) {
            Ok(()) => Ok(name.to_owned()),
            Err(errno @ (Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP)) => {
                Err(failed(format!("stat {name}: {}", sys::describe(errno)), errno))
            }
            Err(Errno::EISDIR) => {
                Err(failed("is a directory: permission denied".to_owned(), Errno::EACCES))
            }
            Err(errno) => Err(failed(sys::describe(errno), errno)),
        };
    }
    let path = environment.iter().rev().find_map(|variable| variable.strip_prefix("PATH="));
    for directory in path.unwrap_or_default().split(':') {
        let directory = if directory.is_empty() { "." } else { directory };
        let candidate = format!("{directory}/{name}");
        if !name.is_empty() && executable(&candidate).is_ok() {
            return Ok(candidate);
        }
    }
    Err(failed("executable file not found in $PATH".to_owned(), Errno::ENOENT))
}

fn executable(path: &str) -> std::result::Result<(), Errno> {
    let stat = nix::sys::stat::stat(path)?;
    if stat.st_mode & SFlag::S_IFMT.bits() == SFlag::S_IFDIR.bits() {
        return Err(Errno::EISDIR);
    }
    // With the effective capabilities: otherwise access(2) leaves them out of account for a user.
    nix::unistd::faccessat(AT_FDCWD, path, AccessFlags::X_OK, AtFlags::AT_EACCESS)?;
    if stat.st_mode & 0o111 == 0 { Err(Errno::EACCES) } else { Ok(()) }
}

/// Whether all descriptors are open that the caller wants passed on: from 3, `count` of them.
pub(crate) fn check_preserved(count: u32) -> Result<()> {
    for number in 3..3 + count {
        let number = number as i32;
        sys::check_open(number).map_err(|_| {
            Error::Usage(format!(
                "unable to pass descriptor {number} on: it is not open (--preserve-fds {count})"
            ))
        })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn home_is_the_sixth_field_of_the_users_line() {
        let passwd = b"root:x:0:0:root:/root:/bin/sh\nme:x:7:7::/home/me:/bin/sh\n";
        assert_eq!(home_of(passwd, 7).as_deref(), Some("/home/me"));
        assert_eq!(home_of(passwd, 8), None);
        assert_eq!(home_of(b"garbage\n:::::", 0), None);
    }
}
