//! docs/advisories.md is held to its word: rows are whole, and the tests that they name exist.

use std::collections::BTreeSet;
use std::path::Path;

/// The page.
const PAGE: &str = include_str!("../../docs/advisories.md");

/// The cells of each row, without heads of tables.
fn rows() -> Vec<Vec<&'static str>> {
    let lines = PAGE.lines().filter(|line| line.starts_with('|'));
    let rows = lines.map(|line| line.trim_matches('|').split(" | ").map(str::trim).collect());
    rows.filter(|row: &Vec<&str>| {
        !["advisory", "what"].contains(&row[0]) && !row[0].contains("---")
    })
    .collect()
}

/// What stands in backquotes.
fn quoted(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2)
}

/// Whether a unit test is there that is named by its file.
fn is_unit_test(name: &str) -> bool {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    name.split_once(": ").is_some_and(|(file, test)| {
        std::fs::read_to_string(root.join(file))
            .is_ok_and(|text| text.contains(&format!("#[test]\n    fn {test}()")))
    })
}

#[test]
fn every_row_is_whole_and_names_tests_that_there_are() {
    let tests = crate::table::all();
    let known: BTreeSet<&str> = tests.iter().map(|(name, _)| name.as_str()).collect();
    let rows = rows();
    assert!(rows.len() > 35, "{} rows", rows.len());
    for row in rows {
        // Of an advisory there is more to say than of what was found here.
        let (width, tests) = if row.len() > 2 { (5, row[3]) } else { (2, row[1]) };
        assert_eq!(row.len(), width, "{row:?}");
        assert!(row.iter().all(|cell| !cell.is_empty()), "{row:?}");
        assert!(quoted(tests).next().is_some(), "no tests: {row:?}");
        for name in quoted(tests) {
            assert!(known.contains(name) || is_unit_test(name), "there is no test {name}: {row:?}");
        }
    }
}

#[test]
fn what_was_taken_out_is_shown_by_tests_of_the_row() {
    for row in rows().into_iter().filter(|row| row.len() == 5) {
        for short in quoted(row[4]) {
            let named =
                quoted(row[3]).any(|name| name == short || name.ends_with(&format!("/{short}")));
            let elsewhere = short.contains(".rs: ") || short.starts_with("hack/");
            assert!(named || elsewhere, "{short} is not in {:?}", row[3]);
        }
    }
}
