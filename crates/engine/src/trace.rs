//! What takes how long: a timeline of the steps of `create` and `run`, in the runtime and in the
//! container's init, for `--trace`.
//!
//! When it is off, a step costs a look at a static. When it is on, both processes write into memory
//! that they share: the init, which may open no file and whose channel is for other things, says
//! nothing, and what it did before it died is there all the same. The runtime writes the file when
//! the container is there, or when it failed.
//!
//! Nothing is allocated while steps are noted, so that it can be done behind a filter, too. Times are
//! those of the clock that no time namespace shifts (`CLOCK_REALTIME`).

use std::fs::File;
use std::io::Write;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use nix::time::{ClockId, clock_gettime};
use serde_json::{Value, json};

use crate::error::{Error, Result};

/// What a step is, for the colour in which it is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Kind {
    /// Something is done.
    Work = 0,
    /// Another process is waited for.
    Wait = 1,
    /// A program of the user's runs.
    Hook = 2,
}

/// The process that does it, when it isn't the runtime.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Lane {
    /// Between the two, where a namespace decides about others.
    Stage = 1,
    /// The container's.
    Init = 2,
}

const LANES: [&str; 3] = ["runtime", "stage", "container init"];
const KINDS: [&str; 3] = ["work", "wait", "hook"];

/// The first word counts the steps.
static STEPS: OnceLock<&'static [AtomicU64]> = OnceLock::new();
/// This process's lane; each has its own copy.
static LANE: AtomicU64 = AtomicU64::new(0);

/// As many steps as there is room for.
const MOST: usize = 2048;
/// Begin, end, kind with lane and lengths, and the rest the name.
const WORDS: usize = 12;
const NAME_AT: usize = 3;
const LONGEST_NAME: usize = (WORDS - NAME_AT) * 8;

