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
    /// The invoice of a change that is made once it is paid, and is forgotten otherwise. Not paying it makes no debt.
    pub pending_invoice: Option<String>,
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
    /// What a purchase is at Stripe.
    CheckoutKind {
        /// A checkout session, with which a subscription begins.
        Subscribe = "subscribe",
        /// A change of the subscription of record.
        Amend = "amend",
    }
}

/// A change of what a subscription is for. Quantities are whole ones, not differences: made twice it is made once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Amendment {
    /// Id of the subscription at Stripe.
    pub subscription: String,
    /// What changes; a price that is not here stays as it is.
    pub prices: Vec<AmendedPrice>,
}

/// How many of a price a subscription is to have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AmendedPrice {
    /// Id of the price at Stripe.
    pub price: String,
    /// How many there were.
    pub before: i32,
    /// How many there are to be.
    pub after: i32,
}

/// One line of a call that changes a subscription.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AmendedLine {
    /// An item gets another quantity.
    Set(String, i32),
    /// An item goes.
    Remove(String),
    /// A price comes, so many times.
    Add(String, i32),
}

impl Amendment {
    /// One that adds to what there is: `changes` are prices and how many more (or fewer) of each. `None` if fewer than none would be
    /// left of one, or nothing would change.
    pub fn of(subscription: &SubscriptionFacts, changes: &[(String, i32)]) -> Option<Self> {
        let mut prices: Vec<AmendedPrice> = Vec::new();
        for (price, more) in changes {
            let before = quantity_of(&subscription.items, price);
            match prices.iter_mut().find(|it| it.price == *price) {
                Some(known) => known.after = known.after.checked_add(*more)?,
                None => {
                    prices.push(AmendedPrice {
                        price: price.clone(),
                        before,
                        after: before.checked_add(*more)?,
                    });
                }
            }
        }
        prices.retain(|it| it.before != it.after);
        let possible = !prices.is_empty() && prices.iter().all(|it| it.after >= 0);
        possible.then(|| Self { subscription: subscription.rules.id.clone(), prices })
    }

    /// The way back.
    #[must_use]
    pub fn reversed(&self) -> Self {
        let back =
            |it: &AmendedPrice| AmendedPrice { price: it.price.clone(), before: it.after, after: it.before };
        Self { subscription: self.subscription.clone(), prices: self.prices.iter().map(back).collect() }
    }

    /// Whether a subscription with these items is as it is to be.
    pub fn is_made(&self, items: &[SubscriptionItem]) -> bool {
        self.prices.iter().all(|it| quantity_of(items, &it.price) == it.after)
    }

    /// What has to be said to Stripe so that a subscription with these items becomes what it is to be.
    pub fn lines(&self, items: &[SubscriptionItem]) -> Vec<AmendedLine> {
        let mut lines = Vec::new();
        for wanted in self.prices.iter().filter(|it| quantity_of(items, &it.price) != it.after) {
            let mut of_price = items.iter().filter(|item| item.price_id == wanted.price);
            match (of_price.next(), wanted.after) {
                (Some(item), 0) => lines.push(AmendedLine::Remove(item.id.clone())),
                (Some(item), after) => lines.push(AmendedLine::Set(item.id.clone(), after)),
                (None, 0) => {}
                (None, after) => lines.push(AmendedLine::Add(wanted.price.clone(), after)),
            }
            // A price that Stripe has in two items is brought into one.
            lines.extend(of_price.map(|item| AmendedLine::Remove(item.id.clone())));
        }
        lines
    }
}

fn quantity_of(items: &[SubscriptionItem], price: &str) -> i32 {
    let of_price = items.iter().filter(|item| item.price_id == price);
    of_price.fold(0, |sum, item| sum.saturating_add(item.quantity))
}

text_enum! {
    /// How far a change of plan has come. What makes a server bigger is paid first and done then; what makes it smaller is done
    /// first, and then paid less for.
    PlanChangeState {
        /// It is being paid for.
        Paying = "paying",
        /// The server can be changed, once nothing else is done with it.
        Ready = "ready",
        /// An operation changes it.
        Applying = "applying",
        /// It is changed, and the subscription is about to follow.
        Settling = "settling",
        /// Done.
        Done = "done",
        /// It came to nothing, and the subscription is about to be what it was.
        Reverting = "reverting",
        /// It came to nothing.
        Failed = "failed",
    }
}

/// What a change of plan waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlanChangeNext {
    /// Somebody else: the bank, or the operation.
    Nothing,
    /// An operation is to be begun.
    Begin,
    /// It is over, and nothing was paid.
    GiveUp,
    /// It is over, and what was paid is to be given back.
    Revert,
    /// The subscription is to follow the server.
    Settle,
}

impl PlanChangeState {
    /// Whether nothing more comes of it.
    pub const fn has_ended(self) -> bool {
        matches!(self, Self::Done | Self::Failed)
    }

