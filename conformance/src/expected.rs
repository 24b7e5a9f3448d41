//! What a known runtime is known not to do, with the reason.

use std::collections::BTreeMap;

/// The lists, by the runtime's name. A runtime with a list fails the suite by any other failure;
/// passing what is listed is reported. `tare` has no list and needs none.
const LISTS: &[(&str, &str)] = &[("runc", include_str!("../expected/runc.toml"))];

/// The expected failures of a runtime: test name to reason. None when nothing is known of it: its
/// column is then for information.
pub(crate) fn of(runtime: &str) -> Option<BTreeMap<&'static str, &'static str>> {
    if runtime == "tare" {
        return Some(BTreeMap::new());
    }
    LISTS.iter().find(|(name, _)| *name == runtime).map(|(_, text)| parse(text))
}

/// The part of TOML that the lists use: `"chapter/name" = "reason"`, one a line.
fn parse(text: &'static str) -> BTreeMap<&'static str, &'static str> {
    let entries = text.lines().filter(|line| line.starts_with('"'));
    entries
        .filter_map(|line| line.split_once(" = "))
        .map(|(name, reason)| (name.trim_matches('"'), reason.trim().trim_matches('"')))
        .collect()
}
