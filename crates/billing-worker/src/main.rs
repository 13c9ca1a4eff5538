//! `zpack-billing-worker`: enforcement of payment.

use std::process::ExitCode;

use billing_worker::serve::serve;
use runtime::daemon::{self, About};

fn main() -> ExitCode {
    let about = About {
        name: "zpack-billing-worker",
        summary: "Processes Stripe's events, and warns, suspends and restores customers by what is open there. Never deletes anything.",
        version: env!("CARGO_PKG_VERSION"),
    };
    daemon::run(about, serve)
}
