//! Steps over a whole record: open a session (X3DH), seal, open a msg, open a pkmsg.
//!
//! A record goes in, a new record comes out; a step that fails gives no record. Messages are tried on the current session
//! first, then on archived ones, newest first, each on a copy; the one that opens becomes the current session.
//!
//! Source: signal.org/docs/specifications/x3dh; order of trial and promotion as in the official client.

use super::error::Failure;
use super::keys::{KeyPair, Secret, agree, start, turn};
use super::message::{PreKeySignalMessage, PublicKey, SignalMessage, VERSION, typed};
use super::ratchet::{Budget, Kind};
use super::record::{Body, PendingPreKey, ReceiverChain, Record, SenderChain, Session};
use crate::core::curve::PeerKey;
use crate::core::xeddsa;
use zeroize::Zeroizing;

pub type Bytes = Zeroizing<Vec<u8>>;

/// What a device publishes.
pub struct Bundle {
    pub registration_id: u32,
    pub identity_key: PublicKey,
    pub signed_prekey_id: u32,
    pub signed_prekey: PublicKey,
    pub signed_prekey_signature: [u8; 64],
    pub prekey: Option<(u32, PublicKey)>,
}

/// Who we are in a session.
pub struct Local {
    pub identity: KeyPair,
    pub registration_id: u32,
}

/// Our private halves of the prekeys that a pkmsg names, as far as we have them.
pub struct Prekeys {
    pub signed: Option<Secret>,
    pub once: Option<Secret>,
}

/// The X3DH agreements in a row, behind 32 bytes of FF.
struct Agreements {
    bytes: Zeroizing<[u8; 160]>,
    length: usize,
}

impl Agreements {
    fn new() -> Self {
        Self { bytes: Zeroizing::new([0xff; 160]), length: 32 }
    }

    fn add(&mut self, private: &Secret, public: &PeerKey) -> Result<(), Failure> {
        let end = self.length + 32;
        let place = self.bytes.get_mut(self.length..end).ok_or(Failure::InvalidKey)?;
        place.copy_from_slice(agree(private, public)?.as_slice());
        self.length = end;
        Ok(())
    }

    fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }
}

// --- opening ------------------------------------------------------------------------------------------------------------

/// The opening side's X3DH. `entropy`: base key, first ratchet key.
pub fn initiate(record: &[u8], bundle: &Bundle, local: &Local, entropy: &[u8; 64]) -> Result<Bytes, Failure> {
    let mut record = Record::parse(record)?;
    let signed = typed(&bundle.signed_prekey);
    if !xeddsa::verify(&bundle.identity_key, &signed, &bundle.signed_prekey_signature) {
        return Err(Failure::InvalidSignature);
    }
    let session = open_as_alice(bundle, local, entropy)?;
    record.promote(Body::Owned(session.write()));
    Ok(record.write())
}

fn open_as_alice(bundle: &Bundle, local: &Local, entropy: &[u8; 64]) -> Result<Session<'static>, Failure> {
    let (base, ratchet) = entropy.split_at(32);
    let [base, ratchet] = [base, ratchet].map(|half| {
        let mut private = Secret::default();
        private.copy_from_slice(half);
        KeyPair::of(&private)
    });
    let signed_prekey = PeerKey::new(&bundle.signed_prekey);
    let mut agreements = Agreements::new();
    agreements.add(&local.identity.private, &signed_prekey)?;
    agreements.add(&base.private, &PeerKey::new(&bundle.identity_key))?;
    agreements.add(&base.private, &signed_prekey)?;
    if let Some((_, prekey)) = &bundle.prekey {
        agreements.add(&base.private, &PeerKey::new(prekey))?;
    }
    let (root, first) = start(agreements.bytes());
    let (root_key, chain) = turn(&root, &ratchet.private, &signed_prekey)?;
    Ok(Session {
        local_identity: local.identity.public,
        remote_identity: bundle.identity_key,
        root_key,
        previous_counter: 0,
        sender: Some(SenderChain { ratchet, chain }),
        // The other side's first ratchet key is its signed prekey; its chain is the agreement's own.
        receivers: vec![Body::Owned(ReceiverChain::new(bundle.signed_prekey, first).write())],
        pending: Some(PendingPreKey {
            prekey_id: bundle.prekey.map(|(id, _)| id),
            signed_prekey_id: bundle.signed_prekey_id,
            base_key: base.public,
        }),
        remote_registration_id: bundle.registration_id,
        local_registration_id: local.registration_id,
        base_key: Some(base.public),
        version: u32::from(VERSION),
        unknown: vec![],
    })
}

