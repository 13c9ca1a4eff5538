//! What is known of a customer's payments: objects as Stripe has them at the time of asking.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// Why the stage is what it is. Kept with it, so that a person can check it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// The subscription of record.
    pub subscription: Option<Subscription>,
    /// What was billed by it, or by nothing, and is not settled.
    pub invoices: Vec<Invoice>,
    /// Whether there are live servers that no grant of an operator covers.
    pub needs_subscription: bool,
}

/// Defines an enum of Stripe's, which may get values that we do not know.
macro_rules! status {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $text:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(from = "String", into = "String")]
        pub enum $name {
            $($(#[$vdoc])* $variant,)+
            /// One that Stripe has introduced since.
            Unknown(String),
        }

        impl $name {
            /// As Stripe writes it.
            pub fn as_str(&self) -> &str {
                match self { $(Self::$variant => $text,)+ Self::Unknown(text) => text }
            }
        }

        impl From<String> for $name {
            fn from(text: String) -> Self {
                match text.as_str() { $($text => Self::$variant,)+ _ => Self::Unknown(text) }
            }
        }

        impl From<$name> for String {
            fn from(status: $name) -> Self {
                status.as_str().to_owned()
            }
        }
    };
}

status! {
    /// Of a subscription.
    SubscriptionStatus {
        /// Its first payment is not made yet.
        Incomplete = "incomplete",
        /// It never was: 23 hours have passed.
        IncompleteExpired = "incomplete_expired",
        /// Free for now.
        Trialing = "trialing",
        /// Paid, or to be paid soon.
        Active = "active",
        /// Its last invoice was tried and not paid.
        PastDue = "past_due",
        /// Stripe has stopped trying.
        Unpaid = "unpaid",
        /// Its trial ended without a way to pay.
        Paused = "paused",
        /// Over for good.
        Canceled = "canceled",
    }
}

impl SubscriptionStatus {
    /// Whether it is over, so that another one may become that of record.
    pub fn is_over(&self) -> bool {
        matches!(self, Self::Canceled | Self::IncompleteExpired)
    }

    /// Whether servers may be had by it.
    pub fn entitles(&self) -> bool {
        matches!(self, Self::Trialing | Self::Active | Self::PastDue | Self::Unpaid)
    }
}

/// A subscription.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subscription {
    /// Its id at Stripe.
    pub id: String,
    /// Its state.
    pub status: SubscriptionStatus,
    /// When the present period began.
    pub period_start: Option<DateTime<Utc>>,
    /// Until when it is billed.
    pub period_end: Option<DateTime<Utc>>,
    /// Whether what it would collect is not collected.
    pub collection_paused: bool,
    /// When it will end, or has ended.
    pub ends_at: Option<DateTime<Utc>>,
    /// When its trial ends or has ended.
    pub trial_end: Option<DateTime<Utc>>,
}

status! {
    /// Of an invoice.
    InvoiceStatus {
        /// It can still be changed.
        Draft = "draft",
        /// It is to be paid.
        Open = "open",
        /// It is settled.
        Paid = "paid",
        /// It counts for nothing.
        Void = "void",
        /// Stripe's owner has given it up; the customer still has not paid.
        Uncollectible = "uncollectible",
    }
}

/// How an invoice is to be paid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Collection {
    /// From the customer's card or account.
    ChargeAutomatically,
    /// By the customer, until a day.
    SendInvoice,
}

/// An invoice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invoice {
    /// Its id at Stripe.
    pub id: String,
    /// As people call it.
    pub number: Option<String>,
    /// Its state.
    pub status: InvoiceStatus,
    /// Still to be paid, in the currency's minor unit.
    pub remaining_minor: i64,
    /// ISO 4217, lower case.
    pub currency: String,
    /// How it is paid.
    pub collection: Collection,
    /// Whether paying it was tried.
    pub attempted: bool,
    /// Whether the bank is still at it.
    pub processing: bool,
    /// When it became final: for a card, the time of the first attempt.
    pub finalized_at: Option<DateTime<Utc>>,
    /// Until when it is to be paid, if it was sent.
    pub due_at: Option<DateTime<Utc>>,
    /// When a dispute over it was lost: what was paid was taken back.
    pub dispute_lost_at: Option<DateTime<Utc>>,
}

impl Invoice {
    /// Whether anything of it may still be owed, now or later.
    pub fn is_open(&self) -> bool {
        let settled = matches!(self.status, InvoiceStatus::Paid | InvoiceStatus::Void | InvoiceStatus::Draft);
        self.dispute_lost_at.is_some() || (!settled && self.remaining_minor > 0)
    }

    /// Since when it should have been paid; `None` if nothing is past due.
    pub fn past_due_since(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        if self.dispute_lost_at.is_some() {
            return self.dispute_lost_at;
        }
        let owed = self.remaining_minor > 0 && !self.processing;
        match (&self.status, self.collection) {
            (InvoiceStatus::Open, Collection::SendInvoice) if owed => self.due_at.filter(|due| *due <= now),
            (InvoiceStatus::Open, Collection::ChargeAutomatically) if owed && self.attempted => {
                self.finalized_at
            }
            (InvoiceStatus::Uncollectible, _) if owed => self.finalized_at,
            _ => None,
        }
    }
}
