//! Lines a second, while the game prints as fast as it can.

use std::time::Instant;

use anyhow::{Result, ensure};

use super::socket::Console;
use crate::{
    bench::{
        Measurement,
        game::{self, Direct},
        samples::{Samples, rate},
        visitor::Visitor,
    },
    interrupt, ui,
};

/// In one go. All of them fit into what an agent keeps (8 MiB), so that a line which is missing was lost and not
/// dropped as it may be.
const LINES: usize = 50_000;
/// Both take turns, so that whatever changes meanwhile changes for both.
const ROUNDS: u64 = 9;

/// Measures. Every line is looked at: once each, in order.
pub(super) fn measure(visitor: &Visitor, instance: &str) -> Result<Vec<Measurement>> {
    let (mut console, mut direct) = (Console::open(visitor, instance)?, Direct::start()?);
    let step = ui::progress("Lines through the API beside a pipe", ROUNDS);
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    let ask = format!("count {LINES}");
    for round in 0..ROUNDS {
        interrupt::check()?;
        step.at(round);
        let begun = Instant::now();
        console.tell(&ask)?;
        read_all(|| console.line())?;
        ours.push(rate(LINES, begun.elapsed()));
        let begun = Instant::now();
        direct.tell(&ask)?;
        read_all(|| direct.line())?;
        theirs.push(rate(LINES, begun.elapsed()));
    }
    step.done("");
    let p50 = |rates: Vec<f64>| rates.into_iter().collect::<Samples>().p50();
    let name = "console lines through the API p50 (a pipe)";
    Ok(vec![Measurement::new(name, p50(ours), "1/s").beside(p50(theirs))])
}

fn read_all(mut line: impl FnMut() -> Result<String>) -> Result<()> {
    for wanted in 1..=LINES {
        let line = line()?;
        ensure!(game::number(&line) == Some(wanted), "instead of line {wanted}: {line}");
    }
    Ok(())
}
