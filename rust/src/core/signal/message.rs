//! The two messages on the wire, version 3, without any key.
//!
//! ```text
//! msg    version || protobuf{1 ratchet_key, 2 counter, 3 previous_counter, 4 ciphertext} || MAC (8 bytes)
//! pkmsg  version || protobuf{1 prekey_id?, 2 base_key, 3 identity_key, 4 msg, 5 registration_id, 6 signed_prekey_id}
//! ```
//!
//! The version byte is two nibbles: the message's version and the highest version its sender speaks. Keys on the wire are 33
//! bytes, the type 05 first. Fields are written in order of number, counters even when zero.
//!
//! Source: signal.org/docs/specifications/doubleratchet and x3dh; field numbers and byte order as observed from the official
//! client and libsignal-node.

use super::error::Failure;
use super::protobuf::{Fields, Malformed, put_bytes, put_header, put_uint32};

pub type PublicKey = [u8; 32];

/// Message version 3, from a sender who speaks version 3.
pub const VERSION_BYTE: u8 = 0x33;
pub const VERSION: u8 = 3;
pub const MAC_LENGTH: usize = 8;
/// Curve25519, the first byte of a public key on the wire and in records.
pub const KEY_TYPE: u8 = 0x05;
const PUBLIC_KEY: usize = 33;

/// A public key as wire and records write it.
pub fn typed(key: &PublicKey) -> [u8; PUBLIC_KEY] {
    let mut typed = [KEY_TYPE; PUBLIC_KEY];
    typed[1..].copy_from_slice(key);
    typed
}

/// A public key from its 33 bytes.
pub fn untyped(key: &[u8]) -> Option<PublicKey> {
    match key {
        [KEY_TYPE, key @ ..] => key.try_into().ok(),
        _ => None,
    }
}

pub(super) fn check_version(message: &[u8]) -> Result<(), Failure> {
    let byte = *message.first().ok_or(Failure::Message(0))?;
    if byte >> 4 == VERSION && byte & 0x0f >= VERSION { Ok(()) } else { Err(Failure::Message(0)) }
}

/// What parsed; offsets are those of the whole message, whose protobuf begins after the version byte.
pub(super) fn at(malformed: Malformed) -> Failure {
    Failure::Message(malformed.0 + 1)
}

/// A parsed msg. Nothing in it is authenticated yet.
#[derive(Debug, Clone, Copy)]
pub struct SignalMessage<'a> {
    pub ratchet_key: PublicKey,
    pub counter: u32,
    pub ciphertext: &'a [u8],
    /// What the MAC covers: version byte and protobuf.
    pub covered: &'a [u8],
    pub mac: [u8; MAC_LENGTH],
}

impl<'a> SignalMessage<'a> {
    pub fn parse(message: &'a [u8]) -> Result<Self, Failure> {
        check_version(message)?;
        let (covered, mac) = message.split_last_chunk::<MAC_LENGTH>().ok_or(Failure::Message(message.len()))?;
        let body = covered.get(1..).ok_or(Failure::Message(covered.len()))?;
        let (mut ratchet_key, mut counter, mut ciphertext) = (None, 0, None);
        let mut fields = Fields::new(body);
        while let Some(field) = fields.next().map_err(at)? {
            match field.number {
                1 => {
                    let key = untyped(field.bytes().map_err(at)?);
                    ratchet_key = Some(key.ok_or(at(Malformed(field.offset)))?);
                }
                2 => counter = field.uint32().map_err(at)?,
                4 => ciphertext = Some(field.bytes().map_err(at)?),
                _ => {}
            }
        }
        let missing = Failure::Message(covered.len());
        Ok(Self {
            ratchet_key: ratchet_key.ok_or(missing)?,
            counter,
            ciphertext: ciphertext.ok_or(missing)?,
            covered,
            mac: *mac,
        })
    }
}

