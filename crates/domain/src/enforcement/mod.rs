//! Enforcement of payment: what Stripe says is open, how long it has been so, and what follows from it.
//!
//! Architecture invariants: the stage follows what is open and past due at Stripe, never the last event; no action here
//! destroys anything, because there is none that could. `docs/billing.md` has every line of these rules for people.

mod evidence;
mod gate;
mod stage;
#[cfg(test)]
mod tests;

pub use evidence::{Collection, Evidence, Invoice, InvoiceStatus, Subscription, SubscriptionStatus};
pub use gate::Gate;
pub use stage::{
    Assessment, BillingAction, Cause, Leniency, NotAnAction, Stage, Timings, assess, settle, steps,
};
