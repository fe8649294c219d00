//! The stored record of one peer device: a current session and archived ones, in Signal's usual storage layout.
//!
//! ```text
//! Record   1 current session, 2 archived sessions (newest first)
//! Session  1 version, 2 our identity, 3 their identity, 4 root key, 5 previous counter, 6 sender chain, 7 receiver chains
//!          (oldest first), 9 pending prekey {1 prekey id, 2 base key, 3 signed prekey id}, 10 their registration id,
//!          11 ours, 13 base key of the opening side
//! Chain    1 ratchet key, 2 its private key, 3 chain key {1 index, 2 key}, 4 skipped keys (newest first)
//!          {1 index, 2 cipher key, 3 MAC key, 4 IV}
//! ```
//!
//! Only what a step touches is read: archived sessions, receiver chains and skipped keys stay raw slices of the input until
//! one of them is needed, so that a record with forty sessions costs hardly more than one with none. Unknown fields are kept.
//!
//! Source: field numbers as observed from the official client's `SessionRecord.serialize`; whatsmeow stores the same facts
//! otherwise.

use super::error::Failure;
use super::keys::{ChainKey, KeyPair, MessageKeys, Secret};
use super::message::{PublicKey, VERSION, typed, untyped};
use super::protobuf::{Fields, Malformed, put_bytes, put_header, put_uint32, put_uint32_unless_zero, uint32_length};
use std::ops::Deref;
use zeroize::Zeroizing;

/// Skipped message keys kept in one chain; beyond it the oldest are dropped. The official client's number.
pub const MAX_SKIPPED: usize = 2_000;
/// Receiver chains kept in one session. The official client's number.
pub const MAX_CHAINS: usize = 5;
/// Archived sessions kept in one record. The official client's and libsignal-node's number.
pub const MAX_ARCHIVED: usize = 40;

impl From<Malformed> for Failure {
    fn from(_: Malformed) -> Self {
        Self::Record
    }
}

/// A nested message: a slice of the input, or written anew.
#[derive(Clone)]
pub enum Body<'a> {
    Borrowed(&'a [u8]),
    Owned(Zeroizing<Vec<u8>>),
}

impl Deref for Body<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Borrowed(slice) => slice,
            Self::Owned(bytes) => bytes,
        }
    }
}

pub(super) fn public(bytes: &[u8]) -> Result<PublicKey, Failure> {
    untyped(bytes).ok_or(Failure::Record)
}

pub(super) fn secret(bytes: &[u8]) -> Result<Secret, Failure> {
    Ok(Zeroizing::new(bytes.try_into().map_err(|_| Failure::Record)?))
}

// --- record -------------------------------------------------------------------------------------------------------------

/// A record, its sessions unread.
#[derive(Default)]
pub struct Record<'a> {
    pub current: Option<Body<'a>>,
    pub archived: Vec<Body<'a>>,
    unknown: Vec<&'a [u8]>,
}

impl<'a> Record<'a> {
    /// An empty input is an empty record.
    pub fn parse(data: &'a [u8]) -> Result<Self, Failure> {
        let mut record = Self::default();
        let mut fields = Fields::new(data);
        while let Some(field) = fields.next()? {
            match field.number {
                1 => record.current = Some(Body::Borrowed(field.bytes()?)),
                2 => record.archived.push(Body::Borrowed(field.bytes()?)),
                _ => record.unknown.push(field.raw),
            }
        }
        // An empty nested message is how some writers say "none".
        record.current = record.current.filter(|body| !body.is_empty());
        Ok(record)
    }

    pub fn write(&self) -> Zeroizing<Vec<u8>> {
        let sessions = self.current.iter().chain(&self.archived).map(|body| body.len() + 8).sum::<usize>();
        let unknown = self.unknown.iter().map(|raw| raw.len()).sum::<usize>();
        let mut out = Zeroizing::new(Vec::with_capacity(sessions + unknown));
        if let Some(body) = &self.current {
            put_bytes(&mut out, 1, body);
        }
        for body in &self.archived {
            put_bytes(&mut out, 2, body);
        }
        for raw in &self.unknown {
            out.extend_from_slice(raw);
        }
        out
    }

    /// The current session, read.
    pub fn session(&self) -> Result<Option<Session<'_>>, Failure> {
        self.current.as_deref().map(Session::parse).transpose()
    }

    /// Move the current session to the archive's front; the oldest beyond the limit is forgotten.
    pub fn archive(&mut self) {
        if let Some(body) = self.current.take() {
            self.archived.insert(0, body);
            self.archived.truncate(MAX_ARCHIVED);
        }
    }

    /// Make `body` the current session; the one before is archived.
    pub fn promote(&mut self, body: Body<'a>) {
        self.archive();
        self.current = Some(body);
    }
}

