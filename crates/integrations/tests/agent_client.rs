//! The agent client against TLS servers of the test's own: whom it believes, and what it makes of answers.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Json, Router,
    extract::{RawQuery, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Redirect},
    routing::{get, post, put},
};
use axum_server::{Handle, tls_rustls::RustlsConfig};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use chrono::{DateTime, Utc};
use domain::{
    agent::{
        AgentProblem, AgentState, AgentStatus, EnrolRequest, EnrolResponse, PowerAction, Scope, TrustBundle,
        enrolment_proof,
    },
    clock::ManualClock,
    ids::InstanceId,
    token::{Signer, generate_key, verify},
};
use integrations::agent::{AgentApi, AgentClient, AgentErrorKind, AgentSession, Fingerprint};

const SECRET: &[u8] = &[7; 32];

/// An agent as far as its client sees one.
#[derive(Clone)]
struct Agent {
    trust: Arc<TrustBundle>,
    /// What it claims to be its certificate; differs from what it shows when somebody stands in between.
    claimed: Fingerprint,
    secret: &'static [u8],
    queries: Arc<Mutex<Vec<String>>>,
}

struct Server {
    addr: SocketAddr,
    shown: Fingerprint,
    agent: Agent,
    handle: Handle<SocketAddr>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.handle.shutdown();
    }
}

struct World {
    signer: Arc<Signer>,
    instance: InstanceId,
    client: AgentClient,
}

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000, 0).unwrap()
}

fn world() -> World {
    let signer = Arc::new(Signer::from_base64("provision-worker", &generate_key().unwrap()).unwrap());
    let client = AgentClient::new(signer.clone(), Arc::new(ManualClock::new(now())));
    World { signer, instance: InstanceId::generate(), client }
}

impl World {
    fn agent(&self, secret: &'static [u8]) -> Agent {
        let scopes = vec![Scope::Enrol, Scope::Observe, Scope::Install];
        let trust = TrustBundle {
            instance_id: self.instance,
            enrolment_secret: STANDARD.encode(secret),
            keys: vec![self.signer.trusted_key(scopes)],
        };
        let claimed = Fingerprint::of(b"set when it is served");
        Agent { trust: Arc::new(trust), claimed, secret, queries: Arc::default() }
    }

    fn session(&self, server: &Server, fingerprint: Fingerprint) -> Arc<dyn AgentSession> {
        self.client.connect(server.addr, self.instance, &fingerprint).unwrap()
    }
}

/// Serves with a certificate of its own; `claimed` replaces what enrolment says of it.
async fn serve(mut agent: Agent, claimed: Option<Fingerprint>) -> Server {
    let made = rcgen::generate_simple_self_signed(vec!["agent".into()]).unwrap();
    let shown = Fingerprint::of(made.cert.der());
    agent.claimed = claimed.unwrap_or(shown);
    serve_with(agent, made, shown).await
}

async fn serve_with(agent: Agent, made: rcgen::CertifiedKey<rcgen::KeyPair>, shown: Fingerprint) -> Server {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let key = rustls::pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let handle = Handle::new();
    let bind = SocketAddr::from(([127, 0, 0, 1], 0));
    let server =
        axum_server::bind_rustls(bind, RustlsConfig::from_config(Arc::new(config))).handle(handle.clone());
    tokio::spawn(server.serve(routes(agent.clone()).into_make_service()));
    let addr = handle.listening().await.unwrap();
    Server { addr, shown, agent, handle }
}

fn routes(agent: Agent) -> Router {
    Router::new()
        .route("/v1/enrol", post(enrol))
        .route("/v1/status", get(status))
        .route("/v1/service", put(|| async { problem(StatusCode::CONFLICT, "running") }))
        .route(
            "/v1/power",
            post(|headers: HeaderMap, State(agent): State<Agent>| async move {
                checked(&agent, &headers, Scope::Power)
                    .err()
                    .unwrap_or_else(|| StatusCode::OK.into_response())
            }),
        )
        .route("/v1/console/tail", get(|| async { "x".repeat(3 << 20) }))
        .with_state(agent)
}

