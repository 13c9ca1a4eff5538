//! What survives the agent, replaced atomically at each step that matters. It holds no signed address.

use std::{fs, io, path::Path};

use domain::agent::BackupStatus;
use serde::{Deserialize, Serialize};
use shim::atomic::write_atomically;
use tracing::error;
use uuid::Uuid;

/// Content of `agent/backup/state.json`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Journal {
    /// The task and where it stands.
    pub(super) status: Option<BackupStatus>,
    /// The task whose folder is unpacked and verified.
    pub(super) staged: Option<Uuid>,
    /// The task that has, or is about to have, its folder in the data folder's place.
    pub(super) swap: Option<Swap>,
    /// Lines owed to the game, for example `save-on`.
    #[serde(default)]
    pub(super) owed: Vec<String>,
}

/// A swap that was not committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Swap {
    pub(super) task: Uuid,
    pub(super) phase: SwapPhase,
}

/// How far it is. Written before the renames, so that they are finished after an interruption.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum SwapPhase {
    Begun,
    Done,
    Undoing,
    Committing,
}

impl Journal {
    /// From `file`. One that cannot be understood is not believed; the folders themselves then say what is what.
    pub(super) fn load(file: &Path) -> io::Result<Self> {
        match fs::read(file) {
            Ok(text) => Ok(serde_json::from_slice(&text).unwrap_or_else(|error| {
                error!(%error, "the journal of backups is damaged; what is there is told from the folders: {error}");
                Self::default()
            })),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(error),
        }
    }

    /// To `file`, on disk when this returns. Blocking.
    pub(super) fn store(&self, file: &Path) -> io::Result<()> {
        write_atomically(file, &serde_json::to_vec(self)?)
    }
}
