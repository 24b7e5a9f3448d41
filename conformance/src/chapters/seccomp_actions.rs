//! Seccomp: what each action does to the call, seen from inside real containers, by a program that
//! makes the call itself.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown, symlink};

use serde_json::{Value, json};

use crate::bundle::Bundle;
use crate::case::Case;
use crate::table::{Test, test};
use crate::verdict::{Verdict, has, is};
use crate::{layout, probe};

/// keyctl(2), which nothing else in these containers calls: on x86_64, on x86. Its operation 0x7fff
/// does not exist (`EOPNOTSUPP`, 95).
pub(super) const KEYCTL: &str = "250";
const KEYCTL_32: &str = "288";
const ARCHES: [&str; 2] = ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"];

/// Allows everything but keyctl(2).
pub(super) fn keyctl(action: &str) -> Value {
    json!({
        "defaultAction": "SCMP_ACT_ALLOW",
        "architectures": ARCHES,
        "syscalls": [{ "names": ["keyctl"], "action": action }]
    })
}

pub(super) fn bundle<'t>(t: &'t Case, filter: Value) -> Verdict<Bundle<'t>> {
    probe::install(t.bundle()?.set("/linux/seccomp", filter))
}

/// What a script says in the container's own process and in one of `exec`.
fn both(b: Bundle<'_>, script: &str) -> Verdict<[String; 2]> {
    let b = b.sleeps();
    let c = b.start()?;
    let by_exec = c.says(script)?;
    c.call("delete").arg("--force").ok()?;
    Ok([b.says(script)?, by_exec])
}

/// Both must be `wanted`.
fn are(said: [String; 2], wanted: &str) -> Verdict {
    said.iter().try_for_each(|said| is(said.as_str(), wanted))
}