fn problem(status: StatusCode, code: &str) -> axum::response::Response {
    (status, Json(AgentProblem { code: code.into(), detail: "because".into() })).into_response()
}

#[expect(clippy::result_large_err, reason = "a response is what the route answers with")]
fn checked(agent: &Agent, headers: &HeaderMap, scope: Scope) -> Result<(), axum::response::Response> {
    let token = headers["authorization"].to_str().unwrap().strip_prefix("Bearer ").unwrap();
    verify(&agent.trust, token, scope, now()).map_err(|error| {
        let status = if error.is_forbidden() { StatusCode::FORBIDDEN } else { StatusCode::UNAUTHORIZED };
        problem(status, error.code())
    })
}

async fn enrol(
    State(agent): State<Agent>,
    headers: HeaderMap,
    Json(body): Json<EnrolRequest>,
) -> impl IntoResponse {
    checked(&agent, &headers, Scope::Enrol)?;
    let claimed = agent.claimed.to_string();
    let proof = enrolment_proof(agent.secret, agent.trust.instance_id, &body.nonce, &claimed);
    Ok::<_, axum::response::Response>(Json(EnrolResponse { certificate_sha256: claimed, proof }))
}

async fn status(
    State(agent): State<Agent>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> impl IntoResponse {
    checked(&agent, &headers, Scope::Observe)?;
    agent.queries.lock().unwrap().push(query.unwrap_or_default());
    Ok::<_, axum::response::Response>(Json(AgentStatus {
        revision: 7,
        state: AgentState::Idle,
        installed_revision: None,
        error: None,
        install_step: None,
        progress: None,
        crash_count: 0,
        pid: None,
        ready_at: None,
    }))
}

#[tokio::test]
async fn enrolment_pins_the_certificate_of_its_own_connection() {
    let world = world();
    let server = serve(world.agent(SECRET), None).await;
    let fingerprint = world.client.enrol(server.addr, world.instance, SECRET).await.unwrap();
    assert_eq!(fingerprint, server.shown);
    let status = world.session(&server, fingerprint).status(None, Duration::ZERO).await.unwrap();
    assert_eq!(status.revision, 7);
}

#[tokio::test]
async fn an_agent_with_another_secret_is_not_believed() {
    let world = world();
    let server = serve(world.agent(&[8; 32]), None).await;
    let error = world.client.enrol(server.addr, world.instance, SECRET).await.unwrap_err();
    assert_eq!(error.kind(), AgentErrorKind::WrongCertificate);
}

#[tokio::test]
async fn a_relay_with_a_certificate_of_its_own_cannot_pass_on_the_real_proof() {
    let world = world();
    let real = serve(world.agent(SECRET), None).await;
    // Shows its own certificate, and answers with the proof that the real agent would give for the real one.
    let relay = serve(world.agent(SECRET), Some(real.shown)).await;
    let error = world.client.enrol(relay.addr, world.instance, SECRET).await.unwrap_err();
    assert_eq!(error.kind(), AgentErrorKind::WrongCertificate);
}

#[tokio::test]
async fn a_session_talks_to_the_pinned_certificate_only() {
    let world = world();
    let server = serve(world.agent(SECRET), None).await;
    let other = Fingerprint::of(b"another certificate");
    let error = world.session(&server, other).status(None, Duration::ZERO).await.unwrap_err();
    assert_eq!(error.kind(), AgentErrorKind::WrongCertificate, "{error}");
    assert!(server.agent.queries.lock().unwrap().is_empty(), "the token must not have been sent");
}

#[tokio::test]
async fn the_pinned_certificate_without_its_key_is_refused() {
    let world = world();
    let honest = rcgen::generate_simple_self_signed(vec!["agent".into()]).unwrap();
    let pinned = Fingerprint::of(honest.cert.der());
    let stolen = rcgen::CertifiedKey { cert: honest.cert, signing_key: rcgen::KeyPair::generate().unwrap() };
    // rustls itself refuses to serve a key that does not fit, so the thief uses a resolver that does not check.
    let server = serve_unchecked(stolen).await;
    let session = world.client.connect(server, world.instance, &pinned).unwrap();
    let error = session.status(None, Duration::ZERO).await.unwrap_err();
    assert_eq!(error.kind(), AgentErrorKind::WrongCertificate, "{error}");
}

#[derive(Debug)]
struct Thief(Arc<rustls::sign::CertifiedKey>);

impl rustls::server::ResolvesServerCert for Thief {
    fn resolve(&self, _: rustls::server::ClientHello<'_>) -> Option<Arc<rustls::sign::CertifiedKey>> {
        Some(self.0.clone())
    }
}

async fn serve_unchecked(stolen: rcgen::CertifiedKey<rcgen::KeyPair>) -> SocketAddr {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let key = rustls::pki_types::PrivateKeyDer::try_from(stolen.signing_key.serialize_der()).unwrap();
    let key = provider.key_provider.load_private_key(key).unwrap();
    let certified = rustls::sign::CertifiedKey::new(vec![stolen.cert.der().clone()], key);
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(Thief(Arc::new(certified))));
    let handle = Handle::new();
    let bind = SocketAddr::from(([127, 0, 0, 1], 0));
    let server =
        axum_server::bind_rustls(bind, RustlsConfig::from_config(Arc::new(config))).handle(handle.clone());
    tokio::spawn(server.serve(Router::new().route("/v1/status", get(|| async { "{}" })).into_make_service()));
    handle.listening().await.unwrap()
}

