//! The key schedule: root key, chain keys, message keys.
//!
//! ```text
//! X3DH secret --HKDF "WhisperText"--> root key, chain key
//! root key, DH --HKDF "WhisperRatchet"--> root key, chain key
//! chain key --HMAC 02--> next chain key      chain key --HMAC 01--> seed --HKDF "WhisperMessageKeys"--> cipher, MAC, IV
//! ```
//!
//! Everything secret is wiped when dropped, and nothing secret implements Debug.
//! Source: signal.org/docs/specifications/doubleratchet; labels as proved against Baileys and the official client.

use super::error::Failure;
use super::message::{MAC_LENGTH, PublicKey, typed};
use crate::core::curve::{self, PeerKey};
use crate::core::hash;
use aes::Aes256;
use cbc::cipher::{BlockDecryptMut, BlockEncryptMut, KeyIvInit, block_padding::Pkcs7};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

pub type Secret = Zeroizing<[u8; 32]>;

/// A key pair that is written into records.
#[derive(Clone)]
pub struct KeyPair {
    pub private: Secret,
    pub public: PublicKey,
}

impl KeyPair {
    pub fn of(private: &[u8; 32]) -> Self {
        Self { private: Zeroizing::new(*private), public: curve::public_key(private) }
    }
}

/// X25519; a low-order public key, which would make the secret known to everyone, is refused.
pub fn agree(private: &Secret, public: &PeerKey) -> Result<Secret, Failure> {
    public.shared_secret(private).map(Zeroizing::new).ok_or(Failure::InvalidKey)
}

/// HKDF to two keys.
fn derive_pair(salt: &[u8], secret: &[u8], info: &[u8]) -> (Secret, Secret) {
    let mut okm = Zeroizing::new([0; 64]);
    let derived = hash::hkdf_sha256(salt, secret, info, okm.as_mut_slice());
    debug_assert!(derived, "64 bytes are two blocks, HKDF has 255");
    let (mut first, mut second) = (Secret::default(), Secret::default());
    first.copy_from_slice(&okm[..32]);
    second.copy_from_slice(&okm[32..]);
    (first, second)
}

/// The first root key and chain key, from the concatenated X3DH agreements.
pub fn start(agreements: &[u8]) -> (Secret, ChainKey) {
    let (root, chain) = derive_pair(b"", agreements, b"WhisperText");
    (root, ChainKey { key: chain, index: 0 })
}

/// One turn of the ratchet: the next root key, and the chain between these two ratchet keys.
pub fn turn(root: &Secret, ours: &Secret, theirs: &PeerKey) -> Result<(Secret, ChainKey), Failure> {
    let (root, chain) = derive_pair(root.as_slice(), agree(ours, theirs)?.as_slice(), b"WhisperRatchet");
    Ok((root, ChainKey { key: chain, index: 0 }))
}

/// A place in a chain: the key of message `index` comes from here.
#[derive(Clone)]
pub struct ChainKey {
    pub key: Secret,
    pub index: u32,
}

impl ChainKey {
    /// The next place. None at the last counter there is.
    pub fn next(&self) -> Option<Self> {
        let key = Zeroizing::new(hash::hmac_sha256(self.key.as_slice(), &[&[2]]));
        Some(Self { key, index: self.index.checked_add(1)? })
    }

    pub fn message_keys(&self) -> MessageKeys {
        let seed = Zeroizing::new(hash::hmac_sha256(self.key.as_slice(), &[&[1]]));
        MessageKeys::of_seed(seed.as_slice())
    }
}

/// What opens or seals one message.
#[derive(Clone)]
pub struct MessageKeys {
    pub cipher: Secret,
    pub mac: Secret,
    pub iv: [u8; 16],
}

impl MessageKeys {
    pub fn of_seed(seed: &[u8]) -> Self {
        let mut okm = Zeroizing::new([0; 80]);
        let derived = hash::hkdf_sha256(b"", seed, b"WhisperMessageKeys", okm.as_mut_slice());
        debug_assert!(derived, "80 bytes are three blocks, HKDF has 255");
        let mut keys = Self { cipher: Secret::default(), mac: Secret::default(), iv: [0; 16] };
        keys.cipher.copy_from_slice(&okm[..32]);
        keys.mac.copy_from_slice(&okm[32..64]);
        keys.iv.copy_from_slice(&okm[64..]);
        keys
    }

    pub fn encrypt(&self, plaintext: &[u8]) -> Vec<u8> {
        cbc::Encryptor::<Aes256>::new(self.cipher.as_slice().into(), (&self.iv).into())
            .encrypt_padded_vec_mut::<Pkcs7>(plaintext)
    }

    /// Only after the MAC: what fails here was sealed so by its sender.
    pub fn decrypt(&self, ciphertext: &[u8]) -> Result<Zeroizing<Vec<u8>>, Failure> {
        cbc::Decryptor::<Aes256>::new(self.cipher.as_slice().into(), (&self.iv).into())
            .decrypt_padded_vec_mut::<Pkcs7>(ciphertext)
            .map(Zeroizing::new)
            .map_err(|_| Failure::InvalidMessage)
    }

    /// The truncated MAC, which binds both identities as well.
    pub fn authenticate(&self, sender: &PublicKey, receiver: &PublicKey, covered: &[u8]) -> [u8; MAC_LENGTH] {
        let full = hash::hmac_sha256(self.mac.as_slice(), &[&typed(sender), &typed(receiver), covered]);
        let mut mac = [0; MAC_LENGTH];
        mac.copy_from_slice(&full[..MAC_LENGTH]);
        mac
    }

    /// In constant time.
    pub fn verify(
        &self, sender: &PublicKey, receiver: &PublicKey, covered: &[u8], mac: &[u8; MAC_LENGTH],
    ) -> Result<(), Failure> {
        let expected = self.authenticate(sender, receiver, covered);
        if bool::from(expected.ct_eq(mac)) { Ok(()) } else { Err(Failure::BadMac) }
    }
}
