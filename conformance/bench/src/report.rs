//! What was measured, as a table for people, as figures for machines, and as a page.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::Result;
use crate::cost::{Cost, quantile};
use crate::counts::{self, Count};
use crate::options::Options;
use crate::scene::{Played, Scene};

/// All rows.
pub(crate) struct Report {
    /// Names of the runtimes; the first is ours, the second what ratios are against.
    pub(crate) runtimes: Vec<String>,
    /// What was timed.
    pub(crate) rows: Vec<Row>,
    counts: Vec<Count>,
    /// Number of containers, and what the last ones cost against the first ones.
    growth: Option<(usize, Vec<f64>)>,
    machine: String,
}

/// A scene's outcome.
pub(crate) struct Row {
    /// What was timed.
    pub(crate) about: String,
    /// By runtime.
    pub(crate) timed: Vec<Timed>,
    target: (f64, Option<f64>),
    floor: Option<Timed>,
}

/// One runtime in a scene.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Timed {
    /// Nanoseconds: lower quartile and median.
    wall: (f64, f64),
    /// Against the peer, pair by pair: lower quartile and median.
    pub(crate) wall_ratio: (f64, f64),
    /// The same of CPU time.
    cpu_ratio: (f64, f64),
}

impl Timed {
    fn of(costs: &[Cost], peer: &[Cost]) -> Timed {
        let both = |list: Vec<f64>| (quantile(list.iter().copied(), 0.25), quantile(list, 0.5));
        let ratio = |part: fn(&Cost) -> u64| {
            let pairs = costs.iter().zip(peer);
            both(pairs.map(|(a, b)| part(a) as f64 / (part(b) as f64).max(1.0)).collect())
        };
        Timed {
            wall: both(costs.iter().map(|cost| cost.wall as f64).collect()),
            wall_ratio: ratio(|cost| cost.wall),
            cpu_ratio: ratio(|cost| cost.cpu),
        }
    }
}

impl Row {
    /// Whether ours is within its target.
    fn met(&self) -> Option<bool> {
        let ours = self.timed.first().filter(|_| self.timed.len() > 1)?;
        let cpu = self.target.1.is_none_or(|most| ours.cpu_ratio.1 <= most);
        Some(ours.wall_ratio.1 <= self.target.0 && cpu)
    }
}

impl Report {
    pub(crate) fn of(options: &Options) -> Report {
        let runtimes = options.runtimes.iter().map(|runtime| runtime.name.clone()).collect();
        let machine = machine(options);
        Report { runtimes, rows: Vec::new(), counts: Vec::new(), growth: None, machine }
    }

    pub(crate) fn scene(&mut self, scene: &Scene, played: Played) {
        let peer = played.costs.get(1).cloned().unwrap_or_default();
        self.row(scene.about, played.costs, scene.target);
        if let (Some(row), false) = (self.rows.last_mut(), played.floor.is_empty()) {
            row.floor = Some(Timed::of(&played.floor, &peer));
        }
    }

    pub(crate) fn row(&mut self, about: &str, costs: Vec<Vec<Cost>>, target: (f64, Option<f64>)) {
        let peer = costs.get(1).cloned().unwrap_or_default();
        let timed = costs.iter().map(|costs| Timed::of(costs, &peer)).collect();
        self.rows.push(Row { about: about.to_owned(), timed, target, floor: None });
    }

    pub(crate) fn growth(&mut self, most: usize, ratios: Vec<f64>) {
        self.growth = Some((most, ratios));
    }

    pub(crate) fn counts(&mut self, counts: Vec<Count>) {
        self.counts = counts;
    }

    /// The tables, in Markdown: a terminal shows them as well.
    pub(crate) fn text(&self) -> String {
        let mut out = String::new();
        // Writing to a string can't fail.
        let _ = self.write_times(&mut out).and_then(|()| self.write_counts(&mut out));
        out
    }

    fn write_times(&self, out: &mut String) -> std::fmt::Result {
        writeln!(out, "{}\n", self.machine)?;
        if self.rows.is_empty() {
            return Ok(());
        }
        let peer = self.runtimes.get(1).map_or("", String::as_str);
        write!(out, "| median (lower quartile) |")?;
        self.runtimes.iter().try_for_each(|name| write!(out, " {name} |"))?;
        for name in self.runtimes.iter().filter(|name| *name != peer) {
            write!(out, " {name} / {peer}: wall | CPU |")?;
        }
        writeln!(out, " at most | |")?;
        let columns = 3 + self.runtimes.len() + 2 * self.runtimes.len().saturating_sub(1);
        writeln!(out, "|{}", "---|".repeat(columns))?;
        self.rows.iter().try_for_each(|row| self.write_row(out, row, peer))?;
        if let Some((most, ratios)) = &self.growth {
            writeln!(out, "\n`create` of the last 50 of {most} containers, against the first 50:")?;
            for (name, ratio) in self.runtimes.iter().zip(ratios) {
                writeln!(out, "{name} {ratio:.2}")?;
            }
        }
        Ok(())
    }