// --- session ------------------------------------------------------------------------------------------------------------

/// What a pkmsg repeats until the other side has answered.
#[derive(Clone)]
pub struct PendingPreKey {
    pub prekey_id: Option<u32>,
    pub signed_prekey_id: u32,
    pub base_key: PublicKey,
}

/// Our half of the ratchet.
#[derive(Clone)]
pub struct SenderChain {
    pub ratchet: KeyPair,
    pub chain: ChainKey,
}

/// One session, its receiver chains unread.
pub struct Session<'a> {
    pub local_identity: PublicKey,
    pub remote_identity: PublicKey,
    pub root_key: Secret,
    pub previous_counter: u32,
    pub sender: Option<SenderChain>,
    pub receivers: Vec<Body<'a>>,
    pub pending: Option<PendingPreKey>,
    pub remote_registration_id: u32,
    pub local_registration_id: u32,
    /// The base key of the side that opened the session: the session's name.
    pub base_key: Option<PublicKey>,
    pub version: u32,
    pub unknown: Vec<&'a [u8]>,
}

impl<'a> Session<'a> {
    pub fn parse(body: &'a [u8]) -> Result<Self, Failure> {
        let mut read = Unfinished::default();
        let mut fields = Fields::new(body);
        while let Some(field) = fields.next()? {
            match field.number {
                1 => read.version = field.uint32()?,
                2 => read.local_identity = Some(public(field.bytes()?)?),
                3 => read.remote_identity = Some(public(field.bytes()?)?),
                4 => read.root_key = Some(secret(field.bytes()?)?),
                5 => read.previous_counter = field.uint32()?,
                6 => read.sender = Some(parse_sender(field.bytes()?)?),
                7 => read.receivers.push(Body::Borrowed(field.bytes()?)),
                9 => read.pending = Some(parse_pending(field.bytes()?)?),
                10 => read.remote_registration_id = field.uint32()?,
                11 => read.local_registration_id = field.uint32()?,
                13 => read.base_key = Some(public(field.bytes()?)?),
                _ => read.unknown.push(field.raw),
            }
        }
        read.finish()
    }

    pub fn write(&self) -> Zeroizing<Vec<u8>> {
        let chains = self.receivers.iter().map(|body| body.len() + 8).sum::<usize>();
        let unknown = self.unknown.iter().map(|raw| raw.len()).sum::<usize>();
        let mut out = Zeroizing::new(Vec::with_capacity(450 + chains + unknown));
        put_uint32_unless_zero(&mut out, 1, self.version);
        put_bytes(&mut out, 2, &typed(&self.local_identity));
        put_bytes(&mut out, 3, &typed(&self.remote_identity));
        put_bytes(&mut out, 4, self.root_key.as_slice());
        put_uint32_unless_zero(&mut out, 5, self.previous_counter);
        if let Some(sender) = &self.sender {
            write_sender(&mut out, sender);
        }
        for body in &self.receivers {
            put_bytes(&mut out, 7, body);
        }
        if let Some(pending) = &self.pending {
            write_pending(&mut out, pending);
        }
        put_uint32_unless_zero(&mut out, 10, self.remote_registration_id);
        put_uint32_unless_zero(&mut out, 11, self.local_registration_id);
        if let Some(base_key) = &self.base_key {
            put_bytes(&mut out, 13, &typed(base_key));
        }
        for raw in &self.unknown {
            out.extend_from_slice(raw);
        }
        out
    }

    /// Whether this is a session of the version spoken here that can seal.
    pub fn is_usable(&self) -> bool {
        self.version == u32::from(VERSION) && self.sender.is_some()
    }

    /// The receiver chain of this ratchet key, and where it stands.
    pub fn find_chain(&self, ratchet_key: &PublicKey) -> Result<Option<(usize, ReceiverChain<'_>)>, Failure> {
        for (place, body) in self.receivers.iter().enumerate() {
            if chain_ratchet_key(body)? == *ratchet_key {
                return Ok(Some((place, ReceiverChain::parse(body)?)));
            }
        }
        Ok(None)
    }

    /// Add a chain; the oldest beyond the limit is forgotten, and its skipped keys with it.
    pub fn push_chain(&mut self, body: Zeroizing<Vec<u8>>) {
        self.receivers.push(Body::Owned(body));
        let excess = self.receivers.len().saturating_sub(MAX_CHAINS);
        self.receivers.drain(..excess);
    }
}

