//! A call of the API: who asks, in which version, whether it was asked before, and how it is answered.

use axum::{
    body::Bytes,
    extract::State,
    http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header},
    response::{IntoResponse as _, Response},
};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use ring::digest::{SHA256, digest};
use serde_json::{Value, json};

use super::{
    Stripe, expand,
    failure::{Failure, Outcome},
    form::Params,
    ids, routes,
    shape::{self, VERSION},
    store::{Books, Cause, KEPT, Kept},
    time::{self, DAY},
    value::shown,
};

/// How long an idempotency key keeps its answer.
const KEY_LASTS: i64 = DAY;
/// Longest idempotency key, in characters.
const LONGEST_KEY: usize = 255;

/// A call.
pub(super) struct Call {
    pub(super) method: Method,
    /// Its address below the base: `/v1/…`.
    pub(super) path: String,
    pub(super) params: Params,
}

/// Status, body, and whether it is one that was given before.
type Answer = (StatusCode, String, bool);

/// Everything below `/v1`.
pub(super) async fn handle(
    State(stripe): State<Stripe>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let request = ids::new("req");
    let version = text_of(&headers, "stripe-version").unwrap_or(VERSION).to_owned();
    let key = text_of(&headers, "idempotency-key").filter(|_| method == Method::POST).map(str::to_owned);
    let form = if body.is_empty() { uri.query().unwrap_or_default().as_bytes() } else { &body };
    let call = Call { method, path: uri.path().to_owned(), params: Params::parse(form) };
    let checked = authenticate(&stripe, &headers).and_then(|()| check_version(&version));
    let (status, text, replayed) = match checked {
        Err(failure) => refusal(failure, &request),
        Ok(()) => match &key {
            Some(key) => once(&stripe, &call, form, key, &version, &request).await,
            None => carry_out(&stripe, &call, None, &version, &request),
        },
    };
    stripe.wake();
    let mut response = (status, text).into_response();
    let fields = response.headers_mut();
    fields.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let mut say = |name: &'static str, value: &str| {
        if let Ok(value) = HeaderValue::from_str(value) {
            fields.insert(name, value);
        }
    };
    say("request-id", &request);
    say("stripe-version", &version);
    if let Some(key) = &key {
        say("idempotency-key", key);
    }
    if replayed {
        say("idempotent-replayed", "true");
    }
    response
}

fn text_of<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok().filter(|it| !it.is_empty())
}

/// The key is a bearer's, or the user of basic authentication.
fn authenticate(stripe: &Stripe, headers: &HeaderMap) -> Result<(), Failure> {
    let given = text_of(headers, "authorization").unwrap_or_default();
    let basic = || {
        let decoded = BASE64_STANDARD.decode(given.strip_prefix("Basic ")?).ok()?;
        Some(String::from_utf8(decoded).ok()?.split(':').next()?.to_owned())
    };
    let key = given.strip_prefix("Bearer ").map(str::to_owned).or_else(basic).unwrap_or_default();
    if key.is_empty() {
        return Err(Failure::unauthorized(
            "You did not provide an API key. You need to provide your API key in the Authorization header, using Bearer auth \
             (e.g. 'Authorization: Bearer YOUR_SECRET_KEY').",
        ));
    }
    if key == stripe.key() {
        return Ok(());
    }
    let end: String = key.chars().rev().take(4).collect::<Vec<_>>().into_iter().rev().collect();
    Err(Failure::unauthorized(&format!("Invalid API Key provided: {}{end}", "*".repeat(12))))
}

fn check_version(version: &str) -> Result<(), Failure> {
    if shape::is_version(version) {
        return Ok(());
    }
    Err(Failure::refused("invalid_api_version", &format!("Invalid Stripe API version: {version}")))
}

/// Carries a call out once for its idempotency key.
async fn once(stripe: &Stripe, call: &Call, form: &[u8], key: &str, version: &str, request: &str) -> Answer {
    let hash = hex::encode(digest(&SHA256, form));
    let same = (format!("{} {}", call.method, call.path), hash);
    let busy = {
        let mut books = stripe.lock();
        match reserve(&mut books, key, &same, request) {
            Ok(None) => books.switches.busy_ms,
            Ok(Some(answer)) => return answer,
            Err(failure) => return refusal(failure, request),
        }
    };
    if busy > 0 {
        tokio::time::sleep(std::time::Duration::from_millis(busy)).await;
    }
    let cause = Cause { request: Some(request.to_owned()), key: Some(key.to_owned()) };
    carry_out(stripe, call, Some(cause), version, request)
}

