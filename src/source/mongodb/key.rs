//! What the server takes for the same key: numbers by value, whatever their type, text by its bytes, everything else byte
//! for byte. Where it takes more for the same (numbers within documents, what a collation joins) two keys are told apart
//! here, and what the server then answers with is refused as a stranger's.

use super::records::{RawValue, elements};
use crate::error::Result;
use sha2::{Digest, Sha256};

/// A value in memory that is bounded: SHA-256 of it, cut to 16 bytes.
pub type Key = [u8; 16];

/// An `_id` as it is stored: its type byte and its bytes.
pub type Id = (u8, Vec<u8>);

/// The key that a value is; none for null, which names nothing.
pub fn key_of((kind, raw): RawValue<'_>) -> Option<Key> {
    let mut hash = Sha256::new();
    match (kind, raw) {
        (0x06 | 0x0A, _) => return None,
        (0x01 | 0x10 | 0x12 | 0x13, _) => hash.update(number(kind, raw)),
        // The server takes a symbol for its text.
        (0x02 | 0x0E, [_, _, _, _, text @ .., _]) => {
            hash.update(b"s");
            hash.update(text);
        }
        _ => {
            hash.update([kind]);
            hash.update(raw);
        }
    }
    hash.finalize().first_chunk().copied()
}

/// The first `_id` of a document.
pub fn id_of(document: &[u8]) -> Result<Option<Id>> {
    let mut id = None;
    elements(document, |key, (kind, value): RawValue<'_>| {
        if key == b"_id" {
            id = Some((kind, value.to_vec()));
        }
        id.is_none()
    })?;
    Ok(id)
}

/// A number as sign, digits and power of ten without trailing zeros, so that 1, 1.0 and 1E0 are one; what that has no
/// room for, and what is not finite, as it is.
fn number(kind: u8, raw: &[u8]) -> Vec<u8> {
    let exact = match kind {
        0x10 => raw.first_chunk().map(|b| integer(i64::from(i32::from_le_bytes(*b)))),
        0x12 => raw.first_chunk().map(|b| integer(i64::from_le_bytes(*b))),
        0x01 => raw.first_chunk().and_then(|b| double(f64::from_le_bytes(*b))),
        _ => raw.first_chunk().and_then(|b| decimal(u128::from_le_bytes(*b))),
    };
    match exact {
        Some((negative, digits, power)) => written(negative, digits, power),
        None => endless(kind, raw),
    }
}

fn written(negative: bool, mut digits: u128, mut power: i32) -> Vec<u8> {
    if digits == 0 {
        return b"n0".to_vec();
    }
    while digits.is_multiple_of(10) {
        digits /= 10;
        power += 1;
    }
    format!("n{}{digits}e{power}", if negative { "-" } else { "" }).into_bytes()
}

fn integer(number: i64) -> (bool, u128, i32) {
    (number < 0, u128::from(number.unsigned_abs()), 0)
}

/// A double is a whole number times a power of two, and so a whole number times a power of ten.
fn double(number: f64) -> Option<(bool, u128, i32)> {
    if !number.is_finite() {
        return None;
    }
    if number == 0.0 {
        return Some((false, 0, 0));
    }
    let bits = number.to_bits();
    let (stored, fraction) = ((bits >> 52 & 0x7FF) as i32, u128::from(bits & ((1 << 52) - 1)));
    let (mut digits, mut power) = if stored == 0 { (fraction, -1074) } else { (fraction | 1 << 52, stored - 1075) };
    while digits.is_multiple_of(2) && power < 0 {
        digits /= 2;
        power += 1;
    }
    let digits = if power >= 0 {
        let shift = u32::try_from(power).ok().filter(|shift| *shift < digits.leading_zeros());
        digits.checked_shl(shift?)?
    } else {
        digits.checked_mul(5u128.checked_pow(power.unsigned_abs())?)?
    };
    Some((number < 0.0, digits, power.min(0)))
}

