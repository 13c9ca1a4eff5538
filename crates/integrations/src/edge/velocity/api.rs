//! Calls of the bridge (`/zpack/…`).

use std::sync::Arc;

use domain::{
    clock::Clock,
    edge::{DnsName, VelocityBridge},
};
use reqwest::{Method, StatusCode, header::HeaderValue};
use ring::digest::{SHA256, digest};
use secrecy::ExposeSecret as _;
use serde::{Deserialize, Serialize};

use super::{
    super::{EdgeError, http::Http},
    PART,
    backend::{Backend, Listed, Named},
};

/// Where the secret's hash is.
const SECRET: &str = "X-Zpack-Secret";
/// Largest answer that is read, in bytes: ten thousand servers have about 100 bytes each.
const MAX_ANSWER: usize = 4 << 20;

/// How a registration was answered.
pub(super) enum Registered {
    /// The name leads where it was asked to.
    Done,
    /// It leads somewhere already.
    Taken,
}

/// The bridge.
#[derive(Debug)]
pub(super) struct Api {
    http: Http,
    secret: HeaderValue,
}

#[derive(Deserialize)]
struct List {
    servers: Vec<Listed>,
}

impl Api {
    pub(super) fn new(bridge: &VelocityBridge, clock: Arc<dyn Clock>) -> Result<Self, EdgeError> {
        let hash = hex::encode(digest(&SHA256, bridge.secret.expose_secret().as_bytes()));
        let mut secret = HeaderValue::from_str(&hash)
            .map_err(|error| EdgeError::Unreachable(format!("{PART}: {error}")))?;
        secret.set_sensitive(true);
        Ok(Self { http: Http::new(PART, &bridge.url, clock)?, secret })
    }

    /// Registers a server. Bridges refuse a name that is registered already in different words; whether it leads to the right
    /// place, the list says.
    pub(super) async fn register(&self, backend: &Backend) -> Result<Registered, EdgeError> {
        let (status, body) = self.call(Method::POST, "/zpack/register", Some(backend)).await?;
        let text = String::from_utf8_lossy(&body);
        if status.is_success() {
            return Ok(Registered::Done);
        }
        if status == StatusCode::CONFLICT || text.to_ascii_lowercase().contains("already") {
            return Ok(Registered::Taken);
        }
        Err(self.http.refused(status, &text))
    }

    /// Takes a name away, if it is there.
    pub(super) async fn unregister(&self, name: &DnsName) -> Result<(), EdgeError> {
        let (status, body) = self.call(Method::POST, "/zpack/unregister", Some(&Named { name })).await?;
        if status.is_success() {
            return Ok(());
        }
        let refused = self.http.refused(status, &String::from_utf8_lossy(&body));
        // Gone already, or a wrong address, where nothing is found whatever is asked for: then the list is not found either.
        if status == StatusCode::NOT_FOUND && !self.list().await?.iter().any(|it| it.is_called(name)) {
            return Ok(());
        }
        Err(refused)
    }

    /// Every server that the proxy knows, ours and others.
    pub(super) async fn list(&self) -> Result<Vec<Listed>, EdgeError> {
        let (status, body) = self.call(Method::GET, "/zpack/list", None::<&()>).await?;
        if !status.is_success() {
            return Err(self.http.refused(status, &String::from_utf8_lossy(&body)));
        }
        let list: List = serde_json::from_slice(&body)
            .map_err(|error| EdgeError::Incomplete { part: PART, reason: error.to_string() })?;
        Ok(list.servers)
    }

    async fn call<T: Serialize + Sync>(
        &self,
        method: Method,
        path: &str,
        body: Option<&T>,
    ) -> Result<(StatusCode, Vec<u8>), EdgeError> {
        let mut request = self.http.request(method, path).header(SECRET, self.secret.clone());
        if let Some(body) = body {
            request = request.json(body);
        }
        self.http.send(request, MAX_ANSWER).await
    }
}
