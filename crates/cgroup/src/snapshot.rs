//! What limits were before they are changed, so that a change which fails halfway is taken back.
//!
//! Put back is what this can read: not the weights of single block devices, nor those of v1's
//! leaves, nor huge pages, networks and RDMA, nor lines that `unified` added to a file of several.

use crate::cgroup::Cgroup;
use crate::error::Result;
use crate::file;
use crate::path;
use crate::resources::{BlockIo, Cpu, Memory, Resources, Throttle};

/// Values of control files, from [`Cgroup::snapshot`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    groups: Vec<Group>,
}

/// Files of a directory that the kernel checks against each other.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Group {
    dir: String,
    values: Vec<Value>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Value {
    file: String,
    /// The first word of the line that it is, such as `8:0`; empty where it is the whole file.
    key: String,
    /// What was there; `None`: no such line.
    text: Option<String>,
    /// What to write for no such line.
    none: String,
}

impl Cgroup {
    /// The present values of what [`set`](Cgroup::set) would change. A file that isn't there, or
    /// can't be read, is left out: `set` says what is wrong with it.
    pub fn snapshot(&self, resources: &Resources<'_>) -> Snapshot {
        let mut snapshot = Snapshot::default();
        match (self.is_unified(), self.v2_dir()) {
            (true, Some(dir)) => snapshot.take_v2(dir, resources),
            _ => snapshot.take_v1(self, resources),
        }
        snapshot
    }

    /// The limits of an update in full: v2 keeps swap apart from memory, so that a new limit on
    /// both together means something only beside the present one on memory. What else is not
    /// given is left alone, v2's `memory.swap.max` included.
    pub fn complete(&self, memory: Memory) -> Memory {
        let given = memory.limit.is_some_and(|limit| limit != 0);
        match self.v2_dir() {
            Some(dir) if self.is_unified() && !given && memory.swap.is_some_and(|s| s > 0) => {
                let now = file::read(dir, "memory.max").ok();
                let limit = now.and_then(|text| text.trim().parse().ok());
                Memory { limit: limit.or(memory.limit), ..memory }
            }
            _ => memory,
        }
    }
}

impl Snapshot {
    /// Puts everything back that has changed, as far as possible.
    ///
    /// # Errors
    /// The first value that could not be put back; the others are tried all the same.
    pub fn restore(&self) -> Result<()> {
        let mut result = Ok(());
        for group in &self.groups {
            result = result.and(group.restore());
        }
        result
    }

    fn take_v1(&mut self, cgroup: &Cgroup, resources: &Resources<'_>) {
        let Resources { memory, cpu, block_io, .. } = resources;
        if let (Some(dir), true) = (cgroup.v1_dir("memory"), *memory != Memory::default()) {
            self.files(dir, &["memory.limit_in_bytes", "memory.memsw.limit_in_bytes"]);
            self.files(dir, &["memory.soft_limit_in_bytes"]);
        }
        if let (Some(dir), true) = (cgroup.v1_dir("cpu"), *cpu != Cpu::default()) {
            self.weight(dir, "cpu.shares");
            self.files(dir, &["cpu.cfs_period_us", "cpu.cfs_quota_us", "cpu.cfs_burst_us"]);
            self.files(dir, &["cpu.rt_period_us", "cpu.rt_runtime_us"]);
        }
        if let (Some(dir), true) = (cgroup.v1_dir("cpuset"), cpu.cpus.or(cpu.mems).is_some()) {
            self.files(dir, &["cpuset.cpus"]);
            self.files(dir, &["cpuset.mems"]);
        }
        if let (Some(dir), true) = (cgroup.v1_dir("pids"), resources.pids.is_some()) {
            self.files(dir, &["pids.max"]);
        }
        if let (Some(dir), true) = (cgroup.v1_dir("blkio"), *block_io != BlockIo::default()) {
            self.files(dir, &["blkio.weight"]);
            self.files(dir, &["blkio.bfq.weight"]);
            for (file, throttles) in [
                ("blkio.throttle.read_bps_device", &block_io.throttle_read_bps),
                ("blkio.throttle.write_bps_device", &block_io.throttle_write_bps),
                ("blkio.throttle.read_iops_device", &block_io.throttle_read_iops),
                ("blkio.throttle.write_iops_device", &block_io.throttle_write_iops),
            ] {
                self.devices(dir, file, throttles, "0");
            }
        }
    }

