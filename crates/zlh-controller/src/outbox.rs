//! Sending what the outbox has, also while another process leads, and watching that something leaves it.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::Context as _;
use domain::mail;
use integrations::discord::Webhook;
use runtime::{
    daemon::Context,
    outbox::{self, Channel, Sender, Settings},
    periodic::Periodic,
};
use serde_json::json;
use store::{
    Db, StoreError,
    controller::CHANNEL as DISCORD,
    outbox::{MAX_AGE, NewNotification, STALLED_AFTER, Standing},
};

use crate::{
    config::ControllerConfig,
    mail::{Mail, open},
    serve::SILENCE,
    tell::Discord,
};

/// How often it is looked whether something leaves.
const WATCH: Periodic = Periodic::new("outbox-watch", Duration::from_secs(15));

/// Sends by the ways that are configured, and says which those are.
pub fn spawn(context: &Context, db: &Db, config: &ControllerConfig) -> anyhow::Result<()> {
    let mut channels: Vec<Arc<dyn Channel>> = Vec::new();
    let mut routes = Vec::new();
    if config.discord.is_on() {
        let webhook = Webhook::new(&config.discord.webhook_url).context("discord.webhook_url")?;
        channels.push(Arc::new(Discord::new(db.clone(), webhook, &config.discord.portal_url)));
        routes.push((DISCORD, Some("a Discord channel".to_owned())));
    } else {
        tracing::info!(
            "no discord.webhook_url: operators see findings in the Portal and by `zlh-controller findings` only"
        );
        routes.push((DISCORD, None));
    }
    if config.mail.is_on() {
        let mailer = open(&config.mail)?;
        let route = mailer.route();
        tracing::info!("mail goes by {route}");
        channels.push(Arc::new(Mail::new(db.clone(), mailer, context.clock(), config.mail.hourly_limit)));
        routes.push((mail::CHANNEL, Some(route)));
    } else {
        tracing::warn!(
            "no mail.host: mail is not configured; what is to be sent waits in the outbox, for three days at most"
        );
        routes.push((mail::CHANNEL, None));
    }
    let tell = config.discord.is_on();
    let watch = Arc::new(Watch::new(db.clone(), tell, routes));
    context.spawn_periodic(WATCH, move |_| {
        let watch = Arc::clone(&watch);
        async move { watch.look().await.map_err(Into::into) }
    });
    if channels.is_empty() {
        return Ok(());
    }
    let sender = Sender::new(db.clone(), context.name(), channels, Settings::default());
    let (shutdown, heartbeat) = (context.shutdown(), context.heartbeat("outbox", SILENCE));
    context.spawn_service("outbox", async move {
        outbox::run(sender, || heartbeat.beat(), shutdown).await;
        Ok(())
    });
    Ok(())
}

/// Says it when nothing leaves a channel on which something waits, and when it does again.
pub struct Watch {
    db: Db,
    /// Whether there is a way to tell operators.
    tell: bool,
    /// Where each channel sends: written down at the first look at which the database is there.
    routes: Mutex<Vec<(&'static str, Option<String>)>>,
    stalled: Mutex<HashSet<String>>,
}

impl Watch {
    /// Of a process that has these channels, each with where it sends, or `None` for one that is not configured.
    pub fn new(db: Db, tell: bool, routes: Vec<(&'static str, Option<String>)>) -> Self {
        Self { db, tell, routes: Mutex::new(routes), stalled: Mutex::default() }
    }

    /// One look at every channel.
    pub async fn look(&self) -> Result<(), StoreError> {
        self.write_routes().await?;
        for standing in store::outbox::standings(&self.db).await? {
            let channel = standing.channel.clone();
            metrics::gauge!("zlh_notifications_stalled", "channel" => channel.clone())
                .set(if standing.stalled { 1.0 } else { 0.0 });
            if self.is_news(channel, standing.stalled) {
                self.say(&standing).await?;
            }
        }
        Ok(())
    }

    fn is_news(&self, channel: String, is_stalled: bool) -> bool {
        let mut stalled = self.stalled.lock().unwrap_or_else(PoisonError::into_inner);
        if is_stalled { stalled.insert(channel) } else { stalled.remove(&channel) }
    }

    async fn write_routes(&self) -> Result<(), StoreError> {
        let routes = self.routes.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for (channel, route) in &routes {
            store::outbox::configured(&self.db, channel, route.as_deref()).await?;
        }
        self.routes.lock().unwrap_or_else(PoisonError::into_inner).clear();
        Ok(())
    }

    async fn say(&self, standing: &Standing) -> Result<(), StoreError> {
        let Standing { channel, waiting, .. } = standing;
        if !standing.stalled {
            tracing::info!(channel, "something leaves the outbox by {channel} again; {waiting} wait");
            return Ok(());
        }
        let why = standing
            .blocked_by
            .as_deref()
            .unwrap_or("nobody sends it: does zlh-controller run, and reach the database?");
        let text =
            format!("Nothing has been sent by {channel} for {STALLED_AFTER:?}, and {waiting} wait: {why}");
        tracing::error!(channel, waiting, why, "{text}");
        if !self.tell || channel == DISCORD {
            return Ok(());
        }
        // One message for a stall, whoever sees it: what waits longest waits until it has ended.
        let oldest = standing.oldest.map_or_else(String::new, |id| id.to_string());
        let new = NewNotification {
            channel: DISCORD,
            dedupe_key: &format!("stalled:{channel}:{oldest}"),
            payload: &json!({ "text": text }),
            max_age: MAX_AGE,
        };
        store::outbox::enqueue_alone(&self.db, &new).await.map(drop)
    }
}
