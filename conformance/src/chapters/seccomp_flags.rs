//! Seccomp: the flags that a filter is loaded with, as the kernel gets them.

use std::ffi::OsString;
use std::path::Path;

use serde_json::{Value, json};

use super::seccomp_actions::{bundle, keyctl};
use crate::bundle::Bundle;
use crate::call::Call;
use crate::case::Case;
use crate::table::{Test, test};
use crate::verdict::{Verdict, fail, is, needs};

const LOG: &str = "SECCOMP_FILTER_FLAG_LOG";
const SPEC_ALLOW: &str = "SECCOMP_FILTER_FLAG_SPEC_ALLOW";
const TSYNC: &str = "SECCOMP_FILTER_FLAG_TSYNC";

fn with_flags<'t>(t: &'t Case, flags: &[&str]) -> Verdict<Bundle<'t>> {
    Ok(bundle(t, keyctl("SCMP_ACT_ERRNO"))?.set("/linux/seccomp/flags", json!(flags)))
}

fn needs_strace() -> Verdict {
    needs(Path::new("/usr/bin/strace").exists(), "strace")
}

/// The flags of the last filter that is loaded by the call of the runtime and what it starts: by
/// seccomp(2), whose other calls only ask what the kernel knows, or without flags by prctl(2).
fn flags_of(t: &Case, call: Call<'_>) -> Verdict<u32> {
    let file = t.path(&format!("calls-{}", t.number()));
    let strace = ["strace", "-f", "-X", "raw", "-e", "trace=seccomp,prctl", "-o"];
    let strace = strace.into_iter().map(OsString::from).chain([file.clone().into()]);
    call.through(strace).ok()?;
    let text = std::fs::read_to_string(file)?;
    let mut loads = text.lines().filter(|line| !line.contains("NULL")).filter_map(|line| {
        // PR_SET_SECCOMP, SECCOMP_MODE_FILTER; SECCOMP_SET_MODE_FILTER
        match line.split_once("seccomp(0x1, ") {
            Some((_, rest)) => rest.split(',').next(),
            None => line.contains("prctl(0x16, 0x2, ").then_some("0"),
        }
    });
    match loads.next_back().map(|flags| u32::from_str_radix(flags.trim_start_matches("0x"), 16)) {
        Some(flags) => Ok(flags?),
        None => fail(format!("no filter is loaded: {text}")),
    }
}

pub(crate) const FLAGS: &[Test] = &[
    test("flags", "spec, Seccomp: flags are what the filter is loaded with, also by exec", |t| {
        needs_strace()?;
        for (flags, wanted) in
            [(&[LOG][..], 2), (&[SPEC_ALLOW], 4), (&[LOG, SPEC_ALLOW], 6), (&[], 0)]
        {
            let b = with_flags(t, flags)?;
            is((flags, flags_of(t, b.call("run")?)?), (flags, wanted))?;
        }
        let c = with_flags(t, &[LOG])?.sleeps().start()?;
        is(flags_of(t, c.exec([], ["/bin/true"]))?, 2)
    }),
    test("flags-default", "runc: without flags, filters do not end speculation", |t| {
        needs_strace()?;
        is(flags_of(t, bundle(t, keyctl("SCMP_ACT_ERRNO"))?.call("run")?)?, 4)
    }),
    test("flag-tsync", "runc: TSYNC is taken, and changes nothing: there is one thread", |t| {
        needs_strace()?;
        is(flags_of(t, with_flags(t, &[TSYNC])?.call("run")?)?, 0)
    }),
    test("flag-unknown", "a flag that is not known is refused by its name", |t| {
        let b = bundle(t, keyctl("SCMP_ACT_ERRNO"))?;
        let flags: Value = json!([LOG, "SECCOMP_FILTER_FLAG_NOPE"]);
        b.raw("/linux/seccomp/flags", flags).refused(&["SECCOMP_FILTER_FLAG_NOPE"])
    }),
    test(
        "flag-killable-alone",
        "runc: WAIT_KILLABLE_RECV is refused where no call is notified",
        |t| {
            let flag = "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV";
            with_flags(t, &[flag])?.refused(&[flag])
        },
    ),
];
