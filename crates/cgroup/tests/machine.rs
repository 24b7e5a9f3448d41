//! Real cgroups on this machine, whichever versions it has. Needs root; without, each test says
//! so and passes.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::fs;
use std::io::{ErrorKind, Read};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use cgroup::*;
use nix::errno::Errno;
use nix::sys::signal::Signal;

/// A placed cgroup that is gone after the test, whatever happens.
struct Place {
    cgroup: Cgroup,
    layout: Layout,
}

impl Place {
    /// `None` where nothing can be tested.
    fn new(name: &str) -> Option<Place> {
        if !nix::unistd::geteuid().is_root() {
            println!("skipped: not root");
            return None;
        }
        let layout = Layout::probe().unwrap();
        if layout.mode() == Mode::None {
            println!("skipped: no cgroup file system");
            return None;
        }
        let path = format!("/tare-test-{}-{name}", std::process::id());
        let cgroup = layout.place(Some(&path), "unused").unwrap();
        Some(Place { cgroup, layout })
    }

    fn create(&mut self) -> Created {
        self.cgroup.create(OnDenied::Fail).unwrap()
    }

    /// Has v1 this controller?
    fn on_v1(&self, controller: &str) -> bool {
        self.cgroup.paths().any(|(name, _)| name == controller)
    }

    /// Where the controller is; what v1 hasn't is v2's.
    fn dir(&self, controller: &str) -> String {
        let name = if self.on_v1(controller) { controller } else { "" };
        let mut paths = self.cgroup.paths();
        paths.find(|(own, _)| *own == name).unwrap().1.to_owned()
    }

    fn read(&self, controller: &str, file: &str) -> String {
        let path = format!("{}/{file}", self.dir(controller));
        let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
        text.trim_end().to_owned()
    }

    /// A process that joins by `join`, then runs `script`.
    fn spawn(&self, join: &Join, script: &str) -> Child {
        let us = std::process::id();
        let mut text = String::from("set -e; ");
        for file in join.files() {
            text += &format!("echo 0 > /proc/{us}/fd/{}; ", file.as_raw_fd());
        }
        if let Some(dir) = join.dir() {
            // As clone3 would, but from a shell.
            text += &format!("echo 0 > /proc/{us}/fd/{}/cgroup.procs; ", dir.as_raw_fd());
        }
        text += "echo joined; exec >/dev/null; ";
        let mut command = Command::new("sh");
        command.args(["-c", &(text + script)]);
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut line = [0; 7];
        child.stdout.as_mut().unwrap().read_exact(&mut line).unwrap();
        assert_eq!(&line, b"joined\n");
        child
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = self.cgroup.kill(Signal::SIGKILL);
        let deleted = self.cgroup.delete();
        if !std::thread::panicking() {
            deleted.unwrap();
            for (name, path) in self.cgroup.paths() {
                assert!(!Path::new(path).exists(), "{name}: {path} is still there");
            }
        }
    }
}

fn died_of(mut child: Child, signal: Signal) {
    assert_eq!(child.wait().unwrap().signal(), Some(signal as i32));
}

#[test]
fn created_everywhere_and_deleted() {
    let Some(mut place) = Place::new("create") else {
        return;
    };
    let created = place.create();
    let unified = place.layout.mode() == Mode::Unified;
    let v1 = if unified { 0 } else { place.layout.v1.len() };
    assert_eq!(created.join.files().len(), v1);
    assert_eq!(created.join.dir().is_some(), place.layout.v2.is_some());
    for (name, path) in place.cgroup.paths() {
        assert!(Path::new(path).is_dir(), "{name}: {path}");
    }
    let stored: Vec<(String, String)> =
        place.cgroup.paths().map(|(name, path)| (name.to_owned(), path.to_owned())).collect();
    let again = Cgroup::from_paths(stored.iter().map(|(name, path)| (&name[..], &path[..])));
    assert!(again.paths().eq(place.cgroup.paths()));
    again.delete().unwrap();
    again.delete().unwrap();
    assert_eq!(again.pids().unwrap(), []);
    assert!(!again.is_frozen().unwrap());
    assert_eq!(again.oom_kills().unwrap(), 0);
    again.kill(Signal::SIGKILL).unwrap();
}

