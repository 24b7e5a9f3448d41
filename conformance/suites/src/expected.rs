//! The lists of expected outcomes: `expected/*.toml` beside this package's sources.
//!
//! Without an entry a test is expected to pass. `[[expect]]` says how it goes instead, and it is as
//! unexpected if it passes after all; `[[allow]]` says how it may go, and is for what depends on the
//! machine. An entry's absent fields fit everything. `[[again]]` names a race that is in the suite
//! itself: a test that fails by it is run again.

use std::fs;
use std::path::Path;

use serde::Deserialize;

use crate::arguments::Suite;
use crate::error::{Doing, Error, Result};
use crate::tap::{Outcome, Test};

/// One file of the lists.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct List {
    #[serde(default)]
    expect: Vec<Entry>,
    #[serde(default)]
    allow: Vec<Entry>,
    #[serde(default)]
    again: Vec<Race>,
}

/// One expectation.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Entry {
    /// `runtime-tools` or `runc-bats`.
    suite: String,
    /// The runtime's name.
    runtime: Option<String>,
    /// The bats file, or the validation program.
    file: Option<String>,
    /// The test's whole name.
    test: Option<String>,
    /// How it goes.
    outcome: Listed,
    /// A part of what the test must say, so that it fails for the reason that is given.
    says: Option<String>,
    /// Why.
    reason: String,
}

/// A race in a suite.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Race {
    suite: String,
    /// The parts of one line that a test says when it lost the race.
    says: Vec<String>,
    reason: String,
}

/// The outcomes that need an entry.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum Listed {
    Fail,
    Skip,
}

impl Entry {
    /// Whether this entry is about `test`, whatever came of it.
    fn is_about(&self, place: &Place<'_>, test: &Test) -> bool {
        self.suite == place.suite.name()
            && self.runtime.as_ref().is_none_or(|runtime| runtime == place.runtime)
            && self.file.as_ref().is_none_or(|file| file == place.file)
            && self.test.as_ref().is_none_or(|name| *name == test.name)
    }

    /// Whether what came of `test` is what this entry says.
    fn foresaw(&self, test: &Test) -> bool {
        let outcome = match self.outcome {
            Listed::Fail => Outcome::Fail,
            Listed::Skip => Outcome::Skip,
        };
        outcome == test.outcome
            && self
                .says
                .as_ref()
                .is_none_or(|part| test.said.iter().any(|line| line.contains(part)))
    }
}

/// Where a test was found.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place<'a> {
    /// The suite.
    pub(crate) suite: Suite,
    /// The runtime's name.
    pub(crate) runtime: &'a str,
    /// The file or program.
    pub(crate) file: &'a str,
}

