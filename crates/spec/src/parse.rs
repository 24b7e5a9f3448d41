//! From bytes to types, and where it went wrong.

use std::fmt;

use serde::Deserialize;

use crate::place::{self, Place};

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
    /// The same as a JSON pointer (RFC 6901): `/process/user/uid`.
    pub pointer: String,
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
/// The typed pass is fast and knows no path; only after a failure an untyped one finds it.
pub fn parse<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, ParseError> {
    utf8(bytes)?;
    serde_json::from_slice(bytes).map_err(|error| locate(bytes, &error))
}

/// Text of JSON is UTF-8.
pub(crate) fn utf8(bytes: &[u8]) -> Result<(), ParseError> {
    let Err(error) = std::str::from_utf8(bytes) else {
        return Ok(());
    };
    let Place { line, column } = place::place(bytes, error.valid_up_to());
    let (path, pointer) = (String::new(), String::new());
    Err(ParseError { line, column, path, pointer, message: "not valid UTF-8".to_owned() })
}

pub(crate) fn locate(bytes: &[u8], error: &serde_json::Error) -> ParseError {
    let text = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    let path = steps_to(bytes, offset(bytes, error.line(), error.column()));
    ParseError {
        line: error.line().max(1),
        column: error.column().max(1),
        path: render(&path),
        pointer: place::pointer(&path),
        message: text.strip_suffix(&place).unwrap_or(&text).to_owned(),
    }
}

/// The number of bytes up to and including the one at `line` and `column`.
pub(crate) fn offset(bytes: &[u8], line: usize, column: usize) -> usize {
    let lines = bytes.split(|byte| *byte == b'\n').take(line.saturating_sub(1));
    lines.map(|line| line.len() + 1).sum::<usize>() + column
}

/// Where in a document a byte is: `process.args[1]`.
///
/// The document may be broken behind that byte. (A typed second pass through serde_path_to_error
/// finds the same, and made the binary half as large again.)
pub(crate) fn steps_to(bytes: &[u8], end: usize) -> Vec<Step> {
    let mut path: Vec<Step> = Vec::new();
    let mut at = 0;
    let mut is_key = false;
    while at < end.min(bytes.len()) {
        let start = at;
        at += 1;
        match bytes[start] {
            b'{' => {
                path.push(Step::Key(String::new()));
                is_key = true;
            }
            b'[' => path.push(Step::Index(0)),
            b'}' | b']' => {
                path.pop();
                is_key = false;
            }
            b',' => match path.last_mut() {
                Some(Step::Index(index)) => *index += 1,
                _ => is_key = true,
            },
            b'"' => {
                at = end_of_string(bytes, at);
                if let (true, Some(Step::Key(key))) = (is_key, path.last_mut()) {
                    let name = bytes.get(start + 1..at - 1).unwrap_or_default();
                    *key = String::from_utf8_lossy(name).into_owned();
                    is_key = false;
                }
            }
            _ => {}
        }
    }
    path
}

/// One step from a value to one inside of it.
pub(crate) enum Step {
    Key(String),
    Index(usize),
}

/// The offset behind the quotation mark that ends the string whose contents begin at `at`.
pub(crate) fn end_of_string(bytes: &[u8], mut at: usize) -> usize {
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    bytes.len()
}

fn render(path: &[Step]) -> String {
    let mut text = String::new();
    for step in path {
        match step {
            // An object of which no key was read yet.
            Step::Key(key) if key.is_empty() => {}
            Step::Key(key) => {
                if !text.is_empty() {
                    text.push('.');
                }
                text.push_str(key);
            }
            Step::Index(index) => text.push_str(&format!("[{index}]")),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path_at(bytes: &[u8], end: usize) -> String {
        render(&steps_to(bytes, end))
    }

    #[test]
    fn a_byte_is_where_it_is() {
        let text = br#"{"a": {"b": [1, {"c": "x\"}"}], "d": 2}, "e": [[], [3]]}"#;
        for (needle, path) in
            [("1,", "a.b[0]"), ("x", "a.b[1].c"), ("2}", "a.d"), ("3]", "e[1][0]")]
        {
            let at = text.windows(needle.len()).position(|w| w == needle.as_bytes()).unwrap();
            assert_eq!(path_at(text, at + 1), path, "{needle}");
        }
    }

    #[test]
    fn a_broken_document_has_a_path_too() {
        assert_eq!(path_at(br#"{"a": {"b": "unfin"#, 18), "a.b");
        assert_eq!(path_at(br#"{"a": [1, 2, {"#, 14), "a[2]");
        assert_eq!(path_at(b"", 1), "");
        assert_eq!(path_at(b"]]]}}}", 6), "");
        assert_eq!(path_at(b"\"", 1), "");
    }
}
