//! Incidents: findings as people are told of them. Those of one rule that begin within an hour are one, so that a wave of them is
//! one message; what changes later changes that message.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use serde_json::json;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::{
    Db, StoreError,
    outbox::{self, MAX_AGE, NewNotification},
};

/// The outbox's channel that tells operators.
pub const CHANNEL: &str = "discord";

/// Rules that begin at once and still are an incident each; of more, all are one.
const RULES_APART: usize = 4;

/// Findings that a message names; of the others it says how many.
const NAMED: i64 = 10;

/// Puts the findings that count and are of no incident yet into one, and has people told of what changed.
pub(super) async fn assign(
    tx: &mut PgConnection,
    mut changed: BTreeSet<Uuid>,
    tell: bool,
) -> Result<(), StoreError> {
    let rules = sqlx::query_scalar!(
        "SELECT DISTINCT rule FROM findings WHERE closed_at IS NULL AND incident_id IS NULL AND seen_count >= 2"
    )
    .fetch_all(&mut *tx)
    .await?;
    let kinds = if rules.len() > RULES_APART { vec!["several".to_owned()] } else { rules };
    for kind in kinds {
        let id = sqlx::query_scalar!(
            r#"WITH known AS (
                   SELECT id FROM incidents WHERE kind = $1 AND opened_at > clock_timestamp() - interval '1 hour'
                   ORDER BY opened_at DESC LIMIT 1
               ), made AS (
                   INSERT INTO incidents (id, kind) SELECT $2, $1 WHERE NOT EXISTS (SELECT FROM known) RETURNING id
               ), one AS (SELECT id FROM known UNION ALL SELECT id FROM made)
               UPDATE findings SET incident_id = one.id FROM one
               WHERE closed_at IS NULL AND incident_id IS NULL AND seen_count >= 2 AND (rule = $1 OR $1 = 'several')
               RETURNING one.id AS "id!""#,
            kind,
            Uuid::now_v7(),
        )
        .fetch_all(&mut *tx)
        .await?;
        changed.extend(id);
    }
    for id in changed {
        change(&mut *tx, id, tell).await?;
    }
    Ok(())
}

async fn change(tx: &mut PgConnection, id: Uuid, tell: bool) -> Result<(), StoreError> {
    let row = sqlx::query!(
        r#"UPDATE incidents SET version = version + 1,
                  ended_at = CASE WHEN EXISTS (SELECT FROM findings f WHERE f.incident_id = $1 AND f.closed_at IS NULL)
                             THEN NULL ELSE coalesce(ended_at, clock_timestamp()) END
           WHERE id = $1 RETURNING version, told_version"#,
        id
    )
    .fetch_one(&mut *tx)
    .await?;
    // If somebody is to be told of an earlier change still, that message will say this one too.
    if tell && row.told_version + 1 == row.version {
        notify(tx, id, row.version).await?;
    }
    Ok(())
}

async fn notify(tx: &mut PgConnection, id: Uuid, version: i64) -> Result<(), StoreError> {
    let new = NewNotification {
        channel: CHANNEL,
        dedupe_key: &format!("incident:{id}:{version}"),
        payload: &json!({ "incident": id }),
        max_age: MAX_AGE,
    };
    outbox::enqueue(tx, &new).await?;
    Ok(())
}

/// An incident as it is now.
#[derive(Clone, Debug)]
pub struct Incident {
    /// Its id.
    pub id: Uuid,
    /// The rule, or `several`.
    pub kind: String,
    /// Since when.
    pub opened_at: DateTime<Utc>,
    /// When it ended.
    pub ended_at: Option<DateTime<Utc>>,
    /// Which change is the last.
    pub version: i64,
    /// Up to which people were told.
    pub told_version: i64,
    /// The message that was sent.
    pub message_id: Option<String>,
    /// How many findings it has.
    pub total: i64,
    /// How many of them are open.
    pub open: i64,
    /// The gravest of them, those that are open first.
    pub named: Vec<Named>,
}

/// A finding as a message tells it.
#[derive(Clone, Debug)]
pub struct Named {
    /// The rule.
    pub rule: String,
    /// Its level.
    pub level: i16,
    /// The server's hostname.
    pub hostname: Option<String>,
    /// What was seen.
    pub observed: String,
    /// What should be.
    pub desired: String,
    /// What a machine may do.
    pub action: Option<String>,
    /// What a person would do.
    pub proposal: Option<String>,
    /// When it was gone.
    pub closed_at: Option<DateTime<Utc>>,
    /// How the last repair ended.
    pub outcome: Option<String>,
}

