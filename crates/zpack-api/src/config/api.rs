//! `[api]`: where the API listens, what it is called from outside, and how much it takes on.

use std::net::{Ipv4Addr, SocketAddr};

use chrono::TimeDelta;
use domain::account::SessionLife;
use runtime::config::{Invalid, Key, Kind, Section};
use serde::{Deserialize, Serialize};

use super::{Network, PublicUrl};

/// The HTTP server.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ApiSection {
    /// Where it listens.
    pub listen: SocketAddr,
    /// What browsers call it.
    pub public_url: String,
    /// Proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<String>,
    /// Whether anybody may make an account.
    pub registration_open: bool,
    /// How many live instances a new account may have.
    pub default_instance_limit: u32,
    /// Days without use after which a session ends.
    pub session_idle_days: u32,
    /// Days after which a session ends in any case.
    pub session_absolute_days: u32,
    /// Passwords hashed at the same time; each takes 46 MiB.
    pub password_concurrency: u32,
    /// Passwords that may wait to be hashed.
    pub password_queue: u32,
    /// Requests worked on at the same time.
    pub max_requests: u32,
    /// Of them from one address.
    pub max_requests_per_address: u32,
    /// Of them for one account.
    pub max_requests_per_customer: u32,
    /// Connections open at the same time, event streams included.
    pub max_connections: u32,
    /// Of them from one address.
    pub max_connections_per_address: u32,
    /// Event streams open at the same time for one account.
    pub max_streams_per_customer: u32,
    /// Longest time until a response begins, in milliseconds.
    pub request_timeout_ms: u64,
}

impl Default for ApiSection {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)),
            public_url: "http://127.0.0.1:8080".to_owned(),
            trusted_proxies: Vec::new(),
            registration_open: true,
            default_instance_limit: 3,
            session_idle_days: 14,
            session_absolute_days: 90,
            password_concurrency: 2,
            password_queue: 32,
            max_requests: 256,
            max_requests_per_address: 128,
            max_requests_per_customer: 64,
            max_connections: 1_024,
            max_connections_per_address: 256,
            max_streams_per_customer: 8,
            request_timeout_ms: 15_000,
        }
    }
}

impl ApiSection {
    /// How long sessions live.
    pub fn session_life(&self) -> SessionLife {
        SessionLife {
            idle: TimeDelta::days(self.session_idle_days.into()),
            absolute: TimeDelta::days(self.session_absolute_days.into()),
        }
    }

    /// The trusted proxies; entries that are not networks were refused by [`Section::validate`].
    pub fn proxies(&self) -> Vec<Network> {
        self.trusted_proxies.iter().filter_map(|text| text.parse().ok()).collect()
    }
}

impl Section for ApiSection {
    fn name(&self) -> &'static str {
        "api"
    }

    fn keys(&self) -> &'static [Key] {
        KEYS
    }

    fn validate(&self) -> Result<(), Invalid> {
        self.public_url.parse::<PublicUrl>().map_err(|reason| Invalid::new("public_url", reason))?;
        for proxy in &self.trusted_proxies {
            proxy.parse::<Network>().map_err(|reason| Invalid::new("trusted_proxies", reason))?;
        }
        Invalid::unless_within("default_instance_limit", self.default_instance_limit, 0..=100_000)?;
        Invalid::unless_within("session_idle_days", self.session_idle_days, 1..=3_650)?;
        Invalid::unless_within(
            "session_absolute_days",
            self.session_absolute_days,
            self.session_idle_days..=3_650,
        )?;
        Invalid::unless_within("password_concurrency", self.password_concurrency, 1..=64)?;
        Invalid::unless_within("password_queue", self.password_queue, 1..=10_000)?;
        Invalid::unless_within("max_requests", self.max_requests, 1..=100_000)?;
        for (key, value) in [
            ("max_requests_per_address", self.max_requests_per_address),
            ("max_requests_per_customer", self.max_requests_per_customer),
            ("max_connections", self.max_connections),
            ("max_connections_per_address", self.max_connections_per_address),
        ] {
            Invalid::unless_within(key, value, 1..=100_000)?;
        }
        Invalid::unless_within("max_streams_per_customer", self.max_streams_per_customer, 1..=1_000)?;
        Invalid::unless_within("request_timeout_ms", self.request_timeout_ms, 100..=600_000)
    }
}

const KEYS: &[Key] = &[
    Key::new("listen", Kind::Address, "Address that the API listens on."),
    Key::new(
        "public_url",
        Kind::Text,
        "What browsers call this API (`https://panel.example.org`): decides the session cookie and the allowed origin.",
    ),
    Key::new(
        "trusted_proxies",
        Kind::List,
        "Addresses or networks (`10.0.0.0/8`) of reverse proxies whose `X-Forwarded-For` is believed.",
    ),
    Key::new("registration_open", Kind::Boolean, "Whether anybody may make an account."),
    Key::new("default_instance_limit", Kind::Integer, "How many live servers a new account may have."),
    Key::new("session_idle_days", Kind::Integer, "Days without use after which a session ends."),
    Key::new("session_absolute_days", Kind::Integer, "Days after which a session ends in any case."),
    Key::new("password_concurrency", Kind::Integer, "Passwords hashed at the same time; each takes 46 MiB."),
    Key::new("password_queue", Kind::Integer, "Passwords that may wait; beyond them the answer is 503."),
    Key::new(
        "max_requests",
        Kind::Integer,
        "Requests worked on at the same time; beyond them the answer is 503.",
    ),
    Key::new(
        "max_requests_per_address",
        Kind::Integer,
        "Requests worked on at the same time from one address (IPv6: one /64); beyond them the answer is 429.",
    ),
    Key::new(
        "max_requests_per_customer",
        Kind::Integer,
        "Requests worked on at the same time for one account; beyond them the answer is 429.",
    ),
    Key::new("max_connections", Kind::Integer, "Connections open at the same time, event streams included."),
    Key::new(
        "max_connections_per_address",
        Kind::Integer,
        "Connections open at the same time from one address (IPv6: one /64), trusted proxies excepted.",
    ),
    Key::new("max_streams_per_customer", Kind::Integer, "Event streams that one account may have open."),
    Key::new("request_timeout_ms", Kind::Integer, "Longest time until a response begins, in milliseconds."),
];
