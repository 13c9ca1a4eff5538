//! `container.json`: the mark that makes a directory ours, and what the engine remembers of the container.

use std::{
    fs,
    io::{ErrorKind, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

use chrono::{DateTime, Utc};
use domain::ids::InstanceId;
use serde::{Deserialize, Serialize};

use super::{
    ContainerSpec, EngineError, io, layout::Paths, layout::private_dir, process::ProcessMark, user::User,
};

/// Whether the supervisor keeps it running.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Desired {
    Stopped,
    Running,
}

/// The content of `container.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Record {
    pub(super) instance_id: InstanceId,
    pub(super) created_at: DateTime<Utc>,
    pub(super) desired: Desired,
    /// The outermost process that was started last.
    pub(super) process: Option<ProcessMark>,
    pub(super) spec: ContainerSpec,
}

/// What is in an instance's place.
pub(super) enum Found {
    Missing,
    /// Something without a valid record of this very instance.
    NotOurs,
    Ours(Box<Record>),
}

impl Record {
    pub(super) fn new(spec: ContainerSpec, created_at: DateTime<Utc>) -> Self {
        Self { instance_id: spec.instance_id, created_at, desired: Desired::Stopped, process: None, spec }
    }

    /// Who its processes are.
    pub(super) fn user(&self) -> User {
        User::of(self.spec.agent_port)
    }

    /// Replaces the record atomically.
    pub(super) fn save(&self, paths: &Paths) -> Result<(), EngineError> {
        self.write(&paths.dir())
    }

    fn write(&self, dir: &Path) -> Result<(), EngineError> {
        let text = serde_json::to_vec_pretty(self).map_err(|error| io("write a record")(error.into()))?;
        let (temporary, target) = (dir.join("container.json.new"), dir.join("container.json"));
        let replace = || {
            // It holds the trust bundle, so nobody else may read it.
            let mut file = fs::OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(true)
                .mode(0o600)
                .open(&temporary)?;
            file.write_all(&text)?;
            // An empty record after a power cut would make the directory nobody's.
            file.sync_all()?;
            fs::rename(&temporary, &target)
        };
        replace().map_err(io(format!("write the record in {}", dir.display())))
    }
}

/// Looks at an instance's place.
pub(super) fn find(paths: &Paths, id: InstanceId) -> Result<Found, EngineError> {
    match fs::symlink_metadata(paths.dir()) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Found::Missing),
        Err(error) => return Err(io("look at a container")(error)),
        Ok(meta) if !meta.is_dir() => return Ok(Found::NotOurs),
        Ok(_) => {}
    }
    let text = match fs::read(paths.record()) {
        Ok(text) => text,
        // Deleted since, or never ours.
        Err(error) if error.kind() == ErrorKind::NotFound && !paths.dir().exists() => {
            return Ok(Found::Missing);
        }
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Found::NotOurs),
        Err(error) => return Err(io("read a container's record")(error)),
    };
    let record = serde_json::from_slice::<Record>(&text).ok();
    let ours = record.filter(|record| record.instance_id == id && record.spec.instance_id == id);
    Ok(ours.map_or(Found::NotOurs, |record| Found::Ours(Box::new(record))))
}

/// Makes the directory: beside its place first, so that it appears there complete.
pub(super) fn make(paths: &Paths, record: &Record) -> Result<(), EngineError> {
    let unfinished = paths.unfinished();
    remove_tree(&unfinished)?;
    for folder in ["root/agent", "root/data"] {
        private_dir(&unfinished.join(folder))?;
    }
    for folder in ["root", "root/agent", "root/data"] {
        record.user().own(&unfinished.join(folder))?;
    }
    record.write(&unfinished)?;
    fs::rename(&unfinished, paths.dir()).map_err(io("put a container into its place"))
}

/// Removes the directory: out of its place first, so that it disappears at once.
pub(super) fn remove(paths: &Paths) -> Result<(), EngineError> {
    sweep(paths)?;
    match fs::rename(paths.dir(), paths.trash()) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(io("take a container out of its place")(error))
        }
        _ => remove_tree(&paths.trash()),
    }
}

/// Removes what an interrupted create or delete left.
pub(super) fn sweep(paths: &Paths) -> Result<(), EngineError> {
    remove_tree(&paths.unfinished())?;
    remove_tree(&paths.trash())
}

fn remove_tree(path: &Path) -> Result<(), EngineError> {
    super::remove::remove_tree(path).map_err(io(format!("remove {}", path.display())))
}