#[test]
fn undo_leaves_what_was_there() {
    let Some(mut parent) = Place::new("undo") else {
        return;
    };
    parent.create();
    let path = format!("/tare-test-{}-undo/a/b/c", std::process::id());
    let mut below = parent.layout.place(Some(&path), "unused").unwrap();
    let created = below.create(OnDenied::Fail).unwrap();
    let another = format!("/tare-test-{}-undo/a/other", std::process::id());
    let mut another = parent.layout.place(Some(&another), "unused").unwrap();
    another.create(OnDenied::Fail).unwrap();
    created.undo().unwrap();
    for (_, path) in below.paths() {
        assert!(!Path::new(path).parent().unwrap().exists(), "{path}");
    }
    for (_, path) in another.paths() {
        assert!(Path::new(path).is_dir(), "{path}");
    }
    // The guard of the parent removes the tree.
}

#[test]
fn a_failed_create_leaves_nothing() {
    let Some(mut place) = Place::new("failed") else {
        return;
    };
    // The kernel refuses a line feed in a name.
    let path = format!("/tare-test-{}-failed/a\nb", std::process::id());
    place.cgroup = place.layout.place(Some(&path), "unused").unwrap();
    let error = place.cgroup.create(OnDenied::Fail).unwrap_err();
    assert_eq!(error.errno(), Some(Errno::EINVAL), "{error}");
    let hierarchies = place.layout.place(Some("/x"), "x").unwrap();
    assert_eq!(place.cgroup.paths().count(), hierarchies.paths().count());
    for hierarchy in place.layout.v1.iter().chain(&place.layout.v2) {
        let path = format!("{}/tare-test-{}-failed", hierarchy.mount, std::process::id());
        assert!(!Path::new(&path).exists(), "{path}");
    }
}

#[test]
fn cpusets_are_filled_on_the_way_down() {
    let Some(mut place) = Place::new("cpuset") else {
        return;
    };
    if place.cgroup.is_unified() {
        return println!("skipped: v2 needs no filling");
    }
    let path = format!("/tare-test-{}-cpuset/a/b", std::process::id());
    let mut below = place.layout.place(Some(&path), "unused").unwrap();
    below.create(OnDenied::Fail).unwrap();
    std::mem::swap(&mut place.cgroup, &mut below);
    for mask in ["cpuset.cpus", "cpuset.mems"] {
        let own = place.read("cpuset", mask);
        let top = &place
            .layout
            .v1
            .iter()
            .find(|h| h.names.iter().any(|name| name == "cpuset"))
            .unwrap()
            .mount;
        let top = fs::read_to_string(format!("{top}/{mask}")).unwrap();
        assert_eq!(own, top.trim_end());
        assert!(!own.is_empty());
    }
    std::mem::swap(&mut place.cgroup, &mut below);
}

#[test]
fn memory_up_and_down() {
    let Some(mut place) = Place::new("memory") else {
        return;
    };
    place.create();
    let mib = 1 << 20;
    for (limit, swap) in [(64, 64), (256, 512), (32, 32), (300, 300), (16, 20)] {
        let memory = Memory {
            limit: Some(limit * mib),
            swap: Some(swap * mib),
            reservation: Some(8 * mib),
            ..Memory::default()
        };
        place.cgroup.set(&Resources { memory, ..Resources::default() }).unwrap();
        let expected = (limit * mib).to_string();
        match place.cgroup.is_unified() {
            true => {
                assert_eq!(place.read("", "memory.max"), expected);
                assert_eq!(place.read("", "memory.swap.max"), ((swap - limit) * mib).to_string());
                assert_eq!(place.read("", "memory.low"), (8 * mib).to_string());
            }
            false => {
                assert_eq!(place.read("memory", "memory.limit_in_bytes"), expected);
                let memsw = place.read("memory", "memory.memsw.limit_in_bytes");
                assert_eq!(memsw, (swap * mib).to_string());
                let soft = place.read("memory", "memory.soft_limit_in_bytes");
                assert_eq!(soft, (8 * mib).to_string());
            }
        }
    }
    let memory = Memory { limit: Some(-1), ..Memory::default() };
    place.cgroup.set(&Resources { memory, ..Resources::default() }).unwrap();
    match place.cgroup.is_unified() {
        true => {
            assert_eq!(place.read("", "memory.max"), "max");
            assert_eq!(place.read("", "memory.swap.max"), "max");
        }
        false => {
            let limit = place.read("memory", "memory.limit_in_bytes");
            assert!(limit.parse::<u64>().unwrap() > 1 << 60);
            assert_eq!(place.read("memory", "memory.memsw.limit_in_bytes"), limit);
        }
    }
    assert_eq!(place.cgroup.oom_kills().unwrap(), 0);
}

