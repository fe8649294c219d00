//! The two messages of sender keys on the wire, version 3, without any key of ours.
//!
//! ```text
//! skmsg         version || protobuf{1 id, 2 iteration, 3 ciphertext} || XEdDSA signature (64 bytes) over all before it
//! distribution  version || protobuf{1 id, 2 iteration, 3 chain key (32), 4 signing key (33)}
//! ```
//!
//! This is WhatsApp's form. Signal's own client has moved on: field 1 is a distribution id of 16 bytes there, and the
//! others come one number later, so neither reads the other's messages; everything inside them is the same.
//!
//! Source: Baileys Signal/Group/sender-key-message.ts, sender-key-distribution-message.ts, WAProto.

use super::error::Failure;
use super::keys::Secret;
use super::message::{PublicKey, VERSION_BYTE, at, check_version, typed, untyped};
use super::protobuf::{Fields, Malformed, put_bytes, put_uint32};
use zeroize::Zeroizing;

pub const SIGNATURE_LENGTH: usize = 64;

/// A parsed skmsg. Nothing in it is authenticated yet.
#[derive(Debug, Clone, Copy)]
pub struct SenderKeyMessage<'a> {
    pub id: u32,
    pub iteration: u32,
    pub ciphertext: &'a [u8],
    /// What the signature covers: version byte and protobuf.
    pub covered: &'a [u8],
    pub signature: &'a [u8; SIGNATURE_LENGTH],
}

impl<'a> SenderKeyMessage<'a> {
    pub fn parse(message: &'a [u8]) -> Result<Self, Failure> {
        check_version(message)?;
        let split = message.split_last_chunk::<SIGNATURE_LENGTH>();
        let (covered, signature) = split.ok_or(Failure::Message(message.len()))?;
        let body = covered.get(1..).ok_or(Failure::Message(covered.len()))?;
        let (mut id, mut iteration, mut ciphertext) = (None, 0, None);
        let mut fields = Fields::new(body);
        while let Some(field) = fields.next().map_err(at)? {
            match field.number {
                1 => id = Some(field.uint32().map_err(at)?),
                2 => iteration = field.uint32().map_err(at)?,
                3 => ciphertext = Some(field.bytes().map_err(at)?),
                _ => {}
            }
        }
        let missing = Failure::Message(covered.len());
        Ok(Self { id: id.ok_or(missing)?, iteration, ciphertext: ciphertext.ok_or(missing)?, covered, signature })
    }
}

/// A skmsg up to its signature, with room for it.
pub fn write_covered(id: u32, iteration: u32, ciphertext: &[u8]) -> Vec<u8> {
    // 24 is more than all that is neither ciphertext nor signature.
    let mut out = Vec::with_capacity(24 + ciphertext.len() + SIGNATURE_LENGTH);
    out.push(VERSION_BYTE);
    put_uint32(&mut out, 1, id);
    put_uint32(&mut out, 2, iteration);
    put_bytes(&mut out, 3, ciphertext);
    out
}

/// A place in a sender's chain, and the key its messages are signed with: what a member needs to read from there on.
#[derive(Clone)]
pub struct Distribution {
    pub id: u32,
    pub iteration: u32,
    pub chain_key: Secret,
    pub signing_key: PublicKey,
}

impl Distribution {
    pub fn parse(data: &[u8]) -> Result<Self, Failure> {
        check_version(data)?;
        let body = data.get(1..).ok_or(Failure::Message(data.len()))?;
        let (mut id, mut iteration, mut chain_key, mut signing_key) = (None, 0, None, None);
        let mut fields = Fields::new(body);
        while let Some(field) = fields.next().map_err(at)? {
            let wrong = at(Malformed(field.offset));
            match field.number {
                1 => id = Some(field.uint32().map_err(at)?),
                2 => iteration = field.uint32().map_err(at)?,
                3 => chain_key = Some(Zeroizing::new(field.bytes().map_err(at)?.try_into().map_err(|_| wrong)?)),
                4 => signing_key = Some(untyped(field.bytes().map_err(at)?).ok_or(wrong)?),
                _ => {}
            }
        }
        let missing = Failure::Message(data.len());
        Ok(Self {
            id: id.ok_or(missing)?,
            iteration,
            chain_key: chain_key.ok_or(missing)?,
            signing_key: signing_key.ok_or(missing)?,
        })
    }

    pub fn write(&self) -> Zeroizing<Vec<u8>> {
        let mut out = Zeroizing::new(Vec::with_capacity(96));
        out.push(VERSION_BYTE);
        put_uint32(&mut out, 1, self.id);
        put_uint32(&mut out, 2, self.iteration);
        put_bytes(&mut out, 3, self.chain_key.as_slice());
        put_bytes(&mut out, 4, &typed(&self.signing_key));
        out
    }
}
