use std::fmt;

/// Something in the configuration that cannot be done, and where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// JSON pointer without its leading slash, relative to what was compiled
    /// (`linux.seccomp`, or one device rule): `syscalls/3/args/0/op`.
    pub pointer: String,
    /// What is wrong, as a sentence whose subject is what the pointer points at.
    pub sentence: String,
    /// What would be right there.
    pub hint: String,
}

impl Problem {
    pub(crate) fn new(
        pointer: impl Into<String>,
        sentence: impl Into<String>,
        hint: impl Into<String>,
    ) -> Problem {
        Problem { pointer: pointer.into(), sentence: sentence.into(), hint: hint.into() }
    }

    /// The same, seen from further up.
    pub(crate) fn below(self, place: impl fmt::Display) -> Problem {
        Problem { pointer: format!("{place}/{}", self.pointer), ..self }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.pointer, self.sentence)
    }
}
