//! Payments that fail, and what is made of them.

use reqwest::StatusCode;
use serde_json::{Value, json};

use super::{DAY, Stripe, id};

const HOUR: i64 = 3_600;

async fn overdue(stripe: &Stripe) -> Value {
    let subscription = stripe.bought().await;
    stripe.change_card(&subscription, "pm_card_chargeCustomerFail").await;
    let end = subscription["items"]["data"][0]["current_period_end"].as_i64().unwrap();
    stripe.pass(&subscription, end - subscription["created"].as_i64().unwrap() + 2 * HOUR).await;
    let late = stripe.subscription(&subscription).await;
    assert_eq!((&late["status"], &late["latest_invoice"]["status"]), (&json!("past_due"), &json!("open")));
    late
}

#[tokio::test]
async fn a_declined_renewal_is_past_due_until_it_is_paid() {
    let stripe = Stripe::start();
    let late = overdue(&stripe).await;
    let invoice = &late["latest_invoice"];
    assert_eq!(invoice["attempt_count"], 1);
    let tried = invoice["status_transitions"]["finalized_at"].as_i64().unwrap();
    assert_eq!(invoice["next_payment_attempt"], tried + 3 * DAY);
    let pay = format!("invoices/{}/pay", id(invoice));
    let (status, error) = stripe.refused(&pay, &[]).await;
    assert_eq!(
        (status, &error["code"], &error["decline_code"]),
        (StatusCode::PAYMENT_REQUIRED, &json!("card_declined"), &json!("generic_decline"))
    );
    // What a person tries does not change the schedule.
    let after = stripe.get(&format!("invoices/{}", id(invoice))).await;
    assert_eq!(
        (&after["attempt_count"], &after["next_payment_attempt"]),
        (&json!(1), &invoice["next_payment_attempt"])
    );

    stripe.change_card(&late, "pm_card_visa").await;
    let paid = stripe.post(&pay, &[]).await;

    assert_eq!((&paid["status"], &paid["amount_remaining"]), (&json!("paid"), &json!(0)));
    assert_eq!(stripe.subscription(&late).await["status"], "active");
    let (status, _) = stripe.refused(&pay, &[]).await;
    assert_eq!(status, StatusCode::BAD_REQUEST, "it is paid once");
}

#[tokio::test]
async fn retries_come_after_3_5_and_7_days_and_then_it_is_over() {
    for (switch, status) in [("canceled", "canceled"), ("unpaid", "unpaid")] {
        let stripe = Stripe::start();
        stripe.switch(json!({ "after_retries": switch })).await;
        let late = overdue(&stripe).await;
        for (days, attempts) in [(3, 2), (5, 3)] {
            stripe.pass(&late, days * DAY).await;
            let now = stripe.subscription(&late).await;
            assert_eq!(
                (&now["status"], &now["latest_invoice"]["attempt_count"]),
                (&json!("past_due"), &json!(attempts))
            );
        }
        stripe.pass(&late, 7 * DAY).await;
        let end = stripe.subscription(&late).await;
        assert_eq!(end["status"], status);
        let invoice = &end["latest_invoice"];
        assert_eq!((&invoice["attempt_count"], &invoice["next_payment_attempt"]), (&json!(4), &Value::Null));
        assert_eq!(invoice["status"], "open");
        if status == "canceled" {
            assert_eq!(end["cancellation_details"]["reason"], "payment_failed");
        } else {
            // Nobody collects the next one either.
            stripe.pass(&late, 20 * DAY).await;
            let next = stripe.subscription(&late).await["latest_invoice"].clone();
            assert_eq!((&next["status"], &next["auto_advance"]), (&json!("draft"), &json!(false)));
        }
    }
}

#[tokio::test]
async fn an_invoice_is_paid_by_hand_void_or_given_up() {
    let stripe = Stripe::start();
    for (path, form, status) in [
        ("pay", vec![("paid_out_of_band", "true")], "paid"),
        ("void", vec![], "void"),
        ("mark_uncollectible", vec![], "uncollectible"),
    ] {
        let late = overdue(&stripe).await;
        let invoice = format!("invoices/{}", id(&late["latest_invoice"]));
        let after = stripe.post(&format!("{invoice}/{path}"), &form).await;
        assert_eq!(after["status"], status);
        assert_eq!(stripe.subscription(&late).await["status"], "active", "{path}");
        let intent = stripe.get(&format!("{invoice}?expand[]=payments.data.payment.payment_intent")).await;
        let intent = intent["payments"]["data"][0]["payment"]["payment_intent"]["status"].clone();
        assert_eq!(intent, if path == "mark_uncollectible" { "requires_payment_method" } else { "canceled" });
    }
    let told = stripe.told().await;
    for kind in ["invoice.voided", "invoice.marked_uncollectible", "invoice.payment_failed"] {
        assert!(told.contains(&kind.to_owned()), "{kind}");
    }
}

#[tokio::test]
async fn money_is_given_back_and_taken_back() {
    let stripe = Stripe::start();
    let subscription = stripe.bought().await;
    let invoice = subscription["latest_invoice"].as_str().unwrap();
    let path = format!("invoice_payments?invoice={invoice}&expand[]=data.payment.payment_intent");
    let intent = stripe.get(&path).await["data"][0]["payment"]["payment_intent"].clone();
    let charge = intent["latest_charge"].as_str().unwrap();
    let refund = stripe.post("refunds", &[("payment_intent", id(&intent)), ("amount", "100")]).await;
    assert_eq!((&refund["status"], &refund["charge"]), (&json!("succeeded"), &json!(charge)));
    let (status, _) = stripe.refused("refunds", &[("charge", charge), ("amount", "400")]).await;
    assert_eq!(status, StatusCode::BAD_REQUEST, "no more than was paid");

    let dispute = stripe.control(&format!("_disputes/{charge}"), json!({})).await;
    assert_eq!((&dispute["status"], &dispute["charge"]), (&json!("needs_response"), &json!(charge)));
    assert_eq!(stripe.get(&format!("charges/{charge}")).await["disputed"], true);
    let closed = stripe.control(&format!("_disputes/{}/close", id(&dispute)), json!({ "won": false })).await;
    assert_eq!(closed["status"], "lost");
    let told = stripe.told().await;
    let last: Vec<&str> = told.iter().rev().take(4).rev().map(String::as_str).collect();
    assert_eq!(
        last,
        ["refund.created", "charge.refunded", "charge.dispute.created", "charge.dispute.closed"]
    );
}
