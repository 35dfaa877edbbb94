//! Tar headers for entries, as POSIX ustar with pax records where ustar cannot say it (long or non-ASCII names,
//! sub-second times, extended attributes) and GNU long names where a pax record cannot (names that are not UTF-8).

use crate::error::{Error, Kind, Result};
use crate::source::{FileKind, FileRecord};
use tar::{EntryType, Header};

/// Size of a tar block; headers and data are padded to it.
pub const TAR_BLOCK: u64 = 512;

/// Bytes that pad `size` bytes of data to a whole tar block.
pub fn padding(size: u64) -> usize {
    (size.next_multiple_of(TAR_BLOCK) - size) as usize
}

/// The header of an entry an engine stores: a regular file only its owner reads.
pub fn data_header(path: &str, size: u64, mtime: i64) -> Result<Vec<u8>> {
    let record = FileRecord {
        kind: FileKind::File,
        mode: 0o600,
        uid: 0,
        gid: 0,
        mtime: (mtime, 0),
        link: None,
        xattrs: Vec::new(),
        torn: false,
    };
    file_header(path.as_bytes(), size, &record)
}

/// The header of a file system object: extension headers first, where needed, then its own.
pub fn file_header(path: &[u8], size: u64, record: &FileRecord) -> Result<Vec<u8>> {
    let mut out = Vec::with_capacity(2 * TAR_BLOCK as usize);
    let link = record.link.as_deref().map(from_hex).transpose()?.unwrap_or_default();
    let mut path = path.to_vec();
    if record.kind == FileKind::Directory && !path.ends_with(b"/") {
        path.push(b'/');
    }

    let mut pax = Vec::new();
    let mut name = Field::new(&path, 100);
    let mut target = Field::new(&link, 100);
    name.extend(b"path", EntryType::GNULongName, &mut pax, &mut out)?;
    target.extend(b"linkpath", EntryType::GNULongLink, &mut pax, &mut out)?;
    let (seconds, nanos) = record.mtime;
    if nanos != 0 || seconds < 0 {
        pax_record(&mut pax, b"mtime", pax_time(seconds, nanos).as_bytes());
    }
    for (key, value) in &record.xattrs {
        pax_record(&mut pax, format!("SCHILY.xattr.{key}").as_bytes(), &from_hex(value)?);
    }
    if !pax.is_empty() {
        push_extension(&mut out, EntryType::XHeader, b"PaxHeaders/entry", &pax)?;
    }

    let mut header = Header::new_ustar();
    header.set_entry_type(match record.kind {
        FileKind::File => EntryType::Regular,
        FileKind::Directory => EntryType::Directory,
        FileKind::Symlink => EntryType::Symlink,
    });
    header.as_old_mut().name[..name.short.len()].copy_from_slice(&name.short);
    header.as_old_mut().linkname[..target.short.len()].copy_from_slice(&target.short);
    header.set_mode(record.mode & 0o7777);
    header.set_uid(u64::from(record.uid));
    header.set_gid(u64::from(record.gid));
    header.set_mtime(u64::try_from(seconds).unwrap_or(0));
    header.set_size(size);
    header.set_cksum();
    out.extend_from_slice(header.as_bytes());
    Ok(out)
}

/// A name field of the header, cut to what fits where an extension says it in full.
struct Field<'a> {
    full: &'a [u8],
    short: Vec<u8>,
}

impl<'a> Field<'a> {
    fn new(full: &'a [u8], room: usize) -> Self {
        Self { full, short: full[..full.len().min(room)].to_vec() }
    }

    fn extend(&mut self, key: &[u8], gnu: EntryType, pax: &mut Vec<u8>, out: &mut Vec<u8>) -> Result<()> {
        if self.short.len() == self.full.len() {
            return Ok(());
        }
        if std::str::from_utf8(self.full).is_ok() {
            pax_record(pax, key, self.full);
            return Ok(());
        }
        let mut body = self.full.to_vec();
        body.push(0);
        push_extension(out, gnu, b"././@LongLink", &body)
    }
}

fn push_extension(out: &mut Vec<u8>, kind: EntryType, name: &[u8], body: &[u8]) -> Result<()> {
    let mut header = if kind == EntryType::XHeader { Header::new_ustar() } else { Header::new_gnu() };
    header.set_entry_type(kind);
    header.as_old_mut().name[..name.len()].copy_from_slice(name);
    header.set_mode(0o600);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    let size =
        u64::try_from(body.len()).map_err(|e| Error::new(Kind::Internal, "a tar header is too large").cause(e))?;
    header.set_size(size);
    header.set_cksum();
    out.extend_from_slice(header.as_bytes());
    out.extend_from_slice(body);
    out.resize(out.len() + padding(size), 0);
    Ok(())
}

/// `<length> <key>=<value>\n`, where the length counts itself (POSIX pax).
fn pax_record(out: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + 1;
    while length != rest + length.to_string().len() {
        length = rest + length.to_string().len();
    }
    out.extend_from_slice(length.to_string().as_bytes());
    out.push(b' ');
    out.extend_from_slice(key);
    out.push(b'=');
    out.extend_from_slice(value);
    out.push(b'\n');
}

/// Keys and values of a pax extension header. The length says where a record ends: a value may hold a newline.
pub fn pax_records(mut body: &[u8]) -> Result<Vec<(&[u8], &[u8])>> {
    let bad = || Error::new(Kind::Damaged, "a pax header is malformed");
    let mut records = Vec::new();
    while !body.is_empty() {
        let space = body.iter().take(20).position(|b| *b == b' ').ok_or_else(bad)?;
        let length = std::str::from_utf8(&body[..space]).ok().and_then(|digits| digits.parse::<usize>().ok());
        let length = length.filter(|length| *length <= body.len()).ok_or_else(bad)?;
        let record = body.get(space + 1..length).and_then(|record| record.strip_suffix(b"\n")).ok_or_else(bad)?;
        let equals = record.iter().position(|b| *b == b'=').ok_or_else(bad)?;
        records.push((&record[..equals], &record[equals + 1..]));
        body = &body[length..];
    }
    Ok(records)
}

fn pax_time(seconds: i64, nanos: u32) -> String {
    if seconds >= 0 || nanos == 0 {
        return format!("{seconds}.{nanos:09}");
    }
    // A negative decimal: -1.25 is second -2 plus 750,000,000 nanoseconds.
    format!("-{}.{:09}", -(seconds + 1), 1_000_000_000 - nanos)
}

/// Bytes of a hexadecimal text.
pub fn from_hex(text: &str) -> Result<Vec<u8>> {
    let bad = || Error::new(Kind::Damaged, "a hexadecimal field of the index is no hexadecimal text");
    if !text.len().is_multiple_of(2) || !text.is_ascii() {
        return Err(bad());
    }
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).map_err(|_| bad())).collect()
}

/// Hexadecimal text of bytes.
pub fn to_hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut out, byte| {
        // Writing to a String cannot fail.
        let _ = write!(out, "{byte:02x}");
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pax_lengths_count_themselves() {
        for size in [1, 90, 91, 92, 93, 94, 990, 991, 992, 9_990] {
            let mut out = Vec::new();
            pax_record(&mut out, b"k", &vec![b'v'; size]);
            let text = String::from_utf8(out).unwrap();
            let (length, _) = text.split_once(' ').unwrap();
            assert_eq!(length.parse::<usize>().unwrap(), text.len());
        }
    }

    #[test]
    fn times_before_1970_are_negative_decimals() {
        assert_eq!(pax_time(-2, 750_000_000), "-1.250000000");
        assert_eq!(pax_time(3, 5), "3.000000005");
    }
}
