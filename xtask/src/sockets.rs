//! Unix sockets of the private stack. Games share the machine's loopback with everything that listens there; a socket they
//! do not see, and its folder they may not enter.

use std::{
    fs::{self, DirBuilder},
    io::{Read as _, Write as _},
    os::unix::{
        fs::{DirBuilderExt as _, MetadataExt as _},
        net::UnixStream,
    },
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use sha2::{Digest as _, Sha256};

/// Longest path of a folder whose sockets have names of up to 20 bytes: a socket's path has 107 (unix(7)).
const LONGEST_FOLDER: usize = 86;

/// The folder for the sockets of what is kept in `home`, made for us alone: in it, or in the system's folder for temporary
/// files where its path is too long for a socket's.
pub fn folder(home: &Path) -> Result<PathBuf> {
    let near = std::path::absolute(home)?.join("sock");
    if near.as_os_str().len() <= LONGEST_FOLDER {
        crate::secrets::private_folder(&near)?;
        return Ok(near);
    }
    let name = hex::encode(&Sha256::digest(near.as_os_str().as_encoded_bytes())[..6]);
    let far = PathBuf::from(format!("/tmp/zlh-{name}"));
    let _ = DirBuilder::new().mode(0o700).create(&far);
    // In a folder that all can write to, a name may be somebody's trap.
    let made = fs::symlink_metadata(&far).with_context(|| format!("cannot make {}", far.display()))?;
    let mine = made.uid() == rustix::process::geteuid().as_raw();
    let ours = made.is_dir() && mine && made.mode() & 0o777 == 0o700;
    ensure!(ours, "{} is not a folder of ours alone", far.display());
    Ok(far)
}

/// Whether a GET over the socket is answered with 200.
pub fn is_ok(socket: &Path, path: &str) -> bool {
    get(socket, path).is_ok_and(|answer| answer.starts_with("HTTP/1.1 200 "))
}

/// The whole answer to a GET over the socket.
pub fn get(socket: &Path, path: &str) -> std::io::Result<String> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    write!(stream, "GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

/// A socket's folder as the host of a URL.
pub fn as_host(folder: &Path) -> String {
    let bytes = folder.as_os_str().as_encoded_bytes().iter();
    bytes
        .map(
            |byte| {
                if byte.is_ascii_alphanumeric() { char::from(*byte).into() } else { format!("%{byte:02X}") }
            },
        )
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_home_with_a_long_path_has_its_sockets_elsewhere_and_always_in_the_same_place() {
        let home = tempfile::tempdir().unwrap();
        let near = folder(home.path()).unwrap();
        assert_eq!(near, home.path().join("sock"));
        let long = home.path().join("x".repeat(90));
        let far = folder(&long).unwrap();
        assert!(far.as_os_str().len() <= LONGEST_FOLDER);
        assert_eq!(folder(&long).unwrap(), far);
        assert_eq!(fs::metadata(&far).unwrap().mode() & 0o777, 0o700);
        fs::remove_dir(far).unwrap();
    }

    #[test]
    fn a_folder_is_a_host() {
        assert_eq!(as_host(Path::new("/a b/c.d")), "%2Fa%20b%2Fc%2Ed");
    }
}
