//! Sender keys: one ciphertext for a whole group. Pure steps over a record of one sender in one group.
//!
//! ```text
//! chain key --HMAC 02--> next chain key      chain key --HMAC 01--> seed --HKDF "WhisperGroup"--> IV (16), cipher key (32)
//! ```
//!
//! A sender makes a chain and a signing key, and tells both to each member in a distribution, over their sessions. From
//! then on it encrypts once, steps the chain and signs: AES-256-CBC, XEdDSA. There is no ratchet, so whoever was told the
//! chain reads everything after that place until the sender makes a new one; when to do that is the caller's to decide.
//! There is no MAC either: the signature says who sealed a message, not with which chain, and a wrong chain can decrypt
//! to anything.
//!
//! What must stay true: a message that does not verify changes nothing; the signature comes before any work along the
//! chain; an iteration is used once, on both sides; a repeated distribution neither duplicates a state nor moves it back.
//!
//! Source: Baileys Signal/Group; the limits and the order of states as observed from the official client.

use super::error::Failure;
use super::keys::{KeyPair, Secret};
use super::message::{PublicKey, VERSION};
use super::ratchet::MAX_JUMP;
use super::record::{Body, MAX_SKIPPED};
use super::sender_key_message::{Distribution, SenderKeyMessage, write_covered};
use super::sender_key_record::{SenderChainKey, SenderKeyRecord, State};
use super::session::Bytes;
use crate::core::{hash, xeddsa};
use aes::Aes256;
use cbc::cipher::{BlockDecryptMut, BlockEncryptMut, KeyIvInit, block_padding::Pkcs7};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

// --- keys ---------------------------------------------------------------------------------------------------------------

/// What opens or seals one message.
struct GroupKeys {
    iv: [u8; 16],
    cipher: Secret,
}

impl GroupKeys {
    fn of_seed(seed: &Secret) -> Self {
        let mut okm = Zeroizing::new([0; 48]);
        let derived = hash::hkdf_sha256(b"", seed.as_slice(), b"WhisperGroup", okm.as_mut_slice());
        debug_assert!(derived, "48 bytes are two blocks, HKDF has 255");
        let mut keys = Self { iv: [0; 16], cipher: Secret::default() };
        keys.iv.copy_from_slice(&okm[..16]);
        keys.cipher.copy_from_slice(&okm[16..]);
        keys
    }

    fn encrypt(&self, plaintext: &[u8]) -> Vec<u8> {
        cbc::Encryptor::<Aes256>::new(self.cipher.as_slice().into(), (&self.iv).into())
            .encrypt_padded_vec_mut::<Pkcs7>(plaintext)
    }

    /// Only after the signature: what fails here was signed so by its sender.
    fn decrypt(&self, ciphertext: &[u8]) -> Result<Bytes, Failure> {
        cbc::Decryptor::<Aes256>::new(self.cipher.as_slice().into(), (&self.iv).into())
            .decrypt_padded_vec_mut::<Pkcs7>(ciphertext)
            .map(Zeroizing::new)
            .map_err(|_| Failure::InvalidMessage)
    }
}

/// Go along the chain to `iteration`; the seeds passed that are worth keeping come along, oldest first.
fn follow(from: &SenderChainKey, iteration: u32) -> Result<(SenderChainKey, Vec<(u32, Secret)>), Failure> {
    let steps = iteration.checked_sub(from.iteration).filter(|steps| *steps <= MAX_JUMP);
    let steps = steps.ok_or(Failure::FutureMessage)? as usize;
    let mut passed = Vec::with_capacity(steps.min(MAX_SKIPPED));
    let mut chain = from.clone();
    while chain.iteration < iteration {
        if (iteration - chain.iteration) as usize <= MAX_SKIPPED {
            passed.push((chain.iteration, chain.seed()));
        }
        chain = chain.next().ok_or(Failure::FutureMessage)?;
    }
    Ok((chain, passed))
}

// --- our own key --------------------------------------------------------------------------------------------------------

/// A fresh state of our own in front. `entropy`: 4 bytes of id (31 bits count), chain key, signing key.
pub fn create(record: &[u8], entropy: &[u8; 68]) -> Result<Bytes, Failure> {
    let mut record = SenderKeyRecord::parse(record)?;
    let (id, mut chain, mut signing) =
        ([entropy[0], entropy[1], entropy[2], entropy[3]], Secret::default(), Secret::default());
    chain.copy_from_slice(&entropy[4..36]);
    signing.copy_from_slice(&entropy[36..]);
    let id = u32::from_be_bytes(id) & 0x7fff_ffff;
    let KeyPair { private, public } = KeyPair::of(&signing);
    let state = State::new(id, SenderChainKey { iteration: 0, key: chain }, public, Some(private));
    record.push(id, state.write())?;
    Ok(record.write())
}

/// What a new member needs to read our messages from here on.
pub fn distribution(record: &[u8]) -> Result<Bytes, Failure> {
    let record = SenderKeyRecord::parse(record)?;
    let (_, state) = record.own()?.ok_or(Failure::NoSession)?;
    let told = Distribution {
        id: state.id,
        iteration: state.chain.iteration,
        chain_key: state.chain.key,
        signing_key: state.signing_key,
    };
    Ok(told.write())
}

