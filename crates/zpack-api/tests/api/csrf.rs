//! Requests that other sites make a browser send.

use reqwest::Method;
use serde_json::json;

use crate::support::{World, order};

fn unsafe_operations() -> Vec<(Method, String)> {
    let document = serde_json::to_value(zpack_api::router::description()).unwrap();
    let paths = document["paths"].as_object().unwrap().clone();
    let all = paths.into_iter().flat_map(|(path, item)| {
        let methods: Vec<String> = item.as_object().unwrap().keys().cloned().collect();
        methods.into_iter().map(move |method| (method.to_uppercase().parse().unwrap(), path.clone()))
    });
    all.filter(|(method, _): &(Method, String)| *method != Method::GET).collect()
}

#[tokio::test]
async fn no_unsafe_request_of_another_site_reaches_a_handler() {
    let world = World::start().await;
    let client = world.customer("ada").await;
    let operations = unsafe_operations();
    assert!(operations.len() >= 10);
    for (method, path) in operations {
        for (header, value) in [
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-site", "same-site"),
            ("origin", "https://evil.example"),
            ("origin", "null"),
            ("x-nothing", "neither header"),
        ] {
            let mut browser = world.anonymous();
            let request =
                browser.request(method.clone(), &path).header("cookie", client.cookie.as_ref().unwrap());
            let answer = browser.send(request.header(header, value)).await;
            assert_eq!(
                (answer.status.as_u16(), answer.code().as_str()),
                (403, "csrf_rejected"),
                "{method} {path} {value}"
            );
            browser.cookie = None;
        }
    }
    client.get("/api/me").await.expect(200);
}

#[tokio::test]
async fn the_site_itself_is_recognised_by_either_header() {
    let world = World::start().await;
    let client = world.customer("ada").await;
    let body = json!({ "name": "ci", "scopes": ["account:read"], "expires_at": world.in_days(1) });
    for (header, value) in [("sec-fetch-site", "same-origin"), ("origin", "http://127.0.0.1:8080")] {
        let browser = world.anonymous();
        let request = browser.request(Method::POST, "/api/api-keys").json(&body);
        let request = request.header("cookie", client.cookie.as_ref().unwrap()).header(header, value);
        browser.send(request).await.expect(201);
    }
}

#[tokio::test]
async fn a_client_that_forgot_to_say_where_it_comes_from_is_told_how() {
    let world = World::start().await;
    let cookie = world.customer("ada").await.cookie.unwrap();
    let client = world.anonymous();
    let log_out = || client.request(Method::POST, "/api/auth/logout").header("cookie", &cookie);
    let answer = client.send(log_out()).await.expect_problem(403, "csrf_rejected");
    assert!(answer.text.contains("send Origin: http://127.0.0.1:8080, or use an API key"), "{}", answer.text);
    let foreign = log_out().header("origin", "https://evil.example");
    let answer = client.send(foreign).await.expect_problem(403, "csrf_rejected");
    assert!(answer.text.contains("another site made this request"), "{}", answer.text);
}

#[tokio::test]
async fn another_site_cannot_sign_a_visitor_in_as_somebody_else() {
    let world = World::start().await;
    world.customer("mallory").await;
    let browser = world.anonymous();
    let body = json!({ "email": "mallory@example.org", "password": crate::support::PASSWORD });
    let request =
        browser.request(Method::POST, "/api/auth/login").json(&body).header("sec-fetch-site", "cross-site");
    browser.send(request).await.expect_problem(403, "csrf_rejected");
}

#[tokio::test]
async fn scripts_with_keys_and_safe_requests_are_not_asked() {
    let world = World::start().await;
    world.node("one", 1).await;
    let client = world.customer("ada").await;
    let script = client.make_key(&["instances:write"], &world.in_days(1)).await;
    script.create("k", &order("Mine")).await.expect(202);
    let browser = world.anonymous();
    let link = browser.request(Method::GET, "/api/me").header("cookie", client.cookie.as_ref().unwrap());
    browser.send(link.header("sec-fetch-site", "cross-site")).await.expect(200);
}
