//! Noise XX, IK and XXfallback over 25519_AESGCM_SHA256, on the `snow` crate, as WhatsApp runs them, and the transport behind.
//!
//!     XX           ->  e                     <-  e, ee, s, es, chain      ->  s, se, payload
//!     IK           ->  e, es, s, ss, payload <-  e, ee, se, chain
//!     XXfallback   (the e of an IK hello)    <-  e, ee, s, es, chain      ->  s, se, payload
//!
//! IK is for a client that knows the server's static key from an earlier XX; a server that cannot, or will not, read such a
//! hello falls back. XXfallback is XX under another name: the ephemeral key of the IK hello is hashed where XX hashes its own
//! first message, and whoever falls back begins anew with the same ephemeral key.
//!
//! WhatsApp differs from the Noise specification in one point: a first message without payload does not hash its emptiness.
//! snow, following the specification, would mix an empty payload into the handshake hash. So snow is given a SHA-256 that
//! treats exactly that step (a hash of 32 bytes followed by one empty input) as "h stays". Nothing else looks like it: HMAC always
//! begins with a 64-byte block, so key derivation is not touched; an encrypted payload is never empty, for it has its tag;
//! and the prologue is hashed the same way, so an empty one (which WhatsApp does not know) would be left out too.
//!
//! Dice come in from outside as the ephemeral key, and a shared secret of zeros, which everybody knows, is refused.
//!
//! The transport is our own use of AES-256-GCM under the split keys: snow's is limited to 65,535 bytes, frames are not. IV: 8
//! zero bytes and a 32-bit big-endian counter for each direction; no associated data.
//!
//! Source: noiseprotocol.org rev. 34; Baileys Utils/noise-handler.ts (which hash steps exist, IVs; facts); whatsapp-rust
//! wacore/noise (when IK is used and how it falls back; facts).

use crate::core::curve;
use aes_gcm::aead::AeadInPlace;
use aes_gcm::{Aes256Gcm, KeyInit};
use sha2::{Digest, Sha256};
use snow::params::{BaseChoice, CipherChoice, DHChoice, HandshakeChoice, HashChoice, NoiseParams};
use snow::resolvers::{CryptoResolver, DefaultResolver};
use snow::types::{Cipher, Dh, Hash, Random};
use zeroize::{Zeroize, Zeroizing};

pub const MAX_MESSAGE: usize = 65_535;
const TAG: usize = 16;

/// Which handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pattern {
    Xx,
    Ik,
    XxFallback,
}

impl Pattern {
    /// From its name in the specification.
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "XX" => Some(Self::Xx),
            "IK" => Some(Self::Ik),
            "XXfallback" => Some(Self::XxFallback),
            _ => None,
        }
    }

    fn params(self) -> Result<NoiseParams, Failure> {
        let (name, messages) = match self {
            Self::Xx => ("Noise_XX_25519_AESGCM_SHA256", "XX"),
            Self::Ik => ("Noise_IK_25519_AESGCM_SHA256", "IK"),
            // snow knows the modifier's name and nothing more of it; the messages that are left are XX's.
            Self::XxFallback => ("Noise_XXfallback_25519_AESGCM_SHA256", "XX"),
        };
        let messages: HandshakeChoice = messages.parse().map_err(|_| Failure::Turn)?;
        Ok(NoiseParams::new(
            name.to_owned(),
            BaseChoice::Noise,
            messages,
            DHChoice::Curve25519,
            CipherChoice::AESGCM,
            HashChoice::SHA256,
        ))
    }
}

/// The keys of one side. The ephemeral private key is what the dice gave for the one such key this side makes.
pub struct Keys<'a> {
    pub static_private: &'a [u8; 32],
    pub ephemeral_private: [u8; 32],
    /// The server's static key, for the initiator of IK and nobody else.
    pub remote_static: Option<&'a [u8; 32]>,
}

/// Why a step cannot be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// It is the other side's turn, or the handshake is over, or not over yet.
    Turn,
    /// The message is longer than Noise allows.
    TooLong,
    /// What the peer sent does not verify or parse.
    Peer,
    /// The 32-bit counter of a direction is used up.
    Exhausted,
}

struct FixedRandom(Zeroizing<[u8; 32]>);

impl Random for FixedRandom {
    fn try_fill_bytes(&mut self, dest: &mut [u8]) -> Result<(), snow::Error> {
        let length = dest.len();
        dest.copy_from_slice(self.0.get(..length).ok_or(snow::Error::Rng)?);
        Ok(())
    }
}

