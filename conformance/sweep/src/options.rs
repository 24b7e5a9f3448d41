//! The command line.

use std::path::PathBuf;

use crate::Result;

const USAGE: &str = "usage: sweep --runtime PROGRAM --rootfs DIR [--sample SEED] [--rounds N] [--in-a-row N] [--at-once N] \
     [SWEEP [SCENARIO [INDEX WHO [ERRNO]]]] | enosys [FEATURE...] [-- CONFORMANCE-FLAG...]";

/// What is swept.
#[derive(Debug, Default)]
pub(crate) struct Options {
    /// The runtime.
    pub(crate) runtime: PathBuf,
    /// A root file system with `/busybox`.
    pub(crate) rootfs: PathBuf,
    /// Only some of the points, which this number chooses.
    pub(crate) sample: Option<usize>,
    /// How many pairs of commands, if not as many as usual.
    pub(crate) rounds: Option<usize>,
    /// How many containers one after another, if not as many as usual.
    pub(crate) in_a_row: Option<usize>,
    /// How many containers at once, if not as many as usual.
    pub(crate) at_once: Option<usize>,
    /// One sweep, one scenario, one point.
    pub(crate) only: Vec<String>,
    /// What is said to the conformance suite.
    pub(crate) suite: Vec<String>,
}

impl Options {
    pub(crate) fn parse(words: &[String]) -> Result<Options> {
        let mut options = Options::default();
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or_else(|| format!("{word} needs a value"));
            match word.as_str() {
                "--runtime" => options.runtime = value()?.into(),
                "--rootfs" => options.rootfs = value()?.into(),
                "--sample" => options.sample = Some(number(value()?)?),
                "--rounds" => options.rounds = Some(number(value()?)?),
                "--in-a-row" => options.in_a_row = Some(number(value()?)?),
                "--at-once" => options.at_once = Some(number(value()?)?),
                "--" => options.suite.extend(words.by_ref().cloned()),
                _ if word.starts_with('-') => return Err(USAGE.to_owned()),
                _ => options.only.push(word.clone()),
            }
        }
        if options.runtime.as_os_str().is_empty() || options.rootfs.as_os_str().is_empty() {
            return Err(USAGE.to_owned());
        }
        Ok(options)
    }

    /// Whether this sweep is wanted.
    pub(crate) fn wants(&self, sweep: &str) -> bool {
        self.only.first().is_none_or(|only| only == sweep)
    }

    /// Whether this scenario is wanted.
    pub(crate) fn wants_scenario(&self, scenario: &str) -> bool {
        self.only.get(1).is_none_or(|only| only == scenario)
    }

    /// The words that name one point, behind sweep and scenario.
    pub(crate) fn point(&self) -> &[String] {
        self.only.get(2..).unwrap_or_default()
    }

    /// Those of `points` that the sample has, if only a sample is wanted: every `stride`th.
    pub(crate) fn choose<T>(&self, points: Vec<T>, stride: usize) -> Vec<T> {
        let Some(seed) = self.sample else { return points };
        points.into_iter().skip(seed % stride).step_by(stride).collect()
    }
}

pub(crate) fn number(word: &str) -> Result<usize> {
    word.parse().map_err(|_| format!("{word:?} is not a number"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(line: &str) -> Options {
        let line = format!("--runtime r --rootfs d {line}");
        Options::parse(&line.split(' ').map(str::to_owned).collect::<Vec<_>>()).unwrap()
    }

    #[test]
    fn samples_together_are_the_whole() {
        let all: Vec<usize> = (0..100).collect();
        let mut together: Vec<usize> = (40..47)
            .flat_map(|seed| options(&format!("--sample {seed} kill")).choose(all.clone(), 7))
            .collect();
        together.sort_unstable();
        assert_eq!(together, all);
        assert_eq!(options("kill").choose(all.clone(), 7), all);
    }

    #[test]
    fn a_point_is_the_words_behind_the_scenario() {
        let options = options("kill create 57 parent");
        assert!(options.wants("kill") && !options.wants("errno"));
        assert!(options.wants_scenario("create") && !options.wants_scenario("run"));
        assert_eq!(options.point(), ["57", "parent"]);
    }
}
