//! Attacks: a neighbour that exchanges directories of a shared volume while containers start.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};
use serde_json::json;

use super::security::Sentinel;
use crate::bundle::Bundle;
use crate::call::Output;
use crate::case::Case;
use crate::layout;
use crate::table::{Test, test};
use crate::verdict::{Verdict, fail, lacks, that};

/// A volume in which one name is a directory at one moment, and a link to the host's tree at the next.
struct Volume {
    dir: PathBuf,
    sentinel: Sentinel,
    turning: &'static str,
}

impl Volume {
    fn new(t: &Case) -> Verdict<Self> {
        let sentinel = Sentinel::new(t)?;
        let dir = t.dir("volume")?;
        fs::create_dir_all(dir.join("turning/sub"))?;
        symlink(&sentinel.0, dir.join("other"))?;
        Ok(Self { dir, sentinel, turning: "turning" })
    }

    /// As a container's `/dev`, whose null device turns into a link.
    fn of_devices(t: &Case) -> Verdict<Self> {
        let volume = Self::new(t)?;
        let [null, link] = ["null", "other"].map(|name| volume.dir.join(name));
        t.host(["mknod", "-m", "666", &null.to_string_lossy(), "c", "1", "3"])?;
        fs::remove_file(&link)?;
        symlink(volume.sentinel.0.join("file"), link)?;
        Ok(Self { turning: "null", ..volume })
    }

    /// Does `act` while the neighbour exchanges the two as fast as it can.
    fn turns<T>(&self, act: impl FnOnce() -> Verdict<T>) -> Verdict<T> {
        let done = AtomicBool::new(false);
        let [one, other] = [self.turning, "other"].map(|name| self.dir.join(name));
        std::thread::scope(|scope| {
            let neighbour = scope.spawn(|| exchange(&one, &other, &done));
            let result = act();
            done.store(true, Ordering::Relaxed);
            match neighbour.join() {
                Ok(Ok(())) => result,
                _ => fail("the neighbour can't exchange names"),
            }
        })
    }

    /// As many runs of the bundle as asked for, while the names turn; some must come to their end.
    /// `check` sees each that has.
    fn rounds(&self, t: &Case, b: &Bundle<'_>, check: impl Fn(&Output) -> Verdict) -> Verdict {
        layout::root()?;
        let ran = self.turns(|| {
            let mut ran = 0;
            for _ in 0..t.rounds {
                let out = b.run()?;
                self.sentinel.unchanged()?;
                lacks(&out.stdout, "of the host")?;
                if out.code == 0 {
                    that(out.stdout.contains("ran"), format!("it has run: {out:?}"))?;
                    check(&out)?;
                    ran += 1;
                } else {
                    that(!out.stderr.is_empty(), "it says why it doesn't run")?;
                }
            }
            Ok(ran)
        })?;
        that(ran > 0, "some have run")?;
        t.nothing_left()
    }
}

fn exchange(one: &Path, other: &Path, done: &AtomicBool) -> nix::Result<()> {
    while !done.load(Ordering::Relaxed) {
        renameat2(AT_FDCWD, one, AT_FDCWD, other, RenameFlags::RENAME_EXCHANGE)?;
    }
    Ok(())
}

/// No mount of the container may be at another place than those that it was given.
fn known_places(out: &Output, sentinel: &Path) -> Verdict {
    let inside = sentinel.to_string_lossy();
    let known = ["/", "/proc", "/dev", "/dev/pts", "/sys"];
    for place in out.stdout.lines().filter_map(|line| line.strip_prefix("at ")) {
        let ours =
            known.contains(&place) || place.starts_with("/vol") || place.starts_with(&*inside);
        that(ours, format!("{place} is in the configuration"))?;
    }
    Ok(())
}

/// The chapter's tests of races.
pub(crate) const RACES: &[Test] = &[
    test(
        "race-mounts",
        "CVE-2021-30465, CVE-2024-45310: the place of a mount turns into a link, again and again",
        |t| {
            let volume = Volume::new(t)?;
            let file = t.file("source", "of the source")?;
            let b = t.bundle()?.bind(&volume.dir, "/vol", &["bind"]);
            let b = b.mount("/vol/turning/sub/made", "tmpfs", "tmpfs", &["ro"]);
            let b = b.mount("/vol/turning/copied", "tmpfs", "tmpfs", &["tmpcopyup", "rslave"]);
            let b = b.bind(&file, "/vol/turning/file", &["bind", "ro"]);
            let hidden = volume.sentinel.0.join("file");
            let b = b.sh(&format!(
                "awk '{{ print \"at\", $5 }}' /proc/self/mountinfo; \
                 cat {0} /vol/turning/../../../../../../{0} 2>/dev/null; echo ran",
                hidden.display()
            ));
            volume.rounds(t, &b, |out| known_places(out, &volume.sentinel.0))
        },
    ),
    test(
        "race-directories-and-devices",
        "CVE-2024-45310: what is made in a root turns into a link, again and again",
        |t| {
            let volume = Volume::new(t)?;
            let b = t.bundle()?.bind(&volume.dir, "/vol", &["bind"]);
            let device =
                json!({ "path": "/vol/turning/disk", "type": "b", "major": 7, "minor": 0 });
            let b = b.push("/linux/devices", device).set("/process/cwd", "/vol/turning/work");
            volume.rounds(t, &b.sh("pwd -P; echo ran"), |_| Ok(()))
        },
    ),
    test(
        "race-masks",
        "CVE-2025-31133, CVE-2025-62161: /dev/null turns into a link while paths are masked",
        |t| {
            let volume = Volume::of_devices(t)?;
            let b = t.bundle()?.unmount("/dev/pts").unmount("/dev");
            let b = b.bind(&volume.dir, "/dev", &["bind"]);
            let b = b.set("/linux/maskedPaths", json!(["/etc/passwd"]));
            let script = "cat /etc/passwd; echo changed 2>/dev/null > /etc/passwd; echo ran";
            volume.rounds(t, &b.sh(script), |out| lacks(&out.stdout, "root:"))
        },
    ),
    test(
        "race-read-only-paths",
        "CVE-2021-30465: a read-only and a masked path turn into links, again and again",
        |t| {
            let volume = Volume::new(t)?;
            let b = t.bundle()?.bind(&volume.dir, "/vol", &["bind"]);
            let b = b.set("/linux/maskedPaths", json!(["/vol/turning/sub", "/etc/passwd"]));
            let b = b.set("/linux/readonlyPaths", json!(["/vol/turning", "/etc"]));
            let b =
                b.sh("awk '{ print \"at\", $5 }' /proc/self/mountinfo; cat /etc/passwd; echo ran");
            volume.rounds(t, &b, |out| {
                lacks(&out.stdout, "root:")?;
                let kept = out.stdout.replace("at /etc/passwd\n", "").replace("at /etc\n", "");
                that(kept != out.stdout, "/etc is covered")
            })
        },
    ),
];
