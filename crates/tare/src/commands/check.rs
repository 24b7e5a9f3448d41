//! `check`: everything that is wrong with a bundle on this host, each with its place.

use std::path::Path;

use engine::{Bundle, Finding, Question};
use serde_json::{Value, json};

use super::lifecycle::cgroups;
use super::{Failure, Outcome, print};
use crate::args::Parsed;

/// `check`: 0 if nothing is wrong, else 1.
pub(crate) fn check(parsed: &Parsed) -> Outcome {
    let mut file = format!("{}/config.json", named(parsed));
    let looked = bundle(parsed).and_then(|bundle| {
        file.clone_from(&bundle.file);
        Ok(engine::check(&question(parsed, &bundle)?)?)
    });
    let findings = looked.unwrap_or_else(|failure| vec![as_a_whole(&file, &failure.sentence)]);
    let text = match parsed.flags.on("json") {
        true => format!("{:#}\n", document(&file, &findings)),
        false => text(&file, &findings),
    };
    print(text.as_bytes())?;
    Ok(u8::from(findings.iter().any(|finding| finding.is_problem)))
}

/// The bundle that is named, or the working directory.
pub(super) fn bundle(parsed: &Parsed) -> Result<Bundle, Failure> {
    Ok(Bundle::open(Path::new(named(parsed)), parsed.flags.get("config").map(Path::new))?)
}

fn named(parsed: &Parsed) -> &str {
    parsed.positionals.first().map_or(".", String::as_str)
}

/// What is wrong with the file itself: it isn't there, or empty.
fn as_a_whole(file: &str, sentence: &str) -> Finding {
    let own = sentence.strip_prefix(file).and_then(|rest| rest.strip_prefix(": "));
    Finding {
        is_problem: true,
        place: None,
        pointer: String::new(),
        sentence: own.unwrap_or(sentence).to_owned(),
        hint: "a configuration; `tare spec` writes one".to_owned(),
    }
}

/// What is asked of a bundle: the same as of `create`.
pub(super) fn question<'a>(
    parsed: &'a Parsed,
    bundle: &'a Bundle,
) -> Result<Question<'a>, Failure> {
    Ok(Question {
        id: parsed.flags.get("id").unwrap_or("ID"),
        bundle,
        cgroups: cgroups(parsed)?,
        no_pivot: parsed.flags.on("no-pivot"),
        keep_keyring: parsed.flags.on("no-new-keyring"),
    })
}

/// A line for each finding, as compilers write them, and what would be right below it.
fn text(file: &str, findings: &[Finding]) -> String {
    let mut text = String::new();
    for Finding { is_problem, place, pointer, sentence, hint } in findings {
        text.push_str(file);
        if let Some(spec::Place { line, column }) = place {
            text.push_str(&format!(":{line}:{column}"));
        }
        text.push_str(if *is_problem { ": error: " } else { ": warning: " });
        if !pointer.is_empty() {
            text.push_str(&format!("{pointer}: "));
        }
        text.push_str(sentence);
        text.push('\n');
        if !hint.is_empty() {
            text.push_str(&format!("    right: {hint}\n"));
        }
    }
    let problems = findings.iter().filter(|finding| finding.is_problem).count();
    let warnings = findings.len() - problems;
    let count = |n: usize, what: &str| match n {
        0 => format!("no {what}s"),
        1 => format!("1 {what}"),
        n => format!("{n} {what}s"),
    };
    let warned =
        if warnings > 0 { format!(", {}", count(warnings, "warning")) } else { String::new() };
    text.push_str(&format!("{file}: {}{warned}\n", count(problems, "error")));
    text
}

fn document(file: &str, findings: &[Finding]) -> Value {
    let of = |problems: bool| {
        let one = |finding: &Finding| {
            let Finding { is_problem: _, place, pointer, sentence, hint } = finding;
            json!({
                "line": place.map(|place| place.line),
                "column": place.map(|place| place.column),
                "pointer": pointer,
                "message": sentence,
                "right": if hint.is_empty() { Value::Null } else { hint.as_str().into() },
            })
        };
        let chosen = findings.iter().filter(move |finding| finding.is_problem == problems);
        chosen.map(one).collect::<Vec<_>>()
    };
    json!({ "file": file, "errors": of(true), "warnings": of(false) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings() -> Vec<Finding> {
        let at = |line, column| Some(spec::Place { line, column });
        let finding = |is_problem, place, pointer: &str, sentence: &str, hint: &str| Finding {
            is_problem,
            place,
            pointer: pointer.to_owned(),
            sentence: sentence.to_owned(),
            hint: hint.to_owned(),
        };
        vec![
            finding(true, at(7, 12), "/process/cwd", "Cwd must be absolute", "/tmp"),
            finding(false, at(9, 3), "/hostName", "this property is not read", ""),
        ]
    }

    #[test]
    fn lines_are_those_of_compilers() {
        assert_eq!(
            text("/b/config.json", &findings()),
            "/b/config.json:7:12: error: /process/cwd: Cwd must be absolute\n    right: /tmp\n\
             /b/config.json:9:3: warning: /hostName: this property is not read\n\
             /b/config.json: 1 error, 1 warning\n"
        );
        assert_eq!(text("c.json", &[]), "c.json: no errors\n");
    }

    #[test]
    fn the_document_has_errors_and_warnings_apart() {
        let document = document("/b/config.json", &findings());
        assert_eq!(document["errors"].as_array().map(Vec::len), Some(1));
        assert_eq!(document["errors"][0]["line"], 7);
        assert_eq!(document["errors"][0]["right"], "/tmp");
        assert_eq!(document["warnings"][0]["right"], Value::Null);
    }
}
