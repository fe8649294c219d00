//! The binary node codec: bytes to stanza events, stanza parts to bytes.
//!
//! The reader borrows from its input and drives a `Build`, which makes whatever kind of node its owner wants (Python objects
//! in production, a Rust tree in tests); the writer is a byte vector with one method for each kind of value. Both are total: the
//! reader answers any input with a node or a `Fault(offset)`, in bounded time, depth and memory.
//!
//! Where this writes other bytes than Baileys' encoder, on purpose:
//! - text that names a JavaScript object property (`constructor`) is written as text, where Baileys writes an empty string;
//! - text with an `@` becomes a JID only when what follows is a known server, so that a subject like "tea @ five" stays one piece;
//! - a device number on a server that AD_JID cannot carry uses the FB or INTEROP form, or stays in the user's text;
//! - a device above 255 in an AD_JID is refused, where Baileys lets it wrap.
//!
//! Source: Baileys WABinary/encode.ts and decode.ts, whatsmeow binary/{encoder,decoder}.go (tags, layouts; facts).

use super::tokens;
use std::borrow::Cow;

pub const LIST_EMPTY: u8 = 0;
pub const DICTIONARY_0: u8 = 236;
pub const DICTIONARY_3: u8 = 239;
pub const INTEROP_JID: u8 = 245;
pub const FB_JID: u8 = 246;
pub const AD_JID: u8 = 247;
pub const LIST_8: u8 = 248;
pub const LIST_16: u8 = 249;
pub const JID_PAIR: u8 = 250;
pub const HEX_8: u8 = 251;
pub const BINARY_8: u8 = 252;
pub const BINARY_20: u8 = 253;
pub const BINARY_32: u8 = 254;
pub const NIBBLE_8: u8 = 255;
const PACKED_MAX: usize = 127;
pub const MAX_DEPTH: usize = 128;

const NIBBLES: &[u8; 16] = b"0123456789-.\0\0\0\0";
const HEX: &[u8; 16] = b"0123456789ABCDEF";

/// Servers with a number of their own, in the order of `server_name`.
pub const SERVERS: [&str; 12] = [
    "s.whatsapp.net",
    "lid",
    "g.us",
    "broadcast",
    "newsletter",
    "hosted",
    "hosted.lid",
    "bot",
    "call",
    "c.us",
    "msgr",
    "interop",
];
pub const PN: u8 = 0;
pub const LID: u8 = 1;
pub const GROUP: u8 = 2;
pub const BROADCAST: u8 = 3;
pub const NEWSLETTER: u8 = 4;
pub const HOSTED: u8 = 5;
pub const HOSTED_LID: u8 = 6;
pub const LEGACY: u8 = 9;
pub const MESSENGER: u8 = 10;
pub const INTEROP: u8 = 11;

/// The number of a known server.
pub fn server_number(name: &str) -> Option<u8> {
    let position = SERVERS.iter().position(|server| *server == name)?;
    u8::try_from(position).ok()
}

/// Where reading stopped, in bytes from the start of the (inflated) input, flag byte counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault(pub usize);

/// Why a value cannot be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unwritable {
    /// More than 65,535 children or attributes.
    TooManyItems,
    /// Longer than a 32-bit length.
    TooLong,
    /// A device above 255 in an AD JID, or above 65,535 in another.
    Device,
    /// A node without a tag.
    NoTag,
}

impl Unwritable {
    pub fn text(self) -> &'static str {
        match self {
            Self::TooManyItems => "more than 65,535 children or attributes",
            Self::TooLong => "longer than 4,294,967,295 bytes",
            Self::Device => "a device number that this address cannot carry",
            Self::NoTag => "a node without a tag",
        }
    }
}

