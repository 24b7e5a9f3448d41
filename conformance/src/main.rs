//! A black-box suite for OCI runtimes on Linux: the same tests grade any runtime, by its path.
//!
//! Each test holds one sentence: of the runtime-spec, or of what runc does and its callers rely on.
//! It runs in a process of its own, which is the reaper of all that it starts, and fails also when
//! anything is left after it.

#![forbid(unsafe_code)]

#[cfg(test)]
mod advisories;
mod bundle;
mod call;
mod case;
mod chapters;
mod compatibility;
mod console;
mod container;
mod expected;
mod layout;
mod leftover;
mod null;
mod probe;
mod report;
mod rootfs;
mod schedule;
mod single;
mod socket;
mod systemd;
mod table;
mod verdict;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Arg, ArgAction, Command, value_parser};

fn cli() -> Command {
    let flag = |name: &'static str| Arg::new(name).long(name).action(ArgAction::SetTrue);
    Command::new("conformance")
        .about("Grades OCI runtimes by black-box tests")
        .arg(Arg::new("runtime").num_args(0..).help("PATH or NAME=PATH of a runtime"))
        .arg(
            Arg::new("only")
                .long("only")
                .value_name("CHAPTER|NAME")
                .action(ArgAction::Append)
                .help("Only these tests: a chapter (CHAPTER/: by its name alone), or part of a name; each must match something"),
        )
        .arg(
            Arg::new("jobs")
                .long("jobs")
                .value_name("N")
                .value_parser(value_parser!(usize))
                .help("Tests at a time; default: the number of CPUs"),
        )
        .arg(
            Arg::new("patience")
                .long("patience")
                .value_name("FACTOR")
                .value_parser(value_parser!(u32).range(1..))
                .default_value("1")
                .help("Wait longer for everything: for a slow machine"),
        )
        .arg(
            Arg::new("rounds")
                .long("rounds")
                .value_name("N")
                .value_parser(value_parser!(u32).range(1..))
                .default_value("200")
                .help("How often each race is run; with thousands, give it --patience, too"),
        )
        .arg(
            Arg::new("through")
                .long("through")
                .value_name("WORD")
                .action(ArgAction::Append)
                .allow_hyphen_values(true)
                .help("Words before each call of a runtime: a program that becomes it, with its arguments"),
        )
        .arg(flag("systemd").help("Let systemd make the cgroups: --systemd-cgroup in every call"))
        .arg(flag("verbose").help("Print what each failing test found"))
        .arg(flag("list").help("Print the tests and the sentences they hold"))
        .arg(
            Arg::new("compatibility")
                .long("compatibility")
                .value_name("LIST")
                .help("Print docs/compatibility.md from a list of rows and their tests"),
        )
        .arg(flag("null").help("Show that no test passes on a runtime that does nothing"))
        .arg(Arg::new("single").long("single").hide(true).num_args(4))
        .arg(
            Arg::new("threads")
                .long("threads")
                .hide(true)
                .value_parser(value_parser!(usize))
                .help("Be the program of a container: with that many threads"),
        )
}

fn main() -> ExitCode {
    let args = cli().get_matches();
    let words = |name: &str| -> Vec<String> {
        args.get_many::<String>(name).into_iter().flatten().cloned().collect()
    };
    if let Some(count) = args.get_one("threads") {
        return single::threads(*count);
    }
    layout::choose(args.get_flag("systemd"));
    call::go_through(words("through"));
    let number = |name: &str| args.get_one::<u32>(name).copied().unwrap_or(1);
    let scale = |null| schedule::Scale {
        null,
        patience: number("patience"),
        rounds: if null { 1 } else { number("rounds") },
    };
    if let [name, runtime, scratch, tag] = &words("single")[..] {
        return single::run(name, runtime, scratch, tag, scale(args.get_flag("null")));
    }
    if let Some(list) = args.get_one::<String>("compatibility") {
        let page = std::fs::read_to_string(list).map_err(|error| error.to_string());
        return match page.and_then(|text| compatibility::page(&text, &table::all())) {
            Ok(page) => {
                print!("{page}");
                ExitCode::SUCCESS
            }
            Err(why) => {
                eprintln!("{list}: {why}");
                ExitCode::FAILURE
            }
        };
    }
    let tests = match selection(&words("only")) {
        Ok(tests) => tests,
        Err(sentence) => {
            eprintln!("conformance: {sentence}");
            return ExitCode::from(2);
        }
    };
    if args.get_flag("list") {
        report::list(&tests);
        return ExitCode::SUCCESS;
    }
    let jobs = args
        .get_one("jobs")
        .copied()
        .unwrap_or_else(|| std::thread::available_parallelism().map_or(1, std::num::NonZero::get));
    let verbose = args.get_flag("verbose");
    let result = if args.get_flag("null") {
        null::run(&tests, jobs, scale(true))
    } else {
        let runtimes = words("runtime").iter().map(|word| named(word)).collect::<Vec<_>>();
        if runtimes.is_empty() {
            eprintln!("conformance: no runtime given");
            return ExitCode::from(2);
        }
        schedule::grade(&runtimes, &tests, jobs, scale(false))
            .map(|columns| report::print(&tests, &columns, verbose))
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(why) => {
            eprintln!("conformance: {why:?}");
            ExitCode::from(2)
        }
    }
}

/// The tests that `--only` chooses. Each of its words has to choose one, or a misspelt name would pass.
fn selection(only: &[String]) -> Result<Vec<(String, table::Test)>, String> {
    let mut tests = table::all();
    let chooses = |part: &String| tests.iter().any(|(name, _)| chosen(name, part));
    if let Some(part) = only.iter().find(|part| !chooses(part)) {
        return Err(format!(
            "--only {part}: no chapter, test or part of a test's name (--list shows all)"
        ));
    }
    tests.retain(|(name, _)| only.is_empty() || only.iter().any(|part| chosen(name, part)));
    Ok(tests)
}

/// A test is chosen by its chapter (with a slash behind it, by that alone), its full name, or a part of its name.
fn chosen(name: &str, part: &str) -> bool {
    name.split_once('/').is_some_and(|(chapter, own)| {
        chapter == part || part.strip_suffix('/') == Some(chapter) || own.contains(part)
    }) || name == part
}

/// The column's name and the path of a runtime on the command line.
fn named(word: &str) -> (String, PathBuf) {
    if let Some((name, path)) = word.split_once('=') {
        return (name.to_owned(), absolute(path.into()));
    }
    let found = std::env::split_paths(case::PATH).map(|dir| dir.join(word)).find(|p| p.is_file());
    let path = if word.contains('/') { word.into() } else { found.unwrap_or_else(|| word.into()) };
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    (name, absolute(path))
}

/// The runtime is called from other directories than this one.
fn absolute(path: PathBuf) -> PathBuf {
    std::path::absolute(&path).unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_selection_that_matches_nothing_is_an_error() {
        let selected = |words: &[&str]| {
            let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
            selection(&words).map(|tests| tests.len())
        };
        assert_eq!(selected(&[]), Ok(table::all().len()));
        assert!(selected(&["cgroups", "terminal/foreground"]).is_ok_and(|count| count > 2));
        let (alone, wide) = (selected(&["devices/"]), selected(&["devices"]));
        assert!(alone.is_ok() && alone < wide, "attacks/links-at-devices is in another chapter");
        for words in [&["device/"][..], &["terminal", "nonsense"]] {
            assert!(selected(words).unwrap_err().contains(words[words.len() - 1]), "{words:?}");
        }
    }
}