#[test]
fn memory_options_of_v1() {
    let Some(mut place) = Place::new("memv1") else {
        return;
    };
    place.create();
    let memory = Memory {
        swappiness: Some(20),
        oom_killer: OomKiller::Disabled,
        use_hierarchy: true,
        ..Memory::default()
    };
    place.cgroup.set(&Resources { memory, ..Resources::default() }).unwrap();
    if !place.cgroup.is_unified() {
        assert_eq!(place.read("memory", "memory.swappiness"), "20");
        let oom = place.read("memory", "memory.oom_control");
        assert!(oom.starts_with("oom_kill_disable 1"), "{oom}");
    }
}

#[test]
fn oom_kills_are_counted() {
    let Some(mut place) = Place::new("oom") else {
        return;
    };
    let created = place.create();
    let memory = Memory { limit: Some(16 << 20), swap: Some(16 << 20), ..Memory::default() };
    place.cgroup.set(&Resources { memory, ..Resources::default() }).unwrap();
    let child =
        place.spawn(&created.join, "exec dd if=/dev/zero of=/dev/null bs=100M count=1 2>/dev/null");
    died_of(child, Signal::SIGKILL);
    assert!(place.cgroup.oom_kills().unwrap() > 0);
}

#[test]
fn cpu_times() {
    let Some(mut place) = Place::new("cpu") else {
        return;
    };
    place.create();
    let unified = place.cgroup.is_unified();
    let set = |cpu: Cpu<'_>| place.cgroup.set(&Resources { cpu, ..Resources::default() });
    set(Cpu {
        shares: Some(512),
        quota: Some(50_000),
        period: Some(100_000),
        burst: Some(20_000),
        ..Cpu::default()
    })
    .unwrap();
    match unified {
        true => {
            assert_eq!(place.read("", "cpu.weight"), weight_of_shares(512).to_string());
            assert_eq!(place.read("", "cpu.max"), "50000 100000");
            assert_eq!(place.read("", "cpu.max.burst"), "20000");
        }
        false => {
            assert_eq!(place.read("cpu", "cpu.shares"), "512");
            assert_eq!(place.read("cpu", "cpu.cfs_quota_us"), "50000");
            assert_eq!(place.read("cpu", "cpu.cfs_period_us"), "100000");
            assert_eq!(place.read("cpu", "cpu.cfs_burst_us"), "20000");
        }
    }
    // The burst must not exceed the quota: down together, and up together.
    set(Cpu { quota: Some(10_000), burst: Some(5_000), ..Cpu::default() }).unwrap();
    set(Cpu { quota: Some(90_000), burst: Some(80_000), ..Cpu::default() }).unwrap();
    set(Cpu { period: Some(50_000), ..Cpu::default() }).unwrap();
    match unified {
        true => {
            assert_eq!(place.read("", "cpu.max"), "90000 50000");
            assert_eq!(place.read("", "cpu.max.burst"), "80000");
        }
        false => {
            assert_eq!(place.read("cpu", "cpu.cfs_quota_us"), "90000");
            assert_eq!(place.read("cpu", "cpu.cfs_period_us"), "50000");
            assert_eq!(place.read("cpu", "cpu.cfs_burst_us"), "80000");
        }
    }
    set(Cpu { burst: Some(0), ..Cpu::default() }).unwrap();
    set(Cpu { quota: Some(-1), ..Cpu::default() }).unwrap();
    set(Cpu { shares: Some(2048), idle: Some(1), ..Cpu::default() }).unwrap();
    set(Cpu { shares: Some(256), idle: Some(0), ..Cpu::default() }).unwrap();
    assert_eq!(place.read("cpu", "cpu.idle"), "0");
    set(Cpu { cpus: Some("0"), mems: Some("0"), ..Cpu::default() }).unwrap();
    assert_eq!(place.read("cpuset", "cpuset.cpus"), "0");
    assert_eq!(place.read("cpuset", "cpuset.mems"), "0");
    let error = set(Cpu { cpus: Some("4095"), ..Cpu::default() });
    if !unified {
        let error = error.unwrap_err().to_string();
        assert!(error.contains("cpuset.cpus: write \"4095\": "), "{error}");
        let error = set(Cpu { shares: Some(1), ..Cpu::default() }).unwrap_err();
        assert!(matches!(error, Error::Value { .. }), "{error}");
    }
}

