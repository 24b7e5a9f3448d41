//! What does not drift: system calls, instructions, page faults, memory, bytes.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::Result;
use crate::bundle::{Kind, Room, pid};
use crate::cost::{self, quantile};
use crate::options::Options;
use crate::runtime::{Instance, spawn};

/// Calls that the payload makes where a call's cost is measured: as many reads as writes.
const CALLS: u64 = 200_000;
/// Committed counts may be exceeded by a part in so many.
const TOLERANCE: u64 = 50;

/// A row: what it is, its unit, and a value for each runtime (`None`: it can't).
pub(crate) struct Count {
    /// Stable: committed figures are found by it.
    pub(crate) name: String,
    /// What is counted.
    pub(crate) unit: &'static str,
    /// By runtime.
    pub(crate) values: Vec<Option<u64>>,
}

impl Count {
    /// What ours is to be at most, where that is laid down: a number, or a part of the first peer's.
    pub(crate) fn most(&self) -> Option<u64> {
        let peer = self.values.get(1).copied().flatten();
        match (self.name.as_str(), self.unit) {
            ("run", "system calls") if hierarchies() == 1 => Some(220),
            ("run", "system calls") => Some(430),
            ("binary", _) => Some(1_500_000),
            ("smallest memory limit", _) => peer,
            (_, "KiB resident") => peer.map(|peer| peer / 3),
            _ => None,
        }
    }
}

