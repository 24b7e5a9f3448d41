//! Process: how it is scheduled, where its memory comes from, and which machine it sees; also for
//! `exec`, which takes over what its process file leaves out.

use serde_json::{Value, json};

use super::exec::process;
use crate::bundle::Bundle;
use crate::case::Case;
use crate::container::Container;
use crate::table::{Test, test};
use crate::verdict::{Verdict, has, is, needs, that};

/// The memory policy of the process that says so.
const POLICY: &str = "head -n 1 /proc/self/numa_maps | cut -d ' ' -f 2";

fn with_policy<'t>(t: &'t Case, policy: Value) -> Verdict<Bundle<'t>> {
    needs(std::path::Path::new("/proc/self/numa_maps").exists(), "a kernel with NUMA")?;
    // What a test says that isn't right, `oci-spec` would not write.
    Ok(t.bundle()?.raw("/linux/memoryPolicy", policy))
}

/// What a process of `exec` says, whose file has this beside its arguments.
fn of_file(t: &Case, c: &Container<'_>, script: &str, more: Value) -> Verdict<String> {
    let file = process(t, script, more)?;
    t.rt(["exec", "--process", &file, &c.id])?.ok()
}

fn policy_and_nice(pid: i32) -> Verdict<(Option<u32>, i64)> {
    let stat = procfs::process::Process::new(pid)?.stat()?;
    Ok((stat.policy, stat.nice))
}

/// The pid of a process of `exec` that sleeps, whose file has this beside its arguments.
fn sleeping_exec(t: &Case, c: &Container<'_>, more: Value) -> Verdict<i32> {
    let (file, pid_file) = (process(t, "exec sleep 100", more)?, t.path("exec.pid"));
    let pid_path = pid_file.to_string_lossy();
    t.rt(["exec", "--detach", "--pid-file", &pid_path, "--process", &file, &c.id])?.ok()?;
    Ok(std::fs::read_to_string(&pid_file)?.parse()?)
}

/// The chapter's tests of `linux.memoryPolicy`.
pub(crate) const MEMORY: &[Test] = &[
    test("memory-policy", "spec 1.3, Linux: memoryPolicy: mode and nodes", |t| {
        let policy = json!({ "mode": "MPOL_INTERLEAVE", "nodes": "0" });
        is(with_policy(t, policy)?.says(POLICY)?.as_str(), "interleave:0")
    }),
    test("memory-policy-flags", "spec 1.3, Linux: memoryPolicy: flags", |t| {
        let flags = json!(["MPOL_F_STATIC_NODES"]);
        let policy = json!({ "mode": "MPOL_BIND", "nodes": "0", "flags": flags });
        is(with_policy(t, policy)?.says(POLICY)?.as_str(), "bind=static:0")
    }),
    test("memory-policy-exec", "runc: exec's processes have the container's policy", |t| {
        let flags = json!(["MPOL_F_RELATIVE_NODES"]);
        let policy = json!({ "mode": "MPOL_PREFERRED", "nodes": "0", "flags": flags });
        let c = with_policy(t, policy)?.sleeps().start()?;
        is(c.says(POLICY)?.as_str(), "prefer=relative:0")?;
        is(of_file(t, &c, POLICY, json!({}))?.as_str(), "prefer=relative:0")
    }),
    test("memory-policy-default", "spec 1.3: MPOL_DEFAULT takes no nodes", |t| {
        is(with_policy(t, json!({ "mode": "MPOL_DEFAULT" }))?.says(POLICY)?.as_str(), "default")
    }),
    test("memory-policy-local", "spec 1.3: MPOL_LOCAL takes no nodes", |t| {
        is(with_policy(t, json!({ "mode": "MPOL_LOCAL" }))?.says(POLICY)?.as_str(), "local")
    }),
    test("memory-policy-empty", "runc: a policy without a mode is refused", |t| {
        with_policy(t, json!({}))?.refused(&["invalid memory policy mode"])?;
        with_policy(t, json!({ "nodes": "0-7" }))?.refused(&["invalid memory policy mode"])
    }),
    test("memory-policy-mode-unknown", "runc: an unknown mode is refused by its name", |t| {
        let policy = json!({ "mode": "INTERLEAVE", "nodes": "0" });
        with_policy(t, policy)?.refused(&["invalid memory policy mode", "INTERLEAVE"])
    }),
    test("memory-policy-flag-unknown", "runc: an unknown flag is refused by its name", |t| {
        let flags = json!(["MPOL_F_RELATIVE_NODES", "badflag"]);
        let policy = json!({ "mode": "MPOL_PREFERRED", "nodes": "0", "flags": flags });
        with_policy(t, policy)?.refused(&["invalid memory policy flag", "badflag"])
    }),
    test("memory-policy-nodes", "runc: how many nodes a mode takes", |t| {
        let none = json!({ "mode": "MPOL_DEFAULT", "nodes": "0-7" });
        with_policy(t, none)?.refused(&["mode requires 0 nodes but got 8"])?;
        let some = json!({ "mode": "MPOL_BIND", "nodes": "" });
        with_policy(t, some)?.refused(&["requires at least one node but got 0"])
    }),
    test("memory-policy-nodes-bad", "runc: what is no list of nodes is refused", |t| {
        for nodes in ["0-9876543210", "3-1", "x"] {
            let policy = json!({ "mode": "MPOL_BIND", "nodes": nodes });
            with_policy(t, policy)?.refused(&["invalid memory policy nodes", nodes])?;
        }
        Ok(())
    }),
    test(
        "memory-policy-node-missing",
        "a node that the machine lacks is the kernel's error",
        |t| {
            let policy = json!({ "mode": "MPOL_BIND", "nodes": "900" });
            with_policy(t, policy)?.refused(&["set_mempolicy", "invalid argument"])
        },
    ),
];

