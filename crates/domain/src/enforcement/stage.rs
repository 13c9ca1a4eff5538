//! Stages, and how one leads to another.

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::{Evidence, Subscription, SubscriptionStatus};
use crate::instance::text_enum;

text_enum! {
    /// How far it has come.
    Stage {
        /// Nothing is open.
        GoodStanding = "good_standing",
        /// Something is past due. Everything works.
        PaymentFailed = "payment_failed",
        /// It still is: no new backups, servers or upgrades.
        FinalWarning = "final_warning",
        /// It still is: servers are stopped. Everything can be read and downloaded.
        Suspended = "suspended",
        /// It was paid: what ran starts again.
        Restored = "restored",
    }
}

text_enum! {
    /// Why a stage is what it is.
    Cause {
        /// Nothing is wrong.
        NothingOpen = "nothing_open",
        /// An invoice is past due.
        InvoicePastDue = "invoice_past_due",
        /// A dispute was lost: the bank took the money back.
        DisputeLost = "dispute_lost",
        /// The subscription is over, and there are servers.
        SubscriptionEnded = "subscription_ended",
        /// What the subscription bills is not collected any more, and there are servers.
        SubscriptionPaused = "subscription_paused",
        /// An operator gave more time.
        Extended = "extended",
        /// An operator exempted the customer.
        Exempt = "exempt",
    }
}

text_enum! {
    /// What enforcement does. There is no value that takes anything from anybody: a request for one cannot be expressed, and
    /// one that arrives from outside is rejected and recorded.
    BillingAction {
        /// Tell the customer.
        Warn = "warn",
        /// Tell them for the last time, and make no new backups.
        BlockBackups = "block_backups",
        /// Stop what runs, and keep it stopped.
        Suspend = "suspend",
        /// Lift the hold, and start what ran.
        Restore = "restore",
        /// Compare one customer with Stripe.
        Sync = "sync",
        /// Look for events that never arrived, and compare every customer.
        Backfill = "backfill",
    }
}

/// What was asked for is not an action of billing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not an action of billing, which can warn, block, suspend and restore, and never removes anything"
)]
pub struct NotAnAction(pub String);

impl BillingAction {
    /// Reads a request from outside.
    pub fn requested(text: &str) -> Result<Self, NotAnAction> {
        text.parse().map_err(|_| NotAnAction(text.chars().take(64).collect()))
    }
}

/// For how long each stage lasts, counted from the day since which something is past due. A plan's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Timings {
    /// Days until the final warning.
    pub final_warning_days: u16,
    /// Days until servers are stopped; more than the above.
    pub suspend_days: u16,
}

impl Default for Timings {
    fn default() -> Self {
        Self { final_warning_days: 8, suspend_days: 16 }
    }
}

impl Timings {
    /// Whether a warning comes before the suspension.
    pub fn are_in_order(self) -> bool {
        (1..self.suspend_days).contains(&self.final_warning_days)
    }

    /// Of a customer with servers of several plans: each stage as late as any of them says.
    #[must_use]
    pub fn or_later(self, other: Self) -> Self {
        Self {
            final_warning_days: self.final_warning_days.max(other.final_warning_days),
            suspend_days: self.suspend_days.max(other.suspend_days),
        }
    }

    fn stages(self, since: DateTime<Utc>) -> [(Stage, DateTime<Utc>); 3] {
        let day = |days: u16| since + TimeDelta::days(days.into());
        [
            (Stage::PaymentFailed, since),
            (Stage::FinalWarning, day(self.final_warning_days)),
            (Stage::Suspended, day(self.suspend_days)),
        ]
    }
}

/// What operators have granted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Leniency {
    /// Nothing is enforced at all.
    pub exempt: bool,
    /// Until then nothing is blocked, whatever is open.
    pub extended_until: Option<DateTime<Utc>>,
}

/// What follows from the evidence at a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assessment {
    /// The stage: any but [`Stage::Restored`].
    pub stage: Stage,
    /// Why.
    pub cause: Cause,
    /// Since when something is past due.
    pub since: Option<DateTime<Utc>>,
    /// What comes next if nothing changes, and when.
    pub next: Option<(Stage, DateTime<Utc>)>,
    /// When it is to be assessed again at the latest, though nothing is heard of.
    pub look_again_at: Option<DateTime<Utc>>,
}

/// What follows from the evidence now. `None` if Stripe says something that we do not understand: then nothing changes, and a
/// person is told.
pub fn assess(
    evidence: &Evidence,
    timings: Timings,
    leniency: Leniency,
    now: DateTime<Utc>,
) -> Option<Assessment> {
    if let Some(Subscription { status: SubscriptionStatus::Unknown(_), .. }) = &evidence.subscription {
        return None;
    }
    let future = future_of(evidence, now);
    let fine = |cause| Assessment {
        stage: Stage::GoodStanding,
        cause,
        since: None,
        next: None,
        look_again_at: future,
    };
    if leniency.exempt {
        return Some(fine(Cause::Exempt));
    }
    let Some((cause, since)) = fault(evidence, now) else { return Some(fine(Cause::NothingOpen)) };
    let stages = timings.stages(since);
    if let Some(until) = leniency.extended_until.filter(|until| *until > now) {
        // The day on which the time is up decides what comes then.
        let then = at(&stages, until);
        let next = if then == Stage::PaymentFailed {
            stages.into_iter().find(|(_, begins)| *begins > until)
        } else {
            Some((then, until))
        };
        return Some(Assessment {
            stage: Stage::PaymentFailed,
            cause: Cause::Extended,
            since: Some(since),
            next,
            look_again_at: earliest([next.map(|(_, begins)| begins), Some(until), future]),
        });
    }
    let next = stages.into_iter().find(|(_, begins)| *begins > now);
    Some(Assessment {
        stage: at(&stages, now),
        cause,
        since: Some(since),
        next,
        look_again_at: earliest([next.map(|(_, begins)| begins), future]),
    })
}