    fn take_v2(&mut self, dir: &str, resources: &Resources<'_>) {
        let Resources { memory, cpu, block_io, .. } = resources;
        if *memory != Memory::default() {
            for file in ["memory.swap.max", "memory.max", "memory.low"] {
                self.files(dir, &[file]);
            }
        }
        if *cpu != Cpu::default() {
            self.weight(dir, "cpu.weight");
            self.files(dir, &["cpu.max", "cpu.max.burst"]);
            self.files(dir, &["cpuset.cpus"]);
            self.files(dir, &["cpuset.mems"]);
        }
        if resources.pids.is_some() {
            self.files(dir, &["pids.max"]);
        }
        if block_io.weight.is_some() {
            self.lines(dir, "io.bfq.weight", &["default"], "");
            self.lines(dir, "io.weight", &["default"], "");
        }
        for throttles in [
            &block_io.throttle_read_bps,
            &block_io.throttle_write_bps,
            &block_io.throttle_read_iops,
            &block_io.throttle_write_iops,
        ] {
            self.devices(dir, "io.max", throttles, "rbps=max wbps=max riops=max wiops=max");
        }
        for (file, _) in resources.unified.iter().filter(|(name, _)| path::is_file_name(name)) {
            let text = file::read(dir, file).unwrap_or_default();
            let first_words = |line| str::split_whitespace(line).next();
            match text.lines().count() {
                0 => {}
                1 => self.files(dir, &[file]),
                _ => self.lines(
                    dir,
                    file,
                    &text.lines().filter_map(first_words).collect::<Vec<_>>(),
                    "",
                ),
            }
        }
    }

    /// The share of the processor, and whether it is idle: an idle one has no share to put back.
    fn weight(&mut self, dir: &str, weight: &str) {
        match file::read(dir, "cpu.idle").as_deref().map(str::trim) {
            Ok("1") => self.files(dir, &["cpu.idle"]),
            _ => self.files(dir, &[weight, "cpu.idle"]),
        }
    }

    /// Files of one value, which belong together.
    fn files(&mut self, dir: &str, files: &[&str]) {
        let value = |file: &&str| {
            let text = file::read(dir, file).ok()?.trim_end().to_owned();
            let (file, key, none) = ((*file).to_owned(), String::new(), String::new());
            Some(Value { file, key, text: Some(text), none })
        };
        let values = files.iter().filter_map(value).collect();
        self.groups.push(Group { dir: dir.to_owned(), values });
    }

    fn devices(&mut self, dir: &str, file: &str, throttles: &[Throttle], none: &str) {
        let keys: Vec<String> =
            throttles.iter().map(|device| format!("{}:{}", device.major, device.minor)).collect();
        self.lines(dir, file, &keys, none);
    }

    /// Lines of a file by their first word.
    fn lines<K: AsRef<str>>(&mut self, dir: &str, file: &str, keys: &[K], none: &str) {
        if keys.is_empty() {
            return;
        }
        let Ok(text) = file::read(dir, file) else { return };
        let value = |key: &K| {
            let (file, key) = (file.to_owned(), key.as_ref().to_owned());
            let text = find(&text, &key).map(str::to_owned);
            let none = if none.is_empty() { String::new() } else { format!("{key} {none}") };
            Value { file, key, text, none }
        };
        let values = keys.iter().map(value).collect();
        self.groups.push(Group { dir: dir.to_owned(), values });
    }
}

impl Group {
    fn restore(&self) -> Result<()> {
        let changed = |value: &&Value| match file::read(&self.dir, &value.file) {
            Ok(now) => find(&now, &value.key) != value.text.as_deref(),
            Err(_) => false,
        };
        let values: Vec<(&str, String)> = self
            .values
            .iter()
            .filter(changed)
            .map(|value| (&value.file[..], value.text.as_ref().unwrap_or(&value.none).clone()))
            .filter(|(_, text)| !text.is_empty())
            .collect();
        file::write_related(&self.dir, &values, "")
    }
}

