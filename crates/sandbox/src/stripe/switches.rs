//! What goes wrong on request, and how fast time goes: `/stripe/_switches`.

use serde::{Deserialize, Serialize};

/// The switches. All of them have a value; a POST changes those that it names.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of its own")]
pub(crate) struct Switches {
    /// Customers who are made without a test clock get one of their own. It goes on with the machine's time until it is
    /// advanced, and from there on again.
    pub(crate) clock_per_customer: bool,
    /// Days from one attempt at a payment to the next.
    pub(crate) retry_days: Vec<i64>,
    /// What becomes of a subscription after the last attempt.
    pub(crate) after_retries: AfterRetries,
    /// Days that a direct debit takes.
    pub(crate) debit_days: i64,
    /// Direct debits that are under way fail in the end.
    pub(crate) debit_fails: bool,
    /// Milliseconds for which a POST is under way: its idempotency key is in use meanwhile.
    pub(crate) busy_ms: u64,
    /// Deliveries wait for so many milliseconds at random, so that they arrive in another order.
    pub(crate) shuffle_ms: u64,
    /// Of the deliveries that wait, the newest goes first.
    pub(crate) reverse: bool,
    /// Each delivery is made twice.
    pub(crate) twice: bool,
    /// So many deliveries are lost: never made, and never tried again.
    pub(crate) drop_next: u32,
    /// Deliveries are held back until this is off again.
    pub(crate) hold: bool,
    /// The API version of deliveries, whatever their endpoint has.
    pub(crate) api_version: Option<String>,
    /// Deliveries have the shape from before 2025-03-31, whatever their version says.
    pub(crate) old_shape: bool,
    /// Each event is followed by one of this type.
    pub(crate) unknown_type: Option<String>,
    /// A proxy writes the JSON anew after it was signed.
    pub(crate) minified: bool,
    /// Milliseconds for an endpoint to answer.
    pub(crate) answer_ms: u64,
    /// Milliseconds before each further attempt at a delivery. After the last one it has failed.
    pub(crate) delivery_pauses_ms: Vec<u64>,
    /// An endpoint without one good answer for so many milliseconds is disabled when a delivery has failed.
    pub(crate) disable_after_ms: u64,
}

/// What becomes of a subscription whose payment failed for the last time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum AfterRetries {
    Canceled,
    Unpaid,
    PastDue,
}

const MINUTE_MS: u64 = 60_000;
const HOUR_MS: u64 = 60 * MINUTE_MS;

impl Default for Switches {
    fn default() -> Self {
        Self {
            clock_per_customer: true,
            retry_days: vec![3, 5, 7],
            after_retries: AfterRetries::Canceled,
            debit_days: 3,
            debit_fails: false,
            busy_ms: 0,
            shuffle_ms: 0,
            reverse: false,
            twice: false,
            drop_next: 0,
            hold: false,
            api_version: None,
            old_shape: false,
            unknown_type: None,
            minified: false,
            answer_ms: 20_000,
            // Stripe goes on for three days, with pauses that grow.
            delivery_pauses_ms: vec![
                MINUTE_MS,
                5 * MINUTE_MS,
                30 * MINUTE_MS,
                2 * HOUR_MS,
                5 * HOUR_MS,
                10 * HOUR_MS,
                14 * HOUR_MS,
                20 * HOUR_MS,
                20 * HOUR_MS,
            ],
            disable_after_ms: 72 * HOUR_MS,
        }
    }
}
