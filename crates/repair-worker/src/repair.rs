//! A repair: may it be done, is it still needed, do it, did it help.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use domain::{
    drift::{Mode, RepairAction},
    edge::{Entry, Observed, Owner, Publication},
    ids::{InstanceId, OperationId},
    instance::Lifecycle,
};
use integrations::edge::Edge;
use runtime::worker::{Ended, Handler, Place};
use store::{
    Db, StoreError, controller,
    repairs::{self, Claim, Event, Outcome},
};
use tokio_util::sync::CancellationToken;

use crate::{BY, rows::Rows};

/// After this many attempts that could not be written down a repair has failed: what keeps it from being written does not pass
/// by itself, and each attempt changes something outside.
const MAX_ATTEMPTS: i32 = 5;

/// What came of a repair, and the address under which a server was published again.
type Done = (Event, Option<String>);

/// Makes repairs.
pub struct Repairer {
    rows: Rows,
    db: Db,
    edge: Arc<dyn Edge>,
}

impl Repairer {
    /// With these rows and this edge.
    pub fn new(db: Db, edge: Arc<dyn Edge>) -> Self {
        Self { rows: Rows(db.clone()), db, edge }
    }

    /// Repairs and writes down what came of it; after too many attempts that could not be written, that it failed.
    async fn repair_and_end(&self, claim: &Claim) -> Result<Event, StoreError> {
        if claim.attempts > MAX_ATTEMPTS {
            // Their workers were gone before they could say why.
            return self.give_up(claim, "the log of zpack-repair-worker says more").await;
        }
        let ended = match self.repair(claim).await {
            Ok((event, address)) => {
                repairs::end(&self.db, claim, &event, BY, address.as_deref()).await.map(|()| event)
            }
            Err(error) => Err(error),
        };
        match ended {
            Err(error) if claim.attempts == MAX_ATTEMPTS && !matches!(error, StoreError::LeaseLost) => {
                tracing::warn!(id = %claim.id, ?error, "attempt {MAX_ATTEMPTS} could not be written down either; it is the last one");
                self.give_up(claim, &format!("the last one: {:#}", anyhow::Error::from(error))).await
            }
            ended => ended,
        }
    }

    /// Nothing of what was seen is in it, since that may be what cannot be written.
    async fn give_up(&self, claim: &Claim, why: &str) -> Result<Event, StoreError> {
        let reason = format!("none of {MAX_ATTEMPTS} attempts could be written down; {why}");
        let (event, _) = failed(String::new(), String::new(), reason);
        repairs::end(&self.db, claim, &event, BY, None).await?;
        Ok(event)
    }

    async fn repair(&self, claim: &Claim) -> Result<Done, StoreError> {
        let Ok(action) = claim.action.parse::<RepairAction>() else {
            return Ok(rejected(format!(
                "{} is not an action of Level 1; a person decides it",
                claim.action
            )));
        };
        if let Some(reason) = self.forbidden(claim).await? {
            return Ok(rejected(reason));
        }
        match (action, claim.instance, claim.operation) {
            (RepairAction::EdgeRepublish, Some(instance), _) => self.republish(claim, instance).await,
            (RepairAction::ClearStaleOperationLock, _, Some(operation)) => self.clear_lock(operation).await,
            _ => Ok(rejected("the finding does not say what it is about".to_owned())),
        }
    }

    /// Why nothing may be repaired on this word.
    async fn forbidden(&self, claim: &Claim) -> Result<Option<String>, StoreError> {
        let state = controller::state(&self.db).await?;
        let asked = claim.controller_term;
        Ok(match (state.mode, state.paused) {
            _ if state.term != asked => Some(format!(
                "it was asked for under term {asked}, and the controller's term is {}",
                state.term
            )),
            (Mode::Observe, _) => Some("the controller only observes by now".to_owned()),
            (Mode::Level1, true) => Some("the controller is paused by now".to_owned()),
            (Mode::Level1, false) => None,
        })
    }

    async fn republish(&self, claim: &Claim, id: InstanceId) -> Result<Done, StoreError> {
        let (rows, _) = controller::rows(&self.db, Some(id)).await?;
        let Some(row) = rows.into_iter().next() else { return Ok(rejected("the server is gone".to_owned())) };
        let facts = &row.facts;
        if facts.on_hold {
            return Ok(rejected("the server is on hold".to_owned()));
        }
        if facts.lifecycle != Lifecycle::Active || facts.active.is_some() || row.address.is_none() {
            return Ok(rejected("the server is being changed, or is not in use".to_owned()));
        }
        let Some(publication) = row.publication else {
            return Ok(rejected("nothing of the server is published".to_owned()));
        };
        let wanted = match self.edge.desired(&publication) {
            Ok(wanted) => wanted,
            Err(error) => return Ok(failed(String::new(), String::new(), error.to_string())),
        };
        let before = match self.look(&wanted).await {
            Ok(seen) => seen,
            Err(reason) => return Ok(failed(String::new(), String::new(), reason)),
        };
        if is_right(&wanted, &before, id) {
            return Ok((
                event(Outcome::NotNeeded, told(&before), told(&before), "it is as it should be".to_owned()),
                None,
            ));
        }
        if before.iter().any(|it| it.owner == Owner::Foreign) {
            return Ok((
                event(Outcome::Rejected, told(&before), told(&before), "a record is not ours".to_owned()),
                None,
            ));
        }
        self.publish(claim, &publication, &wanted, &before).await
    }

