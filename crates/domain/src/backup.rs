//! Backups: what is known of them, where they are stored, and which ones give way to newer ones.

use chrono::{DateTime, Utc};

use crate::{
    agent::{BackupFacts, archive_key, manifest_key},
    ids::{BackupId, CustomerId, InstanceId, OperationId},
    instance::{HoldReason, Lifecycle, text_enum},
    operation::Failure,
};

/// The code of a failure that says that a backup itself is not good.
pub const CORRUPT_CODE: &str = "backup_corrupt";

/// Most ignore patterns of a backup.
pub const MAX_IGNORE_PATTERNS: usize = 100;

/// Longest ignore pattern, in bytes.
pub const MAX_IGNORE_BYTES: usize = 255;

text_enum! {
    /// Where a backup stands.
    BackupState {
        /// Being made.
        Running = "running",
        /// Complete in storage.
        Available = "available",
        /// Not made; nothing of it is kept.
        Failed = "failed",
        /// To be removed from storage.
        Deleting = "deleting",
        /// Gone; the row is history.
        Deleted = "deleted",
    }
}

text_enum! {
    /// Who asked for a backup.
    BackupOrigin {
        /// A person or a script.
        Customer = "customer",
        /// A schedule.
        Schedule = "schedule",
    }
}

/// A copy of an instance's files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backup {
    /// Chosen before anything was made; part of its objects' keys.
    pub id: BackupId,
    /// Of which instance.
    pub instance_id: InstanceId,
    /// Whose.
    pub customer_id: CustomerId,
    /// What the customer calls it.
    pub name: String,
    /// Where it stands.
    pub state: BackupState,
    /// Kept by retention and refused by delete.
    pub locked: bool,
    /// Who asked for it.
    pub origin: BackupOrigin,
    /// Gitignore-style patterns, relative to the data folder.
    pub ignore: Vec<String>,
    /// How many backups the plan keeps, as it was when this one was asked for.
    pub keep: u32,
    /// Known once it is complete.
    pub facts: Option<BackupFacts>,
    /// The storage's handle of an upload under way.
    pub upload_id: Option<String>,
    /// When it was last read again and found to be good.
    pub verified_at: Option<DateTime<Utc>>,
    /// Why the last verification failed.
    pub verify_failure: Option<Failure>,
    /// When it was asked for.
    pub created_at: DateTime<Utc>,
    /// When it was complete, or given up.
    pub finished_at: Option<DateTime<Utc>>,
}

impl Backup {
    /// Where the packed files are in the storage.
    pub fn archive_key(&self) -> String {
        archive_key(self.instance_id, self.id)
    }

    /// Where it says what is in them.
    pub fn manifest_key(&self) -> String {
        manifest_key(self.instance_id, self.id)
    }
}

/// Whether an instance with such a hold gets no backups and no restores.
pub fn blocked_by(reason: HoldReason) -> bool {
    match reason {
        HoldReason::Billing | HoldReason::Abuse | HoldReason::Operator => true,
    }
}

/// Why work on backups is not possible now.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BackupRefusal {
    /// The server is not active.
    #[error("the server is {0}, not active")]
    NotActive(Lifecycle),
    /// On hold.
    #[error("the server is on hold: {0}")]
    OnHold(HoldReason),
    /// An operation is under way.
    #[error("operation {0} is under way")]
    Busy(OperationId),
    /// As many backups as the plan keeps are locked.
    #[error("the plan keeps {0} backups of a server, and so many are locked")]
    LimitReached(u32),
    /// The backup is not complete, or is being removed.
    #[error("the backup is {0}, not available")]
    NotAvailable(BackupState),
    /// The backup is locked.
    #[error("the backup is locked")]
    Locked,
}

/// What retention looks at: an available backup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Which; ids grow with time.
    pub id: BackupId,
    /// Whether it is kept in any case.
    pub locked: bool,
    /// Whether its last verification failed.
    pub broken: bool,
}