#[derive(Default)]
struct WhatsAppSha256 {
    hash: Sha256,
    first: Vec<u8>,
    inputs: usize,
    length: usize,
}

impl Hash for WhatsAppSha256 {
    fn name(&self) -> &'static str {
        "SHA256"
    }
    fn block_len(&self) -> usize {
        64
    }
    fn hash_len(&self) -> usize {
        32
    }
    fn reset(&mut self) {
        self.hash.reset();
        self.first.clear();
        self.inputs = 0;
        self.length = 0;
    }
    fn input(&mut self, data: &[u8]) {
        self.inputs += 1;
        self.length += data.len();
        if self.inputs == 1 && data.len() == 32 {
            self.first.extend_from_slice(data);
        }
        self.hash.update(data);
    }
    fn result(&mut self, out: &mut [u8]) {
        if self.inputs == 2 && self.length == 32 && self.first.len() == 32 {
            out[..32].copy_from_slice(&self.first);
        } else {
            out[..32].copy_from_slice(&self.hash.finalize_reset());
        }
    }
}

/// X25519 that wipes its private key and refuses public keys of low order.
#[derive(Default)]
struct CheckedX25519 {
    private: Zeroizing<[u8; 32]>,
    public: [u8; 32],
}

impl Dh for CheckedX25519 {
    fn name(&self) -> &'static str {
        "25519"
    }
    fn pub_len(&self) -> usize {
        32
    }
    fn priv_len(&self) -> usize {
        32
    }
    fn set(&mut self, privkey: &[u8]) {
        self.private.copy_from_slice(privkey);
        self.public = curve::public_key(&self.private);
    }
    fn generate(&mut self, rng: &mut dyn Random) -> Result<(), snow::Error> {
        rng.try_fill_bytes(self.private.as_mut_slice())?;
        self.public = curve::public_key(&self.private);
        Ok(())
    }
    fn pubkey(&self) -> &[u8] {
        &self.public
    }
    fn privkey(&self) -> &[u8] {
        self.private.as_slice()
    }
    fn dh(&self, pubkey: &[u8], out: &mut [u8]) -> Result<(), snow::Error> {
        let public = pubkey.get(..32).and_then(|key| key.try_into().ok()).ok_or(snow::Error::Dh)?;
        let shared = Zeroizing::new(curve::shared_secret(&self.private, public).ok_or(snow::Error::Dh)?);
        out.get_mut(..32).ok_or(snow::Error::Dh)?.copy_from_slice(shared.as_slice());
        Ok(())
    }
}

struct Resolver(Zeroizing<[u8; 32]>);

impl CryptoResolver for Resolver {
    fn resolve_rng(&self) -> Option<Box<dyn Random>> {
        Some(Box::new(FixedRandom(self.0.clone())))
    }
    fn resolve_dh(&self, choice: &DHChoice) -> Option<Box<dyn Dh>> {
        match choice {
            DHChoice::Curve25519 => Some(Box::<CheckedX25519>::default()),
            _ => None,
        }
    }
    fn resolve_hash(&self, choice: &HashChoice) -> Option<Box<dyn Hash>> {
        match choice {
            HashChoice::SHA256 => Some(Box::<WhatsAppSha256>::default()),
            _ => None,
        }
    }
    fn resolve_cipher(&self, choice: &CipherChoice) -> Option<Box<dyn Cipher>> {
        DefaultResolver.resolve_cipher(choice)
    }
}

/// One side of a handshake.
pub struct Handshake {
    state: snow::HandshakeState,
}

impl Handshake {
    /// Fails when a key is given that the pattern has no use for, or one that it needs is not.
    pub fn new(pattern: Pattern, initiator: bool, prologue: &[u8], keys: Keys<'_>) -> Result<Self, Failure> {
        if keys.remote_static.is_some() != (pattern == Pattern::Ik && initiator) {
            return Err(Failure::Turn);
        }
        let resolver = Box::new(Resolver(Zeroizing::new(keys.ephemeral_private)));
        let mut builder = snow::Builder::with_resolver(pattern.params()?, resolver)
            .prologue(prologue)
            .and_then(|builder| builder.local_private_key(keys.static_private))
            .map_err(|_| Failure::Turn)?;
        if let Some(key) = keys.remote_static {
            builder = builder.remote_public_key(key).map_err(|_| Failure::Turn)?;
        }
        let state = if initiator { builder.build_initiator() } else { builder.build_responder() };
        Ok(Self { state: state.map_err(|_| Failure::Turn)? })
    }

