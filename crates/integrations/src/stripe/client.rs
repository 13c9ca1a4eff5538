//! Calls of Stripe's API: each with a deadline, and each that changes something with a key of its row, so that a repeat is none.

use std::{fmt, time::Duration};

use reqwest::{Client, Method, StatusCode};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;

use super::API_VERSION;
use crate::{
    answer::{on_one_line, retry_after},
    body::read_bounded,
    chain,
};

/// Longest attempt.
const DEADLINE: Duration = Duration::from_secs(20);
/// Longest that connecting may take.
const CONNECT_DEADLINE: Duration = Duration::from_secs(5);
/// Longest answer that is read, in bytes: a page of 100 invoices with their lines.
const MAX_ANSWER: usize = 16 << 20;
/// Attempts of a call before it is left to whoever asked.
const ATTEMPTS: u32 = 3;
/// Pause before the second attempt; each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
/// Longest that a call waits for Stripe to take more calls; a task waits longer by its row.
const LONGEST_PAUSE: Duration = Duration::from_secs(3);
/// Most pages of a list: more is not one customer's.
const MAX_PAGES: usize = 50;

/// Fields of a form, in Stripe's notation: `items[0][price]`.
pub type Form = Vec<(String, String)>;

/// Stripe's API, with one key.
#[derive(Clone)]
pub struct Stripe {
    http: Client,
    base: String,
    key: SecretString,
}

impl fmt::Debug for Stripe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stripe").field("base", &self.base).finish_non_exhaustive()
    }
}

/// Why a call came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum StripeError {
    /// It may go well another time. Whether it was done is not known; the same key finds out.
    #[error("Stripe does not answer: {0}")]
    Away(String),
    /// Too many calls; again after this time.
    #[error("Stripe takes no more calls for {} s", .0.as_secs())]
    Limited(Duration),
    /// There is no such object.
    #[error("Stripe has no such object: {0}")]
    NotFound(String),
    /// A card or a bank said no.
    #[error("the payment was declined: {message}")]
    Declined {
        /// Stripe's word for the reason, such as `insufficient_funds`.
        code: String,
        /// For the customer.
        message: String,
    },
    /// A key of ours was used for another call: a mistake of ours, which a repeat does not mend.
    #[error("an idempotency key was used for another call: {0}")]
    KeyReused(String),
    /// It refuses the call, or us.
    #[error("Stripe refused the call ({status}): {message}")]
    Refused {
        /// The answer's status.
        status: u16,
        /// What it said.
        message: String,
    },
}

impl StripeError {
    /// Whether it is worth trying again, later.
    pub fn may_pass(&self) -> bool {
        // A key that is refused is put right by a person, and what waited goes on then.
        matches!(self, Self::Away(_) | Self::Limited(_) | Self::Refused { status: 401 | 403, .. })
    }
}

impl Stripe {
    /// At this address, with this secret key.
    pub fn new(base: &str, key: &SecretString) -> Result<Self, StripeError> {
        let http = Client::builder()
            .timeout(DEADLINE)
            .connect_timeout(CONNECT_DEADLINE)
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|error| StripeError::Away(chain(&error)))?;
        Ok(Self { http, base: base.trim_end_matches('/').to_owned(), key: key.clone() })
    }

    /// Whether the key is for real money. Its name says so (`sk_live_`, `rk_live_`).
    pub fn is_live(&self) -> bool {
        is_live(&self.key)
    }

    /// Fetches an object.
    pub async fn get(&self, path: &str, query: &[(&str, &str)]) -> Result<Value, StripeError> {
        self.patiently(|| self.http.request(Method::GET, self.url(path)).query(query)).await
    }

    /// Fetches a whole list, page by page, newest first.
    pub async fn list(&self, path: &str, query: &[(&str, &str)]) -> Result<Vec<Value>, StripeError> {
        let mut all: Vec<Value> = Vec::new();
        for _ in 0..MAX_PAGES {
            let after = all.last().and_then(|it| it["id"].as_str()).map(str::to_owned);
            let mut wanted = vec![("limit", "100")];
            wanted.extend(query);
            wanted.extend(after.as_deref().map(|after| ("starting_after", after)));
            let page = self.get(path, &wanted).await?;
            let entries = page["data"].as_array().cloned();
            all.extend(entries.ok_or_else(|| StripeError::Away(format!("the answer to {path} is no list")))?);
            if page["has_more"] != Value::Bool(true) {
                return Ok(all);
            }
        }
        Err(StripeError::Away(format!("{path} has more than {MAX_PAGES} pages")))
    }

    /// Makes or changes an object. `key` is of the row that asks and of what is asked for: a repeat with the same key and the same
    /// form is answered as the first was.
    pub async fn post(&self, path: &str, form: &Form, key: &str) -> Result<Value, StripeError> {
        self.patiently(|| {
            self.http.request(Method::POST, self.url(path)).form(form).header("Idempotency-Key", key)
        })
        .await
    }

    fn url(&self, path: &str) -> String {
        format!("{}/v1/{path}", self.base)
    }

    async fn patiently(&self, request: impl Fn() -> reqwest::RequestBuilder) -> Result<Value, StripeError> {
        let mut pause = FIRST_PAUSE;
        for attempt in 1.. {
            let error = match self.once(request()).await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            let wait = match &error {
                StripeError::Away(_) => pause,
                StripeError::Limited(wanted) if *wanted <= LONGEST_PAUSE => *wanted,
                _ => return Err(error),
            };
            if attempt >= ATTEMPTS {
                return Err(error);
            }
            tokio::time::sleep(wait).await;
            pause *= 2;
        }
        Err(StripeError::Away("it was not tried".to_owned()))
    }

    async fn once(&self, request: reqwest::RequestBuilder) -> Result<Value, StripeError> {
        let away = |reason: String| StripeError::Away(reason);
        let response = request
            .bearer_auth(self.key.expose_secret())
            .header("Stripe-Version", API_VERSION)
            .send()
            .await
            .map_err(|error| away(chain(&error)))?;
        let (status, retry_after) = (response.status(), retry_after(response.headers()));
        let body = read_bounded(response, MAX_ANSWER).await.map_err(|error| away(error.to_string()))?;
        let answer: Option<Value> = serde_json::from_slice(&body).ok();
        if status.is_success() {
            return answer.ok_or_else(|| away(format!("it answered {status} without JSON")));
        }
        Err(refused(status, retry_after, &answer.unwrap_or_default()["error"]))
    }
}

/// Whether a secret key is for real money.
pub fn is_live(key: &SecretString) -> bool {
    key.expose_secret().contains("_live_")
}

fn refused(status: StatusCode, retry_after: Option<Duration>, error: &Value) -> StripeError {
    let text = |key: &str| on_one_line(error[key].as_str().unwrap_or_default());
    let (kind, code, message) = (text("type"), text("code"), text("message"));
    match status.as_u16() {
        429 => StripeError::Limited(retry_after.unwrap_or(Duration::from_secs(2))),
        // 409: a call with this key is under way.
        408 | 409 | 500.. => StripeError::Away(format!("it answered {status} {message}")),
        _ if kind == "idempotency_error" => StripeError::KeyReused(message),
        402 => {
            let decline = text("decline_code");
            StripeError::Declined { code: if decline.is_empty() { code } else { decline }, message }
        }
        404 => StripeError::NotFound(message),
        status => StripeError::Refused { status, message },
    }
}
