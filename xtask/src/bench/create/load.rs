//! Durable creates: as many as the API commits, beside as many single rows as pgbench commits on the same PostgreSQL.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde_json::json;

use crate::{
    bench::{
        Aim, Measurement,
        client::Connection,
        customers::{self, Customer},
        pgbench,
        rounds::{self, Round},
        samples::{Samples, count},
        stage, visitor,
    },
    interrupt,
    stack::{DATABASE, Stack},
    ui,
};

/// Connections that ask without a pause, of the API as of pgbench: many, whose commits can share a write to the disk,
/// and one alone.
const MANY: usize = 16;
const ALONE: usize = 1;
/// Whose servers they are, in turn: one customer's creates wait for one another.
const CUSTOMERS: usize = 1_024;
/// Rounds of creates and of pgbench, taking turns so that whatever changes meanwhile changes for both.
const ROUNDS: u32 = 5;
const ROUND: Duration = Duration::from_secs(5);
/// Before the first round: connections, caches, statements.
const WARM_UP: Duration = Duration::from_secs(2);

/// Of pgbench's rate, with many connections.
const AIM: Aim = Aim::RatioAtLeast(0.5);

/// Smaller than any plan, and the same for each.
const MEMORY_MIB: u32 = 512;
/// Of the measured stack; each has room for some 32,000 servers.
const NODES: u32 = 6;

/// Of about the size of an instance's row.
const SCRIPT: &str = "INSERT INTO bench_rows (body) VALUES (repeat('x', 200));\n";
const TABLE: &str =
    "CREATE TABLE bench_rows (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, body text NOT NULL)";

/// Measures both, in turn. Nobody works on what is created: the worker must be stopped.
pub(super) fn measure(stack: &Stack) -> Result<Vec<Measurement>> {
    let customers = customers::make(&stack.cluster, CUSTOMERS)?;
    stage::make_room(stack, NODES, MEMORY_MIB)?;
    pgbench::prepare(stack, SCRIPT)?;
    stack.cluster.sql(DATABASE, TABLE)?;
    creates(stack, &customers, MANY, WARM_UP)?;
    pgbench::round(stack, MANY, WARM_UP)?;
    // As autovacuum has done wherever somebody has used it for a minute: plans made for empty tables are for those.
    stack.cluster.sql(DATABASE, "VACUUM ANALYZE")?;
    let (many, alone) = (compare(stack, &customers, MANY)?, compare(stack, &customers, ALONE)?);
    let [rate, rest @ ..] = many;
    let many = [rate.aiming(AIM)].into_iter().chain(rest);
    Ok(many.chain(alone).collect())
}

fn compare(stack: &Stack, customers: &[Customer], clients: usize) -> Result<[Measurement; 4]> {
    let step = ui::progress(&format!("Creates beside single rows, {clients} at a time"), u64::from(ROUNDS));
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        step.at(u64::from(round));
        customers::refresh(&stack.cluster)?;
        ours.push(creates(stack, customers, clients, ROUND)?);
        theirs.push(pgbench::round(stack, clients, ROUND)?);
    }
    let (ours, theirs) = (Round::join(ours), Round::join(theirs));
    step.done(&format!("{} creates, {} rows", ours.latencies.len(), theirs.latencies.len()));
    Ok(report(clients, &ours, &theirs))
}

fn report(clients: usize, ours: &Round, theirs: &Round) -> [Measurement; 4] {
    let (our, their): (Samples, Samples) =
        (ours.latencies.iter().copied().collect(), theirs.latencies.iter().copied().collect());
    let name = |what: &str| format!("{what}, {clients} at a time (pgbench)");
    [
        Measurement::new(&name("durable creates"), ours.rate(), "1/s").beside(theirs.rate()),
        Measurement::new(&name("a create p50"), our.p50(), "ms").beside(their.p50()),
        Measurement::new(&name("a create p99"), our.p99(), "ms").beside(their.p99()),
        Measurement::new(
            &format!("creates refused (503), {clients} at a time"),
            count(ours.refused),
            "creates",
        )
        .aiming(Aim::AtMost(0.0)),
    ]
}

/// Every connection creates, one server after the other, until the time is over.
fn creates(stack: &Stack, customers: &[Customer], clients: usize, time: Duration) -> Result<Round> {
    let origin = stack.api_url();
    rounds::side_by_side(clients, time, |client, until| {
        create_until(&origin, customers.iter().skip(client).step_by(clients).cycle(), until)
    })
}

fn create_until<'c>(
    origin: &str,
    mut customers: impl Iterator<Item = &'c Customer>,
    until: Instant,
) -> Result<Round> {
    let mut connection = Connection::open(origin)?;
    let mut round = Round::default();
    while Instant::now() < until && !interrupt::requested() {
        let customer = customers.next().context("no customers")?;
        let body = body();
        let asked = Instant::now();
        let answer = connection.ask(customer, "POST", "/api/instances", &body)?;
        match answer.status {
            202 => round.latencies.push(asked.elapsed()),
            503 => round.refused += 1,
            other => bail!("a create: {other} {}", String::from_utf8_lossy(&answer.body)),
        }
    }
    Ok(round)
}

/// A server under a name of its own.
fn body() -> String {
    let resources = json!({ "memory_mib": MEMORY_MIB, "cpu_percent": 10, "disk_mib": 1_024 });
    json!({
        "name": visitor::server_name(), "blueprint": "minecraft-js", "variant": "flying-squid", "plan": "small",
        "resources": resources,
    })
    .to_string()
}