fn open_as_bob(
    message: &PreKeySignalMessage<'_>, local: &Local, prekeys: &Prekeys,
) -> Result<Session<'static>, Failure> {
    let signed = prekeys.signed.as_ref().ok_or(Failure::InvalidKeyId)?;
    let base_key = PeerKey::new(&message.base_key);
    let mut agreements = Agreements::new();
    agreements.add(signed, &PeerKey::new(&message.identity_key))?;
    agreements.add(&local.identity.private, &base_key)?;
    agreements.add(signed, &base_key)?;
    if message.prekey_id.is_some() {
        agreements.add(prekeys.once.as_ref().ok_or(Failure::InvalidKeyId)?, &base_key)?;
    }
    let (root_key, chain) = start(agreements.bytes());
    Ok(Session {
        local_identity: local.identity.public,
        remote_identity: message.identity_key,
        root_key,
        previous_counter: 0,
        sender: Some(SenderChain { ratchet: KeyPair::of(signed), chain }),
        receivers: vec![],
        pending: None,
        remote_registration_id: message.registration_id,
        local_registration_id: local.registration_id,
        base_key: Some(message.base_key),
        version: u32::from(VERSION),
        unknown: vec![],
    })
}

// --- sealing ------------------------------------------------------------------------------------------------------------

/// Seal with the current session.
pub fn encrypt(record: &[u8], plaintext: &[u8]) -> Result<(Bytes, Kind, Vec<u8>), Failure> {
    let mut record = Record::parse(record)?;
    let mut session = record.session()?.ok_or(Failure::NoSession)?;
    let (kind, message) = session.encrypt(plaintext)?;
    let body = session.write();
    record.current = Some(Body::Owned(body));
    Ok((record.write(), kind, message))
}

// --- opening messages ---------------------------------------------------------------------------------------------------

/// Open a msg with whichever session it belongs to.
pub fn decrypt(record: &[u8], message: &[u8], entropy: &[u8; 32]) -> Result<(Bytes, Bytes), Failure> {
    let message = SignalMessage::parse(message)?;
    let mut record = Record::parse(record)?;
    let mut verdict = Verdict::default();
    let mut budget = Budget::new();
    if let Some(mut session) = record.session()? {
        match session.decrypt(&message, entropy, &mut budget) {
            Ok(plaintext) => {
                record.current = Some(Body::Owned(session.write()));
                return Ok((record.write(), plaintext));
            }
            Err(failure) => verdict.hear(failure, &session, &message),
        }
    }
    for place in 0..record.archived.len() {
        // An archived session that does not parse cannot be the one; it stays in the record as it is.
        let Some(Ok(mut session)) = record.archived.get(place).map(|body| Session::parse(body)) else {
            continue;
        };
        match session.decrypt(&message, entropy, &mut budget) {
            Ok(plaintext) => {
                let body = session.write();
                record.archived.remove(place);
                record.promote(Body::Owned(body));
                return Ok((record.write(), plaintext));
            }
            Err(failure) => verdict.hear(failure, &session, &message),
        }
    }
    Err(verdict.failure())
}

/// Why no session could open a message: the word of the session that knows its ratchet key, else of the first one tried.
#[derive(Default)]
struct Verdict {
    first: Option<Failure>,
    knowing: Option<Failure>,
}

