//! Everything in a configuration that can't be read, not only the first such thing.
//!
//! The parser that `create` has stops at its first error. Here what it stumbled on is blanked out of
//! a copy, by spaces, and it is asked again: so its answers are the only rules, and every byte stays
//! where it is in the file.

use serde_json::error::Category;

use crate::Spec;
use crate::parse::{ParseError, locate, offset, steps_to};
use crate::place::{self, Place, child_at};

/// More than anybody reads.
const MOST: usize = 100;

/// A configuration without what can't be read of it.
#[derive(Debug)]
pub struct Mended {
    /// The document as it is, but for its syntax.
    syntax: Vec<u8>,
    /// The document without what can't be read.
    text: Vec<u8>,
    /// All that can't be read.
    pub errors: Vec<ParseError>,
    /// Whether the rest can be read.
    pub is_readable: bool,
}

/// Looks for everything that can't be read.
pub fn mend(bytes: &[u8]) -> Mended {
    let mut mended = Mended {
        syntax: bytes.to_vec(),
        text: bytes.to_vec(),
        errors: Vec::new(),
        is_readable: false,
    };
    for _ in 0..MOST {
        let error = match crate::parse::utf8(&mended.text) {
            Ok(()) => match serde_json::from_slice::<Spec<'_>>(&mended.text) {
                Ok(_) => {
                    mended.is_readable = true;
                    break;
                }
                Err(error) => error,
            },
            Err(error) => {
                mended.errors.push(error);
                break;
            }
        };
        let end = offset(&mended.text, error.line(), error.column());
        let found = locate(&mended.syntax, &error);
        let mends = match error.classify() {
            Category::Data => mended.blank(end, found),
            _ => mended.mend_syntax(end, found),
        };
        if !mends {
            break;
        }
    }
    mended
}

impl Mended {
    /// The document without what can't be read: as long as the file, each byte in its place.
    pub fn bytes(&self) -> &[u8] {
        &self.text
    }

    /// Where in the file something is that a pointer into [`Mended::bytes`] names, and the pointer
    /// into the file: there a list may have more elements.
    pub fn place(&self, pointer: &str) -> (Place, String) {
        let at = place::find(&self.text, pointer);
        let mut known = place::pointer(&steps_to(&self.syntax, at));
        if !self.names(pointer, at) {
            // What is not there has its names from the pointer, behind those of what is around it.
            let depth = known.split('/').count();
            for token in pointer.split('/').skip(depth) {
                known.push('/');
                known.push_str(token);
            }
        }
        (place::place(&self.text, at), known)
    }

    fn names(&self, pointer: &str, at: usize) -> bool {
        let parent = pointer.rsplit_once('/').map_or("", |(parent, _)| parent);
        place::find(&self.text, parent) != at
    }

    /// Whether a pointer is to something that couldn't be read, or to what is in it.
    pub fn hides(&self, pointer: &str) -> bool {
        self.errors.iter().any(|error| {
            let rest = pointer.strip_prefix(&*error.pointer);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        })
    }

    /// Takes the value out that could not be understood.
    fn blank(&mut self, end: usize, found: ParseError) -> bool {
        let Some(child) = child_at(&self.text, end) else {
            self.errors.push(found);
            return false;
        };
        let mut found = found;
        found.pointer = place::pointer(&steps_to(&self.syntax, child.value));
        let Place { line, column } = place::place(&self.text, child.value);
        (found.line, found.column) = (line, column);
        // An object may lack what was taken out of it.
        let follows = found.message.starts_with("missing field")
            && self.errors.iter().any(|error| error.pointer.starts_with(&found.pointer));
        if !follows {
            self.errors.push(found);
        }
        let rest = &self.text[child.end..];
        let comma = rest.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
        let mut range = child.start..child.end;
        if rest.get(comma) == Some(&b',') {
            range.end += comma + 1;
        } else {
            let before = &self.text[..child.start];
            let spaces = before.iter().rev().take_while(|b| b.is_ascii_whitespace()).count();
            if before.get(before.len().wrapping_sub(spaces + 1)) == Some(&b',') {
                range.start -= spaces + 1;
            }
        }
        blank(&mut self.text[range]);
        true
    }

