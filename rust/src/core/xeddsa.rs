//! XEdDSA: Ed25519-style signatures by X25519 keys, with the sign of the Edwards public key in the last byte's top bit.
//!
//! Signal's published XEdDSA forces that sign to zero by negating the private scalar; the implementation that everyone on this
//! wire runs keeps the scalar and stores the sign in the signature instead. Verification accepts that form.
//!
//! What must stay true: nothing here takes longer or shorter because of a private key, and what was derived from one is wiped.
//!
//! Source: signal.org/docs/specifications/xeddsa; the sign bit as curve25519-java and libsignal write it (facts of the wire).

use curve25519_dalek::{EdwardsPoint, MontgomeryPoint, Scalar, scalar::clamp_integer};
use sha2::{Digest, Sha512};
use zeroize::Zeroizing;

/// The signature of `message`; `random` is 64 fresh bytes.
pub fn sign(private: &[u8; 32], message: &[u8], random: &[u8; 64]) -> [u8; 64] {
    let clamped = Zeroizing::new(clamp_integer(*private));
    let scalar = Zeroizing::new(Scalar::from_bytes_mod_order(*clamped));
    let public = EdwardsPoint::mul_base(&scalar).compress().to_bytes();
    let sign = public[31] & 0x80;

    // The prefix is no point's encoding, so this hash never meets that of a challenge.
    let mut prefix = [0xff_u8; 32];
    prefix[0] = 0xfe;
    let secret = Sha512::new().chain_update(prefix).chain_update(*clamped);
    let nonce = Zeroizing::new(reduce(secret.chain_update(message).chain_update(random)));
    let commitment = EdwardsPoint::mul_base(&nonce).compress().to_bytes();
    let response = challenge(&commitment, &public, message) * *scalar + *nonce;

    let mut signature = [0; 64];
    signature[..32].copy_from_slice(&commitment);
    signature[32..].copy_from_slice(response.as_bytes());
    signature[63] = (signature[63] & 0x7f) | sign;
    signature
}

/// Whether `signature` over `message` is by the owner of `public` (Montgomery form).
///
/// Stricter than the equation alone: the response must be reduced, the commitment in its one encoding, the key not of small order.
#[must_use]
pub fn verify(public: &[u8; 32], message: &[u8], signature: &[u8; 64]) -> bool {
    let sign = signature[63] >> 7;
    let Some(point) = MontgomeryPoint(*public).to_edwards(sign) else {
        return false;
    };
    let mut commitment = [0; 32];
    commitment.copy_from_slice(&signature[..32]);
    let mut response = [0; 32];
    response.copy_from_slice(&signature[32..]);
    response[31] &= 0x7f;
    let Some(response) = Option::<Scalar>::from(Scalar::from_canonical_bytes(response)) else {
        return false;
    };
    if point.is_small_order() {
        return false;
    }
    let challenge = challenge(&commitment, &point.compress().to_bytes(), message);
    let expected = EdwardsPoint::vartime_double_scalar_mul_basepoint(&challenge, &-point, &response);
    expected.compress().to_bytes() == commitment
}

fn challenge(commitment: &[u8; 32], public: &[u8; 32], message: &[u8]) -> Scalar {
    reduce(Sha512::new().chain_update(commitment).chain_update(public).chain_update(message))
}

fn reduce(hash: Sha512) -> Scalar {
    Scalar::from_bytes_mod_order_wide(&hash.finalize().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unhex(digits: &serde_json::Value) -> Vec<u8> {
        let digits = digits.as_str().unwrap();
        (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap()).collect()
    }

    #[test]
    fn signatures_of_others_verify_and_changed_ones_do_not() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors/xeddsa.json");
        let file: serde_json::Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        let cases = file["cases"].as_array().unwrap();
        assert!(cases.len() > 10);
        for case in cases {
            let public: [u8; 32] = unhex(&case["public"]).try_into().unwrap();
            let signature: [u8; 64] = unhex(&case["signature"]).try_into().unwrap();
            let message = unhex(&case["message"]);
            assert!(verify(&public, &message, &signature), "{}", case["name"]);
            for at in 0..64 {
                let mut changed = signature;
                changed[at] ^= 0x10;
                assert!(!verify(&public, &message, &changed), "{} {at}", case["name"]);
            }
        }
    }

    #[test]
    fn the_nonce_is_of_key_message_and_entropy() {
        // Two signatures with one nonce give the private key away.
        let base = sign(&[1; 32], b"message", &[2; 64]);
        for other in [
            sign(&[3; 32], b"message", &[2; 64]),
            sign(&[1; 32], b"other", &[2; 64]),
            sign(&[1; 32], b"message", &[3; 64]),
        ] {
            assert_ne!(base[..32], other[..32]);
        }
    }

    #[test]
    fn both_signs_are_signed_and_verified() {
        let mut signs = [false; 2];
        for number in 0..16 {
            let private = [number; 32];
            let signature = sign(&private, b"message", &[number; 64]);
            assert!(verify(&crate::core::curve::public_key(&private), b"message", &signature));
            signs[usize::from(signature[63] >> 7)] = true;
        }
        assert_eq!(signs, [true; 2]);
    }
}
