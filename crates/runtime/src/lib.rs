//! What every daemon does alike: configuration, logging, metrics, health, systemd, shutdown, and the shape of `main`.

pub mod clock;
pub mod config;
pub mod daemon;
pub mod health;
pub mod logging;
pub mod metrics;
pub mod outbox;
pub mod periodic;
pub mod shutdown;
pub mod systemd;
pub mod worker;
