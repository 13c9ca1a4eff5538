//! Buying, missing a payment and paying in a real browser, on running daemons, with the stand-in for Stripe and its clock.

use serde_json::json;
use xtask::{http::Http, stack::Daemon};
use zlh_tests::{PASSWORD, Town};

use super::{
    billing::{AtStripe, stage},
    portal::Script,
};

#[test]
fn a_subscriber_buys_changes_the_plan_is_suspended_pays_and_is_back_in_the_browser() {
    let mut town = Town::start(&[]);
    town.stack.start(Daemon::Billing).expect("a daemon");
    let create = ["create-customer", "ada@example.com", "--without-grant"];
    town.stack.api_command(&create, Some(PASSWORD)).expect("an account");
    let ada = town.sign_in("ada@example.com");
    let task = json!({
        "portal": town.stack.api_url(), "sandbox": town.stack.sandbox_url(), "email": "ada@example.com", "password": PASSWORD,
    });
    let mut script = Script::start("subscriber.mjs", &task);

    script.expect("decline");
    let stripe = AtStripe::of(&town, "ada@example.com");
    stripe.card("pm_card_chargeCustomerFail");
    script.go_on();

    // As long as the rules say, by Stripe's clock.
    Http::new(&town.stack.sandbox_url())
        .post("/stripe/_switches", &[], &json!({ "after_retries": "past_due" }))
        .expect("a switch");
    for (days, wanted) in [(31, "payment_failed"), (8, "final_warning"), (8, "suspended")] {
        script.expect(wanted);
        stripe.days(days);
        stage(&ada, wanted);
        script.go_on();
    }

    let id = script.expect("end")["instance"].as_str().expect("an instance").to_owned();
    ada.remove(&id);
    town.expect_nothing_left();
}