pub(crate) const ACTIONS: &[Test] = &[
    test("allow", "spec, Seccomp: SCMP_ACT_ALLOW makes the call, also under exec", |t| {
        let b = bundle(t, keyctl("SCMP_ACT_ALLOW"))?;
        are(both(b, &format!("probe call {KEYCTL} 0x7fff"))?, "-95")
    }),
    test("errno-value", "spec, Seccomp: errnoRet is what the call returns, also under exec", |t| {
        let mut filter = keyctl("SCMP_ACT_ERRNO");
        filter["syscalls"][0]["errnoRet"] = json!(1234);
        are(both(bundle(t, filter)?, &format!("probe call {KEYCTL}"))?, "-1234")
    }),
    test("errno-zero", "spec, Seccomp: an errnoRet of 0 makes the call return 0", |t| {
        let mut filter = keyctl("SCMP_ACT_ERRNO");
        filter["syscalls"][0]["errnoRet"] = json!(0);
        is(bundle(t, filter)?.says(&format!("probe call {KEYCTL}"))?.as_str(), "0")
    }),
    test(
        "default-errno-ret",
        "spec, Seccomp: defaultErrnoRet is for calls that no rule names",
        |t| {
            let filter = json!({
                "defaultAction": "SCMP_ACT_ERRNO",
                "defaultErrnoRet": 77,
                "architectures": ARCHES,
                // All that a shell and the probe call, by name: the calls of a real profile but keyctl's.
                "syscalls": [{ "names": known()?, "action": "SCMP_ACT_ALLOW" }]
            });
            are(both(bundle(t, filter)?, &format!("probe call {KEYCTL}"))?, "-77")
        },
    ),
    test("newer-calls", "runc: a call newer than the profile gets ENOSYS, not the default", |t| {
        let filter = json!({
            "defaultAction": "SCMP_ACT_ERRNO",
            "defaultErrnoRet": 77,
            "architectures": ARCHES,
            "syscalls": [{ "names": known()?, "action": "SCMP_ACT_ALLOW" }]
        });
        let b = bundle(t, filter)?;
        are(both(b, "probe call 900; probe call 100000")?, "-38\n-38")
    }),
    test("log", "spec, Seccomp: SCMP_ACT_LOG makes the call", |t| {
        are(
            both(bundle(t, keyctl("SCMP_ACT_LOG"))?, &format!("probe call {KEYCTL} 0x7fff"))?,
            "-95",
        )
    }),
    test("trap", "spec, Seccomp: SCMP_ACT_TRAP sends SIGSYS, which tells of the call", |t| {
        let b = bundle(t, keyctl("SCMP_ACT_TRAP"))?;
        for said in both(b, &format!("probe trap {KEYCTL}"))? {
            // SYS_SECCOMP is 1; AUDIT_ARCH_X86_64.
            has(&said, "signal 31\nerrno 0\ncode 1\ncall 250\narch 3221225534\n")?;
        }
        Ok(())
    }),
    test("trap-unhandled", "spec, Seccomp: SIGSYS that nobody handles ends the process", |t| {
        let b = bundle(t, keyctl("SCMP_ACT_TRAP"))?;
        are(both(b, &format!("probe call {KEYCTL} 2>/dev/null; echo $?"))?, "159")
    }),
    test("kill-thread", "spec, Seccomp: SCMP_ACT_KILL_THREAD ends the thread alone", |t| {
        for action in ["SCMP_ACT_KILL", "SCMP_ACT_KILL_THREAD"] {
            let b = bundle(t, keyctl(action))?;
            are(both(b, &format!("probe thread {KEYCTL}"))?, "lives 1")?;
        }
        Ok(())
    }),
    test("kill-process", "spec, Seccomp: SCMP_ACT_KILL_PROCESS ends all threads", |t| {
        let b = bundle(t, keyctl("SCMP_ACT_KILL_PROCESS"))?;
        are(both(b, &format!("probe thread {KEYCTL}; echo $?"))?, "159")
    }),
    test("trace", "spec, Seccomp: SCMP_ACT_TRACE tells a tracer, with its number", |t| {
        let mut filter = keyctl("SCMP_ACT_TRACE");
        filter["syscalls"][0]["errnoRet"] = json!(4242);
        let b = bundle(t, filter)?;
        are(both(b, &format!("probe trace {KEYCTL} 0x7fff"))?, "event 4242\nresult -95")
    }),
    test("trace-without-tracer", "spec, Seccomp: SCMP_ACT_TRACE is ENOSYS without a tracer", |t| {
        are(both(bundle(t, keyctl("SCMP_ACT_TRACE"))?, &format!("probe call {KEYCTL}"))?, "-38")
    }),
    test("32-bit", "spec, Seccomp: a 32-bit program is under the rules of its architecture", |t| {
        let mut filter = keyctl("SCMP_ACT_ERRNO");
        filter["syscalls"][0]["errnoRet"] = json!(99);
        let b = bundle(t, filter)?;
        probe::needs_32_bits(&b)?;
        let script = format!("probe32 call {KEYCTL_32}; probe32 call 20 | grep -c '^[0-9]'");
        are(both(b, &script)?, "-99\n1")
    }),
    test("32-bit-trap", "spec, Seccomp: SIGSYS of a 32-bit call tells its architecture", |t| {
        let b = bundle(t, keyctl("SCMP_ACT_TRAP"))?;
        probe::needs_32_bits(&b)?;
        // AUDIT_ARCH_I386
        for said in both(b, &format!("probe32 trap {KEYCTL_32}"))? {
            has(said, "code 1\ncall 288\narch 1073741827\n")?;
        }
        Ok(())
    }),
    test("32-bit-foreign", "libseccomp: an architecture that is not listed ends the caller", |t| {
        let mut filter = keyctl("SCMP_ACT_ERRNO");
        filter["architectures"] = json!(["SCMP_ARCH_X86_64"]);
        let b = bundle(t, filter)?;
        probe::needs_32_bits(&b)?;
        are(both(b, "probe32 call 20 2>/dev/null; echo $?")?, "159")
    }),
    test("32-bit-socketcall", "libseccomp: socket is met behind socketcall and by itself", |t| {
        let mut filter = keyctl("SCMP_ACT_ERRNO");
        filter["syscalls"] = json!([
            { "names": ["socket"], "action": "SCMP_ACT_ERRNO", "errnoRet": 91 },
            { "names": ["shmget"], "action": "SCMP_ACT_ERRNO", "errnoRet": 92 }
        ]);
        let b = bundle(t, filter)?;
        probe::needs_32_bits(&b)?;
        // socketcall(SYS_SOCKET), socket(2); ipc(SHMGET), shmget(2); another one behind each.
        let script = "probe32 call 102 1; probe32 call 359; probe32 call 117 23; probe32 call 395; \
                      probe32 call 102 99; probe32 call 117 99";
        are(both(b, script)?, "-91\n-91\n-92\n-92\n-22\n-38")
    }),
    test(
        "32-bit-high-words",
        "libseccomp: on a 32-bit architecture only low words are compared",
        |t| {
            let mut filter = keyctl("SCMP_ACT_ERRNO");
            filter["syscalls"][0]["args"] =
                json!([{ "index": 1, "value": 0x1_0000_0005_u64, "op": "SCMP_CMP_EQ" }]);
            let b = bundle(t, filter)?;
            probe::needs_32_bits(&b)?;
            let script = format!(
                "probe32 call {KEYCTL_32} 0x7fff 5; probe call {KEYCTL} 0x7fff 5; \
             probe call {KEYCTL} 0x7fff 0x100000005"
            );
            are(both(b, &script)?, "-1\n-95\n-1")
        },
    ),
];

