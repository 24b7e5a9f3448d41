//! Cgroup v1's list: a default, and exceptions from it.
//!
//! The kernel (security/device_cgroup.c) allows an access in a list that denies by default if one
//! exception covers the device and *all* of the access, and denies it in a list that allows by
//! default if one exception covers the device and *any* of it. Exceptions with the same numbers
//! are one. A rule for what only a part of an exception covers is ignored without a word.

use std::collections::BTreeMap;
use std::fmt;

use super::table::{KINDS, Numbers, Patterns, close, lookup, parse_line};
use super::{Access, Kind, Rule, Table};

/// The list of a v1 cgroup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct List {
    /// What holds where there is no exception.
    pub allow: bool,
    exceptions: BTreeMap<(Kind, Numbers), Access>,
}

/// Access that v1 can't take from, or give to, a part of the devices of a wildcard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hole {
    /// The kind of device.
    pub kind: Kind,
    /// The part.
    pub part: Numbers,
    /// The wildcard.
    pub whole: Numbers,
    /// What the two differ in.
    pub access: Access,
}

impl Hole {
    /// The rule among `rules` that makes it: the last one that decides about the part.
    pub fn rule<'r>(&self, rules: &'r [Rule]) -> Option<&'r Rule> {
        let decides = |rule: &&Rule| {
            rule.kind == self.kind
                && rule.numbers().cover(self.part)
                && rule.access.overlaps(self.access)
        };
        rules.iter().rfind(decides)
    }
}

impl fmt::Display for Hole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Hole { kind, part, whole, access } = self;
        write!(f, "cgroup v1 can't treat {kind} {part} unlike {kind} {whole}, for {access}")
    }
}

/// One write to a v1 cgroup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// To `devices.allow`, else to `devices.deny`.
    pub allow: bool,
    /// `c 1:3 rwm`, or `a`.
    pub line: String,
}

impl Change {
    /// Whether it drops all exceptions: from then on, until the next ones are written, the default
    /// holds for all devices.
    pub fn is_reset(&self) -> bool {
        self.line == "a"
    }
}

impl Table {
    /// The table as a list.
    ///
    /// # Errors
    /// What no list can say.
    pub fn list(&self) -> Result<List, Hole> {
        let all = KINDS.iter().all(|kind| self.allowed_for_any(*kind) == Access::ALL);
        self.list_with(all).or_else(|hole| self.list_with(!all).map_err(|_| hole))
    }

    /// A list with this default: its exceptions are what differs from it, and a narrower one must
    /// say at least what the wider ones do.
    fn list_with(&self, allow: bool) -> Result<List, Hole> {
        let mut exceptions = BTreeMap::new();
        for kind in KINDS {
            let mut patterns = self.of_kind(kind).clone();
            // Too many can't be: there were as many before what says nothing new went.
            let _ = close(&mut patterns);
            if allow {
                patterns.values_mut().for_each(|access| *access = Access::ALL.without(*access));
            }
            for (&part, &access) in &patterns {
                let mut is_said = access == Access::NONE;
                for (whole, wider) in wider(&patterns, part) {
                    if !access.covers(wider) {
                        return Err(Hole { kind, part, whole, access: wider.without(access) });
                    }
                    is_said |= wider == access;
                }
                if !is_said {
                    exceptions.insert((kind, part), access);
                }
            }
        }
        Ok(List { allow, exceptions })
    }
}

/// The wildcards around a pattern, and what they say.
fn wider(patterns: &Patterns, part: Numbers) -> impl Iterator<Item = (Numbers, Access)> {
    let Numbers { major, minor } = part;
    let around = [Numbers { major, minor: None }, Numbers { major: None, minor }, Numbers::ANY];
    let others = around.into_iter().filter(move |numbers| *numbers != part);
    others.map(|whole| (whole, lookup(patterns, whole)))
}

impl List {
    /// Understands the kernel's `devices.list`. Of a list that allows by default it does not tell
    /// the exceptions: it seems to have none. `None` if this is no such list.
    pub fn parse(text: &str) -> Option<List> {
        let mut list = List { allow: false, exceptions: BTreeMap::new() };
        for line in text.lines() {
            match parse_line(line)? {
                (Kind::All, ..) => list.allow = true,
                (kind, numbers, access) => {
                    list.exceptions.insert((kind, numbers), access);
                }
            }
        }
        Some(list)
    }

    /// The list that allows everything.
    pub fn allow_all() -> List {
        List { allow: true, exceptions: BTreeMap::new() }
    }

    /// The rules that come to this list.
    pub fn rules(&self) -> Vec<Rule> {
        let exceptions = self.exceptions.iter().map(|(&(kind, numbers), &access)| {
            let Numbers { major, minor } = numbers;
            Rule { allow: !self.allow, kind, major, minor, access }
        });
        std::iter::once(Rule::reset(self.allow)).chain(exceptions).collect()
    }

    /// What is in this list and not in `other`.
    fn beyond(&self, other: &List, allow: bool) -> Vec<Change> {
        let lines = self.exceptions.iter().map(|(&(kind, numbers), &access)| {
            let known = other.exceptions.get(&(kind, numbers)).copied().unwrap_or_default();
            (kind, numbers, access.without(known))
        });
        let new = lines.filter(|(.., access)| *access != Access::NONE);
        let change = |(kind, numbers, access): (Kind, Numbers, Access)| Change {
            allow,
            line: format!("{kind} {numbers} {access}"),
        };
        new.map(change).collect()
    }
}

/// What to write so that a cgroup with the list `from` has the list `to`; `None`: any list.
///
/// What both allow is allowed all the time, and the writes that allow come first: unless the
/// default changes, or `from` is not known, which takes a reset. A reset takes a cgroup that has
/// none below it.
pub fn changes(from: Option<&List>, to: &List) -> Vec<Change> {
    match from.filter(|from| from.allow == to.allow) {
        Some(from) if to.allow => [from.beyond(to, true), to.beyond(from, false)].concat(),
        Some(from) => [to.beyond(from, true), from.beyond(to, false)].concat(),
        None => {
            let reset = Change { allow: to.allow, line: "a".to_owned() };
            let empty = List { allow: to.allow, exceptions: BTreeMap::new() };
            [vec![reset], to.beyond(&empty, !to.allow)].concat()
        }
    }
}