    /// What comes next. `payment` is that of a change that is paid first; `active` says whether there still is a server to change.
    pub const fn next(self, payment: Option<CheckoutState>, active: bool) -> PlanChangeNext {
        let paid = matches!(payment, Some(CheckoutState::Completed));
        match self {
            Self::Paying if !paid => match payment {
                Some(CheckoutState::Open | CheckoutState::Pending) => PlanChangeNext::Nothing,
                _ => PlanChangeNext::GiveUp,
            },
            Self::Paying | Self::Ready if active => PlanChangeNext::Begin,
            Self::Paying | Self::Ready if paid => PlanChangeNext::Revert,
            Self::Paying | Self::Ready => PlanChangeNext::GiveUp,
            Self::Settling => PlanChangeNext::Settle,
            Self::Reverting => PlanChangeNext::Revert,
            Self::Applying | Self::Done | Self::Failed => PlanChangeNext::Nothing,
        }
    }
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
        // A change that nobody pays is never made: what is had is paid for.
        let pending: Vec<_> =
            self.subscriptions.iter().filter_map(|it| it.pending_invoice.as_deref()).collect();
        let counts = |invoice: &&InvoiceFacts| {
            (invoice.subscription_id.is_none() || invoice.subscription_id.as_deref() == id)
                && !pending.contains(&invoice.rules.id.as_str())
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
            pending_invoice: None,
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

    #[test]
    fn a_change_that_waits_for_its_payment_is_no_debt() {
        let mut fetched = Fetched {
            subscriptions: vec![facts("sub_a", "active", 0)],
            invoices: vec![billed_by(Some("sub_a"))],
            ..Fetched::default()
        };
        assert_eq!(fetched.evidence(None, true).invoices.len(), 1);
        fetched.subscriptions[0].pending_invoice = Some("in_sub_a".into());
        assert_eq!(fetched.evidence(None, true).invoices, []);
    }

    fn with_items(items: &[(&str, &str, i32)]) -> SubscriptionFacts {
        let item = |(id, price, quantity): &(&str, &str, i32)| SubscriptionItem {
            id: (*id).into(),
            price_id: (*price).into(),
            quantity: *quantity,
            amount_minor: 500,
        };
        SubscriptionFacts { items: items.iter().map(item).collect(), ..facts("sub_a", "active", 0) }
    }

    #[test]
    fn an_amendment_made_twice_is_made_once_and_leads_back() {
        let change = |price: &str, more| (price.to_owned(), more);
        let before = with_items(&[("si_1", "small", 1), ("si_2", "large", 2)]);
        let amendment = Amendment::of(&before, &[change("small", -1), change("medium", 1)]).unwrap();
        let lines = amendment.lines(&before.items);
        assert_eq!(lines, [AmendedLine::Remove("si_1".into()), AmendedLine::Add("medium".into(), 1)]);
        let after = with_items(&[("si_2", "large", 2), ("si_3", "medium", 1)]);
        assert!(amendment.is_made(&after.items) && !amendment.is_made(&before.items));
        assert_eq!(amendment.lines(&after.items), []);
        let back = amendment.reversed();
        assert_eq!(
            back.lines(&after.items),
            [AmendedLine::Add("small".into(), 1), AmendedLine::Remove("si_3".into())]
        );
        assert!(back.is_made(&before.items));

        let more = Amendment::of(&before, &[change("large", 1)]).unwrap();
        assert_eq!(more.lines(&before.items), [AmendedLine::Set("si_2".into(), 3)]);
        assert_eq!(Amendment::of(&before, &[change("small", -2)]), None, "fewer than none");
        assert_eq!(Amendment::of(&before, &[change("small", 0)]), None, "no change");
        let twice = with_items(&[("si_1", "small", 1), ("si_4", "small", 1)]);
        let one_less = Amendment::of(&twice, &[change("small", -1)]).unwrap();
        assert_eq!(
            one_less.lines(&twice.items),
            [AmendedLine::Set("si_1".into(), 1), AmendedLine::Remove("si_4".into())]
        );
    }

    #[test]
    fn a_change_of_plan_begins_only_when_it_is_paid_and_never_keeps_money_for_nothing() {
        use PlanChangeNext as Next;
        use PlanChangeState as State;
        for active in [true, false] {
            for payment in [CheckoutState::Open, CheckoutState::Pending] {
                assert_eq!(State::Paying.next(Some(payment), active), Next::Nothing, "{payment}");
            }
            for payment in [CheckoutState::Expired, CheckoutState::Failed] {
                assert_eq!(State::Paying.next(Some(payment), active), Next::GiveUp, "{payment}");
            }
        }
        assert_eq!(State::Paying.next(Some(CheckoutState::Completed), true), Next::Begin);
        assert_eq!(State::Paying.next(Some(CheckoutState::Completed), false), Next::Revert);
        assert_eq!(State::Ready.next(None, true), Next::Begin);
        assert_eq!(State::Ready.next(None, false), Next::GiveUp);
        for ended in State::ALL.iter().filter(|it| it.has_ended()) {
            assert_eq!(ended.next(Some(CheckoutState::Completed), true), Next::Nothing);
        }
    }
}
