//! docs/compatibility.md: what runtimes have, from a list that names the tests of each row.

use std::collections::BTreeSet;
use std::fmt::Write;

use serde::Deserialize;

use crate::table::Test;

/// The list, as conformance/compatibility.toml has it.
#[derive(Debug, Deserialize)]
struct List {
    section: Vec<Section>,
}

#[derive(Debug, Deserialize)]
struct Section {
    title: String,
    /// Name; runc, crun, youki; tests.
    rows: Vec<Vec<String>>,
}

/// The page; or what is wrong with the list: a row that is no row, a test that there is not.
pub(crate) fn page(list: &str, tests: &[(String, Test)]) -> Result<String, String> {
    let list: List = toml::from_str(list).map_err(|error| error.to_string())?;
    let known: BTreeSet<&str> = tests.iter().map(|(name, _)| name.as_str()).collect();
    let mut page = HEAD.to_owned();
    let (mut rows, mut ours) = (0, 0);
    for section in &list.section {
        let _ = write!(page, "\n## {}\n\n{COLUMNS}", section.title);
        for row in &section.rows {
            let [name, runc, crun, youki, tests @ ..] = &row[..] else {
                return Err(format!("{}: {row:?} lacks a column", section.title));
            };
            for test in tests {
                if !known.contains(test.as_str()) {
                    return Err(format!("{}: {name}: there is no test {test}", section.title));
                }
            }
            for word in [runc, crun, youki] {
                if !["yes", "part", "no"].contains(&word.as_str()) {
                    return Err(format!(
                        "{}: {name}: {word:?} is not yes, part or no",
                        section.title
                    ));
                }
            }
            rows += 1;
            ours += usize::from(!tests.is_empty());
            let tare = if tests.is_empty() { "no" } else { "yes" };
            let tests = tests.iter().map(|test| format!("`{test}`")).collect::<Vec<_>>().join(" ");
            let _ = writeln!(page, "| {name} | {runc} | {crun} | {youki} | {tare} | {tests} |");
        }
    }
    let _ = write!(page, "\n{ours} of {rows} rows have tests of tare's.\n");
    Ok(page)
}

const HEAD: &str = "# Compatibility\n\n\
    What there is of runc's command line, of what only others have, and of the runtime-spec (1.3), for runc 1.5,\n\
    crun 1.29 and youki 0.7 as their sources have it, and for tare as its tests hold it: a \"yes\" of tare's names\n\
    tests of the conformance suite, which fail the suite when they fail, and are shown to fail on a runtime that\n\
    does nothing. Where this machine's kernel lacks a thing, the test is of the sentence that says so, or is skipped.\n\n\
    `hack/compatibility` makes this page of conformance/compatibility.toml; `hack/test lint` wants it up to date.\n";

const COLUMNS: &str = "| | runc | crun | youki | tare | tests |\n|---|---|---|---|---|---|\n";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_needs_tests_that_are_there() {
        let tests = crate::table::all();
        let (name, _) = &tests[0];
        let list = |row: &str| format!("[[section]]\ntitle = \"T\"\nrows = [{row}]\n");
        let good = list(&format!("[\"a\", \"yes\", \"no\", \"part\", \"{name}\"]"));
        assert!(page(&good, &tests).unwrap().contains("| a | yes | no | part | yes |"));
        let none = list("[\"a\", \"yes\", \"no\", \"part\"]");
        assert!(page(&none, &tests).unwrap().contains("| a | yes | no | part | no |  |"));
        for bad in ["[\"a\", \"yes\", \"no\"]", "[\"a\", \"yes\", \"no\", \"x\"]"] {
            assert!(page(&list(bad), &tests).is_err(), "{bad}");
        }
        let gone = page(&list("[\"a\", \"yes\", \"no\", \"no\", \"no/such\"]"), &tests);
        assert_eq!(gone.unwrap_err(), "T: a: there is no test no/such");
    }
}
