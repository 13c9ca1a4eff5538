//! Findings: opened once, seen again, closed when they are gone; and the repairs that are asked for because of them.

use std::{
    collections::{BTreeSet, HashMap},
    time::Duration,
};

use chrono::{DateTime, Utc};
use domain::{
    drift::{Attempts, Finding, Reason, Source},
    ids::{FindingId, InstanceId, OperationId, RepairId},
};
use uuid::Uuid;

use super::{fence, incidents};
use crate::{Db, StoreError, queue::Dispatch};

/// What a pass came to, beside its findings.
#[derive(Clone, Debug)]
pub struct Pass {
    /// The leader's term.
    pub term: i64,
    /// How long it took.
    pub took_ms: i32,
    /// How many instances it looked at.
    pub instances: i32,
    /// What could not be seen, for people.
    pub incomplete: Option<String>,
    /// Where nothing could be seen. Of [`Source::Rows`]: nothing at all, since everything else is compared with them.
    pub unseen: Vec<Source>,
    /// Why nothing is repaired.
    pub breaker: Option<String>,
    /// Whether there is a way to tell operators.
    pub tell: bool,
    /// Looks that are nearer to each other than this are one look: what passes by itself is not seen twice by them.
    pub apart: Duration,
}

/// A finding that is open.
#[derive(Clone, Debug)]
pub struct Open {
    /// Its id.
    pub id: FindingId,
    /// Passes in a row that saw it.
    pub seen: u32,
    /// What was tried.
    pub attempts: Attempts,
}

/// Writes down what a pass found: by fingerprint, what is open now. Nothing is written where nothing is found and nothing was
/// open. What was seen where nothing can be seen now is neither counted again nor closed. Operators are told of what counts.
pub async fn reconcile(
    db: &Db,
    pass: &Pass,
    findings: &[Finding],
) -> Result<HashMap<String, Open>, StoreError> {
    let mut tx = db.pool().begin().await?;
    fence(&mut tx, pass.term).await?;
    let whole = !pass.unseen.contains(&Source::Rows);
    let fingerprints: Vec<_> = findings.iter().map(Finding::fingerprint).collect();
    let mut changed = BTreeSet::new();
    if whole {
        let unseen: Vec<_> = pass.unseen.iter().map(ToString::to_string).collect();
        let closed = sqlx::query_scalar!(
            "UPDATE findings SET closed_at = clock_timestamp()
             WHERE closed_at IS NULL AND fingerprint <> ALL ($1) AND source <> ALL ($2) RETURNING incident_id",
            &fingerprints,
            &unseen,
        );
        changed.extend(closed.fetch_all(&mut *tx).await?.into_iter().flatten());
    }
    let mut open = HashMap::new();
    if !findings.is_empty() {
        open = write(&mut tx, pass, whole, findings, &fingerprints).await?;
    }
    if !findings.is_empty() || !changed.is_empty() {
        incidents::assign(&mut tx, changed, pass.tell).await?;
    }
    sqlx::query!(
        "UPDATE controller SET pass_at = clock_timestamp(), pass_ms = $1, pass_instances = $2, pass_findings = $3,
                pass_incomplete = $4, breaker = $5, tells = $6
         WHERE pass_at IS NULL OR pass_at < clock_timestamp() - interval '1 minute' OR pass_findings IS DISTINCT FROM $3
            OR pass_instances IS DISTINCT FROM $2 OR pass_incomplete IS DISTINCT FROM $4 OR breaker IS DISTINCT FROM $5 OR tells <> $6",
        pass.took_ms,
        pass.instances,
        i32::try_from(findings.len()).unwrap_or(i32::MAX),
        pass.incomplete,
        pass.breaker,
        pass.tell,
    )
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(open)
}

