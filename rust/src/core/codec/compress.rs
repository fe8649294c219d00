//! The flag byte before a node, and zlib behind it.

use flate2::{Compression, Decompress, FlushDecompress, Status};
use std::borrow::Cow;

/// Bit 1 of the flag byte.
const COMPRESSED: u8 = 2;

/// Why a body cannot be inflated, with the offset in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InflateFault {
    /// Empty, not zlib, damaged, cut short, or with bytes left over.
    Damaged(usize),
    /// It would be longer than allowed.
    TooLong(usize),
}

/// The body uncompressed, with flag byte 0; borrowed when it was not compressed. `max` bytes may follow the flag byte.
///
/// Memory grows with what really comes out, never with a declared size.
pub fn inflate(body: &[u8], max: usize) -> Result<Cow<'_, [u8]>, InflateFault> {
    let (flag, packed) = body.split_first().ok_or(InflateFault::Damaged(0))?;
    if flag & COMPRESSED == 0 {
        return Ok(Cow::Borrowed(body));
    }
    let mut stream = Decompress::new(true);
    let mut out = vec![0];
    // One byte more than allowed, to see that there is one.
    let limit = max.saturating_add(2);
    loop {
        let used = consumed(&stream);
        let damaged = InflateFault::Damaged(1 + used);
        out.reserve_exact(out.len().max(packed.len()).min(limit - out.len()));
        let before = out.len();
        let rest = packed.get(used..).unwrap_or(&[]);
        let status = stream.decompress_vec(rest, &mut out, FlushDecompress::None).map_err(|_| damaged)?;
        if out.len() >= limit {
            return Err(InflateFault::TooLong(1 + consumed(&stream)));
        }
        match status {
            Status::StreamEnd if consumed(&stream) == packed.len() => return Ok(Cow::Owned(out)),
            Status::StreamEnd => return Err(InflateFault::Damaged(1 + consumed(&stream))),
            _ if out.len() == before && consumed(&stream) == used => return Err(damaged),
            _ => {}
        }
    }
}

fn consumed(stream: &Decompress) -> usize {
    usize::try_from(stream.total_in()).unwrap_or(usize::MAX)
}

/// The body compressed, with flag byte 2. None when it is empty or compressed already.
pub fn deflate(body: &[u8]) -> Option<Vec<u8>> {
    use std::io::Write;
    let (flag, plain) = body.split_first()?;
    if flag & COMPRESSED != 0 {
        return None;
    }
    let mut encoder = flate2::write::ZlibEncoder::new(vec![COMPRESSED], Compression::default());
    encoder.write_all(plain).expect("writing to a vector cannot fail");
    Some(encoder.finish().expect("writing to a vector cannot fail"))
}
