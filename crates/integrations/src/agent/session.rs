//! One agent's calls over HTTP: a fresh token each, a deadline, a bounded answer, and errors put into classes.

use std::{fmt, net::SocketAddr, sync::Arc, time::Duration};

use async_trait::async_trait;
use domain::{
    agent::{
        AgentProblem, AgentStatus, BackupStatus, BackupTask, ConsoleInput, ConsolePage, ConsoleQuery,
        ConsoleSize, ConsoleTail, FileChange, FileInfo, FileJob, FileJobSpec, FileList, FileUpload,
        FilesUsage, MAX_BACKUP_WAIT_MS, MAX_CONSOLE_WAIT_MS, MAX_STATUS_WAIT_MS, PowerAction, PowerRequest,
        Scope, ServiceSpec, ServiceStats,
    },
    clock::Clock,
    ids::InstanceId,
    text::foreign,
    token::Signer,
};
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode};
use serde::{Serialize, de::DeserializeOwned};
use uuid::Uuid;

use super::{AgentError, AgentSession, ByteStream, FileContent, Headers, Tunnel, stream, tls};
use crate::body::{BodyError, read_bounded};

pub(super) const CALL_DEADLINE: Duration = Duration::from_secs(10);
/// A change may remove a folder with many files; the agent itself gives up after 30 s.
const CHANGE_DEADLINE: Duration = Duration::from_secs(35);
/// What a long poll may take beyond its wait.
const POLL_MARGIN: Duration = Duration::from_secs(5);
/// The longest answers are a page of the console (256 KiB of text, which JSON may make six times as long), a page of a
/// folder, and a backup's status with 10,000 parts.
const BODY_LIMIT: usize = 2 << 20;

/// How to reach one agent.
pub(super) struct Wire {
    pub(super) http: Client,
    pub(super) addr: SocketAddr,
    pub(super) instance: InstanceId,
    pub(super) signer: Arc<Signer>,
    pub(super) clock: Arc<dyn Clock>,
}

/// One call.
pub(super) struct Request {
    method: Method,
    path: &'static str,
    query: Vec<(&'static str, String)>,
    scope: Scope,
    body: Option<Vec<u8>>,
    deadline: Duration,
}

impl Request {
    pub(super) fn new(method: Method, path: &'static str, scope: Scope) -> Self {
        Self { method, path, query: Vec::new(), scope, body: None, deadline: CALL_DEADLINE }
    }

    pub(super) fn query(mut self, name: &'static str, value: impl fmt::Display) -> Self {
        self.query.push((name, value.to_string()));
        self
    }

    pub(super) fn json(self, body: &impl Serialize) -> Result<Self, AgentError> {
        let bytes = serde_json::to_vec(body).map_err(|error| AgentError::Protocol(error.to_string()))?;
        Ok(Self { body: Some(bytes), ..self })
    }

    fn within(self, deadline: Duration) -> Self {
        Self { deadline, ..self }
    }

    /// A long poll: held open for at most `wait`, cut to `longest_ms`.
    fn waiting(self, wait: Duration, longest_ms: u64) -> Self {
        let wait = wait.min(Duration::from_millis(longest_ms));
        self.query("wait_ms", wait.as_millis()).within(wait + POLL_MARGIN)
    }
}

impl Wire {
    /// The request with its token, its body not yet set and without a deadline.
    pub(super) fn request(&self, request: Request) -> RequestBuilder {
        let token = self.signer.sign(self.instance, request.scope, self.clock.now());
        let url = format!("https://{}{}", self.addr, request.path);
        let http = self.http.request(request.method, url).bearer_auth(token);
        if request.query.is_empty() { http } else { http.query(&request.query) }
    }

    async fn send(&self, mut request: Request) -> Result<Response, AgentError> {
        let (body, deadline) = (request.body.take(), request.deadline);
        let mut http = self.request(request).timeout(deadline);
        if let Some(body) = body {
            http = http.header("content-type", "application/json").body(body);
        }
        http.send().await.map_err(|error| send_error(&error))
    }

    pub(super) async fn call<T: DeserializeOwned>(&self, request: Request) -> Result<T, AgentError> {
        json(self.send(request).await?).await
    }

