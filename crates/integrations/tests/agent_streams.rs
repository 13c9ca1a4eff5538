//! The agent client's streams, and the agent's reasons, against a TLS server of the test's own.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{
    Json, Router,
    body::{Body, Bytes},
    extract::{RawQuery, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use axum_server::{Handle, tls_rustls::RustlsConfig};
use domain::{
    agent::{AgentProblem, FileInfo, FileKind},
    clock::ManualClock,
    ids::InstanceId,
    token::{Signer, generate_key},
};
use futures_util::{StreamExt as _, stream};
use integrations::agent::{
    AgentApi as _, AgentClient, AgentError, AgentErrorKind, AgentSession, Fingerprint, Headers,
};

/// Bytes of one piece.
const PIECE: usize = 64 * 1024;
/// Pieces of the large file: far more than anybody buffers.
const PIECES: usize = 1_000;

#[derive(Clone, Default)]
struct Seen {
    /// Pieces that were asked for of an endless file.
    made: Arc<AtomicUsize>,
    received: Arc<AtomicUsize>,
}

fn problem(status: StatusCode, code: &str) -> Response {
    (status, Json(AgentProblem { code: code.into(), detail: "because".into() })).into_response()
}

async fn read(State(seen): State<Seen>, RawQuery(query): RawQuery, headers: HeaderMap) -> Response {
    match query.as_deref() {
        Some("path=large") => {
            let made = move |n| {
                seen.made.fetch_add(1, Ordering::Relaxed);
                (n < PIECES).then(|| (Ok::<_, std::io::Error>(Bytes::from(vec![0; PIECE])), n + 1))
            };
            Body::from_stream(stream::unfold(0, move |n| std::future::ready(made(n)))).into_response()
        }
        Some("path=a%2520b") => {
            assert_eq!(headers[header::RANGE], "bytes=1-2");
            (StatusCode::PARTIAL_CONTENT, [(header::CONTENT_RANGE, "bytes 1-2/9")], "xy").into_response()
        }
        Some("path=same") => StatusCode::NOT_MODIFIED.into_response(),
        Some("path=bare") => StatusCode::NOT_FOUND.into_response(),
        _ => problem(StatusCode::NOT_FOUND, "file_not_found"),
    }
}

async fn write(State(seen): State<Seen>, RawQuery(query): RawQuery, body: Body) -> Response {
    if query.as_deref() == Some("path=full&parents=true") {
        return problem(StatusCode::INSUFFICIENT_STORAGE, "quota_exceeded");
    }
    let mut body = body.into_data_stream();
    while let Some(piece) = body.next().await {
        let Ok(piece) = piece else { return StatusCode::BAD_REQUEST.into_response() };
        seen.received.fetch_add(piece.len(), Ordering::Relaxed);
    }
    let info = FileInfo {
        path: "large".into(),
        name: "large".into(),
        kind: FileKind::File,
        size: seen.received.load(Ordering::Relaxed) as u64,
        mode: 0o644,
        modified_ms: 0,
        etag: None,
        target: None,
    };
    Json(info).into_response()
}

async fn serve() -> (Arc<dyn AgentSession>, Seen) {
    let made = rcgen::generate_simple_self_signed(vec!["agent".into()]).unwrap();
    let shown = Fingerprint::of(made.cert.der());
    let key = rustls::pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    let seen = Seen::default();
    let routes = Router::new()
        .route("/v1/files/content", get(read).put(write))
        .route("/v1/files/stat", get(async || problem(StatusCode::UNPROCESSABLE_ENTITY, "path_absolute")))
        .route("/v1/files/usage", get(async || problem(StatusCode::CONFLICT, "busy")))
        .route("/v1/backup", get(async || problem(StatusCode::NOT_FOUND, "no_task")))
        .with_state(seen.clone());
    let handle = Handle::new();
    let server = axum_server::bind_rustls(
        SocketAddr::from(([127, 0, 0, 1], 0)),
        RustlsConfig::from_config(Arc::new(config)),
    )
    .handle(handle.clone());
    tokio::spawn(server.serve(routes.into_make_service()));
    let addr = handle.listening().await.unwrap();
    let signer = Arc::new(Signer::from_base64("zpack-api", &generate_key().unwrap()).unwrap());
    let client = AgentClient::new(
        signer,
        Arc::new(ManualClock::new(chrono::DateTime::from_timestamp(1_800_000_000, 0).unwrap())),
    );
    (client.connect(addr, InstanceId::generate(), &shown).unwrap(), seen)
}

#[tokio::test]
async fn a_file_is_read_as_fast_as_it_is_taken_and_no_faster() {
    let (session, seen) = serve().await;
    let mut content = session.file_get("large", Headers::new()).await.unwrap();
    let mut taken = content.body.next().await.unwrap().unwrap().len();
    // Until nothing moves any more: whatever lies between is full.
    let mut made = 0;
    loop {
        tokio::time::sleep(Duration::from_millis(200)).await;
        let now = seen.made.load(Ordering::Relaxed);
        if now == made {
            break;
        }
        made = now;
    }
    assert!(made < PIECES, "all {PIECES} pieces lie in memory somewhere");
    while let Some(piece) = content.body.next().await {
        taken += piece.unwrap().len();
    }
    assert_eq!(taken, PIECES * PIECE);
}

#[tokio::test]
async fn a_file_is_written_from_a_stream_and_one_that_breaks_off_is_not_sent_as_if_it_were_whole() {
    let (session, seen) = serve().await;
    let pieces = (0..PIECES).map(|_| Ok(Bytes::from(vec![0; PIECE])));
    let info = session.file_put("large", false, Headers::new(), stream::iter(pieces).boxed()).await.unwrap();
    assert_eq!(info.size, (PIECES * PIECE) as u64);
    seen.received.store(0, Ordering::Relaxed);
    let broken = [Ok(Bytes::from_static(b"some")), Err(std::io::ErrorKind::BrokenPipe.into())];
    let error =
        session.file_put("large", false, Headers::new(), stream::iter(broken).boxed()).await.unwrap_err();
    assert_eq!(error.kind(), AgentErrorKind::Unreachable, "{error}");
}

#[tokio::test]
async fn ranges_and_what_has_not_changed_come_through_and_names_arrive_as_they_are() {
    let (session, _) = serve().await;
    let mut headers = Headers::new();
    headers.insert(header::RANGE, "bytes=1-2".parse().unwrap());
    let mut part = session.file_get("a%20b", headers).await.unwrap();
    assert_eq!((part.status, part.headers[header::CONTENT_RANGE].to_str().unwrap()), (206, "bytes 1-2/9"));
    assert_eq!(part.body.next().await.unwrap().unwrap(), "xy");
    assert_eq!(session.file_get("same", Headers::new()).await.unwrap().status, 304);
}

#[tokio::test]
async fn the_agents_reasons_come_through_and_answers_without_one_are_no_reasons() {
    let (session, _) = serve().await;
    let reason = |error: AgentError| match error {
        AgentError::Rejected { status, code, detail } => (status, code, detail),
        other => panic!("{other}"),
    };
    let because = |status, code: &str| (status, code.to_owned(), "because".to_owned());
    let missing = session.file_get("none", Headers::new()).await.unwrap_err();
    assert_eq!(reason(missing), because(404, "file_not_found"));
    assert_eq!(reason(session.file_stat("/x").await.unwrap_err()), because(422, "path_absolute"));
    let full = session.file_put("full", true, Headers::new(), stream::empty().boxed()).await;
    assert_eq!(reason(full.unwrap_err()), because(507, "quota_exceeded"));
    assert_eq!(session.files_usage().await.unwrap_err().kind(), AgentErrorKind::Conflict);
    let bare = session.file_get("bare", Headers::new()).await.unwrap_err();
    assert_eq!(bare.kind(), AgentErrorKind::Protocol);
    assert_eq!(session.backup_status(None, Duration::ZERO).await.unwrap(), None);
}