impl Verdict {
    fn hear(&mut self, failure: Failure, session: &Session<'_>, message: &SignalMessage<'_>) {
        self.first.get_or_insert(failure);
        if session.has_chain(&message.ratchet_key) {
            self.knowing.get_or_insert(failure);
        }
    }

    fn failure(self) -> Failure {
        self.knowing.or(self.first).unwrap_or(Failure::NoSession)
    }
}

/// Open a pkmsg; the bool says whether a new session was made for it.
pub fn decrypt_prekey(
    record: &[u8], message: &[u8], local: &Local, prekeys: &Prekeys, entropy: &[u8; 32],
) -> Result<(Bytes, Bytes, bool), Failure> {
    let message = PreKeySignalMessage::parse(message)?;
    let mut record = Record::parse(record)?;
    let known = take_session_of(&mut record, &message.base_key)?;
    let opened = known.is_none();
    let mut session = match &known {
        Some(body) => Session::parse(body)?,
        None => open_as_bob(&message, local, prekeys)?,
    };
    // The MAC of a known session does not cover the identity written around it.
    if session.remote_identity != message.identity_key {
        return Err(Failure::InvalidKey);
    }
    let plaintext = session.decrypt(&message.message, entropy, &mut Budget::new())?;
    record.promote(Body::Owned(session.write()));
    Ok((record.write(), plaintext, opened))
}

/// Take the session with this base key out of the record.
fn take_session_of<'a>(record: &mut Record<'a>, base_key: &PublicKey) -> Result<Option<Body<'a>>, Failure> {
    if let Some(session) = record.session()?
        && session.base_key.as_ref() == Some(base_key)
    {
        return Ok(record.current.take());
    }
    let place = record
        .archived
        .iter()
        .position(|body| Session::parse(body).is_ok_and(|session| session.base_key.as_ref() == Some(base_key)));
    Ok(place.map(|place| record.archived.remove(place)))
}

// --- looking ------------------------------------------------------------------------------------------------------------

/// Whether there is a current session that can seal.
pub fn is_open(record: &[u8]) -> Result<bool, Failure> {
    Ok(Record::parse(record)?.session()?.is_some_and(|session| session.is_usable()))
}

/// The current session's base key and the other side's registration id.
pub fn base_key(record: &[u8]) -> Result<Option<(PublicKey, u32)>, Failure> {
    let record = Record::parse(record)?;
    let session = record.session()?;
    Ok(session.and_then(|session| session.base_key.map(|key| (key, session.remote_registration_id))))
}

/// The record with its current session in the archive.
pub fn archive(record: &[u8]) -> Result<Bytes, Failure> {
    let mut record = Record::parse(record)?;
    record.archive();
    Ok(record.write())
}

/// One chain, without secrets.
pub struct ChainView {
    pub ratchet_key: PublicKey,
    pub counter: u32,
    pub skipped: usize,
}

/// One session, without secrets.
pub struct SessionView {
    pub version: u32,
    pub remote_registration_id: u32,
    pub local_registration_id: u32,
    pub base_key: Option<PublicKey>,
    pub remote_identity: PublicKey,
    pub previous_counter: u32,
    pub sending: Option<ChainView>,
    pub receiving: Vec<ChainView>,
    pub pending_prekey: bool,
}

/// All sessions, the current one first.
pub fn describe(record: &[u8]) -> Result<Vec<SessionView>, Failure> {
    let record = Record::parse(record)?;
    record.current.iter().chain(&record.archived).map(|body| view(&Session::parse(body)?)).collect()
}

fn view(session: &Session<'_>) -> Result<SessionView, Failure> {
    let sending = session.sender.as_ref();
    Ok(SessionView {
        version: session.version,
        remote_registration_id: session.remote_registration_id,
        local_registration_id: session.local_registration_id,
        base_key: session.base_key,
        remote_identity: session.remote_identity,
        previous_counter: session.previous_counter,
        sending: sending.map(|sender| ChainView {
            ratchet_key: sender.ratchet.public,
            counter: sender.chain.index,
            skipped: 0,
        }),
        receiving: session.receivers.iter().map(|body| chain_view(body)).collect::<Result<_, _>>()?,
        pending_prekey: session.pending.is_some(),
    })
}

