//! The outbox: what is to be told outside, such as mail.
//!
//! Architecture invariant: what we tell outside is told once. A notification is written in the transaction of what it tells
//! of, so that there is none without the other; its key keeps a second one of the same meaning away; a sender writes only
//! under its lease's term. A sender that dies between sending and writing that down is the one way to send twice.

mod admit;
mod enqueue;
mod lease;
mod operate;
mod read;

pub use admit::{Admission, admit};
#[cfg(feature = "testing")]
pub use enqueue::enqueue_and_roll_back;
pub use enqueue::{MAX_AGE, NewNotification, enqueue_alone, request_mail};
pub(crate) use enqueue::{enqueue, enqueue_mail, enqueue_mail_if};
pub use lease::{
    Claim, Failure, Lease, NotSent, Notification, claim_batch, mark_dead, mark_sent, retry_later,
};
pub use operate::{Listed, Retried, Wanted, list, retry};
pub use read::{Backlog, Listener, STALLED_AFTER, Standing, backlog, configured, standings};

/// Where a filled outbox is announced.
const CHANNEL: &str = "zlh_outbox";
