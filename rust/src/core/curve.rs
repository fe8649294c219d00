//! X25519.

use curve25519_dalek::{EdwardsPoint, MontgomeryPoint};

/// The Montgomery public key of a private key, which is clamped in use.
pub fn public_key(private: &[u8; 32]) -> [u8; 32] {
    // The fixed-base Edwards multiplication has a table, so this is several times faster than the ladder.
    EdwardsPoint::mul_base_clamped(*private).to_montgomery().to_bytes()
}

/// The shared secret, or None when the public key is of low order (the result would be all zero).
pub fn shared_secret(private: &[u8; 32], public: &[u8; 32]) -> Option<[u8; 32]> {
    let shared = MontgomeryPoint(*public).mul_clamped(*private).to_bytes();
    (shared != [0; 32]).then_some(shared)
}