async fn write(
    tx: &mut sqlx::PgConnection,
    pass: &Pass,
    whole: bool,
    findings: &[Finding],
    fingerprints: &[String],
) -> Result<HashMap<String, Open>, StoreError> {
    let ids: Vec<_> = findings.iter().map(|_| Uuid::now_v7()).collect();
    let rules: Vec<_> = findings.iter().map(|it| it.rule.as_str().to_owned()).collect();
    let sources: Vec<_> = findings.iter().map(|it| it.source.to_string()).collect();
    let levels: Vec<_> = findings.iter().map(|it| i16::from(u8::from(it.level))).collect();
    let actions: Vec<_> =
        findings.iter().map(|it| it.action.map(|action| action.as_str().to_owned())).collect();
    let instances: Vec<_> = findings.iter().map(|it| it.instance.map(|id| id.0)).collect();
    let operations: Vec<_> = findings.iter().map(|it| it.operation.map(|id| id.0)).collect();
    let subjects: Vec<_> = findings.iter().map(|it| it.subject.clone()).collect();
    let desired: Vec<_> = findings.iter().map(|it| it.desired.clone()).collect();
    let observed: Vec<_> = findings.iter().map(|it| it.observed.clone()).collect();
    let proposals: Vec<_> = findings.iter().map(|it| it.proposal.clone()).collect();
    let rows = sqlx::query!(
        r#"INSERT INTO findings AS f (id, fingerprint, rule, level, action, instance_id, operation_id, subject, desired, observed,
                                      proposal, source, term)
           SELECT t.*, $12 FROM unnest($1::uuid[], $2::text[], $3::text[], $4::smallint[], $5::text[], $6::uuid[], $7::uuid[],
                                       $8::text[], $9::text[], $10::text[], $11::text[], $14::text[]) t
           ON CONFLICT (fingerprint) WHERE closed_at IS NULL DO UPDATE
               SET observed = excluded.observed, desired = excluded.desired, level = excluded.level, action = excluded.action,
                   term = excluded.term,
                   -- What another leader has seen counts for nothing: who begins looks twice.
                   seen_count = CASE WHEN f.term <> excluded.term THEN 1
                                     WHEN $13 AND f.seen_at < clock_timestamp() - make_interval(secs => $15) THEN f.seen_count + 1
                                     ELSE f.seen_count END,
                   seen_at = CASE WHEN f.term = excluded.term AND f.seen_at >= clock_timestamp() - make_interval(secs => $15)
                                  THEN f.seen_at ELSE clock_timestamp() END
           RETURNING id, fingerprint, seen_count"#,
        &ids,
        fingerprints,
        &rules,
        &levels,
        &actions as &[Option<String>],
        &instances as &[Option<Uuid>],
        &operations as &[Option<Uuid>],
        &subjects,
        &desired,
        &observed,
        &proposals as &[Option<String>],
        pass.term,
        whole,
        &sources,
        pass.apart.as_secs_f64(),
    )
    .fetch_all(&mut *tx)
    .await?;
    let of: Vec<_> = rows.iter().map(|row| row.id).collect();
    let tried = sqlx::query!(
        r#"SELECT finding_id, count(*) FILTER (WHERE state = 'ended') AS "count!", max(finished_at) AS last_at,
                  bool_or(state <> 'ended') AS "pending!"
           FROM repairs WHERE finding_id = ANY ($1) GROUP BY finding_id"#,
        &of
    )
    .fetch_all(&mut *tx)
    .await?;
    let attempts: HashMap<_, _> = tried
        .into_iter()
        .map(|row| {
            let count = u32::try_from(row.count).unwrap_or(u32::MAX);
            (row.finding_id, Attempts { count, last_at: row.last_at, pending: row.pending })
        })
        .collect();
    let known = rows.into_iter().map(|row| {
        let open = Open {
            id: FindingId(row.id),
            seen: u32::try_from(row.seen_count).unwrap_or_default(),
            attempts: attempts.get(&row.id).copied().unwrap_or_default(),
        };
        (row.fingerprint, open)
    });
    Ok(known.collect())
}

/// How many repairs were asked for in the last hour.
pub async fn repairs_since(db: &Db, hours: i32) -> Result<u32, StoreError> {
    let count = sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM repairs WHERE created_at > clock_timestamp() - make_interval(hours => $1)"#,
        hours
    );
    Ok(u32::try_from(count.fetch_one(db.pool()).await?).unwrap_or(u32::MAX))
}

