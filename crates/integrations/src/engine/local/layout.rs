//! Where things lie under the engine's folder.
//!
//! ```text
//! ROOT/{id}/container.json   the mark and record      ROOT/.locks/{id}   held by whoever changes the container
//! ROOT/{id}/agent.pid        written by `enter`       ROOT/.new-{id}     a create that is not finished
//! ROOT/{id}/agent.log        the agent's own output   ROOT/.trash-{id}   a delete that is not finished
//! ROOT/{id}/etc              its passwd and group
//! ROOT/{id}/root/agent, ROOT/{id}/root/data           all that the container can write; its user's
//! ```

use std::{
    fs,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
};

use domain::ids::InstanceId;

use super::{EngineError, io};

const NEW: &str = ".new-";
const TRASH: &str = ".trash-";

/// The engine's folder.
#[derive(Clone, Debug)]
pub(super) struct Layout(PathBuf);

impl Layout {
    /// Makes the folder when missing. The path becomes absolute: it is how our processes are recognised.
    pub(super) fn open(root: &Path) -> Result<Self, EngineError> {
        private_dir(root)?;
        let root = root.canonicalize().map_err(io("open the engine's folder"))?;
        private_dir(&root.join(".locks"))?;
        Ok(Self(root))
    }

    pub(super) fn root(&self) -> &Path {
        &self.0
    }

    pub(super) fn locks(&self) -> PathBuf {
        self.0.join(".locks")
    }

    pub(super) fn paths(&self, id: InstanceId) -> Paths {
        Paths { engine: self.0.clone(), id }
    }

    /// Directories named like an instance, ours or not.
    pub(super) fn instances(&self) -> Result<Vec<InstanceId>, EngineError> {
        self.names(|name| name.parse().ok())
    }

    /// Instances with an unfinished create or delete.
    pub(super) fn half_made(&self) -> Result<Vec<InstanceId>, EngineError> {
        self.names(|name| name.strip_prefix(NEW).or_else(|| name.strip_prefix(TRASH))?.parse().ok())
    }

    fn names(&self, pick: impl Fn(&str) -> Option<InstanceId>) -> Result<Vec<InstanceId>, EngineError> {
        let mut ids = Vec::new();
        for entry in fs::read_dir(&self.0).map_err(io("list the containers"))? {
            let name = entry.map_err(io("list the containers"))?.file_name();
            ids.extend(name.to_str().and_then(&pick));
        }
        ids.sort_unstable();
        ids.dedup();
        Ok(ids)
    }
}

/// Where one container's things lie.
#[derive(Clone, Debug)]
pub(super) struct Paths {
    engine: PathBuf,
    id: InstanceId,
}

impl Paths {
    pub(super) fn dir(&self) -> PathBuf {
        self.engine.join(self.id.to_string())
    }

    pub(super) fn unfinished(&self) -> PathBuf {
        self.engine.join(format!("{NEW}{}", self.id))
    }

    pub(super) fn trash(&self) -> PathBuf {
        self.engine.join(format!("{TRASH}{}", self.id))
    }

    pub(super) fn record(&self) -> PathBuf {
        self.dir().join("container.json")
    }

    pub(super) fn pid_file(&self) -> PathBuf {
        self.dir().join("agent.pid")
    }

    pub(super) fn log(&self) -> PathBuf {
        self.dir().join("agent.log")
    }

    /// What the container sees as its `/etc/passwd` and `/etc/group`.
    pub(super) fn etc(&self) -> PathBuf {
        self.dir().join("etc")
    }

    /// What the container sees and may write.
    pub(super) fn root(&self) -> PathBuf {
        self.dir().join("root")
    }
}

/// Makes a directory, and its parents, that nobody else can enter.
pub(super) fn private_dir(path: &Path) -> Result<(), EngineError> {
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(io(format!("make {}", path.display())))
}
