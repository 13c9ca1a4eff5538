//! What a server uses, and who plays on it.

use chrono::{DateTime, Utc};
use domain::{agent::Players, instance::Load};
use serde::Serialize;
use store::power::LoadSample;
use utoipa::ToSchema;

/// What a server used when it was looked at last: about every 20 seconds.
#[derive(Debug, PartialEq, Serialize, ToSchema)]
#[schema(as = Load)]
pub struct LoadView {
    /// When that was.
    pub measured_at: DateTime<Utc>,
    /// Of one core; 200 is two cores. Null at the first look, for it is a difference.
    #[schema(required)]
    pub cpu_percent: Option<f32>,
    /// Resident memory.
    pub memory_bytes: u64,
    /// Size of its files.
    pub disk_bytes: u64,
    /// Who plays; null while it is down, and of a game that does not tell.
    #[schema(required)]
    pub players: Option<PlayerCountView>,
}

impl From<Load> for LoadView {
    fn from(it: Load) -> Self {
        Self {
            measured_at: it.measured_at,
            cpu_percent: it.cpu_percent,
            memory_bytes: it.memory_bytes,
            disk_bytes: it.disk_bytes,
            players: it.players.map(|it| PlayerCountView { online_count: it.online, max_count: it.max }),
        }
    }
}

/// How many play.
#[derive(Debug, PartialEq, Serialize, ToSchema)]
#[schema(as = PlayerCount)]
pub struct PlayerCountView {
    /// How many there are.
    pub online_count: u32,
    /// How many there may be.
    pub max_count: u32,
}

/// Who plays.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[schema(as = Players)]
pub struct PlayersView {
    /// How many there are.
    pub online_count: u32,
    /// How many there may be.
    pub max_count: u32,
    /// The names of some of them; a game need not tell any.
    pub names: Vec<String>,
}

impl From<Players> for PlayersView {
    fn from(it: Players) -> Self {
        Self { online_count: it.online, max_count: it.max, names: it.names }
    }
}

/// What a server used at a time.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = LoadSample)]
pub struct LoadSampleView {
    /// When.
    pub at: DateTime<Utc>,
    /// Of one core; 200 is two cores.
    #[schema(required)]
    pub cpu_percent: Option<f32>,
    /// Resident memory.
    #[schema(minimum = 0)]
    pub memory_bytes: i64,
    /// Size of its files.
    #[schema(minimum = 0)]
    pub disk_bytes: i64,
    /// How many played; null of a game that does not tell.
    #[schema(minimum = 0, required)]
    pub player_count: Option<i32>,
}

impl From<LoadSample> for LoadSampleView {
    fn from(it: LoadSample) -> Self {
        Self {
            at: it.at,
            cpu_percent: it.cpu_percent,
            memory_bytes: it.memory_bytes,
            disk_bytes: it.disk_bytes,
            player_count: it.players_online,
        }
    }
}
