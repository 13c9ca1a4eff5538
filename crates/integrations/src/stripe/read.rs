//! Reading what Stripe answers: only what is needed, and each field as optional as it can be.

use chrono::{DateTime, Utc};
use domain::{
    billing::{Fetched, InvoiceFacts, SubscriptionFacts, SubscriptionItem},
    enforcement::{Collection, Invoice, InvoiceStatus, Subscription, SubscriptionStatus},
};
use serde_json::Value;

use super::{Stripe, StripeError};

/// An event, of any version of the API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Its id.
    pub id: String,
    /// Such as `invoice.paid`.
    pub kind: String,
    /// Which version of the API wrote it.
    pub api_version: Option<String>,
    /// Whether it is about real money.
    pub livemode: bool,
    /// Whether it is another account's, which is connected to ours.
    pub of_another_account: bool,
    /// The customer, if it says whose it is.
    pub customer: Option<String>,
    /// What it is about.
    pub object_id: Option<String>,
    /// When it happened.
    pub created_at: DateTime<Utc>,
}

/// Reads an event; `None` if it has no id, without which it cannot be kept.
pub fn event(payload: &Value) -> Option<Event> {
    let id = payload["id"].as_str().filter(|id| (1..=255).contains(&id.len()))?;
    let object = &payload["data"]["object"];
    let object_id = object["id"].as_str().map(str::to_owned);
    let customer =
        if object["object"] == "customer" { object_id.clone() } else { id_of(&object["customer"]) };
    Some(Event {
        id: id.to_owned(),
        kind: payload["type"].as_str().unwrap_or("unknown").chars().take(200).collect(),
        api_version: payload["api_version"].as_str().map(|version| version.chars().take(100).collect()),
        livemode: payload["livemode"].as_bool().unwrap_or(false),
        of_another_account: payload["account"].is_string(),
        customer,
        object_id: object_id.filter(|id| id.len() <= 255),
        created_at: time(&payload["created"]).unwrap_or(DateTime::UNIX_EPOCH),
    })
}

/// The id of something that is given by its id or as a whole.
fn id_of(value: &Value) -> Option<String> {
    value.as_str().or_else(|| value["id"].as_str()).map(str::to_owned)
}

fn time(value: &Value) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp(value.as_i64()?, 0)
}

fn first<T>(times: impl IntoIterator<Item = Option<T>>) -> Option<T> {
    times.into_iter().flatten().next()
}

/// A checkout session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// Its id.
    pub id: String,
    /// Where it is paid, while it is open.
    pub url: Option<String>,
    /// How far it has come.
    pub settled: Settled,
}

/// How far a checkout session has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settled {
    /// Nobody has paid yet.
    Open,
    /// Completed, and the bank is at it.
    Pending,
    /// Paid, or nothing was to be paid.
    Paid,
    /// It cannot be paid any more.
    Expired,
}

impl Session {
    /// Reads one.
    pub fn read(it: &Value) -> Option<Self> {
        let settled = match (it["status"].as_str(), it["payment_status"].as_str()) {
            (Some("complete"), Some("unpaid")) => Settled::Pending,
            (Some("complete"), _) => Settled::Paid,
            (Some("expired"), _) => Settled::Expired,
            _ => Settled::Open,
        };
        Some(Self { id: it["id"].as_str()?.to_owned(), url: it["url"].as_str().map(str::to_owned), settled })
    }
}

/// Invoices that are fetched of a customer, besides open ones.
const NEWEST: &str = "24";

