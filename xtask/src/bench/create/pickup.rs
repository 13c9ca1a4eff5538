//! How soon work begins: from the request's time stamp, before its commit, until its first step is in the journal.

use anyhow::{Context as _, Result, ensure};

use crate::{
    bench::{Measurement, samples::Samples, visitor::Visitor},
    stack::{DATABASE, Stack},
    ui,
};

/// Operations, one after the other: each meets an idle queue.
const OPERATIONS: usize = 200;

/// Measures, with deletes of servers that failed: real operations that have next to nothing to do.
pub(super) fn measure(stack: &Stack, visitor: &Visitor) -> Result<Vec<Measurement>> {
    let servers = failed_servers(stack, visitor.id())?;
    ensure!(servers.len() == OPERATIONS, "there are {} failed servers", servers.len());
    let step = ui::progress("Job pickup", OPERATIONS as u64);
    for (at, server) in (0..).zip(&servers) {
        step.at(at);
        visitor.delete(server)?;
    }
    step.done("");
    let times = times(stack, visitor.id())?;
    let name = |percent: &str| format!("job pickup {percent}: request to first step begun");
    Ok(vec![
        Measurement::new(&name("p50"), times.p50(), "ms"),
        Measurement::new(&name("p99"), times.p99(), "ms"),
    ])
}

/// Made from one that there was: its id, name and hostname are others, and it holds nothing.
fn failed_servers(stack: &Stack, customer: &str) -> Result<Vec<String>> {
    let ids = stack.cluster.sql(
        DATABASE,
        &format!(
            "INSERT INTO instances (id, customer_id, name, hostname, kind, blueprint, blueprint_version, variant,
                 version, plan, memory_mib, cpu_percent, disk_mib, node_id, capacity_held, lifecycle,
                 desired_power, observed_power, created_at, updated_at)
             SELECT gen_random_uuid(), customer_id, 'failed ' || n, 'failed-' || n, kind, blueprint,
                 blueprint_version, variant, version, plan, memory_mib, cpu_percent, disk_mib, node_id, false,
                 'failed', 'stopped', 'stopped', now(), now()
             FROM (SELECT * FROM instances WHERE customer_id = '{customer}' LIMIT 1) one,
                 generate_series(1, {OPERATIONS}) n
             RETURNING id"
        ),
    )?;
    Ok(ids.lines().map(str::to_owned).collect())
}

fn times(stack: &Stack, customer: &str) -> Result<Samples> {
    let rows = stack.cluster.sql(
        DATABASE,
        &format!(
            "SELECT extract(epoch FROM s.started_at - o.created_at) * 1000
             FROM operations o JOIN operation_steps s ON s.operation_id = o.id AND s.ordinal = 0
             JOIN instances i ON i.id = o.instance_id AND i.name LIKE 'failed %'
             WHERE o.customer_id = '{customer}'"
        ),
    )?;
    let times: Samples = rows
        .lines()
        .map(str::parse)
        .collect::<Result<Vec<f64>, _>>()
        .context("not times")?
        .into_iter()
        .collect();
    ensure!(times.count() == OPERATIONS, "only {} operations have a first step", times.count());
    Ok(times)
}
