//! Hearing that a look would find something new: somebody asks for one, or something of an instance has changed.

use sqlx::postgres::PgListener;

use crate::{Db, StoreError, events::EVENTS_CHANNEL};

/// Where a look is asked for.
const CHANNEL: &str = "zlh_controller";

/// Why a look would be worth while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Called {
    /// Somebody asks for one now.
    Asked,
    /// Something has changed.
    Changed,
}

/// A connection of its own that hears it.
#[derive(Debug)]
pub struct Wake {
    inner: PgListener,
}

impl Wake {
    /// Connects and listens.
    pub async fn connect(db: &Db) -> Result<Self, StoreError> {
        let mut inner = PgListener::connect_with(db.pool()).await?;
        inner.listen_all([CHANNEL, EVENTS_CHANNEL]).await?;
        Ok(Self { inner })
    }

    /// Waits for the next. After an error it is to be made anew.
    pub async fn next(&mut self) -> Result<Called, StoreError> {
        Ok(match self.inner.try_recv().await? {
            Some(notification) if notification.channel() == CHANNEL => Called::Asked,
            // Anything may have been missed while the connection was away.
            Some(_) | None => Called::Changed,
        })
    }
}

/// Asks the leader to look now.
pub async fn ask_for_a_look(db: &Db) -> Result<(), StoreError> {
    sqlx::query!("SELECT pg_notify($1, '')", CHANNEL).execute(db.pool()).await?;
    Ok(())
}
