//! X3DH and the double ratchet: a record goes in, a new record comes out.
//!
//! Nothing here changes a record in place. Trial decryption works on a copy of one session, and the copy replaces the original only
//! after the MAC has verified; so a message that does not belong here leaves no mark.
//!
//! Limits: 2,000 skipped keys are kept for each chain (the oldest go first), a message may run ahead by 25,000, five receiving
//! chains and 40 archived sessions are kept. So a hostile counter costs a bounded number of hashes.
//!
//! Source: signal.org/docs/specifications/{x3dh,doubleratchet}; the constants of version 3 (HKDF infos, MAC inputs, chain seeds)
//! are facts of the wire, proved against libsignal-node and libsignal-client in tests/peers.

use super::message::{MAC, PreKeySignalMessage, SignalMessage, wire_key, write_body};
use super::record::{Chain, MessageKey, PendingPreKey, Record, Session};
use super::wire::Malformed;
use crate::core::{curve, hash, xeddsa};
use aes::cipher::{BlockDecryptMut, BlockEncryptMut, KeyIvInit, block_padding::Pkcs7};
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, Zeroizing};

pub const MAX_SKIPPED: usize = 2_000;
pub const MAX_JUMP: u32 = 25_000;
const MAX_RECEIVERS: usize = 5;

type Encryptor = cbc::Encryptor<aes::Aes256>;
type Decryptor = cbc::Decryptor<aes::Aes256>;

/// Why a step cannot be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// The record does not parse.
    Record,
    /// The message does not parse, at this offset.
    Message(usize),
    NoSession,
    /// A public key of low order.
    InvalidKey,
    /// The prekey it names is not given.
    InvalidKeyId,
    /// It verifies, but what is inside is not a padded text.
    InvalidMessage,
    /// The bundle's signed prekey is not signed by its identity key.
    Signature,
    Future,
    BadMac,
    Duplicate,
}

fn of_record(_: Malformed) -> Failure {
    Failure::Record
}

/// Our side of a session.
pub struct Local<'a> {
    pub identity_private: &'a [u8; 32],
    pub identity_public: &'a [u8; 32],
    pub registration_id: u32,
}

/// What a device publishes.
#[derive(Clone)]
pub struct Bundle {
    pub registration_id: u32,
    pub identity_key: [u8; 32],
    pub signed_prekey_id: u32,
    pub signed_prekey: [u8; 32],
    pub signed_prekey_signature: [u8; 64],
    pub prekey: Option<(u32, [u8; 32])>,
}

/// The type of a ciphertext.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    PreKey,
    Message,
}

pub struct Decrypted {
    pub record: Zeroizing<Vec<u8>>,
    pub plaintext: Zeroizing<Vec<u8>>,
    /// A new session was made, and with it the one-time prekey spent.
    pub opened: bool,
}

fn dh(private: &[u8; 32], public: &[u8; 32]) -> Result<Zeroizing<[u8; 32]>, Failure> {
    curve::shared_secret(private, public).map(Zeroizing::new).ok_or(Failure::InvalidKey)
}

fn derive<const N: usize>(salt: &[u8], key: &[u8], info: &[u8]) -> Zeroizing<[u8; N]> {
    let mut out = Zeroizing::new([0; N]);
    let fits = hash::hkdf_sha256(salt, key, info, out.as_mut());
    debug_assert!(fits, "at most 96 bytes are asked for");
    out
}

fn halves(bytes: &[u8; 64]) -> ([u8; 32], [u8; 32]) {
    let (mut left, mut right) = ([0; 32], [0; 32]);
    left.copy_from_slice(&bytes[..32]);
    right.copy_from_slice(&bytes[32..]);
    (left, right)
}

/// The agreed secret: 32 bytes FF, then the Diffie-Hellman results in order.
struct Agreement {
    bytes: Zeroizing<Vec<u8>>,
}

impl Agreement {
    fn new() -> Self {
        let mut bytes = Vec::with_capacity(160);
        bytes.extend_from_slice(&[0xff; 32]);
        Self { bytes: Zeroizing::new(bytes) }
    }

