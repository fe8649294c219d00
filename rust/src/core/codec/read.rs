//! Bytes to stanza events.

use super::{
    AD_JID, BINARY_8, BINARY_20, BINARY_32, DICTIONARY_0, DICTIONARY_3, FB_JID, HEX_8, INTEROP_JID, JID_PAIR, LIST_8,
    LIST_16, LIST_EMPTY, MAX_DEPTH, NIBBLE_8,
};
use crate::core::jid::{self, INTEROP};
use crate::core::tokens;

const NIBBLES: &[u8; 16] = b"0123456789-.\0\0\0\0";
const HEX: &[u8; 16] = b"0123456789ABCDEF";

/// The longest packed text: 127 bytes, two digits each.
const UNPACKED_MAX: usize = 254;

/// Where reading stopped, in bytes from the start of the (inflated) input, flag byte counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault(pub usize);

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

    fn is_empty(&self) -> bool {
        match self {
            Self::Token(_) => false,
            Self::Plain(text) => text.is_empty(),
            Self::Packed(packed) => packed.length == 0,
        }
    }
}

impl Packed<'_> {
    #[inline]
    fn with<R>(&self, take: impl FnOnce(&str) -> R) -> R {
        let mut digits = [0; UNPACKED_MAX];
        for (pair, byte) in digits.chunks_exact_mut(2).zip(self.bytes) {
            pair[0] = self.alphabet[usize::from(byte >> 4)];
            pair[1] = self.alphabet[usize::from(byte & 15)];
        }
        take(digits.get(..self.length).and_then(|digits| std::str::from_utf8(digits).ok()).unwrap_or(""))
    }
}

/// The server part of a JID.
#[derive(Debug, Clone, Copy)]
pub enum Server<'a> {
    /// One of `jid::SERVERS`, by index.
    Known(u8),
    Other(Atom<'a>),
}

/// A JID as it stands on the wire.
#[derive(Debug)]
pub struct WireJid<'a, S> {
    /// None for an address without a user: the server itself.
    pub user: Option<S>,
    pub server: Server<'a>,
    pub device: u16,
    pub integrator: u16,
    /// The domain byte of an AD_JID that stands for no known server; otherwise 0.
    pub agent: u8,
    /// Written in a form that names the device: AD_JID, FB_JID or INTEROP_JID.
    pub is_ad: bool,
}

