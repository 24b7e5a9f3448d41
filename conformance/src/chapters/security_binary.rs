//! Security: the runtime's binary, and what is seen of the host.

use super::security::{Sentinel, binary_stays, digest};
use crate::layout::hierarchy;
use crate::table::{Test, test};
use crate::verdict::{fail, has, is, lacks, that};
use serde_json::json;
use std::fs;
use std::os::unix::fs::MetadataExt;

/// More of the chapter's tests.
pub(crate) const TESTS: &[Test] = &[
    test("binary-as-entrypoint", "CVE-2019-5736: /proc/self/exe as the entrypoint", |t| {
        // What runs then is the runtime, in the container: its usage text is harmless.
        let b = t.bundle()?.args(["/proc/self/exe", "--version"]);
        binary_stays(t, &b)
    }),
    test(
        "binary-by-interpreter",
        "CVE-2019-5736: an entrypoint whose interpreter is /proc/self/exe",
        |t| {
            let b = t.bundle()?;
            fs::write(b.rootfs("entry"), "#!/proc/self/exe\n")?;
            t.host(["chmod", "755", &b.rootfs("entry").to_string_lossy()])?;
            binary_stays(t, &b.args(["/entry"]))
        },
    ),
    test(
        "binary-during-exec",
        "CVE-2019-5736: writing to every /proc/PID/exe while execs come",
        |t| {
            let before = digest(t, &t.runtime)?;
            let b = t.bundle()?.caps(&["CAP_SYS_PTRACE", "CAP_DAC_OVERRIDE", "CAP_KILL"]);
            let script = "echo up; while :; do for e in /proc/[0-9]*/exe; do \
                      (exec 4<$e && echo bad >/proc/self/fd/4) 2>/dev/null; done; done";
            let c = b.sh(script).start()?;
            c.shows("up")?;
            for _ in 0..8 {
                c.exec([], ["/bin/true"]).ok()?;
            }
            is(digest(t, &t.runtime)?, before)
        },
    ),
    test(
        "init-not-ptraceable",
        "a created container's first process shows nothing of the runtime",
        |t| {
            let c = t.bundle()?.caps(&["CAP_SYS_PTRACE"]).sleeps().create()?;
            let said = c.says("ls /proc/1/fd 2>&1; readlink /proc/1/exe 2>&1; true")?;
            lacks(&said, &t.scratch.to_string_lossy())?;
            is(c.says("echo good")?.as_str(), "good")
        },
    ),
    test(
        "mountinfo",
        "in a container with every kind of mount no other mount of the host's is seen",
        |t| {
            let source = t.dir("source")?;
            let b = t.bundle()?.bind(&source, "/data", &["rbind"]);
            let b = b.mount("/sys/fs/cgroup", "cgroup", "cgroup", &["ro"]);
            let b = b.set("/linux/maskedPaths", json!(["/proc/kcore", "/proc/acpi"]));
            let info = b.says("cut -d' ' -f5 /proc/self/mountinfo")?;
            let known =
                ["/", "/data", "/dev", "/dev/pts", "/proc", "/sys", "/proc/kcore", "/proc/acpi"];
            for point in info.lines() {
                let cgroup = point.starts_with("/sys/fs/cgroup");
                that(cgroup || known.contains(&point), format!("{point} is in the configuration"))?;
            }
            has(info, "/data")
        },
    ),
    test(
        "old-root-unreachable",
        "the host's root can't be reached by .. nor by another mount",
        |t| {
            let b = t.bundle()?;
            let inode = fs::metadata(b.rootfs(""))?.ino().to_string();
            let said = b.says(
                "cd /..; stat -c %i /; stat -c %i /../../..; ls -d /.pivot* 2>/dev/null; true",
            )?;
            is(said, format!("{inode}\n{inode}"))
        },
    ),
    test(
        "sysrq-and-core-pattern",
        "with read-only paths the host's kernel settings can't be written",
        |t| {
            let before = fs::read_to_string("/proc/sys/kernel/core_pattern")?;
            let b = t
                .bundle()?
                .set("/linux/readonlyPaths", json!(["/proc/sys", "/proc/sysrq-trigger"]));
            let said = b.says(
                "for f in /proc/sys/kernel/core_pattern /proc/sysrq-trigger; do \
             echo x 2>/dev/null > $f || echo refused; done",
            )?;
            is(said.as_str(), "refused\nrefused")?;
            is(fs::read_to_string("/proc/sys/kernel/core_pattern")?, before)
        },
    ),
    test("state-directory-mode", "others can't look into the state directory", |t| {
        let c = t.bundle()?.sleeps().create()?;
        let mode = fs::metadata(t.root.join(&c.id))?.mode() & 0o7777;
        is(mode & 0o066, 0)
    }),
    test("large-maps", "CVE-2021-43784: very long id mappings give a clean error", |t| {
        let map: Vec<_> = (0..6_000_u32)
            .map(|n| json!({ "containerID": n * 2, "hostID": 100_000 + n * 2, "size": 1 }))
            .collect();
        let b = t.bundle()?.unshare("user");
        let b = b.set("/linux/uidMappings", json!(map)).set("/linux/gidMappings", json!(map));
        let out = b.try_create()?;
        that(out.code > 0 && !out.stderr.is_empty(), format!("refused: {out:?}"))?;
        t.nothing_left()?;
        is(t.bundle()?.says("echo good")?.as_str(), "good")
    }),
    test(
        "exec-in-changed-root",
        "exec after the container has replaced its /dev/null and /proc/self",
        |t| {
            let sentinel = Sentinel::new(t)?;
            let c = t
                .bundle()?
                .caps(&["CAP_SYS_ADMIN", "CAP_MKNOD", "CAP_DAC_OVERRIDE"])
                .sleeps()
                .start()?;
            let target = sentinel.0.join("file");
            c.says(&format!("rm /dev/null; ln -s {} /dev/null; echo swapped", target.display()))?;
            let out = c.exec([], ["/bin/echo", "ran"]).output()?;
            sentinel.unchanged()?;
            that(out.text() == "ran" || !out.stderr.is_empty(), "it runs or says why not")?;
            c.is("running")
        },
    ),
    test(
        "rootless-cgroup-not-writable",
        "CVE-2023-25809: in a user namespace cgroups can't be made",
        |t| {
            let b = t.bundle()?.user_namespace(100_000).owned_by(100_000)?;
            let b = b.mount("/sys/fs/cgroup", "cgroup", "cgroup", &["ro"]);
            let below = format!("{}/x", hierarchy("pids"));
            let out = b.sh(&format!("mkdir {below} 2>/dev/null && echo made; echo end")).run()?;
            lacks(&out.stdout, "made")?;
            if out.code != 0 && out.stderr.is_empty() {
                return fail("neither ran nor said why");
            }
            is(t.bundle()?.says("echo good")?.as_str(), "good")
        },
    ),
];
