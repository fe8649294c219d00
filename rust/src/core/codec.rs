//! The binary node codec: bytes to stanza events, stanza parts to bytes.
//!
//! The reader borrows from its input and drives a `Build`, which makes whatever kind of node its owner wants (Python objects
//! in production, a Rust tree in tests); the writer is a byte vector with one method for each kind of value. Both are total:
//! the reader answers any input with a node or a `Fault(offset)`, in bounded time, depth and memory.
//!
//! A node is a list: tag, name and value of each attribute, and, when the list's size is even, the content. Text is a token, a
//! JID, digits two to a byte, or raw UTF-8. An empty value comes as LIST_EMPTY or as raw text of no bytes; both read as "", which
//! is written as raw text.
//!
//! Where this writer writes other bytes than Baileys' encoder, on purpose:
//! - text that names a JavaScript object property (`constructor`, `__proto__`) is written as text; Baileys loses it;
//! - text with an `@` becomes a JID only when what follows is a known server, so that a subject like "tea @ five" stays one
//!   piece, and only when all of it parses: of "a_b@g.us" Baileys drops "_b", of "1:2:3@lid" it drops ":3";
//! - `user_1@s.whatsapp.net` goes to the server that the agent stands for (lid); Baileys drops the agent;
//! - a device on a server that AD_JID cannot carry uses the INTEROP or FB form; Baileys turns it into a phone number's device;
//! - a device above 255 in an AD_JID is refused, and text that reads as such stays text; in Baileys it wraps.
//!
//! Where this reader says more than Baileys' decoder: an AD_JID keeps device 0 and a domain that stands for no known server (as
//! `user_domain`, so that the same bytes come out again). It is stricter with text: UTF-8 must be valid, and a nibble of 15 is
//! only a filler. An INTEROP_JID may leave its server out, as in Baileys; but what follows is taken for it only if it says
//! "interop", where Baileys takes any text.
//!
//! Source: Baileys WABinary/encode.ts and decode.ts, whatsmeow binary/{encoder,decoder}.go (tags, layouts; facts).

mod compress;
mod read;
#[cfg(test)]
mod tests;
mod write;

pub use compress::{InflateFault, deflate, inflate};
pub use read::{Atom, Build, Content, Fault, Server, WireJid, read_node};
pub use write::{Unwritable, Writer};

const LIST_EMPTY: u8 = 0;
const DICTIONARY_0: u8 = 236;
const DICTIONARY_3: u8 = 239;
const INTEROP_JID: u8 = 245;
const FB_JID: u8 = 246;
const AD_JID: u8 = 247;
const LIST_8: u8 = 248;
const LIST_16: u8 = 249;
const JID_PAIR: u8 = 250;
const HEX_8: u8 = 251;
const BINARY_8: u8 = 252;
const BINARY_20: u8 = 253;
const BINARY_32: u8 = 254;
const NIBBLE_8: u8 = 255;

/// Longer text is not packed, though seven bits could count twice as much.
const PACKED_MAX: usize = 127;

/// Nodes within nodes; the deepest that real servers send is below 10.
pub const MAX_DEPTH: usize = 128;