/// A session whose fields are being read.
#[derive(Default)]
struct Unfinished<'a> {
    version: u32,
    local_identity: Option<PublicKey>,
    remote_identity: Option<PublicKey>,
    root_key: Option<Secret>,
    previous_counter: u32,
    sender: Option<SenderChain>,
    receivers: Vec<Body<'a>>,
    pending: Option<PendingPreKey>,
    remote_registration_id: u32,
    local_registration_id: u32,
    base_key: Option<PublicKey>,
    unknown: Vec<&'a [u8]>,
}

impl<'a> Unfinished<'a> {
    fn finish(self) -> Result<Session<'a>, Failure> {
        Ok(Session {
            local_identity: self.local_identity.ok_or(Failure::Record)?,
            remote_identity: self.remote_identity.ok_or(Failure::Record)?,
            root_key: self.root_key.ok_or(Failure::Record)?,
            previous_counter: self.previous_counter,
            sender: self.sender,
            receivers: self.receivers,
            pending: self.pending,
            remote_registration_id: self.remote_registration_id,
            local_registration_id: self.local_registration_id,
            base_key: self.base_key,
            version: self.version,
            unknown: self.unknown,
        })
    }
}

// --- chains -------------------------------------------------------------------------------------------------------------

fn parse_sender(body: &[u8]) -> Result<SenderChain, Failure> {
    let (mut ratchet_key, mut private, mut chain) = (None, None, None);
    let mut fields = Fields::new(body);
    while let Some(field) = fields.next()? {
        match field.number {
            1 => ratchet_key = Some(public(field.bytes()?)?),
            2 => private = Some(secret(field.bytes()?)?),
            3 => chain = parse_chain_key(field.bytes()?)?.1,
            _ => {} // a sender chain has nothing else; skipped keys belong to receivers
        }
    }
    let missing = Failure::Record;
    let ratchet = KeyPair { private: private.ok_or(missing)?, public: ratchet_key.ok_or(missing)? };
    Ok(SenderChain { ratchet, chain: chain.ok_or(missing)? })
}

fn write_sender(out: &mut Vec<u8>, sender: &SenderChain) {
    let mut body = Zeroizing::new(Vec::with_capacity(128));
    put_bytes(&mut body, 1, &typed(&sender.ratchet.public));
    put_bytes(&mut body, 2, sender.ratchet.private.as_slice());
    write_chain_key(&mut body, sender.chain.index, Some(&sender.chain.key));
    put_bytes(out, 6, &body);
}

/// Index and key; the key is absent from a closed chain.
fn parse_chain_key(body: &[u8]) -> Result<(u32, Option<ChainKey>), Failure> {
    let (mut index, mut key) = (0, None);
    let mut fields = Fields::new(body);
    while let Some(field) = fields.next()? {
        match field.number {
            1 => index = field.uint32()?,
            2 if !field.bytes()?.is_empty() => key = Some(secret(field.bytes()?)?),
            _ => {}
        }
    }
    Ok((index, key.map(|key| ChainKey { key, index })))
}

fn write_chain_key(out: &mut Vec<u8>, index: u32, key: Option<&Secret>) {
    let mut body = Zeroizing::new(Vec::with_capacity(48));
    put_uint32_unless_zero(&mut body, 1, index);
    if let Some(key) = key {
        put_bytes(&mut body, 2, key.as_slice());
    }
    put_bytes(out, 3, &body);
}

fn chain_ratchet_key(body: &[u8]) -> Result<PublicKey, Failure> {
    let mut key = None;
    let mut fields = Fields::new(body);
    while let Some(field) = fields.next()? {
        if field.number == 1 {
            key = Some(public(field.bytes()?)?);
            break;
        }
    }
    key.ok_or(Failure::Record)
}

/// A receiver chain. Stored skipped keys stay raw.
pub struct ReceiverChain<'a> {
    pub ratchet_key: PublicKey,
    /// The next counter this chain has not seen.
    pub index: u32,
    /// None when the chain is closed: only its skipped keys can still be used.
    pub chain: Option<ChainKey>,
    /// Skipped since the record was read, newest first.
    pub fresh: Vec<(u32, MessageKeys)>,
    /// Skipped before, newest first.
    pub stored: Vec<&'a [u8]>,
    unknown: Vec<&'a [u8]>,
}

impl<'a> ReceiverChain<'a> {
    pub fn new(ratchet_key: PublicKey, chain: ChainKey) -> Self {
        Self { ratchet_key, index: chain.index, chain: Some(chain), fresh: vec![], stored: vec![], unknown: vec![] }
    }