fn chain_view(body: &[u8]) -> Result<ChainView, Failure> {
    let chain = ReceiverChain::parse(body)?;
    Ok(ChainView { ratchet_key: chain.ratchet_key, counter: chain.index, skipped: chain.stored.len() })
}

#[cfg(test)]
mod tests {
    use super::super::message::{KEY_TYPE, write_covered};
    use super::super::protobuf::{put_bytes, put_uint32};
    use super::super::{MAX_ARCHIVED, MAX_CHAINS, MAX_JUMP, MAX_SKIPPED};
    use super::*;

    /// A device with fixed keys; its dice are a counter.
    struct Device {
        local: Local,
        signed: KeyPair,
        once: KeyPair,
        record: Vec<u8>,
        dice: u8,
    }

    type Message = (Kind, Vec<u8>);

    impl Device {
        fn new(seed: u8) -> Self {
            Self {
                local: Local { identity: KeyPair::of(&[seed; 32]), registration_id: u32::from(seed) },
                signed: KeyPair::of(&[seed + 1; 32]),
                once: KeyPair::of(&[seed + 2; 32]),
                record: vec![],
                dice: seed,
            }
        }

        fn entropy<const N: usize>(&mut self) -> [u8; N] {
            self.dice = self.dice.wrapping_add(7);
            let mut entropy = [self.dice; N];
            entropy[N / 2..].fill(self.dice ^ 0x55);
            entropy
        }

        fn bundle(&self) -> Bundle {
            let signature = xeddsa::sign(&self.local.identity.private, &typed(&self.signed.public), &[1; 64]);
            Bundle {
                registration_id: self.local.registration_id,
                identity_key: self.local.identity.public,
                signed_prekey_id: 3,
                signed_prekey: self.signed.public,
                signed_prekey_signature: signature,
                prekey: Some((4, self.once.public)),
            }
        }

        fn open(&mut self, other: &Self) {
            let entropy = self.entropy();
            self.record = initiate(&self.record, &other.bundle(), &self.local, &entropy).expect("opens").to_vec();
        }

        fn seal(&mut self, text: &[u8]) -> Message {
            let (record, kind, message) = encrypt(&self.record, text).expect("seals");
            self.record = record.to_vec();
            (kind, message)
        }

        fn prekeys(&self) -> Prekeys {
            Prekeys { signed: Some(self.signed.private.clone()), once: Some(self.once.private.clone()) }
        }

        fn read(&mut self, (kind, message): &Message) -> Result<Vec<u8>, Failure> {
            let entropy = self.entropy();
            let (record, text) = match kind {
                Kind::Ordinary => decrypt(&self.record, message, &entropy)?,
                Kind::PreKey => {
                    let (record, text, _) =
                        decrypt_prekey(&self.record, message, &self.local, &self.prekeys(), &entropy)?;
                    (record, text)
                }
            };
            self.record = record.to_vec();
            Ok(text.to_vec())
        }
    }

    /// Two devices that have heard from each other.
    fn settled() -> (Device, Device) {
        let (mut alice, mut bob) = (Device::new(10), Device::new(60));
        alice.open(&bob);
        let hello = alice.seal(b"hello");
        bob.read(&hello).expect("bob reads");
        let hello = bob.seal(b"hello");
        alice.read(&hello).expect("alice reads");
        (alice, bob)
    }

    fn chains(record: &[u8]) -> Vec<(u32, usize)> {
        let current = describe(record).expect("parses").into_iter().next().expect("has a session");
        current.receiving.iter().map(|chain| (chain.counter, chain.skipped)).collect()
    }

