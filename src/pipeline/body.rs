//! A body of known length on its way into an archive: in pieces, hashed, and as long as was said, whatever its source does.

use super::BLOCK_SIZE;
use crate::error::Result;
use sha2::{Digest, Sha256};
use std::io::Read;

/// What comes next of a body.
#[derive(Debug)]
pub enum Piece {
    /// Bytes, at most [`BLOCK_SIZE`].
    Bytes(Vec<u8>),
    /// Nothing: all of it was given.
    End(BodyEnd),
}

/// What a body was.
#[derive(Debug, Clone)]
pub struct BodyEnd {
    /// SHA-256 of all its bytes.
    pub sha256: [u8; 32],
    /// Why it is not whole: what it lacked is zeros.
    pub torn: Option<String>,
}

/// Gives a body piece by piece.
pub trait Body {
    /// The next piece.
    ///
    /// # Errors
    /// When the run ends; never because of what is read.
    fn next(&mut self) -> Result<Piece>;
}

/// A body that is read as it is asked for.
#[derive(Debug)]
pub struct Content<R> {
    from: R,
    left: u64,
    hash: Sha256,
    torn: Option<String>,
}

impl<R: Read> Content<R> {
    /// `size` bytes of `from`. When it ends early or fails the rest is zeros; what it holds beyond is not read.
    pub fn new(from: R, size: u64) -> Self {
        Self { from, left: size, hash: Sha256::new(), torn: None }
    }
}

impl<R: Read> Body for Content<R> {
    fn next(&mut self) -> Result<Piece> {
        if self.left == 0 {
            let sha256 = self.hash.clone().finalize().into();
            return Ok(Piece::End(BodyEnd { sha256, torn: self.torn.clone() }));
        }
        let mut piece = vec![0; usize::try_from(self.left).unwrap_or(BLOCK_SIZE).min(BLOCK_SIZE)];
        if self.torn.is_none() {
            self.torn = fill(&mut self.from, &mut piece).err();
        }
        self.hash.update(&piece);
        self.left -= piece.len() as u64;
        Ok(Piece::Bytes(piece))
    }
}

/// Fills `buffer`; on failure the rest stays zero and the reason is told.
fn fill(from: &mut impl Read, mut buffer: &mut [u8]) -> Result<(), String> {
    while !buffer.is_empty() {
        match from.read(buffer) {
            Ok(0) => return Err("it became shorter while it was read".into()),
            Ok(n) => buffer = &mut buffer[n..],
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e.to_string()),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(mut body: impl Body) -> (Vec<u8>, BodyEnd) {
        let mut bytes = Vec::new();
        loop {
            match body.next().unwrap() {
                Piece::Bytes(piece) => {
                    assert!((1..=BLOCK_SIZE).contains(&piece.len()));
                    bytes.extend(piece);
                }
                Piece::End(end) => return (bytes, end),
            }
        }
    }

    #[test]
    fn a_body_is_as_long_as_was_said_and_says_what_it_lacked() {
        let long = vec![7; 3 * BLOCK_SIZE];
        for size in [0, 1, BLOCK_SIZE, BLOCK_SIZE + 1, 3 * BLOCK_SIZE] {
            let (bytes, end) = all(Content::new(&long[..], size as u64));
            assert_eq!((bytes.len(), end.torn), (size, None));
            assert_eq!(end.sha256[..], Sha256::digest(&bytes)[..]);
        }
        let (bytes, end) = all(Content::new(&b"short"[..], BLOCK_SIZE as u64 + 9));
        assert!(bytes.starts_with(b"short\0") && bytes.len() == BLOCK_SIZE + 9);
        assert_eq!(end.sha256[..], Sha256::digest(&bytes)[..]);
        assert!(end.torn.is_some());
    }
}