/// Seal with our newest state, and step it. `entropy` is the signature's.
pub fn encrypt(record: &[u8], plaintext: &[u8], entropy: &[u8; 64]) -> Result<(Bytes, Vec<u8>), Failure> {
    let mut record = SenderKeyRecord::parse(record)?;
    let (place, mut state) = record.own()?.ok_or(Failure::NoSession)?;
    let private = state.private_key.as_ref().ok_or(Failure::NoSession)?;
    let next = state.chain.next().ok_or(Failure::NoSession)?;
    let ciphertext = GroupKeys::of_seed(&state.chain.seed()).encrypt(plaintext);
    let mut message = write_covered(state.id, state.chain.iteration, &ciphertext);
    let signature = xeddsa::sign(private, &message, entropy);
    message.extend_from_slice(&signature);
    state.chain = next;
    let body = state.write();
    replace(&mut record, place, body);
    Ok((record.write(), message))
}

fn replace(record: &mut SenderKeyRecord<'_>, place: usize, body: Bytes) {
    if let Some(state) = record.states.get_mut(place) {
        *state = Body::Owned(body);
    }
}

// --- another's key ------------------------------------------------------------------------------------------------------

/// Take a sender's distribution.
pub fn process(record: &[u8], distribution: &[u8]) -> Result<Bytes, Failure> {
    let told = Distribution::parse(distribution)?;
    let mut record = SenderKeyRecord::parse(record)?;
    let known = match record.find(told.id)? {
        Some((place, state)) if stands(&state, &told)? => Some(place),
        _ => None,
    };
    match known {
        Some(place) => record.bring_forward(place),
        None => {
            let chain = SenderChainKey { iteration: told.iteration, key: told.chain_key };
            record.push(told.id, State::new(told.id, chain, told.signing_key, None).write())?;
        }
    }
    Ok(record.write())
}

/// Whether the state we have stays instead of what we are told.
///
/// It does when both are places in one chain: ours reaches everything that theirs reaches. Which they are is found by going
/// from the earlier place to the later; too far apart for that, the later one counts.
fn stands(state: &State<'_>, told: &Distribution) -> Result<bool, Failure> {
    let same_signer = state.signing_key == told.signing_key;
    if state.private_key.is_some() {
        return if same_signer { Ok(true) } else { Err(Failure::InvalidKey) };
    }
    if !same_signer || !is_readable(state) {
        return Ok(false);
    }
    let theirs = SenderChainKey { iteration: told.iteration, key: told.chain_key.clone() };
    let is_later = theirs.iteration > state.chain.iteration;
    let (earlier, later) = if is_later { (&state.chain, &theirs) } else { (&theirs, &state.chain) };
    match meets(earlier, later) {
        Some(is_one_chain) => Ok(is_one_chain),
        None => Ok(!is_later),
    }
}

/// Whether the chain from one place comes to the other; None when that is too far to go.
fn meets(earlier: &SenderChainKey, later: &SenderChainKey) -> Option<bool> {
    let (reached, _) = follow(earlier, later.iteration).ok()?;
    Some(reached.key.ct_eq(later.key.as_slice()).into())
}

fn is_readable(state: &State<'_>) -> bool {
    state.version == u32::from(VERSION)
}

/// Open a message with the state it names.
pub fn decrypt(record: &[u8], message: &[u8]) -> Result<(Bytes, Bytes), Failure> {
    let message = SenderKeyMessage::parse(message)?;
    let mut record = SenderKeyRecord::parse(record)?;
    let (place, mut state) = record.find(message.id)?.ok_or(Failure::NoSenderKey)?;
    if !is_readable(&state) {
        return Err(Failure::NoSenderKey);
    }
    if !xeddsa::verify(&state.signing_key, message.covered, message.signature) {
        return Err(Failure::InvalidSignature);
    }
    let seed = take_seed(&mut state, message.iteration)?;
    let plaintext = GroupKeys::of_seed(&seed).decrypt(message.ciphertext)?;
    let body = state.write();
    replace(&mut record, place, body);
    Ok((record.write(), plaintext))
}

/// The seed of one iteration, which the state no longer has afterwards.
fn take_seed(state: &mut State<'_>, iteration: u32) -> Result<Secret, Failure> {
    if iteration < state.chain.iteration {
        let (place, seed) = state.find_skipped(iteration)?.ok_or(Failure::Duplicate)?;
        state.stored.remove(place);
        return Ok(seed);
    }
    let (reached, passed) = follow(&state.chain, iteration)?;
    state.fresh = passed;
    state.chain = reached.next().ok_or(Failure::FutureMessage)?;
    Ok(reached.seed())
}

// --- looking ------------------------------------------------------------------------------------------------------------

/// What a message names, unauthenticated: id and iteration.
pub fn message_id(message: &[u8]) -> Result<(u32, u32), Failure> {
    let message = SenderKeyMessage::parse(message)?;
    Ok((message.id, message.iteration))
}

/// A state without its secrets.
pub struct StateView {
    pub id: u32,
    pub iteration: u32,
    pub skipped: usize,
    pub signing_key: PublicKey,
    pub is_ours: bool,
}

/// All states, newest first.
pub fn describe(record: &[u8]) -> Result<Vec<StateView>, Failure> {
    let record = SenderKeyRecord::parse(record)?;
    let view = |body: &Body<'_>| {
        let state = State::parse(body)?;
        Ok(StateView {
            id: state.id,
            iteration: state.chain.iteration,
            skipped: state.skipped(),
            signing_key: state.signing_key,
            is_ours: state.private_key.is_some(),
        })
    };
    record.states.iter().map(view).collect()
}
