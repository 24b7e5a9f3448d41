//! Seccomp: the agent, who hears of the calls that a filter notifies, and answers them.
//!
//! The agent of a test is the test. It has the listener's descriptor, and asks the kernel with it by
//! way of the program that makes calls inside the containers (`data/probe.c`).

use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::Command;

use serde_json::{Value, json};

use super::seccomp_actions::{KEYCTL, bundle, keyctl};
use crate::bundle::Bundle;
use crate::case::Case;
use crate::socket::Socket;
use crate::table::{Test, test};
use crate::verdict::{Verdict, fail, has, is};

/// Makes the kernel go on with the call (`SECCOMP_USER_NOTIF_FLAG_CONTINUE`).
const CONTINUE: Answer = Answer { value: "0", errno: "0", flags: "1" };

/// What keyctl(2) with operation 0x7fff comes to where nothing is in its way.
const UNKNOWN_OPERATION: &str = "-95";

/// `probe call`, with an argument to be known by.
const CALL: [&str; 5] = ["/bin/probe", "call", KEYCTL, "0x7fff", "4711"];

/// A socket on which containers hand in their listeners.
struct Agent<'t> {
    case: &'t Case,
    socket: Socket<'t>,
}

/// A listener, and what was said about it.
struct Listener {
    descriptor: OwnedFd,
    state: Value,
    probe: PathBuf,
}

/// A call that waits for its answer.
struct Heard {
    id: String,
    pid: i64,
    call: String,
    /// The second argument.
    argument: String,
}

/// An answer: the call's result, or an errno (as a negative number), or neither.
#[derive(Clone, Copy)]
struct Answer {
    value: &'static str,
    errno: &'static str,
    flags: &'static str,
}

impl<'t> Agent<'t> {
    fn listen(case: &'t Case) -> Verdict<Self> {
        Ok(Self { case, socket: Socket::listen(case)? })
    }

    /// A bundle whose filter asks this agent about keyctl(2).
    fn bundle(&self) -> Verdict<Bundle<'t>> {
        let mut filter = keyctl("SCMP_ACT_NOTIFY");
        filter["listenerPath"] = json!(self.socket.path);
        filter["listenerMetadata"] = json!("of the engine");
        bundle(self.case, filter)
    }

    /// The next listener that is handed in.
    #[track_caller]
    fn meets(&self, bundle: &Bundle<'_>) -> Verdict<Listener> {
        let (descriptors, text) = self.socket.receive()?;
        let Ok([descriptor]) = <[OwnedFd; 1]>::try_from(descriptors) else {
            return fail(format!("no descriptor, or several, with {text}"));
        };
        let probe = bundle.rootfs("bin/probe");
        Ok(Listener { descriptor, state: serde_json::from_str(&text)?, probe })
    }
}

impl Listener {
    fn ask<'a>(&self, words: impl IntoIterator<Item = &'a str>) -> Verdict<String> {
        let mut probe = Command::new(&self.probe);
        let output = probe.args(words).stdin(self.descriptor.try_clone()?).output()?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Waits for a call.
    fn hears(&self) -> Verdict<Heard> {
        let text = self.ask(["hear"])?;
        let values: Vec<&str> =
            text.lines().filter_map(|line| Some(line.split_once(' ')?.1)).collect();
        let [id, pid, call, _, argument, ..] = values[..] else {
            return fail(format!("nothing to hear: {text}"));
        };
        let (id, call, argument) = (id.to_owned(), call.to_owned(), argument.to_owned());
        Ok(Heard { id, pid: pid.parse()?, call, argument })
    }

    #[track_caller]
    fn answers(&self, heard: &Heard, answer: Answer) -> Verdict {
        let Answer { value, errno, flags } = answer;
        is(self.ask(["answer", &heard.id, value, errno, flags])?.as_str(), "0\n")
    }

    /// Answers the one call of [`CALL`], which must be by the process that was announced.
    #[track_caller]
    fn answers_call(&self, answer: Answer) -> Verdict {
        let heard = self.hears()?;
        is(heard.call.as_str(), KEYCTL)?;
        is(heard.argument.as_str(), "4711")?;
        is(&json!(heard.pid), &self.state["pid"])?;
        self.answers(&heard, answer)
    }
}

