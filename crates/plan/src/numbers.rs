//! Sets of small numbers, CPUs or memory nodes, written as in cpuset(7): `0-3,7`.

use std::fmt;

/// The largest number that is taken: far above what any kernel is built for, and small enough for a
/// mask that nobody notices. As runc.
const LARGEST: usize = 64 * 1024;

/// A set of CPUs or memory nodes as the kernel takes it: number N is bit N % 64 of word N / 64.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NumberSet {
    /// The mask; its last word is not 0.
    pub words: Vec<u64>,
}

impl NumberSet {
    /// The set that a list such as `0-3,7` names; an empty list names none. Fails with what is wrong
    /// with the list.
    pub(crate) fn parse(list: &str) -> Result<NumberSet, String> {
        let mut set = NumberSet::default();
        for range in list.split(',').map(str::trim).filter(|range| !range.is_empty()) {
            let (first, last) = range.split_once('-').unwrap_or((range, range));
            let (first, last) = (number(first)?, number(last)?);
            if first > last {
                return Err(format!("invalid range: {range}"));
            }
            set.insert(first, last);
        }
        if set.words.is_empty() && !list.is_empty() {
            return Err("it has no members".to_owned());
        }
        Ok(set)
    }

    /// How many numbers are in it.
    pub fn len(&self) -> u32 {
        self.words.iter().map(|word| word.count_ones()).sum()
    }

    /// Whether no number is in it.
    pub fn is_empty(&self) -> bool {
        self.words.is_empty()
    }

    fn insert(&mut self, first: usize, last: usize) {
        if self.words.len() <= last / 64 {
            self.words.resize(last / 64 + 1, 0);
        }
        for word in first / 64..=last / 64 {
            let from = first.saturating_sub(word * 64);
            let to = (last - word * 64).min(63);
            self.words[word] |= u64::MAX << from & u64::MAX >> (63 - to);
        }
    }
}

/// As it is written: `0-3,7`.
impl fmt::Display for NumberSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let has = |n: usize| self.words.get(n / 64).is_some_and(|word| word & 1 << (n % 64) != 0);
        let firsts = (0..self.words.len() * 64).filter(|n| has(*n) && (*n == 0 || !has(*n - 1)));
        for (nth, first) in firsts.enumerate() {
            let comma = if nth == 0 { "" } else { "," };
            write!(f, "{comma}{first}")?;
            let last = (first..).find(|n| !has(*n + 1)).unwrap_or(first);
            if last > first {
                write!(f, "-{last}")?;
            }
        }
        Ok(())
    }
}

fn number(text: &str) -> Result<usize, String> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match text.parse() {
        _ if !digits => Err(format!("{text:?} is no number")),
        Ok(number) if number <= LARGEST => Ok(number),
        _ => Err(format!("values larger than {LARGEST} are not supported")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_numbers_and_ranges() {
        assert_eq!(NumberSet::parse("0-2, 5,").unwrap().words, [0b10_0111]);
        assert_eq!(NumberSet::parse("64").unwrap().words, [0, 1]);
        assert_eq!(NumberSet::parse("63-64").unwrap().words, [1 << 63, 1]);
        assert_eq!(NumberSet::parse("1-129").unwrap().words, [u64::MAX << 1, u64::MAX, 3]);
        assert_eq!(NumberSet::parse("0-65536").unwrap().len(), 65537);
        assert!(NumberSet::parse("").unwrap().is_empty());
        for list in ["0", "0-2,5", "63-64,127", "7,9-300", ""] {
            assert_eq!(NumberSet::parse(list).unwrap().to_string(), list);
        }
    }

    #[test]
    fn what_is_no_list_is_said() {
        for (list, why) in [
            ("a", "\"a\" is no number"),
            ("3-1", "invalid range: 3-1"),
            ("1-", "\"\" is no number"),
            ("-1", "\"\" is no number"),
            ("+1", "\"+1\" is no number"),
            ("65537", "values larger than 65536 are not supported"),
            ("0-9876543210", "values larger than 65536 are not supported"),
            (",", "it has no members"),
        ] {
            assert_eq!(NumberSet::parse(list).unwrap_err(), why, "{list}");
        }
    }
}
