//! Signal 1:1 sessions, version 3: the wire, the stored record, the ratchet.

pub mod message;
pub mod record;
pub mod session;
pub mod wire;
