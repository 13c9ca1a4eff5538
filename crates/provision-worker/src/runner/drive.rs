//! Forward along the steps, or back.

use std::{sync::Arc, time::Duration};

use domain::operation::{
    Failure, MAX_FORWARD_ATTEMPTS, MAX_INTERRUPTIONS, OperationState, Recovery, Saga, StepName, StepState,
    forward_delay_seconds,
};
use runtime::worker::{Ended, Place};
use store::{
    Db, StoreError,
    operations::{self, Claim, Lease, StepRow},
};
use tokio_util::sync::CancellationToken;

use crate::saga::{Step, StepError, Steps, Work};

/// Tries of one undo within one go. It is idempotent, so trying again is safe.
const UNDO_TRIES: u32 = 3;

/// Longest run of one undo.
const UNDO_DEADLINE: Duration = Duration::from_mins(1);

/// What came of an operation, as far as a worker brought it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// All steps took effect.
    Succeeded,
    /// Failed, and everything is undone.
    Failed(Failure),
    /// Something may be left; a person must look.
    Stuck(Failure),
    /// It will be tried again after this time.
    Later(Failure, Duration),
}

pub(super) struct Drive<'a> {
    pub(super) work: &'a Work,
    pub(super) claim: &'a Claim,
    pub(super) place: &'a Place,
    pub(super) steps: &'a Steps,
    pub(super) shutdown: &'a CancellationToken,
}

/// Waits a moment before a row is asked for or written again. Bounded by the lease: whoever keeps it ends the wait.
pub(super) async fn pause_after(error: &StoreError) {
    tracing::warn!(?error, "the database did not answer; the operation waits and tries again");
    tokio::time::sleep(Duration::from_millis(250)).await;
}

/// Reads, through outages of the database shorter than the lease.
pub(super) async fn read<T, R>(mut read: impl FnMut() -> R) -> Result<T, StoreError>
where
    R: Future<Output = Result<T, StoreError>>,
{
    loop {
        match read().await {
            Err(error) if error.is_unavailable() => pause_after(&error).await,
            outcome => return outcome,
        }
    }
}

/// Lets go of an operation whose rows say something that this worker does not know: another version may.
pub(super) async fn leave(db: &Db, lease: &Lease, error: &StoreError) -> Ended<Outcome> {
    tracing::error!(?error, "the operation cannot be read; it is left to a worker of another version");
    if let Err(error) = operations::leave(db, lease).await {
        tracing::warn!(?error, "the lease could not be released; another worker goes on when it has run out");
    }
    Ended::LeaseLost
}

/// Writes a row, through outages of the database shorter than the lease. The statement names the lease's term, so
/// that repeating it is safe.
macro_rules! persist {
    ($write:expr) => {
        loop {
            match $write.await {
                Ok(done) => break done,
                Err(error) if error.is_unavailable() => pause_after(&error).await,
                Err(StoreError::LeaseLost) => return Ended::LeaseLost,
                Err(error) => {
                    tracing::error!(
                        ?error,
                        "a row could not be written; another worker goes on when the lease has run out"
                    );
                    return Ended::LeaseLost;
                }
            }
        }
    };
}

