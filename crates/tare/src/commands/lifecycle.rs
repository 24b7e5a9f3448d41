//! The life of a container: create, run, start, kill, delete, pause, resume.

use std::fs::File;
use std::io::IsTerminal;
use std::path::Path;

use engine::{Bundle, Cgroups, CreateRequest, Passed, Store, TraceRequest};

use super::{Failure, Outcome, id, number, store};
use crate::args::Parsed;
use crate::default_spec;
use crate::report::{Log, lower};
use crate::seal::STARTED;

/// `create`.
pub(crate) fn create(parsed: &Parsed, log: &Log) -> Outcome {
    with_request(parsed, log, &bundle(parsed)?, true, |request| {
        engine::create(&request).map(|()| 0)
    })
}

/// `run`.
pub(crate) fn run(parsed: &Parsed, log: &Log) -> Outcome {
    let bundle = match parsed.flags.get("rootfs") {
        Some(rootfs) => default_bundle(parsed, rootfs)?,
        None if parsed.positionals.len() > 1 => {
            let extra = &parsed.positionals[1..];
            return Err(format!("{extra:?}: a command is only taken with --rootfs").into());
        }
        None => bundle(parsed)?,
    };
    let (detach, keep) = (parsed.flags.on("detach"), parsed.flags.on("keep"));
    with_request(parsed, log, &bundle, detach, |request| engine::run(&request, keep))
}

pub(super) fn bundle(parsed: &Parsed) -> Result<Bundle, Failure> {
    let directory = Path::new(parsed.flags.get("bundle").unwrap_or("."));
    let config = parsed.flags.get("config").map(Path::new);
    Ok(Bundle::open(directory, config)?)
}

fn default_bundle(parsed: &Parsed, rootfs: &str) -> Result<Bundle, Failure> {
    let command = parsed.positionals.get(1..).unwrap_or_default();
    // A shell wants a terminal; a command gets the streams as they are.
    let terminal = command.is_empty()
        && !parsed.flags.on("detach")
        && std::io::stdin().is_terminal()
        && std::io::stdout().is_terminal();
    // The plan refuses links as roots: what the newcomer typed may well be one.
    let real = std::fs::canonicalize(rootfs)
        .map_err(|error| format!("--rootfs {rootfs:?}: {}", lower(&error)))?;
    let config = default_spec::for_rootfs(&real.to_string_lossy(), command, terminal);
    Ok(Bundle::of(Path::new("."), config.to_string().into_bytes())?)
}

fn wanted_trace(path: &str) -> Result<TraceRequest, Failure> {
    let file =
        File::create(path).map_err(|error| format!("--trace {path:?}: {}", lower(&error)))?;
    let started = std::env::var(STARTED).ok().and_then(|time| time.parse().ok());
    Ok(TraceRequest { file, started })
}

pub(super) fn with_request(
    parsed: &Parsed,
    log: &Log,
    bundle: &Bundle,
    detach: bool,
    act: impl FnOnce(CreateRequest<'_>) -> engine::Result<i32>,
) -> Outcome {
    // First of all: what can't be written should be known before there is a container.
    let trace = parsed.flags.get("trace").map(wanted_trace).transpose()?;
    let status = act(CreateRequest {
        store: &store(parsed)?,
        id: id(parsed),
        bundle,
        console_socket: parsed.flags.get("console-socket").map(Path::new),
        pidfd_socket: parsed.flags.get("pidfd-socket").map(Path::new),
        pid_file: parsed.flags.get("pid-file").map(Path::new),
        no_pivot: parsed.flags.on("no-pivot"),
        keep_keyring: parsed.flags.on("no-new-keyring"),
        passed: &Passed::new(number(parsed, "preserve-fds")?.unwrap_or(0))?,
        detach,
        cgroups: cgroups(parsed)?,
        trace: trace.as_ref(),
        rootless_cgroups: match parsed.global.get("rootless") {
            Some("true") => Some(true),
            Some("false") => Some(false),
            _ => None,
        },
        warn: &|sentence| log.warn(sentence),
    })?;
    Ok(status as u8)
}

/// Who makes the cgroup. As in crun the longer option wins.
pub(super) fn cgroups(parsed: &Parsed) -> Result<Cgroups, Failure> {
    match parsed.global.get("cgroup-manager") {
        Some("systemd") => Ok(Cgroups::Systemd),
        Some("cgroupfs") => Ok(Cgroups::Files),
        Some("disabled") => Ok(Cgroups::Disabled),
        Some(other) => Err(format!("unknown cgroup manager specified: {other:?}").into()),
        None if parsed.global.on("systemd-cgroup") => Ok(Cgroups::Systemd),
        None => Ok(Cgroups::Files),
    }
}

/// `start`.
pub(crate) fn start(parsed: &Parsed, log: &Log) -> Outcome {
    engine::start(&store(parsed)?, id(parsed), &|sentence| log.warn(sentence))?;
    Ok(0)
}

/// `kill`.
pub(crate) fn kill(parsed: &Parsed) -> Outcome {
    let name = parsed.positionals.get(1).map(String::as_str).filter(|name| !name.is_empty());
    let name = name.unwrap_or("SIGTERM");
    let signal = plan::names::signal(name).ok_or_else(|| format!("unknown signal {name:?}"))?;
    let all = parsed.flags.on("all");
    each(parsed, |store, id| engine::kill(store, id, signal, all))
}

/// `delete`.
pub(crate) fn delete(parsed: &Parsed, log: &Log) -> Outcome {
    let force = parsed.flags.on("force");
    each(parsed, |store, id| engine::delete(store, id, force, &|sentence| log.warn(sentence)))
}

/// Does it to the container that was named, or with `--regex` to all whose id matches, also behind
/// one where it fails.
fn each(parsed: &Parsed, act: impl Fn(&Store, &str) -> engine::Result<()>) -> Outcome {
    let (store, id) = (store(parsed)?, id(parsed));
    if !parsed.flags.on("regex") {
        act(&store, id)?;
        return Ok(0);
    }
    let pattern =
        sys::Regex::new(id).map_err(|why| format!("invalid regular expression {id:?}: {why}"))?;
    let ids = store.ids()?;
    let failed: Vec<String> = ids
        .iter()
        .filter(|id| pattern.is_match(id))
        .filter_map(|id| act(&store, id).err().map(|error| format!("{id}: {error}")))
        .collect();
    if failed.is_empty() { Ok(0) } else { Err(failed.join("; ").into()) }
}

/// `mounts`.
pub(crate) fn mounts(parsed: &Parsed) -> Outcome {
    let [what, id, file] = parsed.positionals.as_slice() else {
        return Err("mounts add|remove ID FILE".to_owned().into());
    };
    let change = match what.as_str() {
        "add" => engine::add_mounts,
        "remove" => engine::remove_mounts,
        other => return Err(format!("mounts {other:?}: only add and remove are known").into()),
    };
    change(&store(parsed)?, id, file, &engine::read(Path::new(file))?)?;
    Ok(0)
}

/// `pause`.
pub(crate) fn pause(parsed: &Parsed) -> Outcome {
    engine::pause(&store(parsed)?, id(parsed))?;
    Ok(0)
}

/// `resume`.
pub(crate) fn resume(parsed: &Parsed) -> Outcome {
    engine::resume(&store(parsed)?, id(parsed))?;
    Ok(0)
}