    /// Sets right what people write who take JSON for JavaScript; the rest ends it.
    fn mend_syntax(&mut self, end: usize, mut found: ParseError) -> bool {
        let at = end.saturating_sub(1);
        let here = self.text.get(at).copied().unwrap_or(b' ');
        let spaces =
            |bytes: &[u8]| bytes.iter().rev().take_while(|b| b.is_ascii_whitespace()).count();
        let before = self.text.get(..at).unwrap_or_default();
        let gap = spaces(before);
        let mut change = None;
        if here == b'/' {
            "a comment".clone_into(&mut found.message);
            let rest = self.text.get(at..).unwrap_or_default();
            let length = match rest.get(1) {
                Some(b'*') => {
                    rest.windows(2).position(|two| two == b"*/").map_or(rest.len(), |n| n + 2)
                }
                _ => rest.iter().position(|&byte| byte == b'\n').unwrap_or(rest.len()),
            };
            change = Some((at..at + length, b' '));
        } else if let ("trailing comma", Some(comma)) =
            (&*found.message, before.len().checked_sub(gap + 1).filter(|&n| before[n] == b','))
        {
            let Place { line, column } = place::place(&self.text, comma);
            (found.line, found.column) = (line, column);
            change = Some((comma..comma + 1, b' '));
        } else if found.message.starts_with("expected `,`") && gap > 0 && begins_value(here) {
            change = Some((at - 1..at, b','));
        }
        self.errors.push(found);
        let Some((range, byte)) = change else { return false };
        for document in [&mut self.syntax, &mut self.text] {
            match byte {
                b' ' => blank(&mut document[range.clone()]),
                byte => document[range.clone()].fill(byte),
            }
        }
        true
    }
}

fn begins_value(byte: u8) -> bool {
    byte == b'"' || byte == b'{' || byte == b'[' || byte.is_ascii_digit()
}

/// Lines stay where they are.
fn blank(bytes: &mut [u8]) {
    bytes.iter_mut().filter(|byte| **byte != b'\n').for_each(|byte| *byte = b' ');
}

impl ParseError {
    /// What would be right there, as far as the parser knows.
    pub fn hint(&self) -> String {
        let right = match self.message.as_str() {
            "trailing comma" => "no comma behind the last element",
            "a comment" => "nothing: JSON has no comments",
            message if message.starts_with("EOF") => "the rest of the document: it ends too early",
            message if message.starts_with("expected `,`") => "a comma between elements",
            message if message.starts_with("duplicate field") => "each property once",
            message if message.starts_with("missing field") => "all properties of the object",
            message => match message.rsplit_once("expected ") {
                Some((_, "a map")) => "an object: { ... }",
                Some((_, "a sequence")) => "a list: [ ... ]",
                Some((_, "a boolean")) => "true or false",
                Some((_, kind)) => match kind {
                    "u8" => "a whole number, 0 to 255",
                    "u16" => "a whole number, 0 to 65535",
                    "u32" => "a whole number, 0 to 4294967295",
                    "u64" => "a whole number, 0 or more",
                    "i32" => "a whole number, -2147483648 to 2147483647",
                    "i64" => "a whole number",
                    other => other,
                },
                None => "JSON (RFC 8259)",
            },
        };
        right.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn errors(text: &str) -> Vec<String> {
        let mended = mend(text.as_bytes());
        let show = |error: &ParseError| {
            let ParseError { line, column, pointer, message, .. } = error;
            format!("{line}:{column} {pointer} {message} -> {}", error.hint())
        };
        let mut lines: Vec<String> = mended.errors.iter().map(show).collect();
        lines.push(if mended.is_readable { "readable" } else { "unreadable" }.to_owned());
        lines
    }

    #[test]
    fn every_value_of_a_wrong_type_is_told() {
        let text = r#"{
  "ociVersion": 1,
  "process": {
    "user": { "uid": "root", "gid": 0 },
    "args": ["sh", 5, "x", {}],
    "terminal": "no"
  },
  "mounts": {},
  "linux": { "uidMappings": [{ "containerID": 0, "hostID": -1, "size": 1 }, { "size": 1 }] }
}"#;
        let number = "a whole number, 0 to 4294967295";
        assert_eq!(
            errors(text),
            [
                "2:17 /ociVersion invalid type: integer `1`, expected a string -> a string",
                &format!(
                    "4:22 /process/user/uid invalid type: string \"root\", expected u32 -> {number}"
                ),
                "5:20 /process/args/1 invalid type: integer `5`, expected a string -> a string",
                "5:28 /process/args/3 invalid type: map, expected a string -> a string",
                "6:17 /process/terminal invalid type: string \"no\", expected a boolean -> true or false",
                "8:13 /mounts invalid type: map, expected a sequence -> a list: [ ... ]",
                &format!(
                    "9:60 /linux/uidMappings/0/hostID invalid value: integer `-1`, expected u32 -> {number}"
                ),
                "9:77 /linux/uidMappings/1 missing field `containerID` -> all properties of the object",
                "readable",
            ]
        );
    }

