//! A stand-in for Cloudflare's DNS API, of one zone: authentication, pages, filters, and the errors that matter, as they come
//! from the real one.

mod answer;
mod record;
mod zone;

use axum::{
    Json, Router,
    extract::{Path, Query, Request, State},
    http::{StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse as _, Response},
    routing::get,
};
use serde::Deserialize;
use serde_json::{Value, json};

use answer::{Answer, refusal};
pub(crate) use record::Record;
pub(crate) use zone::Zone;

/// Fewest and most records in a page.
const PER_PAGE: std::ops::RangeInclusive<usize> = 5..=5_000;

/// Where a token is asked for.
const VERIFY: &str = "/client/v4/user/tokens/verify";

/// Which records are wanted, and which page of them.
#[derive(Debug, Default, Deserialize)]
struct Wanted {
    page: Option<usize>,
    per_page: Option<usize>,
    name: Option<String>,
    #[serde(rename = "type")]
    kind: Option<String>,
    #[serde(rename = "comment.exact")]
    comment: Option<String>,
}

/// The API, to be nested at `/cloudflare`.
pub(crate) fn router(zone: Zone) -> Router {
    let records = "/client/v4/zones/{zone}/dns_records";
    Router::new()
        .route(VERIFY, get(verify))
        .route(records, get(list).post(create))
        .route(&format!("{records}/{{id}}"), get(read).patch(change).put(change).delete(remove))
        .fallback(async || {
            refusal(
                StatusCode::NOT_FOUND,
                7_003,
                "Could not route to this address, perhaps your object identifier is invalid?",
            )
        })
        .layer(middleware::from_fn_with_state(zone.clone(), authenticate))
        .with_state(zone)
}

async fn authenticate(State(zone): State<Zone>, request: Request, next: Next) -> Response {
    let given =
        request.headers().get(header::AUTHORIZATION).and_then(|it| it.to_str().ok()?.strip_prefix("Bearer "));
    if given != Some(zone.token()) {
        return refusal(StatusCode::FORBIDDEN, 9_109, "Invalid access token").into_response();
    }
    if request.uri().path() != VERIFY && !request.uri().path().contains(&format!("/zones/{}/", zone.id())) {
        return refusal(StatusCode::NOT_FOUND, 7_003, "Could not route to this zone").into_response();
    }
    next.run(request).await
}

/// What the token is; a field that says nothing is not there.
async fn verify(State(zone): State<Zone>) -> Answer {
    let mut token = json!({ "id": "0123456789abcdef", "status": "active" });
    if let Some(ends_at) = zone.token_ends_at() {
        token["expires_on"] = json!(ends_at);
    }
    answer::one(&token)
}

async fn list(State(zone): State<Zone>, Query(wanted): Query<Wanted>) -> Answer {
    let per_page = wanted.per_page.unwrap_or(100);
    if !PER_PAGE.contains(&per_page) {
        return refusal(StatusCode::BAD_REQUEST, 9_210, "per_page must be between 5 and 5000");
    }
    let per_page = per_page.min(zone.page());
    let same = |a: &str, b: &str| a.trim_end_matches('.').eq_ignore_ascii_case(b.trim_end_matches('.'));
    let mut found = zone.all();
    found.retain(|it| {
        wanted.name.as_deref().is_none_or(|name| same(name, &it.name))
            && wanted.kind.as_deref().is_none_or(|kind| kind == it.kind)
            && wanted.comment.as_deref().is_none_or(|comment| it.comment.as_deref() == Some(comment))
    });
    found.sort_by(|a, b| (&a.name, &a.id).cmp(&(&b.name, &b.id)));
    let (page, total_count) = (wanted.page.unwrap_or(1).max(1), found.len());
    let part: Vec<_> =
        found.into_iter().skip((page - 1) * per_page).take(per_page).map(|it| it.shown()).collect();
    let info = json!({ "page": page, "per_page": per_page, "count": part.len(), "total_count": total_count,
                       "total_pages": total_count.div_ceil(per_page) });
    answer::page(&Value::Array(part), info)
}

async fn read(State(zone): State<Zone>, Path((_, id)): Path<(String, String)>) -> Answer {
    match zone.all().into_iter().find(|it| it.id == id) {
        Some(record) => answer::one(&record.shown()),
        None => refusal(StatusCode::NOT_FOUND, 81_044, "Record does not exist."),
    }
}

async fn create(State(zone): State<Zone>, Json(body): Json<Value>) -> Answer {
    match Record::new(&body).and_then(|record| zone.insert(record)) {
        Ok(record) => answer::one(&record.shown()),
        Err((code, message)) => refusal(StatusCode::BAD_REQUEST, code, message),
    }
}

async fn change(
    State(zone): State<Zone>,
    Path((_, id)): Path<(String, String)>,
    Json(body): Json<Value>,
) -> Answer {
    match zone.change(&id, &body) {
        Ok(Some(record)) => answer::one(&record.shown()),
        Ok(None) => refusal(StatusCode::NOT_FOUND, 81_044, "Record does not exist."),
        Err((code, message)) => refusal(StatusCode::BAD_REQUEST, code, message),
    }
}

async fn remove(State(zone): State<Zone>, Path((_, id)): Path<(String, String)>) -> Answer {
    if zone.remove(&id) {
        answer::one(&json!({ "id": id }))
    } else {
        refusal(StatusCode::NOT_FOUND, 81_044, "Record does not exist.")
    }
}
