//! What handlers share.

use std::{ops::Deref, sync::Arc};

use axum::extract::FromRef;
use domain::ids::{BillingTaskId, OperationId};
use integrations::{agent::AgentApi, artifacts::ArtifactSource, objects::ObjectStore};
use runtime::clock::Clock;
use store::{Db, queue::Notifier};
use uuid::Uuid;

use crate::{
    agent::Agents,
    auth::Auth,
    billing::Billing,
    catalogue::Catalogue,
    config::{ApiConfig, ApiSection, BillingSection, PublicUrl, SchedulesSection, TraefikSection},
    console::Consoles,
    events::{Credentials, Hub},
    http::{Transfers, TrustedProxies},
    ide::Ide,
    password::Passwords,
    plan_changes::PlanChanges,
    power::Power,
    rate_limit::RateLimits,
    schedules,
    share::Shares,
    watch::Watch,
};

/// The application: everything that outlives a request. Clones share it.
#[derive(Clone)]
pub struct App(Arc<Parts>);

/// What the application is made of.
pub struct Parts {
    /// Postgres.
    pub db: Db,
    /// Tells workers and listeners of committed work.
    pub notifier: Notifier<OperationId>,
    /// The time of day.
    pub clock: Arc<dyn Clock>,
    /// Blueprints and plans.
    pub catalogue: Arc<Catalogue>,
    /// Agents in containers.
    pub agents: Agents,
    /// Switches servers.
    pub power: Power,
    /// The sessions and keys of what is open.
    pub credentials: Credentials,
    /// Carries out schedules.
    pub schedule_runner: schedules::Runner,
    /// Where backups lie.
    pub objects: Arc<dyn ObjectStore>,
    /// Event streams.
    pub events: Hub,
    /// Open consoles.
    pub consoles: Consoles,
    /// Files on their way.
    pub transfers: Transfers,
    /// Hashing of passwords.
    pub passwords: Passwords,
    /// Bounds on guessing.
    pub rate_limits: Arc<RateLimits>,
    /// The way to development workspaces.
    pub ide: Ide,
    /// What somebody is recognised with.
    pub auth: Arc<Auth>,
    /// What browsers call us.
    pub public_url: PublicUrl,
    /// Proxies that are believed.
    pub trusted_proxies: TrustedProxies,
    /// Bounds of schedules.
    pub schedules: SchedulesSection,
    /// Routes for a Traefik.
    pub traefik: TraefikSection,
    /// What is sold.
    pub billing: Arc<Billing>,
    /// `[billing]`
    pub billing_settings: BillingSection,
    /// Below it each workspace has its own host name.
    pub workspaces_domain: String,
    /// The rest of `[api]`.
    pub settings: ApiSection,
}

/// What the application is connected to.
pub struct Services {
    /// Postgres.
    pub db: Db,
    /// Tells workers and listeners of committed work.
    pub notifier: Notifier<OperationId>,
    /// Tells billing-worker of committed work.
    pub billing_notifier: Notifier<BillingTaskId>,
    /// The time of day.
    pub clock: Arc<dyn Clock>,
    /// Agents in containers.
    pub agents: Arc<dyn AgentApi>,
    /// Where backups lie.
    pub objects: Arc<dyn ObjectStore>,
    /// Versions of games.
    pub artifacts: Arc<dyn ArtifactSource>,
}

impl App {
    /// Puts the parts together. Fails on a catalogue that cannot be read, or a public address that is none.
    pub fn new(config: &ApiConfig, services: Services) -> anyhow::Result<Self> {
        let settings = config.api.clone();
        let public_url: PublicUrl = settings.public_url.parse().map_err(anyhow::Error::msg)?;
        let Services { db, notifier, clock, objects, .. } = services;
        let agents = Agents::new(db.clone(), services.agents);
        let trusted_proxies = TrustedProxies(settings.proxies().into());
        let auth = Arc::new(Auth {
            db: db.clone(),
            clock: clock.clone(),
            public_url: public_url.clone(),
            session_life: settings.session_life(),
            requests: Shares::new(settings.max_requests_per_customer as usize),
        });
        let owner = format!("zpack-api-{}", Uuid::now_v7());
        let power = Power::new(db.clone(), clock.clone(), agents.clone(), &owner);
        let catalogue = Arc::new(Catalogue::load(&config.catalogue.dir, services.artifacts)?);
        let billing = Billing::new(config, services.billing_notifier)?;
        let schedule_runner = schedules::Runner {
            db: db.clone(),
            clock: clock.clone(),
            power: power.clone(),
            agents: agents.clone(),
            catalogue: catalogue.clone(),
            notifier: notifier.clone(),
        };
        Ok(Self(Arc::new(Parts {
            events: Hub::new(settings.max_streams_per_customer),
            consoles: Consoles::new(config.console.clone(), agents.clone()),
            transfers: Transfers::new(&config.files),
            passwords: Passwords::new(settings.password_concurrency, settings.password_queue),
            rate_limits: Arc::new(RateLimits::new(&config.rate_limits, &config.console, &clock)),
            catalogue,
            ide: Ide::new(&config.ide, auth.clone(), agents.clone(), trusted_proxies.clone())
                .map_err(anyhow::Error::msg)?,
            public_url,
            trusted_proxies,
            auth,
            credentials: Credentials::new(db.clone(), clock.clone()),
            db,
            notifier,
            clock,
            agents,
            power,
            schedule_runner,
            objects,
            schedules: config.schedules.clone(),
            traefik: config.traefik.clone(),
            billing: Arc::new(billing),
            billing_settings: config.billing.clone(),
            workspaces_domain: config.ide.domain.clone(),
            settings,
        })))
    }
}

