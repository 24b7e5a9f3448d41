//! What is wrong with a configuration, all of it at once.

use std::fmt;

/// One thing in the configuration that can't be done.
///
/// Displays as `/process/cwd: must be an absolute path, not "tmp"`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Where, as a JSON pointer (RFC 6901) into `config.json`.
    pub pointer: String,
    /// What is wrong there.
    pub sentence: String,
    /// What would be right there: what `tare check` adds. Known best where the refusal is made.
    pub hint: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.pointer.is_empty() {
            return f.write_str(&self.sentence);
        }
        write!(f, "{}: {}", self.pointer, self.sentence)
    }
}

/// Everything that a plan was refused for; never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusals(pub Vec<Refusal>);

impl fmt::Display for Refusals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, refusal) in self.0.iter().enumerate() {
            if n > 0 {
                f.write_str("; ")?;
            }
            refusal.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for Refusals {}

/// Collects refusals and warnings while a plan is made.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    pub(crate) refusals: Vec<Refusal>,
    pub(crate) warnings: Vec<String>,
}

impl Findings {
    /// Refuses what is at `pointer`: what is wrong, and what would be right.
    pub(crate) fn refuse(
        &mut self,
        pointer: impl Into<String>,
        sentence: impl Into<String>,
        hint: impl Into<String>,
    ) {
        let (pointer, sentence, hint) = (pointer.into(), sentence.into(), hint.into());
        self.refusals.push(Refusal { pointer, sentence, hint });
    }

    /// Refuses what can't be compiled of what is at `pointer`.
    pub(crate) fn refuse_problems(&mut self, pointer: &str, problems: Vec<bpf::Problem>) {
        for problem in problems {
            let at = format!("{pointer}/{}", problem.pointer);
            self.refuse(at, problem.sentence, problem.hint);
        }
    }

    pub(crate) fn warn(&mut self, sentence: impl Into<String>) {
        self.warnings.push(sentence.into());
    }

    /// The plan, if nothing was refused.
    pub(crate) fn finish<P>(self, plan: P) -> Result<P, Refusals> {
        if self.refusals.is_empty() { Ok(plan) } else { Err(Refusals(self.refusals)) }
    }
}
