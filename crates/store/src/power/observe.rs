//! What was seen of servers: their power, what they use, and why they stopped.

use chrono::{DateTime, TimeDelta, Utc};
use domain::{
    agent::PowerAction,
    ids::{CustomerId, InstanceId},
    instance::{Load, ObservedPower},
};
use sqlx::PgConnection;
use uuid::Uuid;

use super::request::Asked;
use crate::{Db, StoreError};

/// How long samples of load are kept.
const KEPT: TimeDelta = TimeDelta::hours(1);

/// What a look at a server found.
#[derive(Clone, Debug)]
pub struct Sighting {
    /// Of which.
    pub instance: InstanceId,
    /// Its power.
    pub power: ObservedPower,
    /// When its agent answered, if it did.
    pub heard_at: Option<DateTime<Utc>>,
    /// What it uses, if that was asked for.
    pub load: Option<Load>,
    /// What is wrong, as its agent says.
    pub fault: Option<String>,
}

/// Stores what was seen, in one statement. Touches no axis but the observed power, and of a server that is not active
/// nothing at all.
pub async fn record_seen(db: &Db, seen: &[Sighting], now: DateTime<Utc>) -> Result<(), StoreError> {
    if seen.is_empty() {
        return Ok(());
    }
    let load = |of: fn(&Load) -> i64| -> Vec<_> { seen.iter().map(|it| it.load.as_ref().map(of)).collect() };
    let players = |of: fn(&domain::instance::PlayerCount) -> u32| -> Vec<_> {
        let players = seen.iter().map(|it| it.load?.players);
        players.map(|it| it.map(|it| i32::try_from(of(&it)).unwrap_or(i32::MAX))).collect()
    };
    sqlx::query!(
        "WITH seen AS (
             SELECT s.* FROM unnest($1::uuid[], $2::text[], $3::timestamptz[], $4::timestamptz[], $5::real[], $6::bigint[],
                                    $7::bigint[], $8::integer[], $9::integer[], $10::text[])
                 AS s (id, power, heard_at, measured_at, cpu_percent, memory_bytes, disk_bytes, online, max, fault)
             JOIN instances i ON i.id = s.id AND i.lifecycle = 'active'
         ), switched AS (
             UPDATE instances i SET observed_power = s.power, updated_at = $11
             FROM seen s WHERE i.id = s.id AND i.observed_power <> s.power AND i.lifecycle = 'active'
         ), sampled AS (
             INSERT INTO load_samples (instance_id, at, cpu_percent, memory_bytes, disk_bytes, players_online)
             SELECT id, measured_at, cpu_percent, memory_bytes, disk_bytes, online FROM seen
             WHERE measured_at IS NOT NULL AND power IN ('starting', 'running', 'stopping')
             ON CONFLICT DO NOTHING
         )
         INSERT INTO instance_status AS t (instance_id, heard_at, measured_at, cpu_percent, memory_bytes, disk_bytes,
             players_online, players_max, stopped_at, stop_reason, stop_message)
         SELECT id, heard_at, measured_at, cpu_percent, memory_bytes, disk_bytes, online, max,
                CASE WHEN power IN ('stopped', 'crashed') THEN $11 END,
                CASE WHEN power = 'crashed' OR power = 'stopped' AND fault IS NOT NULL THEN 'crashed'
                     WHEN power = 'stopped' THEN 'exited' END,
                CASE WHEN power IN ('stopped', 'crashed') THEN fault END
         FROM seen WHERE true
         ON CONFLICT (instance_id) DO UPDATE SET
             heard_at = COALESCE(excluded.heard_at, t.heard_at),
             measured_at = COALESCE(excluded.measured_at, t.measured_at),
             cpu_percent = CASE WHEN excluded.measured_at IS NULL THEN t.cpu_percent ELSE excluded.cpu_percent END,
             memory_bytes = COALESCE(excluded.memory_bytes, t.memory_bytes),
             disk_bytes = COALESCE(excluded.disk_bytes, t.disk_bytes),
             players_online = CASE WHEN excluded.measured_at IS NULL THEN t.players_online
                                   ELSE excluded.players_online END,
             players_max = CASE WHEN excluded.measured_at IS NULL THEN t.players_max ELSE excluded.players_max END,
             (stopped_at, stop_reason, stopped_by, stop_message) = (SELECT
                 COALESCE(t.stopped_at, excluded.stopped_at),
                 CASE WHEN excluded.stop_reason = 'crashed' THEN 'crashed'
                      WHEN t.stop_reason IN ('requested', 'idle', 'hold') THEN t.stop_reason
                      ELSE COALESCE(t.stop_requested_as, 'exited') END,
                 CASE WHEN excluded.stop_reason = 'crashed' THEN NULL
                      WHEN t.stop_reason IN ('requested', 'idle', 'hold') THEN t.stopped_by
                      ELSE t.stop_requested_by END,
                 excluded.stop_message
                 WHERE excluded.stop_reason IS NOT NULL
                 UNION ALL
                 -- Of one whose agent does not answer, what was seen last stays.
                 SELECT t.stopped_at, t.stop_reason, t.stopped_by, t.stop_message
                 WHERE excluded.stop_reason IS NULL AND excluded.heard_at IS NULL)",
        &seen.iter().map(|it| it.instance.0).collect::<Vec<_>>(),
        &seen.iter().map(|it| it.power.as_str().to_owned()).collect::<Vec<_>>(),
        &seen.iter().map(|it| it.heard_at).collect::<Vec<_>>() as &[Option<DateTime<Utc>>],
        &seen.iter().map(|it| it.load.map(|load| load.measured_at)).collect::<Vec<_>>()
            as &[Option<DateTime<Utc>>],
        &seen.iter().map(|it| it.load.and_then(|load| load.cpu_percent)).collect::<Vec<_>>()
            as &[Option<f32>],
        &load(|load| stored(load.memory_bytes)) as &[Option<i64>],
        &load(|load| stored(load.disk_bytes)) as &[Option<i64>],
        &players(|it| it.online) as &[Option<i32>],
        &players(|it| it.max) as &[Option<i32>],
        &seen.iter().map(|it| it.fault.clone()).collect::<Vec<_>>() as &[Option<String>],
        now,
    )
    .execute(db.pool())
    .await?;
    Ok(())
}

