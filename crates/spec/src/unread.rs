//! Properties that nobody reads. To ignore them is the specification's rule (config.md,
//! "Extensibility"), but who wrote `capabilites` did not mean that.

use serde_json::Value;

use crate::Spec;

/// A property of a configuration that these types don't have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unread {
    /// Where it is, as a JSON pointer.
    pub pointer: String,
    /// The property that may have been meant.
    pub meant: Option<String>,
}

/// What the specification has for other platforms.
const ELSEWHERE: [&str; 5] = ["/windows", "/solaris", "/vm", "/zos", "/freebsd"];

/// All that is in the document and not in what was read from it.
pub fn unread(bytes: &[u8], config: &Spec<'_>) -> Vec<Unread> {
    let mut unread = Vec::new();
    if let (Ok(document), Ok(read)) = (serde_json::from_slice(bytes), serde_json::to_value(config))
    {
        compare(&document, &read, "", &mut unread);
    }
    unread.retain(|unread| !ELSEWHERE.contains(&&*unread.pointer));
    unread
}

fn compare(document: &Value, read: &Value, at: &str, unread: &mut Vec<Unread>) {
    match (document, read) {
        (Value::Object(document), Value::Object(read)) => {
            for (name, value) in document {
                let pointer = format!("{at}/{}", name.replace('~', "~0").replace('/', "~1"));
                if let Some(read) = read.get(name) {
                    compare(value, read, &pointer, unread);
                    continue;
                }
                let others = read.keys().filter(|key| !document.contains_key(*key));
                let meant = others.min_by_key(|key| distance(name, key));
                let meant = meant.filter(|key| distance(name, key) <= 1 + key.len() / 5).cloned();
                unread.push(Unread { pointer, meant });
            }
        }
        (Value::Array(document), Value::Array(read)) => {
            for (n, (document, read)) in document.iter().zip(read).enumerate() {
                compare(document, read, &format!("{at}/{n}"), unread);
            }
        }
        _ => {}
    }
}

/// How many letters must be put in, taken out or changed; the case of letters is none.
fn distance(a: &str, b: &str) -> usize {
    let b = b.to_ascii_lowercase();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.to_ascii_lowercase().bytes().enumerate() {
        let mut diagonal = i;
        row[0] = i + 1;
        for (j, y) in b.bytes().enumerate() {
            let change = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = change.min(row[j] + 1).min(row[j + 1] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_read_is_found_with_what_was_meant() {
        let text = br#"{
            "ociVersion": "1.0.2", "hostName": "x", "windows": {}, "vendor": 1,
            "annotations": { "any": "thing" },
            "process": { "args": ["x"], "capabilites": {}, "oomScoreAdj": null },
            "mounts": [{ "destination": "/x", "option": ["ro"] }]
        }"#;
        let config = crate::parse(text).unwrap();
        let found: Vec<(String, Option<String>)> =
            unread(text, &config).into_iter().map(|u| (u.pointer, u.meant)).collect();
        let expected = [
            ("/hostName", Some("hostname")),
            ("/mounts/0/option", Some("options")),
            ("/process/capabilites", Some("capabilities")),
            ("/vendor", None),
        ];
        let expected = expected.map(|(at, meant)| (at.to_owned(), meant.map(str::to_owned)));
        let mut found = found;
        found.sort();
        assert_eq!(found, expected);
    }

    #[test]
    fn distances() {
        assert_eq!(distance("hostName", "hostname"), 0);
        assert_eq!(distance("option", "options"), 1);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("abc", "xbz"), 2);
    }
}
