//! `trace`: a timeline that `create` or `run` wrote, as text, or drawn.
//!
//! The file is in the format of Chrome's traces, so that any viewer of those shows it; this is the
//! view that needs none. A row for each step, in the order in which they began, the runtime's first;
//! time goes from left to right.

use std::fmt::Write;

use engine::read;
use serde_json::Value;

use super::{Failure, Outcome, print};
use crate::args::Parsed;
use crate::report::lower;

/// `trace`.
pub(crate) fn trace(parsed: &Parsed) -> Outcome {
    let file = parsed.positionals.first().map_or("", String::as_str);
    let bytes = read(file.as_ref())?;
    let timeline = Timeline::read(&bytes).map_err(|why| format!("{file}: {why}"))?;
    match parsed.flags.get("svg") {
        None => print(timeline.text().as_bytes())?,
        Some("-") => print(timeline.svg().as_bytes())?,
        Some(path) => std::fs::write(path, timeline.svg())
            .map_err(|error| Failure::from(format!("--svg {path:?}: {}", lower(&error))))?,
    }
    Ok(0)
}

/// The steps of one file.
#[derive(Debug, Default)]
struct Timeline {
    title: String,
    /// A lane for each process, in the order in which the file first has them.
    lanes: Vec<Lane>,
}

#[derive(Debug)]
struct Lane {
    pid: u64,
    name: String,
    steps: Vec<Step>,
}

#[derive(Debug)]
struct Step {
    name: String,
    kind: Kind,
    /// Microseconds.
    begin: f64,
    end: f64,
    /// How many steps it is inside of.
    depth: usize,
    is_finished: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Work,
    Wait,
    Hook,
}

impl Timeline {
    fn read(bytes: &[u8]) -> Result<Timeline, String> {
        let document: Value = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        // Chrome's format may also be the list alone.
        let events = document.get("traceEvents").unwrap_or(&document).as_array();
        let events = events.ok_or("holds no events of a trace")?;
        let title = document.pointer("/otherData/title").and_then(Value::as_str);
        let mut timeline = Timeline { title: title.unwrap_or("trace").to_owned(), lanes: vec![] };
        for event in events {
            let text = |field: &str| event[field].as_str().unwrap_or_default();
            let lane = timeline.lane(event["pid"].as_u64().unwrap_or(0));
            match text("ph") {
                "M" if text("name") == "process_name" => {
                    event["args"]["name"].as_str().unwrap_or("?").clone_into(&mut lane.name);
                }
                "X" => lane.add(event),
                _ => {}
            }
        }
        timeline.lanes.retain(|lane| !lane.steps.is_empty());
        match timeline.lanes.is_empty() {
            true => Err("holds no step".to_owned()),
            false => Ok(timeline),
        }
    }

    fn lane(&mut self, pid: u64) -> &mut Lane {
        let known = self.lanes.iter().position(|lane| lane.pid == pid);
        let place = known.unwrap_or_else(|| {
            self.lanes.push(Lane { pid, name: format!("process {pid}"), steps: Vec::new() });
            self.lanes.len() - 1
        });
        &mut self.lanes[place]
    }

    fn steps(&self) -> impl Iterator<Item = &Step> {
        self.lanes.iter().flat_map(|lane| &lane.steps)
    }

    /// From the first begin to the last end, in microseconds.
    fn length(&self) -> f64 {
        self.steps().map(|step| step.end).fold(0.0, f64::max)
    }

    /// Rows of begin, length, process and step.
    fn text(&self) -> String {
        let mut text = format!("{}: {}\n", self.title, duration(self.length()));
        for lane in &self.lanes {
            let _ = writeln!(text, "\n{:>10}  {:>10}  {}", "at", "takes", lane.name);
            for step in &lane.steps {
                let takes = duration(step.end - step.begin);
                let indent = "  ".repeat(step.depth);
                let mark = if step.is_finished { "" } else { " ..." };
                let _ = writeln!(
                    text,
                    "{:>10}  {takes:>10}  {indent}{}{mark}",
                    duration(step.begin),
                    step.name
                );
            }
        }
        text
    }

    fn svg(&self) -> String {
        Picture { timeline: self, text: String::new(), y: 0.0 }.draw()
    }
}