    fn add(&mut self, private: &[u8; 32], public: &[u8; 32]) -> Result<(), Failure> {
        self.bytes.extend_from_slice(dh(private, public)?.as_slice());
        Ok(())
    }

    /// Root key and first chain key.
    fn keys(&self) -> ([u8; 32], [u8; 32]) {
        halves(&derive::<64>(b"", &self.bytes, b"WhisperText"))
    }
}

/// The next root key and a chain key, from one Diffie-Hellman.
fn turn(root: &[u8; 32], private: &[u8; 32], public: &[u8; 32]) -> Result<([u8; 32], [u8; 32]), Failure> {
    Ok(halves(&derive::<64>(root, dh(private, public)?.as_slice(), b"WhisperRatchet")))
}

/// Open a session from a bundle. `entropy`: the base key's and the first ratchet key's private halves.
pub fn initiate(
    record: &[u8], bundle: &Bundle, local: &Local<'_>, entropy: &[u8; 64],
) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let known = Record::parse(record).map_err(of_record)?;
    let signed = wire_key(&bundle.signed_prekey);
    if !xeddsa::verify(&bundle.identity_key, &signed, &bundle.signed_prekey_signature) {
        return Err(Failure::Signature);
    }
    let (mut base_private, mut ratchet_private) = halves(entropy);
    let mut agreement = Agreement::new();
    agreement.add(local.identity_private, &bundle.signed_prekey)?;
    agreement.add(&base_private, &bundle.identity_key)?;
    agreement.add(&base_private, &bundle.signed_prekey)?;
    if let Some((_, prekey)) = &bundle.prekey {
        agreement.add(&base_private, prekey)?;
    }
    let (root, receiving) = agreement.keys();
    let (root, sending) = turn(&root, &ratchet_private, &bundle.signed_prekey)?;
    let base_key = curve::public_key(&base_private);
    let session = Session {
        version: 3,
        local_identity: *local.identity_public,
        remote_identity: bundle.identity_key,
        root_key: root,
        previous_counter: 0,
        sender: Some(Chain {
            ratchet_key: curve::public_key(&ratchet_private),
            ratchet_private,
            index: 0,
            key: sending,
            skipped: Vec::new(),
        }),
        receivers: vec![receiver(bundle.signed_prekey, receiving)],
        pending: Some(PendingPreKey {
            prekey_id: bundle.prekey.map(|(id, _)| id),
            signed_prekey_id: bundle.signed_prekey_id,
            base_key,
        }),
        remote_registration_id: bundle.registration_id,
        local_registration_id: local.registration_id,
        base_key,
        unknown: Vec::new(),
    };
    base_private.zeroize();
    ratchet_private.zeroize();
    Ok(Zeroizing::new(Record::write(Some(&session), &archive(&known, None))))
}

fn receiver(ratchet_key: [u8; 32], key: [u8; 32]) -> Chain {
    Chain { ratchet_key, ratchet_private: [0; 32], index: 0, key, skipped: Vec::new() }
}

/// The archived sessions of a record whose current one is replaced; `promoted` is left out.
fn archive<'a>(record: &Record<'a>, promoted: Option<usize>) -> Vec<&'a [u8]> {
    let old = record.archived.iter().enumerate().filter(|(place, _)| Some(*place) != promoted).map(|(_, old)| *old);
    record.current.into_iter().chain(old).collect()
}

/// The record with its current session moved to the archive.
pub fn archived(record: &[u8]) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let known = Record::parse(record).map_err(of_record)?;
    Ok(Zeroizing::new(Record::write(None, &archive(&known, None))))
}

/// The current session, if there is one.
pub fn current(record: &[u8]) -> Result<Option<Session>, Failure> {
    let known = Record::parse(record).map_err(of_record)?;
    known.current.map(|session| Session::parse(session).map_err(of_record)).transpose()
}

/// All sessions, current first; says whether there is a current one.
pub fn all(record: &[u8]) -> Result<Vec<Session>, Failure> {
    let known = Record::parse(record).map_err(of_record)?;
    known.current.iter().chain(&known.archived).map(|session| Session::parse(session).map_err(of_record)).collect()
}