/// IEEE 754-2008 decimal128, binary integer significand.
fn decimal(bits: u128) -> Option<(bool, u128, i32)> {
    let negative = bits >> 127 == 1;
    let large = bits >> 125 & 3 == 3;
    if large && bits >> 123 & 0xF == 0xF {
        return None;
    }
    // A significand of more than 34 digits is not canonical, and stands for zero.
    let digits = if large { 0 } else { bits & ((1 << 113) - 1) };
    let exponent = if large { bits >> 111 & 0x3FFF } else { bits >> 113 & 0x3FFF };
    let digits = if digits < 10u128.pow(34) { digits } else { 0 };
    Some((negative, digits, i32::try_from(exponent).ok()? - 6176))
}

fn endless(kind: u8, raw: &[u8]) -> Vec<u8> {
    let (infinite, negative) = match kind {
        0x01 => {
            let number = raw.first_chunk().map_or(f64::NAN, |b| f64::from_le_bytes(*b));
            if number.is_finite() {
                return [&b"d"[..], raw].concat();
            }
            (number.is_infinite(), number < 0.0)
        }
        _ => {
            let bits = raw.first_chunk().map_or(0, |b| u128::from_le_bytes(*b));
            (bits >> 122 & 0x1F == 0x1E, bits >> 127 == 1)
        }
    };
    match (infinite, negative) {
        (false, _) => b"nan".to_vec(),
        (true, negative) => format!("n{}inf", if negative { "-" } else { "" }).into_bytes(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bson::{Bson, doc, oid::ObjectId};

    fn key(value: impl Into<Bson>) -> Option<Key> {
        let document = bson::serialize_to_vec(&doc! {"_id": value.into()}).unwrap();
        let (kind, raw) = id_of(&document).unwrap().unwrap();
        key_of((kind, &raw))
    }

    fn decimal(text: &str) -> Bson {
        Bson::Decimal128(text.parse().unwrap())
    }

    #[test]
    fn numbers_of_one_value_are_one_key_whatever_their_type() {
        for same in [
            vec![Bson::from(7), 7i64.into(), 7.0.into(), decimal("7"), decimal("7.00"), decimal("0.7E1")],
            vec![0.into(), 0i64.into(), 0.0.into(), (-0.0).into(), decimal("0"), decimal("-0E5")],
            vec![0.5.into(), decimal("0.5"), decimal("5E-1")],
            vec![(-3000).into(), decimal("-3E3"), (-3000.0).into()],
            vec![i64::MIN.into(), (-9_223_372_036_854_775_808.0).into(), decimal("-9223372036854775808")],
            vec![f64::NAN.into(), decimal("NaN")],
            vec![f64::INFINITY.into(), decimal("Infinity")],
            vec![f64::NEG_INFINITY.into(), decimal("-Infinity")],
            vec!["a".into(), Bson::Symbol("a".into())],
        ] {
            same.iter().for_each(|value| assert_eq!(key(value.clone()), key(same[0].clone()), "{value:?}"));
        }
    }

    #[test]
    fn what_differs_is_another_key() {
        let all: Vec<Bson> = vec![
            1.into(),
            (-1).into(),
            10.into(),
            0.1.into(),
            decimal("0.1"),
            (2f64.powi(200)).into(),
            (2f64.powi(-1074)).into(),
            9_007_199_254_740_993i64.into(),
            9_007_199_254_740_992.0.into(),
            "1".into(),
            "".into(),
            "A".into(),
            "a".into(),
            true.into(),
            Bson::Array(vec![1.into()]),
            doc! {"a": 1}.into(),
            ObjectId::new().into(),
            f64::NAN.into(),
            f64::INFINITY.into(),
        ];
        let keys: std::collections::HashSet<_> = all.iter().map(|value| key(value.clone()).unwrap()).collect();
        assert_eq!(keys.len(), all.len());
        assert_eq!(key(Bson::Null), None);
        assert_eq!(key(Bson::Undefined), None);
    }
}
