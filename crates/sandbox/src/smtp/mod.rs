//! A stand-in for a mail relay: SMTP as RFC 5321 has it, with STARTTLS and a certificate of its own, and a mailbox page in place
//! of the rest of the world.

mod certificate;
mod mailbox;
mod page;
mod session;
mod switches;

use std::{
    collections::HashSet,
    net::SocketAddr,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use anyhow::Context as _;
use mailbox::Mailbox;
use switches::Switches;
use tokio::{net::TcpListener, sync::Semaphore};
use tokio_rustls::TlsAcceptor;

pub(crate) use page::{router, show};

/// Connections at once; others wait.
const CONNECTIONS: usize = 64;

/// What it is started with.
#[derive(Debug, clap::Args)]
#[group(id = "smtp_options")]
pub(crate) struct Options {
    /// Loopback address of the mail relay; port 0 takes a free one, which is printed
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:0")]
    pub(crate) smtp: SocketAddr,
    /// Who signs in there; no secret, since nothing here is
    #[arg(long, default_value = "sandbox")]
    smtp_username: String,
    /// With what
    #[arg(long, default_value = "sandbox")]
    smtp_password: String,
    /// File with its certificate, for those who are to trust it; made, with FILE.key beside it, when it is not there
    #[arg(long, value_name = "FILE")]
    smtp_certificate: Option<PathBuf>,
}

/// The relay. Clones share it.
#[derive(Clone)]
pub(crate) struct Smtp(Arc<Shared>);

struct Shared {
    username: String,
    password: String,
    acceptor: TlsAcceptor,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    mailbox: Mailbox,
    switches: Switches,
    /// Senders and recipients that were greylisted: the next time they are let through.
    greylisted: HashSet<(String, String)>,
}

impl Smtp {
    pub(crate) fn open(options: &Options) -> anyhow::Result<Self> {
        let acceptor = certificate::acceptor(options.smtp_certificate.as_deref())
            .context("the mail relay's certificate")?;
        Ok(Self(Arc::new(Shared {
            username: options.smtp_username.clone(),
            password: options.smtp_password.clone(),
            acceptor,
            state: Mutex::default(),
        })))
    }

    /// Serves; gives the address.
    pub(crate) async fn start(&self, listen: SocketAddr) -> anyhow::Result<SocketAddr> {
        let listener =
            TcpListener::bind(listen).await.with_context(|| format!("cannot listen on {listen}"))?;
        let (address, smtp) = (listener.local_addr()?, self.clone());
        let places = Arc::new(Semaphore::new(CONNECTIONS));
        tokio::spawn(async move {
            loop {
                let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
                let Ok((stream, _)) = listener.accept().await else { continue };
                let smtp = smtp.clone();
                tokio::spawn(async move {
                    // One that goes away in the middle is nobody's concern.
                    let _ = session::serve(stream, &smtp).await;
                    drop(place);
                });
            }
        });
        Ok(address)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
