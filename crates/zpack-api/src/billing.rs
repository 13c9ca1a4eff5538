//! Selling: what is asked of Stripe on behalf of a customer. What became of it comes back by events, which billing-worker processes.

use std::{collections::BTreeMap, sync::Arc};

use anyhow::Context as _;
use chrono::{DateTime, Utc};
use domain::{
    account::Customer,
    billing::{Amendment, CheckoutState, PlanQuantity, SubscriptionFacts},
    enforcement::Gate,
    ids::{BillingTaskId, CustomerId},
};
use integrations::stripe::{
    Amended, Form, Session, Settlement, Stripe, StripeError, amend, fetch_subscription,
    give_up as void_change,
};
use store::{
    Db,
    audit::By,
    billing::{self as rows, Checkout, Linked, NewCheckout, OpenError, Room},
    queue::{Dispatch, Notifier},
};

use crate::{
    catalogue::Catalogue,
    config::{ApiConfig, PublicUrl},
    problem::{Code, Problem},
};

/// Servers that one purchase is for at most.
pub const MAX_SERVERS: i32 = 100;

/// What selling takes.
pub struct Billing {
    /// `None` where nothing can be bought.
    stripe: Option<Stripe>,
    notifier: Notifier<BillingTaskId>,
    public_url: PublicUrl,
    currency: String,
    life: chrono::TimeDelta,
}

/// A purchase that was asked for.
pub struct Wanted<'a> {
    /// Who buys.
    pub customer: &'a Customer,
    /// What.
    pub items: BTreeMap<String, i32>,
    /// In which currency; that of the configuration if `None`.
    pub currency: Option<String>,
    /// For the audit log.
    pub by: By<'a>,
}

impl Billing {
    /// With the configured key, if there is one.
    pub fn new(config: &ApiConfig, notifier: Notifier<BillingTaskId>) -> anyhow::Result<Self> {
        let section = &config.stripe;
        let stripe = section.is_on().then(|| Stripe::new(&section.url, &section.secret_key)).transpose();
        Ok(Self {
            stripe: stripe.context("[stripe]")?,
            notifier,
            public_url: config.api.public_url.parse().map_err(anyhow::Error::msg)?,
            currency: config.billing.currency.clone(),
            life: chrono::TimeDelta::minutes(config.billing.checkout_minutes.into()),
        })
    }

    /// Whether anything can be bought.
    pub fn sells(&self) -> bool {
        self.stripe.is_some()
    }

    /// Whether it is about real money; `None` where nothing can be bought.
    pub fn is_live(&self) -> Option<bool> {
        self.stripe.as_ref().map(Stripe::is_live)
    }

    /// Tells billing-worker of a task that was committed.
    pub fn notify(&self, dispatch: Dispatch<BillingTaskId>) {
        self.notifier.notify(dispatch);
    }