    #[test]
    fn messages_are_read_in_any_order_and_once() {
        let (mut alice, mut bob) = settled();
        let sent: Vec<_> = (0..5_u8).map(|number| (number, alice.seal(&[number]))).collect();
        for (number, message) in [3, 0, 4, 2, 1].map(|place: usize| &sent[place]) {
            assert_eq!(bob.read(message), Ok(vec![*number]));
        }
        for (_, message) in &sent {
            assert_eq!(bob.read(message), Err(Failure::Duplicate));
        }
    }

    #[test]
    fn a_pkmsg_is_read_with_the_session_it_has_opened() {
        let (mut alice, mut bob) = (Device::new(10), Device::new(60));
        alice.open(&bob);
        let [one, two] = [alice.seal(b"one"), alice.seal(b"two")];
        assert_eq!((one.0, two.0), (Kind::PreKey, Kind::PreKey));
        assert_eq!(bob.read(&two), Ok(b"two".to_vec()));
        // Neither prekey is needed any more.
        let none = Prekeys { signed: None, once: None };
        let (_, text, opened) = decrypt_prekey(&bob.record, &one.1, &bob.local, &none, &[1; 32]).expect("reads");
        assert_eq!((text.as_slice(), opened), (&b"one"[..], false));
        assert_eq!(bob.read(&two), Err(Failure::Duplicate));
        let anew = decrypt_prekey(b"", &one.1, &bob.local, &none, &[1; 32]);
        assert_eq!(anew.err(), Some(Failure::InvalidKeyId));
    }

    #[test]
    fn only_ids_around_a_pkmsg_can_be_changed() {
        let (mut alice, bob) = (Device::new(10), Device::new(60));
        alice.open(&bob);
        let (_, message) = alice.seal(b"text");
        let mut read = vec![];
        for place in 0..message.len() {
            let mut changed = message.clone();
            changed[place] ^= 0x10;
            if let Ok((_, text, _)) = decrypt_prekey(b"", &changed, &bob.local, &bob.prekeys(), &[1; 32]) {
                assert_eq!(text.as_slice(), b"text");
                read.push(place);
            }
        }
        // The ids of the prekeys, whose keys the caller has looked up, and the registration id with its tag: outside of
        // every MAC, in everybody's implementation.
        let end = message.len();
        assert_eq!(read, [2, end - 4, end - 3, end - 1]);
    }

    #[test]
    fn another_identity_around_a_known_session_is_refused() {
        let (mut alice, mut bob) = (Device::new(10), Device::new(60));
        alice.open(&bob);
        let [one, two] = [alice.seal(b"one"), alice.seal(b"two")];
        bob.read(&one).expect("reads");
        let at = two.1.windows(32).position(|part| part == alice.local.identity.public).expect("is in there");
        let mut forged = two.1.clone();
        forged[at..at + 32].copy_from_slice(&KeyPair::of(&[99; 32]).public);
        assert_eq!(bob.read(&(Kind::PreKey, forged.clone())), Err(Failure::InvalidKey));
        // And around an unknown one it changes the agreement.
        let unknown = decrypt_prekey(b"", &forged, &bob.local, &bob.prekeys(), &[1; 32]);
        assert_eq!(unknown.err(), Some(Failure::BadMac));
        assert_eq!(bob.read(&two), Ok(b"two".to_vec()));
    }

