//! Notes: one text for an account and one for each server, with what they were before.

use chrono::{DateTime, Utc};
use domain::ids::{CustomerId, InstanceId};
use uuid::Uuid;

use crate::{Db, StoreError};

/// Longest text, in bytes of UTF-8.
pub const MAX_BYTES: usize = 30_000;

/// Earlier versions that are kept of each.
const KEPT: i64 = 20;

/// Whose note it is, and of what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Whose.
    pub customer: CustomerId,
    /// Of which server; `None` for the account's.
    pub instance: Option<InstanceId>,
}

/// A note.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// Its text.
    pub body: String,
    /// Grows with each change; 0 before the first.
    pub version: i64,
    /// When it was changed last.
    pub updated_at: Option<DateTime<Utc>>,
}

/// What a note was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Earlier {
    /// Its version.
    pub version: i64,
    /// Its text.
    pub body: String,
    /// When it was written.
    pub written_at: DateTime<Utc>,
}

/// The note; an empty one if nothing was ever written.
pub async fn get(db: &Db, place: Place) -> Result<Note, StoreError> {
    let row = sqlx::query!(
        "SELECT body, version, updated_at FROM notes WHERE customer_id = $1 AND instance_id IS NOT DISTINCT FROM $2",
        place.customer.0,
        place.instance.map(|id| id.0),
    )
    .fetch_optional(db.pool())
    .await?;
    Ok(row.map_or_else(
        || Note { body: String::new(), version: 0, updated_at: None },
        |row| Note { body: row.body, version: row.version, updated_at: Some(row.updated_at) },
    ))
}

/// Writes it over this version, and keeps what it was. `None` if it has another one by now. The same text changes nothing.
pub async fn put(db: &Db, place: Place, version: i64, body: &str) -> Result<Option<Note>, StoreError> {
    let mut tx = db.pool().begin().await?;
    let row = sqlx::query!(
        "WITH before AS (
             SELECT id, version, body, updated_at FROM notes
             WHERE customer_id = $1 AND instance_id IS NOT DISTINCT FROM $2 AND version = $3 FOR UPDATE
         ), kept AS (
             INSERT INTO note_versions (note_id, version, body, written_at)
             SELECT id, version, body, updated_at FROM before WHERE body <> $4
         ), changed AS (
             UPDATE notes n SET body = $4, version = n.version + 1, updated_at = clock_timestamp()
             FROM before b WHERE n.id = b.id AND b.body <> $4
             RETURNING n.id, n.body, n.version, n.updated_at
         ), first AS (
             INSERT INTO notes (id, customer_id, instance_id, body) SELECT $5, $1, $2, $4 WHERE $3 = 0
             ON CONFLICT DO NOTHING RETURNING id, body, version, updated_at
         )
         SELECT id, body, version, updated_at FROM changed UNION ALL SELECT id, body, version, updated_at FROM first
         UNION ALL SELECT id, body, version, updated_at FROM before WHERE body = $4",
        place.customer.0,
        place.instance.map(|id| id.0),
        version,
        body,
        Uuid::now_v7(),
    )
    .fetch_optional(&mut *tx)
    .await?;
    let Some(row) = row else { return Ok(None) };
    sqlx::query!(
        "DELETE FROM note_versions WHERE note_id = $1 AND version <= $2",
        row.id,
        row.version.unwrap_or_default() - 1 - KEPT,
    )
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(Some(Note {
        body: row.body.unwrap_or_default(),
        version: row.version.unwrap_or_default(),
        updated_at: row.updated_at,
    }))
}

/// What it was before, newest first.
pub async fn earlier(db: &Db, place: Place) -> Result<Vec<Earlier>, StoreError> {
    let rows = sqlx::query_as!(
        Earlier,
        "SELECT v.version, v.body, v.written_at FROM note_versions v JOIN notes n ON n.id = v.note_id
         WHERE n.customer_id = $1 AND n.instance_id IS NOT DISTINCT FROM $2 ORDER BY v.version DESC",
        place.customer.0,
        place.instance.map(|id| id.0),
    );
    Ok(rows.fetch_all(db.pool()).await?)
}

/// Removes notes of servers that are gone, with all that they were. How many.
pub async fn forget_gone(db: &Db) -> Result<u64, StoreError> {
    let done = sqlx::query!(
        "DELETE FROM notes n USING instances i WHERE i.id = n.instance_id AND i.lifecycle IN ('deleted', 'failed')"
    );
    Ok(done.execute(db.pool()).await?.rows_affected())
}
