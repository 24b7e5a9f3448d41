//! Runs tests, several at a time, each in a process of its own.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::call;
use crate::layout;
use crate::leftover;
use crate::rootfs;
use crate::table::Test;
use crate::verdict::Verdict;

/// How long a test may take in all; each call of the runtime has its own, shorter bound.
const BOUND: Duration = Duration::from_secs(90);

/// How often a long run says how far it is.
const NEWS: Duration = Duration::from_secs(60);

/// How long things may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scale {
    /// The runtime does nothing: what it should do need not be waited for.
    pub null: bool,
    /// What every bound is multiplied by.
    pub patience: u32,
    /// How often a race is run.
    pub rounds: u32,
}

/// What one test came to on one runtime.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It held.
    Ok,
    /// It did not, for this reason.
    Fail(String),
    /// The machine can't show it, for this reason.
    Skip(String),
}

/// One runtime's outcomes, in the order of the tests.
pub(crate) struct Column {
    /// The runtime's name.
    pub name: String,
    /// Its outcomes.
    pub outcomes: Vec<Outcome>,
    /// How long each test took.
    pub times: Vec<Duration>,
    /// How long they took in all.
    pub took: Duration,
}

/// Runs all `tests` on all `runtimes`.
pub(crate) fn grade(
    runtimes: &[(String, PathBuf)],
    tests: &[(String, Test)],
    jobs: usize,
    scale: Scale,
) -> Verdict<Vec<Column>> {
    let scratch = std::env::temp_dir().join(format!("conformance-{}", std::process::id()));
    fs::create_dir(&scratch)?;
    let mut columns = Vec::new();
    let result = rootfs::prepare(&scratch.join("busybox"));
    if result.is_ok() {
        for (number, (name, runtime)) in runtimes.iter().enumerate() {
            let begun = Instant::now();
            let prefix = format!("cf{}{}", std::process::id(), letter(number));
            let results = all(tests, runtime, &scratch, &prefix, jobs.max(1), scale);
            let (outcomes, times) = results.into_iter().unzip();
            columns.push(Column { name: name.clone(), outcomes, times, took: begun.elapsed() });
        }
    }
    let _ = fs::remove_dir_all(&scratch);
    result.map(|()| columns)
}

fn letter(number: usize) -> char {
    char::from_digit(u32::try_from(number % 26).unwrap_or(0) + 10, 36).unwrap_or('z')
}

fn all(
    tests: &[(String, Test)],
    runtime: &Path,
    scratch: &Path,
    prefix: &str,
    jobs: usize,
    scale: Scale,
) -> Vec<(Outcome, Duration)> {
    let next = Mutex::new(0..tests.len());
    let said = Mutex::new(Instant::now());
    let outcomes = Mutex::new(vec![(Outcome::Skip("not run".into()), Duration::ZERO); tests.len()]);
    std::thread::scope(|scope| {
        for _ in 0..jobs {
            scope.spawn(|| {
                while let Some(index) = next.lock().ok().and_then(|mut next| next.next()) {
                    let tag = format!("{prefix}{index}x");
                    let begun = Instant::now();
                    if is_time(&said) {
                        eprintln!("test {index} of {}: {}", tests.len(), tests[index].0);
                    }
                    let outcome = one(&tests[index].0, runtime, &scratch.join(&tag), &tag, scale);
                    if let (Outcome::Fail(why), false) = (&outcome, scale.null) {
                        // At once: on a slow machine the table is long in coming.
                        eprintln!("{}: {}", tests[index].0, why.lines().next().unwrap_or_default());
                    }
                    if let Ok(mut outcomes) = outcomes.lock() {
                        outcomes[index] = (outcome, begun.elapsed());
                    }
                }
            });
        }
    });
    outcomes.into_inner().unwrap_or_default()
}

/// Whether news are due; if so, it is the caller who tells them.
fn is_time(said: &Mutex<Instant>) -> bool {
    let Ok(mut said) = said.lock() else { return false };
    let due = said.elapsed() > NEWS;
    if due {
        *said = Instant::now();
    }
    due
}

/// Runs one test; whatever becomes of its process, what it started is ended.
fn one(name: &str, runtime: &Path, scratch: &Path, tag: &str, scale: Scale) -> Outcome {
    let outcome = process(name, runtime, scratch, tag, scale)
        .unwrap_or_else(|why| Outcome::Fail(format!("the test's process: {why}")));
    for point in leftover::mounts(scratch) {
        let _ = nix::mount::umount2(point.as_str(), nix::mount::MntFlags::MNT_DETACH);
    }
    let _ = fs::remove_dir_all(scratch);
    outcome
}

fn process(
    name: &str,
    runtime: &Path,
    scratch: &Path,
    tag: &str,
    scale: Scale,
) -> std::io::Result<Outcome> {
    let mut command = Command::new("/proc/self/exe");
    command.arg("--single").arg(name).arg(runtime).arg(scratch).arg(tag);
    command.arg("--patience").arg(scale.patience.to_string());
    command.arg("--rounds").arg(scale.rounds.to_string());
    if scale.null {
        command.arg("--null");
    }
    if layout::systemd() {
        command.arg("--systemd");
    }
    for word in call::through() {
        command.arg("--through").arg(word);
    }
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
    let (begun, bound) = (Instant::now(), BOUND * scale.patience);
    while child.try_wait()?.is_none() {
        if begun.elapsed() > bound {
            let started: BTreeSet<u32> = leftover::descendants(child.id()).into_iter().collect();
            child.kill()?;
            child.wait()?;
            for pid in started {
                leftover::end(pid);
            }
            leftover::clean(tag, scratch);
            return Ok(Outcome::Fail(format!("took more than {} s", bound.as_secs())));
        }
        std::thread::sleep(Duration::from_millis(4));
    }
    let out = child.wait_with_output()?;
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    let (word, why) = text.split_once('\n').unwrap_or((&text, ""));
    let why = why.trim().to_owned();
    Ok(match word {
        "ok" => Outcome::Ok,
        "skip" => Outcome::Skip(why),
        "FAIL" => Outcome::Fail(why),
        _ => Outcome::Fail(format!("the test's process ended early ({})", out.status)),
    })
}
