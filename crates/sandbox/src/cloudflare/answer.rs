//! The envelope around every answer.

use axum::{Json, http::StatusCode};
use serde_json::{Value, json};

/// An answer.
pub(super) type Answer = (StatusCode, Json<Value>);

/// One thing.
pub(super) fn one(result: &Value) -> Answer {
    (StatusCode::OK, Json(json!({ "success": true, "errors": [], "messages": [], "result": result })))
}

/// A page of things.
pub(super) fn page(result: &Value, info: Value) -> Answer {
    let (status, Json(mut body)) = one(result);
    body["result_info"] = info;
    (status, Json(body))
}

/// A failure with its code.
pub(super) fn refusal(status: StatusCode, code: u32, message: &str) -> Answer {
    let errors = json!([{ "code": code, "message": message }]);
    (status, Json(json!({ "success": false, "errors": errors, "messages": [], "result": null })))
}
