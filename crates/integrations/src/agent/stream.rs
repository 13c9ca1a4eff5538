//! What is never held whole: a file on its way to or from an agent, and a tunnel. Each has a deadline for standing
//! still, and none for its whole length.

use std::{io, sync::Arc, time::Duration};

use domain::agent::{FileInfo, Scope};
use futures_util::{Stream, StreamExt as _, stream::BoxStream};
use reqwest::{Body, Method, RequestBuilder, Response, StatusCode, header};
use serde::de::DeserializeOwned;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::Notify,
    time::timeout,
};
use tokio_util::bytes::Bytes;

use super::{
    AgentError, Headers,
    session::{Request, Wire, json, problem, send_error},
};

/// A body that may stand still so long, and an answer that may take so long to begin.
const IDLE: Duration = Duration::from_mins(1);

/// Bytes on their way.
pub type ByteStream = BoxStream<'static, io::Result<Bytes>>;

/// A file's content, or that it has not changed.
pub struct FileContent {
    /// 200, 206 or 304.
    pub status: u16,
    /// As the agent sent them.
    pub headers: Headers,
    /// Ends with an error when it breaks off, or stands still for a minute.
    pub body: ByteStream,
}

impl std::fmt::Debug for FileContent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FileContent").field("status", &self.status).finish_non_exhaustive()
    }
}

/// Both directions of a tunnel.
pub trait TunnelIo: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> TunnelIo for T {}

/// A connection to the workspace's own port.
pub type Tunnel = Box<dyn TunnelIo>;

fn content(method: Method, path: &str) -> Request {
    Request::new(method, "/v1/files/content", Scope::Files).query("path", path)
}

pub(super) async fn get(wire: &Wire, path: &str, headers: Headers) -> Result<FileContent, AgentError> {
    let sending = wire.request(content(Method::GET, path)).headers(headers).send();
    let response =
        timeout(IDLE, sending).await.map_err(|_| stood_still())?.map_err(|error| send_error(&error))?;
    let status = response.status();
    if !status.is_success() && status != StatusCode::NOT_MODIFIED {
        return Err(problem(response).await);
    }
    let headers = response.headers().clone();
    Ok(FileContent { status: status.as_u16(), headers, body: unless_idle(response.bytes_stream()).boxed() })
}

/// The same bytes; an error when none come for a while.
fn unless_idle(
    bytes: impl Stream<Item = reqwest::Result<Bytes>> + Send + 'static,
) -> impl Stream<Item = io::Result<Bytes>> + Send {
    futures_util::stream::unfold(Some(Box::pin(bytes)), |bytes| async {
        let mut bytes = bytes?;
        match timeout(IDLE, bytes.next()).await {
            Ok(None) => None,
            Ok(Some(Ok(chunk))) => Some((Ok(chunk), Some(bytes))),
            Ok(Some(Err(error))) => Some((Err(io::Error::other(error)), None)),
            Err(_) => Some((Err(io::ErrorKind::TimedOut.into()), None)),
        }
    })
}

pub(super) async fn put(
    wire: &Wire,
    path: &str,
    parents: bool,
    headers: Headers,
    body: ByteStream,
) -> Result<FileInfo, AgentError> {
    send(wire.request(content(Method::PUT, path).query("parents", parents)).headers(headers), body).await
}

/// The answer to a request with this body.
pub(super) async fn send<T: DeserializeOwned>(
    request: RequestBuilder,
    body: ByteStream,
) -> Result<T, AgentError> {
    let moved = Arc::new(Notify::new());
    let noticed = moved.clone();
    let body = Body::wrap_stream(body.inspect(move |_| noticed.notify_one()));
    json(unless_still(request.body(body).send(), &moved).await?).await
}

/// The answer, unless the body stands still before it.
async fn unless_still(
    sending: impl Future<Output = reqwest::Result<Response>>,
    moved: &Notify,
) -> Result<Response, AgentError> {
    let mut sending = std::pin::pin!(sending);
    loop {
        tokio::select! {
            answer = &mut sending => return answer.map_err(|error| send_error(&error)),
            moved = timeout(IDLE, moved.notified()) => moved.map_err(|_| stood_still())?,
        }
    }
}

fn stood_still() -> AgentError {
    AgentError::Unreachable(format!("nothing moved for {IDLE:?}"))
}

pub(super) async fn tunnel(wire: &Wire) -> Result<Tunnel, AgentError> {
    let request = wire
        .request(Request::new(Method::GET, "/v1/tunnel", Scope::Tunnel))
        .header(header::CONNECTION, "upgrade")
        .header(header::UPGRADE, "zlh-tunnel");
    let response = timeout(super::session::CALL_DEADLINE, request.send()).await.map_err(|_| stood_still())?;
    let response = response.map_err(|error| send_error(&error))?;
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        return Err(problem(response).await);
    }
    let upgraded = response.upgrade().await.map_err(|error| send_error(&error))?;
    Ok(Box::new(upgraded))
}