/// The chapter's tests of scheduling and of the execution domain.
pub(crate) const SCHEDULING: &[Test] = &[
    test("scheduler-exec", "runc: exec's processes are scheduled as the container's", |t| {
        let scheduler = json!({ "policy": "SCHED_BATCH", "nice": 3 });
        let c = t.bundle()?.set("/process/scheduler", scheduler).sleeps().start()?;
        is(policy_and_nice(sleeping_exec(t, &c, json!({}))?)?, (Some(3), 3))?;
        let own = json!({ "scheduler": { "policy": "SCHED_IDLE" } });
        is(policy_and_nice(sleeping_exec(t, &c, own)?)?, (Some(5), 0))
    }),
    test("scheduler-deadline", "spec 1.1: SCHED_DEADLINE, its times and its flags", |t| {
        let scheduler = json!({
            "policy": "SCHED_DEADLINE", "flags": ["SCHED_FLAG_RESET_ON_FORK"],
            "runtime": 42_000, "deadline": 100_000, "period": 1_000_000
        });
        // `oci-spec` spells the flag otherwise.
        let c = t.bundle()?.raw("/process/scheduler", scheduler).sleeps().start()?;
        let pid = c.pid()?.to_string();
        let said = t.host(["chrt", "-p", &pid])?;
        has(&said, "SCHED_DEADLINE|SCHED_RESET_ON_FORK")?;
        has(said, "42000/100000/1000000")
    }),
    test("scheduler-refused", "runc: what a policy does not take is refused by its name", |t| {
        let with = |scheduler: Value| -> Verdict<Bundle<'_>> {
            Ok(t.bundle()?.raw("/process/scheduler", scheduler))
        };
        with(json!({ "policy": "" }))?.refused(&["scheduler policy is required"])?;
        with(json!({ "policy": "SCHED_NOPE" }))?.refused(&["SCHED_NOPE"])?;
        with(json!({ "policy": "SCHED_OTHER", "nice": 20 }))?.refused(&["nice", "20"])?;
        let priority = json!({ "policy": "SCHED_OTHER", "priority": 5 });
        with(priority)?.refused(&["scheduler.priority can only be specified for"])?;
        let flag = json!({ "policy": "SCHED_OTHER", "flags": ["SCHED_FLAG_NOPE"] });
        with(flag)?.refused(&["invalid scheduler flag", "SCHED_FLAG_NOPE"])?;
        let times = json!({ "policy": "SCHED_OTHER", "runtime": 1000 });
        with(times)?.refused(&["runtime/deadline/period can only be specified for"])
    }),
    test("io-priority-exec", "runc: exec's processes have the container's I/O priority", |t| {
        let priority = json!({ "class": "IOPRIO_CLASS_BE", "priority": 6 });
        let c = t.bundle()?.set("/process/ioPriority", priority).sleeps().start()?;
        let of = |more: Value| {
            let pid = sleeping_exec(t, &c, more)?.to_string();
            t.host(["ionice", "-p", &pid])
        };
        is(of(json!({}))?.as_str(), "best-effort: prio 6")?;
        let own = json!({ "ioPriority": { "class": "IOPRIO_CLASS_BE", "priority": 2 } });
        is(of(own)?.as_str(), "best-effort: prio 2")
    }),
    test("personality-exec", "runc: exec's processes have the container's domain", |t| {
        let b = t.bundle()?.set("/linux/personality", json!({ "domain": "LINUX32" }));
        is(b.sleeps().start()?.says("uname -m")?.as_str(), "i686")
    }),
    test(
        "personality-flags",
        "linux: personality's flags, by their names in personality(2)",
        |t| {
            let personality = json!({ "domain": "LINUX", "flags": ["ADDR_NO_RANDOMIZE"] });
            let b = t.bundle()?.raw("/linux/personality", personality);
            is(b.says("cat /proc/self/personality")?.as_str(), "00040000")
        },
    ),
    test("personality-flag-unknown", "runc: an unknown flag is ignored with a warning", |t| {
        let personality = json!({ "domain": "LINUX", "flags": ["NOPE"] });
        let out = t.bundle()?.raw("/linux/personality", personality).sh("echo runs").run()?;
        out.prints("runs")?;
        has(&out.stderr, "NOPE")
    }),
    test("personality-unknown", "runc: an unknown domain is refused by its name", |t| {
        t.bundle()?.raw("/linux/personality", json!({ "domain": "SVR4" })).refused(&["SVR4"])
    }),
    test("exec-umask", "runc: exec's processes have the container's umask", |t| {
        let c = t.bundle()?.set("/process/user/umask", 0o77).sleeps().start()?;
        is(c.says("umask")?.as_str(), "0077")?;
        is(of_file(t, &c, "umask", json!({}))?.as_str(), "0077")
    }),
    test("exec-oom-score-adj", "runc: exec's processes have the container's OOM score", |t| {
        let c = t.bundle()?.set("/process/oomScoreAdj", 321).sleeps().start()?;
        is(of_file(t, &c, "cat /proc/self/oom_score_adj", json!({}))?.as_str(), "321")
    }),
];