#[test]
fn numbers_of_processes() {
    let Some(mut place) = Place::new("pids") else {
        return;
    };
    place.create();
    for (limit, text) in [(17, "17"), (0, "1"), (-1, "max")] {
        place.cgroup.set(&Resources { pids: Some(limit), ..Resources::default() }).unwrap();
        assert_eq!(place.read("pids", "pids.max"), text);
    }
}

/// A block device that has a queue, as `(major, minor)`.
fn block_device() -> Option<(i64, i64)> {
    fs::read_dir("/sys/block").ok()?.flatten().find_map(|entry| {
        let numbers = fs::read_to_string(entry.path().join("dev")).ok()?;
        let (major, minor) = numbers.trim().split_once(':')?;
        Some((major.parse().ok()?, minor.parse().ok()?))
    })
}

#[test]
fn rates_of_block_devices() {
    let Some(mut place) = Place::new("io") else {
        return;
    };
    let Some((major, minor)) = block_device() else {
        return println!("skipped: no block device");
    };
    place.create();
    let rate = |rate| vec![Throttle { major, minor, rate }];
    let block_io = BlockIo {
        throttle_read_bps: rate(1 << 20),
        throttle_write_bps: rate(2 << 20),
        throttle_read_iops: rate(100),
        throttle_write_iops: rate(200),
        ..BlockIo::default()
    };
    place.cgroup.set(&Resources { block_io, ..Resources::default() }).unwrap();
    match place.cgroup.is_unified() {
        true => assert_eq!(
            place.read("", "io.max"),
            format!("{major}:{minor} rbps=1048576 wbps=2097152 riops=100 wiops=200")
        ),
        false => {
            for (file, rate) in [
                ("blkio.throttle.read_bps_device", 1 << 20),
                ("blkio.throttle.write_bps_device", 2 << 20),
                ("blkio.throttle.read_iops_device", 100),
                ("blkio.throttle.write_iops_device", 200),
            ] {
                assert_eq!(place.read("blkio", file), format!("{major}:{minor} {rate}"));
            }
        }
    }
    let block_io = BlockIo { weight: Some(500), ..BlockIo::default() };
    match place.cgroup.set(&Resources { block_io, ..Resources::default() }) {
        Ok(()) => {}
        Err(error) => assert_eq!(error.errno(), Some(Errno::ENOENT), "{error}"),
    }
}

#[test]
fn a_failing_change_is_taken_back() {
    let Some(mut place) = Place::new("back") else {
        return;
    };
    place.create();
    place.cgroup.set(&usual()).unwrap();
    let unified = place.cgroup.is_unified();
    let files: &[(&str, &str)] = match unified {
        true => &[("", "memory.max"), ("", "memory.swap.max"), ("", "cpu.max"), ("", "pids.max")],
        false => &[
            ("memory", "memory.limit_in_bytes"),
            ("memory", "memory.memsw.limit_in_bytes"),
            ("memory", "memory.swappiness"),
            ("memory", "memory.oom_control"),
            ("cpu", "cpu.shares"),
            ("cpu", "cpu.cfs_quota_us"),
            ("cpuset", "cpuset.cpus"),
            ("pids", "pids.max"),
        ],
    };
    let all = || files.iter().map(|(name, file)| place.read(name, file)).collect::<Vec<_>>();
    let before = all();
    let mut resources = Resources {
        memory: Memory {
            limit: Some(256 << 20),
            swap: Some(300 << 20),
            swappiness: Some(7),
            oom_killer: OomKiller::Disabled,
            ..Memory::default()
        },
        cpu: Cpu { shares: Some(99), quota: Some(70_000), cpus: Some("0"), ..Cpu::default() },
        pids: Some(3),
        ..Resources::default()
    };
    match unified {
        true => resources.unified = vec![("memory.high", "nonsense")],
        false => resources.rdma = vec![Rdma { device: "-", hca_handles: None, hca_objects: None }],
    }
    let snapshot = place.cgroup.snapshot(&resources);
    place.cgroup.set(&resources).unwrap_err();
    assert_ne!(all(), before);
    snapshot.restore().unwrap();
    assert_eq!(all(), before);
}

