//! Exchanging folders by renames. Each function may be repeated, and goes on from wherever an earlier try was
//! interrupted: which folders are there says how far it came.

use std::{fs, io};

use uuid::Uuid;

use super::places::Places;

/// `data` → `previous`, `staging` → `data`. When it fails, `data` is what it was.
pub(super) fn forward(places: &Places, task: Uuid) -> io::Result<()> {
    let (data, staging, previous) = (places.data(), places.staging(task), places.previous(task));
    if !previous.exists() {
        if !staging.exists() {
            return Err(io::ErrorKind::NotFound.into());
        }
        fs::rename(&data, &previous)?;
    }
    // An empty data folder, which somebody may have made in the meantime, is replaced as well (rename(2)).
    if staging.exists()
        && let Err(error) = fs::rename(&staging, &data)
    {
        fs::rename(&previous, &data)?;
        return Err(error);
    }
    places.sync()
}

/// Puts `previous` back into the place of `data`, and drops what was there.
pub(super) fn back(places: &Places, task: Uuid) -> io::Result<()> {
    let previous = places.previous(task);
    if previous.exists() {
        places.discard(&places.data())?;
        fs::rename(previous, places.data())?;
        places.sync()?;
    }
    places.discard(&places.staging(task))
}

/// Drops `previous`.
pub(super) fn commit(places: &Places, task: Uuid) -> io::Result<()> {
    places.discard(&places.previous(task))?;
    places.sync()
}