/// The line with this first word, or, without one, all of the text.
fn find<'t>(text: &'t str, key: &str) -> Option<&'t str> {
    match key {
        "" => Some(text.trim_end()),
        key => text.lines().find(|line| line.split(' ').next() == Some(key)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resources::WeightDevice;
    use std::fs;
    use std::path::PathBuf;

    /// A directory of plain files in the place of a v2 cgroup.
    struct Files(PathBuf);

    impl Files {
        fn new(name: &str, files: &[(&str, &str)]) -> Files {
            let dir = format!("tare-snapshot-{}-{name}", std::process::id());
            let dir = std::env::temp_dir().join(dir);
            fs::create_dir_all(&dir).unwrap();
            for (file, text) in files {
                fs::write(dir.join(file), text).unwrap();
            }
            Files(dir)
        }

        fn cgroup(&self) -> Cgroup {
            Cgroup::from_paths([("", self.0.to_str().unwrap())])
        }

        fn read(&self, file: &str) -> String {
            fs::read_to_string(self.0.join(file)).unwrap()
        }
    }

    impl Drop for Files {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn what_a_failed_change_did_is_undone() {
        let files = Files::new(
            "undone",
            &[("pids.max", "max\n"), ("memory.max", "4096\n"), ("cpu.max", "max 100000\n")],
        );
        let cgroup = files.cgroup();
        let resources = Resources {
            pids: Some(5),
            memory: Memory { limit: Some(8192), ..Memory::default() },
            // There is no such file, so that this fails last.
            unified: vec![("memory.high", "1")],
            ..Resources::default()
        };
        let before = cgroup.snapshot(&resources);
        assert!(cgroup.set(&resources).is_err());
        // Plain files are not truncated as the kernel's are: shorter text over longer.
        assert_eq!(files.read("pids.max"), "5ax\n");
        assert_eq!(files.read("memory.max"), "8192\n");
        assert_eq!(before.restore(), Ok(()));
        assert_eq!(files.read("pids.max"), "max\n");
        assert_eq!(files.read("memory.max"), "4096\n");
        assert_eq!(files.read("cpu.max"), "max 100000\n");
    }

    #[test]
    fn devices_that_had_no_limit_get_none() {
        let files = Files::new("devices", &[("io.max", "8:0 rbps=5\n")]);
        let throttle = |minor| Throttle { major: 8, minor, rate: 7 };
        let resources = Resources {
            block_io: BlockIo {
                throttle_read_bps: vec![throttle(0), throttle(16)],
                weight_devices: vec![WeightDevice {
                    major: 8,
                    minor: 0,
                    weight: Some(10),
                    leaf_weight: None,
                }],
                ..BlockIo::default()
            },
            ..Resources::default()
        };
        let snapshot = files.cgroup().snapshot(&resources);
        let values: Vec<_> = snapshot.groups.iter().flat_map(|group| &group.values).collect();
        assert_eq!(values.len(), 2);
        assert_eq!(values[0].text.as_deref(), Some("8:0 rbps=5"));
        assert_eq!(values[1].text, None);
        assert_eq!(values[1].none, "8:16 rbps=max wbps=max riops=max wiops=max");
    }

    #[test]
    fn an_idle_cgroup_has_no_weight_to_put_back() {
        let files = Files::new("idle", &[("cpu.idle", "1\n"), ("cpu.weight", "0\n")]);
        let resources =
            Resources { cpu: Cpu { idle: Some(0), ..Cpu::default() }, ..Resources::default() };
        let snapshot = files.cgroup().snapshot(&resources);
        let names = snapshot.groups.iter().flat_map(|group| &group.values).map(|v| &v.file[..]);
        assert_eq!(names.collect::<Vec<_>>(), ["cpu.idle"]);
    }

    #[test]
    fn swap_alone_goes_with_the_present_memory() {
        let files = Files::new("swap", &[("memory.max", "4096\n")]);
        let swap = Memory { swap: Some(8192), ..Memory::default() };
        assert_eq!(files.cgroup().complete(swap).limit, Some(4096));
        let both = Memory { limit: Some(1), ..swap };
        assert_eq!(files.cgroup().complete(both), both);
        let unlimited = Files::new("unlimited", &[("memory.max", "max\n")]);
        assert_eq!(unlimited.cgroup().complete(swap), swap);
    }
}
