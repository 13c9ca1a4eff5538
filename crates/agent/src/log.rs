//! The agent's own log, which lies on the machine's disk and counts for nobody's: how much there is to say is up to what a
//! customer does, so it is bounded while it is written.

use std::{io, os::fd::AsFd, time::Duration};

use rustix::fs::{FileType, fstat, ftruncate};
use tokio::time::sleep;

/// Longer than this, in bytes, it begins anew.
const LIMIT: u64 = 8 << 20;
/// Between two looks.
const PAUSE: Duration = Duration::from_secs(10);

/// Looks at it for as long as the process lives.
pub async fn bound() {
    loop {
        match cut(io::stdout(), LIMIT) {
            Ok(true) => tracing::info!("the log had grown too long; it begins anew here"),
            Ok(false) => {}
            Err(error) => tracing::warn!(%error, "the log could not be looked at and may grow: {error}"),
        }
        sleep(PAUSE).await;
    }
}

/// Empties a file that is longer than this; whether it was. Whoever writes appends, so that what follows is at its
/// beginning.
fn cut(log: impl AsFd, limit: u64) -> io::Result<bool> {
    let about = fstat(&log)?;
    let grown = u64::try_from(about.st_size).is_ok_and(|size| size > limit);
    // A terminal and a pipe have no length.
    let cut = grown && FileType::from_raw_mode(about.st_mode) == FileType::RegularFile;
    if cut {
        ftruncate(&log, 0)?;
    }
    Ok(cut)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn a_log_that_is_too_long_begins_anew_for_whoever_appends_to_it() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut log = std::fs::OpenOptions::new().append(true).open(file.path()).unwrap();
        log.write_all(b"0123456789").unwrap();
        assert!(!cut(&log, 10).unwrap());
        log.write_all(b"!").unwrap();
        assert!(cut(&log, 10).unwrap());
        log.write_all(b"next").unwrap();
        assert_eq!(std::fs::read(file.path()).unwrap(), b"next");
        let (_, pipe) = io::pipe().unwrap();
        assert!(!cut(&pipe, 0).unwrap());
    }
}
