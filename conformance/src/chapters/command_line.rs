//! The command line: the forms of words that callers type, and what a mistake in them gets.

use crate::case::{Case, PATH};
use crate::layout;
use crate::table::{Test, test};
use crate::verdict::{Verdict, has, is, lacks, needs, that};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// The chapter's tests of what runc takes.
pub(crate) const WORDS: &[Test] = &[
    test("global-flags-behind", "runc 1.5: global flags are also taken behind the command", |t| {
        let c = t.bundle()?.sleeps().start()?;
        let root = t.root.to_string_lossy();
        let words = ["list", "--quiet", "--root", &root];
        is(t.call(words).root(None).ok()?.as_str(), &*c.id)?;
        let words = ["state", &c.id, &format!("--root={root}")];
        has(t.call(words).root(None).ok()?, "running")
    }),
    test("help", "runc: help, help COMMAND and COMMAND --help print to standard output", |t| {
        for words in [&["help"][..], &["--help"], &["-h"], &[]] {
            let help = t.call(words.iter().copied()).root(None).ok()?;
            has(&help, "delete")?;
            that(help.starts_with("NAME:\n   "), help)?;
        }
        for words in [["help", "run"], ["run", "--help"], ["run", "-h"]] {
            let help = t.call(words).root(None).ok()?;
            has(&help, "--no-pivot")?;
            that(help.starts_with("NAME:\n   ") && help.contains(" run - "), help)?;
        }
        Ok(())
    }),
    test("help-unknown", "runc: help of an unknown command is exit code 3", |t| {
        let out = t.rt(["help", "bogus"])?;
        out.refused(&["No help topic for 'bogus'"])?;
        out.exits(3)
    }),
    test("argument-count", "runc: too few or too many arguments are exit code 1", |t| {
        for (words, sentence) in [
            (&["state"][..], "\"state\" requires exactly 1 argument(s)"),
            (&["state", "a", "b"], "\"state\" requires exactly 1 argument(s)"),
            (&["list", "a"], "\"list\" requires exactly 0 argument(s)"),
            (&["kill"], "\"kill\" requires a minimum of 1 argument(s)"),
            (&["kill", "a", "9", "b"], "\"kill\" requires a maximum of 2 argument(s)"),
            (&["exec"], "\"exec\" requires a minimum of 1 argument(s)"),
        ] {
            let out = t.rt(words.iter().copied())?;
            out.refused(&[sentence])?;
            out.exits(1)?;
        }
        Ok(())
    }),
    test("number", "runc: a flag that wants a number gets nothing else", |t| {
        let c = t.bundle()?.sleeps().start()?;
        for words in [
            &["exec", "--preserve-fds", "x", &c.id, "true"][..],
            &["exec", "--additional-gids", "3,4", &c.id, "true"],
            &["update", "--pids-limit", "x", &c.id],
        ] {
            let out = t.rt(words.iter().copied())?;
            out.refused(&["invalid value", words[1].trim_start_matches('-'), words[2]])?;
            out.exits(1)?;
        }
        Ok(())
    }),
    test("switch-off", "runc: a switch takes =true and =false", |t| {
        let c = t.bundle()?.sleeps().start()?;
        t.rt(["delete", "--force=false", &c.id])?.refused(&["not stopped"])?;
        t.rt(["delete", "-force=true", &c.id])?.ok().map(drop)
    }),
    test("root-slash", "runc: --root must not be /, however it is written", |t| {
        for root in ["/", "/tmp/..", "/../."] {
            let out = t.call(["list"]).root(Some(Path::new(root))).output()?;
            out.refused(&["root", "/"])?;
        }
        let out = t.call(["list", "--root", "."]).root(None).dir(Path::new("/")).output()?;
        out.refused(&["root", "/"])
    }),
    test("root-relative", "runc: a relative --root is below the working directory", |t| {
        let b = t.bundle()?.sleeps();
        let root = t.path("here");
        t.owns(&root, &b.id);
        b.call("create")?.dir(&t.scratch).root(Some(Path::new("./x/../here"))).ok()?;
        that(root.join(&b.id).is_dir(), "the state directory is here/ID")
    }),
    test("json-ends-line", "runc: the JSON of list and ps ends with a line break", |t| {
        let c = t.bundle()?.sleeps().start()?;
        for words in [&["list", "-f", "json"][..], &["ps", "-f", "json", &c.id]] {
            let out = t.rt(words.iter().copied())?;
            that(out.code == 0 && out.stdout.ends_with("]\n"), format!("{words:?}"))?;
            is(out.stdout.lines().count(), 1)?;
        }
        t.rt(["delete", "--force", &c.id])?.ok()?;
        is(t.rt(["list", "-f", "json"])?.stdout.as_str(), "null\n")
    }),
    test("owner-without-name", "runc: the owner of a nameless user is # and its number", |t| {
        let b = super::rootless::rootless(t, 4242)?.sleeps();
        b.call("create")?.through(super::rootless::user("4242")).ok()?;
        has(t.rt(["list"])?.ok()?, "#4242")
    }),
    test("list-few-descriptors", "list shows more containers than it may have descriptors", |t| {
        let made = (0..24).map(|_| t.bundle()?.sleeps().create());
        let made: Vec<_> = made.collect::<Verdict<_>>()?;
        let few = "ulimit -n 24; exec \"$@\"";
        let listed = t.call(["list", "--quiet"]).through(["sh", "-c", few, "sh"]).ok()?;
        is(listed.lines().count(), made.len())?;
        let listed = t.call(["list"]).through(["sh", "-c", few, "sh"]).ok()?;
        is(listed.lines().count(), made.len() + 1)
    }),
    test("kill-empty-signal", "runc: an empty signal is SIGTERM", |t| {
        let c = t.bundle()?.share("pid").sleeps().start()?;
        t.rt(["kill", &c.id, ""])?.ok()?;
        c.becomes("stopped")
    }),
    test("empty-id", "runc: an empty id is refused by its sentence", |t| {
        for words in [&["state", ""][..], &["kill", ""], &["delete", ""], &["start", ""]] {
            t.rt(words.iter().copied())?.refused(&["container id cannot be empty"])?;
        }
        Ok(())
    }),
    test("exec-dashes", "runc 1.5: two dashes may stand between the id and the command", |t| {
        let c = t.bundle()?.sleeps().start()?;
        is(c.exec([], ["--", "echo", "-n", "a"]).ok()?.as_str(), "a")?;
        is(c.exec([], ["echo", "--", "a"]).ok()?.as_str(), "-- a")
    }),
    test(
        "exec-cgroup-lists",
        "runc: --cgroup takes lists of controllers, each of them once",
        |t| {
            let c = t.bundle()?.sleeps().start()?;
            for (words, sentence) in [
                (&[":x"][..], "empty <controller> prefix"),
                (&["cpu,cpu:x"], "specified multiple times"),
                (&["cpu:x", "memory,cpu:x"], "specified multiple times"),
                (&["a", "b"], "missing <controller>: prefix"),
            ] {
                let flags = words.iter().flat_map(|word| ["--cgroup", word]);
                c.exec(flags, ["true"]).output()?.refused(&[sentence])?;
            }
            if !layout::unified() {
                let flags = ["--cgroup", "cpu,cpuacct:/", "--cgroup", "memory:/"];
                c.exec(flags, ["true"]).ok()?;
            }
            Ok(())
        },
    ),
    test("exec-no-new-privileges-off", "runc 1.5: exec --no-new-privs=false takes it back", |t| {
        let c = t.bundle()?.set("/process/noNewPrivileges", true).sleeps().start()?;
        let line = ["grep", "NoNewPrivs", "/proc/self/status"];
        has(c.exec([], line).ok()?, "1")?;
        has(c.exec(["--no-new-privs=false"], line).ok()?, "0")
    }),
    test(
        "pid-file-nowhere",
        "a pid file that can't be written is refused, and nothing runs",
        |t| {
            let b = t.bundle()?.sleeps().flags(["--pid-file", "/no/such/directory/pid"]);
            b.refused(&["/no/such/directory", "no such file or directory"])?;
            let c = t.bundle()?.sleeps().start()?;
            let flags = ["--detach", "--pid-file", "/no/such/directory/pid"];
            let out = c.exec(flags, ["touch", "/ran"]).output()?;
            out.refused(&["/no/such/directory", "no such file or directory"])?;
            out.exits(255)?;
            lacks(c.says("ls /")?, "ran")
        },
    ),
    test("rootless-word", "runc: --rootless is true, false or auto", |t| {
        let b = t.bundle()?.sleeps();
        let out = b.call("create")?.global(["--rootless", "maybe"]).output()?;
        out.refused(&["maybe"])?;
        for word in ["auto", "false", "true"] {
            let b = t.bundle()?.args(["true"]);
            b.call("run")?.global(["--rootless", word]).ok()?;
        }
        Ok(())
    }),
    test(
        "rootless-cgroups",
        "runc: --rootless=true does without cgroups that can't be made",
        |t| {
            layout::root()?;
            layout::paths()?;
            let script = "for d in /sys/fs/cgroup /sys/fs/cgroup/*; do \
                      ! mountpoint -q $d || mount -o remount,bind,ro $d; done; exec \"$@\"";
            let b = t.bundle()?.args(["echo", "without"]).without("/linux/cgroupsPath");
            let b = b.without("/linux/resources").unmount("/sys/fs/cgroup");
            let call = |word: &str| {
                let call = b.call("run")?.global(["--rootless", word]);
                call.through(["unshare", "-m", "sh", "-c", script, "sh"]).output()
            };
            call("false")?.refused(&["read-only file system"])?;
            call("true")?.prints("without")
        },
    ),
    test("runtime-directory", "runc: an ordinary user's containers are in XDG_RUNTIME_DIR", |t| {
        let b = super::rootless::rootless(t, 4242)?.args(["true"]);
        let dir = t.dir("xdg")?;
        t.host(["chown", "4242", &dir.to_string_lossy()])?;
        let call = b.call("run")?.root(None).env("XDG_RUNTIME_DIR", &dir.to_string_lossy());
        call.through(super::rootless::user("4242")).ok()?;
        let mut entries = fs::read_dir(&dir)?;
        let Some(made) = entries.next().transpose()? else {
            return that(false, "there is a directory of the runtime's");
        };
        let mode = made.metadata()?.permissions().mode() & 0o7777;
        is(format!("{mode:o}"), "1700".to_owned())
    }),
];