/// The CPUs that a process of `exec` may use.
const CPUS: &str = "grep Cpus_allowed_list /proc/self/status | cut -f2";

/// Skips on a machine with one CPU; the tests name the first two.
fn two_cpus(t: &Case) -> Verdict<Bundle<'_>> {
    let online = std::fs::read_to_string("/sys/devices/system/cpu/online")?;
    needs(online.trim() != "0" && online.starts_with('0'), "two CPUs")?;
    t.bundle()
}

/// The chapter's tests of `execCPUAffinity`.
pub(crate) const CPU_AFFINITY: &[Test] = &[
    test("exec-cpus-final", "spec 1.2, Process: execCPUAffinity.final, from config.json", |t| {
        let b = two_cpus(t)?.set("/process/execCPUAffinity", json!({ "final": "1" }));
        let c = b.sh(&format!("{CPUS}; exec sleep 100")).start()?;
        is(c.says(CPUS)?.as_str(), "1")?;
        let all = std::fs::read_to_string("/sys/devices/system/cpu/online")?;
        // Not the container's own process.
        c.shows(all.trim())
    }),
    test("exec-cpus-file", "runc: execCPUAffinity of the process file wins", |t| {
        let b = two_cpus(t)?.set("/process/execCPUAffinity", json!({ "final": "1" }));
        let c = b.sleeps().start()?;
        let cpus = json!({ "execCPUAffinity": { "initial": "0-1", "final": "0" } });
        is(of_file(t, &c, CPUS, cpus)?.as_str(), "0")?;
        is(of_file(t, &c, CPUS, json!({}))?.as_str(), "1")
    }),
    test("exec-cpus-initial", "spec 1.2: without final the kernel decides about initial", |t| {
        let c = two_cpus(t)?.sleeps().start()?;
        let cpus = json!({ "execCPUAffinity": { "initial": "1" } });
        let said = of_file(t, &c, CPUS, cpus)?;
        let all = std::fs::read_to_string("/sys/devices/system/cpu/online")?;
        // Kernels before 6.2 forget it when the process enters the cgroup.
        that(said == "1" || said == all.trim(), format!("1 or all: {said}"))
    }),
    test(
        "exec-cpus-reset",
        "runc: without it the CPUs of exec's caller are not the process's",
        |t| {
            let c = two_cpus(t)?.sleeps().start()?;
            let call = c.exec([], ["/bin/sh", "-c", CPUS]);
            let all = std::fs::read_to_string("/sys/devices/system/cpu/online")?;
            is(call.through(["taskset", "-c", "0"]).ok()?.as_str(), all.trim())
        },
    ),
    test("exec-cpus-bad", "what is no list of CPUs is refused by its name", |t| {
        let c = t.bundle()?.sleeps().start()?;
        for (field, list) in [("initial", "x-y"), ("final", "3-1"), ("final", "9999999")] {
            let cpus = json!({ "execCPUAffinity": { field: list } });
            let file = process(t, "true", cpus)?;
            t.rt(["exec", "--process", &file, &c.id])?.refused(&[field])?;
        }
        is(of_file(t, &c, "echo good", json!({}))?.as_str(), "good")
    }),
];
