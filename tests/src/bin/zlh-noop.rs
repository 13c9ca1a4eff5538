//! `zlh-noop`: a daemon that does nothing, to show what a daemon is: a queue, rows under a lease, a periodic task, health
//! and a role of its own. What it does is the only thing in it.

use std::{process::ExitCode, sync::Arc, time::Duration};

use async_trait::async_trait;
use domain::lease::LEASE_SECONDS;
use runtime::{
    config::{Common, Config, Section},
    daemon::{self, About, Context},
    periodic::Periodic,
    worker::{self, Backlog, Ended, Handler, LeasedRows, Place, SlotLimit, WorkerSlots},
};
use store::{
    Db, StoreError,
    queue::QueueName,
    testing::noop::{self, Claim},
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

#[derive(Debug, Default, serde::Serialize, serde::Deserialize)]
struct NoopConfig {}

impl Config for NoopConfig {
    fn sections(&self) -> Vec<&dyn Section> {
        Vec::new()
    }

    fn common() -> Common {
        Common::with_health_on(9_199)
    }
}

struct Rows(Db);

#[async_trait]
impl LeasedRows for Rows {
    type Id = Uuid;
    type Slot = ();
    type Claim = Claim;
    const NOUN: &'static str = "noop";

    async fn slot(&self, id: Uuid) -> Result<Option<()>, StoreError> {
        Ok(noop::exists(&self.0, id).await?.then_some(()))
    }
    async fn next(&self, _: ()) -> Result<Option<Uuid>, StoreError> {
        noop::next(&self.0).await
    }
    async fn claim(&self, id: Uuid, owner: &str) -> Result<Option<Claim>, StoreError> {
        noop::claim(&self.0, id, owner, LEASE_SECONDS.into()).await
    }
    async fn renew(&self, claim: &Claim) -> Result<(), StoreError> {
        noop::renew(&self.0, *claim, LEASE_SECONDS.into()).await
    }
    async fn release(&self, claim: &Claim) -> Result<(), StoreError> {
        noop::end(&self.0, *claim, None).await
    }
    async fn backlog(&self) -> Result<Backlog, StoreError> {
        Ok(Backlog { due: noop::due(&self.0).await?, ..Backlog::default() })
    }
    async fn take_unclaimed(&self, limit: i64) -> Result<Vec<Uuid>, StoreError> {
        noop::take_unclaimed(&self.0, limit).await
    }
}

struct Noop(Rows);

#[async_trait]
impl Handler for Noop {
    type Rows = Rows;
    type Outcome = Result<(), StoreError>;

    fn rows(&self) -> &Rows {
        &self.0
    }
    async fn work(&self, claim: &Claim, _: &Place, _: &CancellationToken) -> Ended<Self::Outcome> {
        let ms = std::env::var("NOOP_WORK_MS").ok().and_then(|text| text.parse().ok());
        tokio::time::sleep(Duration::from_millis(ms.unwrap_or_default())).await;
        Ended::Finished(noop::end(&self.0.0, *claim, Some(&std::process::id().to_string())).await)
    }
    fn report(&self, claim: &Claim, ended: &Ended<Self::Outcome>, took: Duration) {
        tracing::info!(id = %claim.id, "noop {} ended after {took:.1?}: {ended:?}", claim.id);
    }
}

async fn serve(context: Context, _: NoopConfig) -> anyhow::Result<()> {
    let (db, queue) = (context.database()?, context.queue(QueueName::Repair)?);
    let slots = WorkerSlots::new([((), SlotLimit { at_once: 1, under_way: 1 })]);
    worker::start(&context, db.clone(), queue, slots, Arc::new(Noop(Rows(db))));
    context.spawn_periodic(Periodic::new("nothing", Duration::from_secs(1)), |_| async { Ok(()) });
    context.ready();
    context.shutdown().cancelled().await;
    Ok(())
}

fn main() -> ExitCode {
    daemon::run(
        About { name: "zlh-noop", summary: "Does nothing", version: env!("CARGO_PKG_VERSION") },
        serve,
    )
}
