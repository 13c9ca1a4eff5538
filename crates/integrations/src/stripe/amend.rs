//! Changing what a subscription is for. What costs more is made only once it is paid, so that a card that is declined leaves
//! everything as it was (<https://docs.stripe.com/billing/subscriptions/pending-updates>).

use chrono::{DateTime, Utc};
use domain::billing::{AmendedLine, Amendment};
use serde_json::Value;

use super::{
    Form, Stripe, StripeError,
    read::{failure_of, intent_of, invoice, subscription},
};

/// What became of a change that was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Amended {
    /// It is made.
    Made,
    /// The bank wants the customer to confirm the payment; it is made once that is done.
    Waits {
        /// Where it is confirmed.
        url: String,
        /// When it is forgotten.
        until: Option<DateTime<Utc>>,
    },
    /// The bank said no, and nothing is changed.
    Declined(String),
}

/// How a change is paid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settlement {
    /// It is made once it is paid.
    PaidFirst,
    /// It is made in any case: it costs less than what there was.
    InAnyCase,
}

/// Makes a change, if it is not made already. `key` is the row's that asks.
pub async fn amend(
    stripe: &Stripe,
    amendment: &Amendment,
    settlement: Settlement,
    key: &str,
) -> Result<Amended, StripeError> {
    let path = format!("subscriptions/{}", amendment.subscription);
    let now = stripe.get(&path, &[]).await?;
    let items = facts(&now)?.items;
    if amendment.is_made(&items) {
        return Ok(Amended::Made);
    }
    // Asked for before, and its answer was lost.
    if now["pending_update"].is_object() && settlement == Settlement::PaidFirst {
        return waiting(stripe, &now).await;
    }
    let mut form: Form = vec![("proration_behavior".into(), "always_invoice".into())];
    let behaviour = match settlement {
        Settlement::PaidFirst => "pending_if_incomplete",
        Settlement::InAnyCase => "allow_incomplete",
    };
    form.push(("payment_behavior".into(), behaviour.into()));
    for (n, line) in amendment.lines(&items).into_iter().enumerate() {
        let mut field = |name: &str, value: String| {
            form.push((format!("items[{n}][{name}]"), value));
        };
        match line {
            AmendedLine::Set(item, quantity) => {
                field("id", item);
                field("quantity", quantity.to_string());
            }
            AmendedLine::Remove(item) => {
                field("id", item);
                field("deleted", "true".to_owned());
            }
            AmendedLine::Add(price, quantity) => {
                field("price", price);
                field("quantity", quantity.to_string());
            }
        }
    }
    // Something else is to be said if the items have become others meanwhile, and then it is another call.
    let asked = format!("{form:?}");
    let key = format!("{key}-{}", hex::encode(ring::digest::digest(&ring::digest::SHA256, asked.as_bytes())));
    let answer = match stripe.post(&path, &form, &key).await {
        Ok(answer) => answer,
        Err(StripeError::Declined { message, .. }) => return Ok(Amended::Declined(message)),
        Err(error) => return Err(error),
    };
    if answer["pending_update"].is_object() { waiting(stripe, &answer).await } else { Ok(Amended::Made) }
}

/// A change that is not paid: its bank asks the customer, or said no. Then it is given up, and nothing is left of it.
async fn waiting(stripe: &Stripe, answer: &Value) -> Result<Amended, StripeError> {
    let Some(id) = facts(answer)?.pending_invoice else {
        return Err(StripeError::Away("a change waits for an invoice that is not named".to_owned()));
    };
    let intent = intent_of(stripe, &id).await?.unwrap_or_default();
    if intent["status"] == "requires_action" || intent["status"] == "processing" {
        let whole = stripe.get(&format!("invoices/{id}"), &[]).await?;
        let url = invoice(&whole).and_then(|it| it.hosted_invoice_url);
        let url = url.ok_or_else(|| StripeError::Away("the invoice has no page".to_owned()))?;
        let until = answer["pending_update"]["expires_at"].as_i64();
        return Ok(Amended::Waits { url, until: until.and_then(|at| DateTime::from_timestamp(at, 0)) });
    }
    give_up(stripe, &id).await?;
    Ok(Amended::Declined(failure_of(&intent).unwrap_or_else(|| "Your bank declined the payment.".to_owned())))
}

/// Gives up a change that waits for this invoice.
pub async fn give_up(stripe: &Stripe, invoice: &str) -> Result<(), StripeError> {
    match stripe.post(&format!("invoices/{invoice}/void"), &Form::new(), &format!("zlh-void-{invoice}")).await
    {
        // It is void, or was paid in this moment: whoever looks next sees which.
        Ok(_) | Err(StripeError::Refused { status: 400, .. } | StripeError::NotFound(_)) => Ok(()),
        Err(error) => Err(error),
    }
}

fn facts(answer: &Value) -> Result<domain::billing::SubscriptionFacts, StripeError> {
    subscription(answer, None).ok_or_else(|| StripeError::Away("the answer is no subscription".to_owned()))
}

/// A subscription as it is now.
pub async fn fetch_subscription(
    stripe: &Stripe,
    id: &str,
) -> Result<domain::billing::SubscriptionFacts, StripeError> {
    facts(&stripe.get(&format!("subscriptions/{id}"), &[]).await?)
}