    /// A call whose answer has nothing to say.
    async fn tell(&self, request: Request) -> Result<(), AgentError> {
        let response = self.send(request).await?;
        if response.status().is_success() { Ok(()) } else { Err(problem(response).await) }
    }
}

/// What an answer says.
pub(super) async fn json<T: DeserializeOwned>(response: Response) -> Result<T, AgentError> {
    if !response.status().is_success() {
        return Err(problem(response).await);
    }
    // The parser quotes what it cannot use.
    let unusable = |error: serde_json::Error| AgentError::Protocol(foreign(&error.to_string()));
    serde_json::from_slice(&body(response).await?).map_err(unusable)
}

/// Why an answer is none.
pub(super) async fn problem(response: Response) -> AgentError {
    let status = response.status();
    match body(response).await {
        Ok(bytes) => refusal(status, &bytes),
        Err(error) => error,
    }
}

async fn body(response: Response) -> Result<Vec<u8>, AgentError> {
    read_bounded(response, BODY_LIMIT).await.map_err(|error| match error {
        BodyError::TooLong(_) => AgentError::Protocol(error.to_string()),
        BodyError::Broken(error) => send_error(&error),
    })
}

pub(super) fn send_error(error: &reqwest::Error) -> AgentError {
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
    let said = serde_json::from_slice::<AgentProblem>(body);
    let explained = said.is_ok();
    let AgentProblem { code, detail } = said
        .unwrap_or_else(|_| AgentProblem { code: "no_code".into(), detail: format!("answered {status}") });
    let (code, detail) = (foreign(&code), foreign(&detail));
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            AgentError::Refused { status: status.as_u16(), code, detail }
        }
        StatusCode::CONFLICT => AgentError::Conflict { code, detail },
        status if explained && (status.is_client_error() || status == StatusCode::INSUFFICIENT_STORAGE) => {
            AgentError::Rejected { status: status.as_u16(), code, detail }
        }
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

fn get(path: &'static str, scope: Scope) -> Request {
    Request::new(Method::GET, path, scope)
}

fn post(path: &'static str, scope: Scope, body: &impl Serialize) -> Result<Request, AgentError> {
    Request::new(Method::POST, path, scope).json(body)
}

fn uploads(method: Method) -> Request {
    Request::new(method, "/v1/files/uploads", Scope::Files)
}

#[async_trait]
impl AgentSession for HttpSession {
    async fn status(&self, since: Option<u64>, wait: Duration) -> Result<AgentStatus, AgentError> {
        let request = get("/v1/status", Scope::Observe);
        self.0
            .call(match since {
                Some(since) => request.query("since", since).waiting(wait, MAX_STATUS_WAIT_MS),
                None => request,
            })
            .await
    }

    async fn put_service(&self, spec: &ServiceSpec) -> Result<AgentStatus, AgentError> {
        self.0.call(Request::new(Method::PUT, "/v1/service", Scope::Install).json(spec)?).await
    }

    async fn power(&self, action: PowerAction) -> Result<AgentStatus, AgentError> {
        self.0.call(post("/v1/power", Scope::Power, &PowerRequest { action })?).await
    }

    async fn console_tail(&self, lines: u32) -> Result<Vec<String>, AgentError> {
        let request = get("/v1/console/tail", Scope::Observe).query("lines", lines);
        let tail: ConsoleTail = self.0.call(request).await?;
        Ok(tail.lines)
    }

    async fn console_read(&self, query: ConsoleQuery) -> Result<ConsolePage, AgentError> {
        let wait = Duration::from_millis(query.wait_ms);
        let mut request = get("/v1/console/read", Scope::Console).query("from", query.from);
        if let Some(limit) = query.limit {
            request = request.query("limit", limit);
        }
        self.0.call(request.waiting(wait, MAX_CONSOLE_WAIT_MS)).await
    }

    async fn console_input(&self, text: &str) -> Result<(), AgentError> {
        let body = ConsoleInput { text: text.to_owned() };
        self.0.tell(post("/v1/console/input", Scope::Console, &body)?).await
    }

    async fn console_resize(&self, size: ConsoleSize) -> Result<(), AgentError> {
        self.0.tell(post("/v1/console/resize", Scope::Console, &size)?).await
    }

