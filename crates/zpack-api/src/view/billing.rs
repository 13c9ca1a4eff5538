//! What was bought, what is open, and what follows from it.

use chrono::{DateTime, TimeDelta, Utc};
use domain::{
    account::Customer,
    enforcement::{Cause, Gate, Stage, Timings},
    plan::timings,
};
use serde::Serialize;
use store::billing::{Checkout, Grant, HistoryEntry, InvoiceRow, Listed, Overview, SubscriptionRow};
use utoipa::ToSchema;
use uuid::Uuid;

use super::schema;
use crate::catalogue::Catalogue;

/// A customer's billing.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Billing)]
#[expect(clippy::struct_excessive_bools, reason = "each says something of its own")]
pub struct BillingView {
    /// How far enforcement has come.
    #[schema(schema_with = schema::stage)]
    pub stage: Stage,
    /// Why.
    #[schema(schema_with = schema::cause)]
    pub cause: Cause,
    /// Since when it is this stage.
    #[schema(required)]
    pub entered_at: Option<DateTime<Utc>>,
    /// Since when something is past due.
    #[schema(required)]
    pub since: Option<DateTime<Utc>>,
    /// What comes next if nothing changes.
    #[schema(required)]
    pub next: Option<NextStageView>,
    /// Each stage with its day, while something is past due.
    pub timeline: Vec<NextStageView>,
    /// What is blocked now.
    #[schema(schema_with = schema::gates)]
    pub blocked: Vec<Gate>,
    /// What is past due.
    #[schema(required)]
    pub owed: Option<OwedView>,
    /// What was bought.
    #[schema(required)]
    pub subscription: Option<SubscriptionView>,
    /// Subscriptions besides the one above that are paid for: a mistake, of which operators know. They change nothing.
    pub other_subscriptions: Vec<SubscriptionView>,
    /// What an operator lets the customer have.
    pub grants: Vec<GrantView>,
    /// Servers that are had, by plan.
    pub used: Vec<PlanCountView>,
    /// A purchase under way.
    #[schema(required)]
    pub checkout: Option<CheckoutView>,
    /// The newest invoices, newest first.
    pub invoices: Vec<InvoiceView>,
    /// Whether nothing is enforced.
    pub exempt: bool,
    /// Until then nothing is blocked.
    #[schema(required)]
    pub extended_until: Option<DateTime<Utc>>,
    /// Whether a dispute is open.
    pub disputed: bool,
    /// Whether anything can be bought here.
    pub sells: bool,
    /// Whether it is a trial without real money.
    pub test_mode: bool,
    /// The time that it is for the customer: another one than ours only on a test clock.
    pub now: DateTime<Utc>,
}

/// A stage and its day.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = StageAt)]
pub struct NextStageView {
    /// Which.
    #[schema(schema_with = schema::stage)]
    pub stage: Stage,
    /// When it began, or begins if nothing changes.
    pub at: DateTime<Utc>,
}

/// What is past due.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Owed)]
pub struct OwedView {
    /// In the currency's minor unit.
    pub amount_minor: i64,
    /// ISO 4217 code.
    pub currency: String,
    /// Where it is paid; null if it has to be paid by the subscription's page.
    #[schema(required)]
    pub pay_url: Option<String>,
    /// Why the last attempt failed, in the bank's words.
    #[schema(required)]
    pub failure: Option<String>,
    /// When it is tried again by itself.
    #[schema(required)]
    pub next_attempt_at: Option<DateTime<Utc>>,
}

/// A subscription.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Subscription)]
pub struct SubscriptionView {
    /// Its state at Stripe.
    pub status: String,
    /// What it is for.
    pub items: Vec<SubscriptionItemView>,
    /// Each month, in the currency's minor unit.
    pub month_minor: i64,
    /// ISO 4217 code.
    pub currency: String,
    /// Until when it is billed.
    #[schema(required)]
    pub period_end: Option<DateTime<Utc>>,
    /// When it ends or has ended.
    #[schema(required)]
    pub ends_at: Option<DateTime<Utc>>,
    /// Whether nothing is collected by it.
    pub collection_paused: bool,
    /// What it is paid with, in words.
    #[schema(required)]
    pub paid_with: Option<String>,
}

