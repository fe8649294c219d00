//! The stored sender keys of one device in one group, in Signal's usual storage layout.
//!
//! ```text
//! Record   1 states (newest first)
//! State    1 id, 2 chain {1 iteration, 2 chain key}, 3 signing key {1 public (33 bytes), 2 private},
//!          4 skipped message keys (oldest first) {1 iteration, 2 seed}, 5 message version
//! ```
//!
//! A state with a private signing key is ours; a group's other members have only the public one. As with sessions, states
//! and skipped keys stay raw slices of the input until one of them is needed, and unknown fields are kept.
//!
//! Source: field numbers and order as observed from the official client's `SenderKeyRecord.serialize`. Baileys keeps JSON,
//! newest last.

use super::error::Failure;
use super::keys::Secret;
use super::message::{PublicKey, VERSION, typed};
use super::protobuf::{Fields, put_bytes, put_header, put_uint32_unless_zero, uint32_length};
use super::record::{Body, MAX_SKIPPED, public, secret};
use crate::core::hash;
use zeroize::Zeroizing;

/// States kept in one record. The official client's and Baileys' number.
pub const MAX_STATES: usize = 5;

/// A place in a sender's chain.
#[derive(Clone)]
pub struct SenderChainKey {
    pub iteration: u32,
    pub key: Secret,
}

impl SenderChainKey {
    /// The next place. None at the last iteration there is.
    pub fn next(&self) -> Option<Self> {
        let key = Zeroizing::new(hash::hmac_sha256(self.key.as_slice(), &[&[2]]));
        Some(Self { iteration: self.iteration.checked_add(1)?, key })
    }

    /// What the keys of this iteration's message are made of.
    pub fn seed(&self) -> Secret {
        Zeroizing::new(hash::hmac_sha256(self.key.as_slice(), &[&[1]]))
    }
}

// --- record -------------------------------------------------------------------------------------------------------------

/// A record, its states unread.
#[derive(Default)]
pub struct SenderKeyRecord<'a> {
    pub states: Vec<Body<'a>>,
    unknown: Vec<&'a [u8]>,
}

impl<'a> SenderKeyRecord<'a> {
    /// An empty input is an empty record.
    pub fn parse(data: &'a [u8]) -> Result<Self, Failure> {
        let mut record = Self::default();
        let mut fields = Fields::new(data);
        while let Some(field) = fields.next()? {
            match field.number {
                1 => record.states.push(Body::Borrowed(field.bytes()?)),
                _ => record.unknown.push(field.raw),
            }
        }
        Ok(record)
    }

    pub fn write(&self) -> Zeroizing<Vec<u8>> {
        let states = self.states.iter().map(|body| body.len() + 8).sum::<usize>();
        let unknown = self.unknown.iter().map(|raw| raw.len()).sum::<usize>();
        let mut out = Zeroizing::new(Vec::with_capacity(states + unknown));
        for body in &self.states {
            put_bytes(&mut out, 1, body);
        }
        for raw in &self.unknown {
            out.extend_from_slice(raw);
        }
        out
    }

    /// The newest state of this id, and where it stands.
    pub fn find(&self, id: u32) -> Result<Option<(usize, State<'_>)>, Failure> {
        for (place, body) in self.states.iter().enumerate() {
            if state_id(body)? == id {
                return Ok(Some((place, State::parse(body)?)));
            }
        }
        Ok(None)
    }

    /// The newest state that is ours, and where it stands.
    pub fn own(&self) -> Result<Option<(usize, State<'_>)>, Failure> {
        for (place, body) in self.states.iter().enumerate() {
            let state = State::parse(body)?;
            if state.private_key.is_some() {
                return Ok(Some((place, state)));
            }
        }
        Ok(None)
    }

    /// Put a new state in front of all; others of its id go, and the oldest beyond the limit.
    pub fn push(&mut self, id: u32, body: Zeroizing<Vec<u8>>) -> Result<(), Failure> {
        let mut kept = Vec::with_capacity(MAX_STATES);
        kept.push(Body::Owned(body));
        for other in self.states.drain(..) {
            if kept.len() < MAX_STATES && state_id(&other)? != id {
                kept.push(other);
            }
        }
        self.states = kept;
        Ok(())
    }

    /// Put the state at `place` in front of all.
    pub fn bring_forward(&mut self, place: usize) {
        if let Some(until) = self.states.get_mut(..=place) {
            until.rotate_right(1);
        }
    }
}

// --- state --------------------------------------------------------------------------------------------------------------

/// One sender key, its skipped keys unread.
pub struct State<'a> {
    pub id: u32,
    /// The next iteration this state has not seen, or will send.
    pub chain: SenderChainKey,
    pub signing_key: PublicKey,
    /// Of a state of ours.
    pub private_key: Option<Secret>,
    /// Skipped before, oldest first.
    pub stored: Vec<&'a [u8]>,
    /// Seeds skipped since the record was read, oldest first; `MAX_SKIPPED` at most.
    pub fresh: Vec<(u32, Secret)>,
    pub version: u32,
    unknown: Vec<&'a [u8]>,
}

impl<'a> State<'a> {
    pub fn new(id: u32, chain: SenderChainKey, signing_key: PublicKey, private_key: Option<Secret>) -> Self {
        let version = u32::from(VERSION);
        Self { id, chain, signing_key, private_key, stored: vec![], fresh: vec![], version, unknown: vec![] }
    }

