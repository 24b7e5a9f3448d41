//! Looking before and after: `check`, `plan`, timelines. tare alone has these commands; on other
//! runtimes the tests are skipped.

use std::fs;

use serde_json::{Value, json};

use crate::bundle::Bundle;
use crate::call::Output;
use crate::case::Case;
use crate::table::{Test, test};
use crate::verdict::{Verdict, fail, has, is, lacks, that};

/// `command` with flags on a bundle.
fn look(b: &Bundle<'_>, command: &str, flags: &[&str]) -> Verdict<Output> {
    b.case.tares(&format!("the command {command}"))?;
    b.write()?;
    b.case.call([command]).args(flags.iter().copied()).arg(&b.dir).output()
}

fn errors(b: &Bundle<'_>) -> Verdict<Vec<Value>> {
    let out = look(b, "check", &["--json"])?;
    out.exits(1)?;
    let document: Value = serde_json::from_str(&out.stdout)?;
    is(&document["file"], &json!(b.dir.join("config.json")))?;
    match document["errors"].as_array() {
        Some(errors) => Ok(errors.clone()),
        None => fail(format!("no errors in {document}")),
    }
}

/// The error at `pointer`.
fn at<'e>(errors: &'e [Value], pointer: &str) -> Verdict<&'e Value> {
    match errors.iter().find(|error| error["pointer"] == pointer) {
        Some(error) => Ok(error),
        None => fail(format!("nothing at {pointer}: {errors:#?}")),
    }
}

/// Writes config.json as it is typed.
fn typed<'t>(t: &'t Case, text: &str) -> Verdict<(Bundle<'t>, Output)> {
    t.tares("the command check")?;
    let b = t.bundle()?;
    fs::write(b.dir.join("config.json"), text)?;
    let out = t.call(["check"]).arg(&b.dir).output()?;
    Ok((b, out))
}

/// The names of a trace's steps, by process.
fn steps(text: &str) -> Verdict<Vec<(String, String)>> {
    let trace: Value = serde_json::from_str(text)?;
    let Some(events) = trace["traceEvents"].as_array() else {
        return fail("no traceEvents");
    };
    let process = |pid: &Value| {
        let named = |e: &&Value| e["ph"] == "M" && e["pid"] == *pid;
        let event = events.iter().find(named);
        event.and_then(|e| e["args"]["name"].as_str()).unwrap_or_default().to_owned()
    };
    let of = |e: &Value| (process(&e["pid"]), e["name"].as_str().unwrap_or_default().to_owned());
    Ok(events.iter().filter(|e| e["ph"] == "X").map(of).collect())
}