/// So many servers of a plan, by a subscription.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SubscriptionItem)]
pub struct SubscriptionItemView {
    /// Plan id; null for what is not sold any more.
    #[schema(required)]
    pub plan: Option<String>,
    /// How many.
    pub quantity: i32,
    /// Of one, each month, in the currency's minor unit.
    pub amount_minor: i64,
}

/// So many servers of a plan.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PlanCount)]
pub struct PlanCountView {
    /// Plan id.
    pub plan: String,
    /// How many.
    pub quantity: i32,
}

/// What an operator lets a customer have.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Grant)]
pub struct GrantView {
    /// Its id.
    pub id: Uuid,
    /// Plan id; null for servers of any plan.
    #[schema(required)]
    pub plan: Option<String>,
    /// How many.
    pub quantity: i32,
    /// Until when; null for ever.
    #[schema(required)]
    pub expires_at: Option<DateTime<Utc>>,
}

impl From<Grant> for GrantView {
    fn from(it: Grant) -> Self {
        Self { id: it.id.0, plan: it.plan, quantity: it.quantity, expires_at: it.expires_at }
    }
}

/// A purchase.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Checkout)]
pub struct CheckoutView {
    /// Its id.
    pub id: Uuid,
    /// How far it has come: `open` can be paid, of `pending` the bank has it.
    #[schema(schema_with = schema::checkout_state)]
    pub state: domain::billing::CheckoutState,
    /// Where it is paid.
    #[schema(required)]
    pub url: Option<String>,
    /// What is bought.
    pub items: Vec<PlanCountView>,
    /// Until when it can be paid.
    pub expires_at: DateTime<Utc>,
}

impl From<Checkout> for CheckoutView {
    fn from(it: Checkout) -> Self {
        let items =
            it.items.into_iter().map(|item| PlanCountView { plan: item.plan, quantity: item.quantity });
        Self { id: it.id.0, state: it.state, url: it.url, items: items.collect(), expires_at: it.expires_at }
    }
}

/// An invoice.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Invoice)]
pub struct InvoiceView {
    /// Its id.
    pub id: String,
    /// As people call it.
    #[schema(required)]
    pub number: Option<String>,
    /// Its state at Stripe: `open`, `paid`, `void`, `uncollectible`.
    pub status: String,
    /// Whether the bank is at it.
    pub processing: bool,
    /// All of it, in the currency's minor unit.
    pub total_minor: i64,
    /// Still to be paid.
    pub remaining_minor: i64,
    /// ISO 4217 code.
    pub currency: String,
    /// Where it is paid, while it is to be.
    #[schema(required)]
    pub pay_url: Option<String>,
    /// Where it is downloaded.
    #[schema(required)]
    pub pdf_url: Option<String>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
}

impl From<InvoiceRow> for InvoiceView {
    fn from(it: InvoiceRow) -> Self {
        let payable = it.remaining_minor > 0 && matches!(it.status.as_str(), "open" | "uncollectible");
        Self {
            pay_url: it.hosted_invoice_url.filter(|_| payable),
            id: it.id,
            number: it.number,
            status: it.status,
            processing: it.processing,
            total_minor: it.total_minor,
            remaining_minor: it.remaining_minor,
            currency: it.currency.to_uppercase(),
            pdf_url: it.pdf_url,
            created_at: it.created_at,
        }
    }
}

