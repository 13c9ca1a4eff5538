//! The folder itself. Everything here blocks.

use std::{
    io::{self, Read as _, Write as _},
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use cap_std::{
    ambient_authority,
    fs::{Dir, File, MetadataExt as _, OpenOptions},
};
use ring::digest::{Context, SHA256};
use rustix::{
    fs::{FlockOperation, flock},
    io::Errno,
};
use serde::{Deserialize, Serialize};

use super::{
    super::{ListedObject, ObjectError, ObjectInfo, UploadedPart},
    disk_error,
};

/// The parts of an upload, one behind the other.
const DATA: &str = "data";
/// Longer than the silence after which a writer is cut off.
const WRITERS_END: Duration = Duration::from_secs(40);
/// Between looks at whether writers have ended.
const PAUSE: Duration = Duration::from_millis(20);
/// What an upload is for. Writers of parts lock it shared, completing and aborting exclusively.
const ABOUT: &str = "upload.json";

/// Handles of the two folders.
#[derive(Clone, Debug)]
pub(super) struct Disk {
    objects: Arc<Dir>,
    uploads: Arc<Dir>,
}

/// Content of `upload.json`.
#[derive(Debug, Serialize, Deserialize)]
struct About {
    key: String,
}

/// A part that has arrived: content of `{number}.json`.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Arrived {
    pub(super) etag: String,
    pub(super) bytes: u64,
}

/// The right to write one part. A second try waits until the first has let go, so that they cannot mix.
#[derive(Debug)]
pub(super) struct PartSlot {
    dir: Dir,
    number: u32,
    _lock: File,
    /// Shared: while a part is being written its upload is neither completed nor aborted.
    _upload: File,
}

impl Disk {
    pub(super) fn open(folder: &Path) -> io::Result<Self> {
        Dir::create_ambient_dir_all(folder, ambient_authority())?;
        let root = Dir::open_ambient_dir(folder, ambient_authority())?;
        let open = |name: &str| {
            root.create_dir_all(name)?;
            root.open_dir(name).map(Arc::new)
        };
        Ok(Self { objects: open("objects")?, uploads: open("uploads")? })
    }

    pub(super) fn begin(&self, upload: &str, key: &str) -> Result<(), ObjectError> {
        let make = || {
            self.uploads.create_dir(upload)?;
            let dir = self.uploads.open_dir(upload)?;
            dir.create(DATA)?;
            write_whole(&dir, ABOUT, &serde_json::to_vec(&About { key: key.to_owned() })?)?;
            sync(&self.uploads)
        };
        make().map_err(|error| disk_error(&error))
    }

    /// The folder of an upload for this key, if there is one.
    fn upload(&self, upload: &str, key: &str) -> io::Result<Option<Dir>> {
        if uuid::Uuid::try_parse(upload).is_err() {
            return Ok(None);
        }
        let Some(dir) = found(self.uploads.open_dir(upload))? else { return Ok(None) };
        let Some(about) = found(dir.read(ABOUT))? else { return Ok(None) };
        let about: About = serde_json::from_slice(&about)?;
        Ok((about.key == key).then_some(dir))
    }

    /// The right to write a part; `None` when there is no such upload. `WouldBlock` while another try has it.
    pub(super) fn part(&self, key: &str, upload: &str, number: u32) -> io::Result<Option<PartSlot>> {
        let Some(dir) = self.upload(upload, key)? else { return Ok(None) };
        let shared = dir.open(ABOUT)?;
        flock(&shared, FlockOperation::NonBlockingLockShared)?;
        // Completed or aborted between the look and the lock.
        if self.upload(upload, key)?.is_none() {
            return Ok(None);
        }
        let mut options = OpenOptions::new();
        let lock = dir.open_with(format!("{number}.lock"), options.write(true).create(true))?;
        flock(&lock, FlockOperation::NonBlockingLockExclusive)?;
        match dir.remove_file(arrived(number)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(Some(PartSlot { dir, number, _lock: lock, _upload: shared })),
        }
    }