/// The chapter's tests.
pub(crate) const TESTS: &[Test] = &[
    test("check-good", "check: a good bundle is good: exit code 0, nothing is made", |t| {
        let b = t.bundle()?;
        let out = look(&b, "check", &[])?;
        has(out.ok()?, "no errors")?;
        t.nothing_left()?;
        is(b.says("echo runs")?.as_str(), "runs")
    }),
    test(
        "check-all-at-once",
        "check: every refusal at once, with its place and what is right",
        |t| {
            let b = t
                .bundle()?
                .set("/process/cwd", "tmp")
                .set("/ociVersion", "2.0.0")
                .set("/linux/sysctl", json!({ "vm.swappiness": "1" }))
                .bind("/no/such/source".as_ref(), "/mnt", &["bind"])
                .set("/hostname", "x")
                .share("uts");
            let errors = errors(&b)?;
            for pointer in [
                "/process/cwd",
                "/ociVersion",
                "/linux/sysctl/vm.swappiness",
                "/mounts/4/source",
                "/hostname",
            ] {
                let error = at(&errors, pointer)?;
                that(error["line"].as_u64() >= Some(1), format!("a line: {error}"))?;
                that(
                    error["right"].as_str().is_some_and(|r| !r.is_empty()),
                    format!("right: {error}"),
                )?;
            }
            is(errors.len(), 5)?;
            // The same sentences as those of create.
            let refused = b.try_create()?;
            for error in &errors {
                has(
                    refused.stderr.replace("\\\"", "\""),
                    error["message"].as_str().unwrap_or("?"),
                )?;
            }
            t.nothing_left()
        },
    ),
    test("check-places", "check: line and column are those of the value", |t| {
        let text = "{\n  \"ociVersion\": \"1.0.2\",\n  \"root\": { \"path\": \"rootfs\" },\n  \
                    \"process\": {\n    \"args\": [\"x\"], \"cwd\": \"tmp\" },\n  \"linux\": \
                    { \"namespaces\": [{ \"type\": \"mount\" }, { \"type\": \"colour\" }] }\n}\n";
        let (_, out) = typed(t, text)?;
        out.exits(1)?;
        has(&out.stdout, "config.json:5:27: error: /process/cwd: ")?;
        has(&out.stdout, "config.json:6:60: error: /linux/namespaces/1/type: ")?;
        has(&out.stdout, "2 errors")
    }),
    test("check-types", "check: values of wrong types are all told, and what else is wrong", |t| {
        let text = "{ \"ociVersion\": 1, \"root\": { \"path\": \"rootfs\" }, \"process\": { \
                    \"user\": { \"uid\": \"root\" }, \"args\": [\"x\"], \"cwd\": \"tmp\" }, \
                    \"mounts\": {}, \"linux\": { \"namespaces\": [{ \"type\": \"mount\" }] } }";
        let (b, out) = typed(t, text)?;
        out.exits(1)?;
        for part in [
            "/ociVersion: invalid type: integer `1`",
            "/process/user/uid: invalid type: string \"root\"",
            "/mounts: invalid type: map",
            "/process/cwd: ",
            "4 errors",
        ] {
            has(&out.stdout, part)?;
        }
        b.case.nothing_left()
    }),
    test("check-broken", "check: what is no JSON is told with its place", |t| {
        let (_, out) = typed(t, "{\n  \"ociVersion\": \"1.0.2\",\n  \"process\": { ]\n")?;
        out.exits(1)?;
        has(&out.stdout, "config.json:3:16: error: ")
    }),
    test("check-missing", "check: a bundle without a configuration is told as any error", |t| {
        t.tares("the command check")?;
        let out = t.call(["check", "--json"]).arg(t.dir("empty")?).output()?;
        out.exits(1)?;
        let document: Value = serde_json::from_str(&out.stdout)?;
        has(document["errors"][0]["message"].as_str().unwrap_or_default(), "no such file")?;
        let (_, out) = typed(t, " \n")?;
        out.exits(1)?;
        has(&out.stdout, "error: unexpected EOF")
    }),
    test(
        "check-unread",
        "check: a property that nobody reads is a warning with the one meant",
        |t| {
            let b = t.bundle()?.raw("/linux/maskedPath", json!(["/x"])).raw("/vendor", 1);
            let out = look(&b, "check", &[])?;
            let text = out.ok()?;
            has(&text, "/linux/maskedPath: ")?;
            has(&text, "maskedPaths")?;
            has(&text, "warning: /vendor: ")?;
            has(&text, "no errors, 2 warnings")
        },
    ),
    test("check-limits", "check: limits that the cgroups here can't have are told", |t| {
        let swap = json!({ "limit": 100 << 20, "swap": 10 << 20 });
        let b = t
            .bundle()?
            .set("/linux/resources/memory", swap)
            .set("/linux/resources/hugepageLimits", json!([{ "pageSize": "a/b", "limit": 1 }]));
        let errors = errors(&b)?;
        at(&errors, "/linux/resources/hugepageLimits").map(drop)?;
        t.nothing_left()
    }),
    test("plan-json", "plan: what create does, as JSON, without doing it", |t| {
        let b = t
            .bundle()?
            .mount("/data", "tmpfs", "data", &["nosuid", "ro", "size=1m"])
            .set("/linux/resources/pids", json!({ "limit": 77 }))
            .hook("createRuntime", "touch never")
            .caps(&["CAP_KILL"]);
        let plan = look(&b, "plan", &["--json", "--id", "web"])?.json()?;
        is(&plan["container"]["id"], &json!("web"))?;
        let new = &plan["namespaces"]["new"];
        is(new.as_array().map(Vec::len), Some(5))?;
        let mounts = plan["mounts"].as_array().cloned().unwrap_or_default();
        let data = mounts.iter().find(|mount| mount["destination"] == "/data");
        is(data.map(|mount| &mount["options"]), Some(&json!("nosuid,ro")))?;
        is(data.map(|mount| &mount["data"]), Some(&json!("size=1m")))?;
        is(&plan["capabilities"]["bounding"], &json!(["KILL"]))?;
        let limits = plan["limits"].as_array().cloned().unwrap_or_default();
        let pids = |write: &&Value| write["file"].as_str().is_some_and(|f| f.ends_with("pids.max"));
        is(limits.iter().find(pids).map(|write| &write["value"]), Some(&json!("77")))?;
        is(&plan["hooks in create"][0]["when"], &json!("createRuntime"))?;
        that(!b.dir.join("never").exists(), "no hook was run")?;
        that(!t.root.exists(), "no state directory was made")?;
        t.nothing_left()
    }),
    test("plan-text", "plan: the same as text, a heading for each step", |t| {
        let out = look(&t.bundle()?.sleeps(), "plan", &[])?;
        let text = out.ok()?;
        for part in ["\nnamespaces\n", "\nmounts\n", "/dev/pts", "\nprocess\n", "sleep  100"] {
            has(&text, part)?;
        }
        t.nothing_left()
    }),
    test("plan-refused", "plan: what create refuses is refused in the same words", |t| {
        let b = t.bundle()?.set("/process/cwd", "tmp");
        look(&b, "plan", &[])?.refused(&["/process/cwd", "absolute"])
    }),
    test("trace-create", "--trace: the steps of both processes, whatever create waits for", |t| {
        t.tares("the command trace")?;
        let file = t.path("trace.json");
        let b = t.bundle()?.sleeps().hook("createRuntime", "sleep 0.05");
        let b = b.flags(["--trace", &file.to_string_lossy()]);
        let c = b.create()?;
        let steps = steps(&fs::read_to_string(&file)?)?;
        let has_step = |process: &str, name: &str| {
            that(
                steps.iter().any(|(p, n)| p == process && n.contains(name)),
                format!("{name} of {process} in {steps:?}"),
            )
        };
        has_step("runtime", "plan")?;
        has_step("runtime", "createRuntime ")?;
        has_step("container init", "mount /proc")?;
        has_step("container init", "wait for the runtime")?;
        let text = t.call(["trace"]).arg(&file).ok()?;
        has(&text, "mount /proc")?;
        let svg = t.path("trace.svg");
        t.call(["trace"]).arg(&file).arg("--svg").arg(&svg).ok()?;
        let svg = fs::read_to_string(svg)?;
        that(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"), "a whole picture")?;
        c.start()?;
        c.is("running")
    }),
    test("trace-failure", "--trace: what a failed create did is in the file", |t| {
        t.tares("the command trace")?;
        let file = t.path("trace.json");
        let flags = ["--trace".to_owned(), file.to_string_lossy().into_owned()];
        let b = t.bundle()?.args(["/no/such/program"]).flags(flags.iter().map(String::as_str));
        b.refused(&["no such file"])?;
        let steps = steps(&fs::read_to_string(&file)?)?;
        that(steps.iter().any(|(_, name)| name.contains("pivot")), format!("{steps:?}"))
    }),
    test(
        "trace-run",
        "--trace: run writes it when the program runs; the container is the same",
        |t| {
            t.tares("the command trace")?;
            let file = t.path("trace.json");
            let b = t.bundle()?.sh("echo out; ls /proc/self/fd; sleep 0.1");
            let plain = b.run()?.ok()?;
            let b = b.flags(["--trace", &file.to_string_lossy()]);
            is(b.run()?.ok()?, plain)?;
            let steps = steps(&fs::read_to_string(&file)?)?;
            that(steps.iter().any(|(_, name)| name.contains("execve")), format!("{steps:?}"))
        },
    ),
    test(
        "trace-refused",
        "--trace: a file that can't be written fails before anything is done",
        |t| {
            t.tares("the command trace")?;
            let b = t.bundle()?.flags(["--trace", "/no/such/dir/trace"]);
            b.refused(&["/no/such/dir/trace", "no such file"])?;
            let broken = t.file("broken", "{}")?;
            let out = t.call(["trace"]).arg(broken).output()?;
            out.refused(&["broken", "trace"])?;
            lacks(out.stdout, "svg")
        },
    ),
];