    pub fn is_initiator(&self) -> bool {
        self.state.is_initiator()
    }

    pub fn is_my_turn(&self) -> bool {
        self.state.is_my_turn() && !self.state.is_handshake_finished()
    }

    pub fn is_finished(&self) -> bool {
        self.state.is_handshake_finished()
    }

    pub fn remote_static(&self) -> Option<&[u8]> {
        self.state.get_remote_static()
    }

    pub fn hash(&self) -> &[u8] {
        self.state.get_handshake_hash()
    }

    pub fn write(&mut self, payload: &[u8]) -> Result<Vec<u8>, Failure> {
        if !self.is_my_turn() {
            return Err(Failure::Turn);
        }
        // The longest message (XX's second, IK's first) adds an ephemeral key, an encrypted static key and a tag.
        let mut message = vec![0; payload.len() + 32 + 48 + TAG];
        if message.len() > MAX_MESSAGE {
            return Err(Failure::TooLong);
        }
        let length = self.state.write_message(payload, &mut message).map_err(|error| match error {
            snow::Error::Dh => Failure::Peer,
            _ => Failure::TooLong,
        })?;
        message.truncate(length);
        Ok(message)
    }

    pub fn read(&mut self, message: &[u8]) -> Result<Vec<u8>, Failure> {
        if self.is_finished() || self.state.is_my_turn() {
            return Err(Failure::Turn);
        }
        if message.len() > MAX_MESSAGE {
            return Err(Failure::Peer);
        }
        let mut payload = vec![0; message.len()];
        let length = self.state.read_message(message, &mut payload).map_err(|_| Failure::Peer)?;
        payload.truncate(length);
        Ok(payload)
    }

    pub fn split(mut self) -> Result<Transport, Failure> {
        if !self.is_finished() {
            return Err(Failure::Turn);
        }
        let (mut to_server, mut to_client) = self.state.dangerously_get_raw_split();
        let (send, receive) = if self.is_initiator() { (&to_server, &to_client) } else { (&to_client, &to_server) };
        let transport = Transport { send: Direction::new(send), receive: Direction::new(receive) };
        to_server.zeroize();
        to_client.zeroize();
        Ok(transport)
    }
}

struct Direction {
    cipher: Aes256Gcm,
    counter: u32,
    is_exhausted: bool,
}

impl Direction {
    fn new(key: &[u8; 32]) -> Self {
        Self { cipher: Aes256Gcm::new(key.into()), counter: 0, is_exhausted: false }
    }

    fn iv(&self) -> Result<[u8; 12], Failure> {
        if self.is_exhausted {
            return Err(Failure::Exhausted);
        }
        let mut iv = [0; 12];
        iv[8..].copy_from_slice(&self.counter.to_be_bytes());
        Ok(iv)
    }

    fn advance(&mut self) {
        match self.counter.checked_add(1) {
            Some(next) => self.counter = next,
            None => self.is_exhausted = true,
        }
    }
}

/// Both directions of an open connection.
pub struct Transport {
    send: Direction,
    receive: Direction,
}

impl Transport {
    pub fn sent(&self) -> u32 {
        self.send.counter
    }

    pub fn received(&self) -> u32 {
        self.receive.counter
    }

    /// Ciphertext and 16-byte tag.
    pub fn encrypt(&mut self, plaintext: &[u8]) -> Result<Vec<u8>, Failure> {
        let iv = self.send.iv()?;
        let mut buffer = Vec::with_capacity(plaintext.len() + TAG);
        buffer.extend_from_slice(plaintext);
        let tag =
            self.send.cipher.encrypt_in_place_detached(&iv.into(), b"", &mut buffer).map_err(|_| Failure::TooLong)?;
        buffer.extend_from_slice(&tag);
        self.send.advance();
        Ok(buffer)
    }

