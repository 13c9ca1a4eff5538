//! The shim's folder: its lock, its socket, and the record of the run.
//!
//! The socket is reached through the folder's descriptor, since the address of a Unix socket has room for 107 bytes
//! (unix(7)), and a folder may be longer than that.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Seek as _, SeekFrom, Write as _},
    os::{
        fd::AsRawFd as _,
        unix::{fs::OpenOptionsExt as _, net::UnixListener},
    },
    path::{Path, PathBuf},
};

use rustix::{
    fs::{FlockOperation, flock},
    io::Errno,
};

use crate::{
    atomic::write_atomically,
    protocol::{Order, Run},
};

/// Where it is below the agent's folder.
pub const FOLDER: &str = "agent/shim";

/// The folder, opened.
#[derive(Debug)]
pub struct Place {
    path: PathBuf,
    folder: File,
}

impl Place {
    /// Opens it.
    pub fn open(path: &Path) -> io::Result<Self> {
        Ok(Self { folder: File::open(path)?, path: path.to_owned() })
    }

    /// The lock with `order` in it, for a shim to be; none when there is a shim.
    pub fn lock(&self, order: &Order) -> io::Result<Option<File>> {
        let Some(mut file) = self.try_lock()? else { return Ok(None) };
        file.set_len(0)?;
        file.write_all(&serde_json::to_vec(order)?)?;
        file.seek(SeekFrom::Start(0))?;
        Ok(Some(file))
    }

    /// The lock; none when there is a shim.
    pub fn try_lock(&self) -> io::Result<Option<File>> {
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let file = file.open(self.path.join("lock"))?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(file)),
            Err(Errno::WOULDBLOCK) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// The socket's address, while this lives.
    pub fn address(&self) -> PathBuf {
        format!("/proc/self/fd/{}/socket", self.folder.as_raw_fd()).into()
    }

    /// Listens, in the place of a shim that is gone.
    pub fn listen(&self) -> io::Result<UnixListener> {
        match fs::remove_file(self.path.join("socket")) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(self.address())?;
        listener.set_nonblocking(true)?;
        Ok(listener)
    }

    /// Records the run; on disk when this returns if it is to `last`.
    pub fn write(&self, run: &Run, last: bool) -> io::Result<()> {
        let (file, text) = (self.path.join("run.json"), serde_json::to_vec(run)?);
        if last {
            return write_atomically(&file, &text);
        }
        let temporary = self.path.join("run.new");
        fs::write(&temporary, text)?;
        fs::rename(temporary, file)
    }

    /// The run recorded; none when there was none, or its end was noted. One that cannot be understood is none.
    pub fn read(&self) -> Option<Run> {
        serde_json::from_slice(&fs::read(self.path.join("run.json")).ok()?).ok()
    }

    /// Forgets the run: its end was noted.
    pub fn forget(&self) -> io::Result<()> {
        match fs::remove_file(self.path.join("run.json")) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}
