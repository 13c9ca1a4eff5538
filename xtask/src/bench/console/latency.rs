//! How late one line is: from its print to its arrival, by the one clock that game and reader share.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result};

use super::socket::Console;
use crate::{
    bench::{Aim, Measurement, game::Direct, samples::Samples, visitor::Visitor},
    interrupt, ui,
};

/// Of each kind, in turn.
const LINES: u64 = 400;
/// The first ones are not counted.
const WARM_UP: u64 = 20;
/// What nobody notices: a frame on a 60 Hz screen takes 17 ms.
const MOST_MS: f64 = 17.0;

/// Measures.
pub(super) fn measure(visitor: &Visitor, instance: &str) -> Result<Vec<Measurement>> {
    let (mut console, mut direct) = (Console::open(visitor, instance)?, Direct::start()?);
    let step = ui::progress("How late a line is", LINES);
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for line in 0..LINES + WARM_UP {
        interrupt::check()?;
        step.at(line.saturating_sub(WARM_UP));
        console.tell("now")?;
        let our = late(&console.line()?)?;
        direct.tell("now")?;
        let their = late(&direct.line()?)?;
        if line >= WARM_UP {
            ours.push(our);
            theirs.push(their);
        }
    }
    step.done("");
    let (ours, theirs): (Samples, Samples) = (ours.into_iter().collect(), theirs.into_iter().collect());
    let added = |name: &str, ours: f64, theirs: f64| {
        let added = Measurement::new(&format!("added to a line's way {name}"), ours - theirs, "ms");
        let whole = Measurement::new(&format!("a line's way {name} (a pipe)"), ours, "ms").beside(theirs);
        [whole, added.aiming(Aim::AtMost(MOST_MS))]
    };
    let mut report = added("p50", ours.p50(), theirs.p50()).to_vec();
    report.extend(added("p99", ours.p99(), theirs.p99()));
    Ok(report)
}

/// Since the moment that the line names.
#[expect(clippy::disallowed_methods, reason = "the game prints the time of day, so this is compared with it")]
fn late(line: &str) -> Result<Duration> {
    let printed = Duration::from_nanos(line.parse().with_context(|| format!("not a time: {line}"))?);
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
    Ok(now.saturating_sub(printed))
}
