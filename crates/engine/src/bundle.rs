//! Reading what the user hands in: `config.json`, process and resources files.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use nix::fcntl::{AT_FDCWD, OFlag, openat};
use nix::sys::stat::Mode;
use sys::Context;

use crate::error::{Error, Result};

/// Larger than any configuration; engines' are some 10 KB.
const LARGEST: u64 = 16 * 1024 * 1024;

/// A bundle: its directory, and its configuration as bytes.
#[derive(Debug)]
pub struct Bundle {
    /// Absolute path.
    pub directory: String,
    /// Where the configuration is from, for errors.
    pub file: String,
    /// The configuration.
    pub bytes: Vec<u8>,
}

impl Bundle {
    /// The bundle in `directory`, with its `config.json`, or another configuration.
    pub fn open(directory: &Path, config: Option<&Path>) -> Result<Bundle> {
        let directory = absolute(directory)?;
        let file = match config {
            Some(config) => absolute(config)?,
            None => directory.join("config.json"),
        };
        let bytes = read(&file)?;
        Ok(Bundle { directory: text(&directory)?, file: text(&file)?, bytes })
    }

    /// A bundle whose configuration exists in memory only.
    pub fn of(directory: &Path, bytes: Vec<u8>) -> Result<Bundle> {
        let directory = text(&absolute(directory)?)?;
        Ok(Bundle { directory, file: "the default configuration".to_owned(), bytes })
    }
}

/// Reads JSON that was read from `file`.
pub fn parse<'a, T: serde::Deserialize<'a>>(file: &str, bytes: &'a [u8]) -> Result<T> {
    check_text(file, bytes)?;
    if nuls(bytes).next().is_some() {
        return Err(damaged(file, "a string holds a NUL character, which no path or argument can"));
    }
    spec::parse(bytes).map_err(|error| Error::Parse { file: file.to_owned(), error })
}

fn damaged(file: &str, why: &str) -> Error {
    Error::Damaged { file: file.to_owned(), why: why.to_owned() }
}

fn check_text(file: &str, bytes: &[u8]) -> Result<()> {
    match bytes.iter().all(u8::is_ascii_whitespace) {
        true => Err(damaged(file, "unexpected EOF: the file is empty")),
        false => Ok(()),
    }
}

/// Reads what can be read of a configuration, with all that can't.
pub(crate) fn mend(file: &str, bytes: &[u8]) -> Result<spec::Mended> {
    check_text(file, bytes)?;
    Ok(spec::mend(bytes))
}

/// Where JSON text has an escaped NUL: the backslash of `\u0000` is not itself escaped.
pub(crate) fn nuls(bytes: &[u8]) -> impl Iterator<Item = usize> {
    let escapes = bytes.windows(6).enumerate().filter(|(_, window)| window == b"\\u0000");
    escapes.map(|(at, _)| at).filter(|at| {
        let before = bytes.get(..*at).unwrap_or_default();
        before.iter().rev().take_while(|byte| **byte == b'\\').count() % 2 == 0
    })
}

/// Reads a file, which must be of a configuration's size.
pub fn read(path: &Path) -> Result<Vec<u8>> {
    let name = path.to_string_lossy();
    // Not File::open: musl's open(2) adds a fcntl(2).
    let flags = OFlag::O_RDONLY | OFlag::O_CLOEXEC;
    let mut file = File::from(openat(AT_FDCWD, path, flags, Mode::empty()).at("open", &name)?);
    let metadata = file.metadata().at("stat", &name)?;
    let size = metadata.len();
    if metadata.is_file() && size > LARGEST {
        return Err(Error::TooLarge { file: name.into_owned(), size });
    }
    let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or_default() + 1);
    (&mut file).take(LARGEST + 1).read_to_end(&mut bytes).at("read", &name)?;
    if bytes.len() as u64 > LARGEST {
        return Err(Error::TooLarge { file: name.into_owned(), size: bytes.len() as u64 });
    }
    Ok(bytes)
}

fn absolute(directory: &Path) -> Result<PathBuf> {
    if directory.is_absolute() {
        return Ok(directory.components().collect());
    }
    let here = nix::unistd::getcwd().at("getcwd", ".")?;
    Ok(here.join(directory).components().filter(|c| *c != std::path::Component::CurDir).collect())
}

fn text(path: &Path) -> Result<String> {
    let name = path.to_string_lossy();
    match path.to_str() {
        Some(text) => Ok(text.to_owned()),
        None => Err(Error::Damaged { file: name.into_owned(), why: "is not valid UTF-8".into() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_unescaped_nul_counts() {
        let holds_nul = |bytes: &[u8]| nuls(bytes).next().is_some();
        assert!(holds_nul(br#"{"cwd": "/\u0000"}"#));
        assert!(!holds_nul(br#"{"cwd": "/\\u0000"}"#));
        assert!(holds_nul(br#"{"cwd": "/\\\u0000"}"#));
    }
}
