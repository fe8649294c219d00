//! The few bytes of protobuf that Signal needs: a reader over a slice, and writers into a vector.
//!
//! Total on any input: reading answers with a field or a `Malformed(offset)`. Fields this code does not know are kept by the
//! record that holds them.

/// Where reading stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed(pub usize);

/// A field's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
    /// A 32- or 64-bit field, which Signal does not use.
    Fixed,
}

/// One field, with the bytes it was read from.
#[derive(Debug, Clone, Copy)]
pub struct Field<'a> {
    pub number: u32,
    pub value: Value<'a>,
    pub raw: &'a [u8],
}

/// Walks the fields of one message.
pub struct Fields<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Fields<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    fn varint(&mut self) -> Result<u64, Malformed> {
        let start = self.at;
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = *self.bytes.get(self.at).ok_or(Malformed(self.at))?;
            self.at += 1;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(Malformed(start))
    }

    fn take(&mut self, count: u64) -> Result<&'a [u8], Malformed> {
        let end = usize::try_from(count).ok().and_then(|count| self.at.checked_add(count)).ok_or(Malformed(self.at))?;
        let taken = self.bytes.get(self.at..end).ok_or(Malformed(self.at))?;
        self.at = end;
        Ok(taken)
    }

    pub fn next(&mut self) -> Result<Option<Field<'a>>, Malformed> {
        if self.at == self.bytes.len() {
            return Ok(None);
        }
        let start = self.at;
        let key = self.varint()?;
        let number = u32::try_from(key >> 3).map_err(|_| Malformed(start))?;
        let value = match key & 7 {
            0 => Value::Number(self.varint()?),
            1 => self.take(8).map(|_| Value::Fixed)?,
            2 => {
                let length = self.varint()?;
                Value::Bytes(self.take(length)?)
            }
            5 => self.take(4).map(|_| Value::Fixed)?,
            _ => return Err(Malformed(start)),
        };
        if number == 0 {
            return Err(Malformed(start));
        }
        let raw = self.bytes.get(start..self.at).ok_or(Malformed(start))?;
        Ok(Some(Field { number, value, raw }))
    }
}

pub fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value > 0x7f {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

pub fn put_number(out: &mut Vec<u8>, field: u32, value: u32) {
    put_varint(out, u64::from(field) << 3);
    put_varint(out, u64::from(value));
}

pub fn put_bytes(out: &mut Vec<u8>, field: u32, bytes: &[u8]) {
    put_varint(out, u64::from(field) << 3 | 2);
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// A nested message, written by `fill`.
pub fn put_message(out: &mut Vec<u8>, field: u32, fill: impl FnOnce(&mut Vec<u8>)) {
    put_varint(out, u64::from(field) << 3 | 2);
    let start = out.len();
    // Most nested messages are longer than 127 bytes and shorter than 16,384: leave room for two length bytes.
    out.extend([0, 0]);
    fill(out);
    let length = out.len() - start - 2;
    if (128..16_384).contains(&length) {
        out[start] = length as u8 | 0x80;
        out[start + 1] = (length >> 7) as u8;
    } else {
        let mut prefix = Vec::with_capacity(5);
        put_varint(&mut prefix, length as u64);
        out.splice(start..start + 2, prefix);
    }
}
