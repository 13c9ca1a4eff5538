//! The zone's records, kept in a file so that they outlive the sandbox.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use serde_json::Value;

use super::record::{Record, Refused};

/// Records that a new free zone may have.
const QUOTA: usize = 200;

/// A zone. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Zone {
    id: Arc<str>,
    token: Arc<str>,
    token_ends_at: Option<Arc<str>>,
    file: Option<Arc<PathBuf>>,
    quota: usize,
    page: usize,
    records: Arc<Mutex<Vec<Record>>>,
}

impl Zone {
    /// The zone of this id, opened by this token, with what is in the file.
    /// It has at most so many records (`quota`), and lists at most so many at once (`page`).
    pub(crate) fn open(
        id: &str,
        token: &str,
        file: Option<&Path>,
        quota: Option<usize>,
        page: usize,
    ) -> io::Result<Self> {
        let records = match file.map(fs::read) {
            Some(Ok(bytes)) => serde_json::from_slice(&bytes)?,
            Some(Err(error)) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => Vec::new(),
        };
        Ok(Self {
            id: id.into(),
            token: token.into(),
            token_ends_at: None,
            file: file.map(|file| Arc::new(file.to_owned())),
            quota: quota.unwrap_or(QUOTA),
            page,
            records: Arc::new(Mutex::new(records)),
        })
    }

    /// With a token that ends.
    pub(crate) fn with_token_until(mut self, ends_at: Option<String>) -> Self {
        self.token_ends_at = ends_at.map(Into::into);
        self
    }

    /// When the token ends.
    pub(super) fn token_ends_at(&self) -> Option<&str> {
        self.token_ends_at.as_deref()
    }

    /// Its id.
    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// What opens it.
    pub(crate) fn token(&self) -> &str {
        &self.token
    }

    /// Most records in one page.
    pub(crate) fn page(&self) -> usize {
        self.page
    }

    /// Every record.
    pub(crate) fn all(&self) -> Vec<Record> {
        self.lock().clone()
    }

    /// Adds a record.
    pub(super) fn insert(&self, record: Record) -> Result<Record, Refused> {
        let mut records = self.lock();
        if records.iter().any(|it| it.is_identical(&record)) {
            return Err((81_058, "An identical record already exists."));
        }
        if records.len() >= self.quota {
            return Err((81_045, "The record quota has been exceeded."));
        }
        records.push(record.clone());
        self.keep(&records);
        Ok(record)
    }

    /// Changes one; `None` if there is no such record.
    pub(super) fn change(&self, id: &str, body: &Value) -> Result<Option<Record>, Refused> {
        let mut records = self.lock();
        let Some(at) = records.iter().position(|it| it.id == id) else { return Ok(None) };
        let changed = records[at].changed(body)?;
        if records.iter().any(|it| it.id != id && it.is_identical(&changed)) {
            return Err((81_058, "An identical record already exists."));
        }
        records[at] = changed.clone();
        self.keep(&records);
        Ok(Some(changed))
    }

    /// Removes one; whether it was there.
    pub(super) fn remove(&self, id: &str) -> bool {
        let mut records = self.lock();
        let before = records.len();
        records.retain(|it| it.id != id);
        self.keep(&records);
        records.len() < before
    }

    fn keep(&self, records: &[Record]) {
        let Some(file) = &self.file else { return };
        let written = serde_json::to_vec_pretty(records).map_err(io::Error::from).and_then(|bytes| {
            let new = file.with_extension("new");
            fs::write(&new, bytes)?;
            fs::rename(&new, file.as_path())
        });
        if let Err(error) = written {
            tracing::warn!(%error, "the zone's records could not be kept in {}; they are gone at the next start", file.display());
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Record>> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