impl From<SubscriptionRow> for SubscriptionView {
    fn from(it: SubscriptionRow) -> Self {
        let month = |it: &SubscriptionRow| {
            it.items.iter().map(|item| item.amount_minor * i64::from(item.quantity)).sum()
        };
        Self {
            month_minor: month(&it),
            status: it.status,
            items: it
                .items
                .into_iter()
                .map(|item| SubscriptionItemView {
                    plan: item.plan,
                    quantity: item.quantity,
                    amount_minor: item.amount_minor,
                })
                .collect(),
            currency: it.currency.to_uppercase(),
            period_end: it.period_end,
            ends_at: it.ends_at,
            collection_paused: it.collection_paused,
            paid_with: it.paid_with,
        }
    }
}

impl BillingView {
    /// Of what there is, with the catalogue's days. `live` says whether it is about real money, if anything is sold.
    pub fn new(it: Overview, catalogue: &Catalogue, live: Option<bool>) -> Self {
        let stage = it.state.as_ref().map_or(Stage::GoodStanding, |state| state.stage);
        let ahead = it.state.as_ref().map_or_else(TimeDelta::zero, |state| state.ahead);
        let owed = owed(&it.invoices, stage);
        let since = it.state.as_ref().and_then(|state| state.since);
        let (mut of_record, mut others) = (None, Vec::new());
        for subscription in it.subscriptions {
            if subscription.of_record {
                of_record = Some(subscription.into());
            } else {
                others.push(subscription.into());
            }
        }
        Self {
            stage,
            cause: it.state.as_ref().map_or(Cause::NothingOpen, |state| state.cause),
            entered_at: it.state.as_ref().map(|state| state.entered_at),
            since,
            next: it
                .state
                .as_ref()
                .and_then(|state| state.next)
                .map(|(stage, at)| NextStageView { stage, at }),
            timeline: since
                .map_or_else(Vec::new, |since| timeline(since, timings(catalogue.plans(), &it.plans))),
            blocked: stage.blocked(),
            owed,
            subscription: of_record,
            other_subscriptions: others,
            grants: it.grants.into_iter().map(Into::into).collect(),
            used: counted(&it.plans),
            checkout: it.checkout.map(Into::into),
            invoices: it.invoices.into_iter().map(Into::into).collect(),
            exempt: it.state.as_ref().is_some_and(|state| state.exempt),
            extended_until: it.state.as_ref().and_then(|state| state.extended_until),
            disputed: it.state.as_ref().is_some_and(|state| state.disputed),
            sells: live.is_some(),
            test_mode: live == Some(false),
            now: it.now + ahead,
        }
    }
}

fn timeline(since: DateTime<Utc>, timings: Timings) -> Vec<NextStageView> {
    let at = |stage, days: u16| NextStageView { stage, at: since + TimeDelta::days(days.into()) };
    vec![
        at(Stage::PaymentFailed, 0),
        at(Stage::FinalWarning, timings.final_warning_days),
        at(Stage::Suspended, timings.suspend_days),
    ]
}

fn counted(plans: &[String]) -> Vec<PlanCountView> {
    let runs = plans.chunk_by(|a, b| a == b);
    let counted = runs.map(|run| PlanCountView {
        plan: run.first().cloned().unwrap_or_default(),
        quantity: i32::try_from(run.len()).unwrap_or(i32::MAX),
    });
    counted.collect()
}

/// Of one currency: the oldest debt's, where it is paid first.
fn owed(invoices: &[InvoiceRow], stage: Stage) -> Option<OwedView> {
    if matches!(stage, Stage::GoodStanding | Stage::Restored) {
        return None;
    }
    let open = |it: &&InvoiceRow| {
        it.remaining_minor > 0
            && !it.processing
            && it.attempted
            && matches!(it.status.as_str(), "open" | "uncollectible")
    };
    let oldest = invoices.iter().rev().find(open)?;
    let same = invoices.iter().filter(open).filter(|it| it.currency == oldest.currency);
    Some(OwedView {
        amount_minor: same.map(|it| it.remaining_minor).sum(),
        currency: oldest.currency.to_uppercase(),
        pay_url: oldest.hosted_invoice_url.clone(),
        failure: oldest.failure.clone(),
        next_attempt_at: oldest.next_attempt_at,
    })
}

