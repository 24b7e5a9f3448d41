//! Terminal: the console socket, the terminal in the container, and one in the foreground.

use serde_json::json;

use crate::bundle::Bundle;
use crate::console::Terminal;
use crate::container::Container;
use crate::socket::Socket;
use crate::table::{Test, test};
use crate::verdict::{Verdict, has, is, that};

/// Starts a container with a terminal; returns it and the terminal's outer end.
fn on_tty<'t>(b: Bundle<'t>) -> Verdict<(Container<'t>, Terminal<'t>)> {
    let socket = Socket::listen(b.case)?;
    let b = b.set("/process/terminal", true).flags(["--console-socket", &socket.name()]);
    let c = b.create()?;
    let (_, terminal) = socket.terminal()?;
    c.start()?;
    Ok((c, terminal))
}

/// The chapter's tests.
pub(crate) const TESTS: &[Test] = &[
    test(
        "console-socket",
        "runc: one descriptor comes by SCM_RIGHTS, the name as its message",
        |t| {
            let socket = Socket::listen(t)?;
            let b = t.bundle()?.set("/process/terminal", true).sh("echo on a terminal; sleep 100");
            let c = b.flags(["--console-socket", &socket.name()]).create()?;
            let (name, terminal) = socket.terminal()?;
            has(name, "/dev/p")?;
            c.start()?;
            terminal.shows("on a terminal\r\n")
        },
    ),
    test("streams", "spec, Process: with terminal true all three streams are the terminal", |t| {
        let b = t.bundle()?.sh("for n in 0 1 2; do test -t $n && echo tty$n; done; tty");
        let (_c, terminal) = on_tty(b)?;
        terminal.shows("tty0\r\ntty1\r\ntty2\r\n/dev/pts/0")
    }),
    test("console-device", "spec, Linux: /dev/console is the terminal", |t| {
        let b = t.bundle()?.sh("echo by the device > /dev/console; stat -c %F /dev/console");
        let (_c, terminal) = on_tty(b)?;
        terminal.shows("by the device")?;
        terminal.shows("character special file")
    }),
    test(
        "controlling",
        "the terminal is the controlling one: /dev/tty opens, job control works",
        |t| {
            let (_c, terminal) = on_tty(t.bundle()?.sh("echo mine > /dev/tty; ps -o tty,args"))?;
            terminal.shows("mine")?;
            terminal.shows("136,0")
        },
    ),
    test("interrupt", "what is typed arrives, and ^C is SIGINT for the foreground process", |t| {
        let script =
            "trap 'echo interrupted; exit' INT; echo up; while :; do read x; echo got $x; done";
        let (c, terminal) = on_tty(t.bundle()?.sh(script))?;
        terminal.shows("up")?;
        terminal.types("word\n")?;
        terminal.shows("got word")?;
        terminal.types("\x03")?;
        terminal.shows("interrupted")?;
        c.becomes("stopped")
    }),
    test("console-size", "spec, Process: consoleSize", |t| {
        let size = json!({ "height": 33, "width": 111 });
        let b = t.bundle()?.set("/process/consoleSize", size).sh("stty size; sleep 100");
        let (_c, terminal) = on_tty(b)?;
        terminal.shows("33 111")?;
        is(terminal.size()?, (33, 111))
    }),
    test("resize", "the engine resizes by the outer end; the process gets SIGWINCH", |t| {
        let script = "trap 'stty size' WINCH; echo up; while :; do sleep 0.05; done";
        let (_c, terminal) = on_tty(t.bundle()?.sh(script))?;
        terminal.shows("up")?;
        terminal.resize(21, 84)?;
        terminal.shows("21 84")
    }),
    test("user-owns", "runc: the terminal belongs to the process's user", |t| {
        let b = t.bundle()?.set("/process/user", json!({ "uid": 1000, "gid": 1000 }));
        let (_c, terminal) = on_tty(b.sh("stat -c 'owner %u' $(tty)"))?;
        terminal.shows("owner 1000")
    }),
    test("output-is-raw-newlines", "runc: ONLCR is on in the container's terminal", |t| {
        let (_c, terminal) = on_tty(t.bundle()?.sh("echo a; echo b"))?;
        terminal.shows("a\r\nb\r\n")
    }),
    test("user-namespace", "a terminal in a user namespace", |t| {
        let b = t.bundle()?.user_namespace(100_000).owned_by(100_000)?;
        let (_c, terminal) = on_tty(b.sh("tty; stat -c 'owner %u' $(tty)"))?;
        terminal.shows("/dev/pts/0")?;
        terminal.shows("owner 0")
    }),
    test(
        "detach-without-socket",
        "runc: cannot allocate tty if runc will detach without setting console socket",
        |t| {
            let b = t.bundle()?.set("/process/terminal", true).sleeps();
            b.refused(&["cannot allocate tty if", "will detach without setting console socket"])
        },
    ),
    test(
        "socket-without-tty",
        "runc: cannot use console socket if runc will not detach or allocate tty",
        |t| {
            let socket = Socket::listen(t)?;
            let b = t.bundle()?.sh("true").flags(["--console-socket", &socket.name()]);
            b.run()?
                .refused(&["cannot use console socket if", "will not detach or allocate tty"])?;
            t.nothing_left()
        },
    ),
    test("socket-missing", "a console socket that does not exist fails create", |t| {
        let b = t.bundle()?.set("/process/terminal", true).sleeps();
        let path = t.path("no.sock");
        let b = b.flags(["--console-socket", &path.to_string_lossy()]);
        let out = b.try_create()?;
        out.refused(&["no.sock"])?;
        t.nothing_left()
    }),
    test("foreground", "run on a terminal: the process has one of its own", |t| {
        let (terminal, stdio) = Terminal::open(t)?;
        let b = t.bundle()?.set("/process/terminal", true).sh("tty; echo done; exit 5");
        let run = b.call("run")?.through(["setsid", "-c", "-w"]).stdio(stdio).spawn()?;
        terminal.shows("/dev/pts/0")?;
        terminal.shows("done")?;
        run.wait()?.exits(5)
    }),
    test("foreground-input", "run on a terminal passes what is typed", |t| {
        let (terminal, stdio) = Terminal::open(t)?;
        let b = t.bundle()?.set("/process/terminal", true).sh("echo up; read x; echo got $x");
        let run = b.call("run")?.through(["setsid", "-c", "-w"]).stdio(stdio).spawn()?;
        terminal.shows("up")?;
        terminal.types("word\n")?;
        terminal.shows("got word")?;
        run.wait()?.exits(0)
    }),
    test(
        "foreground-size",
        "run on a terminal: the size is the outer one's, and follows it",
        |t| {
            let (terminal, stdio) = Terminal::open(t)?;
            terminal.resize(17, 71)?;
            let script = "trap 'stty size' WINCH; stty size; echo up; while :; do sleep 0.05; done";
            let b = t.bundle()?.set("/process/terminal", true).sh(script);
            let run = b.call("run")?.through(["setsid", "-c", "-w"]).stdio(stdio).spawn()?;
            terminal.shows("up")?;
            terminal.resize(19, 73)?;
            terminal.shows("19 73")?;
            t.rt(["kill", &b.id, "KILL"])?.ok()?;
            run.wait()?.exits(137)
        },
    ),
    test("foreground-mode-restored", "run leaves the outer terminal as it was", |t| {
        let (terminal, stdio) = Terminal::open(t)?;
        let b = t.bundle()?.set("/process/terminal", true).sh("echo inside");
        let wrapper = "stty -a > before; \"$@\"; stty -a > after; cmp before after && echo same";
        let call = b.call("run")?.through(["setsid", "-c", "-w", "sh", "-c", wrapper, "sh"]);
        let run = call.stdio(stdio).spawn()?;
        terminal.shows("inside")?;
        terminal.shows("same")?;
        run.wait()?.exits(0)?;
        that(t.path("after").exists(), "the modes were compared")
    }),
    test(
        "foreground-hang-up",
        "run's terminal hangs up: the process sees it where it reads, though it ignores SIGHUP",
        |t| {
            let (terminal, stdio) = Terminal::open(t)?;
            let script = "trap '' HUP; echo up; while read x; do echo got $x; done; exit 7";
            let b = t.bundle()?.set("/process/terminal", true).sh(script);
            let run = b.call("run")?.through(["setsid", "-c", "-w"]).stdio(stdio).spawn()?;
            terminal.shows("up")?;
            terminal.types("word\n")?;
            terminal.shows("got word")?;
            drop(terminal);
            run.wait()?.exits(7)
        },
    ),
    test("exec-tty", "runc: exec --tty with a console socket", |t| {
        let c = t.bundle()?.sleeps().start()?;
        let socket = Socket::listen(t)?;
        let flag = socket.name();
        let flags = ["--tty", "--console-socket", &flag, "--detach"];
        c.exec(flags, ["/bin/sh", "-c", "tty; test -t 0 && echo terminal"]).ok()?;
        let (_, terminal) = socket.terminal()?;
        terminal.shows("/dev/pts/0")?;
        terminal.shows("terminal")
    }),
    test("exec-tty-foreground", "exec --tty on a terminal", |t| {
        let c = t.bundle()?.sleeps().start()?;
        let (terminal, stdio) = Terminal::open(t)?;
        let call = c.exec(["-t"], ["/bin/sh", "-c", "read x; echo got $x; exit 9"]);
        let run = call.through(["setsid", "-c", "-w"]).stdio(stdio).spawn()?;
        terminal.types("word\n")?;
        terminal.shows("got word")?;
        run.wait()?.exits(9)
    }),
    test("exec-detach-without-socket", "runc's sentence for exec too", |t| {
        let c = t.bundle()?.sleeps().start()?;
        let out = c.exec(["--tty", "--detach"], ["true"]).output()?;
        out.refused(&["cannot allocate tty if", "will detach without setting console socket"])
    }),
    test("exec-console-size", "a process file's consoleSize", |t| {
        let c = t.bundle()?.sleeps().start()?;
        let socket = Socket::listen(t)?;
        let process = json!({
            "terminal": true, "consoleSize": { "height": 12, "width": 34 }, "cwd": "/",
            "user": { "uid": 0, "gid": 0 }, "env": ["PATH=/bin"],
            "args": ["/bin/sh", "-c", "stty size; sleep 100"]
        });
        let file = t.file("process.json", process.to_string())?.to_string_lossy().into_owned();
        t.rt(["exec", "-d", "--console-socket", &socket.name(), "--process", &file, &c.id])?
            .ok()?;
        socket.terminal()?.1.shows("12 34")
    }),
];
