//! What rules come to: for each pattern of numbers, what is allowed.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use super::{Access, Kind, Rule};

/// More patterns than any list of rules has; the jumps of a program reach over all of them.
pub const MOST_PATTERNS: usize = 4096;

/// Numbers of devices; `None` is any.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Numbers {
    /// Major number.
    pub major: Option<u32>,
    /// Minor number.
    pub minor: Option<u32>,
}

impl Numbers {
    /// Those of all devices.
    pub const ANY: Numbers = Numbers { major: None, minor: None };

    /// Whether every device with the numbers `other` has these, too.
    pub fn cover(self, other: Numbers) -> bool {
        (self.major.is_none() || self.major == other.major)
            && (self.minor.is_none() || self.minor == other.minor)
    }
}

/// `1:3`, `136:*`
impl fmt::Display for Numbers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, end) in [(self.major, ":"), (self.minor, "")] {
            match number {
                Some(number) => write!(f, "{number}{end}")?,
                None => write!(f, "*{end}")?,
            }
        }
        Ok(())
    }
}

/// Patterns of one kind of device.
pub(super) type Patterns = BTreeMap<Numbers, Access>;

/// What a list of rules comes to. Two lists that allow the same have equal tables.
///
/// What a device may be used for says the first pattern that is there, of: its numbers, its major
/// number, its minor number, any. Where two patterns overlap there is one for what both cover, or
/// the order gives the same: so the order is all that has to be known.
///
/// The default one allows nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    char: Patterns,
    block: Patterns,
}

impl Default for Table {
    fn default() -> Table {
        let nothing = Patterns::from([(Numbers::ANY, Access::NONE)]);
        Table { char: nothing.clone(), block: nothing }
    }
}

/// The kinds of device that there are.
pub(super) const KINDS: [Kind; 2] = [Kind::Char, Kind::Block];

impl Table {
    /// Works out what `rules` allow; `None` if that takes more than [`MOST_PATTERNS`].
    pub fn of(rules: &[Rule]) -> Option<Table> {
        let reset = rules.iter().rposition(|rule| rule.kind == Kind::All);
        let (default, rules) = match reset {
            Some(place) if rules[place].allow => (Access::ALL, &rules[place + 1..]),
            Some(place) => (Access::NONE, &rules[place + 1..]),
            None => (Access::NONE, rules),
        };
        let of_kind = |kind| {
            let rules: Vec<&Rule> =
                rules.iter().filter(|rule| rule.kind == kind && !rule.is_void()).collect();
            patterns(&rules, default)
        };
        Some(Table { char: of_kind(Kind::Char)?, block: of_kind(Kind::Block)? })
    }

    /// What a device may be used for.
    pub fn allowed(&self, kind: Kind, major: u32, minor: u32) -> Access {
        lookup(self.of_kind(kind), Numbers { major: Some(major), minor: Some(minor) })
    }

    /// What is allowed for all devices of a kind that no other pattern names.
    pub fn allowed_for_any(&self, kind: Kind) -> Access {
        lookup(self.of_kind(kind), Numbers::ANY)
    }

    /// The rules that come to this table.
    pub fn rules(&self) -> Vec<Rule> {
        let mut rules = vec![Rule::reset(false)];
        for kind in KINDS {
            let mut patterns: Vec<_> = self.of_kind(kind).iter().collect();
            // The later rule decides, so what is looked at first comes last.
            patterns.sort_by_key(|(numbers, _)| match (numbers.major, numbers.minor) {
                (None, None) => 0,
                (None, Some(_)) => 1,
                (Some(_), None) => 2,
                (Some(_), Some(_)) => 3,
            });
            for (&Numbers { major, minor }, &access) in patterns {
                let rule = |allow, access| Rule { allow, kind, major, minor, access };
                let both = [rule(true, access), rule(false, Access::ALL.without(access))];
                rules.extend(both.into_iter().filter(|rule| rule.access != Access::NONE));
            }
        }
        rules
    }

    pub(super) fn of_kind(&self, kind: Kind) -> &Patterns {
        match kind {
            Kind::Block => &self.block,
            Kind::Char | Kind::All => &self.char,
        }
    }
}

impl Rule {
    /// The rule that sets everything back: allows all, or denies all.
    pub const fn reset(allow: bool) -> Rule {
        Rule { allow, kind: Kind::All, major: None, minor: None, access: Access::ALL }
    }
}

