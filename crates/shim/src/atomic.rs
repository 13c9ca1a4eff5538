//! Files that are replaced as a whole.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

/// Replaces `file` with `content` so that a reader or a power cut sees the old or the new one, never a part; 0600.
pub fn write_atomically(file: &Path, content: &[u8]) -> io::Result<()> {
    let temporary = file.with_extension("tmp");
    let mut writer =
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
    writer.write_all(content)?;
    writer.sync_all()?;
    fs::rename(&temporary, file)?;
    File::open(file.parent().unwrap_or(Path::new("/")))?.sync_all()
}