#[test]
fn a_missing_controller_is_named() {
    let Some(mut place) = Place::new("missing") else {
        return;
    };
    place.create();
    let hugepages = vec![Hugepage { page_size: "2MB", limit: 4 << 20 }];
    match place.cgroup.set(&Resources { hugepages, ..Resources::default() }) {
        Ok(()) => {
            let file = match place.on_v1("hugetlb") {
                true => "hugetlb.2MB.limit_in_bytes",
                false => "hugetlb.2MB.max",
            };
            assert_eq!(place.read("hugetlb", file), "4194304");
        }
        Err(error) => assert_eq!(
            error.to_string(),
            "cannot set hugepage limit: container could not join or create cgroup with the \
             hugetlb controller"
        ),
    }
}

#[test]
fn marks_on_network_traffic() {
    let Some(mut place) = Place::new("net") else {
        return;
    };
    place.create();
    let network = Network { class_id: Some(0x10_0001), priorities: vec![("lo", 3)] };
    let set = place.cgroup.set(&Resources { network, ..Resources::default() });
    match (place.cgroup.is_unified(), place.on_v1("net_cls")) {
        (true, _) => set.unwrap(),
        (false, false) => assert!(matches!(set, Err(Error::NoController { .. }))),
        (false, true) => {
            set.unwrap();
            assert_eq!(place.read("net_cls", "net_cls.classid"), "1048577");
            let priorities = place.read("net_prio", "net_prio.ifpriomap");
            assert!(priorities.lines().any(|line| line == "lo 3"), "{priorities}");
        }
    }
}

#[test]
fn what_is_told_is_what_is_written() {
    let Some(mut place) = Place::new("told") else { return };
    let limits = usual();
    let (told, result) = place.cgroup.writes(&limits);
    result.unwrap();
    assert!(told.len() > 3, "{told:?}");
    assert!(told.iter().all(|write| !Path::new(&write.file).exists()));
    place.create();
    place.cgroup.set(&limits).unwrap();
    for write in told {
        let text = fs::read_to_string(&write.file).unwrap_or_default();
        assert_eq!(text.trim_end(), write.value, "{}", write.file);
    }
    let unified = [("memory.nope/x", "1")];
    let (told, result) =
        place.cgroup.writes(&Resources { unified: unified.to_vec(), ..Resources::default() });
    assert!(told.is_empty() && result.is_err());
}

#[test]
fn unified_files() {
    let Some(mut place) = Place::new("unified") else {
        return;
    };
    place.create();
    let set = |name, value| {
        let unified = vec![(name, value)];
        place.cgroup.set(&Resources { unified, ..Resources::default() })
    };
    if !place.cgroup.is_unified() {
        assert_eq!(
            set("pids.max", "5").unwrap_err(),
            Error::UnifiedOnV1 { name: "pids.max".into() }
        );
        return;
    }
    set("pids.max", "5").unwrap();
    assert_eq!(place.read("", "pids.max"), "5");
    set("cpu.max", "max").unwrap();
    for bad in ["../pids.max", "/etc/passwd", "..", ""] {
        assert!(matches!(set(bad, "5"), Err(Error::Value { .. })), "{bad:?}");
    }
    let error = set("nonsense.max", "5").unwrap_err();
    assert!(matches!(error, Error::NoController { .. }), "{error}");
}

