//! Changes of plans: begun by a customer, and brought to their end by whoever of our processes looks next. Each step is a row first,
//! so that one that dies leaves nothing paid for nothing.

use std::sync::Arc;

use domain::{
    account::Customer,
    billing::{Amendment, CheckoutState, PlanChangeNext, PlanChangeState},
    clock::Clock,
    ids::{OperationId, PlanChangeId},
    instance::Instance,
    operation::Failure,
    plan::Plan,
};
use integrations::stripe::{Amended, Settlement, StripeError, amend};
use store::{
    Db, StoreError,
    audit::By,
    billing::plan_changes::{self as rows, ChangeError, NewPlanChange, PlanChange, Size},
    queue::Notifier,
};

use crate::{
    billing::{ASKING, Billing, price_of},
    catalogue::Catalogue,
    problem::{Code, Problem},
};

/// Changes that one look brings on.
const AT_ONCE: i64 = 100;
/// Longest pause between two attempts to bring a subscription to what it is to be, in seconds.
const LONGEST_PAUSE: i32 = 600;
/// Attempts after which somebody should look.
const ALARM_AFTER: i32 = 5;

/// Brings changes to their end.
#[derive(Clone)]
pub struct PlanChanges {
    /// Postgres.
    pub db: Db,
    /// What is asked of Stripe.
    pub billing: Arc<Billing>,
    /// Tells workers of operations.
    pub notifier: Notifier<OperationId>,
    /// The time of day.
    pub clock: Arc<dyn Clock>,
}

/// A change that a customer asks for.
pub struct WantedPlan<'a> {
    /// Who asks.
    pub customer: &'a Customer,
    /// Which server.
    pub instance: &'a Instance,
    /// What it is to have.
    pub plan: &'a Plan,
    /// For the audit log.
    pub by: By<'a>,
}

/// How a change is paid.
struct Payment {
    amendment: Amendment,
    currency: String,
    first: bool,
}

impl PlanChanges {
    /// Begins a change, or goes on with the one that is under way: paid, if something is to be paid first, and then begun.
    pub async fn request(
        &self,
        catalogue: &Catalogue,
        wanted: &WantedPlan<'_>,
    ) -> Result<PlanChange, Problem> {
        let payment = self.payment(catalogue, wanted).await?;
        let first = payment.as_ref().filter(|it| it.first);
        let new = NewPlanChange {
            customer: wanted.customer.id,
            instance: wanted.instance.id,
            to: Size { plan: wanted.plan.id.clone(), resources: wanted.plan.resources },
            amendment: payment.as_ref().map(|it| &it.amendment),
            paid_first: first.map(|it| (it.currency.as_str(), self.clock.now() + ASKING)),
            by: wanted.by,
        };
        let id = match rows::begin(&self.db, &new).await {
            Ok((id, checkout)) => {
                if let Some(checkout) = checkout {
                    self.pay(id, checkout, wanted.by).await?;
                }
                id
            }
            Err(ChangeError::UnderWay(earlier)) if earlier.to.plan == wanted.plan.id => {
                // Whether it was paid may never have been heard.
                let open = store::billing::unended(&self.db, wanted.customer.id).await?;
                if let (Some(CheckoutState::Open), Some(checkout)) = (earlier.payment, open) {
                    self.pay(earlier.id, checkout, wanted.by).await?;
                }
                earlier.id
            }
            Err(error) => return Err(error.into()),
        };
        let change = rows::get(&self.db, id).await?.ok_or_else(Problem::not_found)?;
        self.bring_on(&change).await?;
        rows::get(&self.db, id).await?.ok_or_else(Problem::not_found)
    }

