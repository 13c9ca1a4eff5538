//! Refunds.

use serde_json::{Value, json};

use super::{
    api::Call,
    failure::{Failure, Outcome},
    ids, list,
    store::Books,
    value::{int, merge_metadata, text},
};

pub(super) fn create(books: &mut Books, call: &Call) -> Outcome {
    let params = &call.params;
    params.only(&["charge", "payment_intent", "amount", "reason", "metadata"])?;
    let reason = params.one_of("reason", &["duplicate", "fraudulent", "requested_by_customer"])?;
    let charge = match (params.text("charge"), params.text("payment_intent")) {
        (Some(id), _) => books.get_for("charge", "charge", id)?,
        (None, Some(id)) => {
            let intent = books.get_for("payment_intent", "payment_intent", id)?;
            let charge = text(&intent, "latest_charge");
            books.get_for("payment_intent", "charge", charge)?
        }
        (None, None) => {
            let message =
                "One of the following params should be provided for this request: payment_intent or charge.";
            return Err(Failure::invalid("charge", message));
        }
    };
    let id = refund(books, &charge, params.int("amount")?, reason)?;
    books.set(&id, |it| merge_metadata(&mut it["metadata"], params.at("metadata")));
    books.get("refund", &id)
}

/// Gives money back, all that is left of it if no amount is said.
pub(super) fn refund(
    books: &mut Books,
    charge: &Value,
    amount: Option<i64>,
    reason: Option<&str>,
) -> Result<String, Failure> {
    let id = text(charge, "id").to_owned();
    if charge["paid"] != true {
        return Err(Failure::refused("charge_not_refundable", &format!("Charge {id} has not been paid.")));
    }
    let left = int(charge, "amount") - int(charge, "amount_refunded");
    if left == 0 {
        let message = format!("Charge {id} has already been refunded.");
        return Err(Failure::refused("charge_already_refunded", &message));
    }
    let amount = amount.unwrap_or(left);
    if !(1..=left).contains(&amount) {
        let message =
            format!("Refund amount ({amount}) is greater than unrefunded amount on charge ({left})");
        return Err(Failure::invalid("amount", &message));
    }
    let refund = json!({
        "id": ids::new("re"), "object": "refund", "amount": amount, "balance_transaction": null, "charge": id,
        "created": books.now_of(charge), "currency": charge["currency"], "customer": charge["customer"],
        "customer_account": null,
        "destination_details": { "card": { "reference_status": "pending", "reference_type": "acquirer_reference_number",
                                           "type": "refund" }, "type": "card" },
        "metadata": {}, "payment_intent": charge["payment_intent"], "payment_method": charge["payment_method"],
        "reason": reason, "receipt_number": null, "source_transfer_reversal": null, "status": "succeeded",
        "transfer_reversal": null, "_clock": charge["_clock"],
    });
    let refund = books.insert_with("refund.created", refund);
    books.update("charge.refunded", &id, |it| {
        it["amount_refunded"] = (int(it, "amount_refunded") + amount).into();
        it["refunded"] = (amount == left).into();
    });
    Ok(refund)
}

pub(super) fn list(books: &Books, call: &Call) -> Outcome {
    call.params.only(&list::with(&["charge", "payment_intent"]))?;
    let is_wanted = |it: &&Value| {
        ["charge", "payment_intent"]
            .iter()
            .all(|key| call.params.text(key).is_none_or(|wanted| text(it, key) == wanted))
    };
    list::page(call, books.all("refund").rev().filter(is_wanted))
}