/// The answer that the key has; none if the call is the first, which then has the key.
fn reserve(
    books: &mut Books,
    key: &str,
    same: &(String, String),
    request: &str,
) -> Result<Option<Answer>, Failure> {
    if key.chars().count() > LONGEST_KEY {
        let message = "Idempotency keys cannot be longer than 255 characters.";
        return Err(Failure::idempotency(StatusCode::BAD_REQUEST, None, message));
    }
    let now = time::machine();
    books.keys.retain(|_, kept| kept.at > now - KEY_LASTS);
    let Some(kept) = books.keys.get(key) else {
        if books.keys.len() >= KEPT
            && let Some(oldest) =
                books.keys.iter().min_by_key(|(_, kept)| kept.at).map(|(key, _)| key.clone())
        {
            books.keys.remove(&oldest);
        }
        let kept = Kept { call: same.clone(), answer: None, request: request.to_owned(), at: now };
        books.keys.insert(key.to_owned(), kept);
        return Ok(None);
    };
    if kept.call.0 != same.0 {
        let path = |call: &str| call.split_once(' ').map_or_else(String::new, |(_, path)| path.to_owned());
        let message = format!(
            "Keys for idempotent requests can only be used for the same endpoint they were first used for ('{}' vs '{}'). \
             Try using a key other than '{key}' if you meant to execute a different request.",
            path(&same.0),
            path(&kept.call.0)
        );
        return Err(Failure::idempotency(StatusCode::BAD_REQUEST, None, &message));
    }
    if kept.call.1 != same.1 {
        let message = format!(
            "Keys for idempotent requests can only be used with the same parameters they were first used with. Try using a \
             key other than '{key}' if you meant to execute a different request."
        );
        return Err(Failure::idempotency(StatusCode::BAD_REQUEST, None, &message));
    }
    let Some((status, text)) = &kept.answer else {
        let message = format!(
            "There is currently another in-progress request using this Idempotency-Key (that probably means you submitted \
             twice, and the other request is still going through): {key}. Original request: {}.",
            kept.request
        );
        let code = Some("idempotency_key_in_use");
        return Err(Failure::idempotency(StatusCode::CONFLICT, code, &message));
    };
    let status = StatusCode::from_u16(*status).unwrap_or(StatusCode::OK);
    Ok(Some((status, text.clone(), true)))
}

fn carry_out(stripe: &Stripe, call: &Call, cause: Option<Cause>, version: &str, request: &str) -> Answer {
    let mut books = stripe.lock();
    let key = cause.as_ref().and_then(|it| it.key.clone());
    books.now = time::machine();
    books.cause = cause.unwrap_or_else(|| Cause { request: Some(request.to_owned()), key: None });
    let outcome =
        routes::dispatch(&mut books, call).and_then(|answer| render(&books, call, &answer, version));
    books.cause = Cause::default();
    let is_kept = outcome.as_ref().map_or_else(|failure| failure.executed, |_| true);
    let answer = match outcome {
        Ok(answer) => (StatusCode::OK, pretty(&answer), false),
        Err(failure) => refusal(failure, request),
    };
    if let Some(key) = key {
        // What was refused before anything was done may be asked again under the same key.
        if is_kept && let Some(kept) = books.keys.get_mut(&key) {
            kept.answer = Some((answer.0.as_u16(), answer.1.clone()));
        } else {
            books.keys.remove(&key);
        }
        books.is_dirty = true;
    }
    answer
}

fn render(books: &Books, call: &Call, answer: &Value, version: &str) -> Outcome {
    let mut answer = shown(answer);
    expand::apply(books, &mut answer, &call.params.texts("expand"))?;
    if shape::is_old(version) {
        shape::make_old(books, &mut answer);
    }
    Ok(answer)
}

fn refusal(failure: Failure, request: &str) -> Answer {
    let mut error = failure.error;
    let log = format!("https://dashboard.stripe.com/acct_sandbox/test/workbench/logs?object={request}");
    error.insert("request_log_url".to_owned(), log.into());
    if let Some(code) = error.get("code").and_then(Value::as_str) {
        let url = format!("https://stripe.com/docs/error-codes/{}", code.replace('_', "-"));
        error.insert("doc_url".to_owned(), url.into());
    }
    (failure.status, pretty(&json!({ "error": error })), false)
}

/// Indented by two spaces, as Stripe's answers and events are.
pub(super) fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap_or_default() + "\n"
}
