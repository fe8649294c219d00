//! The codec without Python: vectors made by Baileys, hostile input, and a seeded storm of damaged bodies.

use super::*;
use crate::core::jid;
use serde_json::Value;
use std::path::PathBuf;

/// A node as a Rust value. JIDs are text that is written as the same JID again.
#[derive(Debug, Clone, PartialEq)]
struct Tree {
    tag: String,
    attrs: Vec<(String, String)>,
    content: Body,
}

#[derive(Debug, Clone, PartialEq)]
enum Body {
    None,
    Bytes(Vec<u8>),
    Text(String),
    Nodes(Vec<Tree>),
}

struct TreeBuild;

impl Build for TreeBuild {
    type Text = String;
    type Value = String;
    type Attrs = Vec<(String, String)>;
    type Node = Tree;
    type Error = Fault;

    fn token(&mut self, number: u16) -> String {
        Atom::Token(number).with(str::to_owned)
    }

    fn text(&mut self, text: &str) -> String {
        text.to_owned()
    }

    fn jid_text(&mut self, jid: WireJid<'_, String>) -> Result<String, Fault> {
        Ok(jid_text(jid))
    }

    fn text_value(&mut self, text: String) -> String {
        text
    }

    fn jid_value(&mut self, jid: WireJid<'_, String>) -> Result<String, Fault> {
        Ok(jid_text(jid))
    }

    fn attrs(&mut self) -> Result<Self::Attrs, Fault> {
        Ok(Vec::new())
    }

    fn attr(&mut self, attrs: &mut Self::Attrs, name: String, value: String) -> Result<(), Fault> {
        attrs.push((name, value));
        Ok(())
    }

    fn node(&mut self, tag: String, attrs: Self::Attrs, content: Content<'_, Self>) -> Result<Tree, Fault> {
        let content = match content {
            Content::None => Body::None,
            Content::Bytes(bytes) => Body::Bytes(bytes.to_vec()),
            Content::Text(text) => Body::Text(text),
            Content::Nodes(nodes) => Body::Nodes(nodes.collect()),
        };
        Ok(Tree { tag, attrs, content })
    }
}

fn jid_text(wire: WireJid<'_, String>) -> String {
    let mut user = wire.user.unwrap_or_default();
    if wire.agent > 0 {
        user = format!("{user}_{}", wire.agent);
    }
    if wire.integrator > 0 {
        user = format!("{}-{user}", wire.integrator);
    }
    if wire.is_ad {
        user = format!("{user}:{}", wire.device);
    }
    match wire.server {
        Server::Known(number) => format!("{user}@{}", jid::server_name(number)),
        Server::Other(atom) => atom.with(|server| format!("{user}@{server}")),
    }
}

fn write(writer: &mut Writer, tree: &Tree) -> Result<(), Unwritable> {
    writer.head(&tree.tag, tree.attrs.len(), tree.content != Body::None)?;
    for (name, value) in &tree.attrs {
        writer.text(name)?;
        writer.text(value)?;
    }
    match &tree.content {
        Body::None => Ok(()),
        Body::Bytes(bytes) => writer.binary(bytes),
        Body::Text(text) => writer.text(text),
        Body::Nodes(nodes) => {
            writer.list(nodes.len())?;
            nodes.iter().try_for_each(|node| write(writer, node))
        }
    }
}

fn encode(tree: &Tree) -> Vec<u8> {
    let mut writer = Writer::new(0);
    write(&mut writer, tree).expect("a tree that can be written");
    writer.out
}

fn decode(body: &[u8]) -> Result<Tree, Fault> {
    read_node(body, &mut TreeBuild)
}

fn path(below: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests").join(below)
}

fn unhex(digits: &str) -> Vec<u8> {
    (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap()).collect()
}

fn from_json(value: &Value) -> Tree {
    let string = |value: &Value| value.as_str().unwrap().to_owned();
    let content = match &value["content"] {
        Value::Null => Body::None,
        Value::Array(nodes) => Body::Nodes(nodes.iter().map(from_json).collect()),
        told if told["bytes"].is_string() => Body::Bytes(unhex(told["bytes"].as_str().unwrap())),
        told => Body::Text(string(&told["text"])),
    };
    let attrs = value["attrs"].as_array().unwrap();
    let attrs = attrs.iter().map(|pair| (string(&pair[0]), string(&pair[1]))).collect();
    Tree { tag: string(&value["tag"]), attrs, content }
}

