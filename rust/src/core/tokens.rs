//! The token dictionaries, version 3: facts of the wire, as every client of this protocol carries them.
//!
//! `tokens.txt` holds one token a line: 236 single-byte tokens (the first is empty and never written), then four
//! dictionaries of 256. A token's number here is its line, from 0.

use std::collections::HashMap;
use std::sync::LazyLock;

pub const SINGLE: usize = 236;
pub const DICTIONARY: usize = 256;
pub const DICTIONARIES: usize = 4;
pub const COUNT: usize = SINGLE + DICTIONARY * DICTIONARIES;

static TOKENS: LazyLock<Vec<&'static str>> = LazyLock::new(|| include_str!("tokens.txt").lines().collect());

/// A hasher for short ASCII words: a few multiplications, no protection against chosen keys (the keys are fixed).
#[derive(Default)]
pub struct WordHasher(u64);

impl std::hash::Hasher for WordHasher {
    fn finish(&self) -> u64 {
        self.0 ^ (self.0 >> 29)
    }
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.0 = (self.0.rotate_left(5) ^ u64::from_le_bytes(word)).wrapping_mul(0x517c_c1b7_2722_0a95);
        }
    }
    fn write_u8(&mut self, byte: u8) {
        self.0 = (self.0.rotate_left(5) ^ u64::from(byte)).wrapping_mul(0x517c_c1b7_2722_0a95);
    }
}

type Words = HashMap<&'static str, u16, std::hash::BuildHasherDefault<WordHasher>>;

static NUMBERS: LazyLock<Words> = LazyLock::new(|| {
    let mut words = Words::default();
    for (number, token) in TOKENS.iter().enumerate().skip(1) {
        words.insert(token, u16::try_from(number).expect("fewer than 65,536 tokens"));
    }
    words
});

/// The longest token; longer text cannot be one.
static LONGEST: LazyLock<usize> = LazyLock::new(|| TOKENS.iter().map(|token| token.len()).max().unwrap_or(0));

/// All tokens by number.
pub fn all() -> &'static [&'static str] {
    &TOKENS
}

/// The number of a token, if the text is one.
pub fn number(text: &str) -> Option<u16> {
    if text.is_empty() || text.len() > *LONGEST {
        return None;
    }
    NUMBERS.get(text).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_those_of_version_3() {
        assert_eq!(all().len(), COUNT);
        assert_eq!(NUMBERS.len(), COUNT - 1, "no token stands twice");
        assert_eq!(all()[3], "s.whatsapp.net");
        assert_eq!(number("s.whatsapp.net"), Some(3));
        assert_eq!(number("constructor"), None);
    }
}