/// A piece of text as it stands on the wire.
#[derive(Debug, Clone, Copy)]
pub enum Atom<'a> {
    /// By number; see `tokens`.
    Token(u16),
    Plain(&'a str),
    Packed(Packed<'a>),
}

/// Digits two to a byte, checked when they were read.
#[derive(Debug, Clone, Copy)]
pub struct Packed<'a> {
    bytes: &'a [u8],
    length: usize,
    alphabet: &'static [u8; 16],
}

impl Atom<'_> {
    /// Call `take` with the text; packed digits are unpacked on the stack.
    #[inline]
    pub fn with<R>(&self, take: impl FnOnce(&str) -> R) -> R {
        match self {
            Self::Token(number) => take(tokens::all().get(usize::from(*number)).copied().unwrap_or("")),
            Self::Plain(text) => take(text),
            Self::Packed(packed) => packed.with(take),
        }
    }
}

impl Packed<'_> {
    #[inline]
    fn with<R>(&self, take: impl FnOnce(&str) -> R) -> R {
        let mut digits = [0; 254];
        for (pair, byte) in digits.chunks_exact_mut(2).zip(self.bytes) {
            pair[0] = self.alphabet[usize::from(byte >> 4)];
            pair[1] = self.alphabet[usize::from(byte & 15)];
        }
        take(std::str::from_utf8(&digits[..self.length]).unwrap_or(""))
    }
}

/// The server part of a JID.
#[derive(Debug, Clone, Copy)]
pub enum Server<'a> {
    /// One of `SERVERS`, by index.
    Known(u8),
    Other(Atom<'a>),
}

/// A JID as it stands on the wire.
#[derive(Debug, Clone, Copy)]
pub struct WireJid<'a> {
    /// None for an address without a user: the server itself.
    pub user: Option<Atom<'a>>,
    pub server: Server<'a>,
    pub device: u16,
    pub integrator: u16,
    /// Written as AD_JID.
    pub is_ad: bool,
}

