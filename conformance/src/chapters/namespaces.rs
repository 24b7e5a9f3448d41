//! Namespaces: new, the host's, or joined by a path.

use std::fs;

use serde_json::json;

use crate::case::Case;
use crate::chapters::mounts::Mounted;
use crate::table::{Test, test};
use crate::verdict::{Verdict, has, is, lacks, that};

/// The specification's name and the kernel's of each kind.
const KINDS: &[(&str, &str)] = &[
    ("pid", "pid"),
    ("network", "net"),
    ("mount", "mnt"),
    ("ipc", "ipc"),
    ("uts", "uts"),
    ("user", "user"),
    ("cgroup", "cgroup"),
    ("time", "time"),
];

fn kernel_name(kind: &str) -> &'static str {
    KINDS.iter().find(|(spec, _)| *spec == kind).map_or("", |(_, kernel)| kernel)
}

fn host_namespace(kind: &str) -> Verdict<String> {
    let link = fs::read_link(format!("/proc/self/ns/{}", kernel_name(kind)))?;
    Ok(link.to_string_lossy().into_owned())
}

/// A namespace that is listed is new, one that isn't is the caller's.
fn new_or_host(t: &Case, kind: &str) -> Verdict {
    let b = t.bundle()?.share(kind).unshare(kind).sleeps();
    let b =
        if kind == "user" { b.share(kind).user_namespace(100_000).owned_by(100_000)? } else { b };
    let link = format!("ns/{}", kernel_name(kind));
    let new = b.start()?.link(&link)?;
    that(new != host_namespace(kind)?, "the new namespace is not the host's")?;
    let host = t.bundle()?.share(kind).sleeps().start()?.link(&link)?;
    is(host, host_namespace(kind)?)
}

/// A namespace of another process is joined by its path.
fn joined(t: &Case, kind: &str, flag: &str) -> Verdict {
    let holder = t.keep(["unshare", flag, "sleep", "60"])?;
    let path = format!("/proc/{}/ns/{}", holder.pid(), kernel_name(kind));
    let host = host_namespace(kind)?;
    t.until("the holder's namespace", || Ok(fs::read_link(&path)?.to_string_lossy() != host))?;
    let c = t.bundle()?.join(kind, &path).sleeps().start()?;
    is(c.link(&format!("ns/{}", kernel_name(kind)))?, fs::read_link(&path)?.to_string_lossy())
}

