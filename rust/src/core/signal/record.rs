//! Session records in the layout that Signal's own library stores.
//!
//!     RecordStructure   {1 current session, 2 previous sessions *}
//!     SessionStructure  {1 version, 2 local identity, 3 remote identity, 4 root key, 5 previous counter, 6 sender chain,
//!                        7 receiver chains *, 9 pending prekey, 10 remote registration, 11 local registration,
//!                        13 Alice's base key}
//!     Chain             {1 ratchet key, 2 its private key, 3 chain key {1 index, 2 key}, 4 skipped message keys *}
//!     MessageKey        {1 index, 2 cipher key, 3 MAC key, 4 IV}
//!     PendingPreKey     {1 prekey id, 2 base key, 3 signed prekey id}
//!
//! Only the current session is taken apart; archived ones stay bytes until a message needs them. Fields that are not listed are
//! kept and written back.
//!
//! Source: libsignal's storage layout as public clients document it (field numbers are facts); checked against records that
//! `@signalapp/libsignal-client` wrote (tests/peers).

use super::message::{read_key, wire_key};
use super::wire::{Fields, Malformed, Value, put_bytes, put_message, put_number};
use zeroize::{Zeroize, ZeroizeOnDrop};

/// Archived sessions kept in a record, most recent first.
pub const MAX_ARCHIVED: usize = 40;

#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct MessageKey {
    pub index: u32,
    pub cipher: [u8; 32],
    pub mac: [u8; 32],
    pub iv: [u8; 16],
}

#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct Chain {
    pub ratchet_key: [u8; 32],
    /// Zero in a receiving chain.
    pub ratchet_private: [u8; 32],
    pub index: u32,
    pub key: [u8; 32],
    /// Message keys that were jumped over, oldest first.
    pub skipped: Vec<MessageKey>,
}

#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct PendingPreKey {
    pub prekey_id: Option<u32>,
    pub signed_prekey_id: u32,
    pub base_key: [u8; 32],
}

#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct Session {
    pub version: u32,
    pub local_identity: [u8; 32],
    pub remote_identity: [u8; 32],
    pub root_key: [u8; 32],
    pub previous_counter: u32,
    pub sender: Option<Chain>,
    /// Newest last.
    pub receivers: Vec<Chain>,
    pub pending: Option<PendingPreKey>,
    pub remote_registration_id: u32,
    pub local_registration_id: u32,
    pub base_key: [u8; 32],
    /// Fields this code does not know, as they were.
    pub unknown: Vec<u8>,
}

/// A record, taken apart as far as needed.
pub struct Record<'a> {
    pub current: Option<&'a [u8]>,
    /// Most recently archived first.
    pub archived: Vec<&'a [u8]>,
}

impl<'a> Record<'a> {
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let mut record = Self { current: None, archived: Vec::new() };
        let mut fields = Fields::new(bytes);
        while let Some(field) = fields.next()? {
            match (field.number, field.value) {
                (1, Value::Bytes(session)) if !session.is_empty() => record.current = Some(session),
                (2, Value::Bytes(session)) => record.archived.push(session),
                _ => {}
            }
        }
        Ok(record)
    }

    /// The record with this current session, and these archived ones.
    pub fn write(current: Option<&Session>, archived: &[&[u8]]) -> Vec<u8> {
        let kept = &archived[..archived.len().min(MAX_ARCHIVED)];
        let mut out = Vec::with_capacity(512 + kept.iter().map(|session| session.len() + 4).sum::<usize>());
        if let Some(session) = current {
            put_message(&mut out, 1, |out| session.write(out));
        }
        for session in kept {
            put_bytes(&mut out, 2, session);
        }
        out
    }
}

fn fixed<const N: usize>(bytes: &[u8]) -> Result<[u8; N], Malformed> {
    bytes.try_into().map_err(|_| Malformed(0))
}

/// A field that holds nothing is as good as absent.
fn optional<const N: usize>(bytes: &[u8]) -> Result<[u8; N], Malformed> {
    if bytes.is_empty() { Ok([0; N]) } else { fixed(bytes) }
}

fn number(value: u64) -> Result<u32, Malformed> {
    // A negative int32 is written as ten bytes; its low half is its value.
    if value > u64::from(u32::MAX) && value >> 31 != 0x1_ffff_ffff { Err(Malformed(0)) } else { Ok(value as u32) }
}