    #[test]
    fn skipped_keys_chains_and_archived_sessions_are_bounded() {
        let (mut alice, mut bob) = settled();
        let lost: Vec<_> = (0..MAX_SKIPPED + 5).map(|_| alice.seal(b"lost")).collect();
        let last = alice.seal(b"last");
        assert_eq!(bob.read(&last), Ok(b"last".to_vec()));
        assert_eq!((MAX_SKIPPED, chains(&bob.record).last()), (2_000, Some(&(2_006, 2_000))));
        assert_eq!(bob.read(&lost[4]), Err(Failure::Duplicate), "the oldest are dropped");
        assert_eq!(bob.read(&lost[5]), Ok(b"lost".to_vec()));
        let more: Vec<_> = (0..3).map(|_| alice.seal(b"more")).collect();
        let last = alice.seal(b"last");
        assert_eq!(bob.read(&last), Ok(b"last".to_vec()));
        // 1,999 were left, three have come: two of the oldest had to go.
        assert_eq!(bob.read(&lost[7]), Err(Failure::Duplicate));
        for message in [&lost[8], &lost[MAX_SKIPPED + 4]] {
            assert_eq!(bob.read(message), Ok(b"lost".to_vec()));
        }
        assert_eq!(bob.read(&more[0]), Ok(b"more".to_vec()));
        for _ in 0..MAX_CHAINS + 2 {
            let question = bob.seal(b"?");
            alice.read(&question).expect("alice reads");
            let answer = alice.seal(b"!");
            bob.read(&answer).expect("bob reads");
        }
        assert_eq!(chains(&bob.record), [(1, 0); MAX_CHAINS]);
        let mut names = vec![];
        for _ in 0..MAX_ARCHIVED + 3 {
            alice.open(&bob);
            names.push(base_key(&alice.record).expect("parses").expect("open").0);
        }
        names.reverse();
        let kept: Vec<_> = describe(&alice.record).expect("parses").iter().filter_map(|view| view.base_key).collect();
        assert_eq!(kept, names[..=MAX_ARCHIVED], "newest first");
    }

    #[test]
    fn a_jump_is_followed_up_to_the_limit() {
        let (mut alice, mut bob) = settled();
        let first = alice.seal(b"first");
        bob.read(&first).expect("reads");
        let after = |alice: &mut Device, steps: u32| {
            for _ in 0..steps {
                alice.seal(b"");
            }
            alice.seal(b"there")
        };
        let there = after(&mut alice, MAX_JUMP);
        let beyond = alice.seal(b"beyond");
        assert_eq!(bob.read(&beyond), Err(Failure::FutureMessage));
        assert_eq!(bob.read(&there), Ok(b"there".to_vec()));
        assert_eq!(bob.read(&beyond), Ok(b"beyond".to_vec()));
    }

    #[test]
    fn hostile_counters_cost_a_bounded_number_of_steps() {
        let (mut alice, bob) = settled();
        for _ in 0..MAX_ARCHIVED {
            alice.open(&bob);
        }
        for counter in [MAX_JUMP, MAX_JUMP + 1, u32::MAX] {
            let mut message = write_covered(&KeyPair::of(&[5; 32]).public, counter, 0, &[0; 16]);
            message.extend([0; 8]);
            // MAX_JUMP itself fails at the MAC of the first sessions, until the budget for all of them is spent.
            let expected = if counter == MAX_JUMP { Failure::BadMac } else { Failure::FutureMessage };
            assert_eq!(decrypt(&alice.record, &message, &[1; 32]).err(), Some(expected));
        }
    }

    #[test]
    fn low_order_keys_are_refused_everywhere() {
        let (mut alice, bob) = settled();
        let mut bundle = bob.bundle();
        bundle.prekey = Some((4, [0; 32]));
        let refused = initiate(b"", &bundle, &alice.local, &[1; 64]);
        assert_eq!(refused.err(), Some(Failure::InvalidKey));
        let mut message = write_covered(&[0; 32], 0, 0, &[0; 16]);
        message.extend([0; 8]);
        assert_eq!(decrypt(&alice.record, &message, &[1; 32]).err(), Some(Failure::InvalidKey));
        alice.open(&bob);
        let (_, mut pkmsg) = alice.seal(b"text");
        let base = base_key(&alice.record).expect("parses").expect("open").0;
        let at = pkmsg.windows(32).position(|part| part == base).expect("is in there");
        pkmsg[at..at + 32].fill(0);
        let refused = decrypt_prekey(b"", &pkmsg, &bob.local, &bob.prekeys(), &[1; 32]);
        assert_eq!(refused.err(), Some(Failure::InvalidKey));
    }