    /// The plaintext; the counter stays when the tag does not verify.
    pub fn decrypt(&mut self, ciphertext: &[u8]) -> Result<Vec<u8>, Failure> {
        let iv = self.receive.iv()?;
        let split = ciphertext.len().checked_sub(TAG).ok_or(Failure::Peer)?;
        let (body, tag) = ciphertext.split_at(split);
        let mut buffer = body.to_vec();
        self.receive
            .cipher
            .decrypt_in_place_detached(&iv.into(), b"", &mut buffer, tag.into())
            .map_err(|_| Failure::Peer)?;
        self.receive.advance();
        Ok(buffer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROLOGUE: &[u8] = b"WA\x06\x03";

    fn side(pattern: Pattern, initiator: bool, fixed: u8, once: u8, remote: Option<&[u8; 32]>) -> Handshake {
        let keys = Keys { static_private: &[fixed; 32], ephemeral_private: [once; 32], remote_static: remote };
        Handshake::new(pattern, initiator, PROLOGUE, keys).expect("a handshake")
    }

    fn pair() -> (Handshake, Handshake) {
        (side(Pattern::Xx, true, 1, 2, None), side(Pattern::Xx, false, 3, 4, None))
    }

    /// The client of an IK whose server has the static key of seed 3.
    fn resuming() -> Handshake {
        side(Pattern::Ik, true, 1, 2, Some(&curve::public_key(&[3; 32])))
    }

    fn shake() -> (Transport, Transport) {
        let (mut client, mut server) = pair();
        let hello = client.write(b"").expect("hello");
        assert_eq!(server.read(&hello).expect("hello read"), b"");
        let answer = server.write(b"chain").expect("answer");
        assert_eq!(client.read(&answer).expect("answer read"), b"chain");
        let finish = client.write(b"payload").expect("finish");
        assert_eq!(server.read(&finish).expect("finish read"), b"payload");
        assert_eq!(client.hash(), server.hash());
        (client.split().expect("client split"), server.split().expect("server split"))
    }

    #[test]
    fn the_first_hash_is_that_of_whatsapp() {
        // h after the padded name and the prologue; recorded from a real handshake (whatsapp-rust noise_handshake_test.rs).
        let (client, _) = pair();
        let expected = "ffff0c9267310966f1311170c04b38c79504285bf5edf763e5c946492a50a755";
        let hash: String = client.hash().iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hash, expected);
    }

    #[test]
    fn the_empty_payload_of_the_first_message_is_not_hashed() {
        let (mut client, _) = pair();
        let before = client.hash().to_vec();
        let hello = client.write(b"").expect("hello");
        let expected = crate::core::hash::sha256(&[&before, &hello]);
        assert_eq!(client.hash(), expected);
    }

    #[test]
    fn frames_pass_in_order_and_only_in_order() {
        let (mut client, mut server) = shake();
        let (first, second) = (client.encrypt(b"one").expect("one"), client.encrypt(b"two").expect("two"));
        assert_eq!(server.decrypt(&second), Err(Failure::Peer));
        assert_eq!(server.decrypt(&first).as_deref(), Ok(&b"one"[..]));
        assert_eq!(server.decrypt(&second).as_deref(), Ok(&b"two"[..]));
        let big = vec![7; 1 << 17];
        let frame = server.encrypt(&big).expect("longer than a Noise message");
        assert_eq!(client.decrypt(&frame), Ok(big));
    }

    #[test]
    fn the_counter_ends_before_it_wraps() {
        let (mut client, mut server) = shake();
        client.send.counter = u32::MAX;
        server.receive.counter = u32::MAX;
        let last = client.encrypt(b"last").expect("the last number is used");
        assert_eq!(server.decrypt(&last).as_deref(), Ok(&b"last"[..]));
        assert_eq!(client.encrypt(b"more"), Err(Failure::Exhausted));
        assert_eq!(server.decrypt(&last), Err(Failure::Exhausted));
    }

    #[test]
    fn vectors_of_another_implementation() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors/noise.json");
        let file: serde_json::Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        let cases = file["cases"].as_array().unwrap();
        assert!(!cases.is_empty());
        for case in cases {
            let bytes = |name: &str| -> Vec<u8> {
                let digits = case[name].as_str().unwrap();
                (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap()).collect()
            };
            let key = |name: &str| -> [u8; 32] { bytes(name).try_into().unwrap() };
            let pattern = Pattern::named(case["pattern"].as_str().unwrap()).unwrap();
            let resumes = pattern == Pattern::Ik;
            let server_public = curve::public_key(&key("server_static"));
            let make = |initiator, name: &str| {
                let keys = Keys {
                    static_private: &key(&format!("{name}_static")),
                    ephemeral_private: key(&format!("{name}_ephemeral")),
                    remote_static: (resumes && initiator).then_some(&server_public),
                };
                Handshake::new(pattern, initiator, PROLOGUE, keys).unwrap()
            };
            let (mut client, mut server) = (make(true, "client"), make(false, "server"));
            let first = if resumes { bytes("payload") } else { Vec::new() };
            assert_eq!(client.write(&first).unwrap(), bytes("client_hello"));
            assert_eq!(server.read(&bytes("client_hello")).unwrap(), first);
            assert_eq!(server.write(&bytes("chain")).unwrap(), bytes("server_hello"));
            assert_eq!(client.read(&bytes("server_hello")).unwrap(), bytes("chain"));
            if !resumes {
                assert_eq!(client.write(&bytes("payload")).unwrap(), bytes("client_finish"));
                assert_eq!(server.read(&bytes("client_finish")).unwrap(), bytes("payload"));
            }
            assert_eq!(client.hash(), bytes("handshake_hash"));
            assert_eq!(client.split().unwrap().encrypt(b"to server").unwrap(), bytes("first_to_server"));
            assert_eq!(server.split().unwrap().encrypt(b"to client").unwrap(), bytes("first_to_client"));
        }
    }

