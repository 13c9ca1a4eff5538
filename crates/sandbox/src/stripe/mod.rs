//! A stand-in for Stripe's billing: its API with the shapes of one version, pages where customers pay, webhooks, and time that
//! can be advanced. What was made is kept in a file.

mod api;
mod checkout;
mod clocks;
mod control;
mod customers;
mod delivery;
mod disputes;
mod due;
mod endpoints;
mod events;
mod expand;
mod failure;
mod form;
mod ids;
mod invoices;
mod list;
mod methods;
mod pages;
mod panel;
mod payments;
mod portal;
mod prices;
mod products;
mod refunds;
mod routes;
mod shape;
#[cfg(test)]
mod steps;
mod store;
mod subscriptions;
mod switches;
pub(crate) mod time;
mod value;

use std::{
    io,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use axum::{Router, routing::any};
use store::Books;
use tokio::sync::Notify;

pub(crate) use failure::refusal;
pub(crate) use pages::escaped;
pub(crate) use panel::show;

/// How often the machine's time is looked at.
const TICK: Duration = Duration::from_secs(1);
/// How long changes may wait to be written: many are written at once.
const WRITE_EVERY: Duration = Duration::from_millis(100);

/// What it is started with.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// The secret key of the stand-in for Stripe; no secret, since nothing here is
    #[arg(long = "stripe-key", value_name = "KEY", default_value = "sk_test_sandbox")]
    key: String,
    /// Address that its events are delivered to
    #[arg(long = "stripe-webhook", value_name = "URL")]
    webhook: Option<String>,
    /// The secret that those deliveries are signed with
    #[arg(long = "stripe-webhook-secret", value_name = "SECRET", default_value = "whsec_sandbox")]
    webhook_secret: String,
    /// File that keeps its customers, subscriptions and everything else
    #[arg(long = "stripe-file", value_name = "FILE")]
    file: Option<PathBuf>,
    /// A monthly price that it has, with its id, such as price_mc-small_eur=mc-small:499:eur; may be given several times
    #[arg(long = "stripe-price", value_name = "ID=PLAN:AMOUNT_MINOR:CURRENCY")]
    prices: Vec<prices::Wanted>,
}

/// Stripe. Clones share it.
#[derive(Clone)]
pub(crate) struct Stripe(Arc<Inner>);

struct Inner {
    key: String,
    file: Option<PathBuf>,
    books: Mutex<Books>,
    work: Notify,
    mail: Notify,
}

impl Stripe {
    /// With what is in its file. `base` is where it is reached, `/stripe` included.
    pub(crate) fn open(options: &Options, base: &str) -> io::Result<Self> {
        let mut books = Books::open(options.file.as_deref(), base)?;
        for price in &options.prices {
            prices::ensure(&mut books, price);
        }
        if let Some(url) = &options.webhook {
            endpoints::ensure(&mut books, url, &options.webhook_secret);
        }
        Ok(Self(Arc::new(Inner {
            key: options.key.clone(),
            file: options.file.clone(),
            books: Mutex::new(books),
            work: Notify::new(),
            mail: Notify::new(),
        })))
    }

    /// Lets time go on, delivers events and writes the file, for as long as the runtime is there.
    pub(crate) fn start(&self) {
        tokio::spawn(self.clone().follow_time());
        tokio::spawn(delivery::run(self.clone()));
        tokio::spawn(self.clone().keep_writing());
    }

    /// Writes what changed since the last time.
    pub(crate) fn keep(&self) {
        let Some(file) = &self.0.file else { return };
        let written = {
            let mut books = self.lock();
            if !std::mem::take(&mut books.is_dirty) {
                return;
            }
            books.to_file()
        };
        let written = written.map_err(io::Error::from).and_then(|bytes| store::write(file, &bytes));
        if let Err(error) = written {
            self.lock().is_dirty = true;
            tracing::warn!(%error, "what Stripe has could not be kept in {}; it is gone at the next start", file.display());
        }
    }

    async fn follow_time(self) {
        loop {
            clocks::tick(&mut self.lock(), time::machine());
            self.0.mail.notify_one();
            let _ = tokio::time::timeout(TICK, self.0.work.notified()).await;
        }
    }

    async fn keep_writing(self) {
        let mut pause = WRITE_EVERY;
        loop {
            tokio::time::sleep(pause).await;
            let began = Instant::now();
            self.keep();
            // A file that has become long takes at most a tenth of the time.
            pause = WRITE_EVERY.max(began.elapsed() * 9);
        }
    }

    fn key(&self) -> &str {
        &self.0.key
    }

    fn lock(&self) -> MutexGuard<'_, Books> {
        self.0.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Something changed: a clock may be advancing, and there may be events.
    fn wake(&self) {
        self.0.work.notify_one();
    }

    async fn new_mail(&self) {
        self.0.mail.notified().await;
    }
}

/// The API, its pages and its switches, to be nested at `/stripe`.
pub(crate) fn router(stripe: Stripe) -> Router {
    Router::new()
        .route("/v1/{*path}", any(api::handle))
        .merge(pages::router())
        .merge(control::router())
        .with_state(stripe)
}
