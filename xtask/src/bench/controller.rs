//! `cargo xtask bench controller`: what a look over a fleet without drift costs: statements, writes, time, processor and memory,
//! with 10,000 servers and with ten times as many.
//!
//! The servers are rows, and records in a zone at the sandbox: an idle server has no more for the controller.

use std::{fs, thread, time::Duration};

use anyhow::{Context as _, Result, ensure};

use super::{Aim, Build, Measurement, processes, stage};
use crate::{
    interrupt, sockets,
    stack::{DATABASE, Daemon, Stack},
    ui,
    workspace::Workspace,
};

/// Fleets, the first of which the second is compared with.
const FLEETS: [u32; 2] = [10_000, 100_000];

/// Looks that are measured.
const LOOKS: f64 = 10.0;

/// How long a look of the larger fleet may take, with those before it.
const PATIENCE: Duration = Duration::from_mins(4);

/// Names at the sandbox, whose addresses a wildcard gives.
const SETTINGS: &str = "wildcard = true\n";

/// Servers of a node: as many as it has ports.
const PER_NODE: u32 = 50_000;

/// Builds, measures, and leaves nothing behind.
pub(super) fn run(workspace: &Workspace, build: Build) -> Result<Vec<Measurement>> {
    interrupt::listen()?;
    stage::build(workspace, build)?;
    stage::with_names(workspace, build, SETTINGS, |stack| {
        // Who serves or makes servers would look for agents, which are not there.
        for daemon in [Daemon::Api, Daemon::Worker, Daemon::Repair, Daemon::Controller] {
            stack.stop(daemon)?;
        }
        let mut measured = Vec::new();
        let mut first = 0.0;
        for fleet in FLEETS {
            let step = ui::step(&format!("A fleet of {fleet}"));
            fill(stack, fleet)?;
            let looks = measure(stack)?;
            step.done("");
            measured.extend(report(fleet, &looks, first));
            if first == 0.0 {
                first = looks.seconds;
            }
        }
        Ok(measured)
    })
}

/// Fills the fleet up to so many servers, all as they should be.
fn fill(stack: &mut Stack, fleet: u32) -> Result<()> {
    stack.stop(Daemon::Sandbox)?;
    let id = "('00000000-0000-4000-8000-' || lpad(to_hex(n), 12, '0'))::uuid";
    let node = format!("('00000000-0000-4000-9000-' || lpad(to_hex((n - 1) / {PER_NODE}), 12, '0'))::uuid");
    let customer = "00000000-0000-4000-a000-000000000000";
    let sql = format!(
        "INSERT INTO customers (id, email, display_name, password_hash, instance_limit, created_at, updated_at)
         VALUES ('{customer}', 'bench@example.com', 'bench', 'x', 1000000, now(), now()) ON CONFLICT DO NOTHING;
         INSERT INTO blueprint_versions VALUES ('bench@1', 'bench', '{{\"ports\": [{{\"name\": \"game\", \"service\": \"minecraft\"}}]}}',
             now()) ON CONFLICT DO NOTHING;
         INSERT INTO nodes (id, name, public_host, agent_host, memory_mib, cpu_percent, disk_mib, created_at)
         SELECT DISTINCT {node}, 'bench-' || (n - 1) / {PER_NODE}, '192.0.2.1', '192.0.2.1', 1000000000, 1000000000, 1000000000,
             now() FROM generate_series(1, {fleet}) n ON CONFLICT DO NOTHING;
         INSERT INTO instances (id, customer_id, name, hostname, kind, blueprint, blueprint_version, variant, version, plan, memory_mib,
             cpu_percent, disk_mib, node_id, address, lifecycle, desired_power, observed_power, created_at, updated_at)
         SELECT {id}, '{customer}', 'Server ' || n, 'server-' || n, 'game', 'bench', 'bench@1', 'x', 'x', 'x', 1, 1, 1, {node},
             'server-' || n || '.play.zlh.test', 'active', 'running', 'running', now() - interval '1 hour', now() - interval '1 hour'
         FROM generate_series(1, {fleet}) n ON CONFLICT DO NOTHING;
         INSERT INTO port_allocations (node_id, port, instance_id, name, protocol)
         SELECT {node}, 1024 + (n - 1) % {PER_NODE}, {id}, 'game', 'tcp' FROM generate_series(1, {fleet}) n ON CONFLICT DO NOTHING;
         INSERT INTO instance_status (instance_id, heard_at) SELECT id, now() + interval '1 day' FROM instances ON CONFLICT DO NOTHING;
         UPDATE nodes SET cordoned = true WHERE name = 'local';
         INSERT INTO node_reports (node_id, reported_at, listed_at, containers)
         SELECT node_id, now() + interval '1 day', now() + interval '1 day', array_agg(id) FROM instances GROUP BY node_id
         ON CONFLICT (node_id) DO UPDATE SET containers = excluded.containers, listed_at = excluded.listed_at;
         ALTER ROLE zlh_controller SET log_statement = 'all';
         VACUUM ANALYZE;"
    );
    stack.cluster.sql(DATABASE, &sql)?;
    fs::write(stack.home().join("zone.json"), zone(fleet))?;
    stack.start(Daemon::Sandbox)
}

