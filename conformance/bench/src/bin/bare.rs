//! What needs a program that itself is next to nothing:
//!
//!     bare ROOTFS              the kernel's work for one `run` of /bin/true, and nothing else: the floor
//!     bare --took FILE CMD...  runs CMD, and writes its peak resident KiB and its page faults to FILE
//!
//! The floor makes what `spec`'s default configuration asks for (cgroups, namespaces, mounts, devices,
//! masks, capabilities), with no configuration read, no state kept, and no path looked at twice.

#![forbid(unsafe_code)]

use std::error::Error;
use std::fs;
use std::os::fd::AsFd;
use std::os::unix::fs::symlink;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, exit};

use nix::fcntl::OFlag;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::CloneFlags;
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::stat::{Mode, SFlag, makedev, mknod};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::sethostname;
use sys::{CapabilitySets, Clone3, Forked};

type Result<T = ()> = std::result::Result<T, Box<dyn Error>>;

#[global_allocator]
static HEAP: sys::Heap = sys::Heap::new();

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let result = match words.as_slice() {
        [door, file, program, rest @ ..] if door == "--took" => took(file, program, rest),
        [rootfs] => floor(Path::new(rootfs)),
        _ => Err("usage: bare ROOTFS | bare --took FILE CMD...".into()),
    };
    if let Err(error) = result {
        eprintln!("bare: {error}");
        exit(1);
    }
}

fn took(file: &str, program: &str, arguments: &[String]) -> Result {
    let status = Command::new(program).args(arguments).status()?;
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    fs::write(file, format!("{} {}\n", usage.max_rss(), usage.minor_page_faults()))?;
    exit(status.code().unwrap_or(1))
}

fn floor(rootfs: &Path) -> Result {
    let cgroups = make_cgroups()?;
    let namespaces = CloneFlags::CLONE_NEWNS
        | CloneFlags::CLONE_NEWPID
        | CloneFlags::CLONE_NEWUTS
        | CloneFlags::CLONE_NEWIPC
        | CloneFlags::CLONE_NEWNET;
    let request = Clone3 { flags: namespaces.bits() as u64, into_cgroup: None };
    match sys::clone3(request)? {
        Forked::Child => {
            let error = contain(rootfs, &cgroups).err().map_or_else(String::new, |e| e.to_string());
            eprintln!("bare: {error}");
            exit(1)
        }
        Forked::Parent { pid, .. } => {
            let ended = waitpid(pid, None)?;
            cgroups.iter().try_for_each(fs::remove_dir)?;
            match ended {
                WaitStatus::Exited(_, 0) => Ok(()),
                other => Err(format!("{other:?}").into()),
            }
        }
    }
}

/// A cgroup in every hierarchy, where this process is.
fn make_cgroups() -> Result<Vec<PathBuf>> {
    let name = format!("bare-{}", std::process::id());
    let mut made = Vec::new();
    for line in fs::read_to_string("/proc/self/cgroup")?.lines() {
        let mut fields = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (fields.next(), fields.next()) else { continue };
        let hierarchy = match controllers {
            "" if Path::new("/sys/fs/cgroup/cgroup.procs").exists() => "",
            "" => "unified",
            v1 => v1.strip_prefix("name=").unwrap_or(v1),
        };
        let top = Path::new("/sys/fs/cgroup").join(hierarchy);
        let parent = top.join(path.trim_start_matches('/'));
        // What the caller mounted away is no place.
        if !parent.join("cgroup.procs").exists() {
            continue;
        }
        let own = parent.join(&name);
        fs::create_dir(&own)?;
        if hierarchy.split(',').any(|controller| controller == "cpuset") {
            for file in ["cpuset.cpus", "cpuset.mems"] {
                fs::write(own.join(file), fs::read(parent.join(file))?)?;
            }
        }
        made.push(own);
    }
    Ok(made)
}

