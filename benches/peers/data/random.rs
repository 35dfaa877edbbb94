//! A generator of numbers, words and noise, seeded: what is made is the same each time.

/// A small generator, the same on every machine (splitmix64).
pub struct Random(pub u64);

impl Random {
    /// The next number.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// Words, as people write them.
    pub fn text(&mut self, bytes: usize) -> String {
        const WORDS: [&str; 24] = [
            "employee",
            "contract",
            "leave",
            "approved",
            "department",
            "the",
            "of",
            "and",
            "insurance",
            "policy",
            "claim",
            "monthly",
            "salary",
            "review",
            "by",
            "manager",
            "document",
            "uploaded",
            "2024",
            "pending",
            "Cairo",
            "clinic",
            "visit",
            "note",
        ];
        let mut text = String::with_capacity(bytes + 12);
        while text.len() < bytes {
            text.push_str(WORDS[self.below(24) as usize]);
            text.push(if self.below(9) == 0 { '\n' } else { ' ' });
        }
        text.truncate(bytes);
        text
    }

    /// Bytes that do not compress.
    pub fn noise(&mut self, bytes: usize) -> Vec<u8> {
        let mut noise = Vec::with_capacity(bytes + 8);
        while noise.len() < bytes {
            noise.extend_from_slice(&self.next().to_le_bytes());
        }
        noise.truncate(bytes);
        noise
    }
}
