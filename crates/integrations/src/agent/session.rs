//! One agent's calls over HTTP: a fresh token each, a deadline, a bounded answer, and errors put into classes.

use std::{fmt, net::SocketAddr, sync::Arc, time::Duration};

use async_trait::async_trait;
use domain::{
    agent::{
        AgentProblem, AgentStatus, ConsoleTail, MAX_STATUS_WAIT_MS, PowerAction, PowerRequest, Scope,
        ServiceSpec,
    },
    ids::InstanceId,
    token::Signer,
};
use reqwest::{Client, Method, StatusCode};
use serde::{Serialize, de::DeserializeOwned};

use super::{AgentError, AgentSession, tls};
use crate::{
    Clock,
    body::{BodyError, read_bounded},
};

const CALL_DEADLINE: Duration = Duration::from_secs(10);
/// What a long poll may take beyond its wait.
const POLL_MARGIN: Duration = Duration::from_secs(5);
/// A status with 20 lines of output is a few KiB; a console tail of some thousand lines fits.
const BODY_LIMIT: usize = 1 << 20;

/// How to reach one agent.
pub(super) struct Wire {
    pub(super) http: Client,
    pub(super) addr: SocketAddr,
    pub(super) instance: InstanceId,
    pub(super) signer: Arc<Signer>,
    pub(super) clock: Clock,
}

/// One call.
pub(super) struct Request {
    method: Method,
    path: String,
    scope: Scope,
    body: Option<Vec<u8>>,
    deadline: Duration,
}

impl Request {
    pub(super) fn new(method: Method, path: impl Into<String>, scope: Scope) -> Self {
        Self { method, path: path.into(), scope, body: None, deadline: CALL_DEADLINE }
    }

    pub(super) fn json(self, body: &impl Serialize) -> Result<Self, AgentError> {
        let bytes = serde_json::to_vec(body).map_err(|error| AgentError::Protocol(error.to_string()))?;
        Ok(Self { body: Some(bytes), ..self })
    }

    fn within(self, deadline: Duration) -> Self {
        Self { deadline, ..self }
    }
}

impl Wire {
    pub(super) async fn call<T: DeserializeOwned>(&self, request: Request) -> Result<T, AgentError> {
        let token = self.signer.sign(self.instance, request.scope, (self.clock)());
        let mut http = self
            .http
            .request(request.method, format!("https://{}{}", self.addr, request.path))
            .bearer_auth(token)
            .timeout(request.deadline);
        if let Some(body) = request.body {
            http = http.header("content-type", "application/json").body(body);
        }
        let response = http.send().await.map_err(|error| send_error(&error))?;
        let status = response.status();
        let bytes = read_bounded(response, BODY_LIMIT).await.map_err(|error| match error {
            BodyError::TooLong(_) => AgentError::Protocol(error.to_string()),
            BodyError::Broken(error) => send_error(&error),
        })?;
        if !status.is_success() {
            return Err(refusal(status, &bytes));
        }
        serde_json::from_slice(&bytes).map_err(|error| AgentError::Protocol(error.to_string()))
    }
}

fn send_error(error: &reqwest::Error) -> AgentError {
    let reason = crate::chain(error);
    if tls::is_wrong_certificate(error) {
        AgentError::WrongCertificate(reason)
    } else if error.is_builder() || error.is_redirect() {
        AgentError::Protocol(reason)
    } else {
        AgentError::Unreachable(reason)
    }
}

fn refusal(status: StatusCode, body: &[u8]) -> AgentError {
    let problem = serde_json::from_slice(body)
        .unwrap_or_else(|_| AgentProblem { code: "no_code".into(), detail: format!("answered {status}") });
    let AgentProblem { code, detail } = problem;
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            AgentError::Refused { status: status.as_u16(), code, detail }
        }
        StatusCode::CONFLICT => AgentError::Conflict { code, detail },
        status if status.is_server_error() => AgentError::Unreachable(format!("{status} {code}: {detail}")),
        status => AgentError::Protocol(format!("{status} {code}: {detail}")),
    }
}

/// A session with one agent.
pub(super) struct HttpSession(pub(super) Wire);

impl fmt::Debug for HttpSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpSession").field("addr", &self.0.addr).field("instance", &self.0.instance).finish()
    }
}

#[async_trait]
impl AgentSession for HttpSession {
    async fn status(&self, since: Option<u64>, wait: Duration) -> Result<AgentStatus, AgentError> {
        let Some(since) = since else {
            return self.0.call(Request::new(Method::GET, "/v1/status", Scope::Observe)).await;
        };
        let wait = wait.min(Duration::from_millis(MAX_STATUS_WAIT_MS));
        let path = format!("/v1/status?since={since}&wait_ms={}", wait.as_millis());
        self.0.call(Request::new(Method::GET, path, Scope::Observe).within(wait + POLL_MARGIN)).await
    }

    async fn put_service(&self, spec: &ServiceSpec) -> Result<AgentStatus, AgentError> {
        self.0.call(Request::new(Method::PUT, "/v1/service", Scope::Install).json(spec)?).await
    }

    async fn power(&self, action: PowerAction) -> Result<AgentStatus, AgentError> {
        self.0
            .call(Request::new(Method::POST, "/v1/power", Scope::Power).json(&PowerRequest { action })?)
            .await
    }

    async fn console_tail(&self, lines: u32) -> Result<Vec<String>, AgentError> {
        let path = format!("/v1/console/tail?lines={lines}");
        let tail: ConsoleTail = self.0.call(Request::new(Method::GET, path, Scope::Observe)).await?;
        Ok(tail.lines)
    }
}
