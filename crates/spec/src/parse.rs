//! From bytes to types, and where it went wrong.

use std::fmt;

use serde::Deserialize;

/// Why a document could not be read, and where.
///
/// Displays as `line 3, column 17, process.user.uid: invalid type: string "root", expected u32`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParseError {
    /// Line, from 1.
    pub line: usize,
    /// Column, from 1.
    pub column: usize,
    /// The JSON path of the value, such as `process.user.uid`; empty where no value was reached.
    pub path: String,
    /// What is wrong.
    pub message: String,
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}", self.line, self.column)?;
        if !self.path.is_empty() {
            write!(f, ", {}", self.path)?;
        }
        write!(f, ": {}", self.message)
    }
}

impl std::error::Error for ParseError {}

/// Reads one JSON document; strings of the result borrow from `bytes`.
///
/// The first pass is fast and knows no path; only after a failure a second one finds it.
pub fn parse<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, ParseError> {
    let Err(error) = std::str::from_utf8(bytes).map(|_| ()) else {
        return serde_json::from_slice(bytes).map_err(|error| locate::<T>(bytes, &error));
    };
    let (line, column) = position(&bytes[..error.valid_up_to()]);
    Err(ParseError { line, column, path: String::new(), message: "not valid UTF-8".to_owned() })
}

fn locate<'a, T: Deserialize<'a>>(bytes: &'a [u8], error: &serde_json::Error) -> ParseError {
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let path = match serde_path_to_error::deserialize::<_, T>(&mut deserializer) {
        Err(found) => found.path().to_string(),
        // The value itself is fine: what follows it is not.
        Ok(_) => String::new(),
    };
    let text = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    ParseError {
        line: error.line().max(1),
        column: error.column().max(1),
        path: if path == "." { String::new() } else { path },
        message: text.strip_suffix(&place).unwrap_or(&text).to_owned(),
    }
}

fn position(before: &[u8]) -> (usize, usize) {
    let line = before.iter().filter(|&&byte| byte == b'\n').count() + 1;
    let column = before.iter().rev().take_while(|&&byte| byte != b'\n').count() + 1;
    (line, column)
}
