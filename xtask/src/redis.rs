//! A private Redis: a Unix socket, a password, nothing kept on disk (it carries ids only).

use std::{
    io::{Read as _, Write as _},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::Child,
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use rustix::process::Signal;
use serde::{Deserialize, Serialize};

use crate::{
    process::{self, Record},
    secrets, sockets, wait,
};

const STARTS_WITHIN: Duration = Duration::from_secs(20);
const STOPS_WITHIN: Duration = Duration::from_secs(10);

/// A Redis server of ours.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Redis {
    folder: PathBuf,
    /// Its password.
    pub password: String,
    /// Its socket.
    #[serde(skip)]
    pub socket: PathBuf,
}

impl Redis {
    /// The server that is kept in `folder`; a new one where there is none.
    pub fn open(folder: &Path) -> Result<Self> {
        let file = folder.join("redis.json");
        let socket = sockets::folder(folder)?.join("redis.sock");
        if let Ok(bytes) = std::fs::read(&file) {
            return Ok(Self { socket, ..serde_json::from_slice(&bytes).context("redis.json")? });
        }
        secrets::private_folder(folder)?;
        let redis = Self { folder: folder.to_owned(), password: secrets::password(), socket };
        redis.save()?;
        Ok(redis)
    }

    fn save(&self) -> Result<()> {
        secrets::write_private(&self.folder.join("redis.json"), &serde_json::to_string(self)?)
    }

    /// Starts it, unless `record` is of a server that still runs.
    pub fn start(&self, record: Option<Record>, log: &Path) -> Result<(Record, Option<Child>)> {
        if let Some(record) = record.filter(Record::is_alive) {
            if record.port.is_none() {
                return Ok((record, None));
            }
            // One of an earlier version of this program, which listens on a port.
            Self::stop(&record)?;
        }
        let settings = self.folder.join("redis.conf");
        secrets::write_private(&settings, &self.settings())?;
        let mut command = process::detached("redis-server");
        command.arg(&settings).current_dir(&self.folder);
        let mut child = process::spawn(command, log)?;
        let record = Record::of("redis", child.id(), None)?;
        let ready = wait::until("Redis", STARTS_WITHIN, || {
            if !record.is_alive() {
                bail!("Redis ended while starting:\n{}", process::tail(log, 10));
            }
            Ok(self.answers().then_some(()))
        });
        process::unless_ready(ready, &record, &mut child, STOPS_WITHIN)?;
        Ok((record, Some(child)))
    }

    fn settings(&self) -> String {
        let (socket, password) = (self.socket.display(), &self.password);
        // No port: games share the machine's loopback, and not this socket.
        format!(
            "port 0\nunixsocket \"{socket}\"\nunixsocketperm 700\nrequirepass {password}\nsave \"\"\nappendonly no\n"
        )
    }

    fn answers(&self) -> bool {
        let ask = || -> std::io::Result<bool> {
            let mut stream = UnixStream::connect(&self.socket)?;
            stream.set_read_timeout(Some(Duration::from_secs(1)))?;
            stream.write_all(format!("AUTH {}\r\nPING\r\n", self.password).as_bytes())?;
            let mut answer = [0; 12];
            stream.read_exact(&mut answer)?;
            Ok(&answer == b"+OK\r\n+PONG\r\n")
        };
        ask().unwrap_or(false)
    }

    /// Stops a server of this kind.
    pub fn stop(record: &Record) -> Result<()> {
        record.stop(Signal::TERM, STOPS_WITHIN)
    }

    /// With the password.
    pub fn url(&self) -> String {
        let path = self.socket.to_string_lossy().replace(' ', "%20");
        format!("redis+unix://{path}?db=0&pass={}", self.password)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_private_redis_asks_for_its_password() {
        let folder = tempfile::tempdir().unwrap();
        let redis = Redis::open(folder.path()).unwrap();
        let (record, child) = redis.start(None, &folder.path().join("log")).unwrap();
        assert!(redis.answers());
        assert!(!Redis { password: "wrong".into(), ..redis.clone() }.answers());
        assert_eq!(Redis::open(folder.path()).unwrap().url(), redis.url());
        Redis::stop(&record).unwrap();
        child.unwrap().wait().unwrap();
    }
}
