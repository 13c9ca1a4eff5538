//! Files as a game has them after a while, the same in every run: many small ones that compress well, as settings,
//! player data and logs do, and some big ones, half of which are compressed already, as worlds are.

use std::{fs, path::Path};

use anyhow::{Context as _, Result};

use crate::{bench::files::Numbers, ui};

const SMALL: u64 = 12_000;
/// In one folder.
const PER_FOLDER: u64 = 200;
/// Bytes of a small file, from and up to.
const SMALL_BYTES: (u64, u64) = (200, 16_000);
const BIG: u64 = 24;
const BIG_BYTES: usize = 24 << 20;

const WORDS: [&str; 16] = [
    "true",
    "false",
    "minecraft",
    "position",
    "health",
    "inventory",
    "0.0",
    "64",
    "level",
    "world",
    "spawn",
    "player",
    "stone",
    "oak_planks",
    "north",
    "\n",
];

/// Writes the tree. Returns how many bytes its files have.
pub(super) fn write(folder: &Path) -> Result<usize> {
    let step = ui::step("A game's files");
    let mut numbers = Numbers::from(7);
    let mut bytes = 0;
    for n in 0..SMALL {
        let size = SMALL_BYTES.0 + numbers.below(SMALL_BYTES.1 - SMALL_BYTES.0);
        let content = text(&mut numbers, usize::try_from(size)?);
        bytes += put(&folder.join(format!("data/{}/{n}.json", n / PER_FOLDER)), content.as_bytes())?;
    }
    for n in 0..BIG {
        let path = folder.join(format!("region/r.{n}.mca"));
        bytes += if n % 2 == 0 {
            put(&path, &noise(&mut numbers, BIG_BYTES))?
        } else {
            put(&path, text(&mut numbers, BIG_BYTES).as_bytes())?
        };
    }
    step.done(&format!("{} files", SMALL + BIG));
    Ok(bytes)
}

fn put(path: &Path, content: &[u8]) -> Result<usize> {
    fs::create_dir_all(path.parent().context("no folder")?)?;
    fs::write(path, content).with_context(|| format!("write {}", path.display()))?;
    Ok(content.len())
}

/// Words in an order that nothing tells, between numbers.
fn text(numbers: &mut Numbers, size: usize) -> String {
    let mut text = String::with_capacity(size + 64);
    while text.len() < size {
        let number = numbers.next();
        let word = usize::try_from(number % WORDS.len() as u64).unwrap_or_default();
        text.push_str(WORDS[word]);
        text.push(' ');
        text.push_str(&(number >> 48).to_string());
        text.push(' ');
    }
    text.truncate(size);
    text
}

/// What no compression makes smaller.
fn noise(numbers: &mut Numbers, size: usize) -> Vec<u8> {
    (0..size / 8).flat_map(|_| numbers.next().to_le_bytes()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_content_comes_from_the_same_seed() {
        let make = |seed| {
            let mut numbers = Numbers::from(seed);
            (text(&mut numbers, 500), noise(&mut numbers, 64))
        };
        assert_eq!(make(7), make(7));
        assert_ne!(make(7), make(8));
        assert_eq!((make(7).0.len(), make(7).1.len()), (500, 64));
    }
}
