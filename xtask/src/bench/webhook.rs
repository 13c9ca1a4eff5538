//! `cargo xtask bench webhook`: how many events of Stripe are taken a second, beside as many of the same rows as pgbench writes on the
//! same PostgreSQL, and what becomes of one that is delivered a hundred times.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context as _, Result, ensure};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use super::{
    Aim, Build, Measurement,
    client::Connection,
    pgbench,
    rounds::{self, Round},
    samples::{Samples, count},
    stage,
};
use crate::{
    interrupt,
    stack::{DATABASE, Daemon, Stack},
    ui,
    workspace::Workspace,
};

/// Deliveries at once.
const CLIENTS: usize = 16;
const ROUNDS: u32 = 5;
const ROUND: Duration = Duration::from_secs(5);
const WARM_UP: Duration = Duration::from_secs(2);
/// Of pgbench's rate.
const AIM: Aim = Aim::RatioAtLeast(0.5);
/// Deliveries of one event.
const DUPLICATES: usize = 100;

/// The rows of an event: itself, of the usual size, and the task to process it.
const SCRIPT: &str = "WITH kept AS (
    INSERT INTO stripe_events (id, type, api_version, livemode, stripe_customer, object_id, payload, source, created_at)
    VALUES ('evt_' || gen_random_uuid(), 'invoice.paid', '2026-09-30.endive', false, 'cus_bench', 'in_bench',
        jsonb_build_object('filler', repeat('x', 3000)), 'webhook', now())
    ON CONFLICT (id) DO NOTHING RETURNING id
) INSERT INTO billing_tasks (id, action, event_id, requested_by) SELECT gen_random_uuid(), 'sync', id, 'bench' FROM kept;
";

/// Builds, measures, and leaves nothing behind.
pub(super) fn run(workspace: &Workspace, build: Build) -> Result<Vec<Measurement>> {
    interrupt::listen()?;
    stage::build(workspace, build)?;
    stage::with(workspace, build, |stack| {
        // What becomes of an event later is not the intake's.
        for daemon in [Daemon::Worker, Daemon::Controller, Daemon::Repair, Daemon::Billing] {
            stack.stop(daemon)?;
        }
        measure(stack)
    })
}

fn measure(stack: &Stack) -> Result<Vec<Measurement>> {
    let sandbox = stack.sandbox();
    let secret = sandbox["stripe"]["webhook_secret"].as_str().context("no secret")?.to_owned();
    let origin = stack.api_url();
    let deliver =
        |time| rounds::side_by_side(CLIENTS, time, |_, until| deliver_until(&origin, &secret, until));
    pgbench::prepare(stack, SCRIPT)?;
    deliver(WARM_UP)?;
    pgbench::round(stack, CLIENTS, WARM_UP)?;
    stack.cluster.sql(DATABASE, "VACUUM ANALYZE")?;
    let step = ui::progress("Events beside the same rows", u64::from(ROUNDS));
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        step.at(u64::from(round));
        ours.push(deliver(ROUND)?);
        theirs.push(pgbench::round(stack, CLIENTS, ROUND)?);
    }
    let (ours, theirs) = (Round::join(ours), Round::join(theirs));
    step.done(&format!(
        "{} events, {} transactions of pgbench",
        ours.latencies.len(),
        theirs.latencies.len()
    ));
    let (our, their): (Samples, Samples) =
        (ours.latencies.iter().copied().collect(), theirs.latencies.iter().copied().collect());
    Ok(vec![
        Measurement::new("events taken, 16 at a time (pgbench)", ours.rate(), "1/s")
            .beside(theirs.rate())
            .aiming(AIM),
        Measurement::new("an event p50 (pgbench)", our.p50(), "ms").beside(their.p50()),
        Measurement::new("an event p99 (pgbench)", our.p99(), "ms").beside(their.p99()),
        Measurement::new(
            "events kept of 100 deliveries of one",
            duplicates(stack, &origin, &secret)?,
            "events",
        )
        .aiming(Aim::AtMost(1.0)),
    ])
}

fn deliver_until(origin: &str, secret: &str, until: Instant) -> Result<Round> {
    static EVENTS: AtomicU64 = AtomicU64::new(0);
    let mut connection = Connection::open(origin)?;
    let mut round = Round::default();
    while Instant::now() < until && !interrupt::requested() {
        let body = event(&format!("evt_bench_{}", EVENTS.fetch_add(1, Ordering::Relaxed)));
        let signature = signature(secret, &body)?;
        let asked = Instant::now();
        let answer = connection.deliver("/webhooks/stripe", &signature, &body)?;
        ensure!(
            answer.status == 200,
            "an event: {} {}",
            answer.status,
            String::from_utf8_lossy(&answer.body)
        );
        round.latencies.push(asked.elapsed());
    }
    Ok(round)
}

/// How many rows come of one event that is delivered so many times at once.
fn duplicates(stack: &Stack, origin: &str, secret: &str) -> Result<f64> {
    let body = event("evt_bench_again");
    let signature = signature(secret, &body)?;
    let left = AtomicU64::new(DUPLICATES as u64);
    rounds::side_by_side(CLIENTS, Duration::from_mins(1), |_, _| {
        let mut connection = Connection::open(origin)?;
        let mut round = Round::default();
        while left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok() {
            let answer = connection.deliver("/webhooks/stripe", &signature, &body)?;
            ensure!(answer.status == 200, "a duplicate: {}", answer.status);
            round.latencies.push(Duration::ZERO);
        }
        Ok(round)
    })?;
    let kept = "SELECT count(*) FROM billing_tasks WHERE event_id = 'evt_bench_again'";
    let kept = stack.cluster.sql(DATABASE, kept)?;
    Ok(count(kept.trim().parse()?))
}

/// As Stripe signs (<https://docs.stripe.com/webhooks#verify-manually>).
fn signature(secret: &str, body: &str) -> Result<String> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let mut mac =
        Hmac::<Sha256>::new_from_slice(secret.as_bytes()).map_err(|_| anyhow::anyhow!("the secret"))?;
    mac.update(format!("{now}.{body}").as_bytes());
    Ok(format!("t={now},v1={}", hex::encode(mac.finalize().into_bytes())))
}

/// An event of the usual size, indented as Stripe does.
fn event(id: &str) -> String {
    let filler = "x".repeat(2_500);
    format!(
        "{{\n  \"id\": \"{id}\",\n  \"object\": \"event\",\n  \"api_version\": \"2026-09-30.endive\",\n  \"created\": 1800000000,\n  \
         \"data\": {{\n    \"object\": {{\n      \"id\": \"in_bench\",\n      \"object\": \"invoice\",\n      \
         \"customer\": \"cus_bench\",\n      \"description\": \"{filler}\"\n    }}\n  }},\n  \"livemode\": false,\n  \
         \"pending_webhooks\": 1,\n  \"type\": \"invoice.paid\"\n}}"
    )
}
