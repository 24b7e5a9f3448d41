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
            return Err("process args cannot be empty".to_owned().into());
        }
        None => None,
    };
    let cgroups: Vec<(&str, &str)> =
        parsed.flags.all("cgroup").flat_map(controllers_and_path).collect();
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
        passed: &Passed::new(number(parsed, "preserve-fds")?)?,
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
        no_new_privileges: flags.on("no-new-privs"),
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

/// `[CONTROLLER,...:]PATH`: no controller is cgroup v2.
fn controllers_and_path(text: &str) -> impl Iterator<Item = (&str, &str)> {
    let (controllers, path) = match text.split_once(':') {
        Some((controllers, path)) if !controllers.contains('/') => (controllers, path),
        _ => ("", text),
    };
    controllers.split(',').map(move |controller| (controller, path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_of_one_hierarchy_or_of_several() {
        let of = |text| controllers_and_path(text).collect::<Vec<_>>();
        assert_eq!(of("/sub"), [("", "/sub")]);
        assert_eq!(of("cpu,cpuacct:sub"), [("cpu", "sub"), ("cpuacct", "sub")]);
        assert_eq!(of("/a:b"), [("", "/a:b")]);
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
