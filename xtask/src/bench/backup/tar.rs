//! What is compared with: the programs that a person would use, joined by a pipe.

use std::{
    fs,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};

use crate::prereq::{Need, need};

/// The programs.
pub(super) const NEEDS: &[Need] = &[need("tar", "tar"), need("zstd", "zstd")];

/// `tar -c FOLDER | zstd -3 > ARCHIVE`, until it is on the disk, as a stored backup is.
pub(super) fn pack(folder: &Path, archive: &Path) -> Result<Duration> {
    let begun = Instant::now();
    let mut tar = Command::new("tar");
    tar.arg("-C").arg(folder).args(["-cf", "-", "."]);
    let mut zstd = Command::new("zstd");
    zstd.args(["-3", "-q", "-f", "-o"]).arg(archive);
    join(tar, zstd)?;
    sync(archive)?;
    Ok(begun.elapsed())
}

/// `zstd -d < ARCHIVE | tar -x` into a new folder, until it is on the disk, as restored files are.
pub(super) fn unpack(archive: &Path, folder: &Path) -> Result<Duration> {
    fs::create_dir_all(folder)?;
    let begun = Instant::now();
    let mut zstd = Command::new("zstd");
    zstd.args(["-d", "-q", "-c"]).arg(archive);
    let mut tar = Command::new("tar");
    tar.arg("-C").arg(folder).args(["-xf", "-"]);
    join(zstd, tar)?;
    sync_all_of(folder)?;
    Ok(begun.elapsed())
}

/// Runs both, the first one's output being the second one's input.
fn join(mut first: Command, mut second: Command) -> Result<()> {
    let mut writer = first.stdout(Stdio::piped()).spawn().context("cannot run the first program")?;
    let pipe = writer.stdout.take().context("no output")?;
    let reader = second.stdin(pipe).spawn().context("cannot run the second program");
    // Dropped with the command: otherwise the writer would never learn that its reader is gone.
    drop(second);
    finish(reader?)?;
    finish(writer)
}

fn finish(mut child: Child) -> Result<()> {
    let status = child.wait()?;
    ensure!(status.success(), "a program of the baseline failed: {status}");
    Ok(())
}

fn sync(file: &Path) -> Result<()> {
    let status = Command::new("sync").arg(file).status().context("cannot run sync")?;
    ensure!(status.success(), "sync failed");
    Ok(())
}

/// The whole file system's: one call, where a call for each file would be another thing to measure.
fn sync_all_of(folder: &Path) -> Result<()> {
    let status = Command::new("sync").arg("--file-system").arg(folder).status().context("cannot run sync")?;
    ensure!(status.success(), "sync failed");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_packed_is_unpacked() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("from"), folder.path().join("to"));
        fs::create_dir_all(from.join("a")).unwrap();
        fs::write(from.join("a/b"), "content").unwrap();
        let archive = folder.path().join("x.tar.zst");
        pack(&from, &archive).unwrap();
        unpack(&archive, &to).unwrap();
        assert_eq!(fs::read_to_string(to.join("a/b")).unwrap(), "content");
        assert!(pack(&folder.path().join("missing"), &archive).is_err());
    }
}
