//! From a create to a server that can be joined: the whole, the game's own part of it, and each step.

use std::time::Duration;

use anyhow::Result;

use super::boot::Game;
use crate::{
    bench::{
        Aim, Measurement,
        samples::{Samples, milliseconds},
        visitor::{Created, Visitor},
    },
    stack::{DATABASE, Stack},
    ui,
};

/// Servers created, one after the other.
const SERVERS: u32 = 15;

/// With the most CPU, so that a plan's limit does not slow a boot that is compared with one without limits.
pub(super) const PLAN: &str = "large";

fn create(visitor: &Visitor) -> Result<Created> {
    visitor.create("minecraft-js", "flying-squid", PLAN)
}

/// Measures. One server after the other, each deleted again, and each beside a boot of the game without us.
pub(super) fn measure(stack: &Stack, visitor: &Visitor) -> Result<Vec<Measurement>> {
    let first = create(visitor)?;
    let game = Game::copy_of(&stack.containers().join(&first.instance), &stack.home().join("boot"))?;
    visitor.delete(&first.instance)?;
    game.boot()?;
    let step = ui::progress("From create to ready", u64::from(SERVERS));
    let (mut boots, mut created) = (Vec::new(), Vec::new());
    for server in 0..SERVERS {
        step.at(u64::from(server));
        boots.push(game.boot()?);
        let one = create(visitor)?;
        visitor.delete(&one.instance)?;
        created.push(one);
    }
    step.done("");
    report(stack, &created, &boots)
}

fn report(stack: &Stack, created: &[Created], boots: &[Duration]) -> Result<Vec<Measurement>> {
    let steps = steps(stack, created)?;
    let installs = times_of("install", &steps);
    // Each create against the boot just before it: what the machine did meanwhile was done to both.
    let beyond = || created.iter().zip(boots).map(|(one, boot)| milliseconds(one.time) - milliseconds(*boot));
    let bare: Samples = beyond().zip(&installs).map(|(beyond, install)| beyond - install).collect();
    let whole: Samples = beyond().collect();
    let p50 = |name: &str, samples: Samples| Measurement::new(name, samples.p50(), "ms");
    let mut report = vec![
        p50("POST until heard ready p50 (flying-squid)", created.iter().map(|one| one.time).collect()),
        p50("the game's own boot p50, started directly", boots.iter().copied().collect()),
        p50("our share p50: beyond boot, with install", whole),
        p50("our share p50: beyond boot, w/o install", bare).aiming(Aim::AtMost(150.0)),
    ];
    let names = steps.iter().take_while(|step| step.operation == steps[0].operation).map(|step| &step.name);
    report.extend(
        names.map(|name| p50(&format!("  step {name} p50"), times_of(name, &steps).into_iter().collect())),
    );
    Ok(report)
}

/// How long the steps of this name took, create by create.
fn times_of(name: &str, steps: &[Step]) -> Vec<f64> {
    steps.iter().filter(|step| step.name == name).map(|step| step.milliseconds).collect()
}

/// A step as the journal has it.
struct Step {
    operation: String,
    name: String,
    milliseconds: f64,
}

/// The steps of these creates, in order.
fn steps(stack: &Stack, created: &[Created]) -> Result<Vec<Step>> {
    let ids: Vec<_> = created.iter().map(|one| format!("'{}'", one.operation)).collect();
    let rows = stack.cluster.sql(
        DATABASE,
        &format!(
            "SELECT operation_id, name, extract(epoch FROM finished_at - started_at) * 1000 FROM operation_steps
             WHERE operation_id IN ({}) AND finished_at IS NOT NULL ORDER BY operation_id, ordinal",
            ids.join(", ")
        ),
    )?;
    rows.lines().map(parse_step).collect()
}

fn parse_step(row: &str) -> Result<Step> {
    let mut fields = row.split('\t').map(str::to_owned);
    let (Some(operation), Some(name), Some(time)) = (fields.next(), fields.next(), fields.next()) else {
        anyhow::bail!("not a step: {row}");
    };
    Ok(Step { operation, name, milliseconds: time.parse()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_read_from_its_row() {
        let step = parse_step("42\tinstall\t12.5").unwrap();
        assert_eq!((step.operation.as_str(), step.name.as_str()), ("42", "install"));
        assert!((step.milliseconds - 12.5).abs() < 1e-9);
        assert!(parse_step("42").is_err());
    }
}
