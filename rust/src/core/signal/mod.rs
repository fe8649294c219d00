//! Signal: X3DH without post-quantum keys and the double ratchet one to one, sender keys for groups; message version 3, as
//! WhatsApp speaks it.
//!
//! Pure steps over bytes: a stored record and a message in, a new record and a message out. No clock, no dice (randomness is
//! an argument), no store, and no opinion on whom to trust: the caller compares identities.
//!
//! What must stay true: a message that does not verify changes nothing; a message key is used once; hostile counters cost
//! bounded work; nothing secret can be printed; records of the official client are understood, and ours by it.
//!
//! Our own code, from the public specifications; other implementations serve as oracles in tests only.

pub mod error;
mod keys;
pub mod message;
mod protobuf;
mod ratchet;
mod record;
pub mod sender_key;
mod sender_key_message;
mod sender_key_record;
#[cfg(test)]
mod sender_key_tests;
pub mod session;
#[cfg(test)]
mod vectors;

pub use keys::KeyPair;
pub use ratchet::{Kind, MAX_JUMP};
pub use record::{MAX_ARCHIVED, MAX_CHAINS, MAX_SKIPPED};
pub use sender_key_record::MAX_STATES;
