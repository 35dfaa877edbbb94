//! A gzip member: an RFC 1952 "extra" field with one subfield `BK` gives its sizes. The idea is BGZF's, whose 16-bit
//! field is too small for blocks of 1 MiB.
//!
//! ```text
//! 1f 8b 08 04 | mtime 0 (4) | xfl 0 | os ff | xlen 0c 00 | 'B' 'K' 08 00 | stored u32 | raw u32 | deflate … | crc32 | isize
//! ```

use super::{HEADER_LEN, TOO_LARGE, damaged, failed, write_header};
use crate::error::Result;
use libdeflater::{CompressionLvl, Compressor, Crc, Decompressor};

/// What every member begins with, before its sizes.
pub const HEAD: [u8; 16] = [0x1f, 0x8b, 8, 4, 0, 0, 0, 0, 0, 0xff, 12, 0, b'B', b'K', 8, 0];

const TRAILER_LEN: usize = 8;

/// Compresses at `level`, 0 to 12 as libdeflate counts: 0 stores.
pub fn compressor(level: u8) -> Compressor {
    Compressor::new(CompressionLvl::new(i32::from(level)).unwrap_or_default())
}

/// Makes a member of `raw`.
///
/// # Errors
/// When the library fails.
pub fn encode(compressor: &mut Compressor, raw: &[u8]) -> Result<Vec<u8>> {
    let bound = compressor.deflate_compress_bound(raw.len());
    let mut out = vec![0; HEADER_LEN + bound + TRAILER_LEN];
    let body = compressor
        .deflate_compress(raw, &mut out[HEADER_LEN..HEADER_LEN + bound])
        .map_err(|e| failed(&e.to_string()))?;
    let size = HEADER_LEN + body + TRAILER_LEN;
    out.truncate(size);
    write_header(&mut out, &HEAD, raw.len())?;
    let mut crc = Crc::new();
    crc.update(raw);
    let raw32 = u32::try_from(raw.len()).map_err(|_| failed(TOO_LARGE))?;
    out[size - 8..size - 4].copy_from_slice(&crc.sum().to_le_bytes());
    out[size - 4..].copy_from_slice(&raw32.to_le_bytes());
    out.shrink_to_fit();
    Ok(out)
}

/// Decompresses a whole member into `out`, which is as long as its header says.
///
/// # Errors
/// [`crate::error::Kind::Damaged`] when it is not as it was written.
pub fn decode(decompressor: &mut Decompressor, member: &[u8], out: &mut [u8]) -> Result<()> {
    let body = &member[HEADER_LEN..member.len() - TRAILER_LEN];
    let raw = decompressor.deflate_decompress(body, out).map_err(|_| damaged("does not decompress"))?;
    let mut crc = Crc::new();
    crc.update(out);
    let trailer = &member[member.len() - TRAILER_LEN..];
    if raw != out.len() || trailer[..4] != crc.sum().to_le_bytes() || trailer[4..] != member[20..24] {
        return Err(damaged("does not match its checksum"));
    }
    Ok(())
}