    /// Has a customer looked at, so that what an operator said takes effect.
    pub async fn look_at(&self, db: &Db, customer: CustomerId, by: By<'_>) -> Result<(), Problem> {
        match rows::request(db, customer, "sync", by).await {
            Ok(Some(dispatch)) => self.notify(dispatch),
            Ok(None) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    /// Stripe, where anything is sold.
    pub fn stripe(&self) -> Result<&Stripe, Problem> {
        self.stripe.as_ref().ok_or_else(|| {
            let detail = "Nothing can be bought at this installation. Ask its operator for servers.";
            Problem::new(Code::PlanNotSold, detail)
        })
    }

    /// Begins a purchase, or goes on with the one that is under way: the address at which it is paid is in it.
    pub async fn check_out(
        &self,
        db: &Db,
        catalogue: &Arc<Catalogue>,
        wanted: &Wanted<'_>,
        now: DateTime<Utc>,
    ) -> Result<Checkout, Problem> {
        let stripe = self.stripe()?;
        let currency = wanted.currency.clone().unwrap_or_else(|| self.currency.clone());
        let (items, room) = priced(catalogue, wanted, &currency)?;
        // Once more after one that is given up for another.
        for _ in 0..2 {
            let new = NewCheckout {
                customer: wanted.customer.id,
                items: &items,
                room: &room,
                amendment: None,
                currency: &currency,
                expires_at: now + self.life,
                by: wanted.by,
            };
            let checkout = match rows::open_checkout(db, &new).await {
                Ok(checkout) => checkout,
                Err(OpenError::UnderWay(earlier)) => *earlier,
                Err(OpenError::Subscribed) => return self.extend(db, stripe, catalogue, wanted, now).await,
                Err(error) => return Err(error.into()),
            };
            if checkout.state == CheckoutState::Pending {
                let detail = "Your bank is at work on your last purchase, which can take some days. Nothing was bought twice.";
                return Err(Problem::new(Code::CheckoutPending, detail));
            }
            let same =
                checkout.amendment.is_none() && checkout.items == items && checkout.currency == currency;
            if same && checkout.url.is_some() && checkout.expires_at > now {
                return Ok(checkout);
            }
            if same && checkout.stripe_id.is_none() {
                return self.name(db, stripe, catalogue, wanted.customer, checkout).await;
            }
            give_up(db, stripe, &checkout).await?;
        }
        Err(in_this_moment())
    }

    /// Makes the session at Stripe. Asked again with the same row, Stripe answers with the same session.
    async fn name(
        &self,
        db: &Db,
        stripe: &Stripe,
        catalogue: &Catalogue,
        customer: &Customer,
        checkout: Checkout,
    ) -> Result<Checkout, Problem> {
        let stripe_customer = self.customer(db, stripe, customer).await?;
        let origin = self.public_url.origin();
        let mut form: Form = [
            ("mode", "subscription".to_owned()),
            ("customer", stripe_customer),
            ("client_reference_id", checkout.id.to_string()),
            ("success_url", format!("{origin}/billing?checkout={{CHECKOUT_SESSION_ID}}")),
            ("cancel_url", format!("{origin}/billing?checkout=cancelled")),
            ("expires_at", checkout.expires_at.timestamp().to_string()),
            ("metadata[zlh_checkout]", checkout.id.to_string()),
            ("metadata[zlh_customer]", customer.id.to_string()),
            ("subscription_data[metadata][zlh_customer]", customer.id.to_string()),
        ]
        .map(|(key, value)| (key.to_owned(), value))
        .into();
        for (n, item) in checkout.items.iter().enumerate() {
            let price =
                catalogue.plan(&item.plan).and_then(|plan| plan.stripe_prices.get(&checkout.currency));
            form.push((format!("line_items[{n}][price]"), price.cloned().unwrap_or_default()));
            form.push((format!("line_items[{n}][quantity]"), item.quantity.to_string()));
        }
        let answer = stripe.post("checkout/sessions", &form, &format!("zlh-checkout-{}", checkout.id)).await;
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) if error.may_pass() => return Err(unavailable(&error)),
            Err(error) => {
                // It can never be paid: the room is free again, and the next attempt is a new purchase.
                rows::end_checkout(db, checkout.id, CheckoutState::Failed).await?;
                return Err(refused(&error));
            }
        };
        let session = Session::read(&answer);
        let Some((id, url)) = session.and_then(|it| Some((it.id, it.url?))) else {
            return Err(unavailable(&StripeError::Away("the answer is no checkout session".to_owned())));
        };
        rows::name_checkout(db, checkout.id, &id, &url).await?;
        Ok(Checkout { stripe_id: Some(id), url: Some(url), ..checkout })
    }

