//! A stand-in for the bridge in a Velocity proxy: who may register, and what the proxy does with names. They ignore case, and
//! one that is registered keeps its address until it is unregistered.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use axum::{
    Json, Router,
    extract::{Request, State},
    http::{HeaderValue, StatusCode},
    middleware::{self, Next},
    response::{IntoResponse as _, Response},
    routing::{get, post},
};
use ring::digest::{SHA256, digest};
use serde::Deserialize;
use serde_json::{Value, json};

/// The proxy's servers. Clones share them.
#[derive(Clone, Debug)]
pub(crate) struct Proxy {
    secret_hash: Arc<str>,
    names_only: bool,
    servers: Arc<Mutex<BTreeMap<String, Server>>>,
}

/// A server that the proxy knows.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct Server {
    /// Its name, as it was registered.
    #[serde(rename = "server_name")]
    pub(crate) name: String,
    pub(crate) address: String,
    pub(crate) port: u16,
}

#[derive(Deserialize)]
struct Named {
    server_name: String,
}

impl Proxy {
    /// A proxy without servers. With `names_only` its list does not say where they are.
    pub(crate) fn new(secret: &str, names_only: bool) -> Self {
        let secret_hash = hex::encode(digest(&SHA256, secret.as_bytes())).into();
        Self { secret_hash, names_only, servers: Arc::default() }
    }

    /// Every server.
    pub(crate) fn all(&self) -> Vec<Server> {
        self.lock().values().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Server>> {
        self.servers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The bridge, to be nested at `/velocity`. Its list is open to everybody, as the real one's is.
pub(crate) fn router(proxy: Proxy) -> Router {
    Router::new()
        .route("/zpack/register", post(register))
        .route("/zpack/unregister", post(unregister))
        .layer(middleware::from_fn_with_state(proxy.clone(), authenticate))
        .route("/zpack/list", get(list))
        .with_state(proxy)
}

async fn authenticate(State(proxy): State<Proxy>, request: Request, next: Next) -> Response {
    match request.headers().get("X-Zpack-Secret").map(HeaderValue::as_bytes) {
        None => (StatusCode::UNAUTHORIZED, "X-Zpack-Secret is missing").into_response(),
        Some(given) if given != proxy.secret_hash.as_bytes() => {
            (StatusCode::FORBIDDEN, "X-Zpack-Secret is wrong").into_response()
        }
        Some(_) => next.run(request).await,
    }
}

async fn register(State(proxy): State<Proxy>, Json(server): Json<Server>) -> (StatusCode, String) {
    let mut servers = proxy.lock();
    let key = server.name.to_lowercase();
    if let Some(there) = servers.get(&key)
        && (&there.address, there.port) != (&server.address, server.port)
    {
        return (StatusCode::CONFLICT, format!("Server with name {} already registered", server.name));
    }
    let said = format!("registered {}", server.name);
    servers.entry(key).or_insert(server);
    (StatusCode::OK, said)
}

async fn unregister(State(proxy): State<Proxy>, Json(named): Json<Named>) -> (StatusCode, String) {
    let name = named.server_name;
    match proxy.lock().remove(&name.to_lowercase()) {
        Some(_) => (StatusCode::OK, format!("unregistered {name}")),
        None => (StatusCode::NOT_FOUND, format!("{name} is not registered")),
    }
}

async fn list(State(proxy): State<Proxy>) -> Json<Value> {
    let shown = |it: Server| {
        if proxy.names_only {
            json!({ "name": it.name })
        } else {
            json!({ "name": it.name, "address": it.address, "port": it.port })
        }
    };
    let servers: Vec<_> = proxy.all().into_iter().map(shown).collect();
    Json(json!({ "servers": servers }))
}
