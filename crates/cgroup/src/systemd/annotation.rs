//! Annotations that name properties of the container's unit.
//!
//! Whoever writes the configuration is trusted; but engines pass annotations on from who isn't
//! (CVE-2024-3154). So a property is taken only from the list below. Not on it is
//! - what takes the container out of its place, or others into it: `Slice`, `PIDs`, `Delegate`,
//!   `Controller`, `DisableControllers`, `User`, ...;
//! - what starts or stops another unit, or the machine: `Wants`, `Requires`, `BindsTo`, `Conflicts`,
//!   `OnFailure`, `PropagatesStopTo`, `SuccessAction`, `JobTimeoutAction`, ...;
//! - what keeps it from being stopped: `RefuseManualStop`;
//! - devices and programs of the kernel, which are the runtime's: `DeviceAllow`, `DevicePolicy`,
//!   `BPFProgram`, `IPIngressFilterPath`, ...
//!
//! A limit on the list is set before the configuration's own, which win.

use super::property::{Property, Value};

/// What the names of such annotations start with; a property's name follows.
pub const ANNOTATION_PREFIX: &str = "org.systemd.property.";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Bool,
    I32,
    U32,
    U64,
    Text,
    Texts,
}

use Kind::{Bool, I32, Text, Texts, U32, U64};

/// Properties that concern nobody but the unit, sorted: systemd.unit(5), systemd.scope(5),
/// systemd.kill(5), systemd.resource-control(5).
const ALLOWED: &[(&str, Kind)] = &[
    ("After", Texts),
    ("Before", Texts),
    ("CPUAccounting", Bool),
    ("CPUQuotaPerSecUSec", U64),
    ("CPUQuotaPeriodUSec", U64),
    ("CPUWeight", U64),
    ("CollectMode", Text),
    ("CoredumpReceive", Bool),
    ("DefaultDependencies", Bool),
    ("Description", Text),
    ("Documentation", Texts),
    ("FinalKillSignal", I32),
    ("IOAccounting", Bool),
    ("IOWeight", U64),
    ("IPAccounting", Bool),
    ("IgnoreOnIsolate", Bool),
    ("JobRunningTimeoutUSec", U64),
    ("JobTimeoutUSec", U64),
    ("KillMode", Text),
    ("KillSignal", I32),
    ("ManagedOOMMemoryPressure", Text),
    ("ManagedOOMMemoryPressureLimit", U32),
    ("ManagedOOMSwap", Text),
    ("MemoryAccounting", Bool),
    ("MemoryHigh", U64),
    ("MemoryLow", U64),
    ("MemoryMax", U64),
    ("MemoryMin", U64),
    ("MemoryPressureThresholdUSec", U64),
    ("MemoryPressureWatch", Text),
    ("MemorySwapMax", U64),
    ("MemoryZSwapMax", U64),
    ("MemoryZSwapWriteback", Bool),
    ("OOMPolicy", Text),
    ("PartOf", Texts),
    ("RestartKillSignal", I32),
    ("RuntimeMaxUSec", U64),
    ("RuntimeRandomizedExtraUSec", U64),
    ("SendSIGHUP", Bool),
    ("SendSIGKILL", Bool),
    ("StartupCPUWeight", U64),
    ("StartupIOWeight", U64),
    ("StartupMemoryHigh", U64),
    ("StartupMemoryLow", U64),
    ("StartupMemoryMax", U64),
    ("StartupMemorySwapMax", U64),
    ("StopWhenUnneeded", Bool),
    ("TasksAccounting", Bool),
    ("TasksMax", U64),
    ("TimeoutStopUSec", U64),
    ("WatchdogSignal", I32),
];