/// The container's own process, and one of `exec`, must see `wanted` come of the call.
fn both(t: &Case, answer: Answer, wanted: &str) -> Verdict {
    let agent = Agent::listen(t)?;
    let own = agent.bundle()?.args(CALL);
    let run = own.call("run")?.spawn()?;
    agent.meets(&own)?.answers_call(answer)?;
    is(run.wait()?.ok()?.as_str(), wanted)?;

    let sleeping = agent.bundle()?.sleeps();
    let c = sleeping.start()?;
    drop(agent.meets(&sleeping)?);
    let exec = c.exec([], CALL).spawn()?;
    agent.meets(&sleeping)?.answers_call(answer)?;
    is(exec.wait()?.ok()?.as_str(), wanted)
}

pub(crate) const AGENTS: &[Test] = &[
    test("agent-value", "spec, Seccomp: the agent's value is what the call returns", |t| {
        both(t, Answer { value: "1234", errno: "0", flags: "0" }, "1234")
    }),
    test("agent-errno", "spec, Seccomp: the agent's errno is what the call fails with", |t| {
        both(t, Answer { value: "0", errno: "-77", flags: "0" }, "-77")
    }),
    test("agent-continue", "spec, Seccomp: an agent can have the kernel make the call", |t| {
        both(t, CONTINUE, UNKNOWN_OPERATION)
    }),
    test(
        "agent-gone",
        "spec, Seccomp: without its agent, a call that is notified is ENOSYS",
        |t| {
            let agent = Agent::listen(t)?;
            let b = agent.bundle()?.sleeps();
            let c = b.start()?;
            drop(agent.meets(&b)?);
            let exec = c.exec([], CALL).spawn()?;
            drop(agent.meets(&b)?);
            is(exec.wait()?.ok()?.as_str(), "-38")
        },
    ),
    test("agent-metadata", "spec, Seccomp: listenerMetadata reaches the agent, each time", |t| {
        let agent = Agent::listen(t)?;
        let b = agent.bundle()?.sleeps();
        let c = b.start()?;
        let own = agent.meets(&b)?.state;
        c.exec([], ["/bin/true"]).ok()?;
        let by_exec = agent.meets(&b)?.state;
        for state in [&own, &by_exec] {
            is(&state["metadata"], &json!("of the engine"))?;
            is(&state["state"]["id"], &json!(c.id))?;
        }
        Ok(())
    }),
    test(
        "flag-killable",
        "spec, Seccomp: with WAIT_KILLABLE_RECV no signal interrupts a call that the agent has heard of",
        |t| {
            let agent = Agent::listen(t)?;
            let b = agent.bundle()?.args(["/bin/probe", "trap", KEYCTL, "0x7fff", "4711"]);
            let b =
                b.set("/linux/seccomp/flags", json!(["SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"]));
            let run = b.call("run")?.spawn()?;
            let listener = agent.meets(&b)?;
            let heard = listener.hears()?;
            // It has a handler for this one. A call that may be interrupted comes back at once; this one
            // goes on waiting, and from here on for the agent or SIGKILL alone.
            t.host(["kill", "-s", "SYS", &heard.pid.to_string()])?;
            let process = procfs::process::Process::new(i32::try_from(heard.pid)?)?;
            t.until("sleep that only SIGKILL ends", || Ok(process.stat()?.state == 'D'))?;
            listener.answers(&heard, Answer { value: "42", errno: "0", flags: "0" })?;
            let said = run.wait()?.ok()?;
            has(&said, "signal 31")?;
            has(said, "result 42")
        },
    ),
];