/// Everything of a customer that matters, as it is now.
pub async fn fetch_customer(stripe: &Stripe, id: &str) -> Result<Fetched, StripeError> {
    let customer = match stripe.get(&format!("customers/{id}"), &[("expand[]", "test_clock")]).await {
        Ok(customer) => customer,
        Err(StripeError::NotFound(_)) => Value::Bool(true),
        Err(error) => return Err(error),
    };
    // Who was deleted is answered as such, with 200; in test mode data can be cleared altogether.
    let deleted = customer["deleted"] == Value::Bool(true) || !customer.is_object();
    let (test_clock, test_time) = clock_of(stripe, &customer["test_clock"]).await?;
    let mut fetched =
        Fetched { stripe_id: id.to_owned(), deleted, test_time, test_clock, ..Fetched::default() };
    let of_customer = ("customer", id);
    let wanted = [of_customer, ("status", "all"), ("expand[]", "data.default_payment_method")];
    let subscriptions = or_none(stripe.list("subscriptions", &wanted).await)?;
    let default_card = &customer["invoice_settings"]["default_payment_method"];
    let default_card = or_none(card_of(stripe, default_card).await.map(|card| card.into_iter().collect()))?;
    for it in &subscriptions {
        fetched.subscriptions.extend(subscription(it, default_card.first().map(String::as_str)));
    }
    let mut invoices = or_none(stripe.list("invoices", &[of_customer, ("status", "open")]).await)?;
    let newest = stripe.get("invoices", &[of_customer, ("limit", NEWEST)]).await;
    let newest = or_none(newest.map(|page| page["data"].as_array().cloned().unwrap_or_default()))?;
    invoices.extend(or_none(stripe.list("invoices", &[of_customer, ("status", "uncollectible")]).await)?);
    invoices.extend(newest);
    let mut seen = std::collections::BTreeSet::new();
    for it in &invoices {
        let Some(mut facts) = invoice(it).filter(|facts| seen.insert(facts.rules.id.clone())) else {
            continue;
        };
        if facts.rules.status == InvoiceStatus::Open {
            look_at_payment(stripe, &mut facts).await?;
        }
        fetched.invoices.push(facts);
    }
    Ok(fetched)
}

/// Of a customer who is gone there is nothing.
fn or_none<T>(found: Result<Vec<T>, StripeError>) -> Result<Vec<T>, StripeError> {
    match found {
        Err(StripeError::NotFound(_)) => Ok(Vec::new()),
        found => found,
    }
}

async fn clock_of(
    stripe: &Stripe,
    clock: &Value,
) -> Result<(Option<String>, Option<DateTime<Utc>>), StripeError> {
    let Some(id) = id_of(clock) else { return Ok((None, None)) };
    let frozen = match time(&clock["frozen_time"]) {
        Some(frozen) => Some(frozen),
        None => time(&stripe.get(&format!("test_helpers/test_clocks/{id}"), &[]).await?["frozen_time"]),
    };
    Ok((Some(id), frozen))
}

async fn card_of(stripe: &Stripe, method: &Value) -> Result<Option<String>, StripeError> {
    if method.is_object() {
        return Ok(in_words(method));
    }
    let Some(id) = id_of(method) else { return Ok(None) };
    Ok(in_words(&stripe.get(&format!("payment_methods/{id}"), &[]).await?))
}

/// "Visa ending in 4242".
fn in_words(method: &Value) -> Option<String> {
    let kind = method["type"].as_str()?;
    let details = &method[kind];
    let last = details["last4"].as_str();
    let name = match (kind, details["brand"].as_str()) {
        ("card", Some(brand)) => {
            let mut letters = brand.chars();
            letters.next().map(|c| c.to_uppercase().chain(letters).collect()).unwrap_or_default()
        }
        ("sepa_debit", _) => "Direct debit".to_owned(),
        (kind, _) => kind.replace('_', " "),
    };
    Some(last.map_or_else(|| name.clone(), |last| format!("{name} ending in {last}")))
}

