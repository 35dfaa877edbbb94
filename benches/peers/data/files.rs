//! Files.

use super::Random;
use std::fs;
use std::path::Path;

/// Small files and some large ones, half of them incompressible; their bytes.
pub fn uploads(folder: &Path, size: f64) -> u64 {
    let mut random = Random(11);
    let mut bytes = 0u64;
    let mut write = |path: &Path, body: &[u8]| {
        bytes += body.len() as u64;
        fs::write(path, body).expect("write a file");
    };
    for number in 0..(20_000.0 * size) as u64 {
        let below = folder.join(format!("documents/{:03}", number / 100));
        fs::create_dir_all(&below).expect("make a folder");
        let length = 500 + random.below(50_000) as usize;
        let body = if number % 2 == 0 { random.noise(length) } else { random.text(length).into_bytes() };
        write(&below.join(format!("{number}.bin")), &body);
    }
    for number in 0..7 {
        let length = (70e6 * size) as usize;
        let body = if number % 2 == 0 { random.noise(length) } else { random.text(length).into_bytes() };
        write(&folder.join(format!("documents/large-{number}.bin")), &body);
    }
    bytes
}