/// Tree and bytes of every vector.
fn vectors() -> Vec<(Tree, Vec<u8>)> {
    let file: Value = serde_json::from_slice(&std::fs::read(path("vectors/codec.json")).unwrap()).unwrap();
    let cases = file["cases"].as_array().unwrap();
    cases.iter().map(|case| (from_json(&case["node"]), unhex(case["hex"].as_str().unwrap()))).collect()
}

#[test]
fn vectors_are_written_and_read() {
    let vectors = vectors();
    assert!(vectors.len() > 50);
    for (tree, body) in vectors {
        assert_eq!(encode(&tree), body, "{tree:?}");
        let read = decode(&body).unwrap();
        assert_eq!(encode(&read), body, "{tree:?}");
        if !matches!(tree.content, Body::Text(_)) && !format!("{tree:?}").contains("Text(") {
            let legacy = |tree: &Tree| format!("{tree:?}").replace("@c.us", "@s.whatsapp.net");
            assert_eq!(legacy(&read), legacy(&tree));
        }
    }
}

#[test]
fn workloads_come_out_as_they_went_in() {
    for name in ["ack", "receipt", "group_msg_60", "group_meta_1000", "usync_2000"] {
        let body = std::fs::read(path(&format!("bench/workloads/{name}.bin"))).unwrap();
        assert_eq!(encode(&decode(&body).unwrap()), body, "{name}");
    }
}

/// Every JID form, in bytes after `[0, LIST_8, 3, tag, name]`, and its text.
#[test]
fn every_jid_form_comes_out_as_it_went_in() {
    let forms: [(&[u8], &str); 12] = [
        (&[250, 0, 3], "@s.whatsapp.net"),
        (&[250, 255, 2, 0x41, 0x27, 3], "4127@s.whatsapp.net"),
        (&[247, 0, 0, 255, 2, 0x41, 0x27], "4127:0@s.whatsapp.net"),
        (&[247, 1, 255, 255, 2, 0x41, 0x27], "4127:255@lid"),
        (&[247, 128, 99, 255, 2, 0x41, 0x27], "4127:99@hosted"),
        (&[247, 129, 99, 255, 2, 0x41, 0x27], "4127:99@hosted.lid"),
        (&[247, 2, 5, 255, 2, 0x41, 0x27], "4127_2:5@s.whatsapp.net"),
        (&[246, 255, 2, 0x41, 0x27, 1, 0, 204], "4127:256@msgr"),
        (&[246, 255, 2, 0x41, 0x27, 0, 0, 204], "4127:0@msgr"),
        (
            &[245, 255, 2, 0x41, 0x27, 1, 0, 0, 9, 252, 7, b'i', b'n', b't', b'e', b'r', b'o', b'p'],
            "9-4127:256@interop",
        ),
        (&[245, 255, 2, 0x41, 0x27, 0, 0, 0, 0, 252, 7, b'i', b'n', b't', b'e', b'r', b'o', b'p'], "4127:0@interop"),
        (&[250, 255, 2, 0x41, 0x27, 252, 7, b'i', b'n', b't', b'e', b'r', b'o', b'p'], "4127@interop"),
    ];
    for (form, expected) in forms {
        let body = [&[0, LIST_8, 3, 20, 4], form].concat();
        let tree = decode(&body).unwrap();
        assert_eq!(tree.attrs[0].1, expected);
        assert_eq!(encode(&tree), body, "{expected}");
    }
}

#[test]
fn an_interop_jid_may_leave_its_server_out() {
    let tree = decode(&[0, LIST_8, 5, 20, 4, 245, 255, 2, 0x41, 0x27, 0, 3, 0, 9, 8, 6]).unwrap();
    assert_eq!(tree.attrs[0].1, "9-4127:3@interop");
    assert_eq!(tree.attrs.len(), 2);
}

