//! The table of all tests.

use crate::case::Case;
use crate::chapters;
use crate::verdict::Verdict;

/// One test: a sentence, and the code that holds a runtime to it.
#[derive(Clone, Copy)]
pub(crate) struct Test {
    /// The name, unique in its chapter.
    pub name: &'static str,
    /// The sentence of the runtime-spec, or the behaviour of runc, that the test holds.
    pub holds: &'static str,
    /// The test itself.
    pub run: fn(&Case) -> Verdict,
}

/// A row of a chapter's table.
pub(crate) const fn test(
    name: &'static str,
    holds: &'static str,
    run: fn(&Case) -> Verdict,
) -> Test {
    Test { name, holds, run }
}

/// A chapter: its name, as `--only` takes it, and its tests.
pub(crate) type Chapter = (&'static str, &'static [&'static [Test]]);

/// Every test with its full name, `chapter/name`, in the order of the table.
pub(crate) fn all() -> Vec<(String, Test)> {
    let mut tests = Vec::new();
    for (chapter, parts) in chapters::ALL {
        for part in parts.iter().copied().flatten() {
            tests.push((format!("{chapter}/{}", part.name), *part));
        }
    }
    tests
}
