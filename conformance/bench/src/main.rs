//! Measures container runtimes beside each other: in turn, in one run, as ratios pair by pair, since
//! times drift and ratios hold. `docs/performance.md` has what comes out, and how it is read.

#![forbid(unsafe_code)]

mod bundle;
mod cost;
mod counts;
mod options;
mod population;
mod report;
mod runtime;
mod scene;
mod svg;

use std::process::ExitCode;

use crate::options::Options;
use crate::report::Report;

/// What goes wrong here ends the run: a sentence is enough.
type Result<T> = std::result::Result<T, String>;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match Options::parse(&words).and_then(|options| measure(&options)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(sentence) => {
            eprintln!("bench: {sentence}");
            ExitCode::from(2)
        }
    }
}

/// All that was asked for; false if a count is above what was committed.
fn measure(options: &Options) -> Result<bool> {
    cost::reap_orphans_from_now_on()?;
    let room = bundle::Room::make(options)?;
    if let Some(file) = &options.check {
        return counts::check(&room, file);
    }
    let mut report = Report::of(options);
    if options.wants("times") {
        for scene in scene::ALL.iter().filter(|scene| options.wants_scene(scene.name)) {
            report.scene(scene, scene::play(scene, &room, options)?);
        }
    }
    if options.wants("population") {
        population::grow(&room, options, &mut report)?;
    }
    if options.wants("counts") {
        report.counts(counts::all(&room, options)?);
    }
    print!("{}", report.text());
    if let Some(directory) = &options.write {
        let write = |name: &str, content: String| {
            let path = directory.join(name);
            std::fs::write(&path, content).map_err(|e| format!("{}: {e}", path.display()))
        };
        write(&format!("performance{}.json", options.table), report.json())?;
        if !report.rows.is_empty() {
            write("performance.svg", svg::draw(&report))?;
        }
        report.write_page(&directory.join("performance.md"), &options.table)?;
    }
    Ok(true)
}
