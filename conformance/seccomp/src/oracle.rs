//! libseccomp, driven as runc drives it, in a process of its own: on some profiles it never
//! returns, or crashes.
//!
//! The child reads a [`Question`] a line and writes an [`Answer`] a line.

use std::io::{BufRead, BufReader, Read, Seek, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use libseccomp::error::SeccompErrno;
use libseccomp::{
    ScmpAction, ScmpArch, ScmpArgCompare, ScmpCompareOp, ScmpFilterContext, ScmpSyscall,
    ScmpVersion,
};
use serde::{Deserialize, Serialize};

use crate::Failure;

/// How long libseccomp may take for one profile; it needs milliseconds.
const PATIENCE: Duration = Duration::from_secs(5);

/// A profile for a machine.
#[derive(Serialize, Deserialize)]
pub(crate) struct Question<'a> {
    pub(crate) native: String,
    #[serde(borrow)]
    pub(crate) profile: spec::Seccomp<'a>,
    /// The level of `SCMP_FLTATR_CTL_OPTIMIZE`: 1 for a list, 2 for a tree.
    pub(crate) optimize: u32,
}

/// What became of it.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Answer {
    /// Instructions (code, jt, jf, k), and the largest number on each architecture for which the
    /// profile names a call: what runc makes its ENOSYS stub of.
    Program(Vec<(u16, u8, u8, u32)>, Vec<(String, u32)>),
    /// A rule, at this place in `syscalls`, contradicts an earlier one (`EEXIST`) by its name at
    /// this place.
    Contradiction { rule: usize, name: usize, why: String },
    /// Another refusal.
    Refusal(String),
    /// It did not answer.
    Stuck,
}

/// The version of the library that is linked.
pub(crate) fn version() -> String {
    ScmpVersion::current()
        .map_or("?".to_owned(), |v| format!("{}.{}.{}", v.major, v.minor, v.micro))
}

/// The number of a call, negative where it stands for something behind socketcall(2) or ipc(2),
/// or if there is none on that architecture; `None` if libseccomp does not know the name.
pub(crate) fn number(name: &str, arch: &str) -> Option<i32> {
    let arch = arch.parse::<ScmpArch>().ok()?;
    // A name whose negative number another one shares is one that rules do not get through to.
    let here = ScmpSyscall::from_name(name).ok()?;
    if here.get_name().ok()? != name {
        return None;
    }
    let call = ScmpSyscall::from_name_by_arch(name, arch).ok()?;
    Some(call.as_raw_syscall())
}

/// Whether this libseccomp has an architecture.
pub(crate) fn has(arch: &str) -> bool {
    number("read", arch).is_some()
}

/// Serves questions on standard input until it ends.
pub(crate) fn serve() -> Result<(), Failure> {
    libseccomp::set_api(6)?;
    let mut out = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let question: Question<'_> = serde_json::from_str(&line)?;
        serde_json::to_writer(&mut out, &answer(&question)?)?;
        out.write_all(b"\n")?;
        out.flush()?;
    }
    Ok(())
}

/// Builds a filter as runc's libcontainer/seccomp does.
pub(crate) fn answer(question: &Question<'_>) -> Result<Answer, Failure> {
    let profile = &question.profile;
    let default = action(&profile.default_action, profile.default_errno_ret)?;
    let mut filter = ScmpFilterContext::new(default)?;
    let native: ScmpArch = question.native.parse()?;
    let here = ScmpArch::native();
    let mut arches = vec![question.native.as_str()];
    arches.extend(profile.architectures.iter().map(|name| name.as_str()));
    if native != here {
        filter.remove_arch(here)?;
    }
    for arch in &arches {
        filter.add_arch(arch.parse()?)?;
    }
    filter.set_ctl_optimize(question.optimize)?;
    for (place, rule) in profile.syscalls.iter().enumerate() {
        let does = action(&rule.action, rule.errno_ret)?;
        if does == default {
            continue;
        }
        for (n, name) in rule.names.iter().enumerate() {
            let Ok(call) = ScmpSyscall::from_name(name) else { continue };
            if let Err(error) = add(&mut filter, call, does, &rule.args) {
                let why =
                    format!("only libseccomp refuses rule {place}, {}: {error}", name.as_str());
                return Ok(match error.errno() {
                    Some(SeccompErrno::EEXIST) => {
                        Answer::Contradiction { rule: place, name: n, why }
                    }
                    _ => Answer::Refusal(why),
                });
            }
        }
    }
    let mut file = tempfile::tempfile()?;
    filter.export_bpf(&file)?;
    let mut bytes = Vec::new();
    file.rewind()?;
    file.read_to_end(&mut bytes)?;
    arches.dedup();
    let largest = arches.iter().filter_map(|arch| {
        let names = profile.syscalls.iter().flat_map(|rule| &rule.names);
        let numbers =
            names.filter_map(|name| number(name, arch)).filter_map(|n| u32::try_from(n).ok());
        numbers.max().filter(|&largest| largest > 0).map(|largest| ((*arch).to_owned(), largest))
    });
    Ok(Answer::Program(instructions(&bytes, is_big_endian(&question.native)), largest.collect()))
}