/// The property that an annotation asks for: its name behind [`ANNOTATION_PREFIX`], its value as
/// GVariant text (`'text'`, `true`, `5`, `uint64 5`, `['a', 'b']`). A number fits whichever number
/// systemd wants; one of a name in `Sec` is in seconds, and becomes that in `USec`.
///
/// # Errors
/// A sentence about the name, or the value.
pub fn annotation(name: &str, text: &str) -> Result<Property, String> {
    let seconds = name
        .strip_suffix("Sec")
        .filter(|stem| stem.ends_with(|last: char| last.is_ascii_lowercase()))
        .map(|stem| format!("{stem}USec"));
    let on_bus = seconds.as_deref().unwrap_or(name);
    let Ok(at) = ALLOWED.binary_search_by(|(allowed, _)| (*allowed).cmp(on_bus)) else {
        return Err(format!("{name:?} is none of the properties that a container may set"));
    };
    let (allowed, kind) = ALLOWED.get(at).copied().unwrap_or(("", Text));
    let parsed = parse(text).ok_or_else(|| format!("{text:?} is no value in GVariant text"))?;
    let parsed = match (parsed, seconds.is_some()) {
        (Parsed::Integer(number), true) => Parsed::Integer(number.saturating_mul(1_000_000)),
        (Parsed::Float(number), true) => Parsed::Integer((number * 1e6) as i128),
        (parsed, _) => parsed,
    };
    let value = value(kind, parsed);
    let value =
        value.ok_or_else(|| format!("{text:?} is no value of {allowed}: {}", wants(kind)))?;
    Ok(Property::new(allowed, value))
}

fn wants(kind: Kind) -> &'static str {
    match kind {
        Bool => "true or false",
        I32 | U32 | U64 => "a number in range",
        Text => "a text in quotes",
        Texts => "texts in brackets",
    }
}

fn value(kind: Kind, parsed: Parsed) -> Option<Value> {
    Some(match (kind, parsed) {
        (Bool, Parsed::Bool(on)) => Value::Bool(on),
        (I32, Parsed::Integer(number)) => Value::I32(number.try_into().ok()?),
        (U32, Parsed::Integer(number)) => Value::U32(number.try_into().ok()?),
        (U64, Parsed::Integer(number)) => Value::U64(number.try_into().ok()?),
        (Text, Parsed::Text(text)) => Value::Text(text),
        (Texts, Parsed::Texts(texts)) => Value::Texts(texts),
        _ => return None,
    })
}

#[derive(Clone, Debug, PartialEq)]
enum Parsed {
    Bool(bool),
    Integer(i128),
    Float(f64),
    Text(String),
    Texts(Vec<String>),
}

/// Types that a value may name before itself, and the range of a number.
const TYPES: &[(&str, &str, i128, i128)] = &[
    ("byte", "y", 0, u8::MAX as i128),
    ("int16", "n", i16::MIN as i128, i16::MAX as i128),
    ("uint16", "q", 0, u16::MAX as i128),
    ("int32", "i", i32::MIN as i128, i32::MAX as i128),
    ("uint32", "u", 0, u32::MAX as i128),
    ("int64", "x", i64::MIN as i128, i64::MAX as i128),
    ("uint64", "t", 0, u64::MAX as i128),
];

/// A value in GVariant text, of the kinds that properties have.
fn parse(text: &str) -> Option<Parsed> {
    let text = text.trim();
    let (named, rest) = match text.split_once(|c: char| c.is_ascii_whitespace()) {
        Some((word, rest)) if word.starts_with('@') || is_type(word) => (word, rest.trim_start()),
        _ => ("", text),
    };
    let mut rest = rest;
    let parsed = parse_value(&mut rest)?;
    if !rest.trim().is_empty() {
        return None;
    }
    let fits = match (&parsed, named.strip_prefix('@').unwrap_or(named)) {
        (_, "") => true,
        (Parsed::Bool(_), name) => matches!(name, "boolean" | "b"),
        (Parsed::Float(_), name) => matches!(name, "double" | "d"),
        (Parsed::Text(_), name) => matches!(name, "string" | "s"),
        (Parsed::Texts(_), name) => name == "as",
        (Parsed::Integer(number), name) => TYPES.iter().any(|(long, short, least, most)| {
            (*long == name || *short == name) && (least..=most).contains(&number)
        }),
    };
    fits.then_some(parsed)
}

fn is_type(word: &str) -> bool {
    matches!(word, "boolean" | "double" | "string") || TYPES.iter().any(|(name, ..)| *name == word)
}