    async fn publish(
        &self,
        claim: &Claim,
        publication: &Publication,
        wanted: &[Entry],
        before: &[Observed],
    ) -> Result<Done, StoreError> {
        // Once more, since looking took its time.
        if let Some(reason) = self.forbidden(claim).await? {
            return Ok(rejected(reason));
        }
        let published = self.edge.publish(publication).await;
        let after = self.look(wanted).await;
        let told_after = after.as_ref().map_or_else(String::clone, |seen| told(seen));
        Ok(match (published, after) {
            (Ok(address), Ok(after)) if is_right(wanted, &after, publication.instance_id) => {
                let event =
                    event(Outcome::Repaired, told(before), told_after, "published again and seen".to_owned());
                (event, Some(address.to_string()))
            }
            (Ok(_), _) => {
                failed(told(before), told_after, "published again, and not seen as it should be".to_owned())
            }
            (Err(error), _) => failed(told(before), told_after, error.to_string()),
        })
    }

    /// What is at the edge under these names.
    async fn look(&self, wanted: &[Entry]) -> Result<Vec<Observed>, String> {
        let mut seen = self.edge.observe().await.map_err(|error| error.to_string())?;
        seen.retain(|it| {
            wanted.iter().any(|entry| (&entry.part, &entry.name) == (&it.entry.part, &it.entry.name))
        });
        Ok(seen)
    }

    async fn clear_lock(&self, operation: OperationId) -> Result<Done, StoreError> {
        let lock = || async {
            Ok::<_, StoreError>(repairs::lock_of(&self.db, operation).await?.unwrap_or_default())
        };
        let before = lock().await?;
        if !repairs::clear_lock(&self.db, operation).await? {
            return Ok((
                event(
                    Outcome::NotNeeded,
                    before.clone(),
                    before,
                    "no worker's lock is left on it".to_owned(),
                ),
                None,
            ));
        }
        let reason = "its worker was gone for more than a minute; another one goes on".to_owned();
        Ok((event(Outcome::Repaired, before, lock().await?, reason), None))
    }
}

fn event(outcome: Outcome, before: String, after: String, reason: String) -> Event {
    Event { outcome, before, after, reason }
}

fn rejected(reason: String) -> Done {
    (event(Outcome::Rejected, String::new(), String::new(), reason), None)
}

fn failed(before: String, after: String, reason: String) -> Done {
    (event(Outcome::Failed, before, after, reason), None)
}

fn is_right(wanted: &[Entry], seen: &[Observed], id: InstanceId) -> bool {
    wanted.len() == seen.len()
        && seen.iter().all(|it| it.owner.may_be(id) && wanted.iter().any(|entry| it.leads_to(entry)))
}

fn told(seen: &[Observed]) -> String {
    let lines: Vec<_> = seen
        .iter()
        .map(|it| {
            let whose = if it.owner == Owner::Foreign { " (not ours)" } else { "" };
            format!("{} {}{whose}", it.entry.name, it.entry.target)
        })
        .collect();
    if lines.is_empty() { "nothing".to_owned() } else { lines.join("; ") }
}

#[async_trait]
impl Handler for Repairer {
    type Rows = Rows;
    type Outcome = Result<Event, StoreError>;

    fn rows(&self) -> &Rows {
        &self.rows
    }

    async fn work(&self, claim: &Claim, _: &Place, _: &CancellationToken) -> Ended<Self::Outcome> {
        match self.repair_and_end(claim).await {
            Err(StoreError::LeaseLost) => Ended::LeaseLost,
            done => Ended::Finished(done),
        }
    }

    fn report(&self, claim: &Claim, ended: &Ended<Self::Outcome>, took: Duration) {
        let (id, action) = (claim.id, &claim.action);
        let of = claim.hostname.as_deref().unwrap_or("nothing known");
        let event = match ended {
            Ended::Finished(Ok(event)) => event,
            Ended::Finished(Err(error)) => {
                return tracing::warn!(%id, ?error, "{action} of {of} could not be written down; it is taken up again when its lease ends");
            }
            Ended::Interrupted | Ended::LeaseLost => {
                return tracing::info!(%id, "{action} of {of} is left to another worker");
            }
        };
        let outcome = event.outcome.as_str();
        metrics::counter!("zlh_repairs_total", "action" => action.clone(), "outcome" => outcome).increment(1);
        let instance = claim.instance.map(tracing::field::display);
        match event.outcome {
            Outcome::Repaired => {
                tracing::info!(%id, instance, outcome, "{action} of {of} repaired it in {took:.1?}: was {}, is {}", event.before, event.after);
            }
            Outcome::NotNeeded => {
                tracing::info!(%id, instance, outcome, "{action} of {of} was not needed: {}", event.reason);
            }
            Outcome::Rejected => {
                tracing::warn!(%id, instance, outcome, "{action} of {of} was rejected: {}; nothing was changed", event.reason);
            }
            Outcome::Failed => {
                tracing::warn!(%id, instance, outcome, "{action} of {of} failed: {}; it is tried again later", event.reason);
            }
        }
    }
}