    #[test]
    fn javascript_is_mended_and_the_rest_ends_it() {
        let text = "{\n  // the version\n  \"ociVersion\": \"1.0.2\",\n  \"hostname\": 5\n  \"mounts\": [1 2,],\n}";
        let found = errors(text);
        assert_eq!(found[0], "2:3  a comment -> nothing: JSON has no comments");
        assert_eq!(
            found[1],
            "4:15 /hostname invalid type: integer `5`, expected a string -> a string"
        );
        assert!(found.iter().any(|line| line.contains("no comma behind the last")), "{found:#?}");
        assert_eq!(found.last().unwrap(), "readable", "{found:#?}");
        for broken in [
            "",
            "[]",
            "{",
            "{\"a\"",
            "{\"ociVersion\": tru}",
            "\u{feff}{}",
            "{\"process\": {\"args\": [\"",
        ] {
            assert_eq!(errors(broken).last().unwrap(), "unreadable", "{broken}");
        }
    }

    #[test]
    #[allow(clippy::disallowed_methods, reason = "the corpus is read from a file")]
    fn whatever_is_broken_it_ends() {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/docker-tty.json");
        let good = std::fs::read(file).unwrap();
        assert!(mend(&good).errors.is_empty());
        for at in (0..good.len()).step_by(31) {
            for byte in [b' ', b'"', b'{', b']', b'7', b',', b'/', 0xff] {
                let mut broken = good.clone();
                broken[at] = byte;
                let mended = mend(&broken);
                assert_eq!(mended.bytes().len(), good.len());
                assert!(mended.is_readable || !mended.errors.is_empty());
                let (place, _) = mended.place("/linux/seccomp/syscalls/3/names/2");
                assert!(place.line >= 1 && place.column <= good.len() + 1);
            }
        }
        // Cut off anywhere, it can't be read.
        for at in (0..good.len() - 2).step_by(11) {
            assert!(!mend(&good[..at]).is_readable, "{at}");
        }
    }

    #[test]
    fn a_place_in_the_mended_document_is_one_in_the_file() {
        let text = br#"{ "process": { "args": [5, "x"] }, "mounts": [1, { "type": "proc" }] }"#;
        let mended = mend(text);
        assert!(mended.is_readable);
        let at = |pointer: &str| {
            let (place, pointer) = mended.place(pointer);
            (place.column, pointer)
        };
        assert_eq!(at("/process/args/0"), (28, "/process/args/1".to_owned()));
        assert_eq!(at("/mounts/0/type"), (60, "/mounts/1/type".to_owned()));
        assert_eq!(at("/mounts/0/destination"), (50, "/mounts/1/destination".to_owned()));
        assert_eq!(at("/process/cwd"), (14, "/process/cwd".to_owned()));
        assert_eq!(at("/linux/namespaces"), (1, "/linux/namespaces".to_owned()));
        assert_eq!(at(""), (1, String::new()));
        assert!(mended.hides("/process/args/0") && !mended.hides("/process/args"));
    }
}