    fn write_row(&self, out: &mut String, row: &Row, peer: &str) -> std::fmt::Result {
        write!(out, "| {} |", row.about)?;
        for timed in &row.timed {
            write!(out, " {} ({}) |", time(timed.wall.1), time(timed.wall.0))?;
        }
        for (timed, _) in row.timed.iter().zip(&self.runtimes).filter(|(_, name)| *name != peer) {
            let ((wall_low, wall), (cpu_low, cpu)) = (timed.wall_ratio, timed.cpu_ratio);
            write!(out, " {wall:.2} ({wall_low:.2}) | {cpu:.2} ({cpu_low:.2}) |")?;
        }
        let cpu = row.target.1.map_or_else(String::new, |most| format!(", {most:.2} CPU"));
        let verdict = row.met().map_or("", |met| if met { "met" } else { "**missed**" });
        writeln!(out, " {:.2}{cpu} | {verdict} |", row.target.0)?;
        if let (Some(floor), Some(ours)) = (row.floor, row.timed.first()) {
            let above = ours.wall.1 / floor.wall.1;
            writeln!(
                out,
                "| the kernel's floor of it | {} ({}): {:.2} of {peer}; ours is {above:.2} of it |",
                time(floor.wall.1),
                time(floor.wall.0),
                floor.wall_ratio.1,
            )?;
        }
        Ok(())
    }

    fn write_counts(&self, out: &mut String) -> std::fmt::Result {
        if self.counts.is_empty() {
            return Ok(());
        }
        write!(out, "\n| | |")?;
        self.runtimes.iter().try_for_each(|name| write!(out, " {name} |"))?;
        writeln!(out, " at most | |\n|{}", "---|".repeat(4 + self.runtimes.len()))?;
        self.counts.iter().try_for_each(|count| write_count(out, count))
    }

    /// The figures, for machines; with the counts that a later run can be compared with.
    pub(crate) fn json(&self) -> String {
        let timed = |timed: &Timed| {
            json!({
                "wallNanoseconds": {"quartile": timed.wall.0 as u64, "median": timed.wall.1 as u64},
                "wallRatio": {"quartile": timed.wall_ratio.0, "median": timed.wall_ratio.1},
                "cpuRatio": {"quartile": timed.cpu_ratio.0, "median": timed.cpu_ratio.1},
            })
        };
        let rows = self.rows.iter().map(|row| {
            json!({
                "what": row.about,
                "runtimes": row.timed.iter().map(timed).collect::<Vec<_>>(),
                "floor": row.floor.as_ref().map(timed),
                "atMost": {"wall": row.target.0, "cpu": row.target.1},
            })
        });
        let counts = self
            .counts
            .iter()
            .map(|count| json!({"what": count.name, "unit": count.unit, "runtimes": count.values}));
        let all = json!({
            "machine": self.machine,
            "runtimes": self.runtimes,
            "times": rows.collect::<Vec<Value>>(),
            "counts": counts.collect::<Vec<Value>>(),
            "growth": self.growth.as_ref().map(|(most, ratios)| json!({"containers": most, "ratios": ratios})),
            "committed": counts::committed(&self.counts),
        });
        format!("{all:#}\n")
    }

    /// Puts the tables into the page, between the two marks of that `table`: everything there is written by
    /// this program.
    pub(crate) fn write_page(&self, page: &Path, table: &str) -> Result<()> {
        let name = page.display();
        let [begin, end] = ["begin", "end"].map(|word| format!("<!-- measured{table}: {word} -->"));
        let text = fs::read_to_string(page).map_err(|error| format!("{name}: {error}"))?;
        let (before, rest) = text.split_once(&begin).ok_or(format!("{name}: no {begin}"))?;
        let (_, after) = rest.split_once(&end).ok_or(format!("{name}: no {end}"))?;
        let new = format!("{before}{begin}\n{}\n{end}{after}", self.text());
        fs::write(page, new).map_err(|error| format!("{name}: {error}"))
    }
}

fn write_count(out: &mut String, count: &Count) -> std::fmt::Result {
    write!(out, "| {} | {} |", count.name, count.unit)?;
    for value in &count.values {
        match value {
            Some(value) => write!(out, " {value} |")?,
            None => write!(out, " - |")?,
        }
    }
    match (count.most(), count.values.first().copied().flatten()) {
        (Some(most), Some(ours)) => {
            let verdict = if ours <= most { "met" } else { "**missed**" };
            writeln!(out, " {most} | {verdict} |")
        }
        _ => writeln!(out, " | |"),
    }
}

fn time(nanoseconds: f64) -> String {
    match nanoseconds / 1000.0 {
        small if small < 10_000.0 => format!("{small:.0} µs"),
        large => format!("{:.1} ms", large / 1000.0),
    }
}

/// The machine and the versions, in a line.
fn machine(options: &Options) -> String {
    let uname = nix::sys::utsname::uname().ok();
    let kernel = uname.map_or_else(String::new, |u| u.release().to_string_lossy().into_owned());
    let cpus = std::thread::available_parallelism().map_or(0, usize::from);
    let cgroups = counts::hierarchies();
    let version = |path: &Path| {
        let output = Command::new(path).arg("--version").output().ok()?;
        String::from_utf8(output.stdout).ok()?.lines().next().map(str::to_owned)
    };
    let versions = options.runtimes.iter().map(|runtime| {
        let version = version(&runtime.path).unwrap_or_default();
        format!("{}: {version}", runtime.name)
    });
    let versions: Vec<String> = versions.collect();
    format!(
        "Linux {kernel}, {cpus} CPUs, {cgroups} cgroup hierarchies; {}; {} pairs.",
        versions.join("; "),
        options.rounds
    )
}