    pub(super) fn complete(
        &self,
        key: &str,
        upload: &str,
        parts: &[UploadedPart],
        part_bytes: u64,
    ) -> Result<(), ObjectError> {
        let total = parts.iter().map(|part| part.bytes).sum::<u64>();
        let at = |error: io::Error| disk_error(&error);
        let dir = self.upload(upload, key).map_err(at)?;
        let _alone = dir.as_ref().map(alone).transpose()?;
        let data = match &dir {
            Some(dir) => found(dir.open_with(DATA, OpenOptions::new().write(true))).map_err(at)?,
            None => None,
        };
        if let (Some(dir), Some(data)) = (&dir, data) {
            check_parts(dir, parts, part_bytes)?;
            let publish = || {
                data.set_len(total)?;
                data.sync_all()?;
                self.publish(dir, DATA, key)
            };
            publish().map_err(at)?;
        } else if self.open_object(key).map_err(at)?.is_none_or(|(_, info)| info.bytes != total) {
            return Err(ObjectError::Incomplete("there is no such upload".to_owned()));
        }
        self.remove_upload(upload).map_err(at)
    }

    pub(super) fn abort(&self, key: &str, upload: &str) -> Result<(), ObjectError> {
        let at = |error: io::Error| disk_error(&error);
        let Some(dir) = self.upload(upload, key).map_err(at)? else { return Ok(()) };
        let _alone = alone(&dir)?;
        self.remove_upload(upload).map_err(at)
    }

    fn remove_upload(&self, upload: &str) -> io::Result<()> {
        if uuid::Uuid::try_parse(upload).is_err() {
            return Ok(());
        }
        found(self.uploads.remove_dir_all(upload)).map(drop)
    }

    /// Gives a finished file of `from` its key. It is on disk when this returns.
    fn publish(&self, from: &Dir, name: &str, key: &str) -> io::Result<()> {
        let folder = key.rsplit_once('/').map_or(".", |(folder, _)| folder);
        self.objects.create_dir_all(folder)?;
        from.rename(name, &self.objects, key)?;
        let mut above = Some(Path::new(folder));
        while let Some(folder) = above {
            sync(&self.objects.open_dir(if folder.as_os_str().is_empty() {
                Path::new(".")
            } else {
                folder
            })?)?;
            above = folder.parent();
        }
        Ok(())
    }

    /// A new file that is to become an object; its name is for [`Disk::finish`].
    pub(super) fn draft(&self) -> io::Result<(std::fs::File, String)> {
        let name = format!("draft-{}", uuid::Uuid::now_v7());
        let mut options = OpenOptions::new();
        let file = self.uploads.open_with(&name, options.write(true).create_new(true))?;
        Ok((file.into_std(), name))
    }

    /// False when there is an object of another content already: its address is good for some time, and whoever has
    /// it may not replace what was finished. The same content again is an answer that was lost.
    pub(super) fn finish(&self, draft: &str, key: &str) -> io::Result<bool> {
        if let Some((there, about)) = self.open_object(key)? {
            let draft = self.uploads.open(draft)?.into_std();
            return Ok(draft.metadata()?.len() == about.bytes && same(&draft, &there)?);
        }
        self.publish(&self.uploads, draft, key)?;
        Ok(true)
    }

    /// Removes a draft that has not become an object.
    pub(super) fn drop_draft(&self, draft: &str) {
        if let Err(error) = found(self.uploads.remove_file(draft)) {
            tracing::warn!(%error, draft, "the unfinished object {draft} could not be removed and takes room in the storage: {error}");
        }
    }

    pub(super) fn open_object(&self, key: &str) -> io::Result<Option<(std::fs::File, ObjectInfo)>> {
        let Some(file) = found(self.objects.open(key))? else { return Ok(None) };
        let about = file.metadata()?;
        let etag = format!("\"{:x}-{:x}-{:x}\"", about.ino(), about.len(), about.mtime_nsec());
        let info = ObjectInfo { bytes: about.len(), etag };
        Ok(about.is_file().then(|| (file.into_std(), info)))
    }

    pub(super) fn delete(&self, key: &str) -> io::Result<()> {
        found(self.objects.remove_file(key))?;
        // The folders above go as well, as far as nothing else is in them.
        for folder in Path::new(key).ancestors().skip(1).filter(|folder| !folder.as_os_str().is_empty()) {
            if self.objects.remove_dir(folder).is_err() {
                break;
            }
        }
        Ok(())
    }

    pub(super) fn list(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> io::Result<Vec<ListedObject>> {
        let mut listing = Listing { prefix, after, limit, listed: Vec::new() };
        listing.folder(&self.objects, "")?;
        Ok(listing.listed)
    }
}

impl PartSlot {
    /// The file to write the part to, at the offset of its place.
    pub(super) fn file(&self) -> io::Result<std::fs::File> {
        Ok(self.dir.open_with(DATA, OpenOptions::new().write(true))?.into_std())
    }

