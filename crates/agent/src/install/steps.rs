//! The steps that change files.

use std::{
    collections::BTreeMap,
    io::{self, Read},
    path::Path,
};

use domain::agent::{InstallStep, Unpack};
use reqwest::Client;

use super::{
    download::{self, Wanted},
    error::InstallError,
    files::{DataFolder, DataPath, Scratch},
    hash,
    progress::{Meter, file_name},
    properties, unpack,
};

/// Downloads a file, or keeps the one that is there when it is the same; unpacks it if asked to.
pub(super) async fn download(
    client: &Client,
    data: &DataFolder,
    step: &InstallStep,
    limit: Option<u64>,
    meter: &Meter<'_>,
) -> Result<(), InstallError> {
    let InstallStep::Download { url, sha256, size, path, unpack } = step else { return Ok(()) };
    let sha256 = sha256.to_lowercase();
    let wanted = Wanted { url, file: file_name(url), sha256: &sha256, size: *size };
    if let Some(format) = unpack {
        let into = DataPath::folder(path)?;
        let room = room(data, limit, *size).await?;
        let scratch = fetch(client, data, wanted, meter).await?;
        return unpack_into(data, scratch, *format, into, room, wanted.file).await;
    }
    let target = DataPath::file(path)?;
    if is_there(data, &target, wanted, meter).await? {
        return Ok(());
    }
    room(data, limit, *size).await?;
    let scratch = fetch(client, data, wanted, meter).await?;
    data.with(path, move |data| data.publish(scratch, target.as_path(), 0o644)).await
}

/// The bytes that the plan leaves; fails when they do not suffice for a download of `size`.
async fn room(data: &DataFolder, limit: Option<u64>, size: u64) -> Result<u64, InstallError> {
    let Some(limit) = limit else { return Ok(u64::MAX) };
    let used = data.with(".", |data| Ok(crate::files::bytes_in(data.dir())?)).await?;
    let room = limit.saturating_sub(used);
    if size > room { Err(InstallError::DiskFull) } else { Ok(room) }
}

async fn fetch(
    client: &Client,
    data: &DataFolder,
    wanted: Wanted<'_>,
    meter: &Meter<'_>,
) -> Result<Scratch, InstallError> {
    let (scratch, file) = data
        .with(wanted.file, |data| {
            let scratch = data.scratch()?;
            let file = scratch.file.try_clone()?.into_std();
            Ok((scratch, file))
        })
        .await?;
    download::fetch(client, wanted, tokio::fs::File::from_std(file), meter).await?;
    Ok(scratch)
}

/// Whether an earlier try got this far.
async fn is_there(
    data: &DataFolder,
    target: &DataPath,
    wanted: Wanted<'_>,
    meter: &Meter<'_>,
) -> Result<bool, InstallError> {
    let (target, size, sha256) = (target.clone(), wanted.size, wanted.sha256.to_owned());
    let candidate = data
        .with(wanted.file, move |data| match data.dir().open(target.as_path()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
            Ok(file) => {
                let found = file.metadata()?;
                Ok((found.is_file() && found.len() == size).then_some(file))
            }
        })
        .await?;
    let Some(file) = candidate else { return Ok(false) };
    meter.verifying();
    data.with(wanted.file, move |_| Ok(hash::of_reader(file.take(size))? == sha256)).await
}

async fn unpack_into(
    data: &DataFolder,
    mut scratch: Scratch,
    format: Unpack,
    into: DataPath,
    room: u64,
    file: &str,
) -> Result<(), InstallError> {
    let name = file.to_owned();
    let unpacked = data
        .with(file, move |data| {
            io::Seek::rewind(&mut scratch.file)?;
            Ok(unpack::unpack(data, scratch.file.into_std(), format, into.as_path(), room, &name))
        })
        .await?;
    unpacked?;
    // The archive itself is not needed any more, and may be large.
    data.clear_scratch().await
}

/// Writes a text file.
pub(super) async fn write(
    data: &DataFolder,
    path: &str,
    content: &str,
    keep: bool,
) -> Result<(), InstallError> {
    let (target, content) = (DataPath::file(path)?, content.to_owned());
    data.with(path, move |data| {
        if keep && exists(data, target.as_path())? {
            return Ok(());
        }
        data.write(target.as_path(), content.as_bytes())
    })
    .await
}

/// Sets keys in a properties file.
pub(super) async fn properties(
    data: &DataFolder,
    path: &str,
    set: &BTreeMap<String, String>,
) -> Result<(), InstallError> {
    let (target, set) = (DataPath::file(path)?, set.clone());
    data.with(path, move |data| {
        let before = data.read(target.as_path())?.unwrap_or_default();
        let after = properties::set(&before, &set);
        if after == before && exists(data, target.as_path())? {
            Ok(())
        } else {
            data.write(target.as_path(), &after)
        }
    })
    .await
}

fn exists(data: &DataFolder, path: &Path) -> io::Result<bool> {
    match data.dir().symlink_metadata(path) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}
