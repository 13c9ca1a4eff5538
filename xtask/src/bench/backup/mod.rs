//! `cargo xtask bench backup`: a backup and a restore of a game's files through the API, in release builds, beside
//! `tar | zstd -3` and `zstd -d | tar x` on the same tree and the same disk.

mod tar;
mod tree;

use std::{fs, path::Path, time::Duration};

use anyhow::{Context as _, Result};

use super::{
    Aim, Build, Measurement,
    processes::Peaks,
    samples::{MEGABYTE, Samples, count},
    stage,
    visitor::Visitor,
};
use crate::{interrupt, prereq, stack::Stack, ui, workspace::Workspace};

/// Both take turns, so that whatever changes meanwhile changes for both.
const ROUNDS: u64 = 5;
/// Of the baseline.
const AIM: Aim = Aim::RatioAtLeast(0.85);

/// Builds, measures, and leaves nothing behind.
pub(super) fn run(workspace: &Workspace, build: Build) -> Result<Vec<Measurement>> {
    interrupt::listen()?;
    prereq::ensure(tar::NEEDS)?;
    stage::build(workspace, build)?;
    stage::with_game(workspace, build, "", measure)
}

/// How long each took, round by round.
#[derive(Default)]
struct Times {
    backup: Vec<Duration>,
    tar: Vec<Duration>,
    restore: Vec<Duration>,
    untar: Vec<Duration>,
}

fn measure(stack: &mut Stack) -> Result<Vec<Measurement>> {
    let visitor = Visitor::open(stack)?;
    let instance = visitor.create_game(None)?.instance;
    let container = stack.containers().join(&instance);
    let data = container.join("root/data");
    let bytes = tree::write(&data.join("world"))?;
    let peaks = Peaks::begin(stack, &container)?;
    let step = ui::progress("Backup and restore beside tar and zstd", ROUNDS);
    let mut times = Times::default();
    for round in 0..ROUNDS {
        step.at(round);
        measure_round(stack, &visitor, &instance, &data, &mut times)?;
    }
    step.done("");
    let mut report = report(times, bytes);
    report.extend(peaks.report()?);
    Ok(report)
}

fn measure_round(
    stack: &Stack,
    visitor: &Visitor,
    instance: &str,
    data: &Path,
    times: &mut Times,
) -> Result<()> {
    let backups = format!("/api/instances/{instance}/backups");
    interrupt::check()?;
    let (accepted, time) = visitor.run("POST", &backups, "{}")?;
    times.backup.push(time);
    let (archive, copy) = (stack.home().join("tree.tar.zst"), stack.home().join("tree"));
    times.tar.push(tar::pack(data, &archive)?);
    interrupt::check()?;
    let id = accepted["backup"]["id"].as_str().context("no backup")?;
    let (_, time) = visitor.run("POST", &format!("{backups}/{id}/restore"), "")?;
    times.restore.push(time);
    times.untar.push(tar::unpack(&archive, &copy)?);
    fs::remove_dir_all(&copy)?;
    Ok(())
}

fn report(times: Times, bytes: usize) -> Vec<Measurement> {
    let rate = |times: Vec<Duration>| {
        let rates = times.into_iter().map(|time| count(bytes) / MEGABYTE / time.as_secs_f64());
        rates.collect::<Samples>().p50()
    };
    let beside = |name: &str, ours, theirs| Measurement::new(name, rate(ours), "MB/s").beside(rate(theirs));
    vec![
        Measurement::new("size of the tree", count(bytes) / MEGABYTE, "MB"),
        beside("backup p50 (tar | zstd -3)", times.backup, times.tar).aiming(AIM),
        // With a stop and a start of the game, and everything read twice: checked before anything is exchanged.
        beside("restore p50 (zstd -d | tar x)", times.restore, times.untar),
    ]
}
