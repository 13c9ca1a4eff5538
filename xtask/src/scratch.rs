//! A private PostgreSQL for one run of a command, in a folder that goes away with it; and with the next run, should
//! this one be killed.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Child,
    time::Duration,
};

use anyhow::{Context as _, Result};
use rustix::process::Signal;

use crate::{
    postgres::{Cluster, Durability},
    process::{Record, start_time},
    redis::Redis,
    secrets,
};

const STOPS_WITHIN: Duration = Duration::from_secs(30);

/// The folder and what runs in it. [`end`](Self::end) it whatever happened.
pub struct Scratch {
    /// Named after our process.
    pub folder: PathBuf,
    /// PostgreSQL, quick and not durable.
    pub cluster: Cluster,
    running: Vec<(Record, Option<Child>)>,
}

impl Scratch {
    /// Starts PostgreSQL in a folder of its own in `parent`.
    pub fn start(parent: &Path) -> Result<Self> {
        sweep(parent)?;
        let folder = parent.join(std::process::id().to_string());
        secrets::private_folder(&folder)?;
        let cluster = Cluster::open(&folder.join("postgres"), Durability::None)?;
        let scratch = Self { folder, cluster, running: Vec::new() };
        let started = scratch.cluster.start(None, &scratch.folder.join("postgres.log"));
        scratch.keep(started)
    }

    /// Starts a Redis beside it.
    pub fn with_redis(self) -> Result<(Self, Redis)> {
        let redis = Redis::open(&self.folder.join("redis"))?;
        let started = redis.start(None, &self.folder.join("redis.log"));
        Ok((self.keep(started)?, redis))
    }

    /// Takes note of a process, in the folder as well; ends all where it did not start.
    fn keep(mut self, started: Result<(Record, Option<Child>)>) -> Result<Self> {
        let kept = started.and_then(|running| {
            running.0.write(&self.folder)?;
            self.running.push(running);
            Ok(())
        });
        match kept {
            Ok(()) => Ok(self),
            Err(error) => {
                self.end()?;
                Err(error)
            }
        }
    }

    /// Stops everything and removes the folder.
    pub fn end(self) -> Result<()> {
        for (record, child) in self.running {
            // PostgreSQL and Redis both take it as a request to stop at once.
            record.stop(Signal::INT, STOPS_WITHIN)?;
            if let Some(mut child) = child {
                child.wait()?;
            }
        }
        self.cluster.remove()?;
        fs::remove_dir_all(&self.folder).context("cannot remove the working folder")
    }
}

/// Stops and removes what runs that were killed have left.
fn sweep(parent: &Path) -> Result<()> {
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        let pid = entry.file_name().to_str().and_then(|name| name.parse().ok());
        if pid.is_none_or(|pid| start_time(pid).is_some()) {
            continue;
        }
        for name in ["postgres", "redis"] {
            if let Some(record) = Record::read(&entry.path(), name) {
                record.stop(Signal::INT, STOPS_WITHIN)?;
            }
        }
        let postgres = entry.path().join("postgres");
        // Its data may be elsewhere. A cluster that was not finished has none that is known to be ours.
        if postgres.join("cluster.json").exists() {
            let cluster = Cluster::open(&postgres, Durability::None)?;
            if cluster.is_there() {
                cluster.remove()?;
            }
        }
        fs::remove_dir_all(entry.path()).context("cannot remove what an earlier run has left")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_killed_run_has_left_is_stopped_and_removed_by_the_next() {
        let parent = tempfile::tempdir().unwrap();
        let killed = Scratch::start(parent.path()).unwrap();
        let (record, mut child) = (killed.running[0].0.clone(), killed.running);
        // As of a process that is gone: no pid is as high (proc(5), pid_max).
        let left = parent.path().join(i32::MAX.to_string());
        fs::rename(&killed.folder, &left).unwrap();
        Scratch::start(parent.path()).unwrap().end().unwrap();
        assert!(!record.is_alive() && !left.exists());
        child.remove(0).1.unwrap().wait().unwrap();
        assert_eq!(fs::read_dir(parent.path()).unwrap().count(), 0);
    }
}
