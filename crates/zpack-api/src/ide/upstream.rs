//! Connections to workspaces' IDEs through tunnels of their agents: HTTP/1.1, kept for a moment when one may be used again.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use axum::{body::Body, http::Request};
use domain::{ids::InstanceId, instance::Instance};
use hyper::{
    body::Incoming,
    client::conn::http1::{self, SendRequest},
};
use hyper_util::rt::TokioIo;
use integrations::agent::{AgentError, AgentErrorKind};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

use super::Ide;
use crate::agent::call;

/// Requests and WebSockets of one workspace; each has a tunnel, and its agent allows some more than that.
const MAX_PER_WORKSPACE: usize = 96;
/// How long a request may wait for its turn.
const PATIENCE: Duration = Duration::from_secs(10);
/// Connections kept for one workspace: as many as a browser opens to one host, and some.
const KEPT: usize = 8;
/// How long one is kept. Shorter than IDEs keep theirs (Node's default is 5 s): they are not to close it first.
const KEPT_FOR: Duration = Duration::from_secs(3);
/// Workspaces remembered before those without any connection are forgotten.
const REMEMBERED: usize = 1_024;

/// Why a request got no answer.
#[derive(Debug)]
pub enum Failure {
    /// The IDE does not run.
    NotListening,
    /// The agent, or its machine, is away.
    Away,
    /// As many requests as there may be are under way.
    Busy,
    /// It was sent, and the connection broke off before an answer.
    BrokenOff,
}

/// The connections.
#[derive(Default)]
pub struct Upstreams(Mutex<HashMap<InstanceId, Workspace>>);

struct Workspace {
    places: Arc<Semaphore>,
    kept: Vec<(Instant, SendRequest<Body>)>,
}

impl Default for Workspace {
    fn default() -> Self {
        Self { places: Arc::new(Semaphore::new(MAX_PER_WORKSPACE)), kept: Vec::new() }
    }
}

impl Upstreams {
    /// A place among the workspace's requests.
    pub async fn place(&self, id: InstanceId) -> Result<OwnedSemaphorePermit, Failure> {
        let places = self.with(id, |workspace| workspace.places.clone());
        let place = timeout(PATIENCE, places.acquire_owned()).await;
        place.map_err(|_| Failure::Busy)?.map_err(|_| Failure::Busy)
    }

    fn with<T>(&self, id: InstanceId, work: impl FnOnce(&mut Workspace) -> T) -> T {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= REMEMBERED {
            all.retain(|_, it| !it.kept.is_empty() || it.places.available_permits() < MAX_PER_WORKSPACE);
        }
        work(all.entry(id).or_default())
    }

    fn take(&self, id: InstanceId) -> Option<SendRequest<Body>> {
        self.with(id, |workspace| {
            std::iter::from_fn(|| workspace.kept.pop())
                .find(|(since, sender)| since.elapsed() < KEPT_FOR && sender.is_ready())
                .map(|(_, sender)| sender)
        })
    }

    fn forget_old(&self, id: InstanceId) {
        self.with(id, |workspace| workspace.kept.retain(|(since, _)| since.elapsed() < KEPT_FOR));
    }
}

/// Keeps a connection whose answer was read to its end, for whatever the browser asks next.
pub fn keep(ide: &Ide, id: InstanceId, sender: SendRequest<Body>) {
    let kept = ide.upstreams.with(id, |workspace| {
        let has_room = workspace.kept.len() < KEPT && !sender.is_closed();
        if has_room {
            workspace.kept.push((Instant::now(), sender));
        }
        has_room
    });
    if kept {
        let ide = ide.clone();
        tokio::spawn(async move {
            tokio::time::sleep(KEPT_FOR).await;
            ide.upstreams.forget_old(id);
        });
    }
}

/// Sends a request and gives the answer's beginning, with the connection that it came by. A kept connection that has
/// ended meanwhile is replaced as long as nothing was sent on it.
pub async fn send(
    ide: &Ide,
    instance: &Instance,
    mut request: Request<Body>,
) -> Result<(hyper::Response<Incoming>, SendRequest<Body>), Failure> {
    while let Some(mut sender) = ide.upstreams.take(instance.id) {
        match sender.try_send_request(request).await {
            Ok(response) => return Ok((response, sender)),
            Err(mut error) => match error.take_message() {
                Some(unsent) => request = unsent,
                None => return Err(broken_off(instance, error.error())),
            },
        }
    }
    let mut sender = connect(ide, instance).await?;
    let response = sender.send_request(request).await.map_err(|error| broken_off(instance, &error))?;
    Ok((response, sender))
}

async fn connect(ide: &Ide, instance: &Instance) -> Result<SendRequest<Body>, Failure> {
    let tunnel = call(async { ide.agents.session(instance).await?.tunnel().await }).await;
    let tunnel = tunnel.map_err(|error| no_tunnel(instance, &error))?;
    let (sender, connection) =
        http1::handshake(TokioIo::new(tunnel)).await.map_err(|error| broken_off(instance, &error))?;
    let id = instance.id;
    tokio::spawn(async move {
        if let Err(error) = connection.with_upgrades().await {
            tracing::debug!(instance = %id, %error, "a connection to a workspace ended");
        }
    });
    Ok(sender)
}

fn no_tunnel(instance: &Instance, error: &AgentError) -> Failure {
    if error.kind() == AgentErrorKind::Conflict {
        return Failure::NotListening;
    }
    tracing::warn!(instance = %instance.id, %error, "workspace {} cannot be reached, and its visitor was told: {error}", instance.hostname);
    Failure::Away
}

fn broken_off(instance: &Instance, error: &hyper::Error) -> Failure {
    tracing::debug!(instance = %instance.id, %error, "a workspace did not answer");
    Failure::BrokenOff
}
