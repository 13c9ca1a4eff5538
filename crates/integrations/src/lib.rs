//! Everything outside the control plane: engines that run containers, the agents in them, artifacts, the edge.
//!
//! Each integration is a trait with the real client, a recording fake that plays scenarios, and, where it can change
//! the world, a `ReadOnly` decorator that refuses to: dry-run is made of it.

pub mod agent;
mod answer;
pub mod artifacts;
mod body;
pub mod discord;
pub mod edge;
pub mod engine;
pub mod mail;
pub mod objects;
pub mod scenario;
pub mod stripe;

/// An error with its sources, on one line: an HTTP client's own message leaves out the reason.
pub fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let sources = std::iter::successors(Some(error), |error| error.source());
    sources.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
