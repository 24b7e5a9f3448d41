//! Reads the Test Anything Protocol as bats and as runtime-tools' programs write it.

/// How a test went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It ran and was content.
    Pass,
    /// It ran and was not, or could not run to its end.
    Fail,
    /// It decided that it can't run here.
    Skip,
}

/// One test and what was said about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Test {
    /// The test's description.
    pub(crate) name: String,
    /// How it went.
    pub(crate) outcome: Outcome,
    /// A skip's reason, then every line of diagnostics up to the next test.
    pub(crate) said: Vec<String>,
}

impl Test {
    /// A failure that the driver saw, and not the test.
    pub(crate) fn failed(name: impl Into<String>, why: impl Into<String>) -> Self {
        Self { name: name.into(), outcome: Outcome::Fail, said: vec![why.into()] }
    }
}

/// The tests of one stream, so far.
#[derive(Debug, Default)]
pub(crate) struct Stream {
    /// The tests, in the order they ended.
    pub(crate) tests: Vec<Test>,
    /// How many tests the stream says it has.
    pub(crate) plan: Option<usize>,
    /// Diagnostics from before the first test.
    pub(crate) before: Vec<String>,
}

impl Stream {
    /// Takes the next line.
    pub(crate) fn line(&mut self, line: &str) {
        if let Some(rest) = line.strip_prefix("not ok") {
            self.tests.push(test(rest, Outcome::Fail));
        } else if let Some(rest) = line.strip_prefix("ok ") {
            self.tests.push(test(rest, Outcome::Pass));
        } else if let Some(count) = line.strip_prefix("1..") {
            self.plan = count.split_whitespace().next().and_then(|count| count.parse().ok());
        } else if !line.starts_with("TAP version") && !line.trim().is_empty() {
            let said = line.strip_prefix("# ").unwrap_or(line).to_owned();
            match self.tests.last_mut() {
                Some(test) => test.said.push(said),
                None => self.before.push(said),
            }
        }
    }
}

/// A test line without its `ok` or `not ok`: number, description, directive.
fn test(rest: &str, outcome: Outcome) -> Test {
    let rest = rest.trim_start().trim_start_matches(|c: char| c.is_ascii_digit()).trim_start();
    let rest = rest.strip_prefix("- ").unwrap_or(rest);
    // A description may hold a number sign; a directive is the last one, and a known word follows.
    let directive = rest.rsplit_once("# ").and_then(|(name, directive)| {
        let (word, why) = directive.split_once(' ').unwrap_or((directive, ""));
        let known = ["skip", "todo"].iter().any(|known| word.eq_ignore_ascii_case(known));
        known.then(|| (name.trim_end(), why.to_owned()))
    });
    match directive {
        // The same test without its directive: what was skipped is its description.
        Some(("", why)) => Test { name: why.clone(), outcome: Outcome::Skip, said: vec![why] },
        Some((name, why)) => {
            Test { name: name.to_owned(), outcome: Outcome::Skip, said: vec![why] }
        }
        None => Test { name: rest.to_owned(), outcome, said: Vec::new() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(text: &str) -> Stream {
        let mut stream = Stream::default();
        text.lines().for_each(|line| stream.line(line));
        stream
    }

    #[test]
    fn bats() {
        let stream = stream(
            "1..3\nok 1 run [a,b]\nnot ok 2 run #2 (x)\n# (in test file a.bats, line 3)\n#   `false' failed\nok 3 later # skip test requires root\n",
        );
        assert_eq!(stream.plan, Some(3));
        let [pass, fail, skip] = stream.tests.as_slice() else { panic!("{stream:?}") };
        assert_eq!((pass.name.as_str(), pass.outcome), ("run [a,b]", Outcome::Pass));
        assert_eq!((fail.name.as_str(), fail.outcome), ("run #2 (x)", Outcome::Fail));
        assert_eq!(fail.said, ["(in test file a.bats, line 3)", "  `false' failed"]);
        assert_eq!((skip.name.as_str(), skip.outcome), ("later", Outcome::Skip));
        assert_eq!(skip.said, ["test requires root"]);
    }

    #[test]
    fn version_13() {
        let stream = stream(
            "TAP version 13\n  ---\n  {\"error\": \"early\"}\n  ...\nok 1 - has # of cwd\nok 2 # SKIP process.cwd not set\nnot ok 3 - tty # TODO later\n",
        );
        assert_eq!(stream.before.len(), 3);
        let [pass, skip, todo] = stream.tests.as_slice() else { panic!("{stream:?}") };
        assert_eq!((pass.name.as_str(), pass.outcome), ("has # of cwd", Outcome::Pass));
        assert_eq!((skip.name.as_str(), skip.outcome), ("process.cwd not set", Outcome::Skip));
        assert_eq!((todo.name.as_str(), todo.outcome), ("tty", Outcome::Skip));
    }
}
