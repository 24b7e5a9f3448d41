//! The commands: a file for each group, a function for each. They turn what was typed into a request
//! for the engine, and its answer into what is printed.

mod check;
mod checkpoint;
mod events;
mod exec;
mod features;
mod inspect;
mod lifecycle;
mod plan;
mod spec;
mod trace;
mod update;

use std::io::Write;
use std::path::{Component, Path, PathBuf};
use std::str::FromStr;

use engine::{Details, Store};

use crate::args::Parsed;
use crate::complete;
use crate::help::program;
use crate::report::Log;
use crate::seal;

/// A command that failed: what is said, and the exit code.
#[derive(Debug)]
pub(crate) struct Failure {
    /// The sentence.
    pub(crate) sentence: String,
    /// The exit code.
    pub(crate) status: u8,
    /// What it is about, for programs that read the log.
    pub(crate) details: Details,
    /// Whether the container's process itself says it, after the word to start.
    pub(crate) late: bool,
}

/// The exit code of a process that could not be executed, as of runc's init.
const NOT_EXECUTED: u8 = 255;

impl From<engine::Error> for Failure {
    fn from(error: engine::Error) -> Self {
        let late = matches!(error, engine::Error::Late(_));
        let status = if late { NOT_EXECUTED } else { 1 };
        Failure { sentence: error.to_string(), status, late, details: error.details() }
    }
}

impl From<String> for Failure {
    fn from(sentence: String) -> Self {
        Failure { sentence, status: 1, late: false, details: Details::default() }
    }
}

/// The exit code of a command, or why it failed.
pub(crate) type Outcome = Result<u8, Failure>;

/// Runs what was typed.
pub(crate) fn run(parsed: &Parsed, log: &Log) -> Outcome {
    let name = parsed.command.name;
    log.about("operation", name);
    log.about("id", id(parsed));
    if matches!(name, "create" | "run" | "exec") {
        seal::ensure(parsed.flags.get("trace").is_some())
            .map_err(|error| format!("unable to protect this program's file: {error}"))?;
        // What the caller left open is the container's only if it was asked for.
        sys::close_from(3).map_err(|error| error.to_string())?;
    }
    let outcome = match name {
        "create" => lifecycle::create(parsed, log),
        "run" => lifecycle::run(parsed, log),
        "start" => lifecycle::start(parsed, log),
        "kill" => lifecycle::kill(parsed),
        "delete" => lifecycle::delete(parsed, log),
        "pause" => lifecycle::pause(parsed),
        "resume" => lifecycle::resume(parsed),
        "mounts" => lifecycle::mounts(parsed),
        "checkpoint" => checkpoint::checkpoint(parsed, log),
        "restore" => checkpoint::restore(parsed, log),
        "exec" => exec::exec(parsed, log),
        "state" => inspect::state(parsed, log),
        "list" => inspect::list(parsed, log),
        "ps" => inspect::ps(parsed),
        "spec" => spec::spec(parsed),
        "features" => features::features(),
        "update" => update::update(parsed, log),
        "completion" => completion(parsed),
        "events" => events::events(parsed),
        "check" => check::check(parsed),
        "plan" => plan::plan(parsed),
        "trace" => trace::trace(parsed),
        other => Err(format!("command {other:?} has no code").into()),
    };
    let outcome = outcome.inspect_err(|failure| {
        let Details { step, object, path, errno } = &failure.details;
        for (name, value) in [("step", step), ("object", object), ("path", path)] {
            log.about(name, value);
        }
        log.about("errno", &errno.map_or_else(String::new, |errno| format!("{errno:?}")));
    });
    outcome.map_err(|failure| match name {
        // As runc: these two say which of them it was.
        "create" | "run" if !failure.late => {
            let program = program();
            Failure {
                sentence: format!("{program} {name} failed: {}", failure.sentence),
                ..failure
            }
        }
        _ => failure,
    })
}

/// Where containers are kept: `--root`, or the user's own place.
fn store(parsed: &Parsed) -> Result<Store, Failure> {
    store_at(parsed.global.get("root"))
}

/// The containers below `root`; without one, in the user's own place.
pub(crate) fn store_at(root: Option<&str>) -> Result<Store, Failure> {
    if let Some(root) = root {
        let root = cleaned(root)?;
        if root == Path::new("/") {
            return Err("Option --root argument should not be set to /".to_owned().into());
        }
        return Ok(Store::new(root));
    }
    let own = std::env::var_os("XDG_RUNTIME_DIR").filter(|dir| !dir.is_empty());
    Ok(match own {
        Some(dir) if !is_machines_root() => Store::of_user(PathBuf::from(dir).join("tare")),
        _ => Store::new("/run/tare"),
    })
}

/// The path from the root, without `.` and `..`. As in runc links are not looked at.
fn cleaned(path: &str) -> Result<PathBuf, Failure> {
    let absolute = match path.starts_with('/') {
        true => PathBuf::from(path),
        false => {
            let here = nix::unistd::getcwd().map_err(|errno| format!("getcwd: {errno}"))?;
            here.join(path)
        }
    };
    let mut clean = PathBuf::new();
    for component in absolute.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => drop(clean.pop()),
            other => clean.push(other),
        }
    }
    Ok(clean)
}

/// Whether /run is this user's to use. Root of a user namespace is somebody else outside, unless it
/// says that it is root there as well (as under Docker's userns-remap).
fn is_machines_root() -> bool {
    nix::unistd::geteuid().is_root()
        && (!engine::is_rootless() || std::env::var_os("USER").is_some_and(|user| user == "root"))
}

/// The container's id, at the place that the table has for it; empty for a command about none.
fn id(parsed: &Parsed) -> &str {
    let mut names = parsed.command.positionals.split(' ');
    let id = names.position(|name| name == "ID").and_then(|place| parsed.positionals.get(place));
    id.map_or("", String::as_str)
}

/// `completion`.
fn completion(parsed: &Parsed) -> Outcome {
    let shell = parsed.positionals.first().map_or("", String::as_str);
    let script = complete::script(shell)
        .ok_or_else(|| format!("unknown shell {shell:?}: must be bash, zsh or fish"))?;
    print(script.as_bytes())?;
    Ok(0)
}

/// Prints what a command answers.
fn print(bytes: &[u8]) -> Result<(), Failure> {
    let mut out = std::io::stdout();
    out.write_all(bytes)
        .and_then(|()| out.flush())
        .map_err(|error| format!("standard output: {error}").into())
}

/// A flag's value as a number.
fn number<N: FromStr>(parsed: &Parsed, flag: &str) -> Result<Option<N>, Failure> {
    let Some(value) = parsed.flags.get(flag) else { return Ok(None) };
    let wrong = |_| format!("invalid value {value:?} for --{flag}: not a number");
    Ok(Some(value.parse().map_err(wrong)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_container_a_command_is_about() {
        for (line, about) in [
            ("state web", "web"),
            ("run web -- sh", "web"),
            ("kill web TERM", "web"),
            ("exec web ls -l", "web"),
            ("mounts add web mounts.json", "web"),
            ("mounts remove web mounts.json", "web"),
            ("list", ""),
            ("check web", ""),
            ("plan web", ""),
            ("trace web", ""),
            ("completion bash", ""),
        ] {
            let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
            assert_eq!(id(&crate::args::parse(&words).1.unwrap()), about, "{line}");
        }
    }
}
