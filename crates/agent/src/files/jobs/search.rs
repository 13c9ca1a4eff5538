//! Finds names.

use domain::agent::FilePath;

use super::{SearchResult, Work};
use crate::files::{
    Files,
    error::{Result, Why},
    read,
    walk::{Odd, Walk},
};

/// Most entries found.
const MOST: usize = 1_000;
/// Longest text, in characters.
const LONGEST: usize = 255;

pub(super) fn search(files: &Files, path: &str, text: &str, work: &Work) -> Result<SearchResult> {
    if !(1..=LONGEST).contains(&text.chars().count()) {
        return Err(Why::Invalid(format!("a name of 1 to {LONGEST} characters")).into());
    }
    let (path, text) = (FilePath::parse(path)?, text.to_lowercase());
    let folder = files.root()?.folder(&path).map_err(|error| error.at(&path))?;
    let mut walk = Walk::new(&folder, path, Odd::Skip)?;
    let mut found = SearchResult::default();
    while let Some(entry) = walk.next()? {
        work.handled_entry()?;
        if !String::from_utf8_lossy(&entry.name).to_lowercase().contains(&text) {
            continue;
        }
        if found.entries.len() == MOST {
            found.truncated = true;
            break;
        }
        found.entries.push(read::info(entry.folder, &entry.name, &entry.path, &entry.stat));
    }
    Ok(found)
}