impl Lane {
    fn add(&mut self, event: &Value) {
        let time = |field: &str| event[field].as_f64().unwrap_or(0.0);
        let (begin, end) = (time("ts"), time("ts") + time("dur"));
        let depth = self.steps.iter().filter(|step| step.begin <= begin && end <= step.end).count();
        self.steps.push(Step {
            name: event["name"].as_str().unwrap_or("?").to_owned(),
            kind: match event["cat"].as_str() {
                Some("wait") => Kind::Wait,
                Some("hook") => Kind::Hook,
                _ => Kind::Work,
            },
            begin,
            end,
            depth,
            is_finished: event["args"]["unfinished"] != true,
        });
    }

    /// How long it did something, and how long it waited.
    fn sums(&self) -> (f64, f64) {
        let sum = |waits: bool| {
            let top = self.steps.iter().filter(|step| step.depth == 0);
            top.filter(|step| (step.kind == Kind::Wait) == waits)
                .map(|step| step.end - step.begin)
                .sum()
        };
        (sum(false), sum(true))
    }
}

/// Microseconds as people say them.
fn duration(micros: f64) -> String {
    match micros {
        ..1000.0 => format!("{micros:.0} µs"),
        ..1_000_000.0 => format!("{:.2} ms", micros / 1000.0),
        _ => format!("{:.2} s", micros / 1_000_000.0),
    }
}

const WIDTH: f64 = 1160.0;
/// Where time begins; to the left are the names.
const LEFT: f64 = 300.0;
/// What is left free for the duration of the last bar.
const RIGHT: f64 = 80.0;
const ROW: f64 = 18.0;

/// A picture being drawn.
struct Picture<'t> {
    timeline: &'t Timeline,
    text: String,
    y: f64,
}

impl Picture<'_> {
    fn draw(mut self) -> String {
        let timeline = self.timeline;
        let rows: f64 =
            timeline.lanes.iter().map(|lane| lane.steps.len() as f64 * ROW + 46.0).sum();
        let height = rows + 92.0;
        let _ = write!(
            self.text,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" \
             width=\"{WIDTH}\" height=\"{height}\" font-family=\"system-ui, sans-serif\" \
             font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n"
        );
        let title = format!("{}: {}", timeline.title, duration(timeline.length()));
        self.label(16.0, 28.0, "font-size=\"18\" font-weight=\"600\"", &title);
        self.legend();
        self.axis(height);
        self.y = 78.0;
        for lane in &timeline.lanes {
            self.lane(lane);
        }
        self.text.push_str("</svg>\n");
        self.text
    }

    fn label(&mut self, x: f64, y: f64, more: &str, words: &str) {
        let words = escaped(words);
        let _ = writeln!(self.text, "<text x=\"{x:.1}\" y=\"{y:.1}\" {more}>{words}</text>");
    }

    fn bar(&mut self, (x, y): (f64, f64), width: f64, kind: Kind) {
        let color = color(kind);
        let _ = write!(
            self.text,
            "<rect x=\"{x:.2}\" y=\"{y:.1}\" width=\"{width:.2}\" height=\"{:.0}\" rx=\"2\" \
             fill=\"{color}\"",
            ROW - 5.0
        );
    }

    fn legend(&mut self) {
        let mut x = WIDTH - 330.0;
        for (kind, words) in
            [(Kind::Work, "work"), (Kind::Wait, "waits for another process"), (Kind::Hook, "hook")]
        {
            self.bar((x, 18.0), 14.0, kind);
            self.text.push_str("/>\n");
            self.label(x + 20.0, 29.0, "fill=\"#444\"", words);
            x += 40.0 + words.len() as f64 * 6.4;
        }
    }

    fn scale(&self) -> f64 {
        (WIDTH - LEFT - RIGHT) / self.timeline.length().max(1.0)
    }

    /// Some five lines, at round times.
    fn axis(&mut self, height: f64) {
        let length = self.timeline.length().max(1.0);
        let rough = length / 5.0;
        let magnitude = 10f64.powf(rough.log10().floor());
        let steps = [1.0, 2.0, 5.0, 10.0].map(|n| n * magnitude);
        let step = steps.into_iter().find(|step| *step >= rough).unwrap_or(rough);
        let mut time = 0.0;
        while time <= length {
            let x = LEFT + time * self.scale();
            let _ = writeln!(
                self.text,
                "<line x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"62\" y2=\"{:.0}\" stroke=\"#e3e3e3\"/>",
                height - 10.0
            );
            let words = match duration(time) {
                _ if time == 0.0 => "0".to_owned(),
                words => words.replace(".00 ", " "),
            };
            self.label(x, 56.0, "fill=\"#777\" text-anchor=\"middle\"", &words);
            time += step;
        }
    }

    fn lane(&mut self, lane: &Lane) {
        let (work, wait) = lane.sums();
        self.label(16.0, self.y + 12.0, "font-size=\"14\" font-weight=\"600\"", &lane.name);
        let sums = format!("works {}, waits {}", duration(work), duration(wait));
        self.label(LEFT + 4.0, self.y + 12.0, "fill=\"#777\"", &sums);
        self.y += 22.0;
        for step in &lane.steps {
            self.step(step);
        }
        self.y += 24.0;
    }

    fn step(&mut self, step: &Step) {
        const LONGEST: usize = 44;
        let takes = step.end - step.begin;
        let x = LEFT + step.begin * self.scale();
        let width = (takes * self.scale()).max(1.5);
        let indent = 16.0 + step.depth as f64 * 12.0;
        let mut name: String = step.name.chars().take(LONGEST).collect();
        if step.name.chars().count() > LONGEST {
            name.push('…');
        }
        self.label(indent, self.y + 11.0, "fill=\"#222\"", &name);
        self.bar((x, self.y), width, step.kind);
        let mark = if step.is_finished { "" } else { " …" };
        let words = format!("{}{mark}", duration(takes));
        let title = escaped(&format!("{}: {words}, from {}", step.name, duration(step.begin)));
        let _ = writeln!(self.text, "><title>{title}</title></rect>");
        self.label(x + width + 4.0, self.y + 11.0, "fill=\"#777\" font-size=\"11\"", &words);
        self.y += ROW;
    }
}