/// A step that is being done; it ends with this value.
#[must_use]
pub(crate) struct Step(Option<&'static [AtomicU64]>);

/// A step begins: its name, and what it is done to.
pub(crate) fn step(name: &str, object: &str) -> Step {
    match STEPS.get() {
        None => Step(None),
        Some(steps) => begin(steps, Kind::Work, name, object),
    }
}

/// Waiting for another process begins.
pub(crate) fn wait(name: &str) -> Step {
    match STEPS.get() {
        None => Step(None),
        Some(steps) => begin(steps, Kind::Wait, name, ""),
    }
}

/// A hook begins.
pub(crate) fn hook(name: &str, path: &str) -> Step {
    match STEPS.get() {
        None => Step(None),
        Some(steps) => begin(steps, Kind::Hook, name, path),
    }
}

/// Does something that is a step of its own.
pub(crate) fn during<T>(name: &str, act: impl FnOnce() -> T) -> T {
    let _step = step(name, "");
    act()
}

/// Waits for another process.
pub(crate) fn waiting<T>(name: &str, act: impl FnOnce() -> T) -> T {
    let _wait = wait(name);
    act()
}

/// Says which process this is.
pub(crate) fn in_lane(lane: Lane) {
    LANE.store(lane as u64, Ordering::Relaxed);
}

#[cold]
fn begin(steps: &'static [AtomicU64], kind: Kind, name: &str, object: &str) -> Step {
    let number = steps[0].fetch_add(1, Ordering::Relaxed) as usize;
    let Some(words) = steps.get(1 + number * WORDS..1 + (number + 1) * WORDS) else {
        return Step(None);
    };
    let blank = if object.is_empty() { "" } else { " " };
    let mut length = 0;
    for (n, byte) in [name, blank, object].into_iter().flat_map(str::bytes).enumerate() {
        if n == LONGEST_NAME {
            break;
        }
        let shifted = u64::from(byte) << (n % 8 * 8);
        words[NAME_AT + n / 8].fetch_or(shifted, Ordering::Relaxed);
        length = n as u64 + 1;
    }
    let about = kind as u64 | LANE.load(Ordering::Relaxed) << 8 | length << 16;
    words[2].store(about, Ordering::Relaxed);
    // Last, as the sign that the rest is there.
    words[0].store(now(), Ordering::Release);
    Step(Some(words))
}

impl Drop for Step {
    fn drop(&mut self) {
        if let Some(words) = self.0 {
            // A step during which a process was cloned ends in both: the first end is the one.
            let _ = words[1].compare_exchange(0, now(), Ordering::Release, Ordering::Relaxed);
        }
    }
}

/// The time of a timeline, in nanoseconds.
pub fn now() -> u64 {
    clock_gettime(ClockId::CLOCK_REALTIME)
        .map_or(0, |time| time.tv_sec() as u64 * 1_000_000_000 + time.tv_nsec() as u64)
}

/// A timeline that is wanted.
#[derive(Debug)]
pub struct Request {
    /// Where it is written.
    pub file: File,
    /// When the program was started, if that is known: it starts itself anew from a protected file,
    /// which counts, too. See [`now`].
    pub started: Option<u64>,
}

/// Begins a timeline: from here on steps are noted.
pub(crate) fn start(started: Option<u64>) -> Result<()> {
    let steps = sys::shared_words(1 + MOST * WORDS)?;
    if let Some(started) = started {
        let step = begin(steps, Kind::Work, "start anew, from a protected file", "");
        step.0.iter().for_each(|words| words[0].store(started, Ordering::Release));
    }
    // A second one in this process would be the first.
    let _ = STEPS.set(steps);
    Ok(())
}

/// Writes what was noted to `file`, in the format of Chrome's traces (docs/inspecting.md).
pub(crate) fn write(mut file: &File, title: &str) -> Result<()> {
    let Some(steps) = STEPS.get() else { return Ok(()) };
    let text = document(steps, now(), title).to_string();
    file.write_all(text.as_bytes())
        .map_err(|error| Error::Usage(format!("trace {title}: write: {error}")))
}

fn document(steps: &[AtomicU64], end: u64, title: &str) -> Value {
    let noted = steps[0].load(Ordering::Relaxed) as usize;
    let all = steps[1..].chunks_exact(WORDS).take(noted);
    let read: Vec<[u64; WORDS]> = all
        .map(|words| std::array::from_fn(|n| words[n].load(Ordering::Acquire)))
        .filter(|words: &[u64; WORDS]| words[0] != 0)
        .collect();
    let first = read.iter().map(|words| words[0]).min().unwrap_or(0);
    let mut events: Vec<Value> = LANES
        .iter()
        .enumerate()
        .filter(|(lane, _)| read.iter().any(|words| words[2] >> 8 & 0xff == *lane as u64))
        .map(|(lane, name)| {
            json!({
                "name": "process_name", "ph": "M", "pid": lane + 1, "tid": lane + 1,
                "args": { "name": name },
            })
        })
        .collect();
    let micros = |nanos: u64| nanos as f64 / 1000.0;
    for words in &read {
        let [began, ended, about, ..] = *words;
        let lane = about >> 8 & 0xff;
        let bytes: Vec<u8> = words[NAME_AT..].iter().flat_map(|word| word.to_le_bytes()).collect();
        let name = bytes.get(..(about >> 16) as usize).unwrap_or_default();
        let until = if ended == 0 { end } else { ended };
        let mut event = json!({
            "name": String::from_utf8_lossy(name),
            "cat": KINDS.get((about & 0xff) as usize).unwrap_or(&"work"),
            "ph": "X",
            "ts": micros(began - first),
            "dur": micros(until.saturating_sub(began)),
            "pid": lane + 1,
            "tid": lane + 1,
        });
        if ended == 0 {
            // It became the user's program in the middle of it, or died.
            event["args"] = json!({ "unfinished": true });
        }
        events.push(event);
    }
    json!({
        "traceEvents": events,
        "displayTimeUnit": "ns",
        "otherData": { "title": title, "lost": noted.saturating_sub(MOST) },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_before_this_process_is_the_first_step() {
        start(Some(now() - 5_000_000)).unwrap();
        let document = document(STEPS.get().unwrap(), now(), "");
        let events = document["traceEvents"].as_array().unwrap();
        assert_eq!(events[1]["ts"], 0.0);
        assert!(events[1]["dur"].as_f64().unwrap() >= 5000.0, "{events:?}");
        assert!(events[1]["args"].is_null());
    }

    fn words() -> &'static [AtomicU64] {
        sys::shared_words(1 + MOST * WORDS).unwrap()
    }

    #[test]
    fn steps_are_events_of_a_chrome_trace() {
        let words = words();
        let outer = begin(words, Kind::Work, "mounts", "");
        drop(begin(words, Kind::Hook, "prestart", "/a/b"));
        drop(outer);
        let open = begin(words, Kind::Wait, "start", &"x".repeat(200));
        let document = document(words, now(), "create web");
        let events = document["traceEvents"].as_array().unwrap();
        assert_eq!(events[0]["args"]["name"], "runtime");
        let names: Vec<&str> = events[1..].iter().map(|e| e["name"].as_str().unwrap()).collect();
        assert_eq!(names[..2], ["mounts", "prestart /a/b"]);
        assert_eq!(names[2].len(), LONGEST_NAME);
        assert_eq!(events[2]["cat"], "hook");
        assert_eq!(events[3]["args"]["unfinished"], true);
        let time = |n: usize, field: &str| events[n][field].as_f64().unwrap();
        assert_eq!(time(1, "ts"), 0.0);
        assert!(time(2, "ts") + time(2, "dur") <= time(1, "dur") + 0.001);
        drop(open);
    }

    #[test]
    fn what_has_no_room_is_counted() {
        let words = words();
        for _ in 0..MOST + 3 {
            drop(begin(words, Kind::Work, "step", ""));
        }
        let document = document(words, now(), "");
        assert_eq!(document["otherData"]["lost"], 3);
        assert_eq!(document["traceEvents"].as_array().map(Vec::len), Some(MOST + 1));
    }
}
