//! As much of the protobuf wire format as Signal's messages and records need: varints and length-delimited fields.
//!
//! What it is not: a schema. Readers loop over `Fields` and keep the raw bytes of what they do not know, so that a record
//! written by a newer program loses nothing here. Every input ends in fields or in an offset; nothing panics.

/// Where reading failed, in bytes from the start of the input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed(pub usize);

/// A field's value, by wire type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Value<'a> {
    Varint(u64),
    Bytes(&'a [u8]),
    /// A fixed32 or fixed64, which nothing here uses; its bytes are in `Field::raw`.
    Fixed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field<'a> {
    pub number: u32,
    pub value: Value<'a>,
    /// The whole field, tag included.
    pub raw: &'a [u8],
    /// Where the field begins.
    pub offset: usize,
}

impl<'a> Field<'a> {
    /// The bytes of a length-delimited field.
    pub fn bytes(&self) -> Result<&'a [u8], Malformed> {
        if let Value::Bytes(bytes) = self.value { Ok(bytes) } else { Err(Malformed(self.offset)) }
    }

    /// A varint as protobuf reads a uint32: the low 32 bits.
    #[allow(clippy::cast_possible_truncation)] // protobuf's own rule for uint32
    pub fn uint32(&self) -> Result<u32, Malformed> {
        if let Value::Varint(value) = self.value { Ok(value as u32) } else { Err(Malformed(self.offset)) }
    }
}

/// The fields of one message, in order.
pub struct Fields<'a> {
    data: &'a [u8],
    at: usize,
}

impl<'a> Fields<'a> {
    pub fn new(data: &'a [u8]) -> Self {
        Self { data, at: 0 }
    }

    /// The next field, or None at the end.
    pub fn next(&mut self) -> Result<Option<Field<'a>>, Malformed> {
        let offset = self.at;
        if offset == self.data.len() {
            return Ok(None);
        }
        let tag = u32::try_from(self.varint()?).map_err(|_| Malformed(offset))?;
        let number = tag >> 3;
        if number == 0 {
            return Err(Malformed(offset));
        }
        let value = match tag & 7 {
            0 => Value::Varint(self.varint()?),
            1 => self.skip(8)?,
            2 => self.delimited()?,
            5 => self.skip(4)?,
            _ => return Err(Malformed(offset)),
        };
        let raw = self.data.get(offset..self.at).ok_or(Malformed(offset))?;
        Ok(Some(Field { number, value, raw, offset }))
    }

    fn varint(&mut self) -> Result<u64, Malformed> {
        let start = self.at;
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = *self.data.get(self.at).ok_or(Malformed(self.at))?;
            self.at += 1;
            if shift == 63 && byte > 1 {
                break;
            }
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(Malformed(start))
    }

    fn delimited(&mut self) -> Result<Value<'a>, Malformed> {
        let start = self.at;
        let length = usize::try_from(self.varint()?).map_err(|_| Malformed(start))?;
        Ok(Value::Bytes(self.take(length)?))
    }

    fn skip(&mut self, length: usize) -> Result<Value<'a>, Malformed> {
        self.take(length).map(|_| Value::Fixed)
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], Malformed> {
        let end = self.at.checked_add(length).ok_or(Malformed(self.at))?;
        let taken = self.data.get(self.at..end).ok_or(Malformed(self.at))?;
        self.at = end;
        Ok(taken)
    }
}

/// Writing: fields appended to a buffer.
pub fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// A uint32 field, zero too.
pub fn put_uint32(out: &mut Vec<u8>, number: u32, value: u32) {
    put_varint(out, u64::from(number << 3));
    put_varint(out, u64::from(value));
}

/// A uint32 field as proto3 stores it: left out when zero.
pub fn put_uint32_unless_zero(out: &mut Vec<u8>, number: u32, value: u32) {
    if value != 0 {
        put_uint32(out, number, value);
    }
}

/// How long `put_uint32_unless_zero` makes a field with a number below 16.
pub fn uint32_length(value: u32) -> usize {
    let bits = (u32::BITS - value.leading_zeros()) as usize;
    if bits == 0 { 0 } else { 1 + bits.div_ceil(7) }
}

pub fn put_bytes(out: &mut Vec<u8>, number: u32, value: &[u8]) {
    put_header(out, number, value.len());
    out.extend_from_slice(value);
}

/// The tag and length of a length-delimited field whose `length` bytes the caller writes next.
pub fn put_header(out: &mut Vec<u8>, number: u32, length: usize) {
    put_varint(out, u64::from(number << 3 | 2));
    put_varint(out, length as u64);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_come_back_as_written() {
        let mut out = Vec::new();
        put_uint32(&mut out, 1, 0);
        put_uint32(&mut out, 2, u32::MAX);
        put_bytes(&mut out, 300, b"abc");
        put_uint32_unless_zero(&mut out, 4, 0);
        let mut fields = Fields::new(&out);
        let mut read = || fields.next().expect("well formed").map(|field| (field.number, field.value));
        assert_eq!(read(), Some((1, Value::Varint(0))));
        assert_eq!(read(), Some((2, Value::Varint(u64::from(u32::MAX)))));
        assert_eq!(read(), Some((300, Value::Bytes(b"abc"))));
        assert_eq!(read(), None);
    }

    #[test]
    fn malformed_input_names_its_offset() {
        let cases: [(&[u8], usize); 7] = [
            (&[0x0a, 5, 1], 2),                                            // declared longer than the input
            (&[0x08], 1),                                                  // no value
            (&[0x00, 0], 0),                                               // field number 0
            (&[0x08, 1, 0x0b], 2),                                         // a group
            (&[0x09, 1, 2], 1),                                            // a short fixed64
            (&[8, 255, 255, 255, 255, 255, 255, 255, 255, 255, 2], 1),     // more than 64 bits
            (&[0x0a, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1], 11), // 2^64 - 1 bytes
        ];
        for (data, offset) in cases {
            let mut fields = Fields::new(data);
            let error = loop {
                match fields.next() {
                    Ok(Some(_)) => {}
                    Ok(None) => panic!("{data:?} was read"),
                    Err(error) => break error,
                }
            };
            assert_eq!(error, Malformed(offset), "{data:?}");
        }
    }
}
