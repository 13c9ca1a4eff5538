//! Who may call.

use chrono::{TimeDelta, Utc};
use domain::{
    agent::Scope,
    ids::InstanceId,
    token::{Signer, generate_key},
};
use reqwest::{Method, StatusCode};

use crate::support::{ALL_SCOPES, TestAgent, write_bundle};

async fn ask(
    agent: &TestAgent,
    method: &Method,
    path: &str,
    authorization: Option<String>,
) -> (StatusCode, String) {
    let mut request = agent.client.request(method.clone(), format!("{}{path}", agent.url));
    if let Some(value) = authorization {
        request = request.header("authorization", value);
    }
    let response = request.send().await.unwrap();
    let status = response.status();
    let body: serde_json::Value = response.json().await.unwrap_or_default();
    (status, body["code"].as_str().unwrap_or_default().to_owned())
}

/// Every way of not being allowed, with the status it has to have.
fn refused(agent: &TestAgent, scope: Scope) -> Vec<(String, Option<String>, StatusCode)> {
    let (unknown, forbidden) = (StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN);
    let instance = agent.bundle.instance_id;
    let bearer = |token: String| Some(format!("Bearer {token}"));
    let now = Utc::now();
    let stranger = Signer::from_base64("provision-worker", &generate_key().unwrap()).unwrap();
    let mut cases = vec![
        ("no header".to_owned(), None, unknown),
        ("empty header".to_owned(), Some(String::new()), unknown),
        ("empty token".to_owned(), Some("Bearer ".into()), unknown),
        ("garbage".to_owned(), Some("Bearer a.b.c".into()), unknown),
        ("another scheme".to_owned(), Some(format!("Basic {}", agent.token(scope))), unknown),
        (
            "expired".to_owned(),
            bearer(agent.signer.sign(instance, scope, now - TimeDelta::seconds(61))),
            unknown,
        ),
        (
            "from the future".to_owned(),
            bearer(agent.signer.sign(instance, scope, now + TimeDelta::minutes(5))),
            unknown,
        ),
        ("another key".to_owned(), bearer(stranger.sign(instance, scope, now)), unknown),
        (
            "another instance".to_owned(),
            bearer(agent.signer.sign(InstanceId::generate(), scope, now)),
            forbidden,
        ),
    ];
    for other in ALL_SCOPES.into_iter().filter(|other| *other != scope) {
        cases.push((format!("scope {other:?}"), bearer(agent.token(other)), forbidden));
    }
    cases
}

#[tokio::test]
async fn every_route_refuses_whatever_is_not_a_fresh_token_for_it() {
    let agent = TestAgent::start();
    let table = agent::api::routes();
    assert!(table.infos().len() >= 5);
    for route in table.infos() {
        for (case, authorization, expected) in refused(&agent, route.scope) {
            let (status, code) = ask(&agent, &route.method, route.path, authorization).await;
            assert_eq!(status, expected, "{} {} with {case}", route.method, route.path);
            assert!(code.starts_with("token_"), "{} {} with {case}: {code}", route.method, route.path);
        }
        let allowed = Some(format!("Bearer {}", agent.token(route.scope)));
        let (status, code) = ask(&agent, &route.method, route.path, allowed).await;
        assert!(!code.starts_with("token_"), "{} {} with its own token: {status}", route.method, route.path);
    }
}

#[tokio::test]
async fn what_is_not_a_route_is_hidden_from_strangers() {
    let agent = TestAgent::start();
    let token = Some(format!("Bearer {}", agent.token(Scope::Power)));
    for path in ["/", "/v1", "/v1/secrets", "/v1/status/", "/metrics", "/healthz"] {
        assert_eq!(ask(&agent, &Method::GET, path, None).await.0, StatusCode::UNAUTHORIZED, "{path}");
        assert_eq!(ask(&agent, &Method::GET, path, token.clone()).await.0, StatusCode::NOT_FOUND, "{path}");
    }
    for method in [Method::DELETE, Method::GET, Method::OPTIONS, Method::HEAD] {
        assert_eq!(ask(&agent, &method, "/v1/power", None).await.0, StatusCode::UNAUTHORIZED, "{method}");
        assert_eq!(ask(&agent, &method, "/v1/power", token.clone()).await.0, StatusCode::METHOD_NOT_ALLOWED);
    }
    assert_eq!(ask(&agent, &Method::HEAD, "/v1/status", None).await.0, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_key_without_the_scope_is_refused_even_if_its_token_claims_it() {
    let mut agent = TestAgent::start();
    agent.kill();
    agent.bundle.keys[0].scopes = vec![Scope::Observe];
    write_bundle(agent.root.path(), &agent.bundle);
    agent.boot_again();
    for route in agent::api::routes().infos() {
        let token = Some(format!("Bearer {}", agent.token(route.scope)));
        let (status, _) = ask(&agent, &route.method, route.path, token).await;
        let allowed = route.scope == Scope::Observe;
        assert_eq!(status == StatusCode::FORBIDDEN, !allowed, "{} {}", route.method, route.path);
    }
}

#[tokio::test]
async fn a_repeated_authorization_header_is_refused() {
    let agent = TestAgent::start();
    let request =
        agent.client.get(format!("{}/v1/status", agent.url)).bearer_auth(agent.token(Scope::Observe));
    let response = request.header("authorization", "Bearer x").send().await.unwrap();
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
}