/// The chapter's tests.
pub(crate) const TESTS: &[Test] = &[
    test("pid", "spec, Namespaces: pid, new or the host's", |t| new_or_host(t, "pid")),
    test("network", "spec, Namespaces: network, new or the host's", |t| {
        // A sysfs can only be mounted by who owns the network namespace.
        new_or_host(t, "network")
    }),
    test("ipc", "spec, Namespaces: ipc, new or the host's", |t| new_or_host(t, "ipc")),
    test("uts", "spec, Namespaces: uts, new or the host's", |t| {
        let b = t.bundle()?.share("uts").without("/hostname").sleeps();
        is(b.start()?.link("ns/uts")?, host_namespace("uts")?)?;
        let new = t.bundle()?.sleeps().start()?.link("ns/uts")?;
        that(new != host_namespace("uts")?, "the new namespace is not the host's")
    }),
    test("mount", "spec, Namespaces: a new mount namespace", |t| {
        let new = t.bundle()?.sleeps().start()?.link("ns/mnt")?;
        that(new != host_namespace("mount")?, "the new namespace is not the host's")
    }),
    test(
        "mount-shared",
        "spec, Namespaces: without one of mounts the host's; none are left",
        |t| {
            let b = t.bundle()?.share("mount").sleeps();
            fs::write(b.rootfs("mark"), "")?;
            let c = b.start()?;
            is(c.link("ns/mnt")?, host_namespace("mount")?)?;
            has(c.says("ls /; cat /proc/mounts")?, "mark")?;
            t.rt(["delete", "--force", &c.id])?.ok()?;
            lacks(fs::read_to_string("/proc/self/mountinfo")?, &b.rootfs("").to_string_lossy())
        },
    ),
    test("mount-shared-engines", "the mount that an engine has made of the root stays", |t| {
        let b = t.bundle()?.share("mount").sleeps();
        let root = b.rootfs("");
        let _root = Mounted::bind(t, &root)?;
        let c = b.start()?;
        is(c.says("echo runs")?.as_str(), "runs")?;
        t.rt(["delete", "--force", &c.id])?.ok()?;
        let table = fs::read_to_string("/proc/self/mountinfo")?;
        let name = root.to_string_lossy();
        let name = name.trim_end_matches('/');
        is(table.lines().filter(|line| line.contains(name)).count(), 1)
    }),
    test(
        "mount-shared-gone",
        "what has taken mounts and root away itself can delete all the same",
        |t| {
            let b = t.bundle()?.share("mount").sleeps();
            let c = b.start()?;
            c.kill("KILL")?;
            c.becomes("stopped")?;
            let root = b.rootfs("");
            let name = root.to_string_lossy();
            t.host(["umount", "--recursive", name.trim_end_matches('/')])?;
            fs::rename(&root, t.path("away"))?;
            c.delete()
        },
    ),
    test("mount-shared-fails", "a failed create leaves no mounts on the host", |t| {
        t.bundle()?.share("mount").args(["/no/such"]).refused(&["no such file or directory"])
    }),
    test("mount-shared-restricted", "runc: maskedPaths need a mount namespace", |t| {
        let b = t.bundle()?.share("mount").set("/linux/maskedPaths", json!(["/proc/kcore"]));
        b.refused(&["without a private MNT namespace"])
    }),
    test("user", "spec, Namespaces: user, new or the host's", |t| new_or_host(t, "user")),
    test("cgroup", "spec, Namespaces: cgroup, new or the host's", |t| new_or_host(t, "cgroup")),
    test("time", "spec 1.1, Namespaces: time, new or the host's", |t| new_or_host(t, "time")),
    test("time-offsets", "spec 1.1, Linux: timeOffsets", |t| {
        let b = t.bundle()?.unshare("time");
        let b =
            b.set("/linux/timeOffsets", json!({ "boottime": { "secs": 864_000, "nanosecs": 0 } }));
        let up: f64 = b.says("cut -d' ' -f1 /proc/uptime")?.parse()?;
        that(up > 864_000.0, format!("up for ten days more: {up}"))
    }),
    test("join-network", "spec, Namespaces: path: the process joins that namespace", |t| {
        joined(t, "network", "--net")
    }),
    test("join-ipc", "a joined ipc namespace", |t| joined(t, "ipc", "--ipc")),
    test("join-uts", "a joined uts namespace", |t| {
        let holder = t.keep(["unshare", "--uts", "sh", "-c", "hostname joined; exec sleep 60"])?;
        let path = format!("/proc/{}/ns/uts", holder.pid());
        let host = host_namespace("uts")?;
        t.until("the holder", || Ok(fs::read_link(&path)?.to_string_lossy() != host))?;
        std::thread::sleep(std::time::Duration::from_millis(100));
        let b = t.bundle()?.join("uts", &path).without("/hostname");
        is(b.says("hostname")?.as_str(), "joined")
    }),
    test("join-pid", "a joined pid namespace: the process is a second one in it", |t| {
        let first = t.bundle()?.args(["/bin/sleep", "77"]).start()?;
        let path = format!("/proc/{}/ns/pid", first.pid()?);
        let second = t.bundle()?.join("pid", &path);
        has(second.says("ps; echo my pid $$")?, "sleep 77")?;
        is(first.status()?.as_str(), "running")
    }),
    test("join-cgroup", "a joined cgroup namespace", |t| joined(t, "cgroup", "--cgroup")),
    test(
        "join-containers-namespaces",
        "as in a pod: ipc, network and uts of another container",
        |t| {
            let sandbox = t.bundle()?.sleeps().start()?;
            let mut b = t.bundle()?.without("/hostname").sleeps();
            for kind in ["ipc", "network", "uts"] {
                b = b.join(kind, &format!("/proc/{}/ns/{}", sandbox.pid()?, kernel_name(kind)));
            }
            let c = b.start()?;
            for link in ["ns/ipc", "ns/net", "ns/uts"] {
                is(c.link(link)?, sandbox.link(link)?)?;
            }
            that(c.link("ns/mnt")? != sandbox.link("ns/mnt")?, "the mount namespace is its own")
        },
    ),
    test("wrong-type", "spec: MUST generate an error if the path is of another type", |t| {
        let b = t.bundle()?.join("network", "/proc/self/ns/ipc");
        let path = b.config()["linux"]["namespaces"].to_string();
        has(path, "/proc/self/ns/ipc")?;
        let out = b.try_create()?;
        that(out.code > 0 && !out.stderr.is_empty(), "create is refused with a message")?;
        t.nothing_left()?;
        t.bundle()?.says("true").map(drop)
    }),
    test("path-missing", "a namespace path that does not exist is refused by its name", |t| {
        t.bundle()?.join("network", "/no/such/ns").refused(&["/no/such/ns"])
    }),
    test("duplicate", "spec: MUST generate an error for duplicated types", |t| {
        t.bundle()?.unshare("network").refused(&["network"])
    }),
    test("hostname", "spec: hostname, in the container's uts namespace only", |t| {
        let host = fs::read_to_string("/proc/sys/kernel/hostname")?;
        is(t.bundle()?.set("/hostname", "wren").says("hostname")?.as_str(), "wren")?;
        is(fs::read_to_string("/proc/sys/kernel/hostname")?, host)
    }),
    test("hostname-without-namespace", "runc: a hostname needs a private uts namespace", |t| {
        t.bundle()?.share("uts").refused(&["hostname", "uts"])
    }),
    test("domainname", "spec 1.1: domainname", |t| {
        let b = t.bundle()?.set("/domainname", "example.org");
        is(b.says("cat /proc/sys/kernel/domainname")?.as_str(), "example.org")
    }),
    test("id-mappings", "spec, Linux: uidMappings and gidMappings", |t| {
        let b = t.bundle()?.user_namespace(100_000).owned_by(100_000)?;
        let c = b.sh("id -u; sleep 100").start()?;
        let ids = |name: &str| -> Verdict<Vec<String>> {
            Ok(c.proc(name)?.split_whitespace().map(str::to_owned).collect())
        };
        is(ids("uid_map")?, ["0", "100000", "65536"])?;
        is(ids("gid_map")?, ["0", "100000", "65536"])?;
        is(c.init()?.status()?.ruid, 100_000)?;
        c.shows("0")
    }),
    test("id-mappings-user", "a user in the namespace is the mapped one outside", |t| {
        let b = t.bundle()?.user_namespace(100_000).owned_by(100_000)?;
        let b = b.set("/process/user", json!({ "uid": 1000, "gid": 1001 }));
        let status = b.sleeps().start()?.init()?.status()?;
        is((status.ruid, status.rgid), (101_000, 101_001))
    }),
    test("user-namespace-devices", "in a user namespace the default devices work too", |t| {
        let b = t.bundle()?.user_namespace(100_000).owned_by(100_000)?;
        is(b.says("echo x > /dev/null; head -c 3 /dev/zero | wc -c")?.as_str(), "3")
    }),
    test("user-namespace-exec", "exec joins the user namespace, with its capabilities", |t| {
        let b = t.bundle()?.user_namespace(100_000).owned_by(100_000)?;
        let c = b.sleeps().start()?;
        let said = c.says("id -u; readlink /proc/self/ns/user")?;
        is(said, format!("0\n{}", c.link("ns/user")?))
    }),
    test("user-namespace-without-maps", "a new user namespace without mappings is refused", |t| {
        t.bundle()?.unshare("user").refused(&["mapping"])
    }),
    test("sysctl", "spec, Linux: sysctl of a namespace", |t| {
        let sysctl = json!({ "net.ipv4.ip_forward": "1", "kernel.shm_rmid_forced": "1" });
        let b = t.bundle()?.set("/linux/sysctl", sysctl);
        let said = b.says("cd /proc/sys; cat net/ipv4/ip_forward kernel/shm_rmid_forced")?;
        is(said.as_str(), "1\n1")
    }),
    test("sysctl-net-without-namespace", "runc: sysctl net.* needs a network namespace", |t| {
        let b = t.bundle()?.share("network");
        let b = b.set("/linux/sysctl", json!({ "net.ipv4.ip_forward": "1" }));
        b.refused(&["net.ipv4.ip_forward", "namespace"])
    }),
    test("sysctl-ipc-without-namespace", "runc: sysctl kernel.shm* needs an ipc namespace", |t| {
        let b = t.bundle()?.share("ipc").set("/linux/sysctl", json!({ "kernel.shmmax": "9999" }));
        b.refused(&["kernel.shmmax", "namespace"])
    }),
    test("sysctl-of-the-host", "runc: a sysctl outside any namespace is refused", |t| {
        let before = fs::read_to_string("/proc/sys/vm/swappiness")?;
        let b = t.bundle()?.set("/linux/sysctl", json!({ "vm.swappiness": "11" }));
        b.refused(&["vm.swappiness"])?;
        is(fs::read_to_string("/proc/sys/vm/swappiness")?, before)
    }),
    test("loopback", "runc: the loopback device of a new network namespace is up", |t| {
        let said = t.bundle()?.says("ip addr show lo")?;
        has(&said, "UP")?;
        has(said, "127.0.0.1/8")
    }),
];