#[test]
fn device_rules_of_v1() {
    let Some(mut place) = Place::new("devices") else {
        return;
    };
    let created = place.create();
    let allow = |line| DeviceRule { allow: true, line };
    let rules = [
        DeviceRule { allow: false, line: "a" },
        allow("c 1:3 rwm"),
        allow("c 1:5 rwm"),
        allow("c *:* m"),
        DeviceRule { allow: false, line: "c 1:5 w" },
        allow("c 5:2 rw"),
    ];
    if place.cgroup.is_unified() {
        let error = place.cgroup.set_devices(&rules).unwrap_err();
        assert!(matches!(error, Error::NoController { .. }), "{error}");
        return;
    }
    place.cgroup.set_devices(&rules).unwrap();
    let list = place.read("devices", "devices.list");
    assert_eq!(list, "c 1:3 rwm\nc 1:5 rm\nc *:* m\nc 5:2 rw");
    let mut child = place
        .spawn(&created.join, "head -c1 /dev/zero >/dev/null; head -c1 /dev/random 2>/dev/null");
    assert!(!child.wait().unwrap().success());
    let error = place.cgroup.set_devices(&[allow("nonsense")]).unwrap_err().to_string();
    assert!(error.ends_with("devices.allow: write \"nonsense\": Invalid argument"), "{error}");
}

#[test]
fn joined_frozen_thawed_killed() {
    let Some(mut place) = Place::new("life") else {
        return;
    };
    let created = place.create();
    let child = place.spawn(&created.join, "while :; do sleep 0.01; done");
    let text = fs::read_to_string(format!("/proc/{}/cgroup", child.id())).unwrap();
    for line in text.lines() {
        let named = line.contains("name=") && !line.contains("name=systemd");
        let empty_v2 = line.starts_with("0::") && place.layout.v2.is_none();
        let idle_v1 = !line.starts_with("0::") && place.cgroup.is_unified();
        if !named && !empty_v2 && !idle_v1 {
            assert!(line.ends_with("-life"), "{line}");
        }
    }
    for _ in 0..20 {
        assert!(!place.cgroup.is_frozen().unwrap());
        place.cgroup.freeze().unwrap();
        assert!(place.cgroup.is_frozen().unwrap());
        place.cgroup.thaw().unwrap();
    }
    let mut again = place.cgroup.clone();
    let error = again.create(OnDenied::Fail).unwrap_err();
    assert!(matches!(error, Error::NotEmpty { processes: 1.. }), "{error}");
    // A signal that is not SIGKILL leaves a frozen cgroup frozen.
    place.cgroup.freeze().unwrap();
    place.cgroup.kill(Signal::SIGCONT).unwrap();
    assert!(place.cgroup.is_frozen().unwrap());
    place.cgroup.kill(Signal::SIGKILL).unwrap();
    assert!(!place.cgroup.is_frozen().unwrap());
    died_of(child, Signal::SIGKILL);
    place.cgroup.delete().unwrap();
}

#[test]
fn a_signal_reaches_all() {
    let Some(mut place) = Place::new("term") else {
        return;
    };
    let created = place.create();
    let children: Vec<Child> =
        (0..5).map(|_| place.spawn(&created.join, "exec sleep 100")).collect();
    place.cgroup.kill(Signal::SIGTERM).unwrap();
    for child in children {
        died_of(child, Signal::SIGTERM);
    }
}

#[test]
fn delete_waits_for_the_dying_and_those_below() {
    let Some(mut place) = Place::new("dying") else {
        return;
    };
    let created = place.create();
    let path = format!("/tare-test-{}-dying/below/deep", std::process::id());
    let mut below = place.layout.place(Some(&path), "unused").unwrap();
    // Processes in the cgroup itself keep controllers from being enabled for those below.
    let below_created = below.create(OnDenied::Fail).unwrap();
    let inner = match place.cgroup.is_unified() {
        true => None,
        false => Some(place.spawn(&created.join, "sleep 0.3; sleep 0")),
    };
    let mut deep = place.spawn(&below_created.join, "sleep 0.3; sleep 0");
    assert!(place.cgroup.pids().unwrap().contains(&(deep.id() as i32)));
    let reaper = std::thread::spawn(move || {
        deep.wait().unwrap();
        inner.map(|mut child| child.wait().unwrap());
    });
    let start = Instant::now();
    place.cgroup.delete().unwrap();
    assert!(start.elapsed() > Duration::from_millis(100));
    reaper.join().unwrap();
}