impl Chain {
    /// The keys of the message at this chain's index; the chain moves on.
    fn step(&mut self) -> MessageKey {
        let seed = Zeroizing::new(hash::hmac_sha256(&self.key, &[&[1]]));
        let keys = derive::<80>(b"", seed.as_slice(), b"WhisperMessageKeys");
        let mut made = MessageKey { index: self.index, cipher: [0; 32], mac: [0; 32], iv: [0; 16] };
        made.cipher.copy_from_slice(&keys[..32]);
        made.mac.copy_from_slice(&keys[32..64]);
        made.iv.copy_from_slice(&keys[64..]);
        self.advance();
        made
    }

    fn advance(&mut self) {
        self.key = hash::hmac_sha256(&self.key, &[&[2]]);
        self.index = self.index.wrapping_add(1);
    }

    /// The keys of the message with this counter, which is taken out of the skipped ones or stepped to.
    fn keys_for(&mut self, counter: u32) -> Result<MessageKey, Failure> {
        if counter < self.index {
            let place = self.skipped.iter().position(|key| key.index == counter).ok_or(Failure::Duplicate)?;
            return Ok(self.skipped.remove(place));
        }
        let ahead = counter - self.index;
        if ahead > MAX_JUMP || counter == u32::MAX {
            return Err(Failure::Future);
        }
        let kept = u32::try_from(MAX_SKIPPED).unwrap_or(u32::MAX);
        for _ in 0..ahead.saturating_sub(kept) {
            self.advance();
        }
        while self.index < counter {
            let key = self.step();
            self.skipped.push(key);
        }
        let surplus = self.skipped.len().saturating_sub(MAX_SKIPPED);
        self.skipped.drain(..surplus);
        Ok(self.step())
    }
}

fn mac(key: &MessageKey, sender: &[u8; 32], receiver: &[u8; 32], body: &[u8]) -> [u8; 32] {
    hash::hmac_sha256(&key.mac, &[&wire_key(sender), &wire_key(receiver), body])
}

/// One message out: the new record, its type, and the message.
pub fn encrypt(record: &[u8], plaintext: &[u8]) -> Result<(Zeroizing<Vec<u8>>, Kind, Vec<u8>), Failure> {
    let known = Record::parse(record).map_err(of_record)?;
    let mut session = Session::parse(known.current.ok_or(Failure::NoSession)?).map_err(of_record)?;
    let sender = session.sender.as_mut().ok_or(Failure::NoSession)?;
    let key = sender.step();
    let ciphertext = Encryptor::new(&key.cipher.into(), &key.iv.into()).encrypt_padded_vec_mut::<Pkcs7>(plaintext);
    let mut message = write_body(&sender.ratchet_key, key.index, session.previous_counter, &ciphertext);
    let tag = mac(&key, &session.local_identity, &session.remote_identity, &message);
    message.extend_from_slice(&tag[..MAC]);
    let written = Zeroizing::new(Record::write(Some(&session), &known.archived));
    let Some(pending) = &session.pending else {
        return Ok((written, Kind::Message, message));
    };
    let outer = PreKeySignalMessage {
        registration_id: session.local_registration_id,
        prekey_id: pending.prekey_id,
        signed_prekey_id: pending.signed_prekey_id,
        base_key: pending.base_key,
        identity_key: session.local_identity,
        message: &message,
    };
    Ok((written, Kind::PreKey, outer.write()))
}

impl Session {
    /// Read a message with this session, which changes; throw it away when this fails.
    fn decrypt(&mut self, message: &SignalMessage<'_>, entropy: &[u8; 32]) -> Result<Zeroizing<Vec<u8>>, Failure> {
        let place = match self.receivers.iter().position(|chain| chain.ratchet_key == message.ratchet_key) {
            Some(place) => place,
            None => self.ratchet(&message.ratchet_key, entropy)?,
        };
        let key = self.receivers[place].keys_for(message.counter)?;
        let tag = mac(&key, &self.remote_identity, &self.local_identity, message.body);
        if !bool::from(tag[..MAC].ct_eq(message.mac)) {
            return Err(Failure::BadMac);
        }
        let plaintext = Decryptor::new(&key.cipher.into(), &key.iv.into())
            .decrypt_padded_vec_mut::<Pkcs7>(message.ciphertext)
            .map_err(|_| Failure::InvalidMessage)?;
        self.pending = None;
        Ok(Zeroizing::new(plaintext))
    }