impl Session {
    pub fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut session = Self {
            version: 3,
            local_identity: [0; 32],
            remote_identity: [0; 32],
            root_key: [0; 32],
            previous_counter: 0,
            sender: None,
            receivers: Vec::new(),
            pending: None,
            remote_registration_id: 0,
            local_registration_id: 0,
            base_key: [0; 32],
            unknown: Vec::new(),
        };
        let mut fields = Fields::new(bytes);
        while let Some(field) = fields.next()? {
            match (field.number, field.value) {
                (1, Value::Number(value)) => session.version = number(value)?,
                (2, Value::Bytes(bytes)) => session.local_identity = read_key(bytes).ok_or(Malformed(0))?,
                (3, Value::Bytes(bytes)) => session.remote_identity = read_key(bytes).ok_or(Malformed(0))?,
                (4, Value::Bytes(bytes)) => session.root_key = fixed(bytes)?,
                (5, Value::Number(value)) => session.previous_counter = number(value)?,
                (6, Value::Bytes(bytes)) => session.sender = Some(Chain::parse(bytes)?),
                (7, Value::Bytes(bytes)) => session.receivers.push(Chain::parse(bytes)?),
                (9, Value::Bytes(bytes)) => session.pending = Some(PendingPreKey::parse(bytes)?),
                (10, Value::Number(value)) => session.remote_registration_id = number(value)?,
                (11, Value::Number(value)) => session.local_registration_id = number(value)?,
                (13, Value::Bytes(bytes)) => session.base_key = read_key(bytes).ok_or(Malformed(0))?,
                _ => session.unknown.extend_from_slice(field.raw),
            }
        }
        Ok(session)
    }

    /// Only Alice's base key, without taking the rest apart.
    pub fn peek_base_key(bytes: &[u8]) -> Result<Option<[u8; 32]>, Malformed> {
        let mut fields = Fields::new(bytes);
        let mut found = None;
        while let Some(field) = fields.next()? {
            if let (13, Value::Bytes(bytes)) = (field.number, field.value) {
                found = read_key(bytes);
            }
        }
        Ok(found)
    }

    pub fn write(&self, out: &mut Vec<u8>) {
        put_number(out, 1, self.version);
        put_bytes(out, 2, &wire_key(&self.local_identity));
        put_bytes(out, 3, &wire_key(&self.remote_identity));
        put_bytes(out, 4, &self.root_key);
        put_number(out, 5, self.previous_counter);
        if let Some(sender) = &self.sender {
            put_message(out, 6, |out| sender.write(out));
        }
        for receiver in &self.receivers {
            put_message(out, 7, |out| receiver.write(out));
        }
        if let Some(pending) = &self.pending {
            put_message(out, 9, |out| pending.write(out));
        }
        put_number(out, 10, self.remote_registration_id);
        put_number(out, 11, self.local_registration_id);
        put_bytes(out, 13, &wire_key(&self.base_key));
        out.extend_from_slice(&self.unknown);
    }
}

impl Chain {
    fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut chain =
            Self { ratchet_key: [0; 32], ratchet_private: [0; 32], index: 0, key: [0; 32], skipped: Vec::new() };
        let mut fields = Fields::new(bytes);
        while let Some(field) = fields.next()? {
            match (field.number, field.value) {
                (1, Value::Bytes(bytes)) => chain.ratchet_key = read_key(bytes).ok_or(Malformed(0))?,
                (2, Value::Bytes(bytes)) => chain.ratchet_private = optional(bytes)?,
                (3, Value::Bytes(bytes)) => chain.parse_key(bytes)?,
                (4, Value::Bytes(bytes)) => chain.skipped.push(MessageKey::parse(bytes)?),
                _ => {}
            }
        }
        Ok(chain)
    }

    fn parse_key(&mut self, bytes: &[u8]) -> Result<(), Malformed> {
        let mut fields = Fields::new(bytes);
        while let Some(field) = fields.next()? {
            match (field.number, field.value) {
                (1, Value::Number(value)) => self.index = number(value)?,
                (2, Value::Bytes(bytes)) => self.key = optional(bytes)?,
                _ => {}
            }
        }
        Ok(())
    }

    fn write(&self, out: &mut Vec<u8>) {
        put_bytes(out, 1, &wire_key(&self.ratchet_key));
        if self.ratchet_private != [0; 32] {
            put_bytes(out, 2, &self.ratchet_private);
        }
        put_message(out, 3, |out| {
            put_number(out, 1, self.index);
            put_bytes(out, 2, &self.key);
        });
        for key in &self.skipped {
            put_message(out, 4, |out| key.write(out));
        }
    }
}

impl MessageKey {
    fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut key = Self { index: 0, cipher: [0; 32], mac: [0; 32], iv: [0; 16] };
        let mut fields = Fields::new(bytes);
        while let Some(field) = fields.next()? {
            match (field.number, field.value) {
                (1, Value::Number(value)) => key.index = number(value)?,
                (2, Value::Bytes(bytes)) => key.cipher = fixed(bytes)?,
                (3, Value::Bytes(bytes)) => key.mac = fixed(bytes)?,
                (4, Value::Bytes(bytes)) => key.iv = fixed(bytes)?,
                _ => {}
            }
        }
        Ok(key)
    }

    fn write(&self, out: &mut Vec<u8>) {
        put_number(out, 1, self.index);
        put_bytes(out, 2, &self.cipher);
        put_bytes(out, 3, &self.mac);
        put_bytes(out, 4, &self.iv);
    }
}

impl PendingPreKey {
    fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut pending = Self { prekey_id: None, signed_prekey_id: 0, base_key: [0; 32] };
        let mut fields = Fields::new(bytes);
        while let Some(field) = fields.next()? {
            match (field.number, field.value) {
                (1, Value::Number(value)) => pending.prekey_id = Some(number(value)?),
                (2, Value::Bytes(bytes)) => pending.base_key = read_key(bytes).ok_or(Malformed(0))?,
                (3, Value::Number(value)) => pending.signed_prekey_id = number(value)?,
                _ => {}
            }
        }
        Ok(pending)
    }

    fn write(&self, out: &mut Vec<u8>) {
        if let Some(id) = self.prekey_id {
            put_number(out, 1, id);
        }
        put_number(out, 3, self.signed_prekey_id);
        put_bytes(out, 2, &wire_key(&self.base_key));
    }
}
