//! The API's description: what the router's handlers say of themselves, and what is true of all of them.

mod problems;

use axum::http::StatusCode;
use utoipa::{
    OpenApi,
    openapi::{
        RefOr,
        path::{Operation, PathItem},
        security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme},
    },
};

use crate::problem;

/// What no handler says.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "ZLH",
        description = "Game servers and workspaces. Errors are problem details (RFC 9457) with a stable `code`. \
                       Times are RFC 3339 UTC. Lists begin with the newest and go on with `cursor`.",
        license(name = "AGPL-3.0-only", identifier = "AGPL-3.0-only")
    ),
    components(schemas(problem::Body, problem::FieldError)),
    tags(
        (name = "account", description = "Accounts, signing in, API keys"),
        (name = "catalogue", description = "What can be ordered"),
        (name = "instances", description = "Servers"),
        (name = "operations", description = "Durable work on servers"),
        (name = "notes", description = "A text for the account and one for each server"),
        (name = "schedules", description = "What is done to servers at set times"),
        (name = "console", description = "What servers print, and typing into them"),
        (name = "files", description = "Servers' files"),
        (name = "backups", description = "Copies of servers' files"),
        (name = "events", description = "What happens, as it happens"),
        (name = "operator", description = "For those who run the installation")
    )
)]
pub struct Base;

/// Adds what is true of every operation: how callers are recognised, and what an error looks like.
pub fn complete(mut document: utoipa::openapi::OpenApi) -> utoipa::openapi::OpenApi {
    let components = document.components.get_or_insert_default();
    let cookie = ApiKey::Cookie(ApiKeyValue::with_description(
        "zlh_session",
        "The session cookie; `__Host-zlh_session` on https. Unsafe requests must come from the same origin.",
    ));
    components.add_security_scheme("session", SecurityScheme::ApiKey(cookie));
    let bearer = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .description(Some("An API key (`zlh_…`) with the scopes that an operation names."))
        .build();
    components.add_security_scheme("api_key", SecurityScheme::Http(bearer));
    for item in document.paths.paths.values_mut() {
        for (changes, operation) in operations(item) {
            describe_successes(operation);
            problems::describe(operation, changes);
        }
    }
    document
}

/// The operations of a path, and whether each changes something.
fn operations(item: &mut PathItem) -> impl Iterator<Item = (bool, &mut Operation)> {
    let changing = [&mut item.post, &mut item.put, &mut item.patch, &mut item.delete];
    let all = changing.into_iter().map(|it| (true, it)).chain([(false, &mut item.get)]);
    all.filter_map(|(changes, it)| Some((changes, it.as_mut()?)))
}

/// OpenAPI 3.1 wants a description of each response; most successes have nothing to add to their status.
fn describe_successes(operation: &mut Operation) {
    for (status, response) in &mut operation.responses.responses {
        if let RefOr::T(response) = response
            && response.description.is_empty()
        {
            let status = status.parse::<StatusCode>().ok();
            let reason = status.and_then(|it| it.canonical_reason()).unwrap_or("Success");
            reason.clone_into(&mut response.description);
        }
    }
}
