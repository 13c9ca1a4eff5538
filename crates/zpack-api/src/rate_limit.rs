//! Bounds on guessing passwords and on making accounts, by client address, and by account and address.
//!
//! Memory is bounded by construction: keys are hashed (with a secret of this process) into a fixed number of buckets,
//! so that an attacker with many addresses cannot grow the table. Two clients share a bucket with odds of 1 to 65,536.

use std::{
    hash::{BuildHasher as _, RandomState},
    net::IpAddr,
    num::NonZeroU32,
    sync::Arc,
    time::Duration,
};

use domain::ids::InstanceId;
use governor::{Quota, RateLimiter, clock, middleware::NoOpMiddleware, state::keyed::HashMapStateStore};
use runtime::clock::Clock;

use crate::{
    config::{ConsoleSection, RateLimitsSection},
    http::ClientAddress,
    problem::{Code, Problem},
};

/// The time of day as governor wants it: since the epoch, from the clock that tests control.
#[derive(Clone)]
struct SinceEpoch(Arc<dyn Clock>);

impl clock::Clock for SinceEpoch {
    type Instant = Duration;

    fn now(&self) -> Duration {
        Duration::from_millis(self.0.now().timestamp_millis().try_into().unwrap_or(0))
    }
}

type Limiter = RateLimiter<u16, HashMapStateStore<u16>, SinceEpoch, NoOpMiddleware<Duration>>;

/// One bound for addresses and one for accounts.
struct Pair {
    by_address: Limiter,
    by_account: Limiter,
    hasher: RandomState,
    clock: SinceEpoch,
}

/// All bounds.
pub struct RateLimits {
    login: Pair,
    register: Pair,
    commands: Commands,
}

/// The bound on lines typed into one server.
struct Commands {
    by_instance: Limiter,
    hasher: RandomState,
    clock: SinceEpoch,
}

impl RateLimits {
    /// Bounds as configured, with nobody counted yet.
    pub fn new(section: &RateLimitsSection, console: &ConsoleSection, clock: &Arc<dyn Clock>) -> Self {
        let pair = |quota: fn(NonZeroU32) -> Quota, address, account| {
            let clock = SinceEpoch(clock.clone());
            Pair {
                by_address: RateLimiter::hashmap_with_clock(quota(address), clock.clone()),
                by_account: RateLimiter::hashmap_with_clock(quota(account), clock.clone()),
                hasher: RandomState::new(),
                clock,
            }
        };
        let s = section;
        Self {
            login: pair(Quota::per_minute, s.login_per_minute_by_address, s.login_per_minute_by_account),
            register: pair(Quota::per_hour, s.register_per_hour_by_address, s.register_per_hour_by_account),
            commands: Commands::new(console, SinceEpoch(clock.clone())),
        }
    }

    /// Counts a line typed into a server by a request: as many as one console may send.
    #[expect(clippy::cast_possible_truncation, reason = "a bucket is 16 bits of the hash")]
    pub fn command(&self, instance: InstanceId) -> Result<(), Problem> {
        let Commands { by_instance, hasher, clock } = &self.commands;
        by_instance.check_key(&(hasher.hash_one(instance) as u16)).map_err(|until| {
            metrics::counter!("zlh_rate_limited_total", "by" => "instance").increment(1);
            let wait = until.wait_time_from(clock::Clock::now(clock));
            let detail = "Too many lines were sent to this server. This one was not; send it a little later.";
            Problem::new(Code::RateLimited, detail).retry_after(wait.as_secs() + 1)
        })
    }

    /// Counts a login; also any other place where a password can be tried.
    pub fn login(&self, client: ClientAddress, email: &str) -> Result<(), Problem> {
        self.login.count(client.limited_as(), email)
    }

    /// Counts a registration.
    pub fn register(&self, client: ClientAddress, email: &str) -> Result<(), Problem> {
        self.register.count(client.limited_as(), email)
    }
}

impl Commands {
    fn new(section: &ConsoleSection, clock: SinceEpoch) -> Self {
        let positive = |n| NonZeroU32::new(n).unwrap_or(NonZeroU32::MIN);
        let quota = Quota::per_second(positive(section.inputs_per_second));
        let quota = quota.allow_burst(positive(section.inputs_burst));
        let by_instance = RateLimiter::hashmap_with_clock(quota, clock.clone());
        Self { by_instance, hasher: RandomState::new(), clock }
    }
}

impl Pair {
    fn count(&self, address: IpAddr, account: &str) -> Result<(), Problem> {
        self.check(&self.by_address, self.hasher.hash_one(address), "address")?;
        // Of this address: a stranger's guesses must not keep the owner out.
        self.check(&self.by_account, self.hasher.hash_one((account, address)), "account")
    }

    #[expect(clippy::cast_possible_truncation, reason = "a bucket is 16 bits of the hash")]
    fn check(&self, limiter: &Limiter, hash: u64, by: &'static str) -> Result<(), Problem> {
        limiter.check_key(&(hash as u16)).map_err(|until| {
            metrics::counter!("zlh_rate_limited_total", "by" => by).increment(1);
            let wait = until.wait_time_from(clock::Clock::now(&self.clock));
            let detail =
                "There were too many attempts from your address or to this account. Nothing was done.";
            Problem::new(Code::RateLimited, detail).retry_after(wait.as_secs() + 1)
        })
    }
}