    /// Takes more servers into the subscription that there is, paid at once for the rest of its period.
    async fn extend(
        &self,
        db: &Db,
        stripe: &Stripe,
        catalogue: &Catalogue,
        wanted: &Wanted<'_>,
        now: DateTime<Utc>,
    ) -> Result<Checkout, Problem> {
        let stage = wanted.customer.stage;
        if !stage.allows(Gate::Upgrades) {
            return Err(Problem::payment_open(stage, Gate::Upgrades));
        }
        for _ in 0..2 {
            let subscription = self.subscription_of_record(db, wanted.customer.id).await?;
            let (items, room) = priced(catalogue, wanted, &subscription.currency)?;
            let mut more = Vec::new();
            for item in &items {
                more.push((price_of(catalogue, &item.plan, &subscription.currency)?, item.quantity));
            }
            let amendment = Amendment::of(&subscription, &more);
            let amendment =
                amendment.ok_or_else(|| Problem::internal(&StripeError::NotFound(subscription.rules.id)))?;
            let new = NewCheckout {
                customer: wanted.customer.id,
                items: &items,
                room: &room,
                amendment: Some(&amendment),
                currency: &subscription.currency,
                expires_at: now + ASKING,
                by: wanted.by,
            };
            match rows::open_checkout(db, &new).await {
                Ok(checkout) => return self.amend(db, stripe, checkout, wanted.by).await,
                Err(OpenError::UnderWay(earlier))
                    if earlier.items == items && earlier.amendment.is_some() =>
                {
                    return self.amend(db, stripe, *earlier, wanted.by).await;
                }
                Err(OpenError::UnderWay(earlier)) => give_up(db, stripe, &earlier).await?,
                Err(error) => return Err(error.into()),
            }
        }
        Err(in_this_moment())
    }

    /// The subscription of record as it is now at Stripe.
    pub async fn subscription_of_record(
        &self,
        db: &Db,
        customer: CustomerId,
    ) -> Result<SubscriptionFacts, Problem> {
        let stripe = self.stripe()?;
        let id = rows::of_record(db, customer).await?.ok_or_else(|| {
            let detail =
                "Nothing was changed: you have no subscription that it could be taken into. Buy one first.";
            Problem::new(Code::SubscriptionRequired, detail)
        })?;
        fetch_subscription(stripe, &id).await.map_err(|error| of_stripe(&error))
    }

    /// Has a subscription become what a purchase says. It is complete, or its bank asks the customer; or nothing was changed.
    pub async fn amend(
        &self,
        db: &Db,
        stripe: &Stripe,
        mut checkout: Checkout,
        by: By<'_>,
    ) -> Result<Checkout, Problem> {
        let Some(amendment) = &checkout.amendment else { return Ok(checkout) };
        let key = format!("zlh-checkout-{}", checkout.id);
        match amend(stripe, amendment, Settlement::PaidFirst, &key).await {
            Ok(Amended::Made) => {
                rows::end_checkout(db, checkout.id, CheckoutState::Completed).await?;
                checkout.state = CheckoutState::Completed;
                self.look_at(db, checkout.customer, by).await?;
            }
            Ok(Amended::Waits { url, until }) => {
                rows::await_confirmation(db, checkout.id, &url, until).await?;
                checkout.url = Some(url);
                checkout.expires_at = until.unwrap_or(checkout.expires_at);
            }
            Ok(Amended::Declined(why)) => {
                rows::end_checkout(db, checkout.id, CheckoutState::Failed).await?;
                tracing::info!(customer = %checkout.customer, checkout = %checkout.id, "purchase {} was declined: {why}", checkout.id);
                let detail = format!(
                    "Nothing was bought, and nothing was changed: {why} Take another card on the billing page, and try again."
                );
                return Err(Problem::new(Code::PaymentDeclined, detail));
            }
            // Whether it was done is not known: asking once more finds out, and billing-worker does by itself.
            Err(error) if error.may_pass() => return Err(unavailable(&error)),
            Err(error) => {
                rows::end_checkout(db, checkout.id, CheckoutState::Failed).await?;
                return Err(refused(&error));
            }
        }
        Ok(checkout)
    }

