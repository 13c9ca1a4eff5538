//! Calls of Cloudflare's API (`/zones/{zone}/dns_records`).

use std::{collections::HashSet, sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use domain::{
    clock::Clock,
    edge::{CloudflareZone, DnsRecord, Mark},
};
use reqwest::{Client, Method, StatusCode};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde_json::Value;

use super::{
    super::{EdgeError, quiet::Quiet},
    PART,
    record::{self, Record},
};
use crate::{
    answer::{on_one_line, retry_after},
    body::read_bounded,
    chain,
};

/// Longest call.
const DEADLINE: Duration = Duration::from_secs(20);
/// Longest that connecting may take.
const CONNECT_DEADLINE: Duration = Duration::from_secs(5);
/// Records in one page, the most that the API takes.
const PER_PAGE: usize = 5_000;
/// Most pages that are read: five million records, far beyond any zone.
const MAX_PAGES: u32 = 1_000;
/// Largest answer that is read, in bytes: a page of records has about 500 bytes each.
const MAX_ANSWER: usize = 8 << 20;

/// Error codes that mean something to us.
const IDENTICAL: u32 = 81_058;
const ALREADY_THERE: u32 = 81_057;
const GONE: u32 = 81_044;
const QUOTA: u32 = 81_045;
const LIMITED: u32 = 10_429;

/// How a record came to be there.
pub(super) enum Made {
    /// By this call.
    Now,
    /// It was there.
    Before,
}

/// The zone's API.
#[derive(Debug)]
pub(super) struct Api {
    http: Client,
    base: String,
    records: String,
    token: SecretString,
    quiet: Quiet,
}

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    success: bool,
    #[serde(default)]
    errors: Vec<Fault>,
    #[serde(default)]
    result: Value,
    #[serde(default)]
    result_info: Option<Pages>,
}

#[derive(Deserialize)]
struct Fault {
    #[serde(default)]
    code: u32,
    #[serde(default)]
    message: String,
}

#[derive(Deserialize)]
struct Pages {
    total_pages: u32,
    total_count: usize,
}

/// What an answer means, if it is no success.
enum Refusal {
    Code(u32),
    Error(EdgeError),
}

impl From<Refusal> for EdgeError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Error(error) => error,
            Refusal::Code(code) => {
                Self::Refused { part: PART, status: 400, message: format!("error {code}") }
            }
        }
    }
}

impl Api {
    pub(super) fn new(zone: &CloudflareZone, clock: Arc<dyn Clock>) -> Result<Self, EdgeError> {
        let http = Client::builder()
            .connect_timeout(CONNECT_DEADLINE)
            .timeout(DEADLINE)
            .build()
            .map_err(|error| EdgeError::Unreachable(chain(&error)))?;
        let base = zone.url.trim_end_matches('/').to_owned();
        let records = format!("/zones/{}/dns_records", zone.zone_id);
        Ok(Self { http, base, records, token: zone.token.clone(), quiet: Quiet::new(PART, clock) })
    }

    /// Every record that the filter lets through: all pages, or an error.
    pub(super) async fn list(&self, filter: &[(&str, &str)]) -> Result<Vec<Record>, EdgeError> {
        let incomplete = |reason: String| EdgeError::Incomplete { part: PART, reason };
        let (mut all, mut ids, mut expected) = (Vec::new(), HashSet::new(), None);
        for page in 1..=MAX_PAGES {
            let (page_text, per_page) = (page.to_string(), PER_PAGE.to_string());
            let mut query = vec![("page", page_text.as_str()), ("per_page", &per_page), ("order", "name")];
            query.extend_from_slice(filter);
            let answer = self.call(Method::GET, "", &query, None).await?;
            let pages = answer
                .result_info
                .ok_or_else(|| incomplete("a page does not say how many there are".to_owned()))?;
            let records: Vec<Record> = serde_json::from_value(answer.result)
                .map_err(|error| incomplete(format!("page {page} cannot be read: {error}")))?;
            if *expected.get_or_insert(pages.total_count) != pages.total_count {
                return Err(incomplete(format!("the zone changed while page {page} was read")));
            }
            let empty = records.is_empty();
            all.extend(records.into_iter().filter(|record| ids.insert(record.id.clone())));
            if page >= pages.total_pages || empty {
                break;
            }
        }
        match expected {
            Some(count) if count != all.len() => {
                Err(incomplete(format!("{} of {count} records came", all.len())))
            }
            _ => Ok(all),
        }
    }

