//! The way to the relay. Each command is said by itself, since only so it is known which of them was refused: a refused sender
//! is our fault, a refused recipient theirs. Connections are kept for the next mail.

use std::{fmt, future::Future, sync::Mutex, time::Duration};

use lettre::{
    Address,
    address::Envelope,
    transport::smtp::{
        self,
        authentication::{Credentials, Mechanism},
        client::{AsyncSmtpConnection, Certificate, TlsParameters},
        commands::{Data, Mail, Rcpt, Rset},
        extension::{ClientId, Extension, MailParameter},
    },
};
use secrecy::ExposeSecret as _;
use tokio::time::{Instant, timeout};

use super::{MailError, Settings, SettingsError, Stage, Tls};

/// Longest wait for the answer to one command.
const ANSWER: Duration = Duration::from_secs(10);
/// Longest that connecting may take.
const CONNECT: Duration = Duration::from_secs(10);
/// Longest wait for the answer to a message: relays look at it first.
const TAKE: Duration = Duration::from_secs(20);
/// Longest wait for a connection that was kept to show that it lives.
const ALIVE: Duration = Duration::from_secs(3);
/// For how long a connection is kept unused. Relays close theirs after a few minutes at the earliest.
const KEPT: Duration = Duration::from_mins(1);
/// Connections that are kept.
const MOST_KEPT: usize = 4;
/// Ways to sign in, the better first.
const MECHANISMS: &[Mechanism] = &[Mechanism::Plain, Mechanism::Login];

/// The relay.
pub(super) struct Relay {
    host: String,
    port: u16,
    tls: Option<(Tls, TlsParameters)>,
    credentials: Option<Credentials>,
    hello: ClientId,
    kept: Mutex<Vec<(AsyncSmtpConnection, Instant)>>,
}

impl fmt::Debug for Relay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Relay({self})")
    }
}

/// Where it is, and how it is spoken with.
impl fmt::Display for Relay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tls = match &self.tls {
            Some((Tls::Implicit, _)) => "TLS",
            Some(_) => "STARTTLS",
            None => "without TLS",
        };
        write!(f, "{}:{} ({tls})", self.host, self.port)
    }
}

impl Relay {
    pub(super) fn open(settings: &Settings) -> Result<Self, SettingsError> {
        let tls = match settings.tls {
            Tls::None => None,
            tls => Some((tls, parameters(settings)?)),
        };
        let credentials = (!settings.username.is_empty()).then(|| {
            Credentials::new(settings.username.clone(), settings.password.expose_secret().to_owned())
        });
        Ok(Self {
            host: settings.host.clone(),
            port: settings.port,
            tls,
            credentials,
            hello: ClientId::default(),
            kept: Mutex::default(),
        })
    }

    /// Has the relay take a message.
    pub(super) async fn send(&self, envelope: &Envelope, message: &[u8]) -> Result<(), MailError> {
        let mut connection = match self.take_kept().await {
            Some(connection) => connection,
            // What is wrong with a new connection is known to be wrong: those that are kept are not used up first.
            None => self.connect().await.inspect_err(|_| self.forget_kept())?,
        };
        let sent = hand_over(&mut connection, envelope, message).await;
        // What was refused leaves the connection as it was, once it is told to forget the mail.
        let usable = match &sent {
            Ok(()) => true,
            Err(MailError { code: Some(421) | None, .. }) => false,
            Err(_) => matches!(timeout(ALIVE, connection.command(Rset)).await, Ok(Ok(_))),
        };
        if usable {
            self.keep(connection);
        }
        sent
    }

    async fn connect(&self) -> Result<AsyncSmtpConnection, MailError> {
        let implicit = match &self.tls {
            Some((Tls::Implicit, parameters)) => Some(parameters.clone()),
            _ => None,
        };
        let server = (self.host.as_str(), self.port);
        let connecting =
            AsyncSmtpConnection::connect_tokio1(server, Some(CONNECT), &self.hello, implicit, None);
        let mut connection = within(Stage::Connect, CONNECT, connecting).await?;
        if let Some((Tls::StartTls, parameters)) = &self.tls {
            within(Stage::Tls, ANSWER, connection.starttls(parameters.clone(), &self.hello)).await?;
        }
        if let Some(credentials) = &self.credentials {
            within(Stage::SignIn, ANSWER, connection.auth(MECHANISMS, credentials)).await?;
        }
        Ok(connection)
    }

    /// A connection that was kept and still lives.
    async fn take_kept(&self) -> Option<AsyncSmtpConnection> {
        loop {
            let (mut connection, since) = self.kept.lock().ok()?.pop()?;
            if since.elapsed() < KEPT && timeout(ALIVE, connection.test_connected()).await.unwrap_or(false) {
                return Some(connection);
            }
        }
    }

    fn forget_kept(&self) {
        if let Ok(mut kept) = self.kept.lock() {
            kept.clear();
        }
    }

    fn keep(&self, connection: AsyncSmtpConnection) {
        let Ok(mut kept) = self.kept.lock() else { return };
        kept.retain(|(_, since)| since.elapsed() < KEPT);
        if kept.len() < MOST_KEPT {
            kept.push((connection, Instant::now()));
        }
    }
}

fn parameters(settings: &Settings) -> Result<TlsParameters, SettingsError> {
    let mut builder = TlsParameters::builder(settings.host.clone());
    if let Some(pem) = &settings.roots {
        let reason = || "it has no certificate in it (PEM)".to_owned();
        let known = pem.windows(5).any(|it| it == b"BEGIN");
        let roots = Certificate::from_pem(pem).ok().filter(|_| known);
        builder = builder
            .add_root_certificate(roots.ok_or_else(|| SettingsError { key: "ca_file", reason: reason() })?);
    }
    builder.build_rustls().map_err(|error| SettingsError { key: "host", reason: error.to_string() })
}

async fn hand_over(
    connection: &mut AsyncSmtpConnection,
    envelope: &Envelope,
    message: &[u8],
) -> Result<(), MailError> {
    let mut options = Vec::new();
    let is_ascii = |it: &Address| AsRef::<str>::as_ref(it).is_ascii();
    if !envelope.from().into_iter().chain(envelope.to()).all(is_ascii) {
        if !connection.server_info().supports_feature(Extension::SmtpUtfEight) {
            let said = "the address has letters beyond ASCII, and the relay takes none such (no SMTPUTF8)";
            return Err(MailError { blame: super::Blame::Mail, ..MailError::silent(Stage::Recipient, said) });
        }
        options.push(MailParameter::SmtpUtfEight);
    }
    within(Stage::Sender, ANSWER, connection.command(Mail::new(envelope.from().cloned(), options))).await?;
    for to in envelope.to() {
        within(Stage::Recipient, ANSWER, connection.command(Rcpt::new(to.clone(), Vec::new()))).await?;
    }
    within(Stage::Content, ANSWER, connection.command(Data)).await?;
    within(Stage::Content, TAKE, connection.message(message)).await.map(drop)
}

/// With the stage that failed, and a deadline.
async fn within<T>(
    stage: Stage,
    deadline: Duration,
    step: impl Future<Output = Result<T, smtp::Error>>,
) -> Result<T, MailError> {
    match timeout(deadline, step).await {
        Ok(done) => done.map_err(|error| MailError::of(stage, &error)),
        Err(_) => Err(MailError::silent(stage, &format!("no answer within {deadline:?}"))),
    }
}