    async fn stats(&self) -> Result<ServiceStats, AgentError> {
        self.0.call(get("/v1/stats", Scope::Observe)).await
    }

    async fn file_list(
        &self,
        path: &str,
        after: Option<&str>,
        limit: Option<u32>,
    ) -> Result<FileList, AgentError> {
        let mut request = get("/v1/files/list", Scope::Files).query("path", path);
        if let Some(after) = after {
            request = request.query("after", after);
        }
        if let Some(limit) = limit {
            request = request.query("limit", limit);
        }
        self.0.call(request).await
    }

    async fn file_stat(&self, path: &str) -> Result<FileInfo, AgentError> {
        self.0.call(get("/v1/files/stat", Scope::Files).query("path", path)).await
    }

    async fn files_usage(&self) -> Result<FilesUsage, AgentError> {
        self.0.call(get("/v1/files/usage", Scope::Files)).await
    }

    async fn file_change(&self, change: &FileChange) -> Result<(), AgentError> {
        self.0.tell(post("/v1/files/change", Scope::Files, change)?.within(CHANGE_DEADLINE)).await
    }

    async fn file_job_start(&self, spec: &FileJobSpec) -> Result<FileJob, AgentError> {
        self.0.call(post("/v1/files/jobs", Scope::Files, spec)?).await
    }

    async fn file_job(&self, id: Uuid, wait: Duration) -> Result<FileJob, AgentError> {
        let request = get("/v1/files/jobs", Scope::Files).query("id", id);
        self.0.call(request.waiting(wait, MAX_STATUS_WAIT_MS)).await
    }

    async fn file_job_cancel(&self, id: Uuid) -> Result<FileJob, AgentError> {
        self.0.call(Request::new(Method::DELETE, "/v1/files/jobs", Scope::Files).query("id", id)).await
    }

    async fn file_get(&self, path: &str, headers: Headers) -> Result<FileContent, AgentError> {
        stream::get(&self.0, path, headers).await
    }

    async fn file_upload_begin(
        &self,
        path: &str,
        size: u64,
        parents: bool,
        headers: Headers,
    ) -> Result<FileUpload, AgentError> {
        let request = uploads(Method::POST).query("path", path).query("size", size).query("parents", parents);
        let sending = self.0.request(request).headers(headers).timeout(CALL_DEADLINE).send();
        json(sending.await.map_err(|error| send_error(&error))?).await
    }

    async fn file_upload(&self, id: Uuid) -> Result<FileUpload, AgentError> {
        self.0.call(uploads(Method::GET).query("id", id)).await
    }

    async fn file_upload_write(
        &self,
        id: Uuid,
        offset: u64,
        body: ByteStream,
    ) -> Result<FileUpload, AgentError> {
        let request = uploads(Method::PATCH).query("id", id).query("offset", offset);
        stream::send(self.0.request(request), body).await
    }

    async fn file_upload_cancel(&self, id: Uuid) -> Result<(), AgentError> {
        self.0.tell(uploads(Method::DELETE).query("id", id)).await
    }

    async fn file_put(
        &self,
        path: &str,
        parents: bool,
        headers: Headers,
        body: ByteStream,
    ) -> Result<FileInfo, AgentError> {
        stream::put(&self.0, path, parents, headers, body).await
    }

    async fn backup_put(&self, task: &BackupTask) -> Result<BackupStatus, AgentError> {
        self.0.call(Request::new(Method::PUT, "/v1/backup", Scope::Backup).json(task)?).await
    }

    async fn backup_status(
        &self,
        since: Option<u64>,
        wait: Duration,
    ) -> Result<Option<BackupStatus>, AgentError> {
        let mut request = get("/v1/backup", Scope::Backup);
        if let Some(since) = since {
            request = request.query("since", since).waiting(wait, MAX_BACKUP_WAIT_MS);
        }
        match self.0.call(request).await {
            Ok(status) => Ok(Some(status)),
            Err(AgentError::Rejected { status: 404, .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn tunnel(&self) -> Result<Tunnel, AgentError> {
        stream::tunnel(&self.0).await
    }
}