/// A value in the place of text: an attribute's value, a tag, a content.
#[derive(Debug, Clone, Copy)]
pub enum Text<'a> {
    Empty,
    Atom(Atom<'a>),
    Jid(WireJid<'a>),
}

/// What a node holds.
pub enum Content<'a, N> {
    None,
    Bytes(&'a [u8]),
    Text(Text<'a>),
    Nodes(Vec<N>),
}

/// Makes nodes of the owner's kind.
pub trait Build {
    type Attrs;
    type Node;
    type Error: From<Fault>;
    fn attrs(&mut self) -> Result<Self::Attrs, Self::Error>;
    fn attr(&mut self, attrs: &mut Self::Attrs, name: Atom<'_>, value: Text<'_>) -> Result<(), Self::Error>;
    fn node(
        &mut self, tag: Atom<'_>, attrs: Self::Attrs, content: Content<'_, Self::Node>,
    ) -> Result<Self::Node, Self::Error>;
}

/// Read one node from a body that begins with the flag byte, which is not looked at; all of it must be used.
pub fn read_node<B: Build>(body: &[u8], build: &mut B) -> Result<B::Node, B::Error> {
    let mut reader = Reader { body, at: 1 };
    let node = reader.node(build, 0)?;
    if reader.at != body.len() {
        return Err(Fault(reader.at).into());
    }
    Ok(node)
}

struct Reader<'a> {
    body: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    #[inline]
    fn byte(&mut self) -> Result<u8, Fault> {
        let byte = *self.body.get(self.at).ok_or(Fault(self.at))?;
        self.at += 1;
        Ok(byte)
    }

    #[inline]
    fn take(&mut self, count: usize) -> Result<&'a [u8], Fault> {
        let end = self.at.checked_add(count).ok_or(Fault(self.at))?;
        let taken = self.body.get(self.at..end).ok_or(Fault(self.at))?;
        self.at = end;
        Ok(taken)
    }

    fn u16(&mut self) -> Result<u16, Fault> {
        Ok(u16::from(self.byte()?) << 8 | u16::from(self.byte()?))
    }

    fn u20(&mut self) -> Result<usize, Fault> {
        let high = usize::from(self.byte()? & 0x0f);
        Ok(high << 16 | usize::from(self.u16()?))
    }

    fn u32(&mut self) -> Result<usize, Fault> {
        Ok(usize::from(self.u16()?) << 16 | usize::from(self.u16()?))
    }

    fn list_size(&mut self, tag: u8) -> Result<usize, Fault> {
        match tag {
            LIST_EMPTY => Ok(0),
            LIST_8 => Ok(usize::from(self.byte()?)),
            LIST_16 => Ok(usize::from(self.u16()?)),
            _ => Err(Fault(self.at - 1)),
        }
    }

    fn node<B: Build>(&mut self, build: &mut B, depth: usize) -> Result<B::Node, B::Error> {
        let start = self.at;
        if depth >= MAX_DEPTH {
            return Err(Fault(start).into());
        }
        let tag = self.byte()?;
        let size = self.list_size(tag)?;
        if size == 0 {
            return Err(Fault(start).into());
        }
        let name = self.name()?;
        let mut attrs = build.attrs()?;
        for _ in 0..(size - 1) / 2 {
            let key = self.name()?;
            let value = self.text()?;
            build.attr(&mut attrs, key, value)?;
        }
        let content = if size % 2 == 0 { self.content(build, depth)? } else { Content::None };
        build.node(name, attrs, content)
    }

    fn content<B: Build>(&mut self, build: &mut B, depth: usize) -> Result<Content<'a, B::Node>, B::Error> {
        let at = self.at;
        let tag = self.byte()?;
        match tag {
            LIST_EMPTY | LIST_8 | LIST_16 => {
                let count = self.list_size(tag)?;
                // The smallest node takes two bytes; a longer list than fits is a lie, found before memory is set aside.
                if count > (self.body.len() - self.at) / 2 {
                    return Err(Fault(at).into());
                }
                let mut nodes = Vec::with_capacity(count);
                for _ in 0..count {
                    nodes.push(self.node(build, depth + 1)?);
                }
                Ok(Content::Nodes(nodes))
            }
            BINARY_8 | BINARY_20 | BINARY_32 => Ok(Content::Bytes(self.binary(tag)?)),
            _ => Ok(Content::Text(self.text_of(tag)?)),
        }
    }

    fn binary(&mut self, tag: u8) -> Result<&'a [u8], Fault> {
        let length = match tag {
            BINARY_8 => usize::from(self.byte()?),
            BINARY_20 => self.u20()?,
            _ => self.u32()?,
        };
        self.take(length)
    }

    /// A tag or an attribute's name: text that is not empty and not a JID.
    #[inline]
    fn name(&mut self) -> Result<Atom<'a>, Fault> {
        let at = self.at;
        let tag = self.byte()?;
        self.atom_of(tag).map_err(|fault| if fault.0 < at { Fault(at) } else { fault })
    }

    fn text(&mut self) -> Result<Text<'a>, Fault> {
        let tag = self.byte()?;
        self.text_of(tag)
    }

    #[inline]
    fn text_of(&mut self, tag: u8) -> Result<Text<'a>, Fault> {
        match tag {
            LIST_EMPTY => Ok(Text::Empty),
            JID_PAIR | AD_JID | FB_JID | INTEROP_JID => Ok(Text::Jid(self.jid(tag)?)),
            _ => Ok(Text::Atom(self.atom_of(tag)?)),
        }
    }

    #[inline]
    fn atom_of(&mut self, tag: u8) -> Result<Atom<'a>, Fault> {
        match tag {
            1..=235 => Ok(Atom::Token(u16::from(tag))),
            DICTIONARY_0..=DICTIONARY_3 => {
                let index = u16::from(self.byte()?);
                Ok(Atom::Token(236 + u16::from(tag - DICTIONARY_0) * 256 + index))
            }
            BINARY_8 | BINARY_20 | BINARY_32 => {
                let at = self.at - 1;
                let text = std::str::from_utf8(self.binary(tag)?).map_err(|_| Fault(at))?;
                Ok(Atom::Plain(text))
            }
            NIBBLE_8 => self.packed(NIBBLES).map(Atom::Packed),
            HEX_8 => self.packed(HEX).map(Atom::Packed),
            _ => Err(Fault(self.at - 1)),
        }
    }

    fn packed(&mut self, alphabet: &'static [u8; 16]) -> Result<Packed<'a>, Fault> {
        let at = self.at;
        let head = self.byte()?;
        let bytes = self.take(usize::from(head & 0x7f))?;
        // An odd count ends in a filler of four set bits.
        let odd = usize::from(head >> 7);
        let length = (bytes.len() * 2).checked_sub(odd).ok_or(Fault(at))?;
        let is_digit = |value: u8| alphabet[usize::from(value)] != 0;
        let (last, full) = match (odd, bytes.split_last()) {
            (1, Some((last, full))) => (Some(*last), full),
            _ => (None, bytes),
        };
        let good = full.iter().all(|byte| is_digit(byte >> 4) && is_digit(byte & 15));
        if !good || last.is_some_and(|byte| !is_digit(byte >> 4)) {
            return Err(Fault(at));
        }
        Ok(Packed { bytes, length, alphabet })
    }

    fn jid(&mut self, tag: u8) -> Result<WireJid<'a>, Fault> {
        match tag {
            JID_PAIR => {
                let user = self.user()?;
                let server = server_of(self.name()?);
                Ok(WireJid { user, server, device: 0, integrator: 0, is_ad: false })
            }
            AD_JID => {
                let domain = self.byte()?;
                let device = u16::from(self.byte()?);
                let user = self.user()?;
                let server = match domain {
                    0 => PN,
                    1 => LID,
                    128 => HOSTED,
                    129 => HOSTED_LID,
                    _ => return Err(Fault(self.at)),
                };
                Ok(WireJid { user, server: Server::Known(server), device, integrator: 0, is_ad: true })
            }
            FB_JID => {
                let user = self.user()?;
                let device = self.u16()?;
                let server = server_of(self.name()?);
                Ok(WireJid { user, server, device, integrator: 0, is_ad: false })
            }
            _ => {
                let user = self.user()?;
                let device = self.u16()?;
                let integrator = self.u16()?;
                let server = server_of(self.name()?);
                Ok(WireJid { user, server, device, integrator, is_ad: false })
            }
        }
    }

    fn user(&mut self) -> Result<Option<Atom<'a>>, Fault> {
        let tag = self.byte()?;
        if tag == LIST_EMPTY { Ok(None) } else { self.atom_of(tag).map(Some) }
    }
}