#[tokio::test]
async fn each_call_carries_its_own_scope_and_a_refusal_keeps_the_agents_code() {
    let world = world();
    let server = serve(world.agent(SECRET), None).await;
    let session = world.session(&server, server.shown);
    // The trust bundle does not give this key the power scope.
    let error = session.power(PowerAction::Start).await.unwrap_err();
    assert_eq!(error.kind(), AgentErrorKind::Refused);
    assert!(error.to_string().contains("403 token_other_scope"), "{error}");
}

#[tokio::test]
async fn a_conflict_a_long_answer_and_a_silent_port_are_told_apart() {
    let world = world();
    let server = serve(world.agent(SECRET), None).await;
    let session = world.session(&server, server.shown);
    let spec = serde_json::json!({"revision": "r", "install": [], "run": {"argv": ["x"], "stop": {"grace_seconds": 1}},
        "ready": {"probe": {"kind": "tcp", "port": 1}, "deadline_seconds": 1}});
    let spec = serde_json::from_value(spec).unwrap();
    assert_eq!(session.put_service(&spec).await.unwrap_err().kind(), AgentErrorKind::Conflict);
    assert_eq!(session.console_tail(9).await.unwrap_err().kind(), AgentErrorKind::Protocol);

    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let error = world.client.connect(gone, world.instance, &server.shown).unwrap();
    let error = error.status(None, Duration::ZERO).await.unwrap_err();
    assert!(error.is_transient(), "{error}");
}

#[tokio::test]
async fn a_long_poll_asks_for_at_most_what_an_agent_grants() {
    let world = world();
    let server = serve(world.agent(SECRET), None).await;
    world.session(&server, server.shown).status(Some(3), Duration::from_mins(10)).await.unwrap();
    assert_eq!(*server.agent.queries.lock().unwrap(), ["since=3&wait_ms=20000"]);
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let world = world();
    let made = rcgen::generate_simple_self_signed(vec!["agent".into()]).unwrap();
    let shown = Fingerprint::of(made.cert.der());
    let elsewhere = serve(world.agent(SECRET), None).await;
    let target = format!("https://{}/v1/status", elsewhere.addr);
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let key = rustls::pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    let handle = Handle::new();
    let bind = SocketAddr::from(([127, 0, 0, 1], 0));
    let server =
        axum_server::bind_rustls(bind, RustlsConfig::from_config(Arc::new(config))).handle(handle.clone());
    let app = Router::new().route("/v1/status", get(|| async move { Redirect::temporary(&target) }));
    tokio::spawn(server.serve(app.into_make_service()));
    let addr = handle.listening().await.unwrap();
    let session = world.client.connect(addr, world.instance, &shown).unwrap();
    assert_eq!(session.status(None, Duration::ZERO).await.unwrap_err().kind(), AgentErrorKind::Protocol);
    assert!(elsewhere.agent.queries.lock().unwrap().is_empty());
}