    /// The peer has a new ratchet key: a receiving chain for it, then a new ratchet key and sending chain of ours.
    fn ratchet(&mut self, their_key: &[u8; 32], entropy: &[u8; 32]) -> Result<usize, Failure> {
        let sender = self.sender.as_ref().ok_or(Failure::NoSession)?;
        let (root, receiving) = turn(&self.root_key, &sender.ratchet_private, their_key)?;
        let (root, sending) = turn(&root, entropy, their_key)?;
        self.previous_counter = sender.index.saturating_sub(1);
        self.root_key = root;
        self.sender = Some(Chain {
            ratchet_key: curve::public_key(entropy),
            ratchet_private: *entropy,
            index: 0,
            key: sending,
            skipped: Vec::new(),
        });
        if self.receivers.len() >= MAX_RECEIVERS {
            self.receivers.remove(0);
        }
        self.receivers.push(receiver(*their_key, receiving));
        Ok(self.receivers.len() - 1)
    }
}

/// One msg in.
pub fn decrypt(record: &[u8], message: &[u8], entropy: &[u8; 32]) -> Result<Decrypted, Failure> {
    let known = Record::parse(record).map_err(of_record)?;
    let message = SignalMessage::parse(message).map_err(|fault| Failure::Message(fault.0))?;
    read_with(&known, &message, entropy)
}

/// Try the current session, then the archived ones; the one that reads it becomes current.
fn read_with(known: &Record<'_>, message: &SignalMessage<'_>, entropy: &[u8; 32]) -> Result<Decrypted, Failure> {
    let mut failure = Failure::NoSession;
    let candidates = known.current.iter().map(|session| (None, *session));
    let archived = known.archived.iter().enumerate().map(|(place, session)| (Some(place), *session));
    for (place, bytes) in candidates.chain(archived) {
        let mut session = Session::parse(bytes).map_err(of_record)?;
        match session.decrypt(message, entropy) {
            Ok(plaintext) => {
                let rest = if place.is_none() { known.archived.clone() } else { archive(known, place) };
                let record = Zeroizing::new(Record::write(Some(&session), &rest));
                return Ok(Decrypted { record, plaintext, opened: false });
            }
            // A used key says more than another session's failed MAC; otherwise the current session's word counts.
            Err(Failure::Duplicate) => failure = Failure::Duplicate,
            Err(other) if failure == Failure::NoSession => failure = other,
            Err(_) => {}
        }
    }
    Err(failure)
}

/// One pkmsg in. The prekeys are needed only when its session is not known yet.
pub fn decrypt_prekey(
    record: &[u8], message: &[u8], local: &Local<'_>, signed_prekey: Option<&[u8; 32]>, prekey: Option<&[u8; 32]>,
    entropy: &[u8; 32],
) -> Result<Decrypted, Failure> {
    let known = Record::parse(record).map_err(of_record)?;
    let outer = PreKeySignalMessage::parse(message).map_err(|fault| Failure::Message(fault.0))?;
    let inner = SignalMessage::parse(outer.message).map_err(|fault| Failure::Message(fault.0))?;
    for (place, bytes) in known.current.iter().chain(&known.archived).enumerate() {
        if Session::peek_base_key(bytes).map_err(of_record)? == Some(outer.base_key) {
            return read_known(&known, place, &outer, &inner, entropy);
        }
    }
    let mut session = accept(&outer, local, signed_prekey, prekey)?;
    let plaintext = session.decrypt(&inner, entropy)?;
    let record = Zeroizing::new(Record::write(Some(&session), &archive(&known, None)));
    Ok(Decrypted { record, plaintext, opened: true })
}

