//! What the backup storage has, against the rows. A person decides about all of it: a backup is a customer's files.

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::{
    Finding, Level, Look, Rule, Source,
    rules::{Living, general},
};
use crate::ids::{BackupId, InstanceId};

/// How old a comparison may be: twice the longest pause between two.
const TOO_OLD: TimeDelta = TimeDelta::days(2);

/// What is known of the storage.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StorageFacts {
    /// When somebody tried to compare it with the rows last; `None` while nobody has.
    pub reported_at: Option<DateTime<Utc>>,
    /// When it was compared last.
    pub compared_at: Option<DateTime<Utc>>,
    /// Why it could not be since.
    pub error: Option<String>,
    /// What differed.
    pub report: StorageReport,
}

/// What a comparison came to, as the worker stores it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct StorageReport {
    /// One for each backup, not more than are worth reading.
    pub differences: Vec<BackupDifference>,
    /// How many there are besides.
    pub more: u64,
    /// Objects that are named as ours are, of servers that we do not know.
    pub strangers: Option<Strangers>,
}

/// A backup of which storage and row say different things.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupDifference {
    /// Of which server.
    pub instance: InstanceId,
    /// Which.
    pub backup: BackupId,
    /// How they differ.
    #[serde(flatten)]
    pub what: Difference,
}

/// How storage and row differ.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Difference {
    /// An object is there, and its backup is not any more, or was never known.
    Left {
        /// The object's key.
        key: String,
        /// Its length, and that of the backup's other object.
        bytes: u64,
        /// What the row says; `None` without one.
        state: Option<String>,
    },
    /// The row says that the backup is available, and an object of it is not there.
    Missing {
        /// The object's key.
        key: String,
    },
}

/// Objects of servers that we do not know: another installation's that shares the storage, or younger than our database.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Strangers {
    /// How many objects.
    pub objects: u64,
    /// Of how many servers.
    pub servers: u64,
    /// One of their keys.
    pub example: String,
}

/// Why nothing of the present is known of the storage. Nothing is said while nobody has looked yet.
pub fn unseen_storage(storage: &StorageFacts, now: DateTime<Utc>) -> Option<String> {
    storage.reported_at?;
    match (&storage.error, storage.compared_at) {
        (Some(error), _) => Some(error.clone()),
        (None, Some(at)) if at + TOO_OLD < now => {
            Some(format!("it was compared with the rows last at {}", at.format("%Y-%m-%d %H:%M:%S")))
        }
        (None, _) => None,
    }
}

/// Everything about the storage that is not as it should be.
pub(super) fn find(look: &Look, living: &Living<'_>) -> Vec<Finding> {
    if let Some(why) = look.unseen.get(&Source::Storage) {
        return vec![Finding {
            subject: "storage".to_owned(),
            desired: "a storage that has the newest backups and can be listed".to_owned(),
            proposal: Some(
                "look at the storage and at [objects] in the configuration of provision-worker".to_owned(),
            ),
            ..general(Rule::StorageUnreachable, why.clone())
        }];
    }
    let StorageReport { differences, strangers, .. } = &look.storage.report;
    let mut findings: Vec<_> = differences.iter().map(|it| of_backup(look, living, it)).collect();
    findings.extend(strangers.as_ref().map(unknown));
    findings
}

fn of_backup(look: &Look, living: &Living<'_>, difference: &BackupDifference) -> Finding {
    let BackupDifference { instance, backup, what } = difference;
    let (rule, desired, observed, proposal) = match what {
        Difference::Left { key, bytes, state } => {
            let row = state.as_ref().map_or_else(
                || "of which there is no row".to_owned(),
                |state| format!("whose row is {state}"),
            );
            let observed = format!("{key}, {bytes} bytes, of a backup {row}");
            let proposal = "make sure that nobody needs it, then remove it from the storage by hand";
            (Rule::ObjectWithoutBackup, "nothing".to_owned(), observed, proposal)
        }
        Difference::Missing { key } => {
            let proposal = "find out what removed it; tell the customer that this backup cannot be restored";
            (Rule::BackupWithoutObject, key.clone(), "nothing".to_owned(), proposal)
        }
    };
    Finding {
        source: Source::Storage,
        level: Level::Three,
        instance: look.known(living, *instance),
        subject: backup.to_string(),
        desired,
        proposal: Some(proposal.to_owned()),
        ..general(rule, observed)
    }
}

fn unknown(strangers: &Strangers) -> Finding {
    let Strangers { objects, servers, example } = strangers;
    Finding {
        source: Source::Storage,
        level: Level::Three,
        subject: "servers that we do not know".to_owned(),
        desired: "objects of our servers alone".to_owned(),
        proposal: Some(
            "find out whose they are: of another installation that shares the storage, or younger than our database".to_owned(),
        ),
        ..general(
            Rule::ObjectWithoutBackup,
            format!("{objects} objects of {servers} servers that we do not know, such as {example}"),
        )
    }
}
