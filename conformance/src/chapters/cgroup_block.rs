//! Cgroups: block IO on a real block device, a loop device of the test's own.

use std::fs;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::cgroups::{MB, controller};
use crate::bundle::Bundle;
use crate::case::Case;
use crate::container::Container;
use crate::layout::{either, path, read};
use crate::table::{Test, test};
use crate::verdict::{Verdict, has, is, needs, that};

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

    /// With the scheduler that knows weights.
    fn bfq(self) -> Verdict<Self> {
        let scheduler = format!("/sys/block/loop{}/queue/scheduler", self.minor);
        needs(fs::write(scheduler, "bfq").is_ok(), "the scheduler BFQ")?;
        Ok(self)
    }

    /// A weight of the device.
    fn weight(&self, weight: u16) -> Value {
        json!([{ "major": 7, "minor": self.minor, "weight": weight }])
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

/// A weight of this device, in the file of the scheduler BFQ.
fn weighs(c: &Container<'_>, disk: &Loop<'_>, weight: u16) -> Verdict {
    let text = read("blkio", &c.id, either("blkio.bfq.weight_device", "io.bfq.weight"))?;
    has(text, &format!("7:{} {weight}", disk.minor))
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
    test("blkio-weight-device", "spec, Block IO: weightDevice, of a device with BFQ", |t| {
        let disk = Loop::new(t)?.bfq()?;
        let weight = Some(("weightDevice", disk.weight(300)));
        weighs(&disk.bundle(weight)?.sleeps().start()?, &disk, 300)
    }),
    test("update-weight-device", "update changes the weight of a device, or nothing", |t| {
        let disk = Loop::new(t)?.bfq()?;
        let c = disk.bundle(Some(("weightDevice", disk.weight(300))))?.sleeps().start()?;
        let more = json!({ "blockIO": { "weightDevice": disk.weight(17) } }).to_string();
        t.call(["update", "--resources", "-", &c.id]).stdin(more)?.ok()?;
        weighs(&c, &disk, 17)?;
        // What fails later takes it back.
        let bad =
            json!({ "blockIO": { "weightDevice": disk.weight(500) }, "cpu": { "cpus": "4000" } });
        let bad = t.call(["update", "--resources", "-", &c.id]).stdin(bad.to_string())?;
        bad.output()?.refused(&["cpuset.cpus"])?;
        weighs(&c, &disk, 17)
    }),
    test("stats-blkio-bytes", "events: the bytes that were read from a device", |t| {
        let disk = Loop::new(t)?;
        let c = disk.bundle(None)?.sleeps().start()?;
        c.says(READ)?;
        let file = either("blkio.throttle.io_service_bytes_recursive", "io.stat");
        needs(path("blkio", &c.id, file).exists(), "a kernel that counts block IO")?;
        let data = c.stats()?;
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
