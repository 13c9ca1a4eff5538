//! The edge: what makes a server reachable at the address that customers use.

mod composite;
mod direct;
mod fake;
mod read_only;

use std::fmt;

use async_trait::async_trait;
use domain::{ids::InstanceId, instance::AllocatedPort};
use serde::{Deserialize, Serialize};

pub use self::{composite::CompositeEdge, direct::DirectEdge, fake::FakeEdge, read_only::ReadOnlyEdge};

/// Publishes servers. Every method may be repeated.
#[async_trait]
pub trait Edge: Send + Sync + std::fmt::Debug {
    /// Makes the server reachable, and returns where. Succeeds only when that was seen.
    async fn publish(&self, publication: &Publication) -> Result<Address, EdgeError>;

    /// Takes back everything that [`Edge::publish`] made for this instance. A no-op when there is nothing.
    async fn withdraw(&self, publication: &Publication) -> Result<(), EdgeError>;

    /// Everything out there with our mark, complete or an error: a part of it would look like what is missing.
    async fn observe(&self) -> Result<Vec<Observed>, EdgeError>;
}

/// Something that carries our mark: one record, one route, one backend.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Observed {
    /// Whose it says it is.
    pub instance_id: InstanceId,
    /// Which part of the edge has it, for example `cloudflare`.
    pub part: String,
    /// What it is called there, for example `SRV _minecraft._tcp.demo.example.org`.
    pub name: String,
    /// Where it leads.
    pub target: Address,
}

/// What is published.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Publication {
    /// Whose it is; the mark on everything that is made.
    pub instance_id: InstanceId,
    /// The instance's DNS label.
    pub hostname: String,
    /// Where players reach the instance's node: a name or an IP address.
    pub node_host: String,
    /// The port that players connect to.
    pub port: AllocatedPort,
}

/// Where players connect. Shown as `host:port`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Address {
    /// A name or an IP address.
    pub host: String,
    /// Its port.
    pub port: u16,
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            // An IPv6 address needs brackets (RFC 3986, 3.2.2).
            return write!(f, "[{}]:{}", self.host, self.port);
        }
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// Why publishing failed.
#[derive(Debug, thiserror::Error)]
pub enum EdgeError {
    /// The server does not answer at its public address.
    #[error("nothing answers at {address}: {reason}")]
    NotReachable {
        /// The public address.
        address: Address,
        /// What was seen.
        reason: String,
    },
    /// A service of the edge did not answer: may pass by itself.
    #[error("the edge does not answer: {0}")]
    Unreachable(String),
    /// Refused in a dry run.
    #[error("{0} was refused: this edge is read-only")]
    ReadOnly(&'static str),
}

impl EdgeError {
    /// Whether trying again can help.
    pub fn is_transient(&self) -> bool {
        !matches!(self, Self::ReadOnly(_))
    }
}