fn parse_value(rest: &mut &str) -> Option<Parsed> {
    *rest = rest.trim_start();
    if rest.starts_with(['\'', '"']) {
        return quoted(rest).map(Parsed::Text);
    }
    if let Some(inside) = rest.strip_prefix('[') {
        *rest = inside;
        return texts(rest).map(Parsed::Texts);
    }
    let end = rest.find(|c: char| c.is_ascii_whitespace()).unwrap_or(rest.len());
    let (word, behind) = rest.split_at(end);
    *rest = behind;
    match word {
        "true" => Some(Parsed::Bool(true)),
        "false" => Some(Parsed::Bool(false)),
        _ => number(word),
    }
}

fn number(word: &str) -> Option<Parsed> {
    let (negative, digits) = match word.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, word.strip_prefix('+').unwrap_or(word)),
    };
    let starts_well = digits.starts_with(|c: char| c.is_ascii_digit() || c == '.');
    if !starts_well {
        return None;
    }
    let whole = match (digits.strip_prefix("0x"), digits.strip_prefix('0')) {
        (Some(hex), _) => i128::from_str_radix(hex, 16).ok(),
        (None, Some(octal)) if !octal.is_empty() => i128::from_str_radix(octal, 8).ok(),
        _ => digits.parse().ok(),
    };
    match whole {
        Some(number) => Some(Parsed::Integer(if negative { -number } else { number })),
        None if digits.contains(['.', 'e', 'E']) => {
            let number = digits.parse::<f64>().ok().filter(|number| number.is_finite())?;
            Some(Parsed::Float(if negative { -number } else { number }))
        }
        None => None,
    }
}

/// Texts up to the closing bracket, commas between.
fn texts(rest: &mut &str) -> Option<Vec<String>> {
    let mut texts = Vec::new();
    loop {
        *rest = rest.trim_start();
        match rest.strip_prefix(']') {
            Some(behind) if texts.is_empty() => {
                *rest = behind;
                return Some(texts);
            }
            _ => texts.push(quoted(rest)?),
        }
        *rest = rest.trim_start();
        if let Some(behind) = rest.strip_prefix(']') {
            *rest = behind;
            return Some(texts);
        }
        *rest = rest.strip_prefix(',')?;
    }
}

