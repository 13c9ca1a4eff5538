//! A thousand open consoles, over several servers: what they cost the API.

use std::time::Duration;

use anyhow::{Context as _, Result};
use rustix::process::{Resource, getrlimit, setrlimit};
use serde_json::{Value, json};

use super::socket::Console;
use crate::{
    bench::{Measurement, processes, samples::count, visitor::Visitor},
    interrupt,
    stack::{Daemon, Stack},
    ui,
};

const CONSOLES: usize = 1_000;
const SERVERS: usize = 10;
/// Before each look. Consoles are sent statistics meanwhile, as pages that are open are.
const SETTLES: Duration = Duration::from_secs(6);

/// As many files as the system allows, for us and for the daemons that we start: each console is one.
pub(super) fn allow_sockets() -> Result<()> {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).context("cannot raise the number of open files")
}

/// Resources of a server that does nothing: so many of them must have room.
pub(super) fn small() -> Value {
    json!({ "memory_mib": 128, "cpu_percent": 50, "disk_mib": 256 })
}

/// Measures. `first` is a server that there is.
pub(super) fn measure(stack: &Stack, visitor: &Visitor, first: &str) -> Result<Vec<Measurement>> {
    let mut servers = vec![first.to_owned()];
    while servers.len() < SERVERS {
        servers.push(visitor.create_game(Some(small()))?.instance);
    }
    let api = processes::daemon(stack, Daemon::Api)?;
    // One console of each: what the first one of a server costs is not what one more does.
    let first: Vec<_> = servers.iter().map(|server| Console::open(visitor, server)).collect::<Result<_>>()?;
    processes::rest(SETTLES)?;
    let before = processes::memory("RSS of zpack-api with 10 consoles", api)?;
    let step = ui::progress("Opening consoles", CONSOLES as u64);
    let mut open = Vec::new();
    for n in 0..CONSOLES {
        interrupt::check()?;
        step.at(n as u64);
        open.push(Console::open(visitor, &servers[n % servers.len()])?);
    }
    step.done("");
    processes::rest(SETTLES)?;
    let after = processes::memory("RSS of zpack-api with 1,000 consoles more", api)?;
    drop((first, open));
    let each = (after.value - before.value) * 1_024.0 / count(CONSOLES);
    Ok(vec![before, after, Measurement::new("memory of one open console", each, "KiB")])
}