/// `c *:* m;c 1:3 rwm;b *:* -`; what [`FromStr`] reads.
impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut end = "";
        for kind in KINDS {
            for (numbers, access) in self.of_kind(kind) {
                write!(f, "{end}{kind} {numbers} {access}")?;
                end = ";";
            }
        }
        Ok(())
    }
}

impl FromStr for Table {
    type Err = ();

    fn from_str(text: &str) -> Result<Table, ()> {
        let (mut char, mut block) = (Patterns::new(), Patterns::new());
        for line in text.split(';') {
            let (kind, numbers, access) = parse_line(line).ok_or(())?;
            match kind {
                Kind::Char => char.insert(numbers, access),
                Kind::Block => block.insert(numbers, access),
                Kind::All => return Err(()),
            };
        }
        Ok(Table { char, block })
    }
}

/// A line such as `c 1:3 rwm`: of v1's `devices.list`, or of a table.
pub(super) fn parse_line(line: &str) -> Option<(Kind, Numbers, Access)> {
    let mut words = line.split_ascii_whitespace();
    let kind = match words.next()? {
        "a" => Kind::All,
        "c" => Kind::Char,
        "b" => Kind::Block,
        _ => return None,
    };
    let number = |text: &str| match text {
        "*" => Some(None),
        text => text.parse().ok().map(Some),
    };
    let (major, minor) = words.next()?.split_once(':')?;
    let numbers = Numbers { major: number(major)?, minor: number(minor)? };
    let access = match words.next()? {
        "-" => Access::NONE,
        letters => Access::parse(letters)?,
    };
    words.next().is_none().then_some((kind, numbers, access))
}

/// What the patterns say of a device, or of all devices that only this pattern covers.
pub(super) fn lookup(patterns: &Patterns, numbers: Numbers) -> Access {
    let Numbers { major, minor } = numbers;
    [numbers, Numbers { major, minor: None }, Numbers { major: None, minor }, Numbers::ANY]
        .iter()
        .find_map(|numbers| patterns.get(numbers).copied())
        .unwrap_or(Access::NONE)
}

/// Adds what two patterns have in common: a major number of one, a minor number of the other.
/// `false`: too many.
pub(super) fn close(patterns: &mut Patterns) -> bool {
    let alone = |number: fn(&Numbers) -> Option<u32>, other: fn(&Numbers) -> Option<u32>| {
        let of_one = patterns.keys().filter(move |numbers| other(numbers).is_none());
        of_one.filter_map(number).collect::<Vec<u32>>()
    };
    let majors = alone(|n| n.major, |n| n.minor);
    let minors = alone(|n| n.minor, |n| n.major);
    if majors.len().saturating_mul(minors.len()) > MOST_PATTERNS {
        return false;
    }
    for major in majors {
        for &minor in &minors {
            let both = Numbers { major: Some(major), minor: Some(minor) };
            let access = lookup(patterns, both);
            patterns.entry(both).or_insert(access);
        }
    }
    patterns.len() <= MOST_PATTERNS
}

/// What rules for one kind of device come to.
fn patterns(rules: &[&Rule], default: Access) -> Option<Patterns> {
    let mut patterns: Patterns = rules.iter().map(|rule| (rule.numbers(), default)).collect();
    patterns.insert(Numbers::ANY, default);
    if !close(&mut patterns) {
        return None;
    }
    for rule in rules {
        for (numbers, access) in &mut patterns {
            if rule.numbers().cover(*numbers) {
                *access = match rule.allow {
                    true => access.union(rule.access),
                    false => access.without(rule.access),
                };
            }
        }
    }
    // What says nothing new goes: first the half wildcards, then what they, or "any", say as well.
    let any = lookup(&patterns, Numbers::ANY);
    patterns.retain(|numbers, access| {
        *numbers == Numbers::ANY
            || (numbers.major.is_some() && numbers.minor.is_some())
            || *access != any
    });
    let wild: Patterns = patterns
        .iter()
        .filter(|(numbers, _)| numbers.major.is_none() || numbers.minor.is_none())
        .map(|(numbers, access)| (*numbers, *access))
        .collect();
    patterns
        .retain(|numbers, access| wild.contains_key(numbers) || *access != lookup(&wild, *numbers));
    Some(patterns)
}