    /// Notes that the part is there; its bytes are on disk already.
    pub(super) fn arrived(self, arrived_: &Arrived) -> io::Result<()> {
        write_whole(&self.dir, &arrived(self.number), &serde_json::to_vec(arrived_)?)
    }
}

/// Waits until no part of the upload is being written, which ends by the writers' own deadlines, and keeps it so.
fn alone(dir: &Dir) -> Result<File, ObjectError> {
    let lock = dir.open(ABOUT).map_err(|error| disk_error(&error))?;
    let end = Instant::now() + WRITERS_END;
    loop {
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(lock),
            Err(Errno::WOULDBLOCK) if Instant::now() < end => std::thread::sleep(PAUSE),
            Err(Errno::WOULDBLOCK) => {
                return Err(ObjectError::Unreachable("a part is still being written".to_owned()));
            }
            Err(error) => return Err(disk_error(&error.into())),
        }
    }
}

/// Whether both have the same content.
fn same(one: &std::fs::File, other: &std::fs::File) -> io::Result<bool> {
    let hash = |mut file: &std::fs::File| {
        let (mut hash, mut chunk) = (Context::new(&SHA256), vec![0; 64 * 1024]);
        loop {
            match file.read(&mut chunk)? {
                0 => return io::Result::Ok(hash.finish()),
                length => hash.update(&chunk[..length]),
            }
        }
    };
    Ok(hash(one)?.as_ref() == hash(other)?.as_ref())
}

fn arrived(number: u32) -> String {
    format!("{number}.json")
}

/// All but the last part lie without a gap, and what has arrived is what is to be completed.
fn check_parts(dir: &Dir, parts: &[UploadedPart], part_bytes: u64) -> Result<(), ObjectError> {
    let wrong = |number: u32, what: &str| Err(ObjectError::Incomplete(format!("part {number} {what}")));
    if parts.is_empty() {
        return Err(ObjectError::Incomplete("there are no parts".to_owned()));
    }
    for (number, part) in (1_u32..).zip(parts) {
        let Some(known) = found(dir.read(arrived(number))).map_err(|error| disk_error(&error))? else {
            return wrong(number, "has not arrived");
        };
        let known: Arrived =
            serde_json::from_slice(&known).map_err(|error| ObjectError::Invalid(error.to_string()))?;
        if known.etag.trim_matches('"') != part.etag.trim_matches('"') || known.bytes != part.bytes {
            return wrong(number, "is another one");
        }
        let last = number as usize == parts.len();
        if !last && part.bytes != part_bytes {
            return wrong(number, "is too short");
        }
    }
    Ok(())
}

struct Listing<'l> {
    prefix: &'l str,
    after: Option<&'l str>,
    limit: usize,
    listed: Vec<ListedObject>,
}

impl Listing<'_> {
    /// Keys have few segments, so this goes only a few levels deep.
    fn folder(&mut self, dir: &Dir, path: &str) -> io::Result<()> {
        let mut names = Vec::new();
        for entry in dir.entries()? {
            let entry = entry?;
            let Ok(name) = entry.file_name().into_string() else { continue };
            let is_dir = entry.file_type()?.is_dir();
            // With its slash, so that the order is the keys' own.
            names.push(if is_dir { format!("{path}{name}/") } else { format!("{path}{name}") });
        }
        names.sort();
        for key in names {
            if self.listed.len() >= self.limit {
                break;
            }
            if !(key.starts_with(self.prefix) || (key.ends_with('/') && self.prefix.starts_with(&key))) {
                continue;
            }
            let name = key[path.len()..].trim_end_matches('/');
            if key.ends_with('/') {
                // All keys below come before `after` when the folder itself does, unless `after` lies below it.
                if self.after.is_none_or(|after| after < key.as_str() || after.starts_with(&key))
                    && let Some(below) = found(dir.open_dir(name))?
                {
                    self.folder(&below, &key)?;
                }
            } else if self.after.is_none_or(|after| after < key.as_str())
                && let Some(about) = found(dir.metadata(name))?
            {
                self.listed.push(ListedObject { key, bytes: about.len() });
            }
        }
        Ok(())
    }
}

/// A file that is whole or not there.
fn write_whole(dir: &Dir, name: &str, content: &[u8]) -> io::Result<()> {
    let temporary = format!("{name}.tmp");
    let mut file = dir.create(&temporary)?;
    file.write_all(content)?;
    file.sync_all()?;
    dir.rename(&temporary, dir, name)?;
    sync(dir)
}

fn sync(dir: &Dir) -> io::Result<()> {
    // The handle itself only names the folder (O_PATH), which is not enough for syncing.
    dir.open(".")?.sync_all()
}

fn found<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
