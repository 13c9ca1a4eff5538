//! Stripe: its API (<https://docs.stripe.com/api>) and the signatures of its webhooks (<https://docs.stripe.com/webhooks#verify-manually>).
//!
//! Written on the plain HTTP client rather than on the crate `async-stripe`: its answers are refused as a whole for one field that
//! is missing or one value that is new, and what follows from a payment must not depend on that; and it is a quarter of a million
//! lines to build for a dozen calls. Only what is needed is read, and whatever else Stripe says is passed over.

mod amend;
mod client;
mod read;
mod signature;

pub use amend::{Amended, Settlement, amend, fetch_subscription, give_up};
pub use client::{Form, Stripe, StripeError};
pub use read::{Event, Session, Settled, event, fetch_customer};
pub use signature::{Refusal, sign, verify};

/// The version of the API that answers are asked for in: whichever version an account has, their shape is this one's.
pub const API_VERSION: &str = "2026-09-30.endive";