    async fn pay(
        &self,
        id: PlanChangeId,
        checkout: store::billing::Checkout,
        by: By<'_>,
    ) -> Result<(), Problem> {
        match self.billing.amend(&self.db, self.billing.stripe()?, checkout, by).await {
            Ok(_) => Ok(()),
            Err(problem) => {
                // Declined: it is over, and its room is free again. Not known: it is found out later.
                if let Some(change) = rows::get(&self.db, id).await? {
                    self.bring_on(&change).await?;
                }
                Err(problem)
            }
        }
    }

    /// What the subscription has to become, if what is had is not enough for the plan.
    async fn payment(
        &self,
        catalogue: &Catalogue,
        wanted: &WantedPlan<'_>,
    ) -> Result<Option<Payment>, Problem> {
        let WantedPlan { customer, instance, plan, .. } = wanted;
        if !rows::must_be_bought(&self.db, customer.id, instance.id, &plan.id).await? {
            return Ok(None);
        }
        let subscription = self.billing.subscription_of_record(&self.db, customer.id).await?;
        let currency = subscription.currency.clone();
        let (from, to) =
            (price_of(catalogue, &instance.plan, &currency)?, price_of(catalogue, &plan.id, &currency)?);
        let amendment = Amendment::of(&subscription, &[(from, -1), (to, 1)]).ok_or_else(|| {
            let detail = "Nothing was changed: this server is not part of your subscription. Ask us, and we look at it together.";
            Problem::new(Code::SubscriptionRequired, detail)
        })?;
        let before = catalogue.plan(&instance.plan).map_or(0, |it| it.price_minor);
        Ok(Some(Payment { amendment, currency, first: plan.price_minor > before }))
    }

    /// Brings on whatever does not wait for anybody else.
    pub async fn bring_all_on(&self) -> Result<(), StoreError> {
        for change in rows::due(&self.db, AT_ONCE).await? {
            self.bring_on(&change).await?;
        }
        Ok(())
    }

    async fn bring_on(&self, change: &PlanChange) -> Result<(), StoreError> {
        let (id, instance) = (change.id, change.instance);
        match change.next() {
            PlanChangeNext::Nothing => Ok(()),
            PlanChangeNext::Begin => {
                if let Some(dispatch) = rows::start(&self.db, change, self.clock.now()).await? {
                    self.notifier.notify(dispatch);
                }
                Ok(())
            }
            PlanChangeNext::GiveUp => {
                let failure = Failure::new(
                    "not_paid",
                    "The change was not paid for, so nothing was changed and nothing is billed.",
                );
                if rows::give_up(&self.db, change, &failure, false).await? {
                    tracing::info!(%instance, plan_change = %id, "the change of {instance} to plan {} was not paid for and is given up", change.to.plan);
                }
                Ok(())
            }
            PlanChangeNext::Revert if change.state != PlanChangeState::Reverting => {
                let failure = Failure::new(
                    "instance_gone",
                    "The server was removed before it could be changed. What you paid for the change comes back to you.",
                );
                rows::give_up(&self.db, change, &failure, true).await.map(drop)
            }
            PlanChangeNext::Revert => self.follow(change, true).await,
            PlanChangeNext::Settle => self.follow(change, false).await,
        }
    }

    /// Has the subscription follow what became of the server.
    async fn follow(&self, change: &PlanChange, back: bool) -> Result<(), StoreError> {
        let (id, instance) = (change.id, change.instance);
        let Some(amendment) = &change.amendment else { return rows::settled(&self.db, id).await };
        let target = if back { amendment.reversed() } else { amendment.clone() };
        let key = format!("zlh-plan-change-{id}-{}", if back { "back" } else { "settle" });
        let outcome = match self.billing.stripe() {
            Ok(stripe) => amend(stripe, &target, Settlement::InAnyCase, &key).await,
            Err(_) => Err(StripeError::Away("no stripe.secret_key is set".to_owned())),
        };
        match outcome {
            // Nothing is billed by a subscription that is gone.
            Ok(Amended::Made | Amended::Waits { .. }) | Err(StripeError::NotFound(_)) => {
                rows::settled(&self.db, id).await?;
                let way = if back { "what it was before" } else { "what the server has now" };
                tracing::info!(%instance, plan_change = %id, "the subscription is {way}: the change of {instance} to plan {} has ended", change.to.plan);
                if let Err(problem) =
                    self.billing.look_at(&self.db, change.customer, By::itself("zpack-api")).await
                {
                    tracing::warn!(
                        ?problem,
                        "the customer's look could not be asked for; the event of Stripe leads to it"
                    );
                }
                Ok(())
            }
            Ok(Amended::Declined(why)) => self.later(change, &why).await,
            Err(error) => self.later(change, &error.to_string()).await,
        }
    }

