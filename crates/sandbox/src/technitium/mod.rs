//! A stand-in for the records of one zone at a Technitium DNS server, version 15. Bad news comes with status 200; adding what
//! exists and deleting what does not is answered well; records have no ids.

mod record;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use axum::{
    Form, Json, Router,
    extract::{Request, State},
    http::header,
    middleware::{self, Next},
    response::{IntoResponse as _, Response},
    routing::get,
};
use serde_json::{Value, json};

pub(crate) use record::Record;

/// Parameters of a call, from its address or its form.
type Parameters = HashMap<String, String>;

/// The server. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct DnsServer {
    zone: Arc<str>,
    token: Arc<str>,
    records: Arc<Mutex<Vec<Record>>>,
}

impl DnsServer {
    /// With an empty zone.
    pub(crate) fn new(zone: &str, token: &str) -> Self {
        let zone = zone.trim_end_matches('.').to_lowercase();
        Self { zone: zone.into(), token: token.into(), records: Arc::default() }
    }

    /// Every record.
    pub(crate) fn all(&self) -> Vec<Record> {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Record>> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The name that a call is about, in the zone that it is about.
    fn name_in_zone(&self, parameters: &Parameters) -> Result<String, String> {
        let of = |key: &str| parameters.get(key).map(|it| it.trim_end_matches('.').to_lowercase());
        let name = of("domain").filter(|it| !it.is_empty()).ok_or("Parameter 'domain' missing.")?;
        let zone = of("zone").unwrap_or_else(|| self.zone.to_string());
        let within = name == *self.zone || name.ends_with(&format!(".{}", self.zone));
        if zone == *self.zone && within { Ok(name) } else { Err(format!("No such zone was found: {zone}")) }
    }

    fn shown_zone(&self) -> Value {
        json!({ "name": &*self.zone, "type": "Primary", "internal": false, "dnssecStatus": "Unsigned", "disabled": false })
    }
}

/// The API, to be nested at `/technitium`.
pub(crate) fn router(server: DnsServer) -> Router {
    let records = "/api/zones/records";
    Router::new()
        .route(&format!("{records}/get"), get(list).post(list))
        .route(&format!("{records}/add"), get(add).post(add))
        .route(&format!("{records}/delete"), get(delete).post(delete))
        .layer(middleware::from_fn_with_state(server.clone(), authenticate))
        .with_state(server)
}

async fn authenticate(State(server): State<DnsServer>, request: Request, next: Next) -> Response {
    let given =
        request.headers().get(header::AUTHORIZATION).and_then(|it| it.to_str().ok()?.strip_prefix("Bearer "));
    if given != Some(&*server.token) {
        let body = json!({ "status": "invalid-token", "errorMessage": "Invalid token or session expired." });
        return Json(body).into_response();
    }
    next.run(request).await
}

fn answer(outcome: Result<Value, String>) -> Json<Value> {
    Json(match outcome {
        Ok(response) => json!({ "response": response, "status": "ok" }),
        Err(message) => {
            json!({ "status": "error", "errorMessage": message, "stackTrace": "   at the sandbox" })
        }
    })
}

async fn list(State(server): State<DnsServer>, Form(parameters): Form<Parameters>) -> Json<Value> {
    answer(server.name_in_zone(&parameters).map(|name| {
        let whole = parameters.get("listZone").is_some_and(|it| it == "true");
        let found = server.all().into_iter().filter(|it| whole || it.name == name);
        let records: Vec<_> = found.map(|it| it.shown()).collect();
        json!({ "zone": server.shown_zone(), "records": records })
    }))
}

async fn add(State(server): State<DnsServer>, Form(parameters): Form<Parameters>) -> Json<Value> {
    let added = || {
        let record = Record::new(server.name_in_zone(&parameters)?, &parameters)?;
        let mut records = server.lock();
        if parameters.get("overwrite").is_some_and(|it| it == "true") {
            records.retain(|it| !it.is_in_set_of(&record));
        }
        if records.iter().any(|it| it.conflicts_with(&record)) {
            return Err("Cannot add record: a CNAME record cannot exist with other records.".to_owned());
        }
        let shown = record.shown();
        if !records.iter().any(|it| it.is_identical(&record)) {
            records.push(record);
        }
        Ok(json!({ "zone": server.shown_zone(), "addedRecord": shown }))
    };
    answer(added())
}

async fn delete(State(server): State<DnsServer>, Form(parameters): Form<Parameters>) -> Json<Value> {
    let deleted = || {
        let record = Record::new(server.name_in_zone(&parameters)?, &parameters)?;
        server.lock().retain(|it| !it.is_identical(&record));
        Ok(json!({}))
    };
    answer(deleted())
}
