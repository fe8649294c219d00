//! Stanza parts to bytes.

use super::{
    AD_JID, BINARY_8, BINARY_20, BINARY_32, DICTIONARY_0, FB_JID, HEX_8, INTEROP_JID, JID_PAIR, LIST_8, LIST_16,
    LIST_EMPTY, NIBBLE_8, PACKED_MAX,
};
use crate::core::jid::{self, JidParts};
use crate::core::tokens;

/// Why a value cannot be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unwritable {
    /// More than 65,535 children or attributes.
    TooManyItems,
    /// Longer than a 32-bit length.
    TooLong,
    /// A device above 255 in an AD JID.
    Device,
    /// A node without a tag.
    NoTag,
    /// Nodes nested deeper than `MAX_DEPTH`.
    TooDeep,
}

impl Unwritable {
    pub fn text(self) -> &'static str {
        match self {
            Self::TooManyItems => "more than 65,535 children or attributes",
            Self::TooLong => "longer than 4,294,967,295 bytes",
            Self::Device => "a device number above 255, which this server's addresses cannot carry",
            Self::NoTag => "a node without a tag",
            Self::TooDeep => "nodes nested deeper than 128",
        }
    }
}

/// Writes one node into a byte vector.
pub struct Writer {
    pub out: Vec<u8>,
}

impl Writer {
    /// A writer whose output begins with flag byte 0 (not compressed).
    pub fn new(capacity: usize) -> Self {
        let mut out = Vec::with_capacity(capacity);
        out.push(0);
        Self { out }
    }

    /// The head of a node: its list's size and its tag.
    pub fn head(&mut self, tag: &str, attributes: usize, has_content: bool) -> Result<(), Unwritable> {
        if tag.is_empty() {
            return Err(Unwritable::NoTag);
        }
        self.list(2 * attributes + 1 + usize::from(has_content))?;
        self.text(tag)
    }

    pub fn list(&mut self, size: usize) -> Result<(), Unwritable> {
        match size {
            0 => self.out.push(LIST_EMPTY),
            1..=255 => self.out.extend([LIST_8, size as u8]),
            256..=65_535 => self.out.extend([LIST_16, (size >> 8) as u8, size as u8]),
            _ => return Err(Unwritable::TooManyItems),
        }
        Ok(())
    }

    pub fn binary(&mut self, bytes: &[u8]) -> Result<(), Unwritable> {
        let length = bytes.len();
        if length < 256 {
            self.out.extend([BINARY_8, length as u8]);
        } else if length < 1 << 20 {
            self.out.extend([BINARY_20, (length >> 16) as u8, (length >> 8) as u8, length as u8]);
        } else {
            let length = u32::try_from(length).map_err(|_| Unwritable::TooLong)?;
            self.out.push(BINARY_32);
            self.out.extend(length.to_be_bytes());
        }
        self.out.extend_from_slice(bytes);
        Ok(())
    }

    fn token(&mut self, number: u16) {
        if usize::from(number) < tokens::SINGLE {
            self.out.push(number as u8);
        } else {
            let index = number - tokens::SINGLE as u16;
            self.out.extend([DICTIONARY_0 + (index >> 8) as u8, index as u8]);
        }
    }

    /// Text as Baileys chooses its form: token, nibbles, hex, JID, raw. What reads as a JID that no form carries stays
    /// text: ids and names are of their authors' choosing, and come back in what we answer.
    pub fn text(&mut self, text: &str) -> Result<(), Unwritable> {
        if self.short(text) {
            return Ok(());
        }
        match jid::parse(text) {
            Some(jid) if jid::server_number(jid.server).is_some() && is_carried(&jid) => self.jid(&jid),
            _ => self.binary(text.as_bytes()),
        }
    }

    /// Text that is never read as a JID: a JID's own user and server.
    fn part(&mut self, text: &str) -> Result<(), Unwritable> {
        if self.short(text) { Ok(()) } else { self.binary(text.as_bytes()) }
    }

    /// As a token or packed, if it can be.
    fn short(&mut self, text: &str) -> bool {
        match tokens::number(text) {
            Some(number) => {
                self.token(number);
                true
            }
            None => self.packed(text),
        }
    }

    fn packed(&mut self, text: &str) -> bool {
        let bytes = text.as_bytes();
        if bytes.is_empty() || bytes.len() > PACKED_MAX {
            return false;
        }
        let (tag, digit): (u8, fn(u8) -> u8) = if bytes.iter().all(|byte| nibble(*byte) < 16) {
            (NIBBLE_8, nibble)
        } else if bytes.iter().all(|byte| hex_digit(*byte) < 16) {
            (HEX_8, hex_digit)
        } else {
            return false;
        };
        let odd = bytes.len() % 2;
        self.out.extend([tag, bytes.len().div_ceil(2) as u8 | if odd == 1 { 0x80 } else { 0 }]);
        let pairs = bytes.chunks_exact(2);
        let rest = pairs.remainder();
        self.out.extend(pairs.map(|pair| digit(pair[0]) << 4 | digit(pair[1])));
        self.out.extend(rest.iter().map(|last| digit(*last) << 4 | 15));
        true
    }

    /// A JID in the smallest form that carries all of it.
    pub fn jid(&mut self, jid: &JidParts<'_>) -> Result<(), Unwritable> {
        if !jid.is_ad && jid.device == 0 && jid.integrator == 0 {
            self.out.push(JID_PAIR);
            self.user(&jid.user)?;
            return self.part(jid.server);
        }
        match jid::ad_domain(jid.server) {
            Some(domain) => self.ad_jid(domain, jid),
            None => self.device_jid(jid),
        }
    }

    fn ad_jid(&mut self, domain: u8, jid: &JidParts<'_>) -> Result<(), Unwritable> {
        let device = u8::try_from(jid.device).map_err(|_| Unwritable::Device)?;
        let found = if domain == 0 { jid::foreign_agent(&jid.user) } else { None };
        let (user, domain) = found.unwrap_or((&jid.user, domain));
        self.out.extend([AD_JID, domain, device]);
        self.part(user)
    }

    /// INTEROP_JID or FB_JID, which have room for 16 bits of device.
    fn device_jid(&mut self, jid: &JidParts<'_>) -> Result<(), Unwritable> {
        let is_interop = jid.server == "interop";
        self.out.push(if is_interop { INTEROP_JID } else { FB_JID });
        self.user(&jid.user)?;
        self.out.extend(jid.device.to_be_bytes());
        if is_interop {
            self.out.extend(jid.integrator.to_be_bytes());
        }
        self.part(jid.server)
    }

    fn user(&mut self, user: &str) -> Result<(), Unwritable> {
        if user.is_empty() {
            self.out.push(LIST_EMPTY);
            return Ok(());
        }
        self.part(user)
    }
}

/// An AD JID has one byte for the device; the other forms have two.
fn is_carried(jid: &JidParts<'_>) -> bool {
    jid.device <= 255 || jid::ad_domain(jid.server).is_none()
}

#[inline]
fn nibble(byte: u8) -> u8 {
    match byte {
        b'0'..=b'9' => byte - b'0',
        b'-' => 10,
        b'.' => 11,
        _ => 255,
    }
}

#[inline]
fn hex_digit(byte: u8) -> u8 {
    match byte {
        b'0'..=b'9' => byte - b'0',
        b'A'..=b'F' => byte - b'A' + 10,
        _ => 255,
    }
}