/// Read a pkmsg whose session exists: at `place`, counted with the current one first.
fn read_known(
    known: &Record<'_>, place: usize, outer: &PreKeySignalMessage<'_>, inner: &SignalMessage<'_>, entropy: &[u8; 32],
) -> Result<Decrypted, Failure> {
    let sessions: Vec<&[u8]> = known.current.iter().chain(&known.archived).copied().collect();
    let bytes = sessions.get(place).ok_or(Failure::NoSession)?;
    let mut session = Session::parse(bytes).map_err(of_record)?;
    if session.remote_identity != outer.identity_key {
        return Err(Failure::BadMac);
    }
    let plaintext = session.decrypt(inner, entropy)?;
    let rest: Vec<&[u8]> =
        sessions.iter().enumerate().filter(|(other, _)| *other != place).map(|(_, session)| *session).collect();
    let record = Zeroizing::new(Record::write(Some(&session), &rest));
    Ok(Decrypted { record, plaintext, opened: false })
}

/// X3DH as the answering side.
fn accept(
    outer: &PreKeySignalMessage<'_>, local: &Local<'_>, signed_prekey: Option<&[u8; 32]>, prekey: Option<&[u8; 32]>,
) -> Result<Session, Failure> {
    let signed = signed_prekey.ok_or(Failure::InvalidKeyId)?;
    let mut agreement = Agreement::new();
    agreement.add(signed, &outer.identity_key)?;
    agreement.add(local.identity_private, &outer.base_key)?;
    agreement.add(signed, &outer.base_key)?;
    if outer.prekey_id.is_some() {
        agreement.add(prekey.ok_or(Failure::InvalidKeyId)?, &outer.base_key)?;
    }
    let (root_key, sending) = agreement.keys();
    Ok(Session {
        version: 3,
        local_identity: *local.identity_public,
        remote_identity: outer.identity_key,
        root_key,
        previous_counter: 0,
        sender: Some(Chain {
            ratchet_key: curve::public_key(signed),
            ratchet_private: *signed,
            index: 0,
            key: sending,
            skipped: Vec::new(),
        }),
        receivers: Vec::new(),
        pending: None,
        remote_registration_id: outer.registration_id,
        local_registration_id: local.registration_id,
        base_key: outer.base_key,
        unknown: Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Party {
        identity: [u8; 32],
        public: [u8; 32],
        signed: [u8; 32],
        once: [u8; 32],
        record: Vec<u8>,
        dice: u8,
    }

    impl Party {
        fn new(seed: u8) -> Self {
            let identity = [seed; 32];
            Self {
                identity,
                public: curve::public_key(&identity),
                signed: [seed + 1; 32],
                once: [seed + 2; 32],
                record: Vec::new(),
                dice: seed,
            }
        }

        fn local(&self) -> Local<'_> {
            Local { identity_private: &self.identity, identity_public: &self.public, registration_id: self.dice.into() }
        }

        fn bundle(&self) -> Bundle {
            let signed_prekey = curve::public_key(&self.signed);
            Bundle {
                registration_id: 7,
                identity_key: self.public,
                signed_prekey_id: 1,
                signed_prekey,
                signed_prekey_signature: xeddsa::sign(&self.identity, &wire_key(&signed_prekey), &[9; 64]),
                prekey: Some((5, curve::public_key(&self.once))),
            }
        }

        fn open(&mut self, bundle: &Bundle) {
            self.record = initiate(&self.record, bundle, &self.local(), &[self.dice + 40; 64]).expect("opens").to_vec();
        }

        fn send(&mut self, text: &[u8]) -> (Kind, Vec<u8>) {
            let (record, kind, message) = encrypt(&self.record, text).expect("encrypts");
            self.record = record.to_vec();
            (kind, message)
        }

        fn read(&mut self, (kind, message): &(Kind, Vec<u8>)) -> Result<Vec<u8>, Failure> {
            self.dice = self.dice.wrapping_add(13);
            let entropy = [self.dice; 32];
            let done = match kind {
                Kind::Message => decrypt(&self.record, message, &entropy)?,
                Kind::PreKey => decrypt_prekey(
                    &self.record, message, &self.local(), Some(&self.signed), Some(&self.once), &entropy,
                )?,
            };
            self.record = done.record.to_vec();
            Ok(done.plaintext.to_vec())
        }
    }

    fn pair() -> (Party, Party) {
        let (mut alice, bob) = (Party::new(10), Party::new(20));
        alice.open(&bob.bundle());
        (alice, bob)
    }

    #[test]
    fn a_conversation_turns_both_ratchets_in_any_order() {
        let (mut alice, mut bob) = pair();
        let first = alice.send(b"one");
        let second = alice.send(b"two");
        assert_eq!((first.0, second.0), (Kind::PreKey, Kind::PreKey));
        assert_eq!(bob.read(&second).as_deref(), Ok(&b"two"[..]));
        let answer = bob.send(b"three");
        assert_eq!(answer.0, Kind::Message);
        assert_eq!(alice.read(&answer).as_deref(), Ok(&b"three"[..]));
        let later = alice.send(b"four");
        assert_eq!(later.0, Kind::Message);
        assert_eq!(bob.read(&later).as_deref(), Ok(&b"four"[..]));
        assert_eq!(bob.read(&first).as_deref(), Ok(&b"one"[..]));
        assert_eq!(bob.read(&first), Err(Failure::Duplicate));
        assert_eq!(bob.read(&later), Err(Failure::Duplicate));
    }

    #[test]
    fn every_changed_byte_is_refused_and_leaves_the_record_alone() {
        let (mut alice, mut bob) = pair();
        let first = alice.send(b"one");
        bob.read(&first).expect("reads");
        let answer = bob.send(b"two");
        alice.read(&answer).expect("reads");
        let (kind, message) = alice.send(b"three");
        for place in 0..message.len() {
            let mut changed = message.clone();
            changed[place] ^= 1;
            let before = bob.record.clone();
            assert!(bob.read(&(kind, changed)).is_err(), "byte {place}");
            assert_eq!(bob.record, before);
        }
        assert_eq!(bob.read(&(kind, message)).as_deref(), Ok(&b"three"[..]));
    }

    #[test]
    fn a_forged_bundle_and_a_missing_prekey_are_refused() {
        let (mut alice, mut bob) = pair();
        let mut forged = bob.bundle();
        forged.signed_prekey_signature[3] ^= 1;
        let refused = initiate(b"", &forged, &alice.local(), &[1; 64]);
        assert_eq!(refused.err(), Some(Failure::Signature));
        let first = alice.send(b"one");
        let missing = decrypt_prekey(b"", &first.1, &bob.local(), Some(&bob.signed), None, &[1; 32]);
        assert_eq!(missing.err(), Some(Failure::InvalidKeyId));
        let wrong = decrypt_prekey(b"", &first.1, &bob.local(), Some(&[77; 32]), Some(&bob.once), &[1; 32]);
        assert_eq!(wrong.err(), Some(Failure::BadMac));
        assert_eq!(bob.read(&first).as_deref(), Ok(&b"one"[..]));
    }

    #[test]
    fn a_counter_far_ahead_is_refused_and_a_long_gap_keeps_the_newest_keys() {
        let (mut alice, mut bob) = pair();
        let messages: Vec<_> = (0..MAX_SKIPPED + 10).map(|_| alice.send(b"text")).collect();
        let last = messages.last().expect("there are messages");
        assert_eq!(bob.read(last).as_deref(), Ok(&b"text"[..]));
        assert_eq!(bob.read(&messages[3]), Err(Failure::Duplicate), "too old to be kept");
        assert_eq!(bob.read(&messages[100]).as_deref(), Ok(&b"text"[..]));
        let mut chain = receiver([1; 32], [2; 32]);
        assert_eq!(chain.keys_for(MAX_JUMP + 1).err(), Some(Failure::Future));
        assert_eq!(chain.keys_for(u32::MAX).err(), Some(Failure::Future));
    }

    #[test]
    fn archived_sessions_still_read_and_come_forward() {
        let (mut alice, mut bob) = pair();
        let first = alice.send(b"one");
        bob.read(&first).expect("reads");
        alice.dice += 1;
        alice.open(&bob.bundle());
        let renewed = alice.send(b"two");
        assert_eq!(bob.read(&renewed).as_deref(), Ok(&b"two"[..]));
        let answer = bob.send(b"three");
        assert_eq!(alice.read(&answer).as_deref(), Ok(&b"three"[..]));
        assert_eq!(all(&bob.record).map(|sessions| sessions.len()), Ok(2));
    }
}
