//! The two messages of a session on the wire, version 3.
//!
//!     msg    0x33, protobuf {1 ratchet key, 2 counter, 3 previous counter, 4 ciphertext}, 8 bytes of MAC
//!     pkmsg  0x33, protobuf {1 prekey id, 2 base key, 3 identity key, 4 msg, 5 registration id, 6 signed prekey id}
//!
//! Source: Signal's WhisperTextProtocol as every client of this wire writes it (numbers are facts).

use super::wire::{Fields, Malformed, Value, put_bytes, put_number};

pub const VERSION: u8 = 0x33;
pub const MAC: usize = 8;
pub const KEY_TYPE: u8 = 5;

/// A public key as the wire has it: the type byte 05 and 32 bytes.
pub fn read_key(bytes: &[u8]) -> Option<[u8; 32]> {
    match bytes {
        [KEY_TYPE, key @ ..] => key.try_into().ok(),
        _ => None,
    }
}

/// The wire form of a public key.
pub fn wire_key(key: &[u8; 32]) -> [u8; 33] {
    let mut wire = [KEY_TYPE; 33];
    wire[1..].copy_from_slice(key);
    wire
}

/// A parsed msg.
pub struct SignalMessage<'a> {
    pub ratchet_key: [u8; 32],
    pub counter: u32,
    pub previous_counter: u32,
    pub ciphertext: &'a [u8],
    /// What the MAC covers: version byte and protobuf.
    pub body: &'a [u8],
    pub mac: &'a [u8],
}

impl<'a> SignalMessage<'a> {
    pub fn parse(message: &'a [u8]) -> Result<Self, Malformed> {
        let split = message.len().checked_sub(MAC).filter(|split| *split > 1).ok_or(Malformed(0))?;
        let (body, mac) = message.split_at(split);
        if body[0] != VERSION {
            return Err(Malformed(0));
        }
        let (mut key, mut counter, mut previous, mut ciphertext) = (None, None, 0, None);
        let mut fields = Fields::new(&body[1..]);
        while let Some(field) = fields.next()? {
            match (field.number, field.value) {
                (1, Value::Bytes(bytes)) => key = read_key(bytes),
                (2, Value::Number(number)) => counter = u32::try_from(number).ok(),
                (3, Value::Number(number)) => previous = u32::try_from(number).unwrap_or(u32::MAX),
                (4, Value::Bytes(bytes)) => ciphertext = Some(bytes),
                _ => {}
            }
        }
        Ok(Self {
            ratchet_key: key.ok_or(Malformed(1))?,
            counter: counter.ok_or(Malformed(1))?,
            previous_counter: previous,
            ciphertext: ciphertext.ok_or(Malformed(1))?,
            body,
            mac,
        })
    }
}

/// The part of a msg that the MAC covers.
pub fn write_body(ratchet_key: &[u8; 32], counter: u32, previous_counter: u32, ciphertext: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(ciphertext.len() + 64);
    out.push(VERSION);
    put_bytes(&mut out, 1, &wire_key(ratchet_key));
    put_number(&mut out, 2, counter);
    put_number(&mut out, 3, previous_counter);
    put_bytes(&mut out, 4, ciphertext);
    out
}

/// A parsed pkmsg.
pub struct PreKeySignalMessage<'a> {
    pub registration_id: u32,
    pub prekey_id: Option<u32>,
    pub signed_prekey_id: u32,
    pub base_key: [u8; 32],
    pub identity_key: [u8; 32],
    pub message: &'a [u8],
}

impl<'a> PreKeySignalMessage<'a> {
    pub fn parse(message: &'a [u8]) -> Result<Self, Malformed> {
        let Some((&VERSION, rest)) = message.split_first() else {
            return Err(Malformed(0));
        };
        let (mut registration, mut prekey, mut signed) = (0, None, None);
        let (mut base, mut identity, mut inner) = (None, None, None);
        let mut fields = Fields::new(rest);
        while let Some(field) = fields.next().map_err(|fault| Malformed(fault.0 + 1))? {
            match (field.number, field.value) {
                (1, Value::Number(number)) => prekey = Some(u32::try_from(number).map_err(|_| Malformed(1))?),
                (2, Value::Bytes(bytes)) => base = read_key(bytes),
                (3, Value::Bytes(bytes)) => identity = read_key(bytes),
                (4, Value::Bytes(bytes)) => inner = Some(bytes),
                (5, Value::Number(number)) => registration = u32::try_from(number).map_err(|_| Malformed(1))?,
                (6, Value::Number(number)) => signed = Some(u32::try_from(number).map_err(|_| Malformed(1))?),
                _ => {}
            }
        }
        Ok(Self {
            registration_id: registration,
            prekey_id: prekey,
            signed_prekey_id: signed.ok_or(Malformed(1))?,
            base_key: base.ok_or(Malformed(1))?,
            identity_key: identity.ok_or(Malformed(1))?,
            message: inner.ok_or(Malformed(1))?,
        })
    }

    pub fn write(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.message.len() + 96);
        out.push(VERSION);
        if let Some(id) = self.prekey_id {
            put_number(&mut out, 1, id);
        }
        put_bytes(&mut out, 2, &wire_key(&self.base_key));
        put_bytes(&mut out, 3, &wire_key(&self.identity_key));
        put_bytes(&mut out, 4, self.message);
        put_number(&mut out, 5, self.registration_id);
        put_number(&mut out, 6, self.signed_prekey_id);
        out
    }
}
