//! `[health]`: where `/healthz`, `/readyz` and `/metrics` are served.

use std::net::{Ipv4Addr, SocketAddr};

use serde::{Deserialize, Serialize};

use crate::config::{Invalid, Key, Kind, Section};

/// Where health is served. Each daemon has a port of its own, which its `Config::default` chooses with [`Self::on`].
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HealthSection {
    /// A loopback address: the answers are for this machine's supervisor and scraper.
    pub listen: SocketAddr,
}

impl HealthSection {
    /// Loopback with that port.
    pub fn on(port: u16) -> Self {
        Self { listen: SocketAddr::from((Ipv4Addr::LOCALHOST, port)) }
    }
}

impl Default for HealthSection {
    fn default() -> Self {
        Self::on(9180)
    }
}

impl Section for HealthSection {
    fn name(&self) -> &'static str {
        "health"
    }

    fn keys(&self) -> &'static [Key] {
        const KEYS: &[Key] = &[Key::new(
            "listen",
            Kind::Address,
            "Loopback address of `/healthz`, `/readyz` and `/metrics`. Port 0 takes a free one.",
        )];
        KEYS
    }

    fn validate(&self) -> Result<(), Invalid> {
        if self.listen.ip().is_loopback() {
            return Ok(());
        }
        Err(Invalid::new("listen", format!("{} is not a loopback address", self.listen)))
    }
}