fn stored(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

/// Notes what a server was asked for, so that it is known later why it stopped. Asked to start, it has no reason to be
/// down any more.
pub(super) async fn expect(
    tx: &mut PgConnection,
    instance: InstanceId,
    asked: Asked<'_>,
) -> Result<(), StoreError> {
    let stops = matches!(asked.action, PowerAction::Stop | PowerAction::Kill);
    sqlx::query!(
        "INSERT INTO instance_status AS t (instance_id, stop_requested_by, stop_requested_as) VALUES ($1, $2, $3)
         ON CONFLICT (instance_id) DO UPDATE SET
             stop_requested_by = excluded.stop_requested_by, stop_requested_as = excluded.stop_requested_as,
             stopped_at = CASE WHEN $4 THEN t.stopped_at END, stop_reason = CASE WHEN $4 THEN t.stop_reason END,
             stopped_by = CASE WHEN $4 THEN t.stopped_by END, stop_message = CASE WHEN $4 THEN t.stop_message END",
        instance.0,
        stops.then_some(asked.by),
        stops.then_some(asked.reason.as_str()),
        stops,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Up to `limit` active instances after `after`, by id, whoever owns them: those in a state that passes, or with `all`
/// every one. For the daemons' own look, never for a request.
pub async fn in_transition(
    db: &Db,
    after: Option<InstanceId>,
    limit: i64,
    all: bool,
) -> Result<Vec<InstanceId>, StoreError> {
    let ids = sqlx::query_scalar!(
        "SELECT id FROM instances
         WHERE lifecycle = 'active' AND id > $1 AND ($3 OR observed_power IN ('starting', 'stopping'))
         ORDER BY id LIMIT $2",
        after.map_or(Uuid::nil(), |id| id.0),
        limit,
        all,
    )
    .fetch_all(db.pool())
    .await?;
    Ok(ids.into_iter().map(InstanceId).collect())
}

/// What a server used at a time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LoadSample {
    /// When.
    pub at: DateTime<Utc>,
    /// Of one core, in per cent; none at the first look.
    pub cpu_percent: Option<f32>,
    /// Resident memory, in bytes.
    pub memory_bytes: i64,
    /// Size of the data folder, in bytes.
    pub disk_bytes: i64,
    /// Who played; none of a game that does not tell.
    pub players_online: Option<i32>,
}

/// The last hour of a customer's server, oldest first. There is nothing of the times when it was down.
pub async fn samples(
    db: &Db,
    customer: CustomerId,
    instance: InstanceId,
    now: DateTime<Utc>,
) -> Result<Vec<LoadSample>, StoreError> {
    let samples = sqlx::query_as!(
        LoadSample,
        "SELECT at, cpu_percent, memory_bytes, disk_bytes, players_online FROM load_samples
         WHERE instance_id = $2 AND at > $3
           AND EXISTS (SELECT 1 FROM instances i WHERE i.id = $2 AND i.customer_id = $1)
         ORDER BY at",
        customer.0,
        instance.0,
        now - KEPT,
    )
    .fetch_all(db.pool())
    .await?;
    Ok(samples)
}

/// Drops samples that are older than an hour.
pub async fn forget_old_samples(db: &Db, now: DateTime<Utc>) -> Result<(), StoreError> {
    sqlx::query!("DELETE FROM load_samples WHERE at <= $1", now - KEPT).execute(db.pool()).await?;
    Ok(())
}