/// The zone's records, as the sandbox keeps them.
fn zone(fleet: u32) -> String {
    let records: Vec<_> = (1..=fleet)
        .map(|n| {
            let (name, port) = (format!("server-{n}.play.zlh.test"), 1_024 + (n - 1) % PER_NODE);
            format!(
                r#"{{"id":"{n:032x}","name":"_minecraft._tcp.{name}","type":"SRV","content":"0\t{port}\t{name}","ttl":60,
                    "comment":"zlh:local:00000000-0000-4000-8000-{n:012x}",
                    "data":{{"priority":0,"weight":0,"port":{port},"target":"{name}"}}}}"#
            )
        })
        .collect();
    format!("[{}]", records.join(","))
}

/// What ten looks cost, each.
struct Looks {
    seconds: f64,
    cpu_seconds: f64,
    statements: f64,
    writes: f64,
    peak_mib: f64,
}

fn measure(stack: &mut Stack) -> Result<Looks> {
    stack.start(Daemon::Controller)?;
    let pid = processes::daemon(stack, Daemon::Controller)?;
    // The first looks fill caches and pools, and write down that there is a new leader.
    await_looks(stack, 3.0)?;
    let open = stack.cluster.sql(
        DATABASE,
        "SELECT coalesce(string_agg(DISTINCT rule, ' '), '') FROM findings WHERE closed_at IS NULL",
    )?;
    ensure!(open.trim().is_empty(), "the fleet is not as it should be: {}", open.trim());
    let before = Counts::of(stack, pid)?;
    await_looks(stack, before.looks + LOOKS)?;
    let after = Counts::of(stack, pid)?;
    let looks = after.looks - before.looks;
    let peak_mib = peak(pid)?;
    stack.stop(Daemon::Controller)?;
    Ok(Looks {
        seconds: (after.seconds - before.seconds) / looks,
        cpu_seconds: (after.ticks - before.ticks) / 100.0 / looks,
        statements: (after.statements - before.statements) / looks,
        writes: (after.writes - before.writes) / looks,
        peak_mib,
    })
}

/// Counters so far.
struct Counts {
    looks: f64,
    seconds: f64,
    ticks: f64,
    statements: f64,
    writes: f64,
}

impl Counts {
    fn of(stack: &Stack, pid: i32) -> Result<Self> {
        let log = fs::read_to_string(stack.log("postgres"))?;
        let statements = log.lines().filter(|line| is_statement(line)).count();
        // Who leads and when it looked is kept to the minute; that is no write of a look.
        let writes = "SELECT sum(n_tup_ins + n_tup_upd + n_tup_del) FROM pg_stat_user_tables WHERE relname <> 'controller'";
        #[expect(clippy::cast_precision_loss, reason = "a count of lines")]
        Ok(Self {
            looks: metric(stack, "zlh_controller_pass_seconds_count")?,
            seconds: metric(stack, "zlh_controller_pass_seconds_sum")?,
            ticks: processes::ticks(pid).context("the controller has ended")?,
            statements: statements as f64,
            writes: stack.cluster.sql(DATABASE, writes)?.trim().parse()?,
        })
    }
}

/// Of the extended protocol each statement is logged when it is executed; BEGIN and COMMIT are simple ones, and no queries.
fn is_statement(line: &str) -> bool {
    line.contains("LOG:  execute ")
}

fn metric(stack: &Stack, name: &str) -> Result<f64> {
    let text = sockets::get(&stack.health(Daemon::Controller), "/metrics")?;
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok());
    Ok(value.unwrap_or(0.0))
}

fn await_looks(stack: &Stack, looks: f64) -> Result<()> {
    let until = std::time::Instant::now() + PATIENCE;
    while metric(stack, "zlh_controller_pass_seconds_count")? < looks {
        interrupt::check()?;
        ensure!(std::time::Instant::now() < until, "the controller does not look often enough");
        thread::sleep(Duration::from_millis(200));
    }
    Ok(())
}

/// The most memory that the process ever had.
fn peak(pid: i32) -> Result<f64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("VmHWM")?;
    Ok(line.trim().trim_end_matches(" kB").parse::<f64>()? / 1_024.0)
}

fn report(fleet: u32, looks: &Looks, first: f64) -> Vec<Measurement> {
    let named = |what: &str, value: f64, unit: &str| {
        Measurement::new(&format!("{what}, {fleet} servers"), value, unit)
    };
    let time = named("a look", looks.seconds, "s");
    let time = if first > 0.0 { time.beside(first).aiming(Aim::AtMost(first * 11.0)) } else { time };
    // Those of the outbox's sender are among them, which looks by the clock: the longer a look, the more of them.
    let statements = named("statements of a look", looks.statements, "");
    let statements = if first > 0.0 { statements } else { statements.aiming(Aim::AtMost(10.0)) };
    vec![
        time,
        statements,
        named("rows written by a look", looks.writes, "").aiming(Aim::AtMost(0.0)),
        named("processor time of a look", looks.cpu_seconds, "s"),
        named("peak memory of zlh-controller", looks.peak_mib, "MiB"),
    ]
}
