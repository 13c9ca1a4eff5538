//! Puts the parts together: checks trust, makes the certificate, resumes the service, serves until asked to end.

use std::{net::TcpListener, sync::Arc, time::Duration};

use anyhow::Context;
use axum_server::{
    Handle, Server,
    tls_rustls::{RustlsAcceptor, RustlsConfig},
};
use domain::agent::{IDE_SOCKET, TrustBundle};
use hyper_util::rt::TokioTimer;
use shim::clock;
use tokio::signal::unix::{SignalKind, signal};
use tracing::info;

use crate::{
    api::{self, App},
    backup::{self, Backups, Places},
    config::RunArgs,
    connections::LimitAcceptor,
    files::Files,
    log,
    root::Root,
    service::Service,
    tls::{self, Identity},
    trust::{self, TrustError},
    tunnel::Tunnels,
};

/// Most connections at once: [`MAX_TUNNELS`](crate::tunnel::MAX_TUNNELS), and many more than the rest of the control
/// plane needs.
const MAX_CONNECTIONS: usize = 256;
/// Longest TLS handshake.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest time for a request's headers; also how long an idle connection is kept.
const HEADER_TIMEOUT: Duration = Duration::from_secs(30);
/// How long open requests may take once the server has stopped.
const DRAIN: Duration = Duration::from_secs(1);

/// Why the agent ended with an error.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// There is nobody to trust (exit code 78).
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// Anything else (exit code 1).
    #[error(transparent)]
    Other(#[from] anyhow::Error),
}

/// Runs until SIGTERM or SIGINT.
///
/// One thread on purpose: a game dies with the *thread* that started it (`PR_SET_PDEATHSIG`, prctl(2)), and the main
/// thread lives as long as the agent. It also keeps the agent small.
pub fn run(args: &RunArgs) -> Result<(), StartError> {
    let root = Root::new(&args.root).context("root folder")?;
    let bundle = trust::load(&root.trust_file())?;
    root.make_own_folders()?;
    let _lock = root.lock()?;
    // Before anybody makes a data folder: it may have been swapped out by a restore that was interrupted.
    backup::recover(&Places::new(root.path())).context("backups")?;
    root.make_data_folder().context("data folder")?;
    let identity = tls::identity(&root)?;
    // A Unix socket's name has at most 107 bytes (unix(7)): the IDE's is told from here, as the IDE tells it.
    std::env::set_current_dir(root.path()).context("root folder")?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("runtime")?;
    let result = runtime.block_on(serve(args, root, bundle, identity));
    // An installation may still unpack on another thread; the next boot starts it again.
    runtime.shutdown_background();
    Ok(result?)
}

/// Counts the disk space in use after each installation: nobody is to see an empty disk for a minute.
async fn count_installed(service: Service, files: Files) {
    let mut statuses = service.statuses();
    let mut counted = statuses.borrow().installed_revision.clone();
    while statuses.changed().await.is_ok() {
        let installed = statuses.borrow_and_update().installed_revision.clone();
        if installed != counted {
            files.recount();
            counted = installed;
        }
    }
}

async fn serve(args: &RunArgs, root: Root, bundle: TrustBundle, identity: Identity) -> anyhow::Result<()> {
    // First of all: a SIGTERM from here on ends the agent in order.
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let listener =
        TcpListener::bind(args.listen).with_context(|| format!("cannot listen on {}", args.listen))?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    let instance = bundle.instance_id;
    let secret = trust::enrolment_secret(&bundle).context("enrolment secret")?;
    let (data, places) = (root.data(), Places::new(root.path()));
    let service = Service::open(root, instance, args.backoff()).await?;
    let files = Files::open(data, service.specs());
    tokio::spawn(count_installed(service.clone(), files.clone()));
    let counted = files.clone();
    let backups =
        Backups::open(places, service.clone(), files.used_bytes(), move |work| counted.replacing(work))?;
    let app = App {
        trust: Arc::new(bundle),
        secret: Arc::new(secret),
        fingerprint: identity.fingerprint.as_str().into(),
        tunnels: Tunnels::to(IDE_SOCKET.into()),
        service: service.clone(),
        players: Arc::default(),
        disk_usage: files.used_bytes(),
        backups,
        files,
        clock: clock::now,
    };
    let handle = Handle::new();
    let server =
        https(listener, &identity)?.handle(handle.clone()).serve(api::router(app).into_make_service());
    let mut server = tokio::spawn(server);
    tokio::spawn(log::bound());
    info!(%address, %instance, certificate_sha256 = %identity.fingerprint, "agent of {instance} listens on {address}");
    tokio::select! {
        ended = &mut server => return Ok(ended??),
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    info!("the agent was asked to end: it stops the server, then itself");
    service.shut_down().await;
    handle.graceful_shutdown(Some(DRAIN));
    Ok(server.await??)
}

type Https = Server<std::net::SocketAddr, RustlsAcceptor<LimitAcceptor>>;

fn https(listener: TcpListener, identity: &Identity) -> anyhow::Result<Https> {
    let acceptor = RustlsAcceptor::new(RustlsConfig::from_config(identity.config.clone()))
        .handshake_timeout(HANDSHAKE_TIMEOUT)
        .acceptor(LimitAcceptor::new(MAX_CONNECTIONS));
    let mut server =
        axum_server::from_tcp(listener)?.acceptor(acceptor).first_request_timeout(HEADER_TIMEOUT);
    // The server's own `http1_only` cannot change protocols, which a tunnel does.
    let http1 = server.http_builder().clone().http1_only();
    *server.http_builder() = http1;
    server.http_builder().http1().timer(TokioTimer::new()).header_read_timeout(HEADER_TIMEOUT);
    Ok(server)
}
