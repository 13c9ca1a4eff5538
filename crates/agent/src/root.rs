//! The folder an agent lives in: `agent/` is ours (0700), `data/` the customer's, `run/` (0700) for sockets.

use std::{
    fs::{self, DirBuilder, File, OpenOptions, Permissions},
    io,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use anyhow::Context;
use rustix::fs::{FlockOperation, flock};
use shim::{output_log, place};

/// Paths below the agent's folder.
#[derive(Clone, Debug)]
pub struct Root(PathBuf);

impl Root {
    /// The layout below `dir`, made absolute: the game runs in another folder.
    pub fn new(dir: &Path) -> io::Result<Self> {
        std::path::absolute(dir).map(Self)
    }

    /// The folder itself.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Written by the engine before the agent starts.
    pub fn trust_file(&self) -> PathBuf {
        self.0.join("agent/trust.json")
    }

    /// What is to run, and how far it is.
    pub fn state_file(&self) -> PathBuf {
        self.0.join("agent/state.json")
    }

    /// The agent's own certificate.
    pub fn certificate_file(&self) -> PathBuf {
        self.0.join("agent/tls/cert.pem")
    }

    /// The certificate's private key.
    pub fn key_file(&self) -> PathBuf {
        self.0.join("agent/tls/key.pem")
    }

    /// The socket, lock and record of the game's shim.
    pub fn shim(&self) -> PathBuf {
        self.0.join(place::FOLDER)
    }

    /// The output on disk.
    pub fn output_log(&self) -> PathBuf {
        self.0.join(output_log::FOLDER)
    }

    /// The customer's files, and the server's working folder.
    pub fn data(&self) -> PathBuf {
        self.0.join("data")
    }

    /// Makes what is missing of ours, and closes it to others.
    pub fn make_own_folders(&self) -> anyhow::Result<()> {
        for dir in ["agent", "agent/tls", place::FOLDER, output_log::FOLDER, "run"] {
            let dir = self.0.join(dir);
            DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(&dir)
                .with_context(|| dir.display().to_string())?;
            fs::set_permissions(&dir, Permissions::from_mode(0o700))?;
        }
        fs::set_permissions(self.trust_file(), Permissions::from_mode(0o600)).context("trust bundle")
    }

    /// Locks the folder: two agents on one folder would run two servers on one world. The lock holds while the returned
    /// file lives.
    pub fn lock(&self) -> anyhow::Result<File> {
        let lock = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(self.0.join("agent/lock"))
            .context("lock file")?;
        flock(&lock, FlockOperation::NonBlockingLockExclusive).context("another agent serves this folder")?;
        Ok(lock)
    }

    /// Makes the data folder where there is none.
    pub fn make_data_folder(&self) -> io::Result<()> {
        fs::create_dir_all(self.data())
    }
}