    pub fn parse(body: &'a [u8]) -> Result<Self, Failure> {
        let (mut ratchet_key, mut index, mut chain) = (None, 0, None);
        let (mut stored, mut unknown) = (vec![], vec![]);
        let mut fields = Fields::new(body);
        while let Some(field) = fields.next()? {
            match field.number {
                1 => ratchet_key = Some(public(field.bytes()?)?),
                3 => (index, chain) = parse_chain_key(field.bytes()?)?,
                4 => stored.push(field.bytes()?),
                _ => unknown.push(field.raw),
            }
        }
        let ratchet_key = ratchet_key.ok_or(Failure::Record)?;
        Ok(Self { ratchet_key, index, chain, fresh: vec![], stored, unknown })
    }

    pub fn write(&self) -> Zeroizing<Vec<u8>> {
        let stored = self.stored.iter().map(|body| body.len() + 4).sum::<usize>();
        let unknown = self.unknown.iter().map(|raw| raw.len()).sum::<usize>();
        let mut out = Zeroizing::new(Vec::with_capacity(100 + 100 * self.fresh.len() + stored + unknown));
        put_bytes(&mut out, 1, &typed(&self.ratchet_key));
        write_chain_key(&mut out, self.index, self.chain.as_ref().map(|chain| &chain.key));
        for (index, keys) in self.fresh.iter().take(MAX_SKIPPED) {
            write_skipped(&mut out, *index, keys);
        }
        for body in self.stored.iter().take(MAX_SKIPPED.saturating_sub(self.fresh.len())) {
            put_bytes(&mut out, 4, body);
        }
        for raw in &self.unknown {
            out.extend_from_slice(raw);
        }
        out
    }

    /// The skipped key of `counter` and its place among the stored ones.
    pub fn find_skipped(&self, counter: u32) -> Result<Option<(usize, MessageKeys)>, Failure> {
        for (place, body) in self.stored.iter().enumerate() {
            if skipped_index(body)? == counter {
                return Ok(Some((place, parse_skipped(body)?)));
            }
        }
        Ok(None)
    }
}

fn skipped_index(body: &[u8]) -> Result<u32, Failure> {
    let mut fields = Fields::new(body);
    while let Some(field) = fields.next()? {
        if field.number == 1 {
            return Ok(field.uint32()?);
        }
    }
    Ok(0)
}

fn parse_skipped(body: &[u8]) -> Result<MessageKeys, Failure> {
    let (mut cipher, mut mac, mut iv, mut seed) = (None, None, None, None);
    let mut fields = Fields::new(body);
    while let Some(field) = fields.next()? {
        match field.number {
            2 => cipher = Some(secret(field.bytes()?)?),
            3 => mac = Some(secret(field.bytes()?)?),
            4 => iv = Some(field.bytes()?.try_into().map_err(|_| Failure::Record)?),
            5 => seed = Some(field.bytes()?), // what newer official clients keep instead of the three
            _ => {}
        }
    }
    match (cipher, mac, iv, seed) {
        (Some(cipher), Some(mac), Some(iv), _) => Ok(MessageKeys { cipher, mac, iv }),
        (_, _, _, Some(seed)) => Ok(MessageKeys::of_seed(seed)),
        _ => Err(Failure::Record),
    }
}

fn write_skipped(out: &mut Vec<u8>, index: u32, keys: &MessageKeys) {
    put_header(out, 4, uint32_length(index) + 34 + 34 + 18);
    put_uint32_unless_zero(out, 1, index);
    put_bytes(out, 2, keys.cipher.as_slice());
    put_bytes(out, 3, keys.mac.as_slice());
    put_bytes(out, 4, &keys.iv);
}

// --- pending prekey -----------------------------------------------------------------------------------------------------

fn parse_pending(body: &[u8]) -> Result<PendingPreKey, Failure> {
    let (mut prekey_id, mut signed_prekey_id, mut base_key) = (None, 0, None);
    let mut fields = Fields::new(body);
    while let Some(field) = fields.next()? {
        match field.number {
            1 => prekey_id = Some(field.uint32()?),
            2 => base_key = Some(public(field.bytes()?)?),
            3 => signed_prekey_id = field.uint32()?,
            _ => {}
        }
    }
    Ok(PendingPreKey { prekey_id, signed_prekey_id, base_key: base_key.ok_or(Failure::Record)? })
}

fn write_pending(out: &mut Vec<u8>, pending: &PendingPreKey) {
    let mut body = Vec::with_capacity(64);
    if let Some(id) = pending.prekey_id {
        put_uint32(&mut body, 1, id);
    }
    put_bytes(&mut body, 2, &typed(&pending.base_key));
    put_uint32_unless_zero(&mut body, 3, pending.signed_prekey_id);
    put_bytes(out, 9, &body);
}