#[test]
fn a_jid_in_the_place_of_text_is_text() {
    let body = [0, LIST_8, 4, 247, 1, 5, 255, 2, 0x41, 0x27, 250, 0, 3, 6, 250, 255, 2, 0x41, 0x28, 3];
    let tree = decode(&body).unwrap();
    assert_eq!((&*tree.tag, &*tree.attrs[0].0), ("4127:5@lid", "@s.whatsapp.net"));
    assert_eq!(tree.content, Body::Text("4128@s.whatsapp.net".to_owned()));
    assert_eq!(encode(&tree), body);
}

/// Each body, the offset where reading it stops, and why.
#[test]
fn faults_name_their_offset() {
    let cases: [(&[u8], usize, &str); 17] = [
        (&[], 0, "no flag byte"),
        (&[0], 1, "nothing behind the flag byte"),
        (&[0, 20], 1, "a node is a list"),
        (&[0, LIST_EMPTY], 1, "an empty list is no node"),
        (&[0, LIST_8, 0], 1, "an empty list is no node"),
        (&[0, LIST_8, 1, LIST_EMPTY], 3, "no tag"),
        (&[0, LIST_8, 1, BINARY_8, 0], 3, "no tag"),
        (&[0, LIST_8, 1, 20, 20], 4, "left over"),
        (&[0, LIST_8, 1, 240], 3, "no such text"),
        (&[0, LIST_8, 1, BINARY_8, 2, b'a'], 5, "cut short"),
        (&[0, LIST_8, 1, BINARY_8, 1, 0xff], 3, "not UTF-8"),
        (&[0, LIST_8, 1, NIBBLE_8, 1, 0x1c], 4, "no such digit"),
        (&[0, LIST_8, 1, NIBBLE_8, 1, 0x1f], 4, "a filler where the count is even"),
        (&[0, LIST_8, 1, NIBBLE_8, 0x80], 4, "an odd count of nothing"),
        (&[0, LIST_8, 2, 20, LIST_16, 0xff, 0xff, LIST_8, 1, 20], 4, "more children than bytes"),
        (&[0, LIST_8, 2, 20, BINARY_32, 0xff, 0xff, 0xff, 0xff], 9, "four gigabytes"),
        (&[0, LIST_8, 3, 20, 4, JID_PAIR, 0, LIST_EMPTY], 7, "a JID without a server"),
    ];
    for (body, offset, why) in cases {
        assert_eq!(decode(body), Err(Fault(offset)), "{why}");
    }
}

#[test]
fn depth_is_bounded() {
    let nested = |depth: usize| [vec![0], [LIST_8, 2, 20, LIST_8, 1].repeat(depth - 1), vec![LIST_8, 1, 20]].concat();
    let deepest = decode(&nested(MAX_DEPTH)).unwrap();
    assert_eq!(encode(&deepest), nested(MAX_DEPTH));
    assert_eq!(decode(&nested(MAX_DEPTH + 1)), Err(Fault(1 + 5 * MAX_DEPTH)));
    assert!(decode(&nested(1_000_000)).is_err());
}

#[test]
fn lengths_change_their_form_at_their_borders() {
    let heads: [(usize, &[u8]); 5] = [
        (255, &[BINARY_8, 255]),
        (256, &[BINARY_20, 0, 1, 0]),
        (0xa_bcde, &[BINARY_20, 0x0a, 0xbc, 0xde]),
        ((1 << 20) - 1, &[BINARY_20, 0x0f, 0xff, 0xff]),
        (1 << 20, &[BINARY_32, 0, 0x10, 0, 0]),
    ];
    for (length, head) in heads {
        let body = [&[0, LIST_8, 2, 20], head, &vec![7; length]].concat();
        let tree = decode(&body).unwrap();
        assert_eq!(tree.content, Body::Bytes(vec![7; length]), "{length}");
        assert_eq!(encode(&tree), body, "{length}");
    }
}