/// A msg up to its MAC.
pub fn write_covered(ratchet_key: &PublicKey, counter: u32, previous_counter: u32, ciphertext: &[u8]) -> Vec<u8> {
    // 66 is more than all that is not ciphertext; there is room left for the MAC.
    let mut out = Vec::with_capacity(66 + ciphertext.len() + MAC_LENGTH);
    out.push(VERSION_BYTE);
    put_bytes(&mut out, 1, &typed(ratchet_key));
    put_uint32(&mut out, 2, counter);
    put_uint32(&mut out, 3, previous_counter);
    put_bytes(&mut out, 4, ciphertext);
    out
}

/// A parsed pkmsg; `message` is the msg inside. Nothing in it is authenticated.
#[derive(Debug, Clone, Copy)]
pub struct PreKeySignalMessage<'a> {
    pub registration_id: u32,
    pub prekey_id: Option<u32>,
    pub signed_prekey_id: u32,
    pub base_key: PublicKey,
    pub identity_key: PublicKey,
    pub message: SignalMessage<'a>,
}

impl<'a> PreKeySignalMessage<'a> {
    pub fn parse(data: &'a [u8]) -> Result<Self, Failure> {
        check_version(data)?;
        let body = data.get(1..).ok_or(Failure::Message(data.len()))?;
        let (mut prekey_id, mut signed_prekey_id, mut registration_id) = (None, None, 0);
        let (mut base_key, mut identity_key, mut message) = (None, None, None);
        let mut fields = Fields::new(body);
        while let Some(field) = fields.next().map_err(at)? {
            let key = || untyped(field.bytes().map_err(at)?).ok_or(at(Malformed(field.offset)));
            match field.number {
                1 => prekey_id = Some(field.uint32().map_err(at)?),
                2 => base_key = Some(key()?),
                3 => identity_key = Some(key()?),
                4 => message = Some(field.bytes().map_err(at)?),
                5 => registration_id = field.uint32().map_err(at)?,
                6 => signed_prekey_id = Some(field.uint32().map_err(at)?),
                _ => {}
            }
        }
        let missing = Failure::Message(data.len());
        let message = message.ok_or(missing)?;
        Ok(Self {
            registration_id,
            prekey_id,
            signed_prekey_id: signed_prekey_id.ok_or(missing)?,
            base_key: base_key.ok_or(missing)?,
            identity_key: identity_key.ok_or(missing)?,
            message: SignalMessage::parse(message).map_err(|failure| inside(failure, data, message))?,
        })
    }
}

/// The failure of an inner msg, its offset counted from the start of the pkmsg around it.
fn inside(failure: Failure, outer: &[u8], inner: &[u8]) -> Failure {
    match failure {
        // The inner message is a slice of the outer one, so the difference of their addresses is its offset.
        Failure::Message(offset) => {
            Failure::Message((inner.as_ptr() as usize).wrapping_sub(outer.as_ptr() as usize) + offset)
        }
        other => other,
    }
}

/// What a pkmsg says around its msg.
#[derive(Debug, Clone, Copy)]
pub struct PreKeyHeader<'a> {
    pub registration_id: u32,
    pub prekey_id: Option<u32>,
    pub signed_prekey_id: u32,
    pub base_key: &'a PublicKey,
    pub identity_key: &'a PublicKey,
}

/// A pkmsg around a finished msg.
pub fn write_prekey_message(header: &PreKeyHeader<'_>, message: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(100 + message.len());
    out.push(VERSION_BYTE);
    if let Some(id) = header.prekey_id {
        put_uint32(&mut out, 1, id);
    }
    put_bytes(&mut out, 2, &typed(header.base_key));
    put_bytes(&mut out, 3, &typed(header.identity_key));
    put_header(&mut out, 4, message.len());
    out.extend_from_slice(message);
    put_uint32(&mut out, 5, header.registration_id);
    put_uint32(&mut out, 6, header.signed_prekey_id);
    out
}
