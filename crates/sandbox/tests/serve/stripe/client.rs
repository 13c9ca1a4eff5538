//! Stripe's own client for Node, against the sandbox.

use std::{path::PathBuf, process::Command};

use serde_json::{Value, json};

use super::Stripe;

#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "a test of processes starts one")]
async fn stripes_own_client_works_with_it() {
    let folder =
        std::env::var_os("ZLH_TEST_JS").expect("ZLH_TEST_JS is set: run the tests by `cargo xtask test`");
    let stripe = Stripe::start();
    let script = PathBuf::from(folder).join("stripe.mjs");
    let mut command = Command::new("node");
    command.arg(script).arg(&stripe.base);
    let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    let seen: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(
        seen,
        json!({
            "paid": "active", "period": true, "listed": 25, "sameCustomer": true, "otherParameters": "StripeIdempotencyError",
            "declined": ["StripeCardError", "card_declined", "generic_decline"], "missing": ["StripeInvalidRequestError", 404],
            "limited": "retried", "advanced": "ready", "event": "checkout.session.completed", "forged": "StripeSignatureVerificationError",
        })
    );
}