/// A command on the container `id` that lives, without flags that change what it costs.
type Words = fn(&Room<'_>, &str) -> Vec<String>;

const COMMANDS: [(&str, Words); 4] = [
    ("state", |_, id| strings(&["state", id])),
    ("kill", |_, id| strings(&["kill", id, "CONT"])),
    ("list", |_, _| strings(&["list"])),
    ("exec", |room, id| strings(&["exec", "--process", &room.path("process.json"), id])),
];

fn strings(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

/// All counts.
pub(crate) fn all(room: &Room<'_>, options: &Options) -> Result<Vec<Count>> {
    eprintln!("bench: counts");
    let mut counts = exact(room)?;
    if let Some(bare) = &options.bare {
        counts.extend(memory(room, bare)?);
    }
    counts.push(each(room, "smallest memory limit", "KiB", smallest_limit)?);
    counts.push(each(room, "a call, more under Docker's profile", "ns", call_cost)?);
    counts.push(each(room, "binary", "bytes", |_, instance| {
        let path = &instance.runtime.path;
        fs::metadata(path).map(|f| Some(f.len())).map_err(|e| format!("{}: {e}", path.display()))
    })?);
    Ok(counts)
}

/// System calls and instructions: the same in every run.
fn exact(room: &Room<'_>) -> Result<Vec<Count>> {
    let run = |room: &Room<'_>, instance: &Instance<'_>| {
        let words = instance.words(&["run", "--bundle", &room.path("true"), &instance.id()]);
        traced(room, &words).map(Some)
    };
    let mut counts = vec![each(room, "run", "system calls", run)?];
    for instance in &room.instances {
        instance.call(&["run", "--detach", "--bundle", &room.path("sleep"), &instance.id()])?;
    }
    let counted = commands(room, &mut counts);
    for instance in &room.instances {
        instance.try_call(&["delete", "--force", &instance.id()]);
    }
    counted.map(|()| counts)
}

fn commands(room: &Room<'_>, counts: &mut Vec<Count>) -> Result<()> {
    for (name, words) in COMMANDS {
        let words = |room: &Room<'_>, instance: &Instance<'_>| {
            let words = words(room, &instance.id());
            instance.words(&words.iter().map(String::as_str).collect::<Vec<_>>())
        };
        let calls = |room: &Room<'_>, instance: &Instance<'_>| {
            traced(room, &words(room, instance)).map(Some)
        };
        counts.push(each(room, name, "system calls", calls)?);
        // What clones with namespaces is beyond callgrind.
        if name != "exec" {
            let run = |room: &Room<'_>, i: &Instance<'_>| Ok(instructions(&words(room, i)));
            counts.push(each(room, name, "instructions", run)?);
        }
    }
    Ok(())
}

fn each(
    room: &Room<'_>,
    name: &str,
    unit: &'static str,
    count: impl Fn(&Room<'_>, &Instance<'_>) -> Result<Option<u64>>,
) -> Result<Count> {
    let values = room.instances.iter().map(|instance| count(room, instance));
    Ok(Count { name: name.to_owned(), unit, values: values.collect::<Result<_>>()? })
}

/// The system calls of a command and of all that it makes, counted by strace.
fn traced(room: &Room<'_>, words: &[String]) -> Result<u64> {
    let file = room.path("strace");
    let strace = strings(&["strace", "--follow-forks", "--summary-only", "--output", &file]);
    let status = spawn(&[strace.as_slice(), words].concat())?.wait().map_err(|e| e.to_string())?;
    let text = fs::read_to_string(&file).map_err(|error| format!("{file}: {error}"))?;
    let last = text.lines().rev().find(|line| line.ends_with(" total")).unwrap_or_default();
    let calls = last.split_ascii_whitespace().nth(3).and_then(|word| word.parse().ok());
    match (status.success(), calls) {
        (true, Some(calls)) => Ok(calls),
        _ => Err(format!("strace {words:?}: {status}, {last:?}")),
    }
}

/// The instructions of a command, counted by callgrind; nothing where that can't run it.
fn instructions(words: &[String]) -> Option<u64> {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .args(words)
        .stdin(Stdio::null())
        .output()
        .ok()?;
    let text = String::from_utf8_lossy(&output.stderr);
    let count = text.lines().find_map(|line| line.split("Collected : ").nth(1))?;
    output.status.success().then(|| count.trim().parse().ok()).flatten()
}

/// Peak memory and page faults of every command, and what a created container holds.
fn memory(room: &Room<'_>, bare: &Path) -> Result<Vec<Count>> {
    let mut peaks: BTreeMap<&str, Vec<Option<u64>>> = BTreeMap::new();
    let mut faults: BTreeMap<&str, Vec<Option<u64>>> = BTreeMap::new();
    for instance in &room.instances {
        let (id, file) = (instance.id(), room.path("memory.pid"));
        let (bundle, process) = (room.path("sleep"), room.path("process.json"));
        let probe = room.path("probe.pid");
        let life: [(&str, Vec<&str>); 5] = [
            ("create", vec!["create", "--bundle", &bundle, "--pid-file", &file, &id]),
            ("start", vec!["start", &id]),
            ("state", vec!["state", &id]),
            ("exec", vec!["exec", "--detach", "--pid-file", &probe, "--process", &process, &id]),
            ("delete", vec!["delete", "--force", &id]),
        ];
        for (name, words) in life {
            let (peak, fault) = took(room, bare, &instance.words(&words))?;
            peaks.entry(name).or_default().push(Some(peak));
            faults.entry(name).or_default().push(Some(fault));
            if name == "exec" {
                // A dead process that nobody reaps would hold its pid namespace's init up.
                cost::wait_for(pid(Path::new(&probe))?)?;
            }
            if name == "create" {
                let init = pid(Path::new(&file))?;
                peaks.entry("created init").or_default().push(status(init, "VmHWM"));
                // Pages of the program's file are there once for all containers.
                peaks
                    .entry("created init, without files")
                    .or_default()
                    .push(status(init, "RssAnon"));
            }
        }
        cost::reap();
    }
    let rows = |unit| {
        move |(name, values): (&str, Vec<Option<u64>>)| Count {
            name: name.to_owned(),
            unit,
            values,
        }
    };
    let peaks = peaks.into_iter().map(rows("KiB resident"));
    Ok(peaks.chain(faults.into_iter().map(rows("page faults"))).collect())
}

/// Peak resident KiB and page faults of a command: as told by a parent that itself is small, since a
/// process inherits the peak of what it was before execve(2).
fn took(room: &Room<'_>, bare: &Path, words: &[String]) -> Result<(u64, u64)> {
    let file = room.path("took");
    let door = [bare.display().to_string(), "--took".to_owned(), file.clone()];
    let status = spawn(&[door.as_slice(), words].concat())?.wait().map_err(|e| e.to_string())?;
    let text = fs::read_to_string(&file).map_err(|error| format!("{file}: {error}"))?;
    let mut numbers = text.split_ascii_whitespace().map(str::parse);
    match (status.success(), numbers.next(), numbers.next()) {
        (true, Some(Ok(peak)), Some(Ok(faults))) => Ok((peak, faults)),
        _ => Err(format!("{words:?}: {status}, {text:?}")),
    }
}

/// An amount of memory in a process's status, in KiB (proc_pid_status(5)).
fn status(pid: i32, name: &str) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    line.trim().strip_suffix(" kB")?.trim().parse().ok()
}

/// The smallest memory limit with which /bin/true runs: the median of three searches, since the kernel charges
/// in advance, on each CPU.
fn smallest_limit(room: &Room<'_>, instance: &Instance<'_>) -> Result<Option<u64>> {
    let searches = (0..3).map(|_| search_limit(room, instance)).collect::<Result<Option<Vec<_>>>>();
    Ok(searches?.map(|mut limits| {
        limits.sort_unstable();
        limits[1]
    }))
}

/// A limit with which it runs, while it doesn't with 32 KiB less; none if 64 MiB are not enough.
fn search_limit(room: &Room<'_>, instance: &Instance<'_>) -> Result<Option<u64>> {
    const STEP: u64 = 32;
    let runs = |steps: u64| -> Result<bool> {
        let limit = Some(steps * STEP * 1024);
        let bundle = room.bundle("limited", Kind::Plain, &["/bin/true"], limit)?;
        let words = instance.words(&["run", "--bundle", &bundle, &instance.id()]);
        let output = Command::new(&instance.runtime.path).args(words.iter().skip(1)).output();
        let ran = output.map_err(|error| error.to_string())?.status.success();
        if !ran {
            instance.try_call(&["delete", "--force", &instance.id()]);
            cost::reap();
        }
        Ok(ran)
    };
    let (mut fails, mut works) = (0, 64 * 1024 / STEP);
    if !runs(works)? {
        return Ok(None);
    }
    while works - fails > 1 {
        let middle = (works + fails) / 2;
        if runs(middle)? { works = middle } else { fails = middle }
    }
    Ok(Some(works * STEP))
}

/// What one system call costs more under the profile, in nanoseconds.
fn call_cost(room: &Room<'_>, instance: &Instance<'_>) -> Result<Option<u64>> {
    let count = format!("count={CALLS}");
    let dd = ["dd", "if=/dev/zero", "of=/dev/null", "bs=1", &count];
    let free = room.bundle("calls-free", Kind::Plain, &dd, None)?;
    let filtered = room.bundle("calls-filtered", Kind::Engine, &dd, None)?;
    let mut differences = Vec::new();
    for _ in 0..5 {
        let run = |bundle: &str| {
            let words = instance.words(&["run", "--bundle", bundle, &instance.id()]);
            let once = || {
                // dd's own account goes to standard error.
                let output = Command::new(&instance.runtime.path)
                    .args(words.iter().skip(1))
                    .output()
                    .map_err(|error| error.to_string())?;
                match output.status.success() {
                    true => Ok(()),
                    false => Err(format!(
                        "{words:?}: {}, {}",
                        output.status,
                        String::from_utf8_lossy(&output.stderr).trim()
                    )),
                }
            };
            cost::of(once).map(|cost| cost.cpu as f64)
        };
        differences.push(run(&filtered)? - run(&free)?);
    }
    let median = quantile(differences, 0.5).max(0.0);
    Ok(Some((median / (2 * CALLS) as f64).round() as u64))
}

/// Compares the exact counts with committed ones, in `file`, for a machine of this kind; true if none
/// is above. For another kind of machine there is nothing to compare with, and the counts are printed.
pub(crate) fn check(room: &Room<'_>, file: &Path) -> Result<bool> {
    let text = fs::read_to_string(file).map_err(|e| format!("{}: {e}", file.display()))?;
    let committed: Value =
        serde_json::from_str(&text).map_err(|e| format!("{}: {e}", file.display()))?;
    let machine = machine();
    let mut above = 0;
    for count in exact(room)? {
        let key = format!("{}, {}", count.name, count.unit);
        let Some(now) = count.values.first().copied().flatten() else { continue };
        match committed["committed"][&machine][&key].as_u64() {
            Some(most) if now > most + most / TOLERANCE => {
                above += 1;
                println!("{key}: {now}, committed are {most}");
            }
            Some(most) => println!("{key}: {now} (committed: {most})"),
            None => println!("{key}: {now} (none committed for {machine:?})"),
        }
    }
    Ok(above == 0)
}

/// The committed figures of this machine, as a file has them.
pub(crate) fn committed(counts: &[Count]) -> Value {
    let exact = counts.iter().filter(|c| matches!(c.unit, "system calls" | "instructions"));
    let values = exact.filter_map(|count| {
        let ours = count.values.first().copied().flatten()?;
        Some((format!("{}, {}", count.name, count.unit), json!(ours)))
    });
    json!({machine(): Value::Object(values.collect())})
}

/// What counts depend on: the cgroup hierarchies, the processor's kind.
fn machine() -> String {
    format!("{}, {} cgroup hierarchies", std::env::consts::ARCH, hierarchies())
}

/// How many cgroup hierarchies there are; one, if v2 is alone.
pub(crate) fn hierarchies() -> usize {
    fs::read_to_string("/proc/self/cgroup").unwrap_or_default().lines().count()
}
