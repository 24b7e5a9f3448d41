//! Protocol buffers, as much of them as CRIU's messages need: whole numbers, strings, messages within
//! messages (protobuf.dev, "Encoding").
//!
//! No I/O. What is received is CRIU's word, but read as if it were not: a damaged message is an error,
//! a field of no known number is passed over.

/// A message being written: its fields, in any order.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Message(Vec<u8>);

/// How a field's value is laid out.
const VARINT: u64 = 0;
const FIXED64: u64 = 1;
const LENGTH: u64 = 2;
const FIXED32: u64 = 5;

impl Message {
    /// A field that holds a number. Negative ones take ten bytes, as the format has it.
    pub(crate) fn number(&mut self, field: u64, value: i64) {
        self.varint(field << 3 | VARINT);
        self.varint(value as u64);
    }

    /// A switch, which is off where it isn't written.
    pub(crate) fn switch(&mut self, field: u64, on: bool) {
        if on {
            self.number(field, 1);
        }
    }

    /// A field that holds a string.
    pub(crate) fn text(&mut self, field: u64, value: &str) {
        self.bytes(field, value.as_bytes());
    }

    /// A field that holds a message.
    pub(crate) fn message(&mut self, field: u64, value: &Message) {
        self.bytes(field, &value.0);
    }

    /// All fields of another message of the same kind.
    pub(crate) fn append(&mut self, other: &Message) {
        self.0.extend_from_slice(&other.0);
    }

    /// The whole of it.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    fn bytes(&mut self, field: u64, value: &[u8]) {
        self.varint(field << 3 | LENGTH);
        self.varint(value.len() as u64);
        self.0.extend_from_slice(value);
    }

    fn varint(&mut self, mut value: u64) {
        while value > 0x7f {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }
}

/// A value that was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Value<'m> {
    /// A number.
    Number(i64),
    /// A string, or a message.
    Bytes(&'m [u8]),
}

impl<'m> Value<'m> {
    /// The number, if it is one that fits.
    pub(crate) fn number(self) -> Option<i32> {
        match self {
            Value::Number(number) => i32::try_from(number).ok(),
            Value::Bytes(_) => None,
        }
    }

    /// The bytes, if it has any.
    pub(crate) fn bytes(self) -> Option<&'m [u8]> {
        match self {
            Value::Bytes(bytes) => Some(bytes),
            Value::Number(_) => None,
        }
    }

    /// The text, if it is some.
    pub(crate) fn text(self) -> Option<String> {
        self.bytes().map(|bytes| String::from_utf8_lossy(bytes).into_owned())
    }
}

/// A message that ends in the middle, or has a layout that the format doesn't.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Damaged;

/// The fields of a message, in its order.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fields<'m>(&'m [u8]);

impl<'m> Fields<'m> {
    /// Of a message that was received.
    pub(crate) fn of(message: &'m [u8]) -> Fields<'m> {
        Fields(message)
    }

    fn varint(&mut self) -> Result<u64, Damaged> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let (byte, rest) = self.0.split_first().ok_or(Damaged)?;
            self.0 = rest;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(Damaged)
    }

    fn take(&mut self, length: u64) -> Result<&'m [u8], Damaged> {
        let length = usize::try_from(length).map_err(|_| Damaged)?;
        let (taken, rest) = self.0.split_at_checked(length).ok_or(Damaged)?;
        self.0 = rest;
        Ok(taken)
    }

    fn field(&mut self) -> Result<(u64, Value<'m>), Damaged> {
        let key = self.varint()?;
        let value = match key & 7 {
            VARINT => Value::Number(self.varint()? as i64),
            LENGTH => {
                let length = self.varint()?;
                Value::Bytes(self.take(length)?)
            }
            FIXED64 => Value::Bytes(self.take(8)?),
            FIXED32 => Value::Bytes(self.take(4)?),
            _ => return Err(Damaged),
        };
        Ok((key >> 3, value))
    }
}

impl<'m> Iterator for Fields<'m> {
    type Item = Result<(u64, Value<'m>), Damaged>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_err() {
            self.0 = &[];
        }
        Some(field)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The examples of protobuf.dev, "Encoding".
    #[test]
    fn the_formats_own_examples() {
        let mut number = Message::default();
        number.number(1, 150);
        assert_eq!(number.as_bytes(), [0x08, 0x96, 0x01]);
        let mut text = Message::default();
        text.text(2, "testing");
        assert_eq!(text.as_bytes(), [0x12, 0x07, 0x74, 0x65, 0x73, 0x74, 0x69, 0x6e, 0x67]);
        let mut outer = Message::default();
        outer.message(3, &number);
        assert_eq!(outer.as_bytes(), [0x1a, 0x03, 0x08, 0x96, 0x01]);
        let mut negative = Message::default();
        negative.number(1, -2);
        let bytes = [0x08, 0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01];
        assert_eq!(negative.as_bytes(), bytes);
    }

    #[test]
    fn what_was_written_is_read() {
        let mut message = Message::default();
        message.number(7, i64::MIN);
        message.switch(8, false);
        message.switch(9, true);
        message.text(70, "");
        let fields: Vec<_> = Fields::of(message.as_bytes()).map(Result::unwrap).collect();
        assert_eq!(
            fields,
            [(7, Value::Number(i64::MIN)), (9, Value::Number(1)), (70, Value::Bytes(&[])),]
        );
    }

    #[test]
    fn damage_is_seen_and_ends_the_reading() {
        for bytes in [
            &[0x08][..],
            &[0x12, 0x05, b'a'],
            &[0x0b, 0x01],
            &[0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
            &[0x12, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
        ] {
            let fields: Vec<_> = Fields::of(bytes).collect();
            assert_eq!(fields, [Err(Damaged)], "{bytes:x?}");
        }
    }

    #[test]
    fn layouts_that_are_not_used_are_passed_over() {
        let bytes = [0x09, 1, 2, 3, 4, 5, 6, 7, 8, 0x0d, 1, 2, 3, 4, 0x10, 0x05];
        let last = Fields::of(&bytes).last();
        assert_eq!(last, Some(Ok((2, Value::Number(5)))));
    }
}