    async fn later(&self, change: &PlanChange, why: &str) -> Result<(), StoreError> {
        let pause = 2_i32.saturating_pow(change.attempts.clamp(1, 16).unsigned_abs()).min(LONGEST_PAUSE);
        let (id, customer, attempts) = (change.id, change.customer, change.attempts + 1);
        if attempts >= ALARM_AFTER {
            tracing::error!(plan_change = %id, %customer, attempts, "the subscription of customer {customer} could not follow a change of plan {attempts} times: {why}; until then they pay for another plan than they have");
        } else {
            tracing::warn!(plan_change = %id, %customer, attempts, "the subscription of customer {customer} could not follow a change of plan: {why}; it is tried again in {pause} s");
        }
        rows::retry_later(&self.db, change.id, pause).await
    }
}

/// Whether a server could have a plan, whatever that costs.
pub fn check(
    catalogue: &Catalogue,
    instance: &Instance,
    plan: &str,
    min_memory_mib: Option<u32>,
) -> Result<Plan, Problem> {
    let refused = |code, why: String| {
        Err(Problem::new(code, format!("Nothing was changed: {why}.")).field("plan", why))
    };
    let Some(wanted) = catalogue.plan(plan) else {
        return refused(Code::UnknownPlan, format!("there is no plan {plan:?}"));
    };
    if wanted.kind != instance.kind {
        return refused(Code::PlanKindMismatch, format!("{} is for another kind of server", wanted.name));
    }
    if wanted.id == instance.plan && wanted.resources == instance.resources {
        return refused(Code::SamePlan, format!("the server has {} already", wanted.name));
    }
    if let Some(least) = min_memory_mib.filter(|least| wanted.resources.memory_mib < *least) {
        return refused(Code::MemoryBelowMinimum, format!("the game needs at least {least} MiB of memory"));
    }
    let disk = u64::from(wanted.resources.disk_mib) << 20;
    if let Some(load) = instance.load.filter(|load| load.disk_bytes > disk) {
        let used = load.disk_bytes.div_ceil(1 << 20);
        let why = format!(
            "its files take {used} MiB and {} has {} MiB of disk; delete what you do not need, or choose another plan",
            wanted.name, wanted.resources.disk_mib
        );
        return refused(Code::DoesNotFit, why);
    }
    Ok(wanted.clone())
}

impl From<ChangeError> for Problem {
    fn from(error: ChangeError) -> Self {
        match error {
            ChangeError::Absent => Self::not_found(),
            ChangeError::NotActive(lifecycle) => {
                Self::new(Code::InstanceNotActive, format!("Nothing was changed: the server is {lifecycle}."))
            }
            ChangeError::UnderWay(change) => {
                let detail = format!(
                    "Nothing was changed: the server is being changed to the plan {}. Try again when that has ended.",
                    change.to.plan
                );
                Self::new(Code::PlanChangeUnderWay, detail)
            }
            ChangeError::Payment(error) => error.into(),
            ChangeError::NoCapacity => {
                let detail = "Nothing was changed and nothing was billed: the server's node has no room for this plan at present. Try a \
                              smaller one, or ask us to move the server.";
                Self::new(Code::NoCapacity, detail)
            }
            ChangeError::Store(error) => error.into(),
        }
    }
}