    pub(super) async fn create(&self, record: &DnsRecord, mark: &Mark) -> Result<Made, EdgeError> {
        match self.call(Method::POST, "", &[], Some(record::body(record, &mark.to_string()))).await {
            Ok(_) => Ok(Made::Now),
            Err(Refusal::Code(IDENTICAL | ALREADY_THERE)) => Ok(Made::Before),
            Err(refusal) => Err(refusal.into()),
        }
    }

    /// Changes a record in place: its name never stops to resolve.
    pub(super) async fn update(&self, id: &str, record: &DnsRecord, mark: &Mark) -> Result<(), EdgeError> {
        let body = record::body(record, &mark.to_string());
        Ok(self.call(Method::PATCH, &format!("/{id}"), &[], Some(body)).await.map(drop)?)
    }

    pub(super) async fn delete(&self, id: &str) -> Result<(), EdgeError> {
        match self.call(Method::DELETE, &format!("/{id}"), &[], None).await {
            Ok(_) | Err(Refusal::Code(GONE)) => Ok(()),
            Err(refusal) => Err(refusal.into()),
        }
    }

    /// When the token ends (`GET /user/tokens/verify`); `None` for one that does not, and for one of an account, which cannot
    /// be asked for here.
    pub(super) async fn token_ends_at(&self) -> Option<DateTime<Utc>> {
        let answer = self.call_at(Method::GET, "/user/tokens/verify", &[], None).await.ok()?;
        serde_json::from_value(answer.result.get("expires_on")?.clone()).ok()
    }

    async fn call(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, &str)],
        body: Option<Value>,
    ) -> Result<Answer, Refusal> {
        self.call_at(method, &format!("{}{path}", self.records), query, body).await
    }

    async fn call_at(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, &str)],
        body: Option<Value>,
    ) -> Result<Answer, Refusal> {
        self.quiet.check().map_err(Refusal::Error)?;
        let away = |error: &reqwest::Error| {
            Refusal::Error(EdgeError::Unreachable(format!("{PART}: {}", chain(error))))
        };
        let mut request = self.http.request(method, format!("{}{path}", self.base)).query(query);
        request = request.bearer_auth(self.token.expose_secret());
        if let Some(body) = body {
            request = request.json(&body);
        }
        let response = request.send().await.map_err(|error| away(&error))?;
        let (status, retry_after) = (response.status(), retry_after(response.headers()));
        let bytes = read_bounded(response, MAX_ANSWER)
            .await
            .map_err(|error| Refusal::Error(EdgeError::Unreachable(format!("{PART}: {error}"))))?;
        let answer: Option<Answer> = serde_json::from_slice(&bytes).ok();
        match answer {
            Some(answer) if status.is_success() && answer.success => Ok(answer),
            answer => Err(self.refused(status, retry_after, answer)),
        }
    }

    fn refused(&self, status: StatusCode, retry_after: Option<Duration>, answer: Option<Answer>) -> Refusal {
        let faults = answer.map(|answer| answer.errors).unwrap_or_default();
        let has = |code| faults.iter().any(|fault| fault.code == code);
        let messages: Vec<_> = faults.iter().map(|it| format!("{} {}", it.code, it.message)).collect();
        let message = on_one_line(&messages.join("; "));
        if status == StatusCode::TOO_MANY_REQUESTS || has(LIMITED) {
            return Refusal::Error(self.quiet.keep(retry_after));
        }
        if status.is_server_error() || status == StatusCode::REQUEST_TIMEOUT || status.is_success() {
            return Refusal::Error(EdgeError::Unreachable(format!("{PART} answered {status} {message}")));
        }
        if has(QUOTA) {
            return Refusal::Error(EdgeError::QuotaReached { part: PART, message });
        }
        if let Some(code) = [IDENTICAL, ALREADY_THERE, GONE].into_iter().find(|code| has(*code)) {
            return Refusal::Code(code);
        }
        if status == StatusCode::NOT_FOUND && faults.is_empty() {
            return Refusal::Code(GONE);
        }
        Refusal::Error(EdgeError::Refused { part: PART, status: status.as_u16(), message })
    }
}