/// The incident, if there is one.
pub async fn incident(db: &Db, id: Uuid) -> Result<Option<Incident>, StoreError> {
    let row = sqlx::query!(
        r#"SELECT kind, opened_at, ended_at, version, told_version, message_id,
                  (SELECT count(*) FROM findings WHERE incident_id = $1) AS "total!",
                  (SELECT count(*) FROM findings WHERE incident_id = $1 AND closed_at IS NULL) AS "open!"
           FROM incidents WHERE id = $1"#,
        id
    );
    let Some(row) = row.fetch_optional(db.pool()).await? else { return Ok(None) };
    let named = sqlx::query_as!(
        Named,
        r#"SELECT f.rule, f.level, i.hostname AS "hostname?", f.observed, f.desired, f.action, f.proposal, f.closed_at,
                  (SELECT e.outcome FROM repair_events e WHERE e.finding_id = f.id ORDER BY e.at DESC LIMIT 1) AS outcome
           FROM findings f LEFT JOIN instances i ON i.id = f.instance_id
           WHERE f.incident_id = $1 ORDER BY f.closed_at IS NOT NULL, f.level DESC, f.opened_at, f.id LIMIT $2"#,
        id,
        NAMED,
    )
    .fetch_all(db.pool())
    .await?;
    Ok(Some(Incident {
        id,
        kind: row.kind,
        opened_at: row.opened_at,
        ended_at: row.ended_at,
        version: row.version,
        told_version: row.told_version,
        message_id: row.message_id,
        total: row.total,
        open: row.open,
        named,
    }))
}

/// An incident in a list.
#[derive(Clone, Debug)]
pub struct IncidentSummary {
    /// Its id.
    pub id: Uuid,
    /// The rule, or `several`.
    pub kind: String,
    /// Since when.
    pub opened_at: DateTime<Utc>,
    /// When it ended.
    pub ended_at: Option<DateTime<Utc>>,
    /// Its findings.
    pub total: i64,
    /// Those that are open.
    pub open: i64,
}

/// The newest incidents, those first that have not ended.
pub async fn incidents(db: &Db, limit: i64) -> Result<Vec<IncidentSummary>, StoreError> {
    let incidents = sqlx::query_as!(
        IncidentSummary,
        r#"SELECT n.id, n.kind, n.opened_at, n.ended_at, count(f.id) AS "total!",
                  count(f.id) FILTER (WHERE f.closed_at IS NULL) AS "open!"
           FROM (SELECT * FROM incidents ORDER BY ended_at DESC NULLS FIRST, opened_at DESC LIMIT $1) n
           LEFT JOIN findings f ON f.incident_id = n.id
           GROUP BY n.id, n.kind, n.opened_at, n.ended_at ORDER BY n.ended_at DESC NULLS FIRST, n.opened_at DESC"#,
        limit
    );
    Ok(incidents.fetch_all(db.pool()).await?)
}

/// People were told of the incident as it was in this version. What changed meanwhile is told next.
pub async fn told(db: &Db, id: Uuid, version: i64, message_id: &str) -> Result<(), StoreError> {
    let mut tx = db.pool().begin().await?;
    let now = sqlx::query_scalar!(
        "UPDATE incidents SET told_version = greatest(told_version, $2), message_id = $3 WHERE id = $1 RETURNING version",
        id,
        version,
        message_id,
    )
    .fetch_optional(&mut *tx)
    .await?;
    if let Some(now) = now.filter(|now| *now > version) {
        notify(&mut tx, id, now).await?;
    }
    tx.commit().await?;
    Ok(())
}

/// Has operators told of something that is not an incident, such as another mode.
pub(super) async fn announce(tx: &mut PgConnection, key: &str, text: &str) -> Result<(), StoreError> {
    let new = NewNotification {
        channel: CHANNEL,
        dedupe_key: key,
        payload: &json!({ "text": text }),
        max_age: MAX_AGE,
    };
    outbox::enqueue(tx, &new).await?;
    Ok(())
}