#[test]
fn a_frozen_cgroup_is_refused() {
    let Some(mut place) = Place::new("frozen") else {
        return;
    };
    place.create();
    place.cgroup.freeze().unwrap();
    let error = place.cgroup.clone().create(OnDenied::Fail).unwrap_err();
    assert!(matches!(error, Error::Frozen { .. }), "{error}");
    place.cgroup.thaw().unwrap();
    place.create();
}

#[test]
fn a_further_process_joins() {
    let Some(mut place) = Place::new("exec") else {
        return;
    };
    place.create();
    let name = if place.cgroup.is_unified() { "" } else { "memory" };
    for bad in ["..", "../other", "a/../../b"] {
        let error = place.cgroup.join(&[(name, bad)]).unwrap_err();
        assert!(matches!(error, Error::Escape { .. }), "{bad}: {error}");
    }
    let error = place.cgroup.join(&[("nonsense", "a")]).unwrap_err();
    assert!(matches!(error, Error::UnknownController { .. }), "{error}");
    let error = place.cgroup.join(&[(name, "missing")]).unwrap_err();
    assert_eq!(error.errno(), Some(Errno::ENOENT), "{error}");
    fs::create_dir(format!("{}/sub", place.dir("memory"))).unwrap();
    let join = place.cgroup.join(&[(name, "/sub")]).unwrap();
    let us = std::process::id();
    let mut text = String::new();
    for file in join.files() {
        text += &format!("echo 0 > /proc/{us}/fd/{}; ", file.as_raw_fd());
    }
    if let (Some(dir), true) = (join.dir(), place.cgroup.is_unified()) {
        text += &format!("echo 0 > /proc/{us}/fd/{}/cgroup.procs; ", dir.as_raw_fd());
    }
    let output =
        Command::new("sh").args(["-c", &(text + "cat /proc/self/cgroup")]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.lines().any(|line| line.ends_with("-exec/sub")), "{text}");
}

const STORM: &str = "while :; do /bin/true & /bin/true & wait; done";

#[test]
fn those_who_keep_forking_are_frozen_and_killed() {
    let Some(mut place) = Place::new("storm") else {
        return;
    };
    let created = place.create();
    let children: Vec<Child> = (0..4).map(|_| place.spawn(&created.join, STORM)).collect();
    for _ in 0..20 {
        place.cgroup.freeze().unwrap();
        assert!(place.cgroup.is_frozen().unwrap());
        let before = place.cgroup.pids().unwrap();
        std::thread::sleep(Duration::from_millis(5));
        assert_eq!(place.cgroup.pids().unwrap(), before);
        place.cgroup.thaw().unwrap();
        std::thread::sleep(Duration::from_millis(1));
    }
    place.cgroup.kill(Signal::SIGKILL).unwrap();
    for child in children {
        died_of(child, Signal::SIGKILL);
    }
    place.cgroup.delete().unwrap();
}

#[test]
fn v1_alone_kills_all() {
    let Some(mut place) = Place::new("v1kill") else {
        return;
    };
    if place.cgroup.is_unified() {
        return println!("skipped: no v1");
    }
    let created = place.create();
    let v1 = Cgroup::from_paths(place.cgroup.paths().filter(|(name, _)| !name.is_empty()));
    for frozen in [false, true] {
        let children: Vec<Child> = (0..4).map(|_| place.spawn(&created.join, STORM)).collect();
        if frozen {
            v1.freeze().unwrap();
        }
        v1.kill(Signal::SIGKILL).unwrap();
        for child in children {
            died_of(child, Signal::SIGKILL);
        }
    }
    // And where nothing can be frozen.
    let devices = Cgroup::from_paths(v1.paths().filter(|(name, _)| *name == "devices"));
    assert!(matches!(devices.freeze(), Err(Error::NoController { .. })));
    let child = place.spawn(&created.join, "exec sleep 100");
    devices.kill(Signal::SIGKILL).unwrap();
    died_of(child, Signal::SIGKILL);
    v1.delete().unwrap();
}

