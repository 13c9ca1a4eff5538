//! Disputes. A customer's bank opens one; here the switch `/stripe/_disputes` does.

use serde_json::{Value, json};

use super::{
    api::Call,
    failure::{Failure, Outcome},
    ids, list,
    store::Books,
    time::DAY,
    value::text,
};

/// A bank takes a charge back.
pub(super) fn open(books: &mut Books, charge: &str) -> Outcome {
    let charge = books.get("charge", charge)?;
    if charge["paid"] != true || charge["disputed"] == true {
        let message = "Only a charge that is paid, and not disputed yet, can be disputed.";
        return Err(Failure::invalid("charge", message));
    }
    let now = books.now_of(&charge);
    let dispute = json!({
        "id": ids::new("du"), "object": "dispute", "amount": charge["amount"], "balance_transactions": [],
        "charge": charge["id"], "created": now, "currency": charge["currency"], "enhanced_eligibility_types": [],
        "evidence": evidence(),
        "evidence_details": {
            "due_by": now + 7 * DAY, "enhanced_eligibility": {}, "has_evidence": false, "past_due": false,
            "submission_count": 0, "submission_method": "not_submitted",
        },
        "intended_submission_method": null, "is_charge_refundable": false, "livemode": false, "metadata": {},
        "payment_intent": charge["payment_intent"],
        "payment_method_details": { "card": { "brand": "visa", "case_type": "chargeback", "network": "visa",
                                              "network_reason_code": "10.4" },
                                    "type": "card" },
        "reason": "fraudulent", "status": "needs_response", "_clock": charge["_clock"],
    });
    books.set(text(&charge, "id"), |it| it["disputed"] = true.into());
    let id = books.insert_with("charge.dispute.created", dispute);
    books.get("dispute", &id)
}

/// Every piece of evidence, none of them given.
fn evidence() -> Value {
    const PIECES: &[&str] = &[
        "access_activity_log",
        "billing_address",
        "cancellation_policy",
        "cancellation_policy_disclosure",
        "cancellation_rebuttal",
        "customer_communication",
        "customer_email_address",
        "customer_name",
        "customer_purchase_ip",
        "customer_signature",
        "duplicate_charge_documentation",
        "duplicate_charge_explanation",
        "duplicate_charge_id",
        "product_description",
        "receipt",
        "refund_policy",
        "refund_policy_disclosure",
        "refund_refusal_explanation",
        "service_date",
        "service_documentation",
        "shipping_address",
        "shipping_carrier",
        "shipping_date",
        "shipping_documentation",
        "shipping_tracking_number",
        "uncategorized_file",
        "uncategorized_text",
    ];
    let mut evidence: Value = PIECES.iter().map(|it| ((*it).to_owned(), Value::Null)).collect();
    evidence["enhanced_evidence"] = json!({});
    evidence
}

/// The dispute is `won` or `lost`.
pub(super) fn close(books: &mut Books, id: &str, status: &str) -> Outcome {
    let dispute = books.get("dispute", id)?;
    if matches!(text(&dispute, "status"), "won" | "lost") {
        return Err(Failure::invalid("dispute", "This dispute is already closed."));
    }
    books.set(id, |it| it["status"] = status.into());
    books.tell("charge.dispute.closed", id);
    books.get("dispute", id)
}

pub(super) fn list(books: &Books, call: &Call) -> Outcome {
    call.params.only(&list::with(&["charge", "payment_intent"]))?;
    let is_wanted = |it: &&Value| {
        ["charge", "payment_intent"]
            .iter()
            .all(|key| call.params.text(key).is_none_or(|wanted| text(it, key) == wanted))
    };
    list::page(call, books.all("dispute").rev().filter(is_wanted))
}
