//! Sizes as people write them.

/// The number of bytes of `100MiB`, `5GB` or a plain number; none when it is no size, or zero.
pub fn parse_size(text: &str) -> Option<u64> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let number: u64 = text[..digits].parse().ok()?;
    let unit: u64 = match text[digits..].trim() {
        "" | "B" => 1,
        "kB" | "KB" => 1000,
        "MB" => 1000_u64.pow(2),
        "GB" => 1000_u64.pow(3),
        "TB" => 1000_u64.pow(4),
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        "TiB" => 1 << 40,
        _ => return None,
    };
    number.checked_mul(unit).filter(|bytes| *bytes > 0)
}

/// A rate in bytes a second. Slower than a mebibyte a second no database keeps its snapshot until the end.
///
/// # Errors
/// With what is wrong with it.
pub fn parse_rate(text: &str) -> Result<u64, &'static str> {
    match parse_size(text) {
        Some(rate) if rate >= 1 << 20 => Ok(rate),
        Some(_) => Err("must be at least 1MiB: slower than that no database keeps its snapshot until the end"),
        None => Err("is no size; write 20MiB, 100MB or a number of bytes"),
    }
}
