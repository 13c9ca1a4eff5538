//! `cargo xtask bench NAME`: measures, and compares with a baseline that was measured in the same run.

mod backup;
mod client;
mod console;
mod controller;
mod create;
mod customers;
mod events;
mod files;
mod game;
mod pgbench;
mod portal;
mod processes;
mod rounds;
mod samples;
mod stage;
mod visitor;
mod webhook;

use std::process::ExitCode;

use anyhow::{Context as _, Result};
use serde::Serialize;

use crate::workspace::Workspace;

/// Every benchmark, by name.
const BENCHES: &[(&str, Bench)] = &[
    ("create", create::run),
    ("console", console::run),
    ("files", files::run),
    ("backup", backup::run),
    ("portal", portal::run),
    ("controller", controller::run),
    ("webhook", webhook::run),
];

type Bench = fn(&Workspace, Build) -> Result<Vec<Measurement>>;

/// What to measure.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// Which benchmark
    name: String,
    /// For programs
    #[arg(long)]
    json: bool,
    /// Of debug builds: says that a benchmark works, and nothing about speed
    #[arg(long)]
    unoptimised: bool,
}

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Build {
    /// As it is delivered.
    Release,
    /// As it is at hand.
    Debug,
}

/// In which direction a value is better.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Aim {
    /// At least this.
    AtLeast(f64),
    /// At most this.
    AtMost(f64),
    /// At least this share of the baseline.
    RatioAtLeast(f64),
}

/// One measured value.
#[derive(Clone, Debug, Serialize)]
pub struct Measurement {
    /// What was measured.
    pub name: String,
    /// The value.
    pub value: f64,
    /// Its unit.
    pub unit: String,
    /// What it is compared with, in the same unit, from the same run.
    pub baseline: Option<f64>,
    /// Value divided by baseline.
    pub ratio: Option<f64>,
    /// What is aimed at, for people.
    pub aim: Option<String>,
    /// Whether it was reached.
    pub met: Option<bool>,
}

impl Measurement {
    /// A value to be compared with nothing yet.
    pub fn new(name: &str, value: f64, unit: &str) -> Self {
        Self {
            name: name.to_owned(),
            value,
            unit: unit.to_owned(),
            baseline: None,
            ratio: None,
            aim: None,
            met: None,
        }
    }

    /// With what it is compared.
    #[must_use]
    pub fn beside(self, baseline: f64) -> Self {
        let ratio = (baseline > 0.0).then(|| self.value / baseline);
        Self { baseline: Some(baseline), ratio, ..self }
    }

    /// With what is aimed at. A ratio's aim is missed where there is no baseline.
    #[must_use]
    pub fn aiming(self, aim: Aim) -> Self {
        let (text, met) = match aim {
            Aim::AtLeast(least) => (format!("≥ {least} {}", self.unit), self.value >= least),
            Aim::AtMost(most) => (format!("≤ {most} {}", self.unit), self.value <= most),
            Aim::RatioAtLeast(least) => {
                (format!("≥ {:.0}% of the baseline", least * 100.0), self.ratio.is_some_and(|it| it >= least))
            }
        };
        Self { aim: Some(text), met: Some(met), ..self }
    }
}

/// Runs a benchmark and prints what it measured.
pub fn run(workspace: &Workspace, options: &Options) -> Result<ExitCode> {
    let found = BENCHES.iter().find(|(name, _)| *name == options.name);
    let known: Vec<_> = BENCHES.iter().map(|(name, _)| *name).collect();
    let (_, bench) =
        found.with_context(|| format!("there is no benchmark of this name, only: {}", known.join(", ")))?;
    let build = if options.unoptimised { Build::Debug } else { Build::Release };
    let measured = bench(workspace, build)?;
    if options.json {
        println!("{}", serde_json::to_string_pretty(&measured)?);
    } else {
        measured.iter().for_each(print);
    }
    Ok(ExitCode::SUCCESS)
}

fn print(it: &Measurement) {
    let baseline = it.baseline.map(|value| format!("  baseline {value:.1}")).unwrap_or_default();
    let ratio = it.ratio.map(|value| format!(" ({:.0}%)", value * 100.0)).unwrap_or_default();
    let verdict = match it.met {
        Some(true) => "  met",
        Some(false) => "  MISSED",
        None => "",
    };
    let aim = it.aim.as_deref().map(|aim| format!("  aim {aim}")).unwrap_or_default();
    println!("{:<44} {:>10.2} {:<6}{baseline}{ratio}{aim}{verdict}", it.name, it.value, it.unit);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_aim_is_met_or_missed_by_the_value_or_its_ratio() {
        let met = |it: Measurement| it.met.unwrap();
        let value = || Measurement::new("creates", 60.0, "1/s");
        assert!(met(value().beside(100.0).aiming(Aim::RatioAtLeast(0.5))));
        assert!(!met(value().beside(200.0).aiming(Aim::RatioAtLeast(0.5))));
        assert!(!met(value().aiming(Aim::RatioAtLeast(0.5))));
        assert!(met(value().aiming(Aim::AtMost(60.0))) && !met(value().aiming(Aim::AtLeast(61.0))));
        assert_eq!(value().beside(0.0).ratio, None);
    }
}