    #[test]
    fn an_archived_session_reads_and_comes_forward() {
        let (mut alice, mut bob) = settled();
        let old = bob.seal(b"old");
        alice.open(&bob);
        let name = base_key(&alice.record).expect("parses");
        assert_eq!(alice.read(&old), Ok(b"old".to_vec()));
        assert_ne!(base_key(&alice.record).expect("parses"), name);
        assert_eq!(describe(&alice.record).expect("parses").len(), 2);
        alice.record = archive(&alice.record).expect("archives").to_vec();
        assert_eq!(is_open(&alice.record), Ok(false));
        assert_eq!(encrypt(&alice.record, b"").err(), Some(Failure::NoSession));
        let more = bob.seal(b"more");
        assert_eq!(alice.read(&more), Ok(b"more".to_vec()));
        assert_eq!(is_open(&alice.record), Ok(true));
        alice.open(&bob);
        assert_eq!(alice.read(&more), Err(Failure::Duplicate), "the session that knows the message has the word");
    }

    #[test]
    fn unknown_fields_survive_every_step() {
        let (mut alice, mut bob) = settled();
        let record = Record::parse(&bob.record).expect("parses");
        let mut session = record.current.as_deref().expect("open").to_vec();
        put_bytes(&mut session, 400, b"of a session");
        let mut widened = vec![];
        put_bytes(&mut widened, 1, &session);
        put_uint32(&mut widened, 500, 77);
        bob.record = widened;
        let message = alice.seal(b"turns the ratchet");
        bob.read(&message).expect("reads");
        bob.seal(b"and steps");
        let contains = |needle: &[u8]| bob.record.windows(needle.len()).any(|part| part == needle);
        assert!(contains(b"of a session"));
        let mut field = vec![];
        put_uint32(&mut field, 500, 77);
        assert!(bob.record.ends_with(&field));
    }

    #[test]
    fn no_cut_or_changed_record_makes_anything_but_an_error() {
        let (mut alice, mut bob) = settled();
        let lost = alice.seal(b"lost");
        let message = alice.seal(b"text");
        bob.read(&message).expect("reads");
        let record = bob.record.clone();
        for length in 0..record.len() {
            let _ = decrypt(&record[..length], &lost.1, &[1; 32]);
            let _ = describe(&record[..length]);
        }
        for place in 0..record.len() {
            let mut changed = record.clone();
            changed[place] ^= 0xff;
            // A record is not authenticated; it must only never panic.
            let _ = decrypt(&changed, &lost.1, &[1; 32]);
            let _ = encrypt(&changed, b"text");
            let _ = describe(&changed);
        }
        assert_eq!(encrypt(&[0xff], b"").err(), Some(Failure::Record));
    }

    #[test]
    fn a_message_that_is_none_names_the_offset() {
        let (mut alice, bob) = settled();
        let (_, message) = alice.seal(b"text");
        let at = |message: &[u8]| decrypt(&bob.record, message, &[1; 32]).err();
        assert_eq!(at(b""), Some(Failure::Message(0)));
        assert_eq!(at(b"\x23 version two"), Some(Failure::Message(0)));
        assert_eq!(at(&message[..30]), Some(Failure::Message(3)), "the key is longer than the rest");
        let mut changed = message;
        assert_eq!(changed[3], KEY_TYPE);
        changed[3] = 6;
        assert_eq!(at(&changed), Some(Failure::Message(1)), "another type of key");
        alice.open(&bob);
        let (_, pkmsg) = alice.seal(b"text");
        let inner = 1 + 2 + 35 + 35 + 2;
        let mut changed = pkmsg;
        assert_eq!(changed[inner], 0x33);
        changed[inner] = 0x43;
        let refused = decrypt_prekey(b"", &changed, &bob.local, &bob.prekeys(), &[1; 32]);
        assert_eq!(refused.err(), Some(Failure::Message(inner)));
    }
}
