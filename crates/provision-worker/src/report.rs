//! Reporting what the engines have: who looks for differences has no engine's credentials, and needs none.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use domain::ids::NodeId;
use integrations::{
    chain,
    engine::{Engine, EngineError, Engines},
};
use runtime::{daemon::Context, periodic::Periodic};
use store::{
    Db, StoreError,
    nodes::{self, Listing},
};
use tokio::time::timeout;

/// Longest that an engine may take to list what it has.
const DEADLINE: Duration = Duration::from_secs(30);

/// Reports for every engine that this process has.
#[derive(Clone)]
pub struct Report {
    db: Db,
    engines: Engines,
    /// What was reported last, so that it is not written again.
    last: Arc<Mutex<HashMap<NodeId, Listing>>>,
}

impl Report {
    /// Of these engines.
    pub fn new(db: Db, engines: Engines) -> Self {
        Self { db, engines, last: Arc::default() }
    }

    /// Reports again and again.
    pub fn start(self, context: &Context, every: Duration) {
        context.spawn_periodic(Periodic::new("node report", every), move |_| {
            let report = self.clone();
            async move { Ok(report.once().await?) }
        });
    }

    async fn once(&self) -> Result<(), StoreError> {
        for node in self.engines.nodes() {
            let Ok(engine) = self.engines.of(node) else { continue };
            let began = Instant::now();
            match timeout(DEADLINE, list(engine)).await {
                Ok(Ok(listing)) => {
                    let same = self.last(|last| last.get(&node) == Some(&listing));
                    nodes::report(&self.db, node, &listing, began.elapsed(), same).await?;
                    self.last(|last| last.insert(node, listing));
                }
                Ok(Err(error)) => nodes::report_failure(&self.db, node, &chain(&error)).await?,
                Err(_) => {
                    let late = format!("the engine did not list what it has within {} s", DEADLINE.as_secs());
                    nodes::report_failure(&self.db, node, &late).await?;
                }
            }
        }
        Ok(())
    }

    fn last<T>(&self, with: impl FnOnce(&mut HashMap<NodeId, Listing>) -> T) -> T {
        with(&mut self.last.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

async fn list(engine: &Arc<dyn Engine>) -> Result<Listing, EngineError> {
    let mut containers: Vec<_> = engine.list().await?.into_iter().map(|it| it.instance_id).collect();
    let mut unmarked = engine.list_unmarked().await?;
    containers.sort_unstable();
    unmarked.sort_unstable();
    Ok(Listing { containers, unmarked })
}