fn color(kind: Kind) -> &'static str {
    match kind {
        Kind::Work => "#2f6fb5",
        Kind::Wait => "#d0d5db",
        Kind::Hook => "#c8702a",
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = r#"{ "traceEvents": [
        { "name": "process_name", "ph": "M", "pid": 1, "tid": 1, "args": { "name": "runtime" } },
        { "name": "process_name", "ph": "M", "pid": 3, "tid": 3, "args": { "name": "init" } },
        { "name": "plan", "cat": "work", "ph": "X", "ts": 0.0, "dur": 800.5, "pid": 1, "tid": 1 },
        { "name": "wait", "cat": "wait", "ph": "X", "ts": 900.0, "dur": 1300.0, "pid": 1, "tid": 1 },
        { "name": "prestart <a>", "cat": "hook", "ph": "X", "ts": 1000.0, "dur": 200.0, "pid": 1, "tid": 1 },
        { "name": "execve", "cat": "work", "ph": "X", "ts": 1000.0, "dur": 1200.0, "pid": 3, "tid": 3,
          "args": { "unfinished": true } }
    ], "otherData": { "title": "run web" } }"#;

    #[test]
    fn text_has_a_row_for_each_step() {
        let text = Timeline::read(TRACE.as_bytes()).unwrap().text();
        let expected = "\
run web: 2.20 ms

        at       takes  runtime
      0 µs      800 µs  plan
    900 µs     1.30 ms  wait
   1.00 ms      200 µs    prestart <a>

        at       takes  init
   1.00 ms     1.20 ms  execve ...
";
        // 800.5 is rounded to even.
        assert_eq!(text, expected);
    }

    #[test]
    fn the_picture_is_whole_and_escaped() {
        let svg = Timeline::read(TRACE.as_bytes()).unwrap().svg();
        assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"));
        assert!(svg.contains("prestart &lt;a&gt;") && !svg.contains("<a>"));
        assert_eq!(svg.matches("<title>").count(), 4);
        assert_eq!(svg.matches("<rect").count(), 1 + 3 + 4);
    }

    #[test]
    fn what_is_no_trace_is_refused() {
        for text in ["", "{}", "[]", "{\"traceEvents\": 1}", "{\"traceEvents\": [{\"ph\": \"X\"}"] {
            assert!(Timeline::read(text.as_bytes()).is_err(), "{text}");
        }
        let list = r#"[{ "name": "a", "ph": "X", "ts": 1, "dur": 2, "pid": 9 }]"#;
        assert_eq!(Timeline::read(list.as_bytes()).unwrap().lanes[0].name, "process 9");
    }
}
