//! The pages that people use.

use reqwest::StatusCode;
use serde_json::json;

use super::{DAY, Stripe, id};

async fn shown(stripe: &Stripe, url: &str) -> String {
    let answer = stripe.sandbox.client.get(url).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK, "{url}");
    answer.text().await.unwrap()
}

#[tokio::test]
async fn the_checkout_page_has_its_buttons_and_asks_for_confirmation() {
    let stripe = Stripe::start();
    let session = stripe.checkout(&stripe.customer().await).await;
    let url = session["url"].as_str().unwrap();
    let page = shown(&stripe, url).await;
    for label in ["Pay", "Decline", "Pay by direct debit", "Needs confirmation", "Cancel"] {
        assert!(page.contains(&format!(">{label}</button>")), "{label}");
    }
    assert!(page.contains("4.99 EUR") && page.contains("<html lang=\"en\">"));
    let cancelled = stripe.press(url, &[("do", "cancel")]).await;
    assert_eq!(cancelled.headers()["Location"], "http://shop.example/again");
    let asks = stripe.press(url, &[("do", "confirm")]).await;
    assert!(asks.text().await.unwrap().contains(">Confirm</button>"));
    assert_eq!(stripe.press(url, &[("do", "confirmed")]).await.status(), StatusCode::SEE_OTHER);
    let session = stripe.get(&format!("checkout/sessions/{}", id(&session))).await;
    assert_eq!(session["payment_status"], "paid");
}

#[tokio::test]
async fn an_invoice_has_a_page_and_a_pdf() {
    let stripe = Stripe::start();
    let subscription = stripe.bought().await;
    let invoice = stripe.get(&format!("invoices/{}", subscription["latest_invoice"].as_str().unwrap())).await;
    let page = shown(&stripe, invoice["hosted_invoice_url"].as_str().unwrap()).await;
    assert!(page.contains(invoice["number"].as_str().unwrap()) && !page.contains("<button"));
    let pdf = stripe.sandbox.client.get(invoice["invoice_pdf"].as_str().unwrap()).send().await.unwrap();
    assert_eq!(pdf.headers()["Content-Type"], "application/pdf");
    let pdf = pdf.bytes().await.unwrap();
    assert!(pdf.starts_with(b"%PDF-1.4") && pdf.ends_with(b"%%EOF\n"));
    let missing = stripe.sandbox.client.get(format!("{}/invoice/in_none", stripe.base)).send().await.unwrap();
    assert_eq!(missing.status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn the_portal_changes_the_card_pays_and_cancels() {
    let stripe = Stripe::start();
    let subscription = stripe.bought().await;
    let form = [
        ("customer", subscription["customer"].as_str().unwrap()),
        ("return_url", "http://shop.example/account"),
    ];
    let session = stripe.post("billing_portal/sessions", &form).await;
    let url = session["url"].as_str().unwrap();
    assert!(shown(&stripe, url).await.contains("href=\"http://shop.example/account\""));
    let press = async |form: &[(&str, &str)]| stripe.press(url, form).await.status();
    assert_eq!(press(&[("do", "card"), ("card", "declines")]).await, StatusCode::SEE_OTHER);
    stripe.pass(&subscription, 32 * DAY).await;
    let late = stripe.subscription(&subscription).await;
    assert_eq!(late["status"], "past_due");
    let pay = [("do", "pay"), ("of", id(&late["latest_invoice"]))];
    assert_eq!(press(&pay).await, StatusCode::OK, "it is declined");
    press(&[("do", "card"), ("card", "good")]).await;
    assert_eq!(press(&pay).await, StatusCode::SEE_OTHER);
    press(&[("do", "cancel"), ("of", id(&subscription))]).await;
    let after = stripe.subscription(&subscription).await;
    assert_eq!((&after["status"], &after["cancel_at_period_end"]), (&json!("active"), &json!(true)));
    press(&[("do", "renew"), ("of", id(&subscription))]).await;
    assert_eq!(stripe.subscription(&subscription).await["cancel_at_period_end"], false);
    // Nobody cancels what belongs to another.
    let other = stripe.bought().await;
    press(&[("do", "cancel"), ("of", id(&other))]).await;
    assert_eq!(stripe.subscription(&other).await["cancel_at_period_end"], false);
}

#[tokio::test]
async fn the_sandboxs_page_shows_customers_and_its_buttons_work() {
    let stripe = Stripe::start();
    let subscription = stripe.bought().await;
    let customer = subscription["customer"].as_str().unwrap();
    let press = async |what: &str| {
        let page = format!("{}/_panel/{customer}", stripe.base);
        assert_eq!(stripe.press(&page, &[("do", what)]).await.status(), StatusCode::SEE_OTHER, "{what}");
    };
    press("refund").await;
    press("decline").await;
    for step in ["30d", "1d", "1d", "1h"] {
        let ready =
            || async { stripe.told().await.iter().filter(|it| it.ends_with("test_clock.ready")).count() };
        let before = ready().await;
        press(step).await;
        super::eventually(async || (ready().await > before).then_some(())).await;
    }
    assert_eq!(stripe.subscription(&subscription).await["status"], "past_due");
    let page = shown(&stripe, &stripe.sandbox.base).await;
    for part in [customer, id(&subscription), "past_due", "open: 4.99 EUR", ">8 days later</button>"] {
        assert!(page.contains(part), "{part}");
    }
    let again = format!("{}/_panel/{customer}", stripe.base);
    let twice = stripe.press(&again, &[("do", "refund")]).await;
    assert_eq!(twice.status(), StatusCode::BAD_REQUEST);
}
