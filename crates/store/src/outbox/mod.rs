//! The outbox: what is to be told outside, such as mail.
//!
//! Architecture invariant: what we tell outside is told once. A notification is written in the transaction of what it tells
//! of, so that there is none without the other; its key keeps a second one of the same meaning away; a sender writes only
//! under its lease's term. A sender that dies between sending and writing that down is the one way to send twice.

mod enqueue;
mod lease;
mod read;

pub(crate) use enqueue::enqueue;
#[cfg(feature = "testing")]
pub use enqueue::enqueue_and_roll_back;
pub use enqueue::{MAX_AGE, NewNotification, enqueue_alone};
pub use lease::{Claim, Lease, Notification, claim_batch, mark_dead, mark_sent, retry_later};
pub use read::{Backlog, Listener, backlog};

/// Where a filled outbox is announced.
const CHANNEL: &str = "zlh_outbox";
