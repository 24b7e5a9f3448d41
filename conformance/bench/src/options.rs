//! The command line.

use std::path::PathBuf;

use crate::Result;
use crate::runtime::Runtime;

/// What is measured, and how often.
pub(crate) struct Options {
    /// The first is ours, the second is what ratios are against.
    pub(crate) runtimes: Vec<Runtime>,
    /// The program `bare`: the kernel's work alone, and a small parent.
    pub(crate) bare: Option<PathBuf>,
    /// Pairs of each scene.
    pub(crate) rounds: u32,
    /// How many containers the largest population has.
    pub(crate) most: usize,
    /// Parts or scenes; empty: all.
    only: Vec<String>,
    /// A directory for the page, the picture and the figures.
    pub(crate) write: Option<PathBuf>,
    /// Which of the page's tables it is: nothing, or what its name and that of the figures' file ends with.
    pub(crate) table: String,
    /// Committed counts, to compare with.
    pub(crate) check: Option<PathBuf>,
    /// A root file system with busybox.
    pub(crate) rootfs: PathBuf,
}

const USAGE: &str = "usage: bench --rootfs DIR [--bare PROGRAM] [--rounds N] [--most N] [--only PART|SCENE]... \
     [--write DIR [--table -NAME]] [--check FILE] NAME=PATH...";

impl Options {
    pub(crate) fn parse(words: &[String]) -> Result<Options> {
        let mut options = Options {
            runtimes: Vec::new(),
            bare: None,
            rounds: 60,
            most: 1000,
            only: Vec::new(),
            write: None,
            table: String::new(),
            check: None,
            rootfs: PathBuf::new(),
        };
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or_else(|| format!("{word} needs a value"));
            match word.as_str() {
                "--rounds" => options.rounds = number(value()?)?,
                "--most" => options.most = number(value()?)?,
                "--only" => options.only.push(value()?.clone()),
                "--bare" => options.bare = Some(value()?.into()),
                "--rootfs" => options.rootfs = value()?.into(),
                "--write" => options.write = Some(value()?.into()),
                "--table" => options.table.clone_from(value()?),
                "--check" => options.check = Some(value()?.into()),
                _ => match word.split_once('=') {
                    Some((name, path)) if !word.starts_with('-') => {
                        options.runtimes.push(Runtime::new(name, path));
                    }
                    _ => return Err(USAGE.to_owned()),
                },
            }
        }
        if options.runtimes.is_empty() || options.rootfs.as_os_str().is_empty() {
            return Err(USAGE.to_owned());
        }
        Ok(options)
    }

    /// Whether a part of the run is wanted; a scene's name wants its part.
    pub(crate) fn wants(&self, part: &str) -> bool {
        self.only.is_empty()
            || self.only.iter().any(|only| only == part)
            || part == "times" && crate::scene::ALL.iter().any(|scene| self.names(scene.name))
    }

    /// Whether a scene is wanted, by its own name or its part's.
    pub(crate) fn wants_scene(&self, name: &str) -> bool {
        self.only.is_empty() || self.names("times") || self.names(name)
    }

    fn names(&self, what: &str) -> bool {
        self.only.iter().any(|only| only == what)
    }
}

fn number<T: std::str::FromStr>(text: &str) -> Result<T> {
    text.parse().map_err(|_| format!("{text:?} is no number"))
}
