//! Comparing the storage's list with the rows: what is left over, and what is missing. It removes nothing.
//!
//! What changes meanwhile is no difference: what seems to be one is looked at again, object and row, before it is reported.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use chrono::{DateTime, TimeDelta, Utc};
use domain::{
    agent::{archive_key, manifest_key, owner_of_key},
    backup::BackupState,
    drift::{BackupDifference, Difference, StorageReport, Strangers},
    ids::{BackupId, InstanceId},
};
use integrations::objects::ObjectStore;
use store::{Db, StoreError, backups};

use super::{STORAGE_DEADLINE, is_there};
use crate::saga::{StepError, insist};

/// Objects, or rows, that are read together; the most that a storage lists at once.
const PAGE: usize = 1_000;

/// Backups that a report names; of the others it says how many.
const NAMED: usize = 200;

/// How old a backup without a row must be, by its id.
const GRACE: TimeDelta = TimeDelta::hours(1);

/// What the storage has of a backup.
struct Objects {
    instance: InstanceId,
    archive: bool,
    manifest: bool,
    bytes: u64,
}

impl Objects {
    /// The key of one that is there.
    fn key(&self, backup: BackupId) -> String {
        if self.archive { archive_key(self.instance, backup) } else { manifest_key(self.instance, backup) }
    }
}

/// Compares everything. `beat` is called between calls of the storage.
pub async fn compare(
    db: &Db,
    storage: &Arc<dyn ObjectStore>,
    now: DateTime<Utc>,
    beat: &mut impl FnMut(),
) -> Result<StorageReport, StepError> {
    if !is_there(db, storage, None).await? {
        return Err(StepError::failed(
            "storage_unreachable",
            "none of the newest backups is in the storage: is its disk mounted, its bucket the right one?",
        ));
    }
    let listed = list(storage, beat).await?;
    let mut report = StorageReport::default();
    // Rows are read after the list: what is listed had its row before.
    let left = left_over(db, &listed, now, &mut report).await?;
    for (backup, state) in left {
        beat();
        let objects = &listed[&backup];
        let key = objects.key(backup);
        // It may have been removed since.
        if room(&mut report) && insist(STORAGE_DEADLINE, || storage.head(&key)).await?.is_some() {
            let what = Difference::Left { key, bytes: objects.bytes, state };
            report.differences.push(BackupDifference { instance: objects.instance, backup, what });
        }
    }
    missing(db, storage, &listed, &mut report, beat).await?;
    Ok(report)
}

/// Whether one more is named; otherwise it is counted.
fn room(report: &mut StorageReport) -> bool {
    let room = report.differences.len() < NAMED;
    report.more += u64::from(!room);
    room
}

/// Every object that is named as a backup's are.
async fn list(
    storage: &Arc<dyn ObjectStore>,
    beat: &mut impl FnMut(),
) -> Result<BTreeMap<BackupId, Objects>, StepError> {
    let (mut listed, mut after): (BTreeMap<BackupId, Objects>, Option<String>) = Default::default();
    loop {
        beat();
        let page = insist(STORAGE_DEADLINE, || storage.list("", after.as_deref(), PAGE)).await?;
        let Some(last) = page.last() else { return Ok(listed) };
        after = Some(last.key.clone());
        for object in page {
            let Some((instance, backup)) = owner_of_key(&object.key) else { continue };
            let of = listed.entry(backup).or_insert(Objects {
                instance,
                archive: false,
                manifest: false,
                bytes: 0,
            });
            of.bytes += object.bytes;
            if object.key == archive_key(instance, backup) { of.archive = true } else { of.manifest = true }
        }
    }
}

/// The backups of which nothing should be there, with what their rows say. Those of servers that we do not know are summed up.
async fn left_over(
    db: &Db,
    listed: &BTreeMap<BackupId, Objects>,
    now: DateTime<Utc>,
    report: &mut StorageReport,
) -> Result<Vec<(BackupId, Option<String>)>, StoreError> {
    let (mut left, mut rowless) = (Vec::new(), Vec::new());
    for ids in listed.keys().copied().collect::<Vec<_>>().chunks(PAGE) {
        let states = backups::states(db, ids).await?;
        for id in ids {
            match states.get(id) {
                Some((BackupState::Deleted, _) | (BackupState::Failed, true)) => {
                    left.push((*id, states.get(id).map(|(state, _)| state.to_string())));
                }
                None if is_old(*id, now) => rowless.push(*id),
                Some(_) | None => {}
            }
        }
    }
    let servers: BTreeSet<_> = rowless.iter().map(|id| listed[id].instance).collect();
    let known = backups::known_servers(db, &servers.iter().copied().collect::<Vec<_>>()).await?;
    let (ours, strange): (Vec<_>, Vec<_>) =
        rowless.into_iter().partition(|id| known.contains(&listed[id].instance));
    left.extend(ours.into_iter().map(|id| (id, None)));
    report.strangers = strange.first().map(|first| Strangers {
        objects: strange
            .iter()
            .map(|id| u64::from(listed[id].archive) + u64::from(listed[id].manifest))
            .sum(),
        servers: servers.len().saturating_sub(known.len()) as u64,
        example: listed[first].key(*first),
    });
    Ok(left)
}

/// Ids are made when a backup is asked for (RFC 9562, version 7); one that does not say when is old.
fn is_old(id: BackupId, now: DateTime<Utc>) -> bool {
    let made = id.0.get_timestamp().and_then(|at| {
        let (seconds, nanoseconds) = at.to_unix();
        DateTime::from_timestamp(i64::try_from(seconds).ok()?, nanoseconds)
    });
    made.is_none_or(|made| made + GRACE < now)
}

/// The backups that are to be had and are not there as a whole.
async fn missing(
    db: &Db,
    storage: &Arc<dyn ObjectStore>,
    listed: &BTreeMap<BackupId, Objects>,
    report: &mut StorageReport,
    beat: &mut impl FnMut(),
) -> Result<(), StepError> {
    let (mut after, limit) = (None, i64::try_from(PAGE).unwrap_or(i64::MAX));
    loop {
        let page = backups::available(db, after, limit).await?;
        let Some((last, _)) = page.last() else { return Ok(()) };
        after = Some(*last);
        for (backup, instance) in page {
            if listed.get(&backup).is_some_and(|it| it.archive && it.manifest) {
                continue;
            }
            beat();
            if !room(report) {
                continue;
            }
            for key in [archive_key(instance, backup), manifest_key(instance, backup)] {
                // It may have been made since, or be removed by now.
                let there = insist(STORAGE_DEADLINE, || storage.head(&key)).await?.is_some();
                if !there && is_available(db, backup).await? {
                    let what = Difference::Missing { key };
                    report.differences.push(BackupDifference { instance, backup, what });
                    break;
                }
            }
        }
    }
}

async fn is_available(db: &Db, backup: BackupId) -> Result<bool, StoreError> {
    let states: HashMap<_, _> = backups::states(db, &[backup]).await?;
    Ok(states.get(&backup).is_some_and(|(state, _)| *state == BackupState::Available))
}
