//! Backups: asking for them and for what is done with them, reading them, and what became of them.
//!
//! Architecture invariant: a backup that is complete in storage is not forgotten. Its row becomes `available` whether
//! or not the operation that made it was told so, and only retention, its owner and the end of its instance remove it.

mod change;
mod compare;
mod outcome;
mod read;
mod reconcile;
mod request;

pub use crate::idempotency::Requested;
pub use change::{Edit, RemoveOutcome, edit, request_removal};
pub use compare::{
    available, begin_comparison, known_servers, report_comparison, report_comparison_failure, states,
};
pub(crate) use outcome::remove_all;
pub use outcome::{
    backup_failed, backup_succeeded, found, owe_start, restore_succeeded, save_facts, save_upload,
    use_failed, verify_succeeded,
};
pub use read::{get, get_for_work, list, witnesses};
pub use reconcile::{
    Reconciliation, begin_due_verification, begin_reconciliation, end_reconciliation, mark_reconciled,
    mark_removed, unreconciled, unreconciled_of,
};
pub use request::{BackupRequest, NewBackup, RequestError, Use, request, request_restore_after, request_use};
