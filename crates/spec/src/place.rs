//! Where the values of a document are, found without types: for what is said about a document that
//! was parsed already, or that can't be.

use crate::parse::{Step, end_of_string, steps_to};

/// A place in a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Line, from 1.
    pub line: usize,
    /// Column in bytes, from 1.
    pub column: usize,
}

/// The place of the byte at `offset`.
pub fn place(bytes: &[u8], offset: usize) -> Place {
    let before = bytes.get(..offset).unwrap_or(bytes);
    Place {
        line: before.iter().filter(|&&byte| byte == b'\n').count() + 1,
        column: before.iter().rev().take_while(|&&byte| byte != b'\n').count() + 1,
    }
}

/// Where the value begins that a JSON pointer (RFC 6901) names; where the document has none, the
/// nearest value around it. Of two members with one name the last counts, as for a parser.
pub fn find(bytes: &[u8], pointer: &str) -> usize {
    let mut at = skip_space(bytes, 0);
    for token in pointer.split('/').skip(1) {
        let token = token.replace("~1", "/").replace("~0", "~");
        let named = |child: &Child| child.is_named(bytes, &token);
        match Children::of(bytes, at).filter(named).last() {
            Some(child) => at = child.value,
            None => break,
        }
    }
    at
}

/// The innermost value of which the byte before `end` is the last one, or a part.
pub(crate) fn child_at(bytes: &[u8], end: usize) -> Option<Child> {
    let mut found: Option<Child> = None;
    loop {
        let at = found.as_ref().map_or_else(|| skip_space(bytes, 0), |child| child.value);
        match Children::of(bytes, at).find(|child| child.start <= end && end <= child.end) {
            Some(child) => found = Some(child),
            None => return found,
        }
    }
}

/// A value inside of an object or an array.
#[derive(Debug, Clone)]
pub(crate) struct Child {
    /// Where its name begins, or the value itself in an array.
    pub(crate) start: usize,
    /// Where the value begins.
    pub(crate) value: usize,
    /// Behind the value.
    pub(crate) end: usize,
    /// Its place in an array.
    index: Option<usize>,
}

impl Child {
    fn is_named(&self, bytes: &[u8], token: &str) -> bool {
        match self.index {
            Some(index) => token.parse() == Ok(index),
            None => {
                let end = end_of_string(bytes, self.start + 1);
                bytes.get(self.start + 1..end - 1).is_some_and(|name| name == token.as_bytes())
            }
        }
    }
}

/// The values inside of the one that begins at an offset; none of a scalar.
struct Children<'b> {
    bytes: &'b [u8],
    at: usize,
    index: Option<usize>,
}

impl<'b> Children<'b> {
    fn of(bytes: &'b [u8], at: usize) -> Children<'b> {
        match bytes.get(at) {
            Some(b'{') => Children { bytes, at: at + 1, index: None },
            Some(b'[') => Children { bytes, at: at + 1, index: Some(0) },
            _ => Children { bytes, at: bytes.len(), index: None },
        }
    }
}

impl Iterator for Children<'_> {
    type Item = Child;

    fn next(&mut self) -> Option<Child> {
        let bytes = self.bytes;
        let start = skip_space(bytes, self.at);
        if matches!(bytes.get(start), None | Some(b'}' | b']')) {
            return None;
        }
        let mut value = start;
        if self.index.is_none() {
            value = skip_space(bytes, skip_value(bytes, start));
            value = skip_space(bytes, value + usize::from(bytes.get(value) == Some(&b':')));
        }
        let end = skip_value(bytes, value);
        let comma = skip_space(bytes, end);
        self.at = (comma + usize::from(bytes.get(comma) == Some(&b','))).max(start + 1);
        let index = self.index;
        self.index = index.map(|index| index + 1);
        Some(Child { start, value, end, index })
    }
}

fn skip_space(bytes: &[u8], at: usize) -> usize {
    let rest = bytes.get(at..).unwrap_or_default();
    at + rest.iter().take_while(|byte| byte.is_ascii_whitespace()).count()
}

/// The offset behind the value that begins at `at`.
fn skip_value(bytes: &[u8], mut at: usize) -> usize {
    let mut depth = 0usize;
    while let Some(byte) = bytes.get(at) {
        at += 1;
        match byte {
            b'"' => at = end_of_string(bytes, at),
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ if depth == 0 => {
                let ends = |byte: &u8| byte.is_ascii_whitespace() || b",:]}".contains(byte);
                let rest = bytes.get(at..).unwrap_or_default();
                return at + rest.iter().take_while(|byte| !ends(byte)).count();
            }
            _ => {}
        }
        if depth == 0 {
            break;
        }
    }
    at.min(bytes.len())
}

/// The pointer to the value that the byte at `offset` is in.
pub fn pointer_at(bytes: &[u8], offset: usize) -> String {
    pointer(&steps_to(bytes, offset))
}

/// A member's name as a JSON pointer has it: without `/`, and `~` only as an escape.
pub fn pointer_token(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

/// A path as a JSON pointer.
pub(crate) fn pointer(path: &[Step]) -> String {
    let mut text = String::new();
    for step in path {
        match step {
            // An object of which no key was read yet.
            Step::Key(key) if key.is_empty() => {}
            Step::Key(key) => {
                text.push('/');
                text.push_str(&pointer_token(key));
            }
            Step::Index(index) => text.push_str(&format!("/{index}")),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &[u8] = br#"{
  "a": { "b~/c": [1, {"d": "x, \"}"}, [] ] },
  "e": true
}"#;

    fn at(pointer: &str) -> (usize, usize) {
        let Place { line, column } = place(TEXT, find(TEXT, pointer));
        (line, column)
    }

    #[test]
    fn a_pointer_leads_to_a_value() {
        for (pointer, found) in [
            ("", (1, 1)),
            ("/a", (2, 8)),
            ("/a/b~0~1c", (2, 18)),
            ("/a/b~0~1c/0", (2, 19)),
            ("/a/b~0~1c/1/d", (2, 28)),
            ("/a/b~0~1c/2", (2, 39)),
            ("/e", (3, 8)),
        ] {
            assert_eq!(at(pointer), found, "{pointer}");
        }
    }

    #[test]
    fn what_is_not_there_has_the_place_around_it() {
        assert_eq!(at("/nope"), (1, 1));
        assert_eq!(at("/a/nope/0"), (2, 8));
        assert_eq!(at("/a/b~0~1c/7"), (2, 18));
        assert_eq!(at("/e/x"), (3, 8));
        for broken in [&b"{"[..], b"", b"{\"a\"", b"{\"a\":", b"]", b"{\"a\": [1,", b"{,,}"] {
            assert!(find(broken, "/a/0") <= broken.len());
        }
    }
}
