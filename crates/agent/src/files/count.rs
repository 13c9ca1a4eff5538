//! Counts what lies in the customer's folder: the server itself writes there too, and nobody tells us.

use std::{
    collections::HashSet,
    os::fd::AsFd,
    time::{Duration, Instant},
};

use domain::agent::FilePath;
use tokio::time::sleep;
use tracing::warn;

use super::{
    Files, at,
    error::Result,
    walk::{Odd, Walk},
};

/// Pause between two counts.
const PAUSE: Duration = Duration::from_mins(1);
/// The same, until one has succeeded.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// A count may take this part of the time.
const SHARE: u32 = 20;
/// Counts in a row when something was written meanwhile.
const TRIES: usize = 3;
/// Files with several names that are remembered, so that they count once; beyond these they count for each name.
const LINKED: usize = 1_000_000;

/// Counts again and again.
pub(super) async fn keep_counting(files: Files) {
    loop {
        let begun = Instant::now();
        // Without a permit: it waits for nobody, and there is one.
        let again = files.clone();
        match tokio::task::spawn_blocking(move || count_once(&again)).await {
            Ok(Ok(())) => drop(files.0.counted.send_replace(true)),
            Ok(Err(error)) => {
                warn!(%error, "the disk space in use could not be counted and is counted again: {error}");
            }
            Err(error) => warn!(%error, "counting the disk space in use failed and is tried again: {error}"),
        }
        // Until it was counted once nothing is written: somebody may be waiting.
        let pause = if *files.0.counted.borrow() { PAUSE } else { FIRST_PAUSE };
        tokio::select! {
            () = sleep(pause.max(begun.elapsed() * SHARE)) => {}
            () = files.0.count_now.notified() => {}
        }
    }
}

fn count_once(files: &Files) -> Result<()> {
    let root = files.root()?;
    files.0.scratch.clear(&root)?;
    for _ in 0..TRIES {
        let before = files.0.quota.changes();
        if files.0.quota.counted(bytes(&root)?, before) {
            break;
        }
    }
    Ok(())
}

/// The sum of the sizes of all files below `folder`; one with several names counts once. Blocking.
pub(crate) fn bytes(folder: impl AsFd) -> Result<u64> {
    let mut walk = Walk::new(folder, FilePath::root(), Odd::Skip)?.with_reserved();
    let (mut sum, mut linked) = (0_u64, HashSet::new());
    while let Some(found) = walk.next()? {
        let size = at::size(&found.stat);
        let again = size > 0
            && found.stat.st_nlink > 1
            && linked.len() < LINKED
            && !linked.insert((found.stat.st_dev, found.stat.st_ino));
        if !again {
            sum = sum.saturating_add(size);
        }
    }
    Ok(sum)
}