/// Runs the test `name` of this program again as a user who may do nothing.
fn as_nobody(name: &str) {
    let copy = std::env::temp_dir().join(format!("tare-test-{}-{name}", std::process::id()));
    fs::copy(std::env::current_exe().unwrap(), &copy).unwrap();
    fs::set_permissions(&copy, fs::Permissions::from_mode(0o755)).unwrap();
    let run = || {
        Command::new(&copy)
            .args(["--exact", name, "--nocapture"])
            .env("TARE_TEST_NOBODY", "1")
            .current_dir("/")
            .uid(65534)
            .gid(65534)
            .output()
    };
    let mut output = run();
    // Another test that was forking while the copy was written holds it open for a moment.
    while output.as_ref().is_err_and(|error| error.kind() == ErrorKind::ExecutableFileBusy) {
        std::thread::sleep(Duration::from_millis(2));
        output = run();
    }
    fs::remove_file(&copy).unwrap();
    let output = output.unwrap();
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn a_user_without_permission() {
    if std::env::var_os("TARE_TEST_NOBODY").is_none() {
        if Place::new("nobody").is_some() {
            as_nobody("a_user_without_permission");
        }
        return;
    }
    let layout = Layout::probe().unwrap();
    let mut placed = layout.place(None, "tare-test-nobody").unwrap();
    let error = placed.create(OnDenied::Fail).unwrap_err();
    assert!(error.to_string().ends_with("tare-test-nobody: mkdir: Permission denied"), "{error}");
    let mut asked = layout.place(Some("/tare-test-nobody"), "x").unwrap();
    let error = asked.create(OnDenied::Skip).unwrap_err();
    assert_eq!(error.errno(), Some(Errno::EACCES));

    let created = placed.create(OnDenied::Skip).unwrap();
    assert!(created.join.files().is_empty() && created.join.dir().is_none());
    assert!(placed.is_empty());
    placed.set(&Resources::default()).unwrap();
    let resources = Resources { pids: Some(5), ..Resources::default() };
    assert_eq!(
        placed.set(&resources).unwrap_err().to_string(),
        "cannot set pids limit: container could not join or create cgroup with the pids controller"
    );
    placed.kill(Signal::SIGKILL).unwrap();
    placed.delete().unwrap();
}

#[test]
fn given_to_another_user() {
    let Some(mut place) = Place::new("delegate") else {
        return;
    };
    place.create();
    place.cgroup.delegate(65534).unwrap();
    let dir = place.dir("memory");
    let owner = |path: &str| fs::metadata(path).unwrap().uid();
    let given = if place.cgroup.is_unified() { 65534 } else { 0 };
    assert_eq!(owner(&dir), given);
    assert_eq!(owner(&format!("{dir}/cgroup.procs")), given);
    let limit = if given == 0 { "memory.limit_in_bytes" } else { "memory.max" };
    assert_eq!(owner(&format!("{dir}/{limit}")), 0);
}

/// For `strace -c`: what a usual container costs.
#[test]
fn a_usual_container() {
    let Some(mut place) = Place::new("usual") else {
        return;
    };
    let created = place.create();
    place.cgroup.set(&usual()).unwrap();
    if !place.cgroup.is_unified() {
        let lines = ["c *:* m", "b *:* m", "c 1:3 rwm", "c 1:5 rwm", "c 1:7 rwm", "c 1:8 rwm"];
        let more = ["c 1:9 rwm", "c 5:0 rwm", "c 5:2 rwm", "c 136:* rwm"];
        let rules = lines.iter().chain(&more).map(|line| DeviceRule { allow: true, line });
        let deny = DeviceRule { allow: false, line: "a" };
        let rules: Vec<DeviceRule<'_>> = std::iter::once(deny).chain(rules).collect();
        place.cgroup.set_devices(&rules).unwrap();
    }
    drop(created);
    place.cgroup.delete().unwrap();
}

fn usual() -> Resources<'static> {
    Resources {
        memory: Memory { limit: Some(64 << 20), swap: Some(128 << 20), ..Memory::default() },
        cpu: Cpu {
            shares: Some(512),
            quota: Some(50_000),
            period: Some(100_000),
            ..Cpu::default()
        },
        pids: Some(100),
        ..Resources::default()
    }
}
