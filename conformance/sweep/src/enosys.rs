//! The ENOSYS sweep: the whole conformance suite while what newer kernels have is missing, each feature
//! alone, and all of them.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::Result;
use crate::options::Options;
use crate::report::{Outcome, Tally};
use crate::room::Room;
use crate::without::{self, ALL, Table};

/// Of a sample: every so many-th test, without all features.
const STRIDE: usize = 7;

/// The suite, once for each feature that is wanted; true if all held.
pub(crate) fn sweep(_: &Room, options: &Options) -> Result<bool> {
    let table = without::table()?;
    let known = |name: &String| name == ALL || table.features.iter().any(|f| f.name == *name);
    let wanted = options.only.get(1..).unwrap_or_default();
    if let Some(unknown) = wanted.iter().find(|name| !known(name)) {
        let names: Vec<&str> = table.features.iter().map(|f| f.name.as_str()).collect();
        return Err(format!("{unknown}: none of {}, {ALL}", names.join(", ")));
    }
    let is_wanted = |name: &str| match options.sample {
        Some(_) => name == ALL,
        None => wanted.is_empty() || wanted.iter().any(|wanted| wanted == name),
    };
    let mut held = true;
    let names = table.features.iter().map(|feature| feature.name.as_str());
    for name in names.chain([ALL]).filter(|name| is_wanted(name)) {
        held &= suite_without(name, &table, options)?;
    }
    Ok(held)
}

/// Runs the suite, or a sample of it.
fn suite_without(name: &str, table: &Table, options: &Options) -> Result<bool> {
    let missing: Vec<&str> = table.features.iter().map(|feature| feature.name.as_str()).collect();
    let missing = if name == ALL { missing.join(",") } else { name.to_owned() };
    let listed = table.listed(name);
    let mut command = Command::new(suite()?);
    command.args(&options.suite).args(chosen(options)?).arg(&options.runtime);
    let this = std::env::current_exe().map_err(|error| error.to_string())?.display().to_string();
    for word in [&this, without::DOOR, &missing] {
        command.arg("--through").arg(word);
    }
    let mut tally = Tally::new(format!("enosys {name}"));
    let output = command.stdin(Stdio::null()).output().map_err(|error| error.to_string())?;
    let text = String::from_utf8_lossy(&output.stdout);
    let rows = rows(&text);
    if rows.is_empty() {
        return Err(format!("conformance: {}", String::from_utf8_lossy(&output.stderr)));
    }
    for Row { test, word, why } in rows {
        let outcome = match (word, listed.get(test)) {
            ("skip", _) => continue,
            ("ok", None) | ("FAIL", Some(_)) => Ok(Outcome::Held),
            ("ok", Some(reason)) => Err(format!("holds, though it is listed: {reason}")),
            (_, None) => Err(why.to_owned()),
            (word, Some(_)) => Err(format!("{word}?")),
        };
        tally.count(test, outcome);
    }
    Ok(tally.print())
}

/// The suite's program, which is built beside this one.
fn suite() -> Result<PathBuf> {
    let this = std::env::current_exe().map_err(|error| error.to_string())?;
    Ok(this.with_file_name("conformance"))
}

/// The tests of a sample, as the suite takes them; all if all are wanted.
fn chosen(options: &Options) -> Result<Vec<String>> {
    if options.sample.is_none() {
        return Ok(Vec::new());
    }
    let list = Command::new(suite()?).arg("--list").output().map_err(|error| error.to_string())?;
    let list = String::from_utf8_lossy(&list.stdout);
    let tests: Vec<&str> = list.lines().filter(|line| is_name(line)).collect();
    let chosen = options.choose(tests, STRIDE).into_iter();
    Ok(chosen.flat_map(|test| ["--only".to_owned(), test.to_owned()]).collect())
}

/// A line of the suite's table, with the note below it.
#[derive(Debug, PartialEq, Eq)]
struct Row<'t> {
    test: &'t str,
    word: &'t str,
    why: &'t str,
}

/// The suite's table: `CHAPTER/NAME WORD`, and below it in four spaces what is to be said.
fn rows(table: &str) -> Vec<Row<'_>> {
    let mut rows: Vec<Row<'_>> = Vec::new();
    for line in table.lines() {
        match (line.split_once(' '), line.strip_prefix("    "), rows.last_mut()) {
            (_, Some(note), Some(row)) if row.why.is_empty() => row.why = note,
            (Some((test, rest)), None, _) if is_name(test) => {
                rows.push(Row { test, word: rest.trim(), why: "" });
            }
            _ => {}
        }
    }
    rows
}

fn is_name(word: &str) -> bool {
    word.contains('/') && !word.contains(' ')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_has_the_note_below_it() {
        let table = "test              tare\n\
            exec/a              ok\n\
            exec/b            FAIL\n    tare: rc 1, wanted 0: exec\n      more\n\
            exec/c            skip\n    tare: skipped: CRIU\n\n\
            tare: 1 ok, 1 FAIL, 0 failures expected\n1 passed, 1 failed, 1 skipped\n";
        let row = |test, word, why| Row { test, word, why };
        let expected = [
            row("exec/a", "ok", ""),
            row("exec/b", "FAIL", "tare: rc 1, wanted 0: exec"),
            row("exec/c", "skip", "tare: skipped: CRIU"),
        ];
        assert_eq!(rows(table), expected);
    }
}