    /// The customer at Stripe, made if there is none.
    async fn customer(&self, db: &Db, stripe: &Stripe, customer: &Customer) -> Result<String, Problem> {
        if let Some(linked) = rows::linked(db, customer.id, stripe.is_live()).await? {
            return Ok(linked.stripe_id);
        }
        let before = rows::former_links(db, customer.id).await?;
        let form: Form = [
            ("email", customer.email.clone()),
            ("name", customer.display_name.clone()),
            ("metadata[zlh_customer]", customer.id.to_string()),
        ]
        .map(|(key, value)| (key.to_owned(), value))
        .into();
        // One for each that was deleted there.
        let key = format!("zlh-customer-{}-{before}", customer.id);
        let made = stripe.post("customers", &form, &key).await.map_err(|error| of_stripe(&error))?;
        let Some(id) = made["id"].as_str() else {
            return Err(unavailable(&StripeError::Away("the answer is no customer".to_owned())));
        };
        let linked = Linked { customer: customer.id, stripe_id: id.to_owned(), livemode: stripe.is_live() };
        if rows::link(db, &linked).await? {
            return Ok(linked.stripe_id);
        }
        // Somebody was faster.
        let other = rows::linked(db, customer.id, stripe.is_live()).await?.ok_or_else(Problem::not_found)?;
        Ok(other.stripe_id)
    }

    /// Opens Stripe's own page on which a customer changes cards, sees invoices and cancels.
    pub async fn portal(&self, db: &Db, customer: CustomerId) -> Result<String, Problem> {
        let stripe = self.stripe()?;
        let linked = rows::linked(db, customer, stripe.is_live()).await?.ok_or_else(|| {
            Problem::new(
                Code::NotSubscribed,
                "You have not bought anything yet, so there is nothing to manage.",
            )
        })?;
        let form: Form = [
            ("customer".to_owned(), linked.stripe_id),
            ("return_url".to_owned(), format!("{}/billing", self.public_url.origin())),
        ]
        .into();
        // Each opening is one of its own: what it is for ends in minutes.
        let key = format!("zlh-portal-{}", uuid::Uuid::now_v7());
        let session =
            stripe.post("billing_portal/sessions", &form, &key).await.map_err(|error| of_stripe(&error))?;
        let url = session["url"].as_str().map(str::to_owned);
        url.ok_or_else(|| unavailable(&StripeError::Away("the answer has no address".to_owned())))
    }
}

/// How long asking Stripe for a change can take, in all its attempts.
pub const ASKING: chrono::TimeDelta = chrono::TimeDelta::minutes(3);

fn in_this_moment() -> Problem {
    let detail = "Another purchase of yours was begun in this very moment. Nothing was bought; try again.";
    Problem::new(Code::PaymentsUnavailable, detail).retry_after(1)
}

/// The price of a plan at Stripe.
pub fn price_of(catalogue: &Catalogue, plan: &str, currency: &str) -> Result<String, Problem> {
    let price = catalogue.plan(plan).and_then(|plan| plan.stripe_prices.get(currency));
    price.cloned().ok_or_else(|| {
        let detail = format!("Nothing was changed: this plan is not sold in {}.", currency.to_uppercase());
        Problem::new(Code::PlanNotSold, detail)
    })
}

/// What is bought, by plan, and the room that it needs.
fn priced(
    catalogue: &Catalogue,
    wanted: &Wanted<'_>,
    currency: &str,
) -> Result<(Vec<PlanQuantity>, Vec<Room>), Problem> {
    let (mut items, mut room) = (Vec::new(), Vec::new());
    for (id, quantity) in &wanted.items {
        let plan = catalogue.plan(id).ok_or_else(|| {
            Problem::new(Code::UnknownPlan, "Nothing was bought.")
                .field("items", format!("there is no plan {id:?}"))
        })?;
        if !plan.stripe_prices.contains_key(currency) {
            let why = format!("{} is not sold in {}", plan.name, currency.to_uppercase());
            return Err(
                Problem::new(Code::PlanNotSold, format!("Nothing was bought: {why}.")).field("items", why)
            );
        }
        items.push(PlanQuantity { plan: id.clone(), quantity: *quantity });
        room.push(Room { plan: id.clone(), quantity: *quantity, resources: plan.resources });
    }
    Ok((items, room))
}

