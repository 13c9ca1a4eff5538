//! Every service over HTTP at one address: each spoiled by the faults in force, each call to one that can be changed kept, and
//! one page that shows what was received.

use std::path::Path;

use axum::{
    Json, Router,
    body::Body,
    extract::{Request, State},
    http::{HeaderValue, StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse as _, Response},
    routing::get,
};
use serde_json::json;

use crate::{
    artifacts, body,
    calls::{self, Calls},
    cloudflare::{self, Zone},
    discord::{self, Discord},
    faults::{self, Faults, Kind},
    page,
    smtp::{self, Smtp},
    stripe::{self, Stripe},
    technitium::{self, DnsServer},
    velocity::{self, Proxy},
};

/// What the services hold that can be changed. Clones share it.
#[derive(Clone)]
pub(crate) struct Services {
    pub(crate) zone: Zone,
    pub(crate) proxy: Proxy,
    pub(crate) dns_server: DnsServer,
    pub(crate) discord: Discord,
    pub(crate) smtp: Smtp,
    pub(crate) stripe: Stripe,
}

/// All of it.
pub(crate) fn router(folder: &Path, held: Services) -> Router {
    let (faults, calls) = (Faults::default(), Calls::default());
    let services = Router::new()
        .nest("/cloudflare", cloudflare::router(held.zone.clone()))
        .nest("/discord", discord::router(held.discord.clone()))
        .nest("/smtp", smtp::router(held.smtp.clone()))
        .nest("/stripe", stripe::router(held.stripe.clone()))
        .nest("/velocity", velocity::router(held.proxy.clone()))
        .nest("/technitium", technitium::router(held.dns_server.clone()))
        .layer(middleware::from_fn_with_state(calls.clone(), calls::record))
        .fallback_service(artifacts::service(folder))
        .layer(middleware::from_fn_with_state(faults.clone(), spoil));
    let own = Router::new()
        .route("/", get(page::show))
        .with_state((held, calls.clone()))
        .route("/healthz", get(async || "ok\n"))
        .merge(Router::new().route("/_calls", get(calls::list).delete(calls::clear)).with_state(calls))
        .merge(
            Router::new()
                .route("/_faults", get(faults::list).post(faults::add).delete(faults::clear))
                .with_state(faults),
        );
    own.fallback_service(services)
}

async fn spoil(State(faults): State<Faults>, request: Request, next: Next) -> Response {
    let Some(fault) = faults.take(request.uri().path()) else { return next.run(request).await };
    match fault.kind {
        Kind::NotFound => StatusCode::NOT_FOUND.into_response(),
        Kind::Status => refused(request.uri().path(), fault.status, fault.retry_after),
        Kind::Lost => {
            let path = request.uri().path().to_owned();
            drop(next.run(request).await);
            refused(&path, fault.status, fault.retry_after)
        }
        Kind::Late => {
            tokio::time::sleep(std::time::Duration::from_millis(fault.delay_ms)).await;
            next.run(request).await
        }
        _ => {
            let response = next.run(request).await;
            if response.status().is_success() { body::spoil(response, &fault) } else { response }
        }
    }
}

/// In the words of the service that is below the path: Stripe's, or Cloudflare's for all others.
fn refused(path: &str, status: u16, retry_after: Option<u32>) -> Response {
    const MESSAGE: &str = "The sandbox was told to say this.";
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY);
    let body = if path.starts_with("/stripe/") {
        stripe::refusal(status, MESSAGE)
    } else {
        let errors = json!([{ "code": u32::from(status.as_u16()), "message": MESSAGE }]);
        json!({ "success": false, "errors": errors, "result": null })
    };
    let mut response = (status, Json(body)).into_response();
    if let Some(seconds) = retry_after {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    if status.is_server_error() {
        // A gateway's page, not the service's own answer.
        *response.body_mut() = Body::from("<html>Bad gateway</html>");
    }
    response
}
