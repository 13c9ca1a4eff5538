//! Unpacks archives: files, folders and links that stay inside; nothing else, and not without end.

use std::{
    fs::File,
    io::{self, BufReader, Read},
    path::{Path, PathBuf},
};

use domain::agent::Unpack;
use flate2::read::MultiGzDecoder;
use tar::{Archive, Entry, EntryType};

use super::{
    error::InstallError,
    files::{DataFolder, DataPath},
};

/// Most entries of an archive.
const MAX_ENTRIES: usize = 500_000;
/// Most bytes unpacked (64 GiB). The disk's own limit usually comes first.
const MAX_BYTES: u64 = 64 << 30;
/// Bytes of an archive read at once.
const BUFFER: usize = 128 * 1024;
/// Largest window of a Zstandard frame, as a power of two (128 MiB): what its `--ultra` levels use, and no more.
const ZSTD_WINDOW_LOG: u32 = 27;

/// Unpacks `archive` into the folder `into`, which may grow by `room` bytes. Each file is whole under its name, or is
/// not there. Blocking.
pub fn unpack(
    data: &DataFolder,
    archive: File,
    format: Unpack,
    into: &Path,
    room: u64,
    name: &str,
) -> Result<(), InstallError> {
    let archive = BufReader::with_capacity(BUFFER, archive);
    let reader: Box<dyn Read> = match format {
        Unpack::TarGz => Box::new(MultiGzDecoder::new(archive)),
        Unpack::TarZst => Box::new(zstd(archive).map_err(|error| InstallError::at(name, error))?),
    };
    let unpacker = Unpacker { data, into, name, unpacked: 0, room };
    unpacker.run(&mut Archive::new(reader))?;
    // Once for all files: a sync of each would take minutes for ten thousand small ones.
    data.sync_all().map_err(|error| InstallError::at(name, error))
}

fn zstd(archive: BufReader<File>) -> io::Result<impl Read> {
    let mut decoder = zstd::stream::read::Decoder::with_buffer(archive)?;
    decoder.window_log_max(ZSTD_WINDOW_LOG)?;
    Ok(decoder)
}

struct Unpacker<'u> {
    data: &'u DataFolder,
    into: &'u Path,
    name: &'u str,
    /// Bytes that came out.
    unpacked: u64,
    /// Bytes that may be added to those that are there.
    room: u64,
}

impl Unpacker<'_> {
    fn run(mut self, archive: &mut Archive<Box<dyn Read>>) -> Result<(), InstallError> {
        let entries = archive.entries().map_err(|error| self.damaged(&error))?;
        for (count, entry) in entries.enumerate() {
            let mut entry = entry.map_err(|error| self.damaged(&error))?;
            if count >= MAX_ENTRIES {
                return Err(self.refused("it has too many files"));
            }
            self.entry(&mut entry)?;
        }
        Ok(())
    }

    fn entry(&mut self, entry: &mut Entry<'_, Box<dyn Read>>) -> Result<(), InstallError> {
        let kind = entry.header().entry_type();
        if kind == EntryType::XGlobalHeader {
            return Ok(());
        }
        let path = entry.path().map_err(|error| self.damaged(&error))?.into_owned();
        let path = self.target(&path).ok_or_else(|| self.outside(&path))?;
        let shown = path.display().to_string();
        let at = |error| InstallError::at(&shown, error);
        match kind {
            EntryType::Directory => self.data.dir().create_dir_all(&path).map_err(at),
            EntryType::Regular | EntryType::Continuous => self.file(entry, &path),
            EntryType::Symlink => self.symlink(&self.link(entry)?, &path),
            EntryType::Link => {
                let link = self.link(entry)?;
                let source = self.target(&link).ok_or_else(|| self.outside(&link))?;
                self.replace(&path)
                    .and_then(|()| self.data.dir().hard_link(source, self.data.dir(), &path))
                    .map_err(at)
            }
            _ => Err(self.refused(&format!("{shown} is neither a file nor a folder nor a link"))),
        }
    }

    fn file(&mut self, entry: &mut Entry<'_, Box<dyn Read>>, path: &Path) -> Result<(), InstallError> {
        let mode = entry.header().mode().unwrap_or(0o644) & 0o777 | 0o600;
        let at = |error| InstallError::at(&path.display().to_string(), error);
        let mut scratch = self.data.scratch().map_err(at)?;
        let length = entry.size();
        self.unpacked = self.unpacked.saturating_add(length);
        if self.unpacked > MAX_BYTES {
            return Err(self.refused("it unpacks to too much"));
        }
        // What is replaced makes room: installing again must not need twice the space.
        let replaced = self.data.dir().symlink_metadata(path).map_or(0, |found| found.len());
        self.room = self.room.saturating_add(replaced).checked_sub(length).ok_or(InstallError::DiskFull)?;
        let mut left = length;
        let mut chunk = vec![0; BUFFER.min(usize::try_from(length).unwrap_or(BUFFER))];
        // Not `io::copy`: whether the archive or the disk is at fault decides what the customer is told.
        while left > 0 {
            let read = entry.read(&mut chunk).map_err(|error| self.damaged(&error))?;
            if read == 0 {
                return Err(self.damaged(&io::ErrorKind::UnexpectedEof.into()));
            }
            io::Write::write_all(&mut scratch.file, &chunk[..read]).map_err(at)?;
            left = left.saturating_sub(read as u64);
        }
        self.data.publish(scratch, path, mode).map_err(at)
    }

    /// A link replaces a file of that name, as tar does.
    fn replace(&self, path: &Path) -> io::Result<()> {
        self.data.make_parent(path)?;
        match self.data.dir().remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    fn link(&self, entry: &Entry<'_, Box<dyn Read>>) -> Result<PathBuf, InstallError> {
        let link = entry.link_name().map_err(|error| self.damaged(&error))?;
        link.map(std::borrow::Cow::into_owned).ok_or_else(|| self.refused("a link leads nowhere"))
    }

    /// Makes a symbolic link that stays in the data folder. `..` may only lead it, and is counted from where the
    /// link really lies: below another link that is not where its path says.
    fn symlink(&self, link: &Path, path: &Path) -> Result<(), InstallError> {
        let at = |error| InstallError::at(&path.display().to_string(), error);
        self.replace(path).map_err(at)?;
        let parent = path.parent().filter(|parent| *parent != Path::new("")).unwrap_or(Path::new("."));
        let mut inside = self.data.dir().canonicalize(parent).map_err(at)?;
        let mut rest = link;
        while let Ok(further) = rest.strip_prefix("..") {
            if inside == Path::new(".") || !inside.pop() {
                return Err(self.outside(link));
            }
            rest = further;
        }
        let plain = inside.join(rest);
        plain.to_str().and_then(|plain| DataPath::folder(plain).ok()).ok_or_else(|| self.outside(link))?;
        self.data.dir().symlink(link, path).map_err(at)
    }

    /// Where an entry lies in the data folder; none when its path is not a plain one below the archive's root.
    fn target(&self, path: &Path) -> Option<PathBuf> {
        let inside = DataPath::folder(path.to_str()?).ok()?;
        let target = self.into.join(inside.as_path());
        DataPath::folder(target.to_str()?).ok().map(|_| target)
    }

    fn outside(&self, path: &Path) -> InstallError {
        self.refused(&format!("{} leads out of the server's folder", path.display()))
    }

    fn refused(&self, reason: &str) -> InstallError {
        InstallError::Archive { file: self.name.to_owned(), reason: reason.to_owned() }
    }

    fn damaged(&self, error: &io::Error) -> InstallError {
        self.refused(&format!("it is damaged ({error})"))
    }
}
