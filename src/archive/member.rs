//! One gzip member: an independently compressed block that says its own size.
//!
//! The header carries an RFC 1952 "extra" field with one subfield `BK`: stored size of the whole member and raw size
//! of its data, both u32 little-endian. The idea is BGZF's, whose 16-bit field is too small for blocks of 1 MiB.
//!
//! ```text
//! 1f 8b 08 04 | mtime 0 (4) | xfl 0 | os ff | xlen 0c 00 | 'B' 'K' 08 00 | stored u32 | raw u32 | deflate … | crc32 | isize
//! ```

use crate::error::{Error, Kind, Result};
use crate::pipeline::{BLOCK_SIZE, Codec};
use libdeflater::{CompressionLvl, Compressor, Crc, Decompressor};

const HEAD: [u8; 16] = [0x1f, 0x8b, 8, 4, 0, 0, 0, 0, 0, 0xff, 12, 0, b'B', b'K', 8, 0];

/// Bytes of a member's header.
pub const HEADER_LEN: usize = 24;
const TRAILER_LEN: usize = 8;

/// A member never holds more raw bytes than this. What claims more was not written by us, and is refused before
/// memory is reserved for it.
pub const MAX_RAW: usize = 2 * BLOCK_SIZE;

/// A codec that makes members at a gzip `level` (1 to 12, as libdeflate counts).
pub fn codec(level: u8) -> Codec {
    let at = |level| Compressor::new(CompressionLvl::new(level).unwrap_or_default());
    let (mut strong, mut probe, mut stored) = (at(i32::from(level)), at(1), at(0));
    Box::new(move |raw| {
        let compressor = if worth_compressing(&mut probe, raw) { &mut strong } else { &mut stored };
        encode(compressor, raw)
    })
}

/// Compressing what is compressed already (images, PDF) is wasted work: a sample from the middle of the block tells.
fn worth_compressing(probe: &mut Compressor, raw: &[u8]) -> bool {
    const SAMPLE: usize = 32 << 10;
    if raw.len() < 4 * SAMPLE {
        return true;
    }
    let middle = &raw[raw.len() / 2..][..SAMPLE];
    let mut out = vec![0; probe.deflate_compress_bound(SAMPLE)];
    probe.deflate_compress(middle, &mut out).is_ok_and(|n| n < SAMPLE - SAMPLE / 32)
}

fn encode(compressor: &mut Compressor, raw: &[u8]) -> Result<Vec<u8>> {
    let failed = |what: &str| Error::new(Kind::Internal, format!("cannot compress a block: {what}"));
    if raw.len() > MAX_RAW {
        return Err(failed("it is too large"));
    }
    let bound = compressor.deflate_compress_bound(raw.len());
    let mut out = vec![0; HEADER_LEN + bound + TRAILER_LEN];
    let body = compressor
        .deflate_compress(raw, &mut out[HEADER_LEN..HEADER_LEN + bound])
        .map_err(|e| failed(&e.to_string()))?;
    let size = HEADER_LEN + body + TRAILER_LEN;
    out.truncate(size);
    let size32 = u32::try_from(size).map_err(|_| failed("it is too large"))?.to_le_bytes();
    let raw32 = u32::try_from(raw.len()).map_err(|_| failed("it is too large"))?.to_le_bytes();
    let mut crc = Crc::new();
    crc.update(raw);
    out[..16].copy_from_slice(&HEAD);
    out[16..20].copy_from_slice(&size32);
    out[20..24].copy_from_slice(&raw32);
    out[size - 8..size - 4].copy_from_slice(&crc.sum().to_le_bytes());
    out[size - 4..].copy_from_slice(&raw32);
    out.shrink_to_fit();
    Ok(out)
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
    let damaged = |what: &str| Error::new(Kind::Damaged, format!("a gzip member {what}"));
    if header[..16] != HEAD {
        return Err(damaged("does not begin as it must"));
    }
    let number = |at: usize| u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]) as usize;
    let sizes = Sizes { stored: number(16), raw: number(20) };
    if sizes.raw > MAX_RAW || sizes.stored < HEADER_LEN + TRAILER_LEN || sizes.stored > MAX_RAW + MAX_RAW / 8 + 1024 {
        return Err(damaged("claims an impossible size"));
    }
    Ok(sizes)
}

/// Decompresses a whole member into `out`, which is replaced.
///
/// # Errors
/// [`Kind::Damaged`] when anything in it is not as it was written.
pub fn decode(decompressor: &mut Decompressor, member: &[u8], out: &mut Vec<u8>) -> Result<()> {
    let damaged = |what: &str| Error::new(Kind::Damaged, format!("a gzip member {what}"));
    let header = member.first_chunk().ok_or_else(|| damaged("is cut"))?;
    let sizes = sizes(header)?;
    if member.len() != sizes.stored {
        return Err(damaged("is cut"));
    }
    out.resize(sizes.raw, 0);
    let body = &member[HEADER_LEN..sizes.stored - TRAILER_LEN];
    let raw = decompressor.deflate_decompress(body, out).map_err(|_| damaged("does not decompress"))?;
    let mut crc = Crc::new();
    crc.update(out);
    let trailer = &member[sizes.stored - TRAILER_LEN..];
    if raw != sizes.raw || trailer[..4] != crc.sum().to_le_bytes() || trailer[4..] != header[20..24] {
        return Err(damaged("does not match its checksum"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round_trip(raw: &[u8]) -> Vec<u8> {
        let member = codec(3)(raw).unwrap();
        let mut out = Vec::new();
        decode(&mut Decompressor::new(), &member, &mut out).unwrap();
        assert_eq!(out, raw);
        member
    }

    #[test]
    fn a_member_says_its_own_size_and_reads_back() {
        for raw in [&b""[..], b"x", &vec![7; BLOCK_SIZE]] {
            let member = round_trip(raw);
            let sizes = sizes(member.first_chunk().unwrap()).unwrap();
            assert_eq!(sizes, Sizes { stored: member.len(), raw: raw.len() });
        }
    }

    #[test]
    fn noise_is_stored_rather_than_grown() {
        let mut state = 1u64;
        let noise: Vec<u8> = (0..BLOCK_SIZE)
            .map(|_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                (state >> 56) as u8
            })
            .collect();
        assert!(round_trip(&noise).len() < BLOCK_SIZE + 1024);
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_found() {
        let member = codec(6)(b"the quick brown fox jumps over the lazy dog, the quick brown fox").unwrap();
        let mut out = Vec::new();
        for at in 0..member.len() {
            for bit in 0..8 {
                let mut bad = member.clone();
                bad[at] ^= 1 << bit;
                assert!(decode(&mut Decompressor::new(), &bad, &mut out).is_err(), "byte {at} bit {bit}");
            }
            assert!(decode(&mut Decompressor::new(), &member[..at], &mut out).is_err(), "cut at {at}");
        }
    }
}