impl App {
    /// Whoever brings changes of plans to their end.
    pub fn plan_changes(&self) -> PlanChanges {
        PlanChanges {
            db: self.db.clone(),
            billing: self.billing.clone(),
            notifier: self.notifier.clone(),
            clock: self.clock.clone(),
        }
    }

    /// The watch over running servers.
    pub fn watch(&self) -> Watch {
        Watch::new(self.db.clone(), self.clock.clone(), self.power.clone())
    }
}

impl Deref for App {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

/// A handler says which parts it takes: `State(db): State<Db>`.
macro_rules! parts {
    ($($name:ident: $part:ty,)+) => {
        $(impl FromRef<App> for $part {
            fn from_ref(app: &App) -> Self {
                app.$name.clone()
            }
        })+
    };
}

/// What a handler takes that asks for work: the rows, the time, and whoever tells a worker.
#[derive(Clone)]
pub struct Work {
    /// Postgres.
    pub db: Db,
    /// Tells workers and listeners of committed work.
    pub notifier: Notifier<OperationId>,
    /// The time of day.
    pub clock: Arc<dyn Clock>,
}

impl FromRef<App> for Work {
    fn from_ref(app: &App) -> Self {
        Self { db: app.db.clone(), notifier: app.notifier.clone(), clock: app.clock.clone() }
    }
}

/// What a handler takes that shows or changes what was bought.
#[derive(Clone)]
pub struct Selling {
    /// Postgres.
    pub db: Db,
    /// What is asked of Stripe, and whoever tells billing-worker.
    pub billing: Arc<Billing>,
    /// What is sold.
    pub catalogue: Arc<Catalogue>,
}

impl FromRef<App> for Selling {
    fn from_ref(app: &App) -> Self {
        Self { db: app.db.clone(), billing: app.billing.clone(), catalogue: app.catalogue.clone() }
    }
}

impl FromRef<App> for PlanChanges {
    fn from_ref(app: &App) -> Self {
        app.plan_changes()
    }
}

/// What a handler takes that is shown a password.
#[derive(Clone)]
pub struct SigningIn {
    /// Postgres.
    pub db: Db,
    /// The time of day.
    pub clock: Arc<dyn Clock>,
    /// Hashing of passwords.
    pub passwords: Passwords,
    /// Bounds on guessing.
    pub rate_limits: Arc<RateLimits>,
    /// What somebody is recognised with.
    pub auth: Arc<Auth>,
}

impl FromRef<App> for SigningIn {
    fn from_ref(app: &App) -> Self {
        Self {
            db: app.db.clone(),
            clock: app.clock.clone(),
            passwords: app.passwords.clone(),
            rate_limits: app.rate_limits.clone(),
            auth: app.auth.clone(),
        }
    }
}

parts! {
    db: Db,
    notifier: Notifier<OperationId>,
    clock: Arc<dyn Clock>,
    catalogue: Arc<Catalogue>,
    agents: Agents,
    power: Power,
    schedule_runner: schedules::Runner,
    objects: Arc<dyn ObjectStore>,
    events: Hub,
    consoles: Consoles,
    transfers: Transfers,
    passwords: Passwords,
    rate_limits: Arc<RateLimits>,
    ide: Ide,
    auth: Arc<Auth>,
    public_url: PublicUrl,
    trusted_proxies: TrustedProxies,
    schedules: SchedulesSection,
    billing: Arc<Billing>,
    billing_settings: BillingSection,
    settings: ApiSection,
}