fn server_of(atom: Atom<'_>) -> Server<'_> {
    match atom.with(server_number) {
        Some(number) => Server::Known(number),
        None => Server::Other(atom),
    }
}

/// A JID to write.
#[derive(Debug, Clone)]
pub struct JidParts<'a> {
    pub user: Cow<'a, str>,
    pub server: &'a str,
    pub device: u16,
    pub integrator: u16,
    pub is_ad: bool,
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

    pub fn token(&mut self, number: u16) {
        if usize::from(number) < tokens::SINGLE {
            self.out.push(number as u8);
        } else {
            let index = number - tokens::SINGLE as u16;
            self.out.extend([DICTIONARY_0 + (index >> 8) as u8, index as u8]);
        }
    }

    /// Text as Baileys chooses its form: token, nibbles, hex, JID, raw.
    pub fn text(&mut self, text: &str) -> Result<(), Unwritable> {
        if let Some(number) = tokens::number(text) {
            self.token(number);
            return Ok(());
        }
        if self.packed(text) {
            return Ok(());
        }
        match parse_jid(text) {
            Some(jid) => self.jid(&jid),
            None => self.binary(text.as_bytes()),
        }
    }

    /// Text that is never read as a JID: a JID's own user and server.
    fn part(&mut self, text: &str) -> Result<(), Unwritable> {
        if let Some(number) = tokens::number(text) {
            self.token(number);
            return Ok(());
        }
        if self.packed(text) { Ok(()) } else { self.binary(text.as_bytes()) }
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

    pub fn jid(&mut self, jid: &JidParts<'_>) -> Result<(), Unwritable> {
        if jid.is_ad || jid.device > 0 {
            if let Some(domain) = ad_domain(jid.server) {
                let device = u8::try_from(jid.device).map_err(|_| Unwritable::Device)?;
                self.out.extend([AD_JID, domain, device]);
                return self.user(&jid.user);
            }
            if jid.server == "msgr" {
                self.out.push(FB_JID);
                self.user(&jid.user)?;
                self.out.extend(jid.device.to_be_bytes());
                return self.part(jid.server);
            }
        }
        if jid.server == "interop" {
            self.out.push(INTEROP_JID);
            self.user(&jid.user)?;
            self.out.extend(jid.device.to_be_bytes());
            self.out.extend(jid.integrator.to_be_bytes());
            return self.part(jid.server);
        }
        self.out.push(JID_PAIR);
        if jid.device > 0 {
            self.part(&format!("{}:{}", jid.user, jid.device))?;
        } else {
            self.user(&jid.user)?;
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

fn ad_domain(server: &str) -> Option<u8> {
    match server {
        "s.whatsapp.net" | "c.us" => Some(0),
        "lid" => Some(1),
        "hosted" => Some(128),
        "hosted.lid" => Some(129),
        _ => None,
    }
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

/// Read text as a JID with a known server: `user[:device]@server`. None for anything else.
pub fn parse_jid(text: &str) -> Option<JidParts<'_>> {
    let (left, server) = text.split_once('@')?;
    server_number(server)?;
    let (user, device) = match left.split_once(':') {
        Some((user, digits)) => (user, Some(digits.parse::<u16>().ok()?)),
        None => (left, None),
    };
    let (user, integrator) = match (server, user.split_once('-')) {
        ("interop", Some((number, rest))) => (rest, number.parse::<u16>().ok()?),
        _ => (user, 0),
    };
    Some(JidParts {
        user: Cow::Borrowed(user),
        server,
        device: device.unwrap_or(0),
        integrator,
        is_ad: device.is_some(),
    })
}

/// Why a compressed body cannot be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InflateFault {
    Damaged,
    TooLong,
}

/// The body uncompressed, with flag byte 0; borrowed when it was not compressed (bit 1, value 2, unset).
pub fn inflate(body: &[u8], max: usize) -> Result<Cow<'_, [u8]>, InflateFault> {
    use std::io::Read;
    let Some((flag, rest)) = body.split_first() else {
        return Err(InflateFault::Damaged);
    };
    if flag & 2 == 0 {
        return Ok(Cow::Borrowed(body));
    }
    let mut out = vec![0];
    let limit = u64::try_from(max).unwrap_or(u64::MAX).saturating_add(1);
    flate2::read::ZlibDecoder::new(rest).take(limit).read_to_end(&mut out).map_err(|_| InflateFault::Damaged)?;
    if out.len() - 1 > max { Err(InflateFault::TooLong) } else { Ok(Cow::Owned(out)) }
}

/// The body compressed, with flag byte 2.
pub fn deflate(body: &[u8]) -> Vec<u8> {
    use std::io::Write;
    let mut encoder = flate2::write::ZlibEncoder::new(vec![2], flate2::Compression::default());
    let plain = body.get(1..).unwrap_or(&[]);
    // Writing to a vector cannot fail.
    if encoder.write_all(plain).is_err() {
        return body.to_vec();
    }
    encoder.finish().unwrap_or_else(|_| body.to_vec())
}
