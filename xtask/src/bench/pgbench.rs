//! The baseline: how many transactions of a few rows this PostgreSQL commits for pgbench.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};

use super::rounds::Round;
use crate::{
    interrupt,
    postgres::OWNER,
    stack::{DATABASE, Stack},
};

/// Writes down what each transaction is.
pub(super) fn prepare(stack: &Stack, script: &str) -> Result<()> {
    fs::create_dir_all(folder(stack))?;
    Ok(fs::write(folder(stack).join("script.sql"), script)?)
}

fn folder(stack: &Stack) -> PathBuf {
    stack.home().join("pgbench")
}

/// One round, with as many clients as creates have, and prepared statements as the daemons have.
pub(super) fn round(stack: &Stack, clients: usize, time: Duration) -> Result<Round> {
    interrupt::check()?;
    let folder = folder(stack);
    let begun = Instant::now();
    let output = command(stack, clients, time).output().context("cannot run pgbench")?;
    let elapsed = begun.elapsed();
    interrupt::check()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "pgbench: {}", said.trim());
    let time = own_time(&String::from_utf8_lossy(&output.stdout)).unwrap_or(elapsed);
    Ok(Round { time, latencies: read_logs(&folder)?, refused: 0 })
}

fn command(stack: &Stack, clients: usize, time: Duration) -> Command {
    let cluster = &stack.cluster;
    let mut command = Command::new(cluster.program("pgbench"));
    command
        .args(["--no-vacuum", "--protocol=prepared", "--log", "--log-prefix=log", "--file=script.sql"])
        .args([format!("--client={clients}"), format!("--time={}", time.as_secs())])
        .args([&format!("--jobs={}", clients.min(2)), "-U", OWNER, "-h"])
        .arg(&cluster.sockets)
        .arg(DATABASE)
        .env("PGPASSWORD", &cluster.password)
        .current_dir(folder(stack))
        .stdin(Stdio::null());
    command
}

/// The time that its rate is of: without that of connecting.
fn own_time(said: &str) -> Option<Duration> {
    let after = |start: &str| said.lines().find_map(|line| line.trim().strip_prefix(start));
    let count: f64 = after("number of transactions actually processed:")?.trim().parse().ok()?;
    let rate: f64 = after("tps =")?.split_whitespace().next()?.parse().ok()?;
    Duration::try_from_secs_f64(count / rate).ok()
}

/// Reads and removes the logs: each line is a transaction, its third field the microseconds that it took
/// (PostgreSQL's manual, "pgbench", "Per-Transaction Logging").
fn read_logs(folder: &Path) -> Result<Vec<Duration>> {
    let mut latencies = Vec::new();
    for entry in fs::read_dir(folder)?.flatten() {
        if entry.file_name().to_string_lossy().starts_with("log.") {
            latencies.extend(fs::read_to_string(entry.path())?.lines().filter_map(latency));
            fs::remove_file(entry.path())?;
        }
    }
    ensure!(!latencies.is_empty(), "pgbench has logged nothing");
    Ok(latencies)
}

fn latency(line: &str) -> Option<Duration> {
    line.split(' ').nth(2)?.parse().ok().map(Duration::from_micros)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_pgbench_says_is_understood() {
        let said = "number of transactions actually processed: 300\nlatency average = 1 ms\n\
                    tps = 150.000000 (without initial connection time)\n";
        assert_eq!(own_time(said), Some(Duration::from_secs(2)));
        assert_eq!(own_time("pgbench (PostgreSQL) 15"), None);
        assert_eq!(latency("0 199 2241 0 1175850568 995598"), Some(Duration::from_micros(2_241)));
    }
}
