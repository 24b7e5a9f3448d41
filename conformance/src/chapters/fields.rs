//! What has no chapter of its own: the rows of docs/compatibility.md that no other test is about.

use crate::case::Case;
use crate::layout::{self, either, path, read};
use crate::socket::{Socket, is_pidfd_of};
use crate::table::{Test, test};
use crate::verdict::{Verdict, has, is, lacks, needs, that};
use serde_json::{Value, json};
use std::fs;

/// The chapter's tests.
pub(crate) const TESTS: &[Test] = &[
    test("cgroup-manager", "crun: --cgroup-manager disabled makes no cgroup", |t| {
        layout::paths()?;
        let b = t.bundle()?.args(["cat", "/proc/self/cgroup"]).share("cgroup");
        let b = b.without("/linux/cgroupsPath").without("/linux/resources");
        let call = |manager: &str| -> Verdict<_> {
            b.call("run")?.global(["--cgroup-manager", manager]).output()
        };
        is(call("disabled")?.ok()?.trim(), fs::read_to_string("/proc/self/cgroup")?.trim())?;
        has(call("cgroupfs")?.ok()?, &b.id)?;
        call("nobody")?.refused(&["cgroup manager", "nobody"])
    }),
    test(
        "exec-pidfd-socket",
        "runc 1.2: exec --pidfd-socket sends a pidfd and the text setns",
        |t| {
            let (socket, pid_file) = (Socket::listen(t)?, t.path("pid"));
            let c = t.bundle()?.sleeps().start()?;
            let (socket_name, pid_name) = (socket.name(), pid_file.to_string_lossy());
            let flags = ["-d", "--pidfd-socket", &socket_name, "--pid-file", &pid_name];
            c.exec(flags, ["sleep", "100"]).ok()?;
            let (descriptors, text) = socket.receive()?;
            is(text.as_str(), "setns")?;
            is_pidfd_of(&descriptors, &fs::read_to_string(pid_file)?)
        },
    ),
    test(
        "apparmor",
        "process.apparmorProfile and exec --apparmor: refused without the module",
        |t| {
            let enabled = fs::read_to_string("/sys/module/apparmor/parameters/enabled");
            needs(!enabled.is_ok_and(|text| text.starts_with('Y')), "a kernel without AppArmor")?;
            let c = t.bundle()?.sleeps().start()?;
            c.exec(["--apparmor", "p"], ["true"]).output()?.refused(&["apparmor"])?;
            c.exec([], ["true"]).ok()?;
            t.rt(["delete", "--force", &c.id])?.ok()?;
            t.bundle()?.set("/process/apparmorProfile", "p").sleeps().refused(&["apparmor"])
        },
    ),
    test(
        "selinux",
        "process.selinuxLabel and exec --process-label: refused without the module",
        |t| {
            needs(!fs::exists("/sys/fs/selinux/enforce")?, "a kernel without SELinux")?;
            let c = t.bundle()?.sleeps().start()?;
            c.exec(["--process-label", "a:b:c"], ["true"]).output()?.refused(&["selinux"])?;
            t.rt(["delete", "--force", &c.id])?.ok()?;
            t.bundle()?.set("/process/selinuxLabel", "a:b:c").sleeps().refused(&["selinux"])
        },
    ),
    test("mount-label", "linux.mountLabel: refused without the module", |t| {
        needs(!fs::exists("/sys/fs/selinux/enforce")?, "a kernel without SELinux")?;
        // runc has the kernel say that it knows no such option.
        let b = t.bundle()?.sleeps().set("/linux/mountLabel", "a:b:c");
        b.refused(&["selinux|invalid argument"])
    }),
    test("intel-rdt", "spec, IntelRdt: refused where there is no resctrl file system", |t| {
        needs(!fs::exists("/sys/fs/resctrl")?, "a kernel without resctrl")?;
        // What is not asked for is not missed.
        t.bundle()?.raw("/linux/intelRdt", Value::Null).args(["echo", "on"]).run()?.prints("on")?;
        let rdt = json!({ "closID": "gold", "l3CacheSchema": "L3:0=f", "enableMonitoring": true });
        t.bundle()?
            .raw("/linux/intelRdt", rdt)
            .sleeps()
            .refused(&["intelRdt: this kernel has no resctrl|Intel RDT"])
    }),
    test(
        "update-schemata",
        "runc: update --l3-cache-schema and --mem-bw-schema: refused where there is none",
        |t| {
            needs(!fs::exists("/sys/fs/resctrl")?, "a kernel without resctrl")?;
            let c = t.bundle()?.sleeps().start()?;
            for (flag, schema, sentence) in [
                ("--l3-cache-schema", "L3:0=f", "Intel RDT/CAT: l3 cache schema is not enabled"),
                (
                    "--mem-bw-schema",
                    "MB:0=20",
                    "Intel RDT/MBA: memory bandwidth schema is not enabled",
                ),
            ] {
                let out = t.rt(["update", flag, schema, &c.id])?;
                has(out.stderr, sentence)?;
                that(out.code != 0, format!("{flag} fails"))?;
                // An empty one is none.
                t.rt(["update", flag, "", &c.id])?.ok()?;
            }
            Ok(())
        },
    ),
    test("spec-rootless", "runc: spec --rootless writes what an ordinary user can run", |t| {
        let dir = t.dir("bundle")?;
        t.rt(["spec", "--rootless", "--bundle", &dir.to_string_lossy()])?.ok()?;
        let config: Value = serde_json::from_slice(&fs::read(dir.join("config.json"))?)?;
        let kinds = config["linux"]["namespaces"].to_string();
        has(&kinds, "\"user\"")?;
        lacks(kinds, "\"network\"")?;
        for ids in ["uidMappings", "gidMappings"] {
            is(&config["linux"][ids][0]["containerID"], &json!(0))?;
            is(&config["linux"][ids][0]["size"], &json!(1))?;
        }
        let mounts = config["mounts"].as_array().cloned().unwrap_or_default();
        let sys = mounts.iter().find(|mount| mount["destination"] == "/sys");
        is(sys.map(|mount| mount["type"].clone()), Some(json!("none")))?;
        is(config["linux"]["resources"].is_null(), true)
    }),
    test("update-realtime", "runc: update --cpu-rt-period and --cpu-rt-runtime (v1)", |t| {
        needs(fs::exists("/sys/fs/cgroup/cpu/cpu.rt_runtime_us")?, "v1's realtime limits")?;
        let c = t.bundle()?.sleeps().start()?;
        t.rt(["update", "--cpu-rt-period", "500000", "--cpu-rt-runtime", "0", &c.id])?.ok()?;
        is(read("cpu", &c.id, "cpu.rt_period_us")?.as_str(), "500000")
    }),
    test("update-weight", "runc: update --blkio-weight", |t| {
        layout::has("blkio")?;
        let c = t.bundle()?.sleeps().start()?;
        let v1 = [("blkio.weight", "300"), ("blkio.bfq.weight", "300")];
        let v2 = [("io.bfq.weight", "default 300"), ("io.weight", "default 2930")];
        let there = |held: &(&str, &str)| path("blkio", &c.id, held.0).exists();
        let out = t.rt(["update", "--blkio-weight", "300", &c.id])?;
        match either(v1, v2).into_iter().find(there) {
            Some((file, value)) => {
                out.ok()?;
                is(read("blkio", &c.id, file)?.as_str(), value)
            }
            // Neither scheduler is there: not a word would be a lie.
            None => has(out.stderr, "weight"),
        }
    }),
    test("exec-cpu-affinity", "spec 1.2, execCPUAffinity: the CPUs of exec's processes", |t| {
        let affinity = json!({ "initial": "0", "final": "0" });
        let c = t.bundle()?.raw("/process/execCPUAffinity", affinity).sleeps().start()?;
        let line = ["grep", "Cpus_allowed_list", "/proc/self/status"];
        is(c.exec([], line).ok()?.trim(), "Cpus_allowed_list:\t0")?;
        t.rt(["delete", "--force", &c.id])?.ok()?;
        let wrong = json!({ "initial": "x" });
        t.bundle()?.raw("/process/execCPUAffinity", wrong).sleeps().refused(&["affinity"])
    }),
    test(
        "mount-flags",
        "spec, Mounts: iversion, lazytime, silent, loud, mand and their opposites",
        |t| {
            for option in
                ["iversion", "noiversion", "nolazytime", "silent", "loud", "mand", "nomand"]
            {
                let said = options(t, &[option])?;
                lacks(said, "lazytime")?;
            }
            has(options(t, &["lazytime"])?, "lazytime")
        },
    ),
    test("recursive-symfollow", "spec 1.1, Mounts: rnosymfollow and rsymfollow", |t| {
        has(bound(t, &["rnosymfollow"])?, "nosymfollow")?;
        lacks(bound(t, &["nosymfollow", "rsymfollow"])?, "nosymfollow")
    }),
    test("recursive-others", "spec 1.1, Mounts: the recursive attributes that take back", |t| {
        for (set, off) in [
            ("ro", "rrw"),
            ("nosuid", "rsuid"),
            ("nodev", "rdev"),
            ("noexec", "rexec"),
            ("nodiratime", "rdiratime"),
            ("noatime", "rrelatime"),
            ("noatime", "ratime"),
            ("noatime", "rstrictatime"),
            ("relatime", "rstrictatime"),
            ("relatime", "rnorelatime"),
        ] {
            let shows = |options: &[&str]| -> Verdict<bool> {
                Ok(bound(t, options)?.split([',', ' ']).any(|word| word == set))
            };
            that(shows(&[set])?, format!("{set} shows"))?;
            that(!shows(&[set, off])?, format!("{off} takes {set} back"))?;
        }
        has(bound(t, &["rnodiratime"])?, "nodiratime")?;
        has(bound(t, &["rnostrictatime"])?, "relatime")
    }),
    test("mounts-absent", "spec, Mounts: the list is optional", |t| {
        let b = t.bundle()?.without_raw("/mounts").without_raw("/linux/maskedPaths");
        b.without_raw("/linux/readonlyPaths").args(["echo", "none"]).run()?.prints("none")
    }),
    test("kernel-memory", "runc: limits of the kernel's memory are ignored, with a warning", |t| {
        let b = t.bundle()?.args(["echo", "on"]);
        let b =
            b.raw("/linux/resources/memory", json!({ "kernel": 1 << 24, "kernelTCP": 1 << 24 }));
        let out = b.run()?;
        out.prints("on")?;
        has(out.stderr.to_lowercase(), "kernel memory")
    }),
    test(
        "leaf-weight",
        "spec, Block IO: leafWeight is set, or it is said that there is none",
        |t| {
            let b = t.bundle()?.raw("/linux/resources/blockIO", json!({ "leafWeight": 300 }));
            let out = b.args(["true"]).run()?;
            has(out.stderr.to_lowercase(), "leaf")
        },
    ),
    test("features", "spec 1.3, Features: every field, of its type, and known values", |t| {
        let features = t.rt(["features"])?.json()?;
        for list in [
            "/hooks",
            "/mountOptions",
            "/linux/namespaces",
            "/linux/capabilities",
            "/linux/seccomp/actions",
            "/linux/seccomp/operators",
            "/linux/seccomp/archs",
            "/linux/seccomp/knownFlags",
            "/linux/memoryPolicy/modes",
            "/linux/memoryPolicy/flags",
            "/potentiallyUnsafeConfigAnnotations",
        ] {
            let names = features.pointer(list).and_then(Value::as_array);
            let good = |list: &Vec<Value>| !list.is_empty() && list.iter().all(Value::is_string);
            that(names.is_some_and(good), format!("{list} is a list of names"))?;
        }
        for switch in [
            "cgroup/v1",
            "cgroup/v2",
            "cgroup/systemd",
            "cgroup/systemdUser",
            "cgroup/rdma",
            "seccomp/enabled",
            "apparmor/enabled",
            "selinux/enabled",
            "intelRdt/enabled",
            "mountExtensions/idmap/enabled",
            "netDevices/enabled",
        ] {
            let value = features.pointer(&format!("/linux/{switch}"));
            that(value.is_some_and(Value::is_boolean), format!("{switch} is true or false"))?;
        }
        for (list, name) in [
            ("/mountOptions", "rnosymfollow"),
            ("/linux/namespaces", "time"),
            ("/linux/capabilities", "CAP_CHECKPOINT_RESTORE"),
            ("/linux/seccomp/actions", "SCMP_ACT_NOTIFY"),
            ("/linux/seccomp/operators", "SCMP_CMP_MASKED_EQ"),
            ("/linux/seccomp/archs", "SCMP_ARCH_AARCH64"),
            ("/linux/seccomp/knownFlags", "SECCOMP_FILTER_FLAG_LOG"),
            ("/linux/memoryPolicy/modes", "MPOL_BIND"),
        ] {
            let names = features.pointer(list).and_then(Value::as_array);
            let known = names.is_some_and(|list| list.contains(&json!(name)));
            that(known, format!("{name} is in {list}"))?;
        }
        Ok(())
    }),
];

/// The line of mountinfo of a tmpfs with these options.
fn options(t: &Case, options: &[&str]) -> Verdict<String> {
    let b = t.bundle()?.mount("/here", "tmpfs", "tmpfs", options);
    b.sh("grep ' /here ' /proc/self/mountinfo").prints()
}

/// The line of mountinfo of a recursive bind with these options.
fn bound(t: &Case, options: &[&str]) -> Verdict<String> {
    let source = t.dir("source")?;
    let options: Vec<&str> = ["rbind"].iter().chain(options).copied().collect();
    t.bundle()?.bind(&source, "/here", &options).sh("grep ' /here ' /proc/self/mountinfo").prints()
}