/// What the lists say to an outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict<'a> {
    /// It passed, as tests should.
    Fine,
    /// It went as an entry says, for this reason.
    Expected(&'a str),
    /// It went in another way than expected; the reason is that of the entry which said otherwise.
    Unexpected(Option<&'a str>),
}

/// All the lists.
#[derive(Debug, Default)]
pub(crate) struct Expected {
    expect: Vec<Entry>,
    allow: Vec<Entry>,
    again: Vec<Race>,
}

impl Expected {
    /// Reads every list in `directory`.
    pub(crate) fn load(directory: &Path) -> Result<Self> {
        let mut all = Self::default();
        for entry in fs::read_dir(directory).doing(format!("list {}", directory.display()))? {
            let file = entry.doing("list the expected outcomes")?.path();
            if file.extension().is_some_and(|extension| extension == "toml") {
                let text = fs::read_to_string(&file).doing(format!("read {}", file.display()))?;
                all.add(&text).map_err(|why| Error::List { file, why })?;
            }
        }
        Ok(all)
    }

    /// Adds one list.
    fn add(&mut self, text: &str) -> std::result::Result<(), String> {
        let list: List = toml::from_str(text).map_err(|why| why.to_string())?;
        for entry in list.expect.iter().chain(&list.allow) {
            if entry.reason.trim().is_empty() {
                return Err(format!("an entry without a reason: {entry:?}"));
            }
        }
        if let Some(race) = list.again.iter().find(|race| race.reason.trim().is_empty()) {
            return Err(format!("a race without a reason: {race:?}"));
        }
        if let Some(vague) = list.expect.iter().find(|entry| entry.test.is_none()) {
            return Err(format!("[[expect]] needs the test's name: {vague:?}"));
        }
        self.expect.extend(list.expect);
        self.allow.extend(list.allow);
        self.again.extend(list.again);
        Ok(())
    }

    /// Whether `test` failed by a race that is the suite's own.
    pub(crate) fn lost_a_race(&self, suite: Suite, test: &Test) -> bool {
        let lost = |race: &Race| {
            let fits = |line: &String| race.says.iter().all(|part| line.contains(part));
            race.suite == suite.name() && test.said.iter().any(fits)
        };
        test.outcome == Outcome::Fail && self.again.iter().any(lost)
    }

    /// What the lists say to how `test` went.
    pub(crate) fn judge(&self, place: &Place<'_>, test: &Test) -> Verdict<'_> {
        let mut about = self.expect.iter().filter(|entry| entry.is_about(place, test)).peekable();
        let contradicted = about.peek().map(|entry| entry.reason.as_str());
        if let Some(entry) = about.find(|entry| entry.foresaw(test)) {
            return Verdict::Expected(&entry.reason);
        }
        let allowed =
            self.allow.iter().find(|entry| entry.is_about(place, test) && entry.foresaw(test));
        match (allowed, test.outcome, contradicted) {
            (Some(entry), ..) => Verdict::Expected(&entry.reason),
            (None, Outcome::Pass, None) => Verdict::Fine,
            (None, _, contradicted) => Verdict::Unexpected(contradicted),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &str = r#"
        [[expect]]
        suite = "runc-bats"
        runtime = "tare"
        file = "a.bats"
        test = "one"
        outcome = "fail"
        says = "not yet"
        reason = "later"

        [[allow]]
        suite = "runc-bats"
        outcome = "skip"
        says = "requires root"
        reason = "depends on the machine"

        [[again]]
        suite = "runc-bats"
        says = ["msg=", "tty/sock"]
        reason = "slow to listen"
    "#;

    fn judge(runtime: &str, name: &str, outcome: Outcome, said: &str) -> String {
        let mut lists = Expected::default();
        lists.add(LIST).unwrap();
        let place = Place { suite: Suite::RuncBats, runtime, file: "a.bats" };
        let test = Test { name: name.into(), outcome, said: vec![said.into()] };
        format!("{:?}", lists.judge(&place, &test))
    }

    #[test]
    fn verdicts() {
        for (runtime, name, outcome, said, verdict) in [
            ("tare", "one", Outcome::Fail, "it is not yet there", r#"Expected("later")"#),
            ("tare", "one", Outcome::Fail, "killed", r#"Unexpected(Some("later"))"#),
            ("tare", "one", Outcome::Pass, "", r#"Unexpected(Some("later"))"#),
            ("runc", "one", Outcome::Pass, "", "Fine"),
            ("runc", "one", Outcome::Fail, "not yet", "Unexpected(None)"),
            ("tare", "two", Outcome::Pass, "", "Fine"),
            (
                "tare",
                "two",
                Outcome::Skip,
                "requires root",
                r#"Expected("depends on the machine")"#,
            ),
            ("tare", "two", Outcome::Skip, "requires criu", "Unexpected(None)"),
        ] {
            assert_eq!(judge(runtime, name, outcome, said), verdict, "{runtime} {name} {said}");
        }
    }

    #[test]
    fn races() {
        let mut lists = Expected::default();
        lists.add(LIST).unwrap();
        for (outcome, said, lost) in [
            (Outcome::Fail, "msg=\"connect /x/tty/sock\"", true),
            (Outcome::Fail, "runc run --console-socket /x/tty/sock", false),
            (Outcome::Pass, "msg=\"connect /x/tty/sock\"", false),
        ] {
            let test = Test { name: "t".into(), outcome, said: vec![said.into()] };
            assert_eq!(lists.lost_a_race(Suite::RuncBats, &test), lost, "{said}");
            assert!(!lists.lost_a_race(Suite::RuntimeTools, &test), "{said}");
        }
    }

    #[test]
    fn checked_in_lists_are_sound() {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("expected");
        assert!(Expected::load(&directory).is_ok(), "{:?}", Expected::load(&directory));
    }

    #[test]
    fn entries_need_reasons_and_names() {
        let entry = |kind: &str, more: &str| {
            Expected::default()
                .add(&format!("[[{kind}]]\nsuite = \"runc-bats\"\noutcome = \"fail\"\n{more}"))
        };
        assert!(entry("allow", "reason = \"x\"").is_ok());
        assert!(entry("allow", "reason = \" \"").is_err());
        assert!(entry("expect", "reason = \"x\"").is_err());
        assert!(entry("expect", "reason = \"x\"\ntest = \"t\"").is_ok());
        assert!(entry("expect", "reason = \"x\"\ntest = \"t\"\nwhy = \"typo\"").is_err());
    }
}