    pub fn parse(body: &'a [u8]) -> Result<Self, Failure> {
        let (mut id, mut version, mut chain, mut signing) = (0, 0, None, None);
        let (mut stored, mut unknown) = (vec![], vec![]);
        let mut fields = Fields::new(body);
        while let Some(field) = fields.next()? {
            match field.number {
                1 => id = field.uint32()?,
                2 => chain = Some(parse_chain(field.bytes()?)?),
                3 => signing = Some(parse_signing(field.bytes()?)?),
                4 => stored.push(field.bytes()?),
                5 => version = field.uint32()?,
                _ => unknown.push(field.raw),
            }
        }
        let (signing_key, private_key) = signing.ok_or(Failure::Record)?;
        let chain = chain.ok_or(Failure::Record)?;
        Ok(Self { id, chain, signing_key, private_key, stored, fresh: vec![], version, unknown })
    }

    pub fn write(&self) -> Zeroizing<Vec<u8>> {
        let stored = self.stored.iter().map(|body| body.len() + 4).sum::<usize>();
        let unknown = self.unknown.iter().map(|raw| raw.len()).sum::<usize>();
        let mut out = Zeroizing::new(Vec::with_capacity(160 + 48 * self.fresh.len() + stored + unknown));
        put_uint32_unless_zero(&mut out, 1, self.id);
        write_chain(&mut out, &self.chain);
        write_signing(&mut out, &self.signing_key, self.private_key.as_ref());
        // The oldest beyond the limit are left out; the fresh ones are within it.
        let excess = self.skipped().saturating_sub(MAX_SKIPPED);
        for body in self.stored.iter().skip(excess) {
            put_bytes(&mut out, 4, body);
        }
        for (iteration, seed) in &self.fresh {
            write_skipped(&mut out, *iteration, seed);
        }
        put_uint32_unless_zero(&mut out, 5, self.version);
        for raw in &self.unknown {
            out.extend_from_slice(raw);
        }
        out
    }

    pub fn skipped(&self) -> usize {
        self.stored.len() + self.fresh.len()
    }

    /// The skipped seed of `iteration` and its place among the stored ones.
    pub fn find_skipped(&self, iteration: u32) -> Result<Option<(usize, Secret)>, Failure> {
        for (place, body) in self.stored.iter().enumerate() {
            if first_uint32(body)? == iteration {
                return Ok(Some((place, parse_numbered(body)?.1)));
            }
        }
        Ok(None)
    }
}

fn state_id(body: &[u8]) -> Result<u32, Failure> {
    first_uint32(body)
}

/// Field 1 of a state or a skipped key; its absence means zero.
fn first_uint32(body: &[u8]) -> Result<u32, Failure> {
    let mut fields = Fields::new(body);
    while let Some(field) = fields.next()? {
        if field.number == 1 {
            return Ok(field.uint32()?);
        }
    }
    Ok(0)
}

/// Chain and skipped keys alike: 1 iteration, 2 key.
fn parse_numbered(body: &[u8]) -> Result<(u32, Secret), Failure> {
    let (mut iteration, mut key) = (0, None);
    let mut fields = Fields::new(body);
    while let Some(field) = fields.next()? {
        match field.number {
            1 => iteration = field.uint32()?,
            2 => key = Some(secret(field.bytes()?)?),
            _ => {}
        }
    }
    Ok((iteration, key.ok_or(Failure::Record)?))
}

fn parse_chain(body: &[u8]) -> Result<SenderChainKey, Failure> {
    let (iteration, key) = parse_numbered(body)?;
    Ok(SenderChainKey { iteration, key })
}

fn write_numbered(out: &mut Vec<u8>, number: u32, iteration: u32, key: &Secret) {
    put_header(out, number, uint32_length(iteration) + 34);
    put_uint32_unless_zero(out, 1, iteration);
    put_bytes(out, 2, key.as_slice());
}

fn write_chain(out: &mut Vec<u8>, chain: &SenderChainKey) {
    write_numbered(out, 2, chain.iteration, &chain.key);
}

fn write_skipped(out: &mut Vec<u8>, iteration: u32, seed: &Secret) {
    write_numbered(out, 4, iteration, seed);
}

/// Public key, and the private one if it is ours.
fn parse_signing(body: &[u8]) -> Result<(PublicKey, Option<Secret>), Failure> {
    let (mut public_key, mut private_key) = (None, None);
    let mut fields = Fields::new(body);
    while let Some(field) = fields.next()? {
        match field.number {
            1 => public_key = Some(public(field.bytes()?)?),
            2 if !field.bytes()?.is_empty() => private_key = Some(secret(field.bytes()?)?),
            _ => {}
        }
    }
    Ok((public_key.ok_or(Failure::Record)?, private_key))
}

fn write_signing(out: &mut Vec<u8>, public_key: &PublicKey, private_key: Option<&Secret>) {
    put_header(out, 3, 35 + if private_key.is_some() { 34 } else { 0 });
    put_bytes(out, 1, &typed(public_key));
    if let Some(private_key) = private_key {
        put_bytes(out, 2, private_key.as_slice());
    }
}
