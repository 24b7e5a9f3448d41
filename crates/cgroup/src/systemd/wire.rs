//! D-Bus messages as bytes (dbus-specification, "Message Protocol"), as far as systemd's interface
//! needs them: native byte order, no descriptors, values that are written once and read at once.

/// The first byte of a message: its byte order.
pub(crate) const ORDER: u8 = if cfg!(target_endian = "little") { b'l' } else { b'B' };

/// What is before the header's fields: order, type, flags, version, length, serial, length.
const FIXED: usize = 16;

/// No message that systemd sends is longer.
const LONGEST: usize = 16 << 20;

/// Values of a message, aligned as they must be relative to its start.
#[derive(Debug, Default)]
pub(crate) struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    #[cfg(test)]
    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    fn align(&mut self, to: usize) {
        self.bytes.resize(self.bytes.len().next_multiple_of(to), 0);
    }

    pub(crate) fn u8(&mut self, byte: u8) {
        self.bytes.push(byte);
    }

    pub(crate) fn u32(&mut self, number: u32) {
        self.align(4);
        self.bytes.extend(number.to_ne_bytes());
    }

    pub(crate) fn u64(&mut self, number: u64) {
        self.align(8);
        self.bytes.extend(number.to_ne_bytes());
    }

    /// A string or an object path.
    pub(crate) fn text(&mut self, text: &str) {
        self.u32(text.len() as u32);
        self.bytes.extend(text.bytes());
        self.u8(0);
    }

    /// A signature: what a variant starts with.
    pub(crate) fn signature(&mut self, text: &str) {
        self.u8(text.len() as u8);
        self.bytes.extend(text.bytes());
        self.u8(0);
    }

    /// The start of a structure.
    pub(crate) fn structure(&mut self) {
        self.align(8);
    }

    /// An array, whose elements are aligned to `alignment`.
    pub(crate) fn array(&mut self, alignment: usize, elements: impl FnOnce(&mut Writer)) {
        self.u32(0);
        let length_at = self.bytes.len() - 4;
        self.align(alignment);
        let start = self.bytes.len();
        elements(self);
        let length = (self.bytes.len() - start) as u32;
        if let Some(place) = self.bytes.get_mut(length_at..length_at + 4) {
            place.copy_from_slice(&length.to_ne_bytes());
        }
    }
}

/// A call of a method.
#[derive(Debug)]
pub(crate) struct Call<'a> {
    /// Who is to answer, where a bus is between.
    pub(crate) destination: &'a str,
    /// The object.
    pub(crate) path: &'a str,
    /// The interface.
    pub(crate) interface: &'a str,
    /// The method.
    pub(crate) member: &'a str,
    /// The types of the arguments.
    pub(crate) signature: &'a str,
    /// The arguments.
    pub(crate) body: Writer,
}

impl Call<'_> {
    /// The whole message, its number in it.
    pub(crate) fn to_bytes(&self, serial: u32) -> Vec<u8> {
        let mut header = Writer::default();
        for byte in [ORDER, 1, 0, 1] {
            header.u8(byte);
        }
        header.u32(self.body.bytes.len() as u32);
        header.u32(serial);
        header.array(8, |to| {
            let mut field = |code: u8, kind: &str, text: &str| {
                to.structure();
                to.u8(code);
                to.signature(kind);
                match kind {
                    "g" => to.signature(text),
                    _ => to.text(text),
                }
            };
            field(1, "o", self.path);
            field(2, "s", self.interface);
            field(3, "s", self.member);
            field(6, "s", self.destination);
            if !self.signature.is_empty() {
                field(8, "g", self.signature);
            }
        });
        header.align(8);
        header.bytes.extend(&self.body.bytes);
        header.bytes
    }
}

/// A message that came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Message {
    /// 2: answer, 3: error, 4: signal.
    pub(crate) kind: u8,
    /// The serial of the call that it answers; else 0.
    pub(crate) answers: u32,
    /// The name of a signal.
    pub(crate) member: String,
    /// The name of an error.
    pub(crate) error: String,
    /// The types of its values.
    pub(crate) signature: String,
    /// Its values.
    pub(crate) body: Vec<u8>,
}

/// What is no D-Bus message, or none of those that this program can read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed;

impl Message {
    /// The first message in `bytes` and its length; `None` while it isn't there as a whole.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Option<(Message, usize)>, Malformed> {
        let Some(fixed) = bytes.get(..FIXED) else {
            return Ok(None);
        };
        let &[ORDER, kind, _, 1, ..] = fixed else {
            return Err(Malformed);
        };
        let mut reader = Reader { bytes: fixed, at: 4 };
        let mut next = || reader.u32().map(|number| number as usize).ok_or(Malformed);
        let (body, _serial, fields) = (next()?, next()?, next()?);
        if body > LONGEST || fields > LONGEST {
            return Err(Malformed);
        }
        let start = (FIXED + fields).next_multiple_of(8);
        let Some(whole) = bytes.get(..start + body) else {
            return Ok(None);
        };
        let mut message = Message { kind, body: whole[start..].to_vec(), ..Message::default() };
        let mut reader = Reader { bytes: &whole[..FIXED + fields], at: FIXED };
        while reader.at < FIXED + fields {
            message.read_field(&mut reader).ok_or(Malformed)?;
        }
        Ok(Some((message, start + body)))
    }

    fn read_field(&mut self, from: &mut Reader<'_>) -> Option<()> {
        from.align(8);
        let code = from.u8()?;
        let kind = from.signature()?.to_owned();
        let (mut number, mut text) = (0, String::new());
        match &kind[..] {
            "u" => number = from.u32()?,
            "g" => text = from.signature()?.to_owned(),
            "s" | "o" => text = from.text()?.to_owned(),
            _ => return None,
        }
        match code {
            3 => self.member = text,
            4 => self.error = text,
            5 => self.answers = number,
            8 => self.signature = text,
            _ => {}
        }
        Some(())
    }

    /// Its values.
    pub(crate) fn reader(&self) -> Reader<'_> {
        Reader { bytes: &self.body, at: 0 }
    }
}

