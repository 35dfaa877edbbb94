//! One member: an independently compressed block that says its own size, so that a reader hops from one to the next and
//! into the middle without an index. Both methods begin it with 24 bytes of one shape, which their own programs pass over:
//! what it is (16), stored size of all of it and raw size of its data (u32 each, little-endian).

mod gzip;
mod zstd;

use crate::error::{Error, Kind, Result};
use crate::pipeline::{BLOCK_SIZE, Codec};
use libdeflater::{Compressor, Decompressor};

/// Bytes of a member's header.
pub const HEADER_LEN: usize = 24;

/// A member is never shorter than this, whatever it holds.
pub const MIN_STORED: usize = 32;

/// A member never holds more raw bytes than this. What claims more was not written by us, and is refused before
/// memory is reserved for it.
pub const MAX_RAW: usize = 2 * BLOCK_SIZE;

const TOO_LARGE: &str = "it is too large";

/// How blocks are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Deflate, level 1 to 12 as libdeflate counts.
    Gzip(u8),
    /// Zstandard, level 1 to 19.
    Zstd(u8),
}

/// A codec that makes members.
///
/// # Errors
/// When a library cannot be set up.
pub fn codec(method: Method) -> Result<Codec> {
    let mut sampler = gzip::compressor(1);
    Ok(match method {
        Method::Gzip(level) => {
            let (mut strong, mut stored) = (gzip::compressor(level), gzip::compressor(0));
            Box::new(move |raw| {
                let compressor = if shrinks(&mut sampler, raw) { &mut strong } else { &mut stored };
                gzip::encode(compressor, within_bounds(raw)?)
            })
        }
        Method::Zstd(level) => {
            let (mut strong, mut stored) = (zstd::compressor(i32::from(level))?, zstd::compressor(zstd::STORED)?);
            Box::new(move |raw| {
                let compressor = if shrinks(&mut sampler, raw) { &mut strong } else { &mut stored };
                zstd::encode(compressor, within_bounds(raw)?)
            })
        }
    })
}

fn within_bounds(raw: &[u8]) -> Result<&[u8]> {
    if raw.len() > MAX_RAW { Err(failed(TOO_LARGE)) } else { Ok(raw) }
}

/// Whether a block is worth compressing. What is compressed already (images, PDF) is not, and samples of it tell: from
/// its quarters, for a block may hold many files.
fn shrinks(sampler: &mut Compressor, raw: &[u8]) -> bool {
    const SAMPLE: usize = 8 << 10;
    if raw.len() < 16 * SAMPLE {
        return true;
    }
    let quarter = raw.len() / 4;
    let sample: Vec<u8> = (0..4).flat_map(|n| &raw[n * quarter + quarter / 2..][..SAMPLE]).copied().collect();
    let mut out = vec![0; sampler.deflate_compress_bound(sample.len())];
    sampler.deflate_compress(&sample, &mut out).is_ok_and(|n| n < sample.len() - sample.len() / 32)
}

/// Writes the header of the whole member `out`.
fn write_header(out: &mut [u8], head: &[u8; 16], raw: usize) -> Result<()> {
    let number = |n: usize| u32::try_from(n).map(u32::to_le_bytes).map_err(|_| failed(TOO_LARGE));
    let stored = number(out.len())?;
    out[..16].copy_from_slice(head);
    out[16..20].copy_from_slice(&stored);
    out[20..24].copy_from_slice(&number(raw)?);
    Ok(())
}

/// Stored and raw size of a member, from its header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sizes {
    /// Bytes of the whole member.
    pub stored: usize,
    /// Bytes of its data.
    pub raw: usize,
}

/// Reads a member's header.
///
/// # Errors
/// [`Kind::Damaged`] when it is no header of ours, or its sizes cannot be.
pub fn sizes(header: &[u8; HEADER_LEN]) -> Result<Sizes> {
    if header[..16] != gzip::HEAD && header[..16] != zstd::HEAD {
        return Err(damaged("does not begin as it must"));
    }
    let number = |at: usize| u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]) as usize;
    let sizes = Sizes { stored: number(16), raw: number(20) };
    if sizes.raw > MAX_RAW || sizes.stored < MIN_STORED || sizes.stored > MAX_RAW + MAX_RAW / 8 + 1024 {
        return Err(damaged("claims an impossible size"));
    }
    Ok(sizes)
}

/// Decompresses members of either method; each thread has its own.
#[derive(Default)]
pub struct Decoder {
    gzip: Option<Decompressor>,
    zstd: Option<::zstd::bulk::Decompressor<'static>>,
}