fn at(stages: &[(Stage, DateTime<Utc>)], now: DateTime<Utc>) -> Stage {
    stages.iter().rev().find(|(_, begins)| *begins <= now).map_or(Stage::PaymentFailed, |(stage, _)| *stage)
}

fn earliest(times: impl IntoIterator<Item = Option<DateTime<Utc>>>) -> Option<DateTime<Utc>> {
    times.into_iter().flatten().min()
}

/// What is wrong, and since when; of several things that which has been so for longest.
fn fault(evidence: &Evidence, now: DateTime<Utc>) -> Option<(Cause, DateTime<Utc>)> {
    let subscription = evidence.subscription.as_ref();
    // The first payment of a subscription that nobody has anything by yet: Stripe waits for it and then forgets it.
    let begun = subscription.is_none_or(|it| {
        !matches!(it.status, SubscriptionStatus::Incomplete | SubscriptionStatus::IncompleteExpired)
    });
    let billed = evidence.invoices.iter().filter(|_| begun).filter_map(|invoice| {
        let cause =
            if invoice.dispute_lost_at.is_some() { Cause::DisputeLost } else { Cause::InvoicePastDue };
        Some((cause, invoice.past_due_since(now)?))
    });
    let ended =
        evidence.subscription.as_ref().and_then(|it| entitlement_end(it, evidence.needs_subscription));
    // What is yet to come is none: Stripe's clock may be ahead of ours, and a test clock is told late how far it has come.
    billed.chain(ended).filter(|(_, since)| *since <= now).min_by_key(|(_, since)| *since)
}

/// When a subscription stops to be a reason to have servers.
fn entitlement_end(it: &Subscription, needed: bool) -> Option<(Cause, DateTime<Utc>)> {
    match it.status {
        // Stripe makes drafts by now, which nobody is asked to pay: the period that was not paid for tells.
        SubscriptionStatus::Unpaid => Some((Cause::InvoicePastDue, it.period_start?)),
        SubscriptionStatus::Canceled if needed => {
            Some((Cause::SubscriptionEnded, it.ends_at.or(it.period_end)?))
        }
        SubscriptionStatus::Paused if needed => {
            Some((Cause::SubscriptionPaused, it.trial_end.or(it.period_start)?))
        }
        SubscriptionStatus::Active | SubscriptionStatus::Trialing | SubscriptionStatus::PastDue
            if needed && it.collection_paused =>
        {
            Some((Cause::SubscriptionPaused, it.period_end?))
        }
        SubscriptionStatus::Active | SubscriptionStatus::Trialing if needed => {
            it.ends_at.map(|end| (Cause::SubscriptionEnded, end))
        }
        _ => None,
    }
}

/// What is known to come.
fn future_of(evidence: &Evidence, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let subscription = evidence.subscription.as_ref();
    let ends = subscription.and_then(|it| entitlement_end(it, true)).map(|(_, end)| end);
    let renews = subscription.and_then(|it| it.period_end);
    let due = evidence.invoices.iter().flat_map(|invoice| [invoice.due_at, invoice.finalized_at]);
    earliest(due.chain([ends, renews]).filter(|time| time.is_some_and(|time| time > now)))
}

/// For how long people are shown that all is well again.
const RESTORED_FOR: TimeDelta = TimeDelta::hours(24);

/// The stage to be in, given the one that we are in since `entered`: being suspended and paying leads to
/// [`Stage::Restored`] for a day.
pub fn settle(current: Stage, entered: DateTime<Utc>, assessed: Stage, now: DateTime<Utc>) -> Stage {
    match (current, assessed) {
        (Stage::Suspended, Stage::GoodStanding) => Stage::Restored,
        (Stage::Restored, Stage::GoodStanding) if now < entered + RESTORED_FOR => Stage::Restored,
        (_, assessed) => assessed,
    }
}

/// The stages that are entered on the way, in their order: none is left out on the way up, so that each is recorded.
pub fn steps(from: Stage, to: Stage) -> Vec<Stage> {
    const UP: [Stage; 3] = [Stage::PaymentFailed, Stage::FinalWarning, Stage::Suspended];
    let rank = |stage| UP.iter().position(|it| *it == stage);
    if from == to {
        return Vec::new();
    }
    match (rank(from), rank(to)) {
        (None, Some(to)) => UP.iter().take(to + 1).copied().collect(),
        (Some(from), Some(to)) if from < to => UP.iter().take(to + 1).skip(from + 1).copied().collect(),
        // From being stopped to a milder stage servers are given back first.
        (Some(_), Some(_)) if from == Stage::Suspended => vec![Stage::Restored, to],
        _ => vec![to],
    }
}
