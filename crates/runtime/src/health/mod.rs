//! `/healthz`, `/readyz` and `/metrics`, on loopback, for the supervisor and the scraper of this machine.

mod readiness;
mod server;

pub use readiness::{Failure, Phase, Readiness, Report};
pub use server::HealthServer;
pub(crate) use server::router;