fn add(
    filter: &mut ScmpFilterContext,
    call: ScmpSyscall,
    action: ScmpAction,
    args: &[spec::SyscallArg<'_>],
) -> Result<(), libseccomp::error::SeccompError> {
    let conditions: Vec<ScmpArgCompare> = args.iter().map(condition).collect();
    let twice = (0..6).any(|index| args.iter().filter(|arg| arg.index == index).count() > 1);
    match conditions.as_slice() {
        [] => filter.add_rule(action, call).map(drop),
        // Since version 1.0 of runc: each for itself as soon as two are on one argument.
        several if twice => several
            .iter()
            .try_for_each(|one| filter.add_rule_conditional(action, call, &[*one]).map(drop)),
        all => filter.add_rule_conditional(action, call, all).map(drop),
    }
}

fn condition(arg: &spec::SyscallArg<'_>) -> ScmpArgCompare {
    let (op, datum) = match arg.op.as_str() {
        "SCMP_CMP_NE" => (ScmpCompareOp::NotEqual, arg.value),
        "SCMP_CMP_LT" => (ScmpCompareOp::Less, arg.value),
        "SCMP_CMP_LE" => (ScmpCompareOp::LessOrEqual, arg.value),
        "SCMP_CMP_GE" => (ScmpCompareOp::GreaterEqual, arg.value),
        "SCMP_CMP_GT" => (ScmpCompareOp::Greater, arg.value),
        "SCMP_CMP_MASKED_EQ" => (ScmpCompareOp::MaskedEqual(arg.value), arg.value_two),
        _ => (ScmpCompareOp::Equal, arg.value),
    };
    ScmpArgCompare::new(arg.index, op, datum)
}

fn action(name: &str, errno: Option<u32>) -> Result<ScmpAction, Failure> {
    let data = errno.unwrap_or(1);
    Ok(match name {
        "SCMP_ACT_KILL" | "SCMP_ACT_KILL_THREAD" => ScmpAction::KillThread,
        "SCMP_ACT_KILL_PROCESS" => ScmpAction::KillProcess,
        "SCMP_ACT_TRAP" => ScmpAction::Trap,
        "SCMP_ACT_ERRNO" => ScmpAction::Errno(i32::try_from(data)?),
        "SCMP_ACT_TRACE" => ScmpAction::Trace(u16::try_from(data)?),
        "SCMP_ACT_ALLOW" => ScmpAction::Allow,
        "SCMP_ACT_LOG" => ScmpAction::Log,
        "SCMP_ACT_NOTIFY" => ScmpAction::Notify,
        name => return Err(format!("unknown action {name}").into()),
    })
}

fn is_big_endian(arch: &str) -> bool {
    bpf::seccomp::Arch::parse(arch).is_some_and(bpf::seccomp::Arch::is_big_endian)
}

/// libseccomp writes programs in the byte order of the machine that they are for, except that
/// for another byte order than the host's some operands are left in the host's: what it puts
/// together last. There are no such programs but here.
fn instructions(bytes: &[u8], is_big_endian: bool) -> Vec<(u16, u8, u8, u32)> {
    let one = |c: &[u8]| match (c, is_big_endian) {
        (&[a, b, jt, jf, c, d, e, f], true) => {
            let (code, k) = (u16::from_be_bytes([a, b]), u32::from_be_bytes([c, d, e, f]));
            let is_sound = match code {
                RETURN => is_action(k),
                LOAD => k < 64,
                _ => true,
            };
            Some((code, jt, jf, if is_sound { k } else { k.swap_bytes() }))
        }
        (&[a, b, jt, jf, c, d, e, f], false) => {
            Some((u16::from_le_bytes([a, b]), jt, jf, u32::from_le_bytes([c, d, e, f])))
        }
        _ => None,
    };
    bytes.chunks_exact(8).filter_map(one).collect()
}

const LOAD: u16 = 0x20;
const RETURN: u16 = 0x06;

/// Whether that is something a filter may return.
fn is_action(k: u32) -> bool {
    let (action, data) = (k & 0xffff_0000, k & 0xffff);
    match action {
        0x0005_0000 | 0x7ff0_0000 => true,
        0 | 0x8000_0000 | 0x0003_0000 | 0x7fc0_0000 | 0x7ffc_0000 | 0x7fff_0000 => data == 0,
        _ => false,
    }
}

/// The child that answers, started again whenever it got stuck.
pub(crate) struct Oracle {
    child: Child,
    input: ChildStdin,
    lines: Receiver<String>,
}

impl Oracle {
    pub(crate) fn start() -> Result<Oracle, Failure> {
        let mut child = Command::new(std::env::current_exe()?)
            .arg("--oracle")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let input = child.stdin.take().ok_or("no input")?;
        let output = child.stdout.take().ok_or("no output")?;
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        Ok(Oracle { child, input, lines })
    }

    pub(crate) fn ask(&mut self, question: &Question<'_>) -> Result<Answer, Failure> {
        let mut line = serde_json::to_vec(question)?;
        line.push(b'\n');
        self.input.write_all(&line)?;
        match self.lines.recv_timeout(PATIENCE) {
            Ok(line) => Ok(serde_json::from_str(&line)?),
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                let next = Oracle::start()?;
                drop(std::mem::replace(self, next));
                Ok(Answer::Stuck)
            }
        }
    }
}

impl Drop for Oracle {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