/// Reads values.
#[derive(Debug)]
pub(crate) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn align(&mut self, to: usize) {
        self.at = self.at.next_multiple_of(to);
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let taken = self.bytes.get(self.at..self.at.checked_add(length)?)?;
        self.at += length;
        Some(taken)
    }

    fn u8(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }

    pub(crate) fn u32(&mut self) -> Option<u32> {
        self.align(4);
        Some(u32::from_ne_bytes(self.take(4)?.try_into().ok()?))
    }

    /// A string or an object path.
    pub(crate) fn text(&mut self) -> Option<&'a str> {
        let length = self.u32()? as usize;
        self.terminated(length)
    }

    /// A signature.
    pub(crate) fn signature(&mut self) -> Option<&'a str> {
        let length = self.u8()?.into();
        self.terminated(length)
    }

    fn terminated(&mut self, length: usize) -> Option<&'a str> {
        let text = std::str::from_utf8(self.take(length)?).ok()?;
        (self.u8()? == 0).then_some(text)
    }
}

#[cfg(test)]
mod tests {
    use super::super::property::{Property, Value};
    use super::*;

    fn call(body: Writer, signature: &str) -> Vec<u8> {
        let (destination, path) = ("org.freedesktop.DBus", "/org/freedesktop/DBus");
        let (interface, member) = ("org.freedesktop.DBus", "Hello");
        Call { destination, path, interface, member, signature, body }.to_bytes(1)
    }

    #[test]
    #[cfg(target_endian = "little")]
    fn a_call_byte_by_byte() {
        let expected = b"l\x01\x00\x01\x00\x00\x00\x00\x01\x00\x00\x00\x6d\x00\x00\x00\
            \x01\x01o\x00\x15\x00\x00\x00/org/freedesktop/DBus\x00\x00\x00\
            \x02\x01s\x00\x14\x00\x00\x00org.freedesktop.DBus\x00\x00\x00\x00\
            \x03\x01s\x00\x05\x00\x00\x00Hello\x00\x00\x00\
            \x06\x01s\x00\x14\x00\x00\x00org.freedesktop.DBus\x00\x00\x00\x00";
        let bytes = call(Writer::default(), "");
        assert_eq!(bytes.len() % 8, 0);
        assert_eq!(bytes, expected);
    }

    #[test]
    fn what_is_written_is_read() {
        let mut body = Writer::default();
        body.text("x");
        body.u32(7);
        let bytes = call(body, "su");
        for length in 0..bytes.len() {
            assert_eq!(Message::parse(&bytes[..length]), Ok(None), "{length}");
        }
        let (message, length) = Message::parse(&[&bytes[..], b"more"].concat()).unwrap().unwrap();
        assert_eq!(length, bytes.len());
        assert_eq!((message.kind, &message.member[..], &message.signature[..]), (1, "Hello", "su"));
        let mut reader = message.reader();
        assert_eq!((reader.text(), reader.u32(), reader.u32()), (Some("x"), Some(7), None));
    }

    #[test]
    fn properties_are_aligned() {
        let mut to = Writer::default();
        to.u32(9);
        Property::new("A", Value::U64(5)).write(&mut to);
        let mut expected = vec![0; 32];
        expected[..4].copy_from_slice(&9_u32.to_ne_bytes());
        // At 8 the structure: a text of 1, then the variant's type, then at 24 the number.
        expected[8..12].copy_from_slice(&1_u32.to_ne_bytes());
        expected[12..17].copy_from_slice(b"A\0\x01t\0");
        expected[24..].copy_from_slice(&5_u64.to_ne_bytes());
        assert_eq!(to.bytes, expected);
        let mut to = Writer::default();
        Property::new("Ab", Value::Pairs(vec![("c".into(), "d".into())])).write(&mut to);
        // The array's length doesn't count what aligns its first element.
        let length_at = 4 + 3 + 7 + 2;
        assert_eq!(to.bytes[length_at..length_at + 4], 14_u32.to_ne_bytes());
        assert_eq!(to.bytes.len(), 24 + 14);
    }

    #[test]
    fn nonsense_is_no_message() {
        let good = call(Writer::default(), "");
        for (at, byte) in [(0, b'x'), (3, 9), (7, 0xff), (15, 0xff), (17, 200), (19, 1)] {
            let mut bad = good.clone();
            bad[at] = byte;
            assert_eq!(Message::parse(&bad), Err(Malformed), "{at}");
        }
    }
}
