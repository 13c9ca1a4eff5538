//! Where backups keep what: beside the data folder, so that a folder changes its place by a rename.

use std::{
    fs::{self, DirBuilder, File},
    io,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
};

use rustix::fs::{Mode, OFlags, fstat, open};
use uuid::Uuid;

use super::folder::set_mode;

/// Names of folders beside `data` that belong to tasks.
const STAGING: &str = "staging-";
const SCRATCH: &str = "verify-";
const PREVIOUS: &str = "previous-";

/// Paths below the agent's folder.
#[derive(Clone, Debug)]
pub struct Places(PathBuf);

impl Places {
    /// Of the agent that lives in `root`.
    pub fn new(root: &Path) -> Self {
        Self(root.to_owned())
    }

    /// The customer's files.
    pub fn data(&self) -> PathBuf {
        self.0.join("data")
    }

    /// What a restore has unpacked and not yet swapped in.
    pub fn staging(&self, task: Uuid) -> PathBuf {
        self.0.join(format!("{STAGING}{task}"))
    }

    /// What a verification unpacks.
    pub fn scratch(&self, task: Uuid) -> PathBuf {
        self.0.join(format!("{SCRATCH}{task}"))
    }

    /// The files that a restore has swapped out and not yet committed.
    pub fn previous(&self, task: Uuid) -> PathBuf {
        self.0.join(format!("{PREVIOUS}{task}"))
    }

    /// Parts and manifests on their way.
    pub fn work(&self) -> PathBuf {
        self.0.join("agent/backup")
    }

    /// What is known of the task.
    pub fn journal(&self) -> PathBuf {
        self.work().join("state.json")
    }

    /// What is to be removed.
    pub fn trash(&self) -> PathBuf {
        self.0.join("agent/trash")
    }

    /// Makes our own folders.
    pub fn prepare(&self) -> io::Result<()> {
        for folder in [self.work(), self.trash()] {
            DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        }
        Ok(())
    }

    /// Makes renames in the agent's folder last.
    pub fn sync(&self) -> io::Result<()> {
        File::open(&self.0)?.sync_all()
    }

    /// Moves a folder to where it is removed from; a no-op when it is not there.
    pub fn discard(&self, folder: &Path) -> io::Result<()> {
        let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let grave = self.trash().join(format!("{name}-{}", Uuid::now_v7()));
        match fs::rename(folder, &grave) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            // To another folder it can be moved only by who may write in it, and its owner may have denied that to itself.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                let handle = open(folder, flags, Mode::empty())?;
                let mode = Mode::from_raw_mode(fstat(&handle)?.st_mode);
                set_mode(&handle, Mode::RWXU)?;
                fs::rename(folder, grave).inspect_err(|_| {
                    // It stays, so it stays as it was.
                    let _ = set_mode(&handle, mode);
                })
            }
            other => other,
        }
    }

    /// Folders of tasks that were staged or being verified, with their tasks.
    pub fn leftovers(&self) -> io::Result<Vec<(Uuid, PathBuf)>> {
        self.of_tasks(&[STAGING, SCRATCH])
    }

    /// Folders that were swapped out, with their tasks.
    pub fn swapped_out(&self) -> io::Result<Vec<(Uuid, PathBuf)>> {
        self.of_tasks(&[PREVIOUS])
    }

    fn of_tasks(&self, prefixes: &[&str]) -> io::Result<Vec<(Uuid, PathBuf)>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.0)? {
            let entry = entry?;
            let Ok(name) = entry.file_name().into_string() else { continue };
            let task = prefixes.iter().find_map(|prefix| name.strip_prefix(prefix)?.parse().ok());
            found.extend(task.map(|task| (task, entry.path())));
        }
        Ok(found)
    }

    /// Drops parts and manifests of an earlier task.
    pub fn clear_work(&self) -> io::Result<()> {
        for entry in fs::read_dir(self.work())? {
            let path = entry?.path();
            if path != self.journal() {
                fs::remove_file(path)?;
            }
        }
        Ok(())
    }
}
