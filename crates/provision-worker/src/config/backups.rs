//! `[backups]`: how backups are made and looked after.

use std::time::Duration;

use chrono::TimeDelta;
use runtime::config::{Invalid, Key, Kind, Section};
use serde::{Deserialize, Serialize};

use crate::saga::BackupLimits;

/// Bounds on backups, and what is done with them unasked.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BackupsSection {
    /// Backups, restores and verifications at once in this process, besides other operations.
    pub concurrency: usize,
    /// Of one customer.
    pub per_customer: u32,
    /// Hours that making, restoring or verifying one may take, however large it is.
    pub deadline_hours: u64,
    /// Seconds that one may get no further, beside what a hundredth of it takes.
    pub stall_seconds: u64,
    /// MiB a second below which a backup is too slow to go on.
    pub slowest_mib_per_second: u32,
    /// Minutes that a signed address of the storage is good.
    pub address_minutes: u64,
    /// Seconds between two looks at backups that are to be removed or found again.
    pub sweep_seconds: u64,
    /// Hours after which the newest backup of a server is verified again; 0 for never.
    pub verify_every_hours: u64,
    /// Seconds between two comparisons of the storage with the rows.
    pub compare_seconds: u64,
}

impl Default for BackupsSection {
    fn default() -> Self {
        Self {
            concurrency: 6,
            per_customer: 2,
            deadline_hours: 12,
            stall_seconds: 120,
            slowest_mib_per_second: 1,
            address_minutes: 120,
            sweep_seconds: 60,
            verify_every_hours: 168,
            compare_seconds: 3_600,
        }
    }
}

impl BackupsSection {
    /// The bounds, for steps.
    pub fn limits(&self) -> BackupLimits {
        BackupLimits {
            address_life: Duration::from_mins(self.address_minutes),
            deadline: Duration::from_hours(self.deadline_hours),
            stall: Duration::from_secs(self.stall_seconds),
            slowest_mib_per_second: self.slowest_mib_per_second,
        }
    }

    /// After which time a backup is verified again.
    pub fn verify_every(&self) -> Option<TimeDelta> {
        let hours = i64::try_from(self.verify_every_hours).unwrap_or(i64::MAX);
        (hours > 0).then(|| TimeDelta::try_hours(hours).unwrap_or(TimeDelta::MAX))
    }

    /// How often the storage is compared with the rows.
    pub fn compare_every(&self) -> Duration {
        Duration::from_secs(self.compare_seconds)
    }
}

impl Section for BackupsSection {
    fn name(&self) -> &'static str {
        "backups"
    }

    fn keys(&self) -> &'static [Key] {
        const KEYS: &[Key] = &[
            Key::new(
                "concurrency",
                Kind::Integer,
                "Backups, restores and verifications at once in this process, besides other operations.",
            ),
            Key::new(
                "per_customer",
                Kind::Integer,
                "Backups, restores and verifications of one customer that may be under way at once.",
            ),
            Key::new(
                "deadline_hours",
                Kind::Integer,
                "Hours that making, restoring or verifying a backup may take, however large the server is.",
            ),
            Key::new(
                "stall_seconds",
                Kind::Integer,
                "Seconds that making, restoring or verifying a backup may get no further before it is given up, beside \
                 what moving a hundredth of the server's disk takes.",
            ),
            Key::new(
                "slowest_mib_per_second",
                Kind::Integer,
                "MiB a second that backups are moved with at least: with twice the server's disk it makes the time after \
                 which one is given up.",
            ),
            Key::new(
                "address_minutes",
                Kind::Integer,
                "Minutes that a signed address of the storage is good.",
            ),
            Key::new(
                "sweep_seconds",
                Kind::Integer,
                "Seconds between two looks at backups that are to be removed or found again.",
            ),
            Key::new(
                "verify_every_hours",
                Kind::Integer,
                "Hours after which the newest backup of a server is read again and compared; 0 for never.",
            ),
            Key::new(
                "compare_seconds",
                Kind::Integer,
                "Seconds between two comparisons of the storage's list with the rows, for zlh-controller: a backup that is \
                 missing, or left over, is a finding. Of all workers one compares.",
            ),
        ];
        KEYS
    }

    fn validate(&self) -> Result<(), Invalid> {
        Invalid::unless_within("concurrency", self.concurrency, 1..=64)?;
        Invalid::unless_within("per_customer", self.per_customer, 1..=64)?;
        Invalid::unless_within("stall_seconds", self.stall_seconds, 10..=3_600)?;
        Invalid::unless_within("slowest_mib_per_second", self.slowest_mib_per_second, 1..=10_000)?;
        Invalid::unless_within("deadline_hours", self.deadline_hours, 1..=168)?;
        // Amazon S3 signs for seven days at most.
        Invalid::unless_within("address_minutes", self.address_minutes, 5..=10_080)?;
        Invalid::unless_within("sweep_seconds", self.sweep_seconds, 1..=3_600)?;
        Invalid::unless_within("verify_every_hours", self.verify_every_hours, 0..=87_600)?;
        Invalid::unless_within("compare_seconds", self.compare_seconds, 1..=86_400)
    }
}
