//! From a create to a server that can be joined: the whole, the game's own part of it, and each step.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use super::{
    boot::Game,
    client::Connection,
    customers::{self, Customer},
    events::Events,
    samples::{Samples, milliseconds},
};
use crate::{
    bench::{Aim, Measurement},
    stack::{DATABASE, Stack},
    ui,
};

/// Servers created, one after the other.
const SERVERS: u32 = 15;
const OVER_WITHIN: Duration = Duration::from_mins(2);

/// With the most CPU, so that a plan's limit does not slow a boot that is compared with one without limits.
const PLAN: &str = "large";

/// A customer with an open page.
pub(super) struct Visitor {
    customer: Customer,
    origin: String,
    events: Events,
}

impl Visitor {
    /// Opens the page.
    pub(super) fn open(stack: &Stack) -> Result<Self> {
        let origin = stack.api_url();
        let customer = customers::make(&stack.cluster, 1)?.pop().context("no customer")?;
        let events = Events::open(&origin, &customer)?;
        Ok(Self { customer, origin, events })
    }

    /// Their id.
    pub(super) fn id(&self) -> &str {
        &self.customer.id
    }

    /// Asks for an operation and waits until it has succeeded. Returns the answer, and how long all of it took.
    /// The connection is new: the API closes one that was idle for a while.
    pub(super) fn run(&self, method: &str, path: &str, body: &str) -> Result<(Value, Duration)> {
        let mut connection = Connection::open(&self.origin)?;
        let begun = Instant::now();
        let accepted = connection.ask(&self.customer, method, path, body)?.expect(path)?;
        let operation = accepted["operation"]["id"].as_str().context("no operation")?;
        let ended = self.events.until_succeeded(&mut connection, &self.customer, operation, OVER_WITHIN)?;
        Ok((accepted, ended.duration_since(begun)))
    }

    /// Creates the demo's server.
    pub(super) fn create(&self) -> Result<Created> {
        let name = super::server_name();
        let body = json!({
            "name": name, "blueprint": "minecraft-js", "variant": "flying-squid", "plan": PLAN,
        });
        let (accepted, time) = self.run("POST", "/api/instances", &body.to_string())?;
        let text = |key: &str| accepted[key]["id"].as_str().unwrap_or_default().to_owned();
        Ok(Created { instance: text("instance"), operation: text("operation"), time })
    }

    /// Deletes a server.
    pub(super) fn delete(&self, instance: &str) -> Result<()> {
        self.run("DELETE", &format!("/api/instances/{instance}"), "").map(drop)
    }
}

/// A server that can be joined.
pub(super) struct Created {
    /// Its id.
    pub(super) instance: String,
    operation: String,
    /// From the request until the customer heard that it is there.
    time: Duration,
}

/// Measures. One server after the other, each deleted again, and each beside a boot of the game without us.
pub(super) fn measure(stack: &Stack, visitor: &Visitor) -> Result<Vec<Measurement>> {
    let first = visitor.create()?;
    let game = Game::copy_of(&stack.containers().join(&first.instance), &stack.home().join("boot"))?;
    visitor.delete(&first.instance)?;
    game.boot()?;
    let step = ui::progress("From create to ready", u64::from(SERVERS));
    let (mut boots, mut created) = (Vec::new(), Vec::new());
    for server in 0..SERVERS {
        step.at(u64::from(server));
        boots.push(game.boot()?);
        let one = visitor.create()?;
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
            "SELECT operation_id, name, extract(epoch FROM ended_at - begun_at) * 1000 FROM operation_steps
             WHERE operation_id IN ({}) AND ended_at IS NOT NULL ORDER BY operation_id, ordinal",
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
