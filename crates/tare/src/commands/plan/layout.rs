//! A document as text: a heading for each part, names and values in columns, lists of objects as
//! tables. What is empty is left out.

use serde_json::{Map, Value};

/// Longer lines are broken between words.
const WIDTH: usize = 100;

/// The whole document.
pub(super) fn text(document: &Value) -> String {
    let mut text = String::new();
    for (name, value) in document.as_object().into_iter().flatten() {
        if is_empty(value) {
            continue;
        }
        if !text.is_empty() {
            text.push('\n');
        }
        text.push_str(name);
        text.push('\n');
        put(value, 2, &mut text);
    }
    text
}

/// Absent, or no, or nothing in it.
fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Bool(true) | Value::Number(_) => false,
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.values().all(is_empty),
    }
}

fn put(value: &Value, indent: usize, text: &mut String) {
    match value {
        Value::Object(map) => put_object(map, indent, text),
        Value::Array(list) if list.iter().any(Value::is_object) => put_table(list, indent, text),
        other => put_words(&words(other), indent, indent, text),
    }
}

fn put_object(map: &Map<String, Value>, indent: usize, text: &mut String) {
    // Long lists that are the same are one, with several names.
    let mut members: Vec<(String, &Value)> = Vec::new();
    for (name, value) in map.iter().filter(|(_, value)| !is_empty(value)) {
        let long = |value: &Value| value.as_array().is_some_and(|list| list.len() > 3);
        match members.last_mut().filter(|(_, last)| *last == value && long(value)) {
            Some((names, _)) => *names = format!("{names}, {name}"),
            None => members.push((name.clone(), value)),
        }
    }
    let is_wide = |value: &Value| match value {
        Value::Object(_) => true,
        Value::Array(list) => list.iter().any(Value::is_object),
        _ => false,
    };
    let narrow = members.iter().filter(|(_, value)| !is_wide(value));
    let widths = narrow.map(|(name, _)| name.len());
    let width = widths.max().unwrap_or(0) + 2;
    for (name, value) in &members {
        text.extend(std::iter::repeat_n(' ', indent));
        text.push_str(name);
        if is_wide(value) {
            text.push('\n');
            put(value, indent + 2, text);
            continue;
        }
        text.extend(std::iter::repeat_n(' ', width - name.len()));
        put_words(&words(value), indent + width, 0, text);
    }
}

/// Words on lines; the first one begins `first` columns further right than the text is now.
fn put_words(words: &[String], indent: usize, first: usize, text: &mut String) {
    text.extend(std::iter::repeat_n(' ', first));
    let mut column = indent;
    for (n, word) in words.iter().enumerate() {
        // Where a rule or a path has blanks, what separates must be wider.
        if n > 0 && column + 2 + word.len() > WIDTH {
            text.push('\n');
            text.extend(std::iter::repeat_n(' ', indent));
            column = indent;
        } else if n > 0 {
            text.push_str("  ");
            column += 2;
        }
        text.push_str(word);
        column += word.len();
    }
    text.push('\n');
}

fn put_table(rows: &[Value], indent: usize, text: &mut String) {
    let rows: Vec<&Map<String, Value>> = rows.iter().filter_map(Value::as_object).collect();
    let mut columns: Vec<&str> = Vec::new();
    for (name, value) in rows.iter().copied().flatten() {
        if !is_empty(value) && !columns.contains(&name.as_str()) {
            columns.push(name);
        }
    }
    // The order of the first row, whatever is empty in it.
    if let Some(first) = rows.first() {
        columns.sort_by_key(|column| first.keys().position(|name| name == column));
    }
    let cell = |row: &Map<String, Value>, column: &str| match row.get(column) {
        None => String::new(),
        Some(value) if is_empty(value) => String::new(),
        Some(value) => words(value).join(" "),
    };
    let mut lines: Vec<Vec<String>> =
        vec![columns.iter().map(|column| column.to_uppercase()).collect()];
    lines.extend(rows.iter().map(|row| columns.iter().map(|column| cell(row, column)).collect()));
    let width = |n: usize| lines.iter().map(|line| line[n].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns.len()).map(width).collect();
    for line in &lines {
        let mut row = " ".repeat(indent);
        for (cell, width) in line.iter().zip(&widths) {
            row.push_str(&format!("{cell:width$}  "));
        }
        text.push_str(row.trim_end());
        text.push('\n');
    }
}

/// The words of a list, or of a single value.
fn words(value: &Value) -> Vec<String> {
    match value {
        Value::Array(list) => list.iter().map(scalar).collect(),
        other => vec![scalar(other)],
    }
}

/// A value that is no list; text with blanks at its ends, or of several lines, in quotation marks.
fn scalar(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::Bool(on) => (if *on { "yes" } else { "no" }).to_owned(),
        Value::String(text) if text.is_empty() || text.trim() != text || text.contains('\n') => {
            format!("{text:?}")
        }
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn columns_tables_and_nothing_empty() {
        let document = json!({
            "none": { "a": null, "b": [] },
            "first": { "name": "x", "longer name": [1, 2], "no": false, "yes": true },
            "table": [ { "one": "a", "two": "", "three": 3 }, { "one": "bb", "two": "c", "four": [1] } ],
            "list": ["b", "c d", ""],
            "sets": { "one": [1, 2, 3, 4], "two": [1, 2, 3, 4], "three": [1] },
        });
        let expected = "\
first
  name         x
  longer name  1  2
  yes          yes

table
  FOUR  ONE  TWO  THREE
        a         3
  1     bb   c

list
  b  c d  \"\"

sets
  one, two  1  2  3  4
  three     1
";
        assert_eq!(text(&document), expected);
    }

    #[test]
    fn long_lists_are_broken() {
        let words: Vec<String> = (0..40).map(|n| format!("word-{n}")).collect();
        let text = text(&json!({ "a": { "list": words } }));
        assert!(text.lines().count() > 3 && text.lines().all(|line| line.len() <= WIDTH), "{text}");
        assert_eq!(text.split_whitespace().count(), 42);
    }
}
