//! Routes that Traefik has not taken up, against an API as its.

use std::sync::{Arc, Mutex};

use axum::{Json, Router, http::StatusCode, routing::get};
use runtime::clock::SystemClock;
use serde_json::Value;
use store::controller as rows;
use zlh_controller::{
    config::ControllerSection,
    pass::{Controller, Memory},
    routes::Routes,
};

use super::{Fleet, id};

/// A Traefik's API with these TCP routers, on a port of its own. Without any it is not well.
async fn traefik(tcp: Arc<Mutex<Option<Value>>>) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let tcp = move || async move {
        let routers = tcp.lock().unwrap().clone();
        routers.map(Json).ok_or(StatusCode::INTERNAL_SERVER_ERROR)
    };
    let none = async || Json(serde_json::json!([]));
    let router = Router::new()
        .route("/api/tcp/routers", get(tcp))
        .route("/api/http/routers", get(none))
        .route("/api/udp/routers", get(none));
    tokio::spawn(async move { axum::serve(listener, router).await });
    format!("http://{address}")
}

#[tokio::test]
async fn a_route_that_traefik_has_not_taken_up_is_found_and_a_traefik_that_is_away_says_nothing_of_any() {
    let mut fleet = Fleet::new(3).await;
    let of = |n: u16, provider: &str, status: &str| serde_json::json!({ "name": format!("zlh-{}-game@{provider}", id(n)), "status": status, "provider": provider });
    // One is of another provider, one is disabled.
    let all = [of(1, "http", "enabled"), of(2, "file", "enabled"), of(3, "http", "disabled")];
    let served = Arc::new(Mutex::new(Some(Value::from(all.to_vec()))));
    let traefik_api_url = traefik(served.clone()).await;
    let section = ControllerSection { traefik_api_url, pass_seconds: 0, ..ControllerSection::default() };
    let routes = Routes::open(&section, Arc::new(SystemClock)).unwrap();
    fleet.controller =
        Controller::new(fleet.db.clone(), fleet.edge.clone(), &section, true).with_routes(routes);
    let term = rows::begin_term(&fleet.db, "test").await.unwrap();
    let mut memory = Memory::default();
    let mut found = async || {
        fleet.controller.pass(term, &mut memory).await.unwrap();
        let open = rows::list(&fleet.db, false, 10).await.unwrap();
        let mut open: Vec<_> = open
            .iter()
            .map(|it| format!("{} {}", it.rule, it.hostname.as_deref().unwrap_or(&it.subject)))
            .collect();
        open.sort();
        open
    };
    assert_eq!(found().await, ["route_missing server-2", "route_missing server-3"]);
    *served.lock().unwrap() = None;
    assert_eq!(
        found().await,
        ["edge_unreachable traefik", "route_missing server-2", "route_missing server-3"]
    );
    let right: Vec<_> = (1..=3).map(|n| of(n, "http", "enabled")).collect();
    *served.lock().unwrap() = Some(Value::from(right));
    assert_eq!(found().await, [""; 0]);
}