/// The new process, up to the program.
fn contain(rootfs: &Path, cgroups: &[PathBuf]) -> Result<std::convert::Infallible> {
    for cgroup in cgroups {
        let v1 = cgroup.join("tasks");
        let file = if v1.exists() { v1 } else { cgroup.join("cgroup.procs") };
        fs::write(file, "0")?;
    }
    sethostname("bare")?;
    sys::loopback_up()?;
    make_mounts(rootfs)?;
    sys::set_no_new_privileges()?;
    sys::drop_bounding(0)?;
    sys::set_capabilities(CapabilitySets { effective: 0, permitted: 0, inheritable: 0 })?;
    Err(Command::new("/bin/true").exec().into())
}

fn make_mounts(rootfs: &Path) -> Result {
    let none = None::<&str>;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_SLAVE, none)?;
    mount(Some(rootfs), rootfs, none, MsFlags::MS_BIND | MsFlags::MS_REC, none)?;
    std::env::set_current_dir(rootfs)?;
    let safe = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    let new = |kind: &str, place: &str, flags, data: &str| {
        if !Path::new(place).exists() {
            fs::create_dir(place)?;
        }
        mount(Some(kind), place, Some(kind), flags, Some(data)).map_err(|error| -> Box<dyn Error> {
            format!("mount {kind} on {place}: {error}").into()
        })
    };
    new("proc", "proc", MsFlags::empty(), "")?;
    new("tmpfs", "dev", MsFlags::MS_NOSUID, "mode=755,size=65536k")?;
    new("devpts", "dev/pts", MsFlags::MS_NOSUID, "newinstance,ptmxmode=0666,mode=0620,gid=5")?;
    new("tmpfs", "dev/shm", safe, "mode=1777,size=65536k")?;
    new("mqueue", "dev/mqueue", safe, "")?;
    new("sysfs", "sys", safe | MsFlags::MS_RDONLY, "")?;
    make_devices()?;
    sys::pivot_root_here()?;
    umount2(".", MntFlags::MNT_DETACH)?;
    std::env::set_current_dir("/")?;
    hide()
}

fn make_devices() -> Result {
    let devices = [
        ("null", 1, 3),
        ("zero", 1, 5),
        ("full", 1, 7),
        ("tty", 5, 0),
        ("random", 1, 8),
        ("urandom", 1, 9),
    ];
    for (name, major, minor) in devices {
        let mode = Mode::from_bits_truncate(0o666);
        mknod(&Path::new("dev").join(name), SFlag::S_IFCHR, mode, makedev(major, minor))?;
    }
    for (target, link) in [
        ("/proc/self/fd", "dev/fd"),
        ("/proc/self/fd/0", "dev/stdin"),
        ("/proc/self/fd/1", "dev/stdout"),
        ("/proc/self/fd/2", "dev/stderr"),
        ("pts/ptmx", "dev/ptmx"),
    ] {
        symlink(target, link)?;
    }
    Ok(())
}

/// What `spec` masks, and makes read-only; the root last.
fn hide() -> Result {
    let none = None::<&str>;
    for path in ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"] {
        if Path::new(path).exists() {
            mount(Some(path), path, none, MsFlags::MS_BIND | MsFlags::MS_REC, none)?;
            let flags = MsFlags::MS_BIND | MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY;
            mount(none, path, none, flags, none)?;
        }
    }
    let masked = [
        "/proc/acpi",
        "/proc/asound",
        "/proc/kcore",
        "/proc/keys",
        "/proc/latency_stats",
        "/proc/timer_list",
        "/proc/timer_stats",
        "/proc/sched_debug",
        "/sys/firmware",
        "/proc/scsi",
    ];
    for path in masked {
        match fs::metadata(path) {
            Ok(file) if file.is_dir() => {
                mount(Some("tmpfs"), path, Some("tmpfs"), MsFlags::MS_RDONLY, none)?;
            }
            Ok(_) => mount(Some("/dev/null"), path, none, MsFlags::MS_BIND, none)?,
            Err(_) => {}
        }
    }
    let root = nix::fcntl::open("/", OFlag::O_PATH | OFlag::O_CLOEXEC, Mode::empty())?;
    Ok(sys::change_attributes(root.as_fd(), sys::Attributes::READ_ONLY, false)?)
}