/// Reads a subscription. `default_card` is what its customer pays with where it says nothing of its own.
pub(super) fn subscription(it: &Value, default_card: Option<&str>) -> Option<SubscriptionFacts> {
    let items: Vec<_> = it["items"]["data"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default()
        .iter()
        .filter_map(item)
        .collect();
    // Since 2025-03-31 periods are the items' own; before they were the subscription's.
    let of_items = |key: &str| {
        let all = it["items"]["data"].as_array().map(Vec::as_slice).unwrap_or_default();
        all.iter().filter_map(|item| time(&item[key])).max()
    };
    let status = SubscriptionStatus::from(it["status"].as_str().unwrap_or_default().to_owned());
    Some(SubscriptionFacts {
        rules: Subscription {
            id: it["id"].as_str()?.to_owned(),
            status,
            period_start: first([of_items("current_period_start"), time(&it["current_period_start"])]),
            period_end: first([of_items("current_period_end"), time(&it["current_period_end"])]),
            collection_paused: it["pause_collection"].is_object(),
            ends_at: first([
                time(&it["ended_at"]),
                time(&it["cancel_at"]),
                time(&it["canceled_at"]).filter(|_| it["status"] == "canceled"),
            ]),
            trial_end: time(&it["trial_end"]),
        },
        currency: it["currency"].as_str().unwrap_or("eur").to_owned(),
        items,
        paid_with: in_words(&it["default_payment_method"]).or_else(|| default_card.map(str::to_owned)),
        pending_invoice: id_of(&it["latest_invoice"]).filter(|_| it["pending_update"].is_object()),
        created_at: time(&it["created"]).unwrap_or(DateTime::UNIX_EPOCH),
    })
}

fn item(it: &Value) -> Option<SubscriptionItem> {
    Some(SubscriptionItem {
        id: it["id"].as_str()?.to_owned(),
        price_id: id_of(&it["price"])?,
        quantity: i32::try_from(it["quantity"].as_i64().unwrap_or(1)).unwrap_or(0).max(0),
        amount_minor: it["price"]["unit_amount"].as_i64().unwrap_or(0),
    })
}

pub(super) fn invoice(it: &Value) -> Option<InvoiceFacts> {
    let collection = match it["collection_method"].as_str() {
        Some("send_invoice") => Collection::SendInvoice,
        _ => Collection::ChargeAutomatically,
    };
    let total_minor = it["total"].as_i64().unwrap_or(0);
    // Both shapes: since 2025-03-31 under `parent`, before at the top.
    let by = &it["parent"]["subscription_details"]["subscription"];
    Some(InvoiceFacts {
        rules: Invoice {
            id: it["id"].as_str()?.to_owned(),
            number: it["number"].as_str().map(str::to_owned),
            status: it["status"].as_str().unwrap_or_default().to_owned().into(),
            remaining_minor: it["amount_remaining"].as_i64().unwrap_or(0),
            currency: it["currency"].as_str().unwrap_or("eur").to_owned(),
            collection,
            attempted: it["attempted"].as_bool().unwrap_or(false)
                || it["attempt_count"].as_i64().unwrap_or(0) > 0,
            processing: false,
            finalized_at: first([time(&it["status_transitions"]["finalized_at"]), time(&it["created"])]),
            due_at: time(&it["due_date"]),
            dispute_lost_at: None,
        },
        subscription_id: id_of(by).or_else(|| id_of(&it["subscription"])),
        total_minor,
        next_attempt_at: time(&it["next_payment_attempt"]),
        failure: None,
        hosted_invoice_url: it["hosted_invoice_url"].as_str().map(str::to_owned),
        pdf_url: it["invoice_pdf"].as_str().map(str::to_owned),
        created_at: time(&it["created"]).unwrap_or(DateTime::UNIX_EPOCH),
    })
}

/// Whether the bank is still at an open invoice, and what it said last: that is its payment intent's.
async fn look_at_payment(stripe: &Stripe, facts: &mut InvoiceFacts) -> Result<(), StripeError> {
    let Some(intent) = intent_of(stripe, &facts.rules.id).await? else { return Ok(()) };
    facts.rules.processing = intent["status"] == "processing";
    facts.failure = failure_of(&intent);
    Ok(())
}

/// What the bank said last of a payment.
pub(super) fn failure_of(intent: &Value) -> Option<String> {
    intent["last_payment_error"]["message"].as_str().map(|text| text.chars().take(300).collect())
}

/// The payment intent of an invoice, if there is one.
pub(super) async fn intent_of(stripe: &Stripe, invoice: &str) -> Result<Option<Value>, StripeError> {
    let path = format!("invoices/{invoice}");
    let whole = match stripe.get(&path, &[("expand[]", "payments")]).await {
        Ok(whole) => whole,
        Err(StripeError::NotFound(_)) => return Ok(None),
        Err(error) => return Err(error),
    };
    let payments = whole["payments"]["data"].as_array().cloned().unwrap_or_default();
    let of_payments = payments.iter().rev().map(|it| &it["payment"]["payment_intent"]);
    let intent = of_payments.chain([&whole["payment_intent"]]).find(|it| id_of(it).is_some());
    match intent {
        Some(intent) if intent.is_object() => Ok(Some(intent.clone())),
        Some(intent) => {
            let id = id_of(intent).unwrap_or_default();
            stripe.get(&format!("payment_intents/{id}"), &[]).await.map(Some)
        }
        None => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_invoice_is_read_in_both_shapes() {
        let new = json!({ "id": "in_1", "object": "invoice", "status": "open", "amount_remaining": 500, "total": 500,
            "parent": { "subscription_details": { "subscription": "sub_1" } } });
        let expanded = json!({ "id": "in_1", "status": "open", "amount_remaining": 500, "total": 500,
            "parent": { "subscription_details": { "subscription": { "id": "sub_1" } } } });
        let old = json!({ "id": "in_1", "status": "open", "amount_remaining": 500, "total": 500, "subscription": "sub_1" });
        for it in [new, expanded, old] {
            let facts = invoice(&it).unwrap();
            assert_eq!(
                (facts.subscription_id.as_deref(), facts.rules.remaining_minor),
                (Some("sub_1"), 500),
                "{it}"
            );
        }
        let neither = json!({ "id": "in_1" });
        assert_eq!(invoice(&neither).unwrap().subscription_id, None);
    }

    #[test]
    fn an_event_of_an_unknown_version_and_kind_is_read() {
        let payload = json!({ "id": "evt_1", "type": "hologram.projected", "api_version": "2031-01-01.zebra", "created": 5,
            "data": { "object": { "id": "holo_1", "customer": { "id": "cus_1" } } } });
        let read = event(&payload).unwrap();
        assert_eq!((read.customer.as_deref(), read.object_id.as_deref()), (Some("cus_1"), Some("holo_1")));
        let of_customer =
            json!({ "id": "evt_2", "data": { "object": { "id": "cus_2", "object": "customer" } } });
        assert_eq!(event(&of_customer).unwrap().customer.as_deref(), Some("cus_2"));
        assert_eq!(event(&json!({ "type": "x" })), None);
        assert_eq!(event(&json!([1])), None);
    }

    #[test]
    fn a_period_is_the_items_or_the_subscriptions() {
        let new = json!({ "id": "sub_1", "status": "active", "created": 1,
            "items": { "data": [{ "id": "si_1", "price": { "id": "price_1", "unit_amount": 500 }, "quantity": 2, "current_period_end": 99 }] } });
        let old = json!({ "id": "sub_1", "status": "active", "created": 1, "current_period_end": 99, "items": { "data": [] } });
        for it in [&new, &old] {
            assert_eq!(
                subscription(it, None).unwrap().rules.period_end,
                DateTime::from_timestamp(99, 0),
                "{it}"
            );
        }
        let facts = subscription(&new, Some("Visa ending in 4242")).unwrap();
        assert_eq!(
            (facts.items[0].quantity, facts.items[0].amount_minor, facts.paid_with.as_deref()),
            (2, 500, Some("Visa ending in 4242"))
        );
    }

    #[test]
    fn what_is_paid_with_is_said_in_words() {
        assert_eq!(
            in_words(&json!({ "type": "card", "card": { "brand": "visa", "last4": "4242" } })).as_deref(),
            Some("Visa ending in 4242")
        );
        assert_eq!(
            in_words(&json!({ "type": "sepa_debit", "sepa_debit": { "last4": "3000" } })).as_deref(),
            Some("Direct debit ending in 3000")
        );
        assert_eq!(in_words(&json!(null)), None);
    }
}