    #[test]
    fn a_changed_byte_and_a_wrong_turn_are_refused() {
        let (mut client, mut server) = pair();
        assert_eq!(server.write(b""), Err(Failure::Turn));
        let hello = client.write(b"").expect("hello");
        server.read(&hello).expect("hello read");
        let mut answer = server.write(b"chain").expect("answer");
        answer[40] ^= 1;
        assert_eq!(client.read(&answer), Err(Failure::Peer));
    }
    #[test]
    fn a_resumed_handshake_takes_one_message_each_way() {
        let (mut client, mut server) = (resuming(), side(Pattern::Ik, false, 3, 4, None));
        let hello = client.write(b"payload").expect("hello");
        assert_eq!(server.read(&hello).expect("hello read"), b"payload");
        assert_eq!(server.remote_static(), Some(&curve::public_key(&[1; 32])[..]));
        let answer = server.write(b"chain").expect("answer");
        assert_eq!(client.read(&answer).expect("answer read"), b"chain");
        assert_eq!(client.hash(), server.hash());
        let (mut client, mut server) = (client.split().expect("client split"), server.split().expect("server split"));
        let frame = client.encrypt(b"one").expect("one");
        assert_eq!(server.decrypt(&frame).as_deref(), Ok(&b"one"[..]));
    }

    #[test]
    fn a_server_of_another_key_cannot_read_a_resumed_hello() {
        let hello = resuming().write(b"payload").expect("hello");
        assert_eq!(side(Pattern::Ik, false, 5, 4, None).read(&hello), Err(Failure::Peer));
        for at in [0, 31, 32, 79, 80, hello.len() - 1] {
            let mut changed = hello.clone();
            changed[at] ^= 1;
            assert_eq!(side(Pattern::Ik, false, 3, 4, None).read(&changed), Err(Failure::Peer), "byte {at}");
        }
    }

    #[test]
    fn a_fallback_begins_with_the_ephemeral_key_of_the_resumed_hello() {
        let hello = resuming().write(b"payload").expect("hello");
        let mut client = side(Pattern::XxFallback, true, 1, 2, None);
        assert_eq!(client.write(b"").expect("the same ephemeral"), hello[..32]);
        let mut server = side(Pattern::XxFallback, false, 5, 4, None);
        server.read(&hello[..32]).expect("hello read");
        let answer = server.write(b"chain").expect("answer");
        assert_eq!(client.read(&answer).expect("answer read"), b"chain");
        assert_eq!(client.remote_static(), Some(&curve::public_key(&[5; 32])[..]));
        // The name is part of the hash: an answer of XX does not pass for one of a fallback.
        let mut plain = side(Pattern::Xx, true, 1, 2, None);
        plain.write(b"").expect("hello");
        assert_eq!(plain.read(&answer), Err(Failure::Peer));
    }

    #[test]
    fn only_the_client_of_a_resumed_handshake_is_told_a_static_key() {
        let told = curve::public_key(&[3; 32]);
        for (pattern, initiator, remote) in [
            (Pattern::Ik, true, None),
            (Pattern::Ik, false, Some(&told)),
            (Pattern::Xx, true, Some(&told)),
            (Pattern::XxFallback, true, Some(&told)),
        ] {
            let keys = Keys { static_private: &[1; 32], ephemeral_private: [2; 32], remote_static: remote };
            assert!(Handshake::new(pattern, initiator, PROLOGUE, keys).is_err());
        }
    }
}