impl Drive<'_> {
    pub(super) async fn run(&self) -> Ended<Outcome> {
        let operation = &self.claim.operation;
        let journal = match read(|| operations::steps(&self.work.db, operation)).await {
            Ok(journal) => journal,
            Err(error) => return leave(&self.work.db, &self.work.lease, &error).await,
        };
        let recovery = operation.kind.saga().recovery(journal.last().map(|row| row.name));
        if operation.state == OperationState::Undoing {
            if operation.interruptions >= 2 * MAX_INTERRUPTIONS {
                return self.stuck("interrupted_undo", "Cleaning up was interrupted again and again.").await;
            }
            return self.go_back(&journal).await;
        }
        match recovery {
            Recovery::Backward if operation.interruptions >= MAX_INTERRUPTIONS => {
                let Saga { doing, undone, .. } = operation.kind.saga();
                let message = format!("{doing} was interrupted repeatedly on our side. {undone}");
                self.turn_round(Failure::new("interrupted", message)).await
            }
            Recovery::Forward
                if operation.interruptions + self.claim.failed_attempts >= MAX_FORWARD_ATTEMPTS =>
            {
                let message = format!("{} failed again and again.", operation.kind.saga().doing);
                self.stuck(&format!("{}_failed", operation.kind), &message).await
            }
            _ => self.go_forward(&journal).await,
        }
    }

    async fn go_forward(&self, journal: &[StepRow]) -> Ended<Outcome> {
        let (work, kind) = (self.work, self.claim.operation.kind);
        for name in kind.saga().step_names() {
            if journal.iter().any(|row| row.name == name && row.state == StepState::Applied) {
                continue;
            }
            self.settle(name.only_waits()).await;
            if self.shutdown.is_cancelled() {
                return Ended::Interrupted;
            }
            persist!(operations::begin_step(&work.db, &work.lease, kind, name));
            let began = tokio::time::Instant::now();
            let outcome = self.apply(name).await;
            metrics::histogram!("zlh_step_seconds", "step" => name.as_str())
                .record(began.elapsed().as_secs_f64());
            match outcome {
                Ok(()) if kind.saga().is_last(name) => return Ended::Finished(Outcome::Succeeded),
                Ok(()) => persist!(operations::end_step(&work.db, &work.lease, name)),
                Err(failure) => return self.fail(name, failure).await,
            }
        }
        // Every step was applied and yet the operation had not ended: the last step's transaction says so itself.
        tracing::error!("all steps are applied, but the operation has not ended; it is left as it is");
        Ended::LeaseLost
    }

    /// Leaves the place among those at work for what only waits, and comes back into it for the rest: what waits outside
    /// does not count, however long it takes. At a shutdown nobody is waited for.
    async fn settle(&self, only_waits: bool) {
        if only_waits {
            self.place.leave();
        } else {
            self.shutdown.run_until_cancelled(self.place.enter()).await;
        }
    }

    /// Applies a step, through outages of the database.
    async fn apply(&self, name: StepName) -> Result<(), Attempt> {
        let step = (self.steps)(name);
        loop {
            match step.apply(self.work).await {
                Ok(()) => return Ok(()),
                Err(StepError::Store(StoreError::LeaseLost)) => return Err(Attempt::LeaseLost),
                Err(StepError::Store(error)) if error.is_unavailable() => pause_after(&error).await,
                Err(StepError::Store(error)) => return Err(StepError::internal(error).into()),
                Err(error) => return Err(error.into()),
            }
        }
    }

    async fn fail(&self, name: StepName, attempt: Attempt) -> Ended<Outcome> {
        let Attempt::Failed { failure, cause } = attempt else { return Ended::LeaseLost };
        let (kind, hostname, code) = (self.claim.operation.kind, &self.claim.hostname, &failure.code);
        tracing::warn!(step = %name, code, "step {name} of the {kind} of {hostname} failed with {code}: {cause}");
        match self.claim.operation.kind.saga().recovery(Some(name)) {
            Recovery::Backward => self.turn_round(failure).await,
            Recovery::Forward => {
                let delay = forward_delay_seconds(self.claim.failed_attempts);
                persist!(operations::retry_later(&self.work.db, &self.work.lease, &failure, delay));
                Ended::Finished(Outcome::Later(failure, Duration::from_secs(delay.unsigned_abs().into())))
            }
        }
    }

    async fn turn_round(&self, failure: Failure) -> Ended<Outcome> {
        let work = self.work;
        persist!(operations::begin_undo(&work.db, &work.lease, &failure));
        let journal = persist!(operations::steps(&work.db, &self.claim.operation));
        self.undo_all(&journal, failure).await
    }

    async fn go_back(&self, journal: &[StepRow]) -> Ended<Outcome> {
        let operation = &self.claim.operation;
        let unknown = || Failure::new("internal", format!("{} failed.", operation.kind.saga().doing));
        self.undo_all(journal, operation.failure.clone().unwrap_or_else(unknown)).await
    }

    /// Undoes what was begun, newest first. One that fails does not keep the others from being undone, unless they need
    /// it; those are undone after it when a person lets the operation go on.
    async fn undo_all(&self, journal: &[StepRow], reason: Failure) -> Ended<Outcome> {
        let (work, kind) = (self.work, self.claim.operation.kind);
        let mut failed = Vec::new();
        for row in journal.iter().rev().filter(|row| row.state != StepState::Undone) {
            self.settle(row.name.undo_only_waits()).await;
            let error = match self.undo(row.name).await {
                Ok(()) => None,
                Err(Attempt::LeaseLost) => return Ended::LeaseLost,
                Err(Attempt::Failed { failure, cause }) => Some(format!("{}: {cause}", failure.code)),
            };
            persist!(operations::undo_step(&work.db, &work.lease, row.name, error.as_deref()));
            failed.extend(error.map(|error| format!("{}: {error}", row.name)));
            if !failed.is_empty() && kind.saga().undoes_strictly {
                break;
            }
        }
        if failed.is_empty() {
            persist!(operations::undone(&work.db, &work.lease, kind, &reason, crate::BY));
            return Ended::Finished(Outcome::Failed(reason));
        }
        tracing::error!("undoing failed at {}", failed.join("; "));
        self.stuck("undo_failed", "Cleaning up failed as well; we have been told.").await
    }

    async fn undo(&self, name: StepName) -> Result<(), Attempt> {
        let step = (self.steps)(name);
        let mut tries = 0;
        loop {
            let outcome = tokio::time::timeout(UNDO_DEADLINE, undo_once(&step, self.work)).await;
            let attempt = match outcome {
                Ok(Ok(())) => return Ok(()),
                Ok(Err(Attempt::LeaseLost)) => return Err(Attempt::LeaseLost),
                Ok(Err(attempt)) => attempt,
                Err(_) => StepError::internal("the undo did not end within its deadline").into(),
            };
            tries += 1;
            if tries == UNDO_TRIES {
                return Err(attempt);
            }
            tracing::warn!(step = %name, ?attempt, "step {name} could not be undone; trying again");
            tokio::time::sleep(Duration::from_millis(250 * u64::from(tries))).await;
        }
    }

    async fn stuck(&self, code: &str, message: &str) -> Ended<Outcome> {
        let failure = Failure::new(code, message);
        persist!(operations::park_stuck(&self.work.db, &self.work.lease, &failure, crate::BY));
        Ended::Finished(Outcome::Stuck(failure))
    }
}

async fn undo_once(step: &Arc<dyn Step>, work: &Work) -> Result<(), Attempt> {
    loop {
        match step.undo(work).await {
            Ok(()) => return Ok(()),
            Err(StepError::Store(StoreError::LeaseLost)) => return Err(Attempt::LeaseLost),
            Err(StepError::Store(error)) if error.is_unavailable() => pause_after(&error).await,
            Err(error) => return Err(error.into()),
        }
    }
}

/// A step's failure as the runner handles it.
#[derive(Debug)]
enum Attempt {
    /// Somebody else has the operation.
    LeaseLost,
    /// The step cannot be done.
    Failed {
        /// For the customer.
        failure: Failure,
        /// For the log and the journal.
        cause: String,
    },
}

impl From<StepError> for Attempt {
    fn from(error: StepError) -> Self {
        match error {
            StepError::Store(StoreError::LeaseLost) => Self::LeaseLost,
            StepError::Store(error) => StepError::internal(error).into(),
            StepError::Failed { failure, cause } => {
                let cause = cause
                    .map_or_else(|| failure.message.clone(), |cause| integrations::chain(cause.as_ref()));
                Self::Failed { failure, cause }
            }
        }
    }
}
