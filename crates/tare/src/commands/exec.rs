//! `exec`.

use std::path::Path;

use engine::{Changes, ExecRequest, Passed, Program};

use super::{Failure, Outcome, id, number, store};
use crate::args::Parsed;
use crate::report::Log;

/// runc's exit code when the process could not be set up; the process's own are below it.
const SETUP_FAILED: u8 = 255;

/// `exec`.
pub(crate) fn exec(parsed: &Parsed, log: &Log) -> Outcome {
    run(parsed, log).map_err(|failure| Failure {
        sentence: format!("exec failed: {}", failure.sentence),
        status: SETUP_FAILED,
        ..failure
    })
}

fn run(parsed: &Parsed, log: &Log) -> Outcome {
    let changes = changes(parsed)?;
    let file = match parsed.flags.get("process") {
        Some(path) => Some((path, engine::read(Path::new(path))?)),
        None if changes.args.is_empty() => {
            return Err("exec args cannot be empty".to_owned().into());
        }
        None => None,
    };
    let cgroups = cgroups(parsed.flags.all("cgroup").collect())?;
    let status = engine::exec(&ExecRequest {
        store: &store(parsed)?,
        id: id(parsed),
        process: match &file {
            Some((path, bytes)) => Program::File(path, bytes),
            None => Program::Changed(&changes),
        },
        console_socket: parsed.flags.get("console-socket").map(Path::new),
        pidfd_socket: parsed.flags.get("pidfd-socket").map(Path::new),
        pid_file: parsed.flags.get("pid-file").map(Path::new),
        detach: parsed.flags.on("detach"),
        ignore_paused: parsed.flags.on("ignore-paused"),
        cgroups: &cgroups,
        passed: &Passed::new(number(parsed, "preserve-fds")?.unwrap_or(0))?,
        warn: &|sentence| log.warn(sentence),
    })?;
    Ok(status as u8)
}

fn changes(parsed: &Parsed) -> Result<Changes<'_>, Failure> {
    let flags = &parsed.flags;
    let mut additional_gids = Vec::new();
    for gid in flags.all("additional-gids") {
        additional_gids.push(user_id(gid).ok_or_else(|| format!("invalid group {gid:?}"))?);
    }
    Ok(Changes {
        args: parsed.positionals.iter().skip(1).map(String::as_str).collect(),
        cwd: flags.get("cwd"),
        env: flags.all("env").collect(),
        tty: flags.on("tty"),
        user: flags.get("user").map(user).transpose()?,
        additional_gids,
        capabilities: flags.all("cap").collect(),
        no_new_privileges: flags.get("no-new-privs").map(|value| value == "true"),
        apparmor: flags.get("apparmor"),
        label: flags.get("process-label"),
    })
}

/// `UID[:GID]`: numbers, and nothing else (crun once took `1` for root: CVE-2026-30892).
fn user(text: &str) -> Result<(u32, Option<u32>), String> {
    let invalid = || format!("invalid user {text:?}: must be UID or UID:GID in numbers");
    match text.split_once(':') {
        None => Ok((user_id(text).ok_or_else(invalid)?, None)),
        Some((uid, gid)) => {
            Ok((user_id(uid).ok_or_else(invalid)?, Some(user_id(gid).ok_or_else(invalid)?)))
        }
    }
}

/// Digits only; the highest number is no id (it means "unchanged" to chown(2) and its like).
fn user_id(text: &str) -> Option<u32> {
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    text.parse().ok().filter(|id| *id != u32::MAX)
}

/// `PATH` alone is below every hierarchy; else `CONTROLLER[,CONTROLLER]:PATH` as often as needed.
fn cgroups(typed: Vec<&str>) -> Result<Vec<(&str, &str)>, String> {
    let mut all: Vec<(&str, &str)> = Vec::new();
    for text in &typed {
        let Some((controllers, path)) = text.split_once(':') else {
            if typed.len() > 1 {
                return Err(format!(
                    "invalid --cgroup argument: {text} (missing <controller>: prefix)"
                ));
            }
            return Ok(vec![("", text)]);
        };
        for controller in controllers.split(',') {
            if controller.is_empty() {
                return Err(format!(
                    "invalid --cgroup argument: {text} (empty <controller> prefix)"
                ));
            }
            if all.iter().any(|(other, _)| *other == controller) {
                return Err(format!(
                    "invalid --cgroup argument(s): controller {controller} specified multiple times"
                ));
            }
            all.push((controller, path));
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cgroups_by_controller() {
        assert_eq!(cgroups(vec!["a:b"]), Ok(vec![("a", "b")]));
        assert_eq!(cgroups(vec!["/x"]), Ok(vec![("", "/x")]));
        let both = cgroups(vec!["cpu,cpuacct:/", "memory:m"]);
        assert_eq!(both, Ok(vec![("cpu", "/"), ("cpuacct", "/"), ("memory", "m")]));
        for wrong in [vec![":x"], vec!["cpu,:x"], vec!["cpu,cpu:x"], vec!["a", "b"]] {
            assert!(cgroups(wrong.clone()).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn users_are_numbers_and_nothing_else() {
        assert_eq!(user("1"), Ok((1, None)));
        assert_eq!(user("1:2"), Ok((1, Some(2))));
        for text in ["", ":", "1:", ":1", "abc", "-1", "+1", "1:2:3", "4294967295", "4294967296"] {
            assert!(user(text).is_err(), "{text}");
        }
    }
}
