//! `cargo xtask bench files`: a file of 1 GiB up to a server and down again through the API, in release builds, beside
//! `cp` on the same disk and a plain static file handler; and the most memory that it took.

mod content;

pub(super) use content::Numbers;

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};

use super::{
    Aim, Build, Measurement,
    client::Connection,
    customers::Customer,
    processes::Peaks,
    samples::{MEGABYTE, Samples, count},
    stage,
    visitor::Visitor,
};
use crate::{interrupt, stack::Stack, ui, workspace::Workspace};

const SIZE: usize = 1 << 30;
/// Each kind takes its turn in each round.
const ROUNDS: u64 = 5;
/// Of the baseline.
const AIM: Aim = Aim::RatioAtLeast(0.7);

/// Builds, measures, and leaves nothing behind.
pub(super) fn run(workspace: &Workspace, build: Build) -> Result<Vec<Measurement>> {
    interrupt::listen()?;
    stage::build(workspace, build)?;
    stage::with_game(workspace, build, "", measure)
}

/// Megabytes a second of each kind, round by round.
#[derive(Default)]
struct Rates {
    upload: Vec<f64>,
    copy: Vec<f64>,
    download: Vec<f64>,
    plain: Vec<f64>,
}

fn measure(stack: &mut Stack) -> Result<Vec<Measurement>> {
    let visitor = Visitor::open(stack)?;
    let instance = visitor.create_game(None)?.instance;
    // In the sandbox's folder, so that it can serve it as it is.
    let source = stack.home().join("artifacts/file.bin");
    content::write(&source, SIZE)?;
    let peaks = Peaks::begin(stack, &stack.containers().join(&instance))?;
    let step = ui::progress("1 GiB up and down", ROUNDS);
    let mut rates = Rates::default();
    for round in 0..ROUNDS {
        step.at(round);
        measure_round(stack, &visitor, &instance, &source, &mut rates)?;
    }
    step.done("");
    let mut report = report(rates);
    report.extend(peaks.report()?);
    Ok(report)
}

fn measure_round(
    stack: &Stack,
    visitor: &Visitor,
    instance: &str,
    source: &Path,
    rates: &mut Rates,
) -> Result<()> {
    let path = format!("/api/instances/{instance}/files/content?path=file.bin");
    rates.upload.push(timed(|| upload(visitor, &path, source))?);
    rates.copy.push(timed(|| copy(source, &stack.home().join("copy.bin")))?);
    rates.download.push(timed(|| download(&visitor.origin, &visitor.customer, &path))?);
    let sandbox = stack.sandbox_url();
    rates.plain.push(timed(|| download(&sandbox, &Customer::default(), "/file.bin"))?);
    Ok(())
}

fn timed(work: impl FnOnce() -> Result<()>) -> Result<f64> {
    interrupt::check()?;
    let begun = Instant::now();
    work()?;
    Ok(megabytes(SIZE, begun.elapsed()))
}

fn megabytes(bytes: usize, time: Duration) -> f64 {
    count(bytes) / MEGABYTE / time.as_secs_f64()
}

fn upload(visitor: &Visitor, path: &str, source: &Path) -> Result<()> {
    let mut connection = Connection::open(&visitor.origin)?;
    connection.upload(&visitor.customer, path, &mut File::open(source)?)?.expect(path).map(drop)
}

fn download(origin: &str, customer: &Customer, path: &str) -> Result<()> {
    let read = Connection::open(origin)?.download(customer, path)?;
    ensure!(read == SIZE as u64, "{path} has {read} bytes");
    Ok(())
}

/// As a person copies a file; then until it is on the disk, as an upload is before it is answered.
fn copy(source: &Path, to: &PathBuf) -> Result<()> {
    let _ = fs::remove_file(to);
    for (program, arguments) in [("cp", vec![source, to.as_path()]), ("sync", vec![to.as_path()])] {
        let status = Command::new(program).args(arguments).status();
        ensure!(status.with_context(|| format!("cannot run {program}"))?.success(), "{program} failed");
    }
    Ok(())
}

fn report(rates: Rates) -> Vec<Measurement> {
    let p50 = |rates: Vec<f64>| rates.into_iter().collect::<Samples>().p50();
    let beside = |name: &str, ours: Vec<f64>, theirs: Vec<f64>| {
        Measurement::new(name, p50(ours), "MB/s").beside(p50(theirs)).aiming(AIM)
    };
    vec![
        beside("upload of 1 GiB p50 (cp and sync)", rates.upload, rates.copy),
        beside("download of 1 GiB p50 (a static handler)", rates.download, rates.plain),
    ]
}