/// An operator, its value and second value, arguments for which it holds, and others.
type Row = (&'static str, u64, u64, &'static [&'static str], &'static [&'static str]);

const OPERATORS: [Row; 7] = [
    ("SCMP_CMP_NE", 0x1_0000_0002, 0, &["2", "0x100000003"], &["0x100000002"]),
    (
        "SCMP_CMP_LT",
        0x1_0000_0002,
        0,
        &["0x100000001", "0xffffffff"],
        &["0x100000002", "0x200000000"],
    ),
    ("SCMP_CMP_LE", 0x1_0000_0002, 0, &["0x100000002", "3"], &["0x100000003", "0x200000000"]),
    ("SCMP_CMP_EQ", 0x1_0000_0002, 0, &["0x100000002"], &["2", "0x100000003"]),
    ("SCMP_CMP_GE", 0x1_0000_0002, 0, &["0x100000002", "-1"], &["0x100000001", "0xffffffff"]),
    ("SCMP_CMP_GT", 0x1_0000_0002, 0, &["0x100000003", "0x200000000"], &["0x100000002", "3"]),
    (
        "SCMP_CMP_MASKED_EQ",
        0xf_0000_000f,
        0x1_0000_0002,
        &["0x100000002", "0xf0100000ff2"],
        &["0x100000003", "2"],
    ),
];

pub(crate) const ARGUMENTS: &[Test] = &[
    test(
        "operators",
        "spec, Seccomp: each of the seven operators, on both sides of its value",
        |t| {
            for (op, value, value_two, holds, fails) in OPERATORS {
                let mut filter = keyctl("SCMP_ACT_ERRNO");
                filter["syscalls"][0]["args"] =
                    json!([{ "index": 2, "value": value, "valueTwo": value_two, "op": op }]);
                let call = |arg: &&str| format!("probe call {KEYCTL} 0x7fff 0 {arg}\n");
                let script: String = holds.iter().chain(fails).map(call).collect();
                let wanted =
                    [vec!["-1"; holds.len()], vec!["-95"; fails.len()]].concat().join("\n");
                is((op, bundle(t, filter)?.says(&script)?), (op, wanted))?;
            }
            Ok(())
        },
    ),
    test("arguments-all", "spec, Seccomp: several conditions must all hold, each of six", |t| {
        let mut filter = keyctl("SCMP_ACT_ERRNO");
        let args: Vec<Value> = (1..6)
            .map(|index| json!({ "index": index, "value": index, "op": "SCMP_CMP_EQ" }))
            .collect();
        filter["syscalls"][0]["args"] = json!(args);
        let script =
            format!("probe call {KEYCTL} 0x7fff 1 2 3 4 5; probe call {KEYCTL} 0x7fff 1 2 3 4 6");
        are(both(bundle(t, filter)?, &script)?, "-1\n-95")
    }),
    test("arguments-twice", "runc: of two conditions on one argument, one has to hold", |t| {
        let mut filter = keyctl("SCMP_ACT_ERRNO");
        filter["syscalls"][0]["args"] = json!([
            { "index": 1, "value": 1, "op": "SCMP_CMP_EQ" },
            { "index": 1, "value": 2, "op": "SCMP_CMP_EQ" }
        ]);
        let script: String =
            [1, 2, 3].iter().map(|n| format!("probe call {KEYCTL} 0x7fff {n}\n")).collect();
        is(bundle(t, filter)?.says(&script)?.as_str(), "-1\n-1\n-95")
    }),
    test("unconditional-wins", "libseccomp: a rule without conditions goes before others", |t| {
        let mut filter = keyctl("SCMP_ACT_ERRNO");
        filter["syscalls"] = json!([
            {
                "names": ["keyctl"], "action": "SCMP_ACT_ERRNO", "errnoRet": 41,
                "args": [{ "index": 1, "value": 1, "op": "SCMP_CMP_EQ" }]
            },
            { "names": ["keyctl"], "action": "SCMP_ACT_ERRNO", "errnoRet": 42 }
        ]);
        let script = format!("probe call {KEYCTL} 0 1; probe call {KEYCTL} 0 2");
        is(bundle(t, filter)?.says(&script)?.as_str(), "-42\n-42")
    }),
];

pub(crate) const PRIVILEGES: &[Test] = &[
    test(
        "privileges",
        "the filter is loaded in each combination of noNewPrivileges and capabilities",
        |t| {
            for no_new_privileges in [true, false] {
                for caps in [&["CAP_SYS_ADMIN"][..], &[]] {
                    let b = bundle(t, keyctl("SCMP_ACT_ERRNO"))?.caps(caps);
                    let b = b.set("/process/noNewPrivileges", no_new_privileges);
                    let script = format!(
                        "probe call {KEYCTL}; grep -E '^(CapEff|NoNewPrivs|Seccomp):' /proc/self/status"
                    );
                    let admin = if caps.is_empty() { 0_u64 } else { 1 << 21 };
                    let flag = u8::from(no_new_privileges);
                    let wanted =
                        format!("-1\nCapEff:\t{admin:016x}\nNoNewPrivs:\t{flag}\nSeccomp:\t2");
                    are(both(b, &script)?, &wanted)?;
                }
            }
            Ok(())
        },
    ),
    test("too-long", "a profile that makes too long a program is refused by its rules", |t| {
        let rule = |value: u32| {
            json!({
                "names": ["keyctl"], "action": "SCMP_ACT_ERRNO",
                "args": [{ "index": 1, "value": value, "op": "SCMP_CMP_EQ" }]
            })
        };
        let mut filter = keyctl("SCMP_ACT_ERRNO");
        filter["syscalls"] = (0..5000).map(rule).collect();
        // libseccomp's runtimes have no more than the kernel's word for it.
        t.bundle()?.set("/linux/seccomp", filter).refused(&["syscalls/0|nvalid argument|seccomp"])
    }),
    test("exec-damaged", "exec refuses a filter that is not the whole one of its container", |t| {
        let c = bundle(t, keyctl("SCMP_ACT_ERRNO"))?.sleeps().start()?;
        let file = t.root.join(&c.id).join("seccomp.bpf");
        t.tares("a filter in the state directory")?;
        let whole = fs::read(&file)?;
        let refused = |bytes: &[u8], why: &str| -> Verdict {
            fs::write(&file, bytes)?;
            c.exec([], ["/bin/true"]).output()?.refused(&["seccomp.bpf: ", why])
        };
        let other_at = |place: usize| {
            let mut bytes = whole.clone();
            bytes[place] ^= 1;
            bytes
        };
        refused(&[], "is no filter of this version")?;
        refused(&whole[..whole.len() - 1], "bytes for")?;
        // The code of the first instruction; what the last one returns.
        refused(&other_at(16), "is no program: instruction 0")?;
        refused(
            &other_at(whole.len() - 4),
            "is not the filter that the container was created with",
        )?;
        let other = bundle(t, keyctl("SCMP_ACT_LOG"))?.sleeps().start()?;
        let others = fs::read(t.root.join(&other.id).join("seccomp.bpf"))?;
        refused(&others, "is not the filter that the container was created with")?;
        fs::write(&file, whole)?;
        is(c.says(&format!("probe call {KEYCTL}"))?.as_str(), "-1")
    }),
    test("exec-tampered", "exec refuses a filter that others may have written", |t| {
        let c = bundle(t, keyctl("SCMP_ACT_ERRNO"))?.sleeps().start()?;
        let file = t.root.join(&c.id).join("seccomp.bpf");
        t.tares("a filter in the state directory")?;
        let refused =
            |why: &str| c.exec([], ["/bin/true"]).output()?.refused(&["seccomp.bpf", why]);
        let mode = |mode: u32| fs::set_permissions(&file, fs::Permissions::from_mode(mode));
        mode(0o620)?;
        refused("can be written by others (mode 0620)")?;
        mode(0o600)?;
        if !layout::rootless() {
            chown(&file, Some(1000), None)?;
            refused("belongs to user 1000")?;
            chown(&file, Some(0), None)?;
        }
        let aside = t.path("aside");
        fs::rename(&file, &aside)?;
        refused("No such file")?;
        symlink(&aside, &file)?;
        refused("symbolic link")?;
        fs::remove_file(&file)?;
        t.host(["mkfifo", "-m", "600", &file.to_string_lossy()])?;
        refused("is no regular file")?;
        fs::rename(&aside, &file)?;
        is(c.says(&format!("probe call {KEYCTL}"))?.as_str(), "-1")
    }),
];

/// The calls of Docker's profile, but for the one that these tests are about.
fn known() -> Verdict<Value> {
    let docker: Value = serde_json::from_str(super::seccomp::DOCKER)?;
    let rules = docker["syscalls"].as_array().cloned().unwrap_or_default();
    let allowed = rules.iter().filter(|rule| rule["action"] == "SCMP_ACT_ALLOW");
    let names = allowed.flat_map(|rule| rule["names"].as_array().cloned().unwrap_or_default());
    Ok(names.filter(|name| name != "keyctl").collect())
}
