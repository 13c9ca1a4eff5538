//! Content that is the same in every run, and that no file system makes smaller.

use std::{
    fs::File,
    io::{BufWriter, Write as _},
    path::Path,
};

use anyhow::{Context as _, Result};

/// Numbers that look random: the same ones from the same seed (xorshift64, Marsaglia 2003).
pub(in crate::bench) struct Numbers(u64);

impl Numbers {
    /// From a seed.
    pub(in crate::bench) fn from(seed: u64) -> Self {
        // Zero would stay zero.
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    /// The next.
    pub(in crate::bench) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// The next, below a bound.
    pub(in crate::bench) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}

/// Writes a file of this many bytes, a multiple of eight.
pub(super) fn write(path: &Path, size: usize) -> Result<()> {
    let mut file = BufWriter::with_capacity(1 << 20, File::create(path).context("write the measured file")?);
    let mut numbers = Numbers::from(1);
    for _ in 0..size / 8 {
        file.write_all(&numbers.next().to_le_bytes())?;
    }
    file.into_inner()?.sync_all().context("write the measured file")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_is_the_same_each_time_and_as_long_as_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        let read = |name: &str| {
            write(&folder.path().join(name), 4_096).unwrap();
            std::fs::read(folder.path().join(name)).unwrap()
        };
        let (one, two) = (read("1"), read("2"));
        assert_eq!((one.len(), &one), (4_096, &two));
        assert_ne!(one[..8], one[8..16]);
    }
}
