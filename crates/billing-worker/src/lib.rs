//! billing-worker: takes Stripe's events and the passing of time as reasons to look at a customer, asks Stripe what is open, and does
//! what follows: warns, blocks, suspends, restores. It knows no action that removes anything, and its role in the database could not
//! carry one out.

pub mod backfill;
pub mod config;
pub mod plans;
pub mod serve;
pub mod sync;
pub mod work;