/// Which backups give way so that at most `keep` remain: the broken ones first, then the oldest; never a locked one,
/// and never the last good one.
pub fn give_way(available: &[Kept], keep: u32) -> Vec<BackupId> {
    let too_many = available.len().saturating_sub(usize::try_from(keep).unwrap_or(usize::MAX));
    let last_good = available.iter().filter(|it| !it.broken).map(|it| it.id).max();
    let mut may: Vec<_> = available.iter().filter(|it| !it.locked && Some(it.id) != last_good).collect();
    may.sort_by_key(|it| (!it.broken, it.id));
    may.into_iter().take(too_many).map(|it| it.id).collect()
}

/// What an ignore pattern has to be; `Some` says what is wrong with it. Whether it can be parsed is the agent's to say.
pub fn ignore_problem(patterns: &[String]) -> Option<&'static str> {
    if patterns.len() > MAX_IGNORE_PATTERNS {
        return Some("there may be 100 patterns at most");
    }
    let fits =
        |text: &String| (1..=MAX_IGNORE_BYTES).contains(&text.len()) && !text.chars().any(char::is_control);
    if patterns.iter().all(fits) {
        None
    } else {
        Some("a pattern has 1 to 255 bytes and no control characters")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;

    /// Backups in order of time, by whether each is locked and broken.
    fn backups(kinds: &[(bool, bool)]) -> Vec<Kept> {
        let numbered = (1_u128..).zip(kinds);
        let kept = |(n, (locked, broken)): (u128, &(bool, bool))| Kept {
            id: BackupId(Uuid::from_u128(n)),
            locked: *locked,
            broken: *broken,
        };
        numbered.map(kept).collect()
    }

    #[test]
    fn the_oldest_give_way_and_broken_ones_before_them() {
        let all = backups(&[(false, false), (true, false), (false, false), (false, true), (false, false)]);
        assert_eq!(give_way(&all, 5), []);
        assert_eq!(give_way(&all, 4), [all[3].id], "the broken one");
        assert_eq!(give_way(&all, 2), [all[3].id, all[0].id, all[2].id], "the locked one stays");
        assert_eq!(give_way(&all, 0), [all[3].id, all[0].id, all[2].id], "and so does the newest good one");
    }

    proptest! {
        #[test]
        fn retention_keeps_what_is_locked_and_the_last_good_one_and_no_more_than_it_must(
            kinds in prop::collection::vec(any::<(bool, bool)>(), 0..12),
            keep in 0_u32..14,
            turn in 0_usize..12,
        ) {
            let all = backups(&kinds);
            let mut shuffled = all.clone();
            if !shuffled.is_empty() {
                let by = turn % shuffled.len();
                shuffled.rotate_left(by);
            }
            let gone = give_way(&shuffled, keep);
            let stays = |it: &&Kept| !gone.contains(&it.id);
            let remaining: Vec<_> = all.iter().filter(stays).collect();
            let last_good = all.iter().rev().find(|it| !it.broken);
            prop_assert!(last_good.is_none_or(|it| !gone.contains(&it.id)));
            prop_assert!(all.iter().filter(|it| it.locked).all(|it| !gone.contains(&it.id)));
            // Above the limit there is only what may not go; at or below it nothing more went than had to.
            let may_go = |it: &&&Kept| !it.locked && Some(it.id) != last_good.map(|good| good.id);
            let limit = usize::try_from(keep).unwrap();
            prop_assert!(remaining.len() <= limit || remaining.iter().filter(may_go).count() == 0);
            prop_assert!(gone.is_empty() || remaining.len() >= limit);
            // No good one goes while a newer one that is broken could have gone instead of it.
            let good_went = all.iter().any(|it| !it.broken && gone.contains(&it.id));
            prop_assert!(!good_went || remaining.iter().filter(may_go).all(|it| !it.broken));
        }
    }
}
