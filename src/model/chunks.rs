//! The rule by which a repository cuts content into chunks, each of which it stores once.

use std::{fmt, ops::RangeInclusive, str::FromStr};

use super::quantity::Size;

/// The rule by which content is cut into chunks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Chunks {
    /// Each has this many bytes: for databases, which change page by page.
    Fixed(u64),
    /// The content decides, some MiB each: for files that grow, shrink and move.
    ByContent,
}

/// The bytes of a state below which its chunks have a size. Each chunk costs 32 bytes in every state, so larger states get
/// larger ones (docs/decisions/0026-fixed-chunks.md).
const BY_STATE: [(u64, u64); 3] = [
    (256 << 20, 8 << 10),
    (1 << 30, 16 << 10),
    (16 << 30, 64 << 10),
];

impl Chunks {
    /// The text that stands for [`Chunks::ByContent`].
    const CONTENT: &str = "content";
    /// The smallest and the largest fixed size in bytes.
    const SIZES: RangeInclusive<u64> = 4 << 10..=4 << 20;
    /// The bytes of a state from which content decides.
    pub const LARGE_STATE: u64 = BY_STATE[BY_STATE.len() - 1].0;

    /// Returns the default for a state of so many bytes.
    pub fn for_state(bytes: u64) -> Chunks {
        let found = BY_STATE.iter().find(|(below, _)| bytes < *below);
        found.map_or(Chunks::ByContent, |(_, size)| Chunks::Fixed(*size))
    }
}

impl FromStr for Chunks {
    type Err = String;

    fn from_str(text: &str) -> Result<Chunks, String> {
        if text == Chunks::CONTENT {
            return Ok(Chunks::ByContent);
        }
        let size = text.parse::<Size>().map(Size::bytes).ok();
        let size = size.filter(|size| Chunks::SIZES.contains(size) && size.is_power_of_two());
        size.map(Chunks::Fixed).ok_or_else(|| {
            "a chunk is `content`, or a power of two from 4 KiB to 4 MiB, such as \"8 KiB\""
                .to_owned()
        })
    }
}

impl fmt::Display for Chunks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Chunks::Fixed(bytes) if bytes % (1 << 20) == 0 => write!(f, "{} MiB", bytes >> 20),
            Chunks::Fixed(bytes) => write!(f, "{} KiB", bytes >> 10),
            Chunks::ByContent => f.write_str(Chunks::CONTENT),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunk_is_a_power_of_two_or_content() {
        for (text, shown) in [
            ("4KiB", "4 KiB"),
            ("8 KiB", "8 KiB"),
            ("65536", "64 KiB"),
            ("4 MiB", "4 MiB"),
            ("content", "content"),
        ] {
            let chunks: Chunks = text.parse().expect(text);
            assert_eq!(chunks.to_string(), shown);
            assert_eq!(chunks.to_string().parse::<Chunks>().expect(shown), chunks);
        }
        for wrong in ["2 KiB", "8 MiB", "12 KiB", "8 kB", "Content", "", "0"] {
            assert!(wrong.parse::<Chunks>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn larger_states_get_larger_chunks() {
        for (bytes, shown) in [
            (0, "8 KiB"),
            ((256 << 20) - 1, "8 KiB"),
            (256 << 20, "16 KiB"),
            ((1 << 30) - 1, "16 KiB"),
            (1 << 30, "64 KiB"),
            (Chunks::LARGE_STATE - 1, "64 KiB"),
            (Chunks::LARGE_STATE, "content"),
            (u64::MAX, "content"),
        ] {
            assert_eq!(Chunks::for_state(bytes).to_string(), shown, "{bytes}");
        }
    }
}
