//! `cargo xtask bench console`: what lies between a game's output and a customer's page, in release builds.
//!
//! All in one run: lines a second through the API's WebSocket, and how late one line is, each beside the same program
//! whose pipe is read directly; and what a thousand open consoles cost the API.

mod latency;
mod many;
mod rate;
mod socket;

use anyhow::Result;

use super::{Build, Measurement, stage, visitor::Visitor};
use crate::{interrupt, stack::Stack, workspace::Workspace};

/// Room for more consoles than are opened, and no bound on how fast is typed that would be measured instead.
const SETTINGS: &str = "\
[zpack-api.api]
max_connections = 4096
max_connections_per_address = 4096
max_requests_per_address = 1024
max_requests_per_customer = 1024
[zpack-api.console]
max_sockets = 4096
sockets_per_instance = 1024
sockets_per_customer = 4096
inputs_per_second = 1000
inputs_burst = 1000
";

/// Builds, measures, and leaves nothing behind.
pub(super) fn run(workspace: &Workspace, build: Build) -> Result<Vec<Measurement>> {
    interrupt::listen()?;
    many::allow_sockets()?;
    stage::build(workspace, build)?;
    stage::with_game(workspace, build, SETTINGS, measure)
}

/// Memory comes first: what a load has left to the allocator would be taken for the consoles'.
fn measure(stack: &mut Stack) -> Result<Vec<Measurement>> {
    let visitor = Visitor::open(stack)?;
    let instance = visitor.create_game(Some(many::small()))?.instance;
    let memory = many::measure(stack, &visitor, &instance)?;
    let mut measured = rate::measure(&visitor, &instance)?;
    measured.extend(latency::measure(&visitor, &instance)?);
    measured.extend(memory);
    Ok(measured)
}
