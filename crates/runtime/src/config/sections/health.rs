//! `[health]`: where `/healthz`, `/readyz` and `/metrics` are served.

use std::net::{Ipv4Addr, SocketAddr};

use serde::{Deserialize, Serialize};

use crate::config::{Invalid, Key, Kind, Listen, Section};

/// Where health is served. Each daemon has a port of its own, which its `Config::default` chooses with [`Self::on`].
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HealthSection {
    /// A loopback address or a Unix socket: the answers are for this machine's supervisor and scraper.
    pub listen: Listen,
}

impl HealthSection {
    /// Loopback with that port.
    pub fn on(port: u16) -> Self {
        Self { listen: Listen::Tcp(SocketAddr::from((Ipv4Addr::LOCALHOST, port))) }
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
            Kind::Listen,
            "Where `/healthz`, `/readyz` and `/metrics` are: a loopback address, or a Unix socket. Games of the local \
             engine reach every loopback address of the machine, and no socket. Port 0 takes a free one.",
        )];
        KEYS
    }

    fn validate(&self) -> Result<(), Invalid> {
        match &self.listen {
            Listen::Tcp(address) if !address.ip().is_loopback() => {
                Err(Invalid::new("listen", format!("{address} is not a loopback address")))
            }
            _ => Ok(()),
        }
    }
}