/// Ends a purchase that gives way to another one. One that was paid in the meantime stays.
async fn give_up(db: &Db, stripe: &Stripe, checkout: &Checkout) -> Result<(), Problem> {
    if let Some(amendment) = &checkout.amendment {
        let now =
            fetch_subscription(stripe, &amendment.subscription).await.map_err(|error| of_stripe(&error))?;
        if amendment.is_made(&now.items) {
            return Err(just_paid());
        }
        if let Some(invoice) = &now.pending_invoice {
            void_change(stripe, invoice).await.map_err(|error| of_stripe(&error))?;
        }
        rows::end_checkout(db, checkout.id, CheckoutState::Expired).await?;
        return Ok(());
    }
    let Some(session) = &checkout.stripe_id else {
        rows::end_checkout(db, checkout.id, CheckoutState::Expired).await?;
        return Ok(());
    };
    let expire = format!("checkout/sessions/{session}/expire");
    let key = format!("zlh-checkout-{}-expire", checkout.id);
    match stripe.post(&expire, &Form::new(), &key).await {
        Ok(_) | Err(StripeError::NotFound(_)) => {}
        Err(StripeError::Refused { .. }) => {
            // It is over already, in one way or the other.
            let now = stripe.get(&format!("checkout/sessions/{session}"), &[]).await;
            let now = now.map_err(|error| of_stripe(&error))?;
            if now["status"] == "complete" {
                return Err(just_paid());
            }
        }
        Err(error) => return Err(of_stripe(&error)),
    }
    rows::end_checkout(db, checkout.id, CheckoutState::Expired).await?;
    Ok(())
}

fn just_paid() -> Problem {
    let detail = "Your last purchase was just paid. Nothing was bought twice; look at it in a moment.";
    Problem::new(Code::CheckoutPending, detail)
}

fn of_stripe(error: &StripeError) -> Problem {
    if error.may_pass() { unavailable(error) } else { refused(error) }
}

fn unavailable(error: &StripeError) -> Problem {
    tracing::warn!(%error, "a customer could not pay: {error}; they were asked to try again");
    let detail = "Stripe, which takes our payments, does not answer. Nothing was bought; try again in a minute. Your servers are not \
                  affected.";
    Problem::new(Code::PaymentsUnavailable, detail).retry_after(30)
}

fn refused(error: &StripeError) -> Problem {
    if let StripeError::Declined { message, .. } = error {
        return Problem::new(Code::PaymentDeclined, format!("Nothing was changed: {message}"));
    }
    Problem::internal(error)
}

impl From<OpenError> for Problem {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Subscribed => {
                let detail = "Nothing was bought: you have a subscription. Add servers to it instead.";
                Self::new(Code::AlreadySubscribed, detail)
            }
            OpenError::NotSubscribed => {
                let detail = "Nothing was changed: you have no subscription that it could be taken into.";
                Self::new(Code::SubscriptionRequired, detail)
            }
            OpenError::PlanChanging => {
                let detail = "Nothing was bought: a change of plan is under way and your subscription follows it. Try again in a minute.";
                Self::new(Code::CheckoutPending, detail)
            }
            OpenError::NoCapacity => {
                let detail = "Nothing was bought: no node has room for that many servers at present.";
                Self::new(Code::NoCapacity, detail)
            }
            OpenError::UnderWay(_) => Self::new(Code::CheckoutPending, "A purchase is under way."),
            OpenError::Store(error) => error.into(),
        }
    }
}

impl From<rows::Refused> for Problem {
    fn from(error: rows::Refused) -> Self {
        match error {
            rows::Refused::Action(action) => {
                let detail = format!(
                    "Nothing was done: {action}. Stages follow from what is open at Stripe; a hold of your own stops a server."
                );
                Self::new(Code::BillingActionRefused, detail)
            }
            rows::Refused::Absent => Self::not_found(),
            rows::Refused::Store(error) => error.into(),
        }
    }
}
