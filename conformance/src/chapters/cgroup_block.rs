//! Cgroups: block IO on a real block device, a loop device of the test's own.

use std::fs;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::cgroups::{MB, controller};
use crate::bundle::Bundle;
use crate::case::Case;
use crate::layout::{either, path};
use crate::table::{Test, test};
use crate::verdict::{Verdict, is, needs, that};

/// A block device of 4 MB, there until this value is dropped.
struct Loop<'t> {
    t: &'t Case,
    device: String,
    minor: u64,
}

impl<'t> Loop<'t> {
    fn new(t: &'t Case) -> Verdict<Self> {
        controller("blkio")?;
        needs(fs::exists("/dev/loop-control")?, "loop devices")?;
        let file = t.file("disk", vec![7; 4 << 20])?;
        let device = t.host(["losetup", "--find", "--show", &file.to_string_lossy()])?;
        let minor = device.trim_start_matches("/dev/loop").parse()?;
        Ok(Self { t, device, minor })
    }

    /// A bundle with the device, as `/dev/disk`, and this limit of block IO.
    fn bundle(&self, limit: Option<(&str, Value)>) -> Verdict<Bundle<'t>> {
        let device = json!({
            "path": "/dev/disk", "type": "b", "major": 7, "minor": self.minor, "fileMode": 0o600
        });
        let rule = json!({
            "allow": true, "type": "b", "major": 7, "minor": self.minor, "access": "rwm"
        });
        let b = self.t.bundle()?.push("/linux/devices", device);
        let b = b.push("/linux/resources/devices", rule);
        Ok(match limit {
            Some((name, value)) => b.set(&format!("/linux/resources/blockIO/{name}"), value),
            None => b,
        })
    }

    /// A throttle of the device.
    fn rate(&self, rate: u64) -> Value {
        json!([{ "major": 7, "minor": self.minor, "rate": rate }])
    }
}

impl Drop for Loop<'_> {
    fn drop(&mut self) {
        let _ = self.t.host(["losetup", "--detach", &self.device]);
    }
}

/// Reads 1 MB past the page cache.
const READ: &str = "dd if=/dev/disk of=/dev/null bs=64k count=16 iflag=direct 2>&1 | grep -c 16+0";

/// The chapter's tests of block devices.
pub(crate) const BLOCK: &[Test] = &[
    test("blkio-holds", "a process that reads more than it may has to wait", |t| {
        let disk = Loop::new(t)?;
        let b = disk.bundle(Some(("throttleReadBpsDevice", disk.rate(MB / 2))))?;
        let begun = Instant::now();
        is(b.says(READ)?.as_str(), "2")?;
        let took = begun.elapsed();
        // 1 MB at half of that a second; the kernel lets the first slice of time pass.
        that(took > Duration::from_millis(1500), format!("1 MB in {} ms", took.as_millis()))
    }),
    test("blkio-other-device", "a throttle is for its own device", |t| {
        let (disk, other) = (Loop::new(t)?, Loop::new(t)?);
        let b = disk.bundle(Some(("throttleReadBpsDevice", other.rate(1024))))?;
        is(b.says(&format!("timeout 15 sh -c '{READ}'"))?.as_str(), "2")
    }),
    test("stats-blkio-bytes", "events: the bytes that were read from a device", |t| {
        let disk = Loop::new(t)?;
        let c = disk.bundle(None)?.sleeps().start()?;
        c.says(READ)?;
        let file = either("blkio.throttle.io_service_bytes_recursive", "io.stat");
        needs(path("blkio", &c.id, file).exists(), "a kernel that counts block IO")?;
        let data = c.call("events").arg("--stats").output()?.json()?["data"].take();
        let list = data["blkio"]["ioServiceBytesRecursive"].as_array().cloned().unwrap_or_default();
        let ours = |entry: &&Value| {
            entry["major"] == 7
                && entry["minor"].as_u64().unwrap_or(0) == disk.minor
                && entry["op"].as_str().is_some_and(|op| op.eq_ignore_ascii_case("read"))
        };
        let read = list.iter().find(ours).and_then(|entry| entry["value"].as_u64());
        is(read, Some(MB))
    }),
];