/// A text in single or double quotes, with the escapes of C.
fn quoted(rest: &mut &str) -> Option<String> {
    let mut letters = rest.char_indices();
    let (_, quote) = letters.next().filter(|(_, quote)| matches!(quote, '\'' | '"'))?;
    let mut text = String::new();
    loop {
        match letters.next()? {
            (at, letter) if letter == quote => {
                *rest = rest.get(at + 1..)?;
                // The bus takes none within a text.
                return (!text.contains('\0')).then_some(text);
            }
            (_, '\\') => match letters.next()?.1 {
                'a' => text.push('\x07'),
                'b' => text.push('\x08'),
                'f' => text.push('\x0c'),
                'n' => text.push('\n'),
                'r' => text.push('\r'),
                't' => text.push('\t'),
                'v' => text.push('\x0b'),
                unicode @ ('u' | 'U') => {
                    let count = if unicode == 'u' { 4 } else { 8 };
                    let hex: String = letters.by_ref().take(count).map(|(_, c)| c).collect();
                    let full = hex.len() == count;
                    let code = full.then(|| u32::from_str_radix(&hex, 16).ok()).flatten()?;
                    text.push(char::from_u32(code)?);
                }
                other => text.push(other),
            },
            (_, letter) => text.push(letter),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_sorted_and_has_nothing_that_breaks_out() {
        assert!(ALLOWED.is_sorted_by_key(|(name, _)| *name));
        for name in [
            "Slice",
            "PIDs",
            "Delegate",
            "DelegateControllers",
            "DelegateSubgroup",
            "Controller",
            "DisableControllers",
            "User",
            "Group",
            "Wants",
            "Requires",
            "Requisite",
            "BindsTo",
            "Upholds",
            "Conflicts",
            "OnFailure",
            "OnSuccess",
            "PropagatesStopTo",
            "PropagatesReloadTo",
            "JoinsNamespaceOf",
            "RequiresMountsFor",
            "SuccessAction",
            "FailureAction",
            "JobTimeoutAction",
            "RefuseManualStop",
            "DeviceAllow",
            "DevicePolicy",
            "BPFProgram",
            "IPIngressFilterPath",
            "ManagedOOMPreference",
            "ExecStartPre",
            "timeoutstopusec",
            "",
            "Sec",
            "X",
        ] {
            let error = annotation(name, "true").unwrap_err();
            assert!(error.contains("none of the properties"), "{name}: {error}");
        }
    }

    #[test]
    fn values_become_what_systemd_wants() {
        let text = |text: &str| Value::Text(text.to_owned());
        for (name, given, on_bus, value) in [
            ("CollectMode", "'inactive-or-failed'", "CollectMode", text("inactive-or-failed")),
            ("CollectMode", " \"inactive\" ", "CollectMode", text("inactive")),
            ("Description", r"'it\'s \u00e4\n'", "Description", text("it's ä\n")),
            ("TimeoutStopUSec", "uint64 123456789", "TimeoutStopUSec", Value::U64(123_456_789)),
            ("TimeoutStopUSec", "5", "TimeoutStopUSec", Value::U64(5)),
            ("TimeoutStopSec", "5", "TimeoutStopUSec", Value::U64(5_000_000)),
            ("TimeoutStopSec", "uint32 5", "TimeoutStopUSec", Value::U64(5_000_000)),
            ("TimeoutStopSec", "1.5", "TimeoutStopUSec", Value::U64(1_500_000)),
            ("RuntimeMaxSec", "@t 0x10", "RuntimeMaxUSec", Value::U64(16_000_000)),
            ("KillSignal", "int32 15", "KillSignal", Value::I32(15)),
            ("KillSignal", "017", "KillSignal", Value::I32(15)),
            ("SendSIGKILL", "false", "SendSIGKILL", Value::Bool(false)),
            ("SendSIGHUP", "boolean true", "SendSIGHUP", Value::Bool(true)),
            (
                "After",
                "['a.service', \"b.service\"]",
                "After",
                Value::Texts(vec!["a.service".to_owned(), "b.service".to_owned()]),
            ),
            ("After", "@as []", "After", Value::Texts(Vec::new())),
            ("MemoryMax", "uint64 18446744073709551615", "MemoryMax", Value::U64(u64::MAX)),
        ] {
            let property = Property { name: on_bus.to_owned(), value };
            assert_eq!(annotation(name, given), Ok(property), "{name} {given}");
        }
    }

    #[test]
    fn nonsense_is_refused_by_name() {
        for (name, given) in [
            ("TimeoutStopUSec", ""),
            ("TimeoutStopUSec", "-5"),
            ("TimeoutStopUSec", "five"),
            ("TimeoutStopUSec", "'5'"),
            ("TimeoutStopUSec", "byte 256"),
            ("TimeoutStopUSec", "uint64 5 6"),
            ("TimeoutStopUSec", "uint64 18446744073709551616"),
            ("TimeoutStopUSec", "1.5"),
            ("TimeoutStopSec", "18446744073710"),
            ("TimeoutStopSec", "true"),
            ("KillSignal", "2147483648"),
            ("KillSignal", "string '1'"),
            ("CollectMode", "inactive"),
            ("CollectMode", "'inactive"),
            ("CollectMode", "'a' 'b'"),
            ("CollectMode", r"'\u12'"),
            ("CollectMode", r"'\u0000'"),
            ("CollectMode", "uint64 'a'"),
            ("SendSIGHUP", "1"),
            ("After", "'a.service'"),
            ("After", "['a'"),
            ("After", "['a',]"),
            ("After", "['a' 'b']"),
            ("After", "[1]"),
            ("After", "@s ['a']"),
        ] {
            let error = annotation(name, given).unwrap_err();
            assert!(error.contains(&format!("{given:?}")), "{name} {given}: {error}");
        }
    }
}
