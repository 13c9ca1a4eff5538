//! The edge: what makes a server reachable at the address that customers use.

mod cloudflare;
mod composite;
mod direct;
mod fake;
mod http;
mod open;
mod quiet;
mod read_only;
mod resolver;
mod technitium;
mod traefik;
mod velocity;

use async_trait::async_trait;
use domain::edge::DnsNameError;
pub use domain::edge::{Address, Entry, Observed, Owner, Publication, ZoneFacts};

pub use self::{
    cloudflare::CloudflareDns, composite::CompositeEdge, direct::DirectEdge, fake::FakeEdge, open::open,
    read_only::ReadOnlyEdge, resolver::Resolver, technitium::TechnitiumDns, traefik::TraefikApi,
    velocity::VelocityProxy,
};

/// Publishes servers. Every method may be repeated.
#[async_trait]
pub trait Edge: Send + Sync + std::fmt::Debug {
    /// Makes the server reachable, and returns where. Succeeds only when that was seen. What leads elsewhere is changed in
    /// place; what is not ours is left alone.
    async fn publish(&self, publication: &Publication) -> Result<Address, EdgeError>;

    /// Takes back everything that [`Edge::publish`] made for this instance. A no-op when there is nothing.
    async fn withdraw(&self, publication: &Publication) -> Result<(), EdgeError>;

    /// What [`Edge::publish`] makes for this server. Asks nobody.
    fn desired(&self, publication: &Publication) -> Result<Vec<Entry>, EdgeError>;

    /// Everything out there that is ours, and what is others' under names that could be ours. Complete or an error: a part of
    /// it would look like what is missing.
    async fn observe(&self) -> Result<Vec<Observed>, EdgeError>;

    /// What this part of the edge is called in its entries.
    fn part(&self) -> &'static str;

    /// The same as [`Edge::observe`], part by part: one that is away takes nothing from what the others show.
    async fn observe_parts(&self) -> Seen {
        match self.observe().await {
            Ok(observed) => Seen { observed, ..Seen::default() },
            Err(error) => Seen { unseen: vec![(self.part(), error)], ..Seen::default() },
        }
    }
}

/// What the parts of an edge show.
#[derive(Debug, Default)]
pub struct Seen {
    /// Everything there, of the parts that could be listed.
    pub observed: Vec<Observed>,
    /// The parts that could not be, and why.
    pub unseen: Vec<(&'static str, EdgeError)>,
    /// How full those parts are that have room for so much only.
    pub zones: Vec<ZoneFacts>,
}

/// Why something at the edge could not be done.
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
    /// A service of the edge wants to be left alone for a while.
    #[error("{part} takes no more calls for {seconds} s")]
    Limited {
        /// Which one.
        part: &'static str,
        /// For how long.
        seconds: u64,
    },
    /// A listing changed while it was read, or lacked a part.
    #[error("{part} gave an incomplete list: {reason}")]
    Incomplete {
        /// Which one.
        part: &'static str,
        /// What did not agree.
        reason: String,
    },
    /// What was made is not there when it is looked for.
    #[error("{name} was published and is not seen: {reason}")]
    NotSeen {
        /// What is looked for.
        name: String,
        /// What was seen.
        reason: String,
    },
    /// The name leads to something that is not ours. It was not touched.
    #[error("{name} is taken by a record that is not ours ({found}); it was left as it is")]
    NameTaken {
        /// The record that should be made.
        name: String,
        /// The record that is there.
        found: String,
    },
    /// There may be no more records in the zone.
    #[error("{part} takes no more records: {message}; the zone's quota is used up")]
    QuotaReached {
        /// Which one.
        part: &'static str,
        /// What it said.
        message: String,
    },
    /// A service of the edge refuses us: its settings are wrong.
    #[error("{part} refused the call ({status}): {message}")]
    Refused {
        /// Which one.
        part: &'static str,
        /// The answer's status.
        status: u16,
        /// What it said.
        message: String,
    },
    /// The server's hostname makes no name.
    #[error(transparent)]
    Name(#[from] DnsNameError),
    /// Refused in a dry run.
    #[error("{0} was refused: this edge is read-only")]
    ReadOnly(&'static str),
}

impl EdgeError {
    /// Whether trying again can help.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::NotReachable { .. }
            | Self::Unreachable(_)
            | Self::Limited { .. }
            | Self::Incomplete { .. }
            | Self::NotSeen { .. } => true,
            Self::NameTaken { .. }
            | Self::QuotaReached { .. }
            | Self::Refused { .. }
            | Self::Name(_)
            | Self::ReadOnly(_) => false,
        }
    }
}
