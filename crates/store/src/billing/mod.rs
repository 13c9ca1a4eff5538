//! Billing: what customers may have, what Stripe says of them, and what follows from it.
//!
//! Architecture invariants: what follows is written in one transaction with its evidence and its event; a look that is older than
//! another one writes nothing; nothing here deletes.

mod apply;
mod checkouts;
mod customers;
mod enforcement;
mod events;
mod facts;
mod grants;
pub mod plan_changes;
mod read;
mod tasks;

pub use apply::{Applied, ApplyError, Catalogue, Look, apply, begin_look, keep_in_force};
pub use checkouts::{
    Checkout, NewCheckout, OpenError, Room, await_confirmation, end as end_checkout, find_by_stripe_id,
    forget_abandoned, is_abandoned, name as name_checkout, open as open_checkout, unended,
};
pub use customers::{Linked, customer_of, former_links, link, linked, on_clock};
pub use enforcement::{
    HistoryEntry, Listed, OperatorWord, State, dispute, exempt, extend, history, list, stage_of, stages,
    state,
};
pub use events::{
    Intake, Kept, NewEvent, Status, accept, backfilled, kept, settle as settle_event, status, unknown,
    unprocessed,
};
pub use facts::{dispute_lost_at, set_dispute};
pub(crate) use grants::add_in as add_grant_in;
pub use grants::{Grant, NewGrant, active as active_grants, add as add_grant, revoke as revoke_grant};
pub use read::{InvoiceRow, ItemRow, Overview, SubscriptionRow, of_record, overview};
pub use tasks::{
    Claim, Refused, backlog, claim, due_customers, end, exists, look_at_all, next, overdue_amendments,
    release, renew, request, request_backfill, retry_later, take_unclaimed,
};

/// As rows name the daemon.
pub const BY: &str = "billing-worker";
