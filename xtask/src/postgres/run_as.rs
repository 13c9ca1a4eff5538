//! As whom PostgreSQL runs. It refuses to run as root, so for root there is a way around.

use std::{
    fs::{self, DirBuilder},
    os::unix::fs::{DirBuilderExt as _, chown},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::{process, secrets, sockets};

/// As whom the server runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunAs {
    /// The caller, who is not root.
    Caller,
    /// Root outside, somebody else inside a user namespace: needs no folder that another user can reach.
    Namespace {
        /// User id inside.
        uid: u32,
        /// Group id inside.
        gid: u32,
    },
    /// Another user, whose files are then under `/var/tmp`: the repository may be where only root can go.
    User {
        /// User id.
        uid: u32,
        /// Group id.
        gid: u32,
    },
}

impl RunAs {
    /// What works here.
    pub fn choose() -> Result<Self> {
        if !rustix::process::geteuid().is_root() {
            return Ok(Self::Caller);
        }
        let (uid, gid) = other_user(&fs::read_to_string("/etc/passwd")?)
            .context("PostgreSQL refuses to run as root, and there is no user postgres or nobody")?;
        let namespace = Self::Namespace { uid, gid };
        let works = namespace.command(Path::new("true")).stderr(Stdio::null()).status();
        Ok(if works.is_ok_and(|status| status.success()) { namespace } else { Self::User { uid, gid } })
    }

    /// A command as this user, in a session of its own.
    pub fn command(self, program: &Path) -> Command {
        let mut command = match self {
            Self::Caller => return process::detached(program),
            Self::Namespace { uid, gid } => {
                let mut command = process::detached("unshare");
                command.args(["--user", &format!("--map-user={uid}"), &format!("--map-group={gid}"), "--"]);
                command
            }
            Self::User { uid, gid } => {
                let mut command = process::detached("setpriv");
                command.args([
                    "--reuid",
                    &uid.to_string(),
                    "--regid",
                    &gid.to_string(),
                    "--clear-groups",
                    "--",
                ]);
                command
            }
        };
        command.arg(program).current_dir("/");
        command
    }

    /// Where the data goes for a cluster kept in `folder`.
    pub(super) fn place(self, folder: &Path) -> Result<PathBuf> {
        let Self::User { uid, gid } = self else { return Ok(folder.join("data")) };
        let name = hex::encode(&Sha256::digest(folder.as_os_str().as_encoded_bytes())[..6]);
        let place = PathBuf::from(format!("/var/tmp/zlh-postgres-{name}"));
        // Made by us, or by nobody: in a folder that all can write to, a name may be somebody's trap.
        if fs::symlink_metadata(&place).is_ok() {
            fs::remove_dir_all(&place)
                .with_context(|| format!("cannot remove what is left in {}", place.display()))?;
        }
        DirBuilder::new()
            .mode(0o700)
            .create(&place)
            .with_context(|| format!("cannot make {}", place.display()))?;
        chown(&place, Some(uid), Some(gid))?;
        Ok(place.join("data"))
    }

    /// Where the socket of a cluster kept in `folder` goes: where its server may write, and games may not enter.
    pub(super) fn sockets(self, folder: &Path, data: &Path) -> Result<PathBuf> {
        match (self, data.parent()) {
            (Self::User { .. }, Some(place)) => Ok(place.to_owned()),
            _ => sockets::folder(folder),
        }
    }

    /// A file beside the data folder that the server's user can read.
    pub(super) fn secret_file(self, data: &Path, content: &str) -> Result<PathBuf> {
        let file = data.with_extension("password");
        secrets::write_private(&file, content)?;
        if let Self::User { uid, gid } = self {
            chown(&file, Some(uid), Some(gid))?;
        }
        Ok(file)
    }
}

/// User and group id of `postgres`, else of `nobody`.
fn other_user(passwd: &str) -> Option<(u32, u32)> {
    ["postgres", "nobody"].iter().find_map(|wanted| {
        passwd.lines().find_map(|line| {
            let mut fields = line.split(':');
            let found = fields.next()? == *wanted;
            let (uid, gid) = (fields.nth(1)?.parse().ok()?, fields.next()?.parse().ok()?);
            (found && uid != 0).then_some((uid, gid))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn postgres_is_preferred_to_nobody_and_root_is_never_taken() {
        let nobody = "root:x:0:0::/root:/bin/sh\nnobody:x:65534:65533::/:/bin/false\n";
        assert_eq!(other_user(nobody), Some((65_534, 65_533)));
        assert_eq!(other_user(&format!("{nobody}postgres:x:112:120::/:/bin/sh\n")), Some((112, 120)));
        assert_eq!(other_user("nobody:x:0:0::/:/bin/false\n"), None);
    }
}
