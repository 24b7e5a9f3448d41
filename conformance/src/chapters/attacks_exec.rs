//! Attacks: what a further process could have that the container's first one has not.

use std::fs;

use serde_json::json;

use crate::bundle::Bundle;
use crate::case::Case;
use crate::table::{Test, test};
use crate::verdict::{Verdict, is, needs, that};

/// What says who may do what, of the process at `place` in /proc, as a shell prints it.
fn seen(place: &str) -> String {
    format!(
        "grep -E '^(Uid|Gid|Groups|Cap.*|NoNewPrivs|Seccomp.*|Umask|SigIgn):' {place}/status; \
         for file in attr/current oom_score_adj personality setgroups uid_map gid_map cgroup; do \
         echo $file; cat {place}/$file 2>/dev/null; done; \
         for kind in cgroup ipc mnt net pid time user uts; do readlink {place}/ns/$kind; done; \
         readlink {place}/root; awk '/Max (stack|core|locked)/' {place}/limits"
    )
}

/// The process of exec is as the container's first one is.
fn alike(b: Bundle<'_>) -> Verdict {
    let c = b.sleeps().start()?;
    c.pid()?;
    let first = c.says(&seen("/proc/1"))?;
    that(first.contains("CapEff") && first.contains("pid:["), format!("it is seen: {first}"))?;
    is(c.says(&seen("/proc/self"))?, first)
}

/// A filter that allows all but one call.
fn filter() -> serde_json::Value {
    json!({
        "defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86_64"],
        "syscalls": [{ "names": ["sethostname"], "action": "SCMP_ACT_ERRNO" }]
    })
}

/// An AppArmor profile that denies reading /etc/group, loaded for as long as this is there.
struct Profile(String);

impl Profile {
    fn load(t: &Case) -> Verdict<Self> {
        let enabled = fs::read_to_string("/sys/module/apparmor/parameters/enabled");
        needs(enabled.is_ok_and(|text| text.starts_with('Y')), "a kernel with AppArmor")?;
        needs(fs::exists("/sbin/apparmor_parser")?, "apparmor_parser (package apparmor)")?;
        // Where systemd is not the init; and another test may be first.
        let mount = "mountpoint -q $0 || mount -t securityfs securityfs $0 || mountpoint -q $0";
        t.host(["sh", "-c", mount, "/sys/kernel/security"])?;
        let name = format!("conformance-{}", t.id());
        let rules = "{ capability, network, mount, umount, signal, ptrace, unix, file, deny /etc/group r, }";
        let profile =
            format!("profile {name} flags=(attach_disconnected,mediate_deleted) {rules}\n");
        let file = t.file("profile", profile)?.to_string_lossy().into_owned();
        t.host(["/sbin/apparmor_parser", "--skip-cache", "--replace", &file])?;
        Ok(Self(name))
    }
}

impl Drop for Profile {
    fn drop(&mut self) {
        let _ = fs::write("/sys/kernel/security/apparmor/.remove", &self.0);
    }
}

/// The chapter's tests of exec.
pub(crate) const EXEC: &[Test] = &[
    test("exec-is-init", "exec's process has what the container's first one has", |t| {
        alike(t.bundle()?.unshare("cgroup").set("/process/oomScoreAdj", 55))
    }),
    test("exec-is-init-privileged", "the same without noNewPrivileges, under a filter", |t| {
        let b = t.bundle()?.set("/process/noNewPrivileges", false);
        alike(b.set("/linux/seccomp", filter()))
    }),
    test("exec-is-init-as-user", "the same for a user with groups and ambient capabilities", |t| {
        let user = json!({ "uid": 1000, "gid": 1001, "additionalGids": [7, 8, 1000] });
        let sets = json!({
            "bounding": ["CAP_KILL", "CAP_CHOWN", "CAP_NET_RAW"], "permitted": ["CAP_KILL", "CAP_CHOWN"],
            "effective": ["CAP_KILL"], "inheritable": ["CAP_KILL"], "ambient": ["CAP_KILL"]
        });
        let b = t.bundle()?.set("/process/user", user).set("/process/capabilities", sets);
        alike(b.set("/linux/seccomp", filter()))
    }),
    test("exec-is-init-in-user-namespace", "the same in a user namespace", |t| {
        alike(t.bundle()?.user_namespace(100_000).owned_by(100_000)?)
    }),
    test("label", "CVE-2019-16884: the AppArmor profile holds, for exec's process, too", |t| {
        let profile = Profile::load(t)?;
        let c = t.bundle()?.set("/process/apparmorProfile", profile.0.as_str()).sleeps().start()?;
        let enforced = format!("{} (enforce)", profile.0);
        is(c.proc("attr/current")?.trim(), enforced.as_str())?;
        let script = "cat /proc/self/attr/current; cat /etc/group 2>/dev/null || echo denied";
        is(c.says(script)?, format!("{enforced}\ndenied"))?;
        let c = t.bundle()?.sleeps().start()?;
        let flags = ["--apparmor", &*profile.0];
        is(c.exec(flags, ["/bin/sh", "-c", script]).ok()?, format!("{enforced}\ndenied"))
    }),
    test(
        "label-without-procfs",
        "CVE-2019-16884: the profile holds over a /proc that is none",
        |t| {
            let profile = Profile::load(t)?;
            let b = t.bundle()?.unmount("/proc").mount("/proc", "tmpfs", "tmpfs", &[]);
            let b = b.set("/process/apparmorProfile", profile.0.as_str()).sleeps();
            let out = b.try_create()?;
            if out.code == 0 {
                t.rt(["start", &b.id])?.ok()?;
                let pid = t.rt(["state", &b.id])?.json()?["pid"].to_string();
                let label = format!("{} (enforce)", profile.0);
                return is(fs::read_to_string(format!("/proc/{pid}/attr/current"))?.trim(), label);
            }
            out.refused(&["apparmor|procfs|proc"])
        },
    ),
];
