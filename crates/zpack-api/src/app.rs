//! What handlers share.

use std::{ops::Deref, sync::Arc};

use domain::account::SessionLife;
use integrations::{agent::AgentApi, artifacts::ArtifactSource};
use runtime::clock::Clock;
use store::{Db, queue::Doorbell};

use crate::{
    catalogue::Catalogue,
    config::{ApiConfig, ApiSection, Network, PublicUrl},
    events::Hub,
    password::Passwords,
    rate_limit::RateLimits,
};

/// The application: everything that outlives a request. Clones share it.
#[derive(Clone)]
pub struct App(Arc<Parts>);

/// What the application is made of.
pub struct Parts {
    /// Postgres.
    pub db: Db,
    /// Tells workers and listeners of committed work.
    pub doorbell: Doorbell,
    /// The time of day.
    pub clock: Arc<dyn Clock>,
    /// Blueprints and plans.
    pub catalogue: Catalogue,
    /// Agents in containers.
    pub agents: Arc<dyn AgentApi>,
    /// Event streams.
    pub events: Hub,
    /// Hashing of passwords.
    pub passwords: Passwords,
    /// Bounds on guessing.
    pub rate_limits: RateLimits,
    /// What browsers call us.
    pub public_url: PublicUrl,
    /// Proxies that are believed.
    pub trusted_proxies: Vec<Network>,
    /// How long sessions live.
    pub session_life: SessionLife,
    /// The rest of `[api]`.
    pub settings: ApiSection,
}

/// What the application needs of the world outside.
pub struct World {
    /// Postgres.
    pub db: Db,
    /// Tells workers and listeners of committed work.
    pub doorbell: Doorbell,
    /// The time of day.
    pub clock: Arc<dyn Clock>,
    /// Agents in containers.
    pub agents: Arc<dyn AgentApi>,
    /// Versions of games.
    pub artifacts: Arc<dyn ArtifactSource>,
}

impl App {
    /// Puts the parts together. Fails on a catalogue that cannot be read, or a public address that is none.
    pub fn new(config: &ApiConfig, world: World) -> anyhow::Result<Self> {
        let settings = config.api.clone();
        Ok(Self(Arc::new(Parts {
            events: Hub::new(settings.max_streams_per_customer),
            passwords: Passwords::new(settings.password_concurrency, settings.password_queue),
            rate_limits: RateLimits::new(&config.rate_limits, &world.clock),
            catalogue: Catalogue::load(&config.catalogue.dir, world.artifacts)?,
            public_url: settings.public_url.parse().map_err(anyhow::Error::msg)?,
            trusted_proxies: settings.proxies(),
            session_life: settings.session_life(),
            db: world.db,
            doorbell: world.doorbell,
            clock: world.clock,
            agents: world.agents,
            settings,
        })))
    }
}

impl Deref for App {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}
