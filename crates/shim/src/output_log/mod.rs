//! Output on disk: numbered entries in segment files of bounded total size, oldest dropped first.
//!
//! A segment is named by the number of its first entry; numbers within it follow without gaps. A number that no
//! segment has was lost: dropped for room, or never written because the disk was full. One writer ([`Writer`], the
//! shim of the game), any number of readers ([`Reader`]), no lock between them: what a reader finds half written it
//! takes for not yet written.

pub mod lines;
mod reader;
mod record;
mod writer;

use std::{
    fs, io,
    path::{Path, PathBuf},
};

pub use self::{
    reader::{Part, Reader},
    record::{Entry, MAX_TEXT},
    writer::Writer,
};

/// Where it is below the agent's folder.
pub const FOLDER: &str = "agent/output_log";
/// Bytes of all segments together.
pub const LIMIT: u64 = 8 * 1024 * 1024;
/// Bytes of a segment: what is dropped at once, and the most that is read to find an entry.
pub const SEGMENT: u64 = 512 * 1024;
const SUFFIX: &str = ".out";

fn segment_path(folder: &Path, first: u64) -> PathBuf {
    folder.join(format!("{first:020}{SUFFIX}"))
}

/// The first number of each segment, ascending. What is named otherwise is not ours.
fn segments(folder: &Path) -> io::Result<Vec<u64>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name();
        let first: Option<u64> = name.to_str().and_then(|name| name.strip_suffix(SUFFIX)?.parse().ok());
        found.extend(first);
    }
    found.sort_unstable();
    Ok(found)
}
