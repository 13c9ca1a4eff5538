//! Packs files and folders. Names are those seen from the folder that all of them lie in. Links are left out, as no
//! archive that we unpack may hold any; FIFOs, sockets and devices as well.

use std::{
    fs::File,
    io::{self, BufWriter, Read, Seek, SeekFrom, Write},
};

use domain::agent::{ArchiveFormat, FilePath};
use flate2::write::GzEncoder;
use rustix::{
    fd::AsFd,
    fs::{FileType, Mode, Stat},
};
use zip::{CompressionMethod, DateTime, ZipWriter, write::SimpleFileOptions};

use super::Work;
use crate::files::{
    Files, at,
    change::parse_all,
    error::{FileError, Result, Why},
    folder::Folder,
    quota::Reservation,
    walk::{Entry, Odd, Walk},
};

/// Bytes written at once.
const BUFFER: usize = 256 * 1024;
/// Level of Zstandard: its default.
const ZSTD_LEVEL: i32 = 3;
/// From this size on a zip entry needs 64-bit lengths.
const LARGE: u64 = u32::MAX as u64;

pub(super) fn archive(
    files: &Files,
    paths: &[String],
    to: &str,
    format: ArchiveFormat,
    work: &Work,
) -> Result<()> {
    let to = FilePath::parse(to)?;
    let paths = outermost(parse_all(paths)?);
    let root = files.root()?;
    let target = root.place(&to).map_err(|error| error.at(&to))?;
    if at::find(&target.folder, &target.name)?.is_some() {
        return Err(FileError::from(Why::AlreadyExists).at(&to));
    }
    let scratch = files.0.scratch.take(&root)?;
    let file = at::create_file(&scratch.home, scratch.name.as_bytes())?;
    let sink = Sink { file, reservation: files.0.quota.reserve(0)?, at: 0, length: 0 };
    let packing = Packing { root: &root, paths: &paths, common: common(&paths), work };
    let sink = match format {
        ArchiveFormat::Zip => zip(&packing, sink)?,
        ArchiveFormat::TarGz => {
            let encoder =
                GzEncoder::new(BufWriter::with_capacity(BUFFER, sink), flate2::Compression::default());
            unbuffered(tar(&packing, encoder)?.finish()?)?
        }
        ArchiveFormat::TarZst => {
            let encoder = zstd::Encoder::new(BufWriter::with_capacity(BUFFER, sink), ZSTD_LEVEL)?;
            unbuffered(tar(&packing, encoder)?.finish()?)?
        }
    };
    work.go_on()?;
    rustix::fs::fchmod(&sink.file, Mode::from_raw_mode(0o644))?;
    sink.file.sync_all()?;
    let _naming = files.naming();
    files.must_be_root(&root)?;
    let target = root.place(&to).map_err(|error| error.at(&to))?;
    at::move_new(&scratch.home, scratch.name.as_bytes(), &target.folder, &target.name)
        .map_err(|error| error.at(&to))?;
    sink.reservation.commit(sink.length, 0);
    target.folder.sync()
}

/// Without those that lie in others.
fn outermost(mut paths: Vec<FilePath>) -> Vec<FilePath> {
    paths.sort_by_key(|path| path.as_bytes().len());
    let mut kept: Vec<FilePath> = Vec::new();
    for path in paths {
        if !kept.iter().any(|outer| path.is_within(outer)) {
            kept.push(path);
        }
    }
    kept.sort();
    kept
}

/// The folder that all of them lie in.
fn common(paths: &[FilePath]) -> FilePath {
    let above = |path: &FilePath| path.split().map_or_else(FilePath::root, |(folder, _)| folder);
    let mut folder = paths.first().map(above).unwrap_or_default();
    while !paths.iter().all(|path| path.is_within(&folder)) {
        folder = above(&folder);
    }
    folder
}

struct Packing<'p> {
    root: &'p Folder,
    paths: &'p [FilePath],
    common: FilePath,
    work: &'p Work,
}

