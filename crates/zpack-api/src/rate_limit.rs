//! Bounds on guessing passwords, on making accounts and on having mails sent, by client address, and by account and address.
//!
//! Memory is bounded by construction: keys are hashed (with a secret of this process) into a fixed number of buckets,
//! so that an attacker with many addresses cannot grow the table. Two clients share a bucket with odds of 1 to 65,536.

use std::{
    hash::{BuildHasher as _, Hash, RandomState},
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

/// So many of each key's.
struct Bound {
    limiter: Limiter,
    hasher: RandomState,
    clock: SinceEpoch,
}

/// One bound for addresses and one for accounts.
struct Pair {
    by_address: Bound,
    by_account: Bound,
}

/// All bounds.
pub struct RateLimits {
    login: Pair,
    register: Pair,
    mail: Pair,
    commands: Bound,
}

impl RateLimits {
    /// Bounds as configured, with nobody counted yet.
    pub fn new(section: &RateLimitsSection, console: &ConsoleSection, clock: &Arc<dyn Clock>) -> Self {
        let bound = |quota| Bound::new(quota, SinceEpoch(clock.clone()));
        let pair = |quota: fn(NonZeroU32) -> Quota, address, account| Pair {
            by_address: bound(quota(address)),
            by_account: bound(quota(account)),
        };
        let s = section;
        let positive = |n| NonZeroU32::new(n).unwrap_or(NonZeroU32::MIN);
        let typing = Quota::per_second(positive(console.inputs_per_second));
        Self {
            login: pair(Quota::per_minute, s.login_per_minute_by_address, s.login_per_minute_by_account),
            register: pair(Quota::per_hour, s.register_per_hour_by_address, s.register_per_hour_by_account),
            mail: pair(Quota::per_hour, s.mail_per_hour_by_address, s.mail_per_hour_by_account),
            commands: bound(typing.allow_burst(positive(console.inputs_burst))),
        }
    }

    /// Counts a line typed into a server by a request: as many as one console may send.
    pub fn command(&self, instance: InstanceId) -> Result<(), Problem> {
        let detail = "Too many lines were sent to this server. This one was not; send it a little later.";
        self.commands.count(instance, "instance", detail)
    }

    /// Counts a login; also any other place where a password can be tried.
    pub fn login(&self, client: ClientAddress, email: &str) -> Result<(), Problem> {
        self.login.count(client.limited_as(), email)
    }

    /// Counts a registration.
    pub fn register(&self, client: ClientAddress, email: &str) -> Result<(), Problem> {
        self.register.count(client.limited_as(), email)
    }

    /// Counts a mail that somebody has sent to an address, whether there is an account of it or not.
    pub fn mail(&self, client: ClientAddress, email: &str) -> Result<(), Problem> {
        self.mail.count(client.limited_as(), email)
    }
}

impl Pair {
    fn count(&self, address: IpAddr, account: &str) -> Result<(), Problem> {
        let detail = "There were too many attempts from your address or to this account. Nothing was done.";
        self.by_address.count(address, "address", detail)?;
        // Of this address: a stranger's guesses must not keep the owner out.
        self.by_account.count((account, address), "account", detail)
    }
}

impl Bound {
    fn new(quota: Quota, clock: SinceEpoch) -> Self {
        let limiter = RateLimiter::hashmap_with_clock(quota, clock.clone());
        Self { limiter, hasher: RandomState::new(), clock }
    }

    #[expect(clippy::cast_possible_truncation, reason = "a bucket is 16 bits of the hash")]
    fn count(&self, key: impl Hash, by: &'static str, detail: &'static str) -> Result<(), Problem> {
        self.limiter.check_key(&(self.hasher.hash_one(key) as u16)).map_err(|until| {
            metrics::counter!("zlh_rate_limited_total", "by" => by).increment(1);
            let wait = until.wait_time_from(clock::Clock::now(&self.clock));
            Problem::new(Code::RateLimited, detail).retry_after(wait.as_secs() + 1)
        })
    }
}
