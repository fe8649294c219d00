//! What needs no Python: pure functions and values, tested by `cargo test --no-default-features`.

pub mod codec;
pub mod curve;
pub mod hash;
pub mod jid;
pub mod noise;
pub mod signal;
pub mod tokens;
pub mod xeddsa;
