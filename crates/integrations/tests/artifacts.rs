//! The artifact client against an HTTP server of the test's own.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{Router, http::StatusCode, routing::get};
use integrations::artifacts::{ArtifactError, ArtifactSource, HttpArtifacts};

const CATALOG: &str =
    r#"{"games": [{"id": "minecraft", "variants": [{"id": "paper", "versions": ["1.21", "1.20"]}]}]}"#;
const LONG: Duration = Duration::from_mins(10);

async fn serve(app: Router) -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await });
    addr
}

async fn source(app: Router) -> HttpArtifacts {
    HttpArtifacts::new(&format!("http://{}/base/", serve(app).await), LONG).unwrap()
}

fn manifest(name: &str, sha256: &str) -> String {
    serde_json::json!({"files": [{"name": name, "sha256": sha256, "size": 3}]}).to_string()
}

#[tokio::test]
async fn the_catalogue_is_asked_for_once_within_its_time() {
    let asked = Arc::new(AtomicUsize::new(0));
    let counter = asked.clone();
    let handler = get(move || async move {
        counter.fetch_add(1, Ordering::SeqCst);
        CATALOG
    });
    let source = source(Router::new().route("/base/_catalog.json", handler)).await;
    let (first, second) = tokio::join!(source.catalog(), source.catalog());
    assert_eq!(first.unwrap(), second.unwrap());
    let catalog = source.catalog().await.unwrap();
    assert_eq!(catalog.versions("minecraft", "paper").unwrap(), ["1.21", "1.20"]);
    assert!(catalog.versions("minecraft", "spigot").is_none());
    assert_eq!(asked.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_missing_version_an_absent_source_and_a_broken_one_are_told_apart() {
    let broken = get(|| async { StatusCode::BAD_GATEWAY });
    let source = source(Router::new().route("/base/minecraft/paper/1.20/manifest.json", broken)).await;
    assert_eq!(source.manifest("minecraft", "paper", "1.21").await.unwrap(), None);
    assert!(source.manifest("minecraft", "paper", "1.20").await.unwrap_err().is_transient());

    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let absent = HttpArtifacts::new(&format!("http://{gone}"), LONG).unwrap();
    assert!(absent.manifest("minecraft", "paper", "1.21").await.unwrap_err().is_transient());
    assert!(absent.catalog().await.unwrap_err().is_transient());
}

#[tokio::test]
async fn a_manifest_is_checked_before_it_is_believed() {
    let good = "ab".repeat(32);
    let bodies = [
        manifest("server.jar", &good),
        manifest("../server.jar", &good),
        manifest("a/b", &good),
        manifest("server.jar", &good[1..]),
        manifest("server.jar", &good.to_uppercase()),
        "{".into(),
    ];
    for (n, body) in bodies.into_iter().enumerate() {
        let route = "/base/minecraft/paper/1.21/manifest.json";
        let source = source(Router::new().route(route, get(|| async { body }))).await;
        let answer = source.manifest("minecraft", "paper", "1.21").await;
        match n {
            0 => assert_eq!(answer.unwrap().unwrap().file("server.jar").unwrap().size, 3),
            _ => assert!(matches!(answer, Err(ArtifactError::Invalid(_))), "body {n}: {answer:?}"),
        }
    }
}

#[tokio::test]
async fn an_endless_answer_is_cut_off() {
    let endless = get(|| async { "x".repeat(5 << 20) });
    let source = source(Router::new().route("/base/_catalog.json", endless)).await;
    assert!(matches!(source.catalog().await, Err(ArtifactError::Invalid(_))));
}

#[test]
fn addresses_are_escaped_and_stay_below_the_base() {
    let source = HttpArtifacts::new("https://artifacts.example/base", LONG).unwrap();
    let url = source.url("minecraft", "paper", "1.21 #1?", "server%.jar").unwrap();
    assert_eq!(url, "https://artifacts.example/base/minecraft/paper/1.21%20%231%3F/server%25.jar");
    for bad in ["", ".", "..", "a/b", "a\\b", "a\nb", &"a".repeat(256)] {
        assert!(matches!(source.url("minecraft", bad, "1", "f"), Err(ArtifactError::BadName(_))), "{bad:?}");
    }
    // An escape of an escape would be undone by a careless server, but stays one segment for a URL.
    assert!(source.url("minecraft", "%2e%2e", "1", "f").unwrap().contains("/minecraft/%252e%252e/1/"));
}

#[test]
fn only_a_plain_http_address_is_a_source() {
    for bad in ["", "artifacts", "ftp://host/", "file:///etc", "http://host/?q", "http://host/#f"] {
        assert!(matches!(HttpArtifacts::new(bad, LONG), Err(ArtifactError::BadBase(_))), "{bad:?}");
    }
}
