//! The customer's folder, through a directory handle: a path cannot leave it, whatever links lie in it.

use std::{
    io::{self, Read, Write},
    os::unix::fs::PermissionsExt,
    path::{Component, Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use cap_std::{
    ambient_authority,
    fs::{Dir, File, Permissions},
};
use tokio::task::spawn_blocking;

use super::error::InstallError;

/// Where unfinished files lie, in the customer's folder: renaming works within one file system only.
pub const SCRATCH: &str = ".zlh-tmp";
/// Largest text file read, in bytes.
const MAX_TEXT: u64 = 4 * 1024 * 1024;

/// A path that is not below the customer's folder.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the path {0:?} does not lie in the server's folder")]
pub struct PathRefused(String);

impl PathRefused {
    pub(super) fn new(path: &str) -> Self {
        Self(path.to_owned())
    }
}

/// A relative path without `..`. The handle is what protects; this refuses early and gives a clear message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataPath(PathBuf);

impl DataPath {
    /// Of a file: it has a name.
    pub fn file(path: &str) -> Result<Self, PathRefused> {
        Self::folder(path)
            .and_then(|found| if found.is_root() { Err(PathRefused::new(path)) } else { Ok(found) })
    }

    /// Of a folder: `.` and the empty path are the customer's folder itself.
    pub fn folder(path: &str) -> Result<Self, PathRefused> {
        let mut plain = PathBuf::new();
        for component in Path::new(path).components() {
            match component {
                Component::Normal(name) => plain.push(name),
                Component::CurDir => {}
                _ => return Err(PathRefused::new(path)),
            }
        }
        if path.contains('\0') || plain.starts_with(SCRATCH) {
            Err(PathRefused::new(path))
        } else {
            Ok(Self(plain))
        }
    }

    /// The path, relative to the customer's folder.
    pub fn as_path(&self) -> &Path {
        &self.0
    }

    fn is_root(&self) -> bool {
        self.0.as_os_str().is_empty()
    }
}

/// The open folder; cheap to clone. Methods block unless they are async.
#[derive(Clone, Debug)]
pub struct DataFolder {
    dir: Arc<Dir>,
    scratch_files: Arc<AtomicU64>,
}

/// An unfinished file with its name in the scratch folder.
#[derive(Debug)]
pub struct Scratch {
    /// Open for reading and writing.
    pub file: File,
    name: PathBuf,
}

impl DataFolder {
    /// Opens the folder at `path`, which is the agent's own to know.
    pub async fn open(path: &Path) -> Result<Self, InstallError> {
        let path = path.to_owned();
        let dir = blocking(".", move || Dir::open_ambient_dir(path, ambient_authority())).await?;
        Ok(Self { dir: Arc::new(dir), scratch_files: Arc::default() })
    }

    /// Runs `work` on the folder where blocking is allowed; an error is one of `file`.
    pub async fn with<T: Send + 'static>(
        &self,
        file: &str,
        work: impl FnOnce(&Self) -> io::Result<T> + Send + 'static,
    ) -> Result<T, InstallError> {
        let folder = self.clone();
        blocking(file, move || work(&folder)).await
    }

    /// The handle.
    pub fn dir(&self) -> &Dir {
        &self.dir
    }

    /// Throws away what an earlier installation left unfinished.
    pub async fn clear_scratch(&self) -> Result<(), InstallError> {
        self.with(SCRATCH, |folder| match folder.dir.symlink_metadata(SCRATCH) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
            Ok(found) if found.is_dir() => folder.dir.remove_dir_all(SCRATCH),
            Ok(_) => folder.dir.remove_file(SCRATCH),
        })
        .await
    }

    /// A new empty file under a name of its own.
    pub fn scratch(&self) -> io::Result<Scratch> {
        self.dir.create_dir_all(SCRATCH)?;
        let number = self.scratch_files.fetch_add(1, Ordering::Relaxed);
        let name = Path::new(SCRATCH).join(number.to_string());
        let mut options = cap_std::fs::OpenOptions::new();
        let file = self.dir.open_with(&name, options.read(true).write(true).create_new(true))?;
        Ok(Scratch { file, name })
    }

    /// Gives a finished file its real name, replacing what is there. Whoever wrote it has synced it, or will.
    pub fn publish(&self, scratch: Scratch, path: &Path, mode: u32) -> io::Result<()> {
        let Scratch { file, name } = scratch;
        file.set_permissions(Permissions::from_std(std::fs::Permissions::from_mode(mode)))?;
        self.make_parent(path)?;
        self.dir.rename(name, &self.dir, path)
    }

    /// Everything written so far is on disk when this returns.
    pub fn sync_all(&self) -> io::Result<()> {
        // The handle itself only names the folder (O_PATH), which is not enough for syncing.
        Ok(rustix::fs::syncfs(self.dir.open(".")?)?)
    }

    /// Writes a whole file.
    pub fn write(&self, path: &Path, content: &[u8]) -> io::Result<()> {
        let mut scratch = self.scratch()?;
        scratch.file.write_all(content)?;
        scratch.file.sync_all()?;
        let mode = self.dir.metadata(path).map_or(0o644, |found| found.permissions().into_std_mode());
        self.publish(scratch, path, mode)
    }

    /// A whole file, if there is one.
    pub fn read(&self, path: &Path) -> io::Result<Option<Vec<u8>>> {
        let file = match self.dir.open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let mut content = Vec::new();
        if file.take(MAX_TEXT + 1).read_to_end(&mut content)?
            > usize::try_from(MAX_TEXT).unwrap_or(usize::MAX)
        {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        Ok(Some(content))
    }

    /// Makes the folders above `path`.
    pub fn make_parent(&self, path: &Path) -> io::Result<()> {
        let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) else {
            return Ok(());
        };
        // Looked at first: of a link that leads out, making says only that something is there.
        match self.dir.metadata(parent) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.dir.create_dir_all(parent),
            found => found.map(drop),
        }
    }
}

trait IntoStdMode {
    fn into_std_mode(self) -> u32;
}

impl IntoStdMode for Permissions {
    /// Read, write and execute only.
    fn into_std_mode(self) -> u32 {
        cap_std::fs::PermissionsExt::mode(&self) & 0o777
    }
}

async fn blocking<T: Send + 'static>(
    file: &str,
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, InstallError> {
    let done = spawn_blocking(work).await.unwrap_or_else(|error| Err(io::Error::other(error)));
    done.map_err(|error| InstallError::at(file, error))
}
