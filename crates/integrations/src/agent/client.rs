//! The real client: enrolment, and a bounded store of connections, each pinned to one certificate.

use std::{
    collections::VecDeque,
    fmt,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use domain::{
    agent::{EnrolRequest, EnrolResponse, Scope, enrolment_proof_holds},
    clock::Clock,
    ids::InstanceId,
    token::Signer,
};
use reqwest::{Client, Method, redirect};
use ring::rand::{SecureRandom, SystemRandom};
use rustls::ClientConfig;

use super::{
    AgentApi, AgentError, AgentSession, Fingerprint,
    session::{HttpSession, Request, Wire},
    tls,
};

const CONNECT_DEADLINE: Duration = Duration::from_secs(2);
/// Connection pools kept; an evicted one is made again by the next session.
const MAX_CLIENTS: usize = 256;
const IDLE_CONNECTIONS_PER_AGENT: usize = 4;
/// Shorter than an agent keeps an idle connection, so that none is used in the moment in which it closes it.
const IDLE_FOR: Duration = Duration::from_secs(20);

type ClientKey = (InstanceId, Fingerprint);

/// Talks to agents with one daemon's key.
pub struct AgentClient {
    signer: Arc<Signer>,
    clock: Arc<dyn Clock>,
    /// Least recently used first.
    clients: Mutex<VecDeque<(ClientKey, Client)>>,
}

impl fmt::Debug for AgentClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AgentClient").field("signer", &self.signer).finish_non_exhaustive()
    }
}

impl AgentClient {
    /// Signs with `signer`; tokens are dated by `clock`.
    pub fn new(signer: Arc<Signer>, clock: Arc<dyn Clock>) -> Self {
        Self { signer, clock, clients: Mutex::default() }
    }

    fn wire(&self, http: Client, addr: SocketAddr, instance: InstanceId) -> Wire {
        Wire { http, addr, instance, signer: self.signer.clone(), clock: self.clock.clone() }
    }

    fn pinned_client(&self, key: ClientKey) -> Result<Client, AgentError> {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        let found = clients.iter().position(|(other, _)| *other == key).and_then(|at| clients.remove(at));
        let client = match found {
            Some((_, client)) => client,
            None => http_client(tls::pinned(key.1)?)?,
        };
        clients.push_back((key, client.clone()));
        if clients.len() > MAX_CLIENTS {
            clients.pop_front();
        }
        Ok(client)
    }
}

#[async_trait]
impl AgentApi for AgentClient {
    async fn enrol(
        &self,
        addr: SocketAddr,
        instance: InstanceId,
        secret: &[u8],
    ) -> Result<Fingerprint, AgentError> {
        let (config, seen) = tls::capturing()?;
        let wire = self.wire(http_client(config)?, addr, instance);
        let nonce = nonce()?;
        let request = Request::new(Method::POST, "/v1/enrol", Scope::Enrol)
            .json(&EnrolRequest { nonce: nonce.clone() })?;
        let answer: EnrolResponse = wire.call(request).await?;
        let fingerprint =
            *seen.get().ok_or_else(|| AgentError::Protocol("no certificate was shown".into()))?;
        // Over what this connection showed, never over what the answer claims.
        if !enrolment_proof_holds(secret, instance, &nonce, &fingerprint.to_string(), &answer.proof) {
            return Err(AgentError::WrongCertificate("the enrolment proof does not hold".into()));
        }
        Ok(fingerprint)
    }

    fn connect(
        &self,
        addr: SocketAddr,
        instance: InstanceId,
        fingerprint: &Fingerprint,
    ) -> Result<Arc<dyn AgentSession>, AgentError> {
        let http = self.pinned_client((instance, *fingerprint))?;
        Ok(Arc::new(HttpSession(self.wire(http, addr, instance))))
    }
}

fn http_client(config: ClientConfig) -> Result<Client, AgentError> {
    Client::builder()
        .use_preconfigured_tls(config)
        .no_proxy()
        .redirect(redirect::Policy::none())
        .https_only(true)
        .connect_timeout(CONNECT_DEADLINE)
        .pool_max_idle_per_host(IDLE_CONNECTIONS_PER_AGENT)
        .pool_idle_timeout(IDLE_FOR)
        .tcp_nodelay(true)
        .build()
        .map_err(|error| AgentError::Protocol(error.to_string()))
}

fn nonce() -> Result<String, AgentError> {
    let mut bytes = [0; 32];
    let filled = SystemRandom::new().fill(&mut bytes);
    filled.map_err(|_| AgentError::Protocol("this machine has no randomness".into()))?;
    Ok(STANDARD.encode(bytes))
}
