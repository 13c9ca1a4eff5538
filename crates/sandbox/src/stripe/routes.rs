//! Which call does what.

use axum::http::Method;

use super::{
    api::Call,
    checkout, clocks, customers, disputes, endpoints, events,
    failure::{Failure, Outcome},
    invoices, methods, payments, portal, prices, products, refunds,
    store::Books,
    subscriptions,
};

/// Carries a call out.
pub(super) fn dispatch(books: &mut Books, call: &Call) -> Outcome {
    let segments: Vec<&str> = call.path.trim_matches('/').split('/').skip(1).collect();
    match call.method {
        Method::GET => read(books, call, &segments),
        Method::POST => write(books, call, &segments),
        Method::DELETE => remove(books, call, &segments),
        _ => Err(no_route(call)),
    }
}

fn no_route(call: &Call) -> Failure {
    Failure::no_route(call.method.as_str(), &call.path)
}

fn read(books: &mut Books, call: &Call, segments: &[&str]) -> Outcome {
    match segments {
        ["customers"] => customers::list(books, call),
        ["customers", id, "payment_methods"] => methods::list(books, call, Some(id)),
        ["payment_methods"] => methods::list(books, call, None),
        ["payment_methods", id] => methods::get(books, id),
        ["products"] => products::list(books, call),
        ["prices"] => prices::list(books, call),
        ["subscriptions"] => subscriptions::list(books, call),
        ["invoices"] => invoices::list(books, call),
        ["invoices", id, "lines"] => invoices::lines(books, call, id),
        ["invoice_payments"] => payments::list_of_invoices(books, call),
        ["checkout", "sessions"] => checkout::list(books, call),
        ["checkout", "sessions", id, "line_items"] => checkout::line_items(books, call, id),
        ["payment_intents"] => payments::list(books, call, "payment_intent"),
        ["charges"] => payments::list(books, call, "charge"),
        ["refunds"] => refunds::list(books, call),
        ["disputes"] => disputes::list(books, call),
        ["events"] => events::list(books, call),
        ["events", id] => events::get(books, id),
        ["webhook_endpoints"] => endpoints::list(books, call),
        ["test_helpers", "test_clocks"] => clocks::list(books, call),
        [kinds @ .., id] => {
            let object = match kinds {
                ["customers"] => "customer",
                ["products"] => "product",
                ["prices"] => "price",
                ["subscriptions"] => "subscription",
                ["invoices"] => "invoice",
                ["invoice_payments"] => "invoice_payment",
                ["checkout", "sessions"] => "checkout.session",
                ["payment_intents"] => "payment_intent",
                ["charges"] => "charge",
                ["refunds"] => "refund",
                ["disputes"] => "dispute",
                ["webhook_endpoints"] => "webhook_endpoint",
                ["test_helpers", "test_clocks"] => "test_helpers.test_clock",
                _ => return Err(no_route(call)),
            };
            call.params.only(&[])?;
            books.get(object, id)
        }
        [] => Err(no_route(call)),
    }
}

fn write(books: &mut Books, call: &Call, segments: &[&str]) -> Outcome {
    match segments {
        ["customers"] => customers::create(books, call),
        ["customers", id] => customers::change(books, call, id),
        ["payment_methods"] => methods::create(books, call),
        ["payment_methods", id, "attach"] => methods::attach(books, call, id),
        ["payment_methods", id, "detach"] => methods::detach(books, id),
        ["products"] => products::create(books, call),
        ["products", id] => products::change(books, call, id),
        ["prices"] => prices::create(books, call),
        ["prices", id] => prices::change(books, call, id),
        ["subscriptions"] => subscriptions::create::create(books, call),
        ["subscriptions", id] => subscriptions::update::update(books, call, id),
        ["subscriptions", id, "resume"] => subscriptions::pause::resume(books, call, id),
        ["invoices", id, "pay"] => invoices::pay(books, call, id),
        ["invoices", id, "finalize"] => invoices::finalize(books, call, id),
        ["invoices", id, "void"] => invoices::void(books, id),
        ["invoices", id, "mark_uncollectible"] => invoices::mark_uncollectible(books, id),
        ["checkout", "sessions"] => checkout::create(books, call),
        ["checkout", "sessions", id, "expire"] => checkout::expire(books, id),
        ["refunds"] => refunds::create(books, call),
        ["disputes", id, "close"] => disputes::close(books, id, "lost"),
        ["billing_portal", "sessions"] => portal::create(books, call),
        ["webhook_endpoints"] => endpoints::create(books, call),
        ["webhook_endpoints", id] => endpoints::change(books, call, id),
        ["test_helpers", "test_clocks"] => clocks::create(books, call),
        ["test_helpers", "test_clocks", id, "advance"] => clocks::advance(books, call, id),
        _ => Err(no_route(call)),
    }
}

fn remove(books: &mut Books, call: &Call, segments: &[&str]) -> Outcome {
    match segments {
        ["customers", id] => customers::delete(books, id),
        ["products", id] => products::delete(books, id),
        ["subscriptions", id] => subscriptions::cancel::delete(books, call, id),
        ["webhook_endpoints", id] => endpoints::delete(books, id),
        ["test_helpers", "test_clocks", id] => clocks::delete(books, id),
        _ => Err(no_route(call)),
    }
}
