//! Operations: reading them, holding them by a lease, keeping their journal, ending them.
//!
//! Architecture invariant: a worker writes only under its lease's term. Every function that takes a [`Lease`]
//! writes nothing and answers [`StoreError::LeaseLost`](crate::StoreError::LeaseLost) once the term is another's.

mod journal;
mod lease;
mod outcome;
mod read;
mod sweep;

pub use journal::{begin_step, begin_undo, end_step, report, save_address, save_fingerprint, undo_step};
pub(crate) use lease::held;
pub use lease::{Claim, Lease, claim, leave, next, release, renew};
pub(crate) use outcome::finish;
pub use outcome::{
    Cancelled, cancel, create_failed, create_succeeded, delete_succeeded, park_stuck, resume_stuck,
    retry_later, undone,
};
pub use read::{StepRow, find, get, kind, list, list_all, place, steps};
pub use sweep::{backlog, take_unclaimed};