impl Decoder {
    /// Decompresses a whole member into `out`, which is replaced.
    ///
    /// # Errors
    /// [`Kind::Damaged`] when anything in it is not as it was written.
    pub fn decode(&mut self, member: &[u8], out: &mut Vec<u8>) -> Result<()> {
        let header = member.first_chunk().ok_or_else(|| damaged("is cut"))?;
        let sizes = sizes(header)?;
        if member.len() != sizes.stored {
            return Err(damaged("is cut"));
        }
        out.resize(sizes.raw, 0);
        if header[..16] == gzip::HEAD {
            return gzip::decode(self.gzip.get_or_insert_with(Decompressor::new), member, out);
        }
        let decompressor = match &mut self.zstd {
            Some(made) => made,
            none => none.insert(zstd::decompressor()?),
        };
        zstd::decode(decompressor, member, out)
    }
}

fn failed(what: &str) -> Error {
    Error::new(Kind::Internal, format!("cannot compress a block: {what}"))
}

fn damaged(what: &str) -> Error {
    Error::new(Kind::Damaged, format!("a compressed block {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const METHODS: [Method; 4] = [Method::Gzip(3), Method::Gzip(12), Method::Zstd(3), Method::Zstd(19)];

    fn round_trip(method: Method, raw: &[u8]) -> Vec<u8> {
        let member = codec(method).unwrap()(raw).unwrap();
        let mut out = Vec::new();
        Decoder::default().decode(&member, &mut out).unwrap();
        assert_eq!(out, raw);
        member
    }

    /// Bytes below `values`, in no order.
    fn noise(values: u64, bytes: usize) -> Vec<u8> {
        let mut state = 1u64;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            u8::try_from((state >> 33) % values).unwrap()
        };
        (0..bytes).map(|_| next()).collect()
    }

    #[test]
    fn a_member_says_its_own_size_and_reads_back() {
        for method in METHODS {
            for raw in [&b""[..], b"x", &vec![7; BLOCK_SIZE], &noise(64, MAX_RAW)] {
                let member = round_trip(method, raw);
                let sizes = sizes(member.first_chunk().unwrap()).unwrap();
                assert_eq!(sizes, Sizes { stored: member.len(), raw: raw.len() });
            }
            assert!(codec(method).unwrap()(&vec![0; MAX_RAW + 1]).is_err());
        }
    }

    #[test]
    fn what_hardly_shrinks_is_stored_and_what_does_in_one_quarter_is_not() {
        for method in METHODS {
            // A hundredth could be saved, with much work.
            let stored = round_trip(method, &noise(240, BLOCK_SIZE)).len();
            assert!((BLOCK_SIZE..BLOCK_SIZE + 1024).contains(&stored), "{method:?}: {stored}");
            let mut mixed = noise(256, BLOCK_SIZE);
            mixed[BLOCK_SIZE / 4..BLOCK_SIZE / 2].fill(b'a');
            let stored = round_trip(method, &mixed).len();
            assert!(stored < BLOCK_SIZE - BLOCK_SIZE / 5, "{method:?}: {stored}");
        }
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_found() {
        let raw = b"the quick brown fox jumps over the lazy dog, the quick brown fox";
        for method in METHODS {
            let member = codec(method).unwrap()(raw).unwrap();
            let (mut decoder, mut out, mut harmless) = (Decoder::default(), Vec::new(), 0);
            for at in 0..member.len() {
                for bit in 0..8 {
                    let mut bad = member.clone();
                    bad[at] ^= 1 << bit;
                    if decoder.decode(&bad, &mut out).is_ok() {
                        // Both formats have bits that mean nothing, like codes of symbols that are not used.
                        assert!(out == raw, "{method:?}: byte {at} bit {bit}");
                        harmless += 1;
                    }
                }
                assert!(decoder.decode(&member[..at], &mut out).is_err(), "cut at {at}");
            }
            assert!(harmless * 100 < member.len() * 8, "{harmless} bits of {} bytes", member.len());
        }
    }

    #[test]
    fn one_member_holds_one_frame() {
        let two = [codec(Method::Zstd(3)).unwrap()(b"one").unwrap(), codec(Method::Zstd(3)).unwrap()(b"two").unwrap()];
        let mut member = [&two[0][..], &two[1][HEADER_LEN..]].concat();
        write_header(&mut member, &zstd::HEAD, 6).unwrap();
        assert!(Decoder::default().decode(&member, &mut Vec::new()).is_err());
    }
}