/// The chapter's tests of what has a shell complete lines.
pub(crate) const COMPLETION: &[Test] = &[
    test("completion-bash", "the completion for bash names commands, flags, ids and values", |t| {
        needs(installed("bash"), "bash")?;
        let c = t.bundle()?.sleeps().create()?;
        let complete = |line: &str| {
            let script = format!(
                "compopt() {{ :; }}; COMP_LINE='{line}'; COMP_POINT=${{#COMP_LINE}}; _tare; \
                 printf '%s\\n' \"${{COMPREPLY[@]}}\""
            );
            in_shell(t, "bash", &script)
        };
        is(complete("tare sta")?.as_str(), "start\nstate")?;
        is(complete("tare delete --fo")?.as_str(), "--force")?;
        is(complete("tare list --format ")?.as_str(), "table\njson")?;
        is(complete("tare list --format=j")?.as_str(), "json")?;
        is(complete("tare --log compl")?.as_str(), "completion")?;
        let root = t.root.display();
        is(complete(&format!("tare --root {root} kill "))?.as_str(), c.id.as_str())?;
        has(complete(&format!("tare --root {root} kill {} ", c.id))?, "TERM\n")
    }),
    test("completion-zsh", "the completion for zsh names commands, flags, ids and values", |t| {
        needs(installed("zsh"), "zsh")?;
        let c = t.bundle()?.sleeps().create()?;
        let complete = |words: &str| {
            // What zsh's completion system would do with the candidates is its own affair.
            let script = format!(
                "_files() {{ print files $*; }}; compset() {{ :; }}; \
                 _describe() {{ print -l -- ${{(P)2}}; }}; words=({words}); CURRENT=$#words; _tare"
            );
            in_shell(t, "zsh", &script)
        };
        has(complete("tare sta")?, "start:start the process")?;
        has(complete("tare delete --fo")?, "--force:")?;
        is(complete("tare list --format ''")?.as_str(), "table\njson")?;
        is(complete("tare run --bundle ''")?.as_str(), "files -/")?;
        let root = t.root.display();
        is(complete(&format!("tare --root {root} kill ''"))?, format!("{}:created", c.id))
    }),
    test("completion-fish", "the completion for fish names commands, flags, ids and values", |t| {
        needs(installed("fish"), "fish")?;
        let c = t.bundle()?.sleeps().create()?;
        let complete = |line: &str| in_shell(t, "fish", &format!("complete -C '{line}'"));
        has(complete("tare sta")?, "start\tstart the process")?;
        has(complete("tare delete --fo")?, "--force\t")?;
        is(complete("tare list --format ")?.as_str(), "json\ntable")?;
        let root = t.root.display();
        is(complete(&format!("tare --root {root} kill "))?, format!("{}\tcreated", c.id))
    }),
    test("completion-scripts", "the scripts for bash, zsh and fish are correct", |t| {
        for shell in ["bash", "zsh", "fish"] {
            let file = t.file(shell, t.rt(["completion", shell])?.ok()?)?;
            if installed(shell) {
                t.host([shell, "-n", &file.to_string_lossy()])?;
            }
        }
        t.rt(["completion", "tcsh"])?.refused(&["tcsh", "bash"])
    }),
];

fn installed(program: &str) -> bool {
    ["/bin", "/usr/bin"].iter().any(|dir| Path::new(dir).join(program).exists())
}

/// Runs a script in a shell that has read the runtime's completion, and finds the runtime as `tare`.
fn in_shell(t: &Case, shell: &str, script: &str) -> Verdict<String> {
    let completion = t.file("completion", t.rt(["completion", shell])?.ok()?)?;
    let (programs, home) = (t.dir("bin")?, t.dir("home")?);
    let program = programs.join("tare");
    if !program.exists() {
        std::os::unix::fs::symlink(&t.runtime, program)?;
    }
    let path = format!("PATH={}:{PATH}", programs.display());
    let home = format!("HOME={}", home.display());
    let own = if shell == "zsh" { "compdef() { :; }; " } else { "" };
    let script =
        format!("{own}source {}; cd {}; {script}", completion.display(), t.scratch.display());
    t.host(["env", "-i", &path, &home, shell, "-c", &script])
}
