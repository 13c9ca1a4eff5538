//! Processes that we started: found again by pid and start time, so that a recycled pid is never taken for ours.

use std::{
    ffi::OsStr,
    fs::{self, File, OpenOptions},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result};
use rustix::process::{Pid, Signal, kill_process};
use serde::{Deserialize, Serialize};

use crate::{secrets, wait};

/// A log that has grown past this is begun anew when its process starts; one old log is kept.
const LOG_LIMIT: u64 = 8 << 20;

/// A process of ours.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// What it is.
    pub name: String,
    /// Process id.
    pub pid: i32,
    /// When it started, in the kernel's clock ticks since boot.
    pub started: u64,
    /// Its loopback port, of what has one.
    #[serde(default)]
    pub port: Option<u16>,
}

impl Record {
    /// Describes a process that runs now.
    pub fn of(name: &str, pid: u32, port: Option<u16>) -> Result<Self> {
        let pid = i32::try_from(pid)?;
        let started = start_time(pid).with_context(|| format!("{name} ended at once"))?;
        Ok(Self { name: name.to_owned(), pid, started, port })
    }

    /// Reads the record in `folder`; nothing where there is none.
    pub fn read(folder: &Path, name: &str) -> Option<Self> {
        serde_json::from_slice(&fs::read(Self::path(folder, name)).ok()?).ok()
    }

    /// Keeps it in `folder`.
    pub fn write(&self, folder: &Path) -> Result<()> {
        secrets::write_private(&Self::path(folder, &self.name), &serde_json::to_string(self)?)
    }

    /// Forgets it.
    pub fn forget(&self, folder: &Path) {
        let _ = fs::remove_file(Self::path(folder, &self.name));
    }

    fn path(folder: &Path, name: &str) -> PathBuf {
        folder.join(format!("{name}.json"))
    }

    /// Whether it still runs.
    pub fn is_alive(&self) -> bool {
        start_time(self.pid) == Some(self.started)
    }

    /// Sends a signal, if it still runs.
    pub fn signal(&self, signal: Signal) {
        if self.is_alive()
            && let Some(pid) = Pid::from_raw(self.pid)
        {
            let _ = kill_process(pid, signal);
        }
    }

    /// Asks it to end, and kills it when it has not after `grace`.
    pub fn stop(&self, signal: Signal, grace: Duration) -> Result<()> {
        self.signal(signal);
        let gone = || Ok((!self.is_alive()).then_some(()));
        wait::until(&self.name, grace, gone).or_else(|_| {
            self.signal(Signal::KILL);
            wait::until(&format!("{} (pid {}) does not die", self.name, self.pid), grace, gone)
        })
    }
}

/// What was started, once it is ready; ended where it did not become so, since nobody else knows of it yet.
pub fn unless_ready(ready: Result<()>, record: &Record, child: &mut Child, grace: Duration) -> Result<()> {
    if let Err(error) = ready {
        record.stop(Signal::INT, grace).with_context(|| format!("{error:#}"))?;
        child.wait()?;
        return Err(error);
    }
    Ok(())
}

/// When a process started, in clock ticks since boot; nothing for one that ended, reaped or not (proc_pid_stat(5)).
pub fn start_time(pid: i32) -> Option<u64> {
    parse_stat(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

fn parse_stat(stat: &str) -> Option<u64> {
    // The second field is a name in brackets that may itself have spaces and brackets.
    let fields: Vec<_> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    match *fields.first()? {
        "Z" | "X" => None,
        _ => fields.get(19)?.parse().ok(),
    }
}

/// A command in a session of its own, so that a terminal's Ctrl-C and hang-up do not reach it.
pub fn detached(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new("setsid");
    command.arg(program);
    command
}

/// Starts a command that writes to the log `file`.
pub fn spawn(mut command: Command, file: &Path) -> Result<Child> {
    let log = open_log(file)?;
    command
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()
        .with_context(|| format!("cannot start {}", command.get_program().display()))
}

fn open_log(file: &Path) -> Result<File> {
    if fs::metadata(file).is_ok_and(|log| log.len() > LOG_LIMIT) {
        fs::rename(file, file.with_extension("old.log"))?;
    }
    OpenOptions::new()
        .create(true)
        .append(true)
        .open(file)
        .with_context(|| format!("cannot open {}", file.display()))
}

/// The last `count` lines of a text file; empty where there is none.
pub fn tail(file: &Path, count: usize) -> String {
    let text = String::from_utf8_lossy(&fs::read(file).unwrap_or_default()).into_owned();
    let lines: Vec<_> = text.lines().collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_brackets_does_not_shift_the_fields() {
        let tail = "S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 4711 20";
        assert_eq!(parse_stat(&format!("7 (a) b (c) {tail}")), Some(4711));
        assert_eq!(parse_stat(&format!("7 (a) {}", tail.replacen('S', "Z", 1))), None);
    }

    #[test]
    fn a_process_that_ended_is_not_alive_even_before_it_is_reaped() {
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        let record = Record::of("sleep", child.id(), None).unwrap();
        assert!(record.is_alive());
        record.stop(Signal::TERM, Duration::from_secs(5)).unwrap();
        assert!(!record.is_alive());
        child.wait().unwrap();
    }

    #[test]
    fn a_recycled_pid_is_not_signalled() {
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        let mut record = Record::of("sleep", child.id(), None).unwrap();
        record.started += 1;
        record.signal(Signal::KILL);
        assert!(!record.is_alive() && child.try_wait().unwrap().is_none());
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
