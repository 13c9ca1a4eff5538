//! Which user a container's processes are.
//!
//! **Architecture invariant:** nothing in a container runs as the machine's root. An engine that runs as root gives each
//! container a user of its own, so that two containers are strangers to each other as well; one that does not has no
//! other user than its own to give.

use std::{fs, os::unix::fs::chown, path::Path};

use super::{EngineError, io};

/// The number of the user of the container whose agent listens on port 0. Above what distributions, systemd and
/// subordinate ranges hand out, below the largest that programs can bear (systemd.io/UIDS-GIDS).
const FIRST: u32 = 1_900_000_000;

/// Inside a user namespace: games refuse root.
const INSIDE: u32 = 1_000;

/// The user of a container, as the machine sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum User {
    /// The engine's own: it is not root. Inside it has another number.
    Engine,
    /// One of the container's own, the same inside.
    Own(u32),
}

impl User {
    /// Of the container whose agent listens on this port: ports are the machine's, so no two containers share one.
    pub(super) fn of(agent_port: u16) -> Self {
        if rustix::process::geteuid().is_root() {
            Self::Own(FIRST + u32::from(agent_port))
        } else {
            Self::Engine
        }
    }

    /// Gives it a file or folder that the engine has made.
    pub(super) fn own(self, path: &Path) -> Result<(), EngineError> {
        match self {
            Self::Engine => Ok(()),
            Self::Own(number) => chown(path, Some(number), Some(number))
                .map_err(io(format!("give {} to its container", path.display()))),
        }
    }

    /// What it is to become, when the engine's user is another.
    pub(super) fn number(self) -> Option<u32> {
        match self {
            Self::Engine => None,
            Self::Own(number) => Some(number),
        }
    }

    /// Writes the `passwd` and `group` that the container sees: programs look up who they are.
    pub(super) fn describe(self, folder: &Path) -> Result<(), EngineError> {
        let number = self.number().unwrap_or(INSIDE);
        let passwd = format!(
            "zlh:x:{number}:{number}:zlh:/tmp:/usr/sbin/nologin\nnobody:x:65534:65534:nobody:/:/usr/sbin/nologin\n"
        );
        let group = format!("zlh:x:{number}:\nnogroup:x:65534:\n");
        let write = || {
            fs::create_dir_all(folder)?;
            fs::write(folder.join("passwd"), passwd)?;
            fs::write(folder.join("group"), group)
        };
        write().map_err(io(format!("write {}", folder.display())))
    }

    /// bubblewrap's arguments: a user namespace where there is no other user, the right to become another where there is.
    pub(super) fn namespace(self) -> Vec<String> {
        match self {
            Self::Engine => {
                let inside = INSIDE.to_string();
                vec!["--unshare-user".into(), "--uid".into(), inside.clone(), "--gid".into(), inside]
            }
            Self::Own(_) => ["--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID"].map(str::to_owned).into(),
        }
    }

    /// `enter`'s arguments, of the last program before the container's own.
    pub(super) fn become_arguments(self) -> Vec<String> {
        self.number().map(|number| vec!["--user".to_owned(), number.to_string()]).unwrap_or_default()
    }
}