impl Packing<'_> {
    /// Calls `pack` with each entry and its name in the archive.
    fn each(&self, mut pack: impl FnMut(&Entry<'_>, &FilePath) -> Result<()>) -> Result<()> {
        for path in self.paths {
            if let Some((above, name)) = path.split() {
                let folder = self.root.folder(&above).map_err(|error| error.at(path))?;
                let stat = at::stat(&folder, name).map_err(|error| error.at(path))?;
                let top = Entry { folder: folder.as_fd(), name: name.to_vec(), path: path.clone(), stat };
                self.one(&top, &mut pack)?;
                if at::kind(&stat) != FileType::Directory {
                    continue;
                }
            }
            let folder = self.root.folder(path).map_err(|error| error.at(path))?;
            let mut walk = Walk::new(&folder, path.clone(), Odd::Fail)?;
            while let Some(found) = walk.next()? {
                self.one(&found, &mut pack)?;
            }
        }
        Ok(())
    }

    fn one(
        &self,
        found: &Entry<'_>,
        pack: &mut impl FnMut(&Entry<'_>, &FilePath) -> Result<()>,
    ) -> Result<()> {
        if !matches!(at::kind(&found.stat), FileType::RegularFile | FileType::Directory) {
            self.work.skipped_entry();
            return self.work.go_on();
        }
        let name = found.path.below(&self.common).unwrap_or_default();
        match pack(found, &name) {
            // Deleted meanwhile.
            Err(error) if matches!(error.why, Why::NotFound) => Ok(()),
            packed => packed.map_err(|error| error.at(&found.path)),
        }?;
        self.work.handled_entry()
    }
}

fn tar<W: Write>(packing: &Packing<'_>, out: W) -> Result<W> {
    let mut builder = tar::Builder::new(out);
    packing.each(|found, name| {
        let mut header = tar::Header::new_gnu();
        let mut name = name.as_bytes().to_vec();
        if at::kind(&found.stat) == FileType::Directory {
            name.push(b'/');
            describe(&mut header, &found.stat, tar::EntryType::Directory, 0);
            return Ok(builder.append_data(&mut header, path(&name), io::empty())?);
        }
        let (file, stat) = at::open_file(found.folder, &found.name)?;
        let size = at::size(&stat);
        describe(&mut header, &stat, tar::EntryType::Regular, size);
        Ok(builder.append_data(&mut header, path(&name), Exactly { file, left: size, work: packing.work })?)
    })?;
    Ok(builder.into_inner()?)
}

fn path(name: &[u8]) -> &std::path::Path {
    std::path::Path::new(<std::ffi::OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(name))
}

fn describe(header: &mut tar::Header, stat: &Stat, kind: tar::EntryType, size: u64) {
    header.set_entry_type(kind);
    header.set_size(size);
    header.set_mode(stat.st_mode & 0o777);
    header.set_mtime(u64::try_from(stat.st_mtime).unwrap_or_default());
}

fn zip(packing: &Packing<'_>, sink: Sink) -> Result<Sink> {
    let mut writer = ZipWriter::new(BufWriter::with_capacity(BUFFER, sink));
    packing.each(|found, name| {
        // The format has a flag for UTF-8, and none for bytes.
        let text = std::str::from_utf8(name.as_bytes()).map_err(|_| {
            Why::Invalid(
                "its name is not UTF-8, which a zip file cannot hold; choose tar.gz or tar.zst".to_owned(),
            )
        })?;
        if at::kind(&found.stat) == FileType::Directory {
            return zipped(writer.add_directory(text, options(&found.stat, 0)));
        }
        let (file, stat) = at::open_file(found.folder, &found.name)?;
        let size = at::size(&stat);
        zipped(writer.start_file(text, options(&stat, size)))?;
        io::copy(&mut Exactly { file, left: size, work: packing.work }, &mut writer)?;
        Ok(())
    })?;
    unbuffered(writer.finish().map_err(zip_error)?)
}

fn options(stat: &Stat, size: u64) -> SimpleFileOptions {
    let modified = chrono::DateTime::from_timestamp(stat.st_mtime, 0).and_then(|time| {
        use chrono::{Datelike, Timelike};
        let part = |value: u32| u8::try_from(value).ok();
        let year = u16::try_from(time.year()).ok()?;
        let (month, day) = (part(time.month())?, part(time.day())?);
        let (hour, minute, second) = (part(time.hour())?, part(time.minute())?, part(time.second())?);
        DateTime::from_date_and_time(year, month, day, hour, minute, second).ok()
    });
    SimpleFileOptions::default()
        .compression_method(CompressionMethod::Deflated)
        .unix_permissions(stat.st_mode & 0o777)
        .last_modified_time(modified.unwrap_or_default())
        .large_file(size >= LARGE)
}

fn zipped(result: zip::result::ZipResult<()>) -> Result<()> {
    result.map_err(zip_error)
}

fn zip_error(error: zip::result::ZipError) -> FileError {
    match error {
        zip::result::ZipError::Io(error) => error.into(),
        error => Why::Io(io::Error::other(error)).into(),
    }
}

fn unbuffered(writer: BufWriter<Sink>) -> Result<Sink> {
    Ok(writer.into_inner().map_err(io::IntoInnerError::into_error)?)
}

/// A file's content in exactly the length that was announced, whatever the server does to it meanwhile.
struct Exactly<'e> {
    file: File,
    left: u64,
    work: &'e Work,
}

impl Read for Exactly<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        if most == 0 {
            return Ok(0);
        }
        let mut read = self.file.read(&mut buffer[..most])?;
        if read == 0 {
            buffer[..most].fill(0);
            read = most;
        }
        self.left -= read as u64;
        self.work.handled_bytes(read as u64)?;
        Ok(read)
    }
}

/// The archive's file, which may not grow beyond the disk space.
struct Sink {
    file: File,
    reservation: Reservation,
    at: u64,
    length: u64,
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.reservation.grow_to(self.length.max(self.at + bytes.len() as u64))?;
        let written = self.file.write(bytes)?;
        self.at += written as u64;
        self.length = self.length.max(self.at);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Seek for Sink {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.at = self.file.seek(to)?;
        Ok(self.at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_begin_where_the_paths_part() {
        let paths =
            |texts: &[&str]| outermost(texts.iter().map(|text| FilePath::parse(text).unwrap()).collect());
        for (given, expected) in [
            (&["world"][..], ""),
            (&["a/b", "a/c"], "a"),
            (&["a/b", "a/b/c", "a/bc"], "a"),
            (&["a/b/c", "a/d"], "a"),
            (&["a", "b"], ""),
            (&[""], ""),
            (&["a/b", ""], ""),
        ] {
            assert_eq!(common(&paths(given)).to_string(), expected, "{given:?}");
        }
        assert_eq!(paths(&["a/b", "a", "ab"]).len(), 2);
    }
}
