//! Properties of units, as systemd's D-Bus interface has them.

use std::fmt;

use super::wire::Writer;

/// A property of a unit: a setting by its name on the bus (`TimeoutStopUSec`, not `TimeoutStopSec=`).
#[derive(Clone, Debug, PartialEq)]
pub struct Property {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: Value,
}

/// The value of a property; its D-Bus type is in parentheses.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// `b`
    Bool(bool),
    /// `i`
    I32(i32),
    /// `u`
    U32(u32),
    /// `t`; limits have `u64::MAX` for none.
    U64(u64),
    /// `s`
    Text(String),
    /// `as`
    Texts(Vec<String>),
    /// `au`: processes.
    U32s(Vec<u32>),
    /// `ay`: a set of numbers as bits, the lowest first.
    Bits(Vec<u8>),
    /// `a(ss)`: devices and what is allowed with them.
    Pairs(Vec<(String, String)>),
}

impl Property {
    pub(crate) fn new(name: impl Into<String>, value: Value) -> Property {
        Property { name: name.into(), value }
    }

    pub(crate) fn text(name: &str, text: impl Into<String>) -> Property {
        Property::new(name, Value::Text(text.into()))
    }

    pub(crate) fn switch(name: &str, on: bool) -> Property {
        Property::new(name, Value::Bool(on))
    }

    pub(crate) fn number(name: &str, number: u64) -> Property {
        Property::new(name, Value::U64(number))
    }

    /// As the structure `(sv)`.
    pub(crate) fn write(&self, to: &mut Writer) {
        to.structure();
        to.text(&self.name);
        to.signature(self.value.signature());
        match &self.value {
            Value::Bool(on) => to.u32(u32::from(*on)),
            Value::I32(number) => to.u32(*number as u32),
            Value::U32(number) => to.u32(*number),
            Value::U64(number) => to.u64(*number),
            Value::Text(text) => to.text(text),
            Value::Texts(texts) => to.array(4, |to| texts.iter().for_each(|text| to.text(text))),
            Value::U32s(list) => to.array(4, |to| list.iter().for_each(|number| to.u32(*number))),
            Value::Bits(bytes) => to.array(1, |to| bytes.iter().for_each(|byte| to.u8(*byte))),
            Value::Pairs(pairs) => to.array(8, |to| {
                for (first, second) in pairs {
                    to.structure();
                    to.text(first);
                    to.text(second);
                }
            }),
        }
    }
}

/// As people would write it.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fn all(list: impl Iterator<Item = String>) -> String {
            list.collect::<Vec<_>>().join(" ")
        }
        match self {
            Value::Bool(on) => on.fmt(f),
            Value::I32(number) => number.fmt(f),
            Value::U32(number) => number.fmt(f),
            Value::U64(u64::MAX) => f.write_str("infinity"),
            Value::U64(number) => number.fmt(f),
            Value::Text(text) => f.write_str(text),
            Value::Texts(texts) => f.write_str(&texts.join(" ")),
            Value::U32s(list) => f.write_str(&all(list.iter().map(u32::to_string))),
            Value::Bits(bytes) => {
                let set = |n: &usize| bytes[n / 8] & 1 << (n % 8) != 0;
                f.write_str(&all((0..bytes.len() * 8).filter(set).map(|n| n.to_string())))
            }
            Value::Pairs(pairs) => {
                f.write_str(&all(pairs.iter().map(|(first, second)| format!("{first} {second}"))))
            }
        }
    }
}

impl Value {
    fn signature(&self) -> &'static str {
        match self {
            Value::Bool(_) => "b",
            Value::I32(_) => "i",
            Value::U32(_) => "u",
            Value::U64(_) => "t",
            Value::Text(_) => "s",
            Value::Texts(_) => "as",
            Value::U32s(_) => "au",
            Value::Bits(_) => "ay",
            Value::Pairs(_) => "a(ss)",
        }
    }
}
