//! What is known of a customer at Stripe, as it was fetched, and what a purchase consists of.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{
    enforcement::{Evidence, Invoice, Subscription},
    instance::text_enum,
};

/// A customer's objects at Stripe, fetched one after the other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fetched {
    /// Id of the customer at Stripe.
    pub stripe_id: String,
    /// Whether somebody deleted the customer there.
    pub deleted: bool,
    /// The time that it is for the customer, who is on a test clock.
    pub test_time: Option<DateTime<Utc>>,
    /// Which clock that is.
    pub test_clock: Option<String>,
    /// Every subscription, ended ones too.
    pub subscriptions: Vec<SubscriptionFacts>,
    /// The newest invoices, and every open one.
    pub invoices: Vec<InvoiceFacts>,
}

/// A subscription with what the rules do not need.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubscriptionFacts {
    /// What the rules need.
    pub rules: Subscription,
    /// ISO 4217, lower case.
    pub currency: String,
    /// What it is for.
    pub items: Vec<SubscriptionItem>,
    /// What it is paid with, in words.
    pub paid_with: Option<String>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
}

/// One price of a subscription, some times.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubscriptionItem {
    /// Its id at Stripe.
    pub id: String,
    /// The price's id.
    pub price_id: String,
    /// How many.
    pub quantity: i32,
    /// Of one, each period, in the currency's minor unit.
    pub amount_minor: i64,
}

/// An invoice with what the rules do not need.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvoiceFacts {
    /// What the rules need.
    pub rules: Invoice,
    /// By which subscription.
    pub subscription_id: Option<String>,
    /// All of it, in the currency's minor unit.
    pub total_minor: i64,
    /// When Stripe tries again.
    pub next_attempt_at: Option<DateTime<Utc>>,
    /// Why the last attempt failed, in the bank's words.
    pub failure: Option<String>,
    /// Where it can be paid.
    pub hosted_invoice_url: Option<String>,
    /// Where it can be downloaded.
    pub pdf_url: Option<String>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
}

/// So many servers of a plan.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlanQuantity {
    /// Plan id.
    pub plan: String,
    /// How many.
    pub quantity: i32,
}

text_enum! {
    /// How far a purchase has come.
    CheckoutState {
        /// To be paid.
        Open = "open",
        /// Completed, and the bank is at it for days.
        Pending = "pending",
        /// Paid.
        Completed = "completed",
        /// Nobody paid in time.
        Expired = "expired",
        /// The bank said no after all.
        Failed = "failed",
    }
}

impl Fetched {
    /// The subscription that decides: the one that did so far while it is not over, then the newest that is not over, then the
    /// newest of all. A second one that lives is reported, and changes nothing.
    pub fn of_record(&self, so_far: Option<&str>) -> Option<&SubscriptionFacts> {
        let lives = |it: &&SubscriptionFacts| !it.rules.status.is_over();
        let kept = self.subscriptions.iter().find(|it| Some(it.rules.id.as_str()) == so_far);
        let newest = |only_living: bool| {
            let all = self.subscriptions.iter().filter(|it| !only_living || lives(it));
            // One that is begun gives way to one that is paid.
            all.max_by_key(|it| (it.rules.status.entitles(), it.created_at, &it.rules.id))
        };
        kept.filter(lives).or_else(|| newest(true)).or(kept).or_else(|| newest(false))
    }

    /// Whether servers are paid for twice.
    pub fn has_two_subscriptions(&self) -> bool {
        self.subscriptions.iter().filter(|it| it.rules.status.entitles()).count() > 1
    }

    /// What the rules look at.
    pub fn evidence(&self, so_far: Option<&str>, needs_subscription: bool) -> Evidence {
        let of_record = self.of_record(so_far);
        let id = of_record.map(|it| it.rules.id.as_str());
        let counts = |invoice: &&InvoiceFacts| {
            invoice.subscription_id.is_none() || invoice.subscription_id.as_deref() == id
        };
        Evidence {
            subscription: of_record.map(|it| it.rules.clone()),
            invoices: self
                .invoices
                .iter()
                .filter(counts)
                .map(|it| it.rules.clone())
                .filter(Invoice::is_open)
                .collect(),
            needs_subscription,
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::{TimeDelta, TimeZone as _};

    use super::*;
    use crate::enforcement::{Collection, InvoiceStatus};

    fn facts(id: &str, status: &str, day: i64) -> SubscriptionFacts {
        SubscriptionFacts {
            rules: Subscription {
                id: id.into(),
                status: status.to_owned().into(),
                period_start: None,
                period_end: None,
                collection_paused: false,
                ends_at: None,
                trial_end: None,
            },
            currency: "eur".into(),
            items: Vec::new(),
            paid_with: None,
            created_at: Utc.with_ymd_and_hms(2026, 11, 1, 0, 0, 0).unwrap() + TimeDelta::days(day),
        }
    }

    fn billed_by(subscription: Option<&str>) -> InvoiceFacts {
        InvoiceFacts {
            rules: Invoice {
                id: format!("in_{}", subscription.unwrap_or("none")),
                number: None,
                status: InvoiceStatus::Open,
                remaining_minor: 500,
                currency: "eur".into(),
                collection: Collection::ChargeAutomatically,
                attempted: true,
                processing: false,
                finalized_at: None,
                due_at: None,
                dispute_lost_at: None,
            },
            subscription_id: subscription.map(str::to_owned),
            total_minor: 500,
            next_attempt_at: None,
            failure: None,
            hosted_invoice_url: None,
            pdf_url: None,
            created_at: DateTime::UNIX_EPOCH,
        }
    }

    #[test]
    fn the_subscription_of_record_stays_so_until_it_is_over() {
        let of = |so_far: Option<&str>, all: &[SubscriptionFacts]| {
            let fetched = Fetched { subscriptions: all.to_vec(), ..Fetched::default() };
            fetched.of_record(so_far).map(|it| it.rules.id.clone())
        };
        let (old, new) = (facts("sub_old", "active", 0), facts("sub_new", "active", 1));
        assert_eq!(of(Some("sub_old"), &[old.clone(), new.clone()]).as_deref(), Some("sub_old"));
        assert_eq!(of(None, &[old.clone(), new.clone()]).as_deref(), Some("sub_new"));
        let over = facts("sub_old", "canceled", 0);
        assert_eq!(of(Some("sub_old"), &[over.clone(), new]).as_deref(), Some("sub_new"));
        assert_eq!(of(Some("sub_old"), &[over]).as_deref(), Some("sub_old"));
        let begun = facts("sub_begun", "incomplete", 2);
        assert_eq!(of(None, &[old, begun]).as_deref(), Some("sub_old"));
    }

    #[test]
    fn what_another_subscription_bills_is_no_evidence() {
        let fetched = Fetched {
            subscriptions: vec![facts("sub_a", "active", 0), facts("sub_b", "past_due", 1)],
            invoices: vec![billed_by(Some("sub_a")), billed_by(Some("sub_b")), billed_by(None)],
            ..Fetched::default()
        };
        let ids = |so_far| {
            let evidence = fetched.evidence(so_far, true);
            evidence.invoices.into_iter().map(|it| it.id).collect::<Vec<_>>()
        };
        assert_eq!(ids(Some("sub_a")), ["in_sub_a", "in_none"]);
        assert_eq!(ids(Some("sub_b")), ["in_sub_b", "in_none"]);
        assert!(fetched.has_two_subscriptions());
    }
}
