//! X25519.

use curve25519_dalek::{EdwardsPoint, MontgomeryPoint};

/// The Montgomery public key of a private key, which is clamped in use.
pub fn public_key(private: &[u8; 32]) -> [u8; 32] {
    // The fixed-base Edwards multiplication has a table, so this is several times faster than the ladder.
    EdwardsPoint::mul_base_clamped(*private).to_montgomery().to_bytes()
}

/// A public key, ready for agreements.
///
/// A point on the curve is multiplied in Edwards form, which has a vector implementation and is a sixth faster than the
/// ladder here; a point on the twist has no Edwards form and takes the ladder. Both give X25519's result. Finding the form
/// costs a square root, once for all agreements with this key.
pub struct PeerKey {
    montgomery: MontgomeryPoint,
    edwards: Option<EdwardsPoint>,
}

impl PeerKey {
    pub fn new(public: &[u8; 32]) -> Self {
        let montgomery = MontgomeryPoint(*public);
        Self { montgomery, edwards: montgomery.to_edwards(0) }
    }

    /// The shared secret, or None when the public key is of low order (the result would be all zero).
    pub fn shared_secret(&self, private: &[u8; 32]) -> Option<[u8; 32]> {
        let shared = match self.edwards {
            Some(edwards) => edwards.mul_clamped(*private).to_montgomery(),
            None => self.montgomery.mul_clamped(*private),
        };
        (shared.0 != [0; 32]).then_some(shared.0)
    }
}

/// The shared secret with a key that is used once; see `PeerKey`.
pub fn shared_secret(private: &[u8; 32], public: &[u8; 32]) -> Option<[u8; 32]> {
    PeerKey::new(public).shared_secret(private)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::hash::sha256;

    #[test]
    fn points_on_the_curve_and_on_its_twist_give_the_ladder_s_result() {
        let (mut on_curve, mut on_twist) = (0, 0);
        for seed in 0..64_u8 {
            let (private, public) = (sha256(&[&[seed], b"private"]), sha256(&[&[seed], b"public"]));
            let ladder = MontgomeryPoint(public).mul_clamped(private).0;
            assert_eq!(shared_secret(&private, &public), Some(ladder), "seed {seed}");
            if MontgomeryPoint(public).to_edwards(0).is_some() { on_curve += 1 } else { on_twist += 1 }
        }
        assert!(on_curve > 10 && on_twist > 10, "both kinds were tried");
    }

    #[test]
    fn points_of_low_order_give_nothing() {
        // u = 0, 1 and p - 1; RFC 7748 section 6.1 asks for the all-zero check.
        let (zero, mut one, mut minus_one) = ([0; 32], [0; 32], [0xff; 32]);
        one[0] = 1;
        minus_one[0] = 0xec;
        minus_one[31] = 0x7f;
        for point in [zero, one, minus_one] {
            assert_eq!(shared_secret(&[7; 32], &point), None);
        }
    }
}
