//! A check: a script, and what is to be seen of it. The tables in `checks` are made of these.

use std::fmt;
use std::ops::Range;

use crate::shell::Outcome;

/// One check. The script sees these variables:
///
/// - `$E`: the engine's command (`podman`, `docker`, `ctr`)
/// - `$I`, `$D`: the images, busybox and Debian
/// - `$N`: a name for a container, which is removed after the check
/// - `$W`: an empty directory
/// - `$V`: `1` or `2`, the version of the cgroups that hold the limits
pub(crate) struct Check {
    pub(crate) name: &'static str,
    pub(crate) script: String,
    /// What is typed, a line at each prompt, for a check that runs on a terminal.
    pub(crate) typed: Option<&'static str>,
    /// The runtime's command without which the check is for a later release.
    pub(crate) needs: Option<&'static str>,
    /// Why this machine or engine can't do this.
    pub(crate) skip: Option<String>,
    code: i32,
    wanted: Vec<Wanted>,
    seconds: Option<Range<f64>>,
}

enum Wanted {
    Is(String),
    Has(String),
    HasNot(String),
}

/// A check that wants its script to end with 0, every command in it included (`sh -e`).
pub(crate) fn check(name: &'static str, script: impl Into<String>) -> Check {
    Check {
        name,
        script: script.into(),
        typed: None,
        needs: None,
        skip: None,
        code: 0,
        wanted: Vec::new(),
        seconds: None,
    }
}

impl Check {
    /// Wants this exit code.
    pub(crate) fn exits(mut self, code: i32) -> Self {
        self.code = code;
        self
    }

    /// Wants exactly this output, the white space around it and between its words aside.
    pub(crate) fn prints(mut self, text: &str) -> Self {
        self.wanted.push(Wanted::Is(words(text)));
        self
    }

    /// Wants this somewhere in the output.
    pub(crate) fn has(mut self, text: &str) -> Self {
        self.wanted.push(Wanted::Has(text.to_owned()));
        self
    }

    /// Wants this nowhere in the output.
    pub(crate) fn has_not(mut self, text: &str) -> Self {
        self.wanted.push(Wanted::HasNot(text.to_owned()));
        self
    }

    /// Runs on a terminal, and types each of these lines at a prompt of its own.
    pub(crate) fn types(mut self, keys: &'static str) -> Self {
        self.typed = Some(keys);
        self
    }

    /// Wants the script to take so many seconds.
    pub(crate) fn takes(mut self, seconds: Range<f64>) -> Self {
        self.seconds = Some(seconds);
        self
    }

    /// Is planned for a later release as long as the runtime lacks this command.
    pub(crate) fn needs(mut self, command: &'static str) -> Self {
        self.needs = Some(command);
        self
    }

    /// Skips the check when `lacking` holds.
    pub(crate) fn unless(mut self, lacking: bool, why: &str) -> Self {
        if lacking {
            self.skip = Some(why.to_owned());
        }
        self
    }

    /// What is wrong with an outcome, if anything is.
    pub(crate) fn fault(&self, outcome: &Outcome) -> Option<Fault> {
        let said = &outcome.said;
        let mut faults = Vec::new();
        if outcome.code != self.code {
            faults.push(format!("exit code {}, wanted {}", outcome.code, self.code));
        }
        for wanted in &self.wanted {
            match wanted {
                Wanted::Is(text) if words(said) != *text => faults.push(format!("wanted {text:?}")),
                Wanted::Has(text) if !said.contains(text) => faults.push(format!("no {text:?}")),
                Wanted::HasNot(text) if said.contains(text) => {
                    faults.push(format!("there is {text:?}"))
                }
                _ => {}
            }
        }
        let took = outcome.took.as_secs_f64();
        if let Some(Range { start, end }) = self.seconds.clone().filter(|s| !s.contains(&took)) {
            faults.push(format!("took {took:.1} s, wanted {start} to {end}"));
        }
        (!faults.is_empty()).then(|| Fault { faults, said: said.clone() })
    }
}

/// The differences, and the end of what was seen.
pub(crate) struct Fault {
    faults: Vec<String>,
    said: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.faults.join("; "))?;
        let lines: Vec<&str> = self.said.lines().filter(|line| !line.trim().is_empty()).collect();
        for line in lines.iter().skip(lines.len().saturating_sub(8)) {
            write!(f, "\n         | {}", line.chars().take(300).collect::<String>())?;
        }
        Ok(())
    }
}

/// The words of a text with one space between them.
fn words(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn outcome(code: i32, said: &str) -> Outcome {
        Outcome { code, said: said.to_owned(), took: Duration::from_secs(1) }
    }

    #[test]
    fn an_outcome_as_wanted_has_no_fault() {
        let check = check("", "").exits(3).prints("a b").has("a").has_not("c").takes(0.0..2.0);
        assert!(check.fault(&outcome(3, " a\n b\n")).is_none());
    }

    #[test]
    fn each_difference_is_named() {
        let check = check("", "").prints("a").has("b").has_not("c").takes(2.0..3.0);
        let fault = check.fault(&outcome(1, "c")).expect("a fault").to_string();
        let wanted = "exit code 1, wanted 0; wanted \"a\"; no \"b\"; there is \"c\"; took 1.0 s, wanted 2 to 3";
        assert_eq!(fault.lines().next(), Some(wanted));
    }
}