/// What a node holds.
pub enum Content<'a, B: Build + ?Sized> {
    None,
    Bytes(&'a [u8]),
    Text(B::Text),
    Nodes(std::vec::Drain<'a, B::Node>),
}

/// Makes text, attributes and nodes of the owner's kind.
///
/// Each piece goes from the reader's hands into the owner's at once: a value in between would cost more to carry than to read.
pub trait Build {
    /// Text: a tag, an attribute's name, a JID's user, a content.
    type Text;
    /// An attribute's value: text or a JID.
    type Value;
    type Attrs;
    type Node;
    type Error: From<Fault>;
    fn token(&mut self, number: u16) -> Self::Text;
    fn text(&mut self, text: &str) -> Self::Text;
    /// A JID in the place of a tag, of an attribute's name or of a content.
    fn jid_text(&mut self, jid: WireJid<'_, Self::Text>) -> Result<Self::Text, Self::Error>;
    fn text_value(&mut self, text: Self::Text) -> Self::Value;
    fn jid_value(&mut self, jid: WireJid<'_, Self::Text>) -> Result<Self::Value, Self::Error>;
    fn attrs(&mut self) -> Result<Self::Attrs, Self::Error>;
    fn attr(&mut self, attrs: &mut Self::Attrs, name: Self::Text, value: Self::Value) -> Result<(), Self::Error>;
    fn node(
        &mut self, tag: Self::Text, attrs: Self::Attrs, content: Content<'_, Self>,
    ) -> Result<Self::Node, Self::Error>;
}

/// Read one node from a body that begins with the flag byte, which is not looked at; all of it must be used.
pub fn read_node<B: Build>(body: &[u8], build: &mut B) -> Result<B::Node, B::Error> {
    let mut reader = Reader { body, at: 1 };
    let node = reader.node(build, &mut Vec::new(), 0)?;
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
    #[inline(always)]
    fn byte(&mut self) -> Result<u8, Fault> {
        let byte = *self.body.get(self.at).ok_or(self.end())?;
        self.at += 1;
        Ok(byte)
    }

    #[inline(always)]
    fn take(&mut self, count: usize) -> Result<&'a [u8], Fault> {
        let end = self.at.checked_add(count).ok_or(self.end())?;
        let taken = self.body.get(self.at..end).ok_or(self.end())?;
        self.at = end;
        Ok(taken)
    }

    /// The fault of a body that ends too early, or of a size that is not there.
    fn end(&self) -> Fault {
        Fault(self.at.min(self.body.len()))
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

    /// `waiting` is a stack of nodes that are made and whose parents are not yet: one vector for the whole body.
    fn node<B: Build>(&mut self, build: &mut B, waiting: &mut Vec<B::Node>, depth: usize) -> Result<B::Node, B::Error> {
        let start = self.at;
        if depth >= MAX_DEPTH {
            return Err(Fault(start).into());
        }
        let list = self.byte()?;
        let size = self.list_size(list)?;
        if size == 0 {
            return Err(Fault(start).into());
        }
        let at = self.at;
        let tag = self.text(build)?;
        if self.body.get(at..self.at).is_none_or(is_empty_text) {
            return Err(Fault(at).into());
        }
        let mut attrs = build.attrs()?;
        for _ in 0..(size - 1) / 2 {
            let name = self.text(build)?;
            let value = self.value(build)?;
            build.attr(&mut attrs, name, value)?;
        }
        if size % 2 == 1 {
            return build.node(tag, attrs, Content::None);
        }
        let content = self.byte()?;
        match content {
            LIST_EMPTY | LIST_8 | LIST_16 => {
                let first = waiting.len();
                self.children(content, build, waiting, depth)?;
                build.node(tag, attrs, Content::Nodes(waiting.drain(first..)))
            }
            BINARY_8 | BINARY_20 | BINARY_32 => build.node(tag, attrs, Content::Bytes(self.binary(content)?)),
            _ => {
                let text = self.text_of(content, build)?;
                build.node(tag, attrs, Content::Text(text))
            }
        }
    }

    fn children<B: Build>(
        &mut self, list: u8, build: &mut B, waiting: &mut Vec<B::Node>, depth: usize,
    ) -> Result<(), B::Error> {
        let at = self.at - 1;
        let count = self.list_size(list)?;
        // The smallest node takes three bytes; a longer list than fits is a lie, found before anything is made.
        if count > (self.body.len() - self.at) / 3 {
            return Err(Fault(at).into());
        }
        for _ in 0..count {
            let child = self.node(build, waiting, depth + 1)?;
            waiting.push(child);
        }
        Ok(())
    }

    fn binary(&mut self, tag: u8) -> Result<&'a [u8], Fault> {
        let length = match tag {
            BINARY_8 => usize::from(self.byte()?),
            BINARY_20 => self.u20()?,
            _ => self.u32()?,
        };
        self.take(length)
    }

    #[inline(always)]
    fn text<B: Build>(&mut self, build: &mut B) -> Result<B::Text, B::Error> {
        let tag = self.byte()?;
        self.text_of(tag, build)
    }

    #[inline(always)]
    fn text_of<B: Build>(&mut self, tag: u8, build: &mut B) -> Result<B::Text, B::Error> {
        match tag {
            1..DICTIONARY_0 => Ok(build.token(u16::from(tag))),
            LIST_EMPTY => Ok(build.text("")),
            JID_PAIR | AD_JID | FB_JID | INTEROP_JID => {
                let jid = self.jid(tag, build)?;
                build.jid_text(jid)
            }
            _ => self.plain(tag, build),
        }
    }

    #[inline(always)]
    fn value<B: Build>(&mut self, build: &mut B) -> Result<B::Value, B::Error> {
        let tag = self.byte()?;
        if matches!(tag, JID_PAIR | AD_JID | FB_JID | INTEROP_JID) {
            let jid = self.jid(tag, build)?;
            return build.jid_value(jid);
        }
        let text = if tag == LIST_EMPTY { build.text("") } else { self.plain(tag, build)? };
        Ok(build.text_value(text))
    }

    /// Text that is neither LIST_EMPTY nor a JID.
    #[inline]
    fn plain<B: Build>(&mut self, tag: u8, build: &mut B) -> Result<B::Text, B::Error> {
        Ok(match self.atom_of(tag)? {
            Atom::Token(number) => build.token(number),
            Atom::Plain(text) => build.text(text),
            Atom::Packed(packed) => packed.with(|text| build.text(text)),
        })
    }

    #[inline(always)]
    fn atom(&mut self) -> Result<Atom<'a>, Fault> {
        let tag = self.byte()?;
        self.atom_of(tag)
    }

    #[inline(always)]
    fn atom_of(&mut self, tag: u8) -> Result<Atom<'a>, Fault> {
        match tag {
            1..DICTIONARY_0 => Ok(Atom::Token(u16::from(tag))),
            DICTIONARY_0..=DICTIONARY_3 => {
                let index = u16::from(self.byte()?);
                Ok(Atom::Token(u16::from(DICTIONARY_0) + u16::from(tag - DICTIONARY_0) * 256 + index))
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
        // An odd count ends in a filler, which is not looked at.
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

    fn jid<B: Build>(&mut self, tag: u8, build: &mut B) -> Result<WireJid<'a, B::Text>, B::Error> {
        match tag {
            JID_PAIR => {
                let user = self.user(build)?;
                let server = self.server()?;
                Ok(WireJid { user, server, device: 0, integrator: 0, agent: 0, is_ad: false })
            }
            AD_JID => self.ad_jid(build),
            FB_JID => {
                let user = self.user(build)?;
                let device = self.u16()?;
                let server = self.server()?;
                Ok(WireJid { user, server, device, integrator: 0, agent: 0, is_ad: true })
            }
            _ => {
                let user = self.user(build)?;
                let device = self.u16()?;
                let integrator = self.u16()?;
                self.interop_server();
                Ok(WireJid { user, server: Server::Known(INTEROP), device, integrator, agent: 0, is_ad: true })
            }
        }
    }

    fn ad_jid<B: Build>(&mut self, build: &mut B) -> Result<WireJid<'a, B::Text>, B::Error> {
        let domain = self.byte()?;
        let device = u16::from(self.byte()?);
        let user = self.user(build)?;
        let (server, agent) = match jid::domain_server(domain) {
            Some(server) => (server, 0),
            None => (jid::PN, domain),
        };
        Ok(WireJid { user, server: Server::Known(server), device, integrator: 0, agent, is_ad: true })
    }

    fn user<B: Build>(&mut self, build: &mut B) -> Result<Option<B::Text>, B::Error> {
        let tag = self.byte()?;
        if tag == LIST_EMPTY { Ok(None) } else { self.plain(tag, build).map(Some) }
    }

    #[inline]
    fn server(&mut self) -> Result<Server<'a>, Fault> {
        let at = self.at;
        let atom = self.atom()?;
        if atom.is_empty() {
            return Err(Fault(at));
        }
        Ok(match atom.with(jid::server_number) {
            Some(number) => Server::Known(number),
            None => Server::Other(atom),
        })
    }

    /// The server of an INTEROP_JID is always the same, and some leave it out: take it if it is there.
    fn interop_server(&mut self) {
        let at = self.at;
        if !matches!(self.server(), Ok(Server::Known(INTEROP))) {
            self.at = at;
        }
    }
}

/// Whether the bytes of a piece of text say "", in whichever form.
#[inline]
fn is_empty_text(bytes: &[u8]) -> bool {
    match bytes {
        [LIST_EMPTY] | [HEX_8 | BINARY_8 | NIBBLE_8, 0] | [BINARY_32, 0, 0, 0, 0] => true,
        [BINARY_20, high, 0, 0] => high & 0x0f == 0,
        _ => false,
    }
}
