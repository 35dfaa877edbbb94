//! A zstd frame, and before it a skippable frame (RFC 8878, 3.1.2) that gives the sizes, as pzstd's does. Any zstd reads
//! the frames one after the other and passes over those that are skippable.
//!
//! ```text
//! 5b 2a 4d 18 | length 10 00 00 00 | 'B' 'K' 08 00 | 0 (4) | stored u32 | raw u32 || 28 b5 2f fd … | checksum
//! ```

use super::{HEADER_LEN, damaged, failed, write_header};
use crate::error::{Error, Kind, Result};
use zstd::bulk::{Compressor, Decompressor};
use zstd::zstd_safe::{CParameter, compress_bound, find_frame_compressed_size};

/// What every member begins with, before its sizes.
pub const HEAD: [u8; 16] = [0x5b, 0x2a, 0x4d, 0x18, 16, 0, 0, 0, b'B', b'K', 8, 0, 0, 0, 0, 0];

/// A level at which nothing is coded that does not repeat: what does not compress is stored at the speed of memory.
pub const STORED: i32 = -7;

/// Compresses at `level`. Every frame gives its size and carries a checksum.
///
/// # Errors
/// When the library cannot be set up.
pub fn compressor(level: i32) -> Result<Compressor<'static>> {
    let made = Compressor::new(level).and_then(|mut compressor| {
        compressor.set_parameter(CParameter::ChecksumFlag(true))?;
        Ok(compressor)
    });
    made.map_err(|e| failed("zstd cannot be set up").cause(e))
}

/// What decompresses frames.
///
/// # Errors
/// When the library cannot be set up.
pub fn decompressor() -> Result<Decompressor<'static>> {
    Decompressor::new().map_err(|e| Error::new(Kind::Internal, "zstd cannot be set up").cause(e))
}

/// Makes a member of `raw`.
///
/// # Errors
/// When the library fails.
pub fn encode(compressor: &mut Compressor<'_>, raw: &[u8]) -> Result<Vec<u8>> {
    let mut out = vec![0; HEADER_LEN + compress_bound(raw.len())];
    let body =
        compressor.compress_to_buffer(raw, &mut out[HEADER_LEN..]).map_err(|e| failed("zstd failed").cause(e))?;
    out.truncate(HEADER_LEN + body);
    write_header(&mut out, &HEAD, raw.len())?;
    out.shrink_to_fit();
    Ok(out)
}

/// Decompresses a whole member into `out`, which is as long as its header says.
///
/// # Errors
/// [`Kind::Damaged`] when it is not as it was written.
pub fn decode(decompressor: &mut Decompressor<'_>, member: &[u8], out: &mut [u8]) -> Result<()> {
    let frame = &member[HEADER_LEN..];
    // One frame and nothing else: the library would read on into what follows it.
    if find_frame_compressed_size(frame) != Ok(frame.len()) {
        return Err(damaged("does not end where it must"));
    }
    match decompressor.decompress_to_buffer(frame, out) {
        Ok(raw) if raw == out.len() => Ok(()),
        _ => Err(damaged("does not decompress to what was compressed")),
    }
}