/// What was decided of a finding: a repair is asked for, or the reason why none is.
pub async fn decide(
    db: &Db,
    term: i64,
    decisions: &[(FindingId, Option<Reason>)],
    repairs: &[(FindingId, domain::drift::RepairAction)],
) -> Result<Vec<Dispatch<RepairId>>, StoreError> {
    let mut tx = db.pool().begin().await?;
    fence(&mut tx, term).await?;
    let ids: Vec<_> = decisions.iter().map(|(id, _)| id.0).collect();
    let reasons: Vec<_> =
        decisions.iter().map(|(_, reason)| reason.map(|it| it.as_str().to_owned())).collect();
    sqlx::query!(
        "UPDATE findings f SET reason = t.reason FROM unnest($1::uuid[], $2::text[]) t(id, reason)
         WHERE f.id = t.id AND f.reason IS DISTINCT FROM t.reason",
        &ids,
        &reasons as &[Option<String>],
    )
    .execute(&mut *tx)
    .await?;
    let mut asked = Vec::new();
    for (finding, action) in repairs {
        let id = sqlx::query_scalar!(
            "INSERT INTO repairs (id, finding_id, action, term) VALUES ($1, $2, $3, $4)
             ON CONFLICT (finding_id) WHERE state <> 'ended' DO NOTHING RETURNING id",
            Uuid::now_v7(),
            finding.0,
            action.as_str(),
            term,
        )
        .fetch_optional(&mut *tx)
        .await?;
        asked.extend(id.map(RepairId));
    }
    tx.commit().await?;
    Ok(asked.into_iter().map(|id| Dispatch::new(id, None)).collect())
}

/// A finding, for people.
#[derive(Clone, Debug)]
pub struct Listed {
    /// Its id.
    pub id: FindingId,
    /// The rule.
    pub rule: String,
    /// Its level.
    pub level: i16,
    /// What would be done.
    pub action: Option<String>,
    /// Of which server.
    pub instance: Option<InstanceId>,
    /// The server's hostname.
    pub hostname: Option<String>,
    /// Of which operation.
    pub operation: Option<OperationId>,
    /// What it is about.
    pub subject: String,
    /// What should be.
    pub desired: String,
    /// What was seen.
    pub observed: String,
    /// What a person would do.
    pub proposal: Option<String>,
    /// Passes that saw it.
    pub seen_count: i32,
    /// Why it is not repaired.
    pub reason: Option<String>,
    /// Since when.
    pub opened_at: DateTime<Utc>,
    /// When it was seen last.
    pub seen_at: DateTime<Utc>,
    /// When it was gone.
    pub closed_at: Option<DateTime<Utc>>,
    /// What came of the newest repair of it.
    pub tried: Option<Tried>,
}

/// What came of a repair.
#[derive(Clone, Debug)]
pub struct Tried {
    /// How it ended.
    pub outcome: String,
    /// Why it ended so.
    pub reason: String,
    /// When.
    pub at: DateTime<Utc>,
}

/// The findings that are open, and with `closed` the newest of those that are not, newest first.
pub async fn list(db: &Db, closed: bool, limit: i64) -> Result<Vec<Listed>, StoreError> {
    let rows = sqlx::query!(
        r#"SELECT f.id, f.rule, f.level, f.action, f.instance_id, i.hostname AS "hostname?", f.operation_id, f.subject, f.desired,
                  f.observed, f.proposal, f.seen_count, f.reason, f.opened_at, f.seen_at, f.closed_at,
                  e.outcome AS "outcome?", e.reason AS "tried_reason?", e.at AS "tried_at?"
           FROM findings f LEFT JOIN instances i ON i.id = f.instance_id
           LEFT JOIN LATERAL (SELECT v.outcome, v.reason, v.at FROM repairs r JOIN repair_events v ON v.repair_id = r.id
                              WHERE r.finding_id = f.id ORDER BY v.at DESC LIMIT 1) e ON true
           WHERE f.closed_at IS NULL OR $1 ORDER BY f.closed_at DESC NULLS FIRST, f.level, f.opened_at DESC LIMIT $2"#,
        closed,
        limit,
    )
    .fetch_all(db.pool())
    .await?;
    let listed = rows.into_iter().map(|row| Listed {
        id: FindingId(row.id),
        rule: row.rule,
        level: row.level,
        action: row.action,
        instance: row.instance_id.map(InstanceId),
        hostname: row.hostname,
        operation: row.operation_id.map(OperationId),
        subject: row.subject,
        desired: row.desired,
        observed: row.observed,
        proposal: row.proposal,
        seen_count: row.seen_count,
        reason: row.reason,
        opened_at: row.opened_at,
        seen_at: row.seen_at,
        closed_at: row.closed_at,
        tried: row.outcome.zip(row.tried_reason).zip(row.tried_at).map(|((outcome, reason), at)| Tried {
            outcome,
            reason,
            at,
        }),
    });
    Ok(listed.collect())
}