/// A customer of whom there is something to see.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = OperatorEnforcement)]
pub struct OperatorBillingView {
    /// Who.
    pub customer_id: Uuid,
    /// Their address.
    pub email: String,
    /// How far enforcement has come.
    #[schema(schema_with = schema::stage)]
    pub stage: String,
    /// Why.
    #[schema(schema_with = schema::cause)]
    pub cause: String,
    /// Since when something is past due.
    #[schema(required)]
    pub since: Option<DateTime<Utc>>,
    /// What comes next, if nothing changes.
    #[schema(required)]
    pub next_stage: Option<String>,
    /// And when.
    #[schema(required)]
    pub next_at: Option<DateTime<Utc>>,
    /// What a person has to look at.
    #[schema(required)]
    pub trouble: Option<String>,
    /// Whether nothing is enforced.
    pub exempt: bool,
    /// Until then nothing is blocked.
    #[schema(required)]
    pub extended_until: Option<DateTime<Utc>>,
    /// Whether a dispute is open.
    pub disputed: bool,
}

impl From<Listed> for OperatorBillingView {
    fn from(it: Listed) -> Self {
        Self {
            customer_id: it.customer.0,
            email: it.email,
            stage: it.stage,
            cause: it.cause,
            since: it.since,
            next_stage: it.next_stage,
            next_at: it.next_at,
            trouble: it.trouble,
            exempt: it.exempt,
            extended_until: it.extended_until,
            disputed: it.disputed,
        }
    }
}

/// A customer's billing as operators see it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = OperatorEnforcementDetail)]
pub struct OperatorBillingDetailView {
    /// Who.
    pub customer_id: Uuid,
    /// Their address.
    pub email: String,
    /// What their billing page shows.
    pub billing: BillingView,
    /// What the rules looked at, as Stripe had it.
    #[schema(value_type = Object)]
    pub evidence: serde_json::Value,
    /// When Stripe was asked last.
    #[schema(required)]
    pub synced_at: Option<DateTime<Utc>>,
    /// What a person has to look at.
    #[schema(required)]
    pub trouble: Option<String>,
    /// What happened, newest first.
    pub history: Vec<EnforcementEventView>,
}

/// Something that happened.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = EnforcementEvent)]
pub struct EnforcementEventView {
    /// Its id.
    pub id: Uuid,
    /// When.
    pub at: DateTime<Utc>,
    /// What: `stage`, `extended`, `exempted`, `exemption_ended`, `granted`, `revoked`, `rejected`, `disputed`, `dispute_ended`.
    pub kind: String,
    /// The stage before.
    #[schema(required)]
    pub from_stage: Option<String>,
    /// The stage after.
    #[schema(required)]
    pub to_stage: Option<String>,
    /// Why: the rules' word, or an operator's reason.
    pub cause: String,
    /// What it followed from.
    #[schema(value_type = Object)]
    pub evidence: serde_json::Value,
    /// Who did it.
    pub actor: String,
}

impl From<HistoryEntry> for EnforcementEventView {
    fn from(it: HistoryEntry) -> Self {
        Self {
            id: it.id,
            at: it.at,
            kind: it.kind,
            from_stage: it.from,
            to_stage: it.to,
            cause: it.cause,
            evidence: it.evidence,
            actor: it.actor,
        }
    }
}

impl OperatorBillingDetailView {
    /// Of what there is.
    pub fn new(
        customer: Customer,
        overview: Overview,
        history: Vec<HistoryEntry>,
        catalogue: &Catalogue,
        live: Option<bool>,
    ) -> Self {
        let state = overview.state.as_ref();
        Self {
            customer_id: customer.id.0,
            email: customer.email,
            evidence: state.map_or_else(|| serde_json::json!({}), |state| state.evidence.clone()),
            synced_at: state.and_then(|state| state.synced_at),
            trouble: state.and_then(|state| state.trouble.clone()),
            history: history.into_iter().map(Into::into).collect(),
            billing: BillingView::new(overview, catalogue, live),
        }
    }
}
