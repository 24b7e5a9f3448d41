//! What of CRIU's log a reader needs: the lines that tell of errors, and what led to each.
//!
//! CRIU answers with an errno that is 0 more often than not; the reason is in a file of some hundred
//! lines, which is often gone by the time that somebody asks. So it becomes part of the error.

use std::path::Path;

/// Lines that are shown before each error.
const BEFORE: usize = 2;
/// Lines that are shown at all.
const MOST: usize = 24;

/// The end of a log, as a reader needs it.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Quote {
    /// What went wrong first, in CRIU's words.
    pub(super) cause: Option<String>,
    /// The lines, each with its number; `...` where some were left out.
    pub(super) lines: Vec<String>,
}

/// Reads the log at `path`; one that isn't there says nothing.
pub(super) fn read(path: &Path) -> Quote {
    let bytes = std::fs::read(path).unwrap_or_default();
    quote(&String::from_utf8_lossy(&bytes))
}

/// What matters of a log.
pub(super) fn quote(log: &str) -> Quote {
    let lines: Vec<&str> = log.lines().collect();
    let errors: Vec<usize> = (0..lines.len()).filter(|n| is_error(lines[*n])).collect();
    let mut quoted = Vec::new();
    let mut next = 0;
    for error in &errors {
        let first = error.saturating_sub(BEFORE).max(next);
        if !quoted.is_empty() && first > next {
            quoted.push("...".to_owned());
        }
        quoted.extend((first..=*error).map(|n| format!("{}: {}", n + 1, lines[n].trim_end())));
        next = error + 1;
    }
    if quoted.len() > MOST {
        quoted.truncate(MOST);
        quoted.push("...".to_owned());
    }
    Quote { cause: cause(errors.iter().map(|n| lines[*n])), lines: quoted }
}

/// The same of what it printed before it had a log: all of it, where it tells of no error.
pub(super) fn quote_printed(said: &str) -> Quote {
    let quote = quote(said);
    if !quote.lines.is_empty() {
        return quote;
    }
    Quote { cause: None, lines: said.lines().take(MOST).map(str::to_owned).collect() }
}

fn is_error(line: &str) -> bool {
    line.contains("Error (")
}

/// What CRIU says of itself and of this machine before it begins, or after what it says really.
const ASIDE: [&str; 3] = ["exited, ", "tun: ", "rlimit: "];

/// The first error is what the others follow from.
fn cause<'l>(errors: impl Iterator<Item = &'l str>) -> Option<String> {
    let said: Vec<&str> = errors.map(sentence).collect();
    let matters = |sentence: &&&str| !ASIDE.iter().any(|aside| sentence.starts_with(aside));
    said.iter().find(matters).or(said.first()).map(|sentence| (*sentence).to_owned())
}

/// What a line says, without when and where.
pub(super) fn sentence(line: &str) -> &str {
    let behind = line.split_once("Error (").and_then(|(_, behind)| behind.split_once("): "));
    behind.map_or(line, |(_, sentence)| sentence).trim()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = "\
(00.104952) Add cgroup ns 14 pid 468
(00.105497) Lock network
(00.105521) Running network-lock scripts
(00.105531) \tRPC
Error (criu/util.c:627): execvp(\"iptables-restore\", ...) failed: No such file or directory
(00.130893) Error (criu/util.c:642): exited, status=1
(00.151848) one more
(00.151849) two more
(00.151849) three more
(00.192332) Error (criu/cr-dump.c:2053): Dumping FAILED.
(00.192333) the end
";

    #[test]
    fn errors_with_what_led_to_them() {
        let quote = quote(LOG);
        assert_eq!(
            quote.cause.as_deref(),
            Some("execvp(\"iptables-restore\", ...) failed: No such file or directory")
        );
        let numbers: Vec<&str> =
            quote.lines.iter().map(|line| line.split(':').next().unwrap()).collect();
        assert_eq!(numbers, ["3", "4", "5", "6", "...", "8", "9", "10"]);
    }

    #[test]
    fn that_a_program_ended_is_the_cause_only_where_nothing_else_is_said() {
        let exited = "(0) Error (criu/util.c:642): exited, status=1\n";
        assert_eq!(quote(exited).cause.as_deref(), Some("exited, status=1"));
        let both = format!("{exited}(0) Error (criu/net.c:1): Locking network failed\n");
        assert_eq!(quote(&both).cause.as_deref(), Some("Locking network failed"));
    }

    #[test]
    fn a_log_without_errors_is_not_shown_and_a_long_one_not_whole() {
        assert_eq!(quote("(0) fine\n"), Quote::default());
        let long = "(0) Error (a.c:1): x\n".repeat(100);
        assert_eq!(quote(&long).lines.len(), MOST + 1);
    }
}