#[test]
fn what_no_form_carries_is_refused() {
    let mut writer = Writer::new(0);
    assert_eq!(writer.list(65_536), Err(Unwritable::TooManyItems));
    assert_eq!(writer.head("", 0, false), Err(Unwritable::NoTag));
    let jid = jid::parse("123:256@lid").unwrap();
    assert_eq!(writer.jid(&jid), Err(Unwritable::Device));
    assert_eq!(writer.text("123:256@msgr"), Ok(()));
}

#[test]
fn text_that_reads_as_a_jid_which_no_form_carries_stays_text() {
    for (text, tag) in [("123:255@lid", AD_JID), ("123:256@lid", BINARY_8), ("123:65535@s.whatsapp.net", BINARY_8)] {
        let tree = Tree { tag: "ack".into(), attrs: vec![("id".into(), text.into())], content: Body::None };
        let encoded = encode(&tree);
        assert_eq!(encoded[5], tag, "{text}");
        assert_eq!(decode(&encoded).unwrap(), tree);
    }
}

#[test]
fn zlib_is_taken_whole_or_not_at_all() {
    let plain = [vec![0], b"abc".repeat(1000)].concat();
    let packed = deflate(&plain).unwrap();
    assert_eq!(inflate(&packed, 3000).as_deref(), Ok(&*plain));
    assert!(matches!(inflate(&packed, 2999), Err(InflateFault::TooLong(_))));
    assert_eq!(inflate(&plain, 0).as_deref(), Ok(&*plain));
    for cut in 1..packed.len() {
        assert!(matches!(inflate(&packed[..cut], 3000), Err(InflateFault::Damaged(at)) if at <= cut), "{cut}");
    }
    assert_eq!(inflate(&[&*packed, b"x"].concat(), 3000), Err(InflateFault::Damaged(packed.len())));
    assert_eq!(inflate(&[], 3000), Err(InflateFault::Damaged(0)));
    assert_eq!(deflate(&packed), None);
    let empty = deflate(&[0]).unwrap();
    assert_eq!(inflate(&empty, 0).as_deref(), Ok(&[0][..]));
}

/// xorshift64*, so that a failure can be had again.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % limit
    }

    fn damage(&mut self, body: &mut Vec<u8>) {
        let at = self.below(body.len());
        match self.below(5) {
            0 => body.truncate(at),
            1 => body.insert(at, self.below(256) as u8),
            2 => {
                body.remove(at);
            }
            3 => body[at] = [0, 3, 245, 246, 247, 248, 249, 250, 251, 252, 253, 254, 255][self.below(13)],
            _ => body[at] ^= 1 << self.below(8),
        }
    }
}

#[test]
fn damaged_bodies_are_read_or_refused() {
    let bodies: Vec<Vec<u8>> = vectors().into_iter().map(|(_, body)| body).filter(|body| body.len() < 2_000).collect();
    let mut dice = Dice(0x5eed);
    let (mut read, mut refused) = (0, 0);
    for _ in 0..60_000 {
        let mut body = bodies[dice.below(bodies.len())].clone();
        for _ in 0..=dice.below(3) {
            dice.damage(&mut body);
            if body.is_empty() {
                body.push(0);
            }
        }
        match decode(&body) {
            Err(Fault(at)) => {
                assert!(at <= body.len(), "{at} {body:?}");
                refused += 1;
            }
            Ok(tree) => {
                // Not every accepted body is written as it came, but what is written reads as the same tree.
                let mut writer = Writer::new(0);
                if write(&mut writer, &tree).is_ok() && !has_text(&tree) {
                    assert_eq!(decode(&writer.out).as_ref(), Ok(&tree), "{body:?}");
                }
                read += 1;
            }
        }
    }
    assert!(read > 1_000 && refused > 1_000, "{read} {refused}");
}

/// Text that another reading is possible of: raw text may look like a JID, and text content is written as bytes.
fn has_text(tree: &Tree) -> bool {
    let ambiguous = |text: &str| text.contains('@') || text.contains('_');
    ambiguous(&tree.tag)
        || tree.attrs.iter().any(|(name, value)| ambiguous(name) || ambiguous(value))
        || match &tree.content {
            Body::Text(_) => true,
            Body::Nodes(nodes) => nodes.iter().any(has_text),
            Body::None | Body::Bytes(_) => false,
        }
}
