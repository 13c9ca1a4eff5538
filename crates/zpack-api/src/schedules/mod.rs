//! Schedules: looks which are due, and carries them out with what the API's own handlers use.
//!
//! A time is carried out at most once, however many daemons look: the claim in the store decides. What cannot be done
//! at its time is recorded with its reason and not made up for later.

mod work;

use std::time::Duration;

use chrono::TimeDelta;
use domain::schedule::{RunOutcome, RunReason};
use futures_util::{StreamExt as _, stream};
use runtime::systemd::Heartbeat;
use store::{
    StoreError,
    schedules::{Claimed, DueRun},
};
use tokio_util::sync::CancellationToken;

pub use work::Runner;

/// Runs carried out together.
const AT_ONCE: usize = 8;

/// Longest sleep: what was made or edited since may be due sooner than what was known.
const LONGEST_SLEEP: Duration = Duration::from_secs(10);

/// Shortest sleep, for when a schedule is due and another daemon holds it.
const SHORTEST_SLEEP: Duration = Duration::from_millis(100);

/// Longest run. Each of its calls has a deadline of its own; together they take a fraction of this.
const RUN_DEADLINE: Duration = Duration::from_mins(1);

/// A run that is older and has not ended belongs to a daemon that is gone.
const ABANDONED_AFTER: TimeDelta = TimeDelta::minutes(2);

/// Longest silence of the loop: it sleeps, or waits for one of the runs under way.
pub const MAX_SILENCE: Duration = Duration::from_mins(3);

/// Carries out what becomes due, until the shutdown; then what was begun is finished.
pub async fn run(runner: Runner, heartbeat: Heartbeat, shutdown: CancellationToken) {
    let due = stream::unfold((), |()| async { Some((wait_for_due(&runner, &heartbeat).await, ())) });
    due.take_until(shutdown.cancelled_owned())
        .for_each_concurrent(AT_ONCE, |due| async { carry_out(&runner, due).await })
        .await;
}

/// Carries out what is due at this moment, and returns when all of it has ended.
pub async fn pass(runner: &Runner) -> Result<(), StoreError> {
    let due = stream::try_unfold((), |()| async { Ok(look(runner).await?.map(|due| (due, ()))) });
    futures_util::TryStreamExt::try_for_each_concurrent(due, AT_ONCE, |due| async {
        carry_out(runner, due).await;
        Ok(())
    })
    .await
}

async fn wait_for_due(runner: &Runner, heartbeat: &Heartbeat) -> DueRun {
    loop {
        heartbeat.beat();
        match look(runner).await {
            Ok(Some(due)) => return due,
            Ok(None) => tokio::time::sleep(until_next(runner).await).await,
            Err(error) => {
                tracing::warn!(
                    ?error,
                    "schedules could not be read; what is due waits for the next look, in 10 s"
                );
                tokio::time::sleep(LONGEST_SLEEP).await;
            }
        }
    }
}

async fn until_next(runner: &Runner) -> Duration {
    match store::schedules::next_due(&runner.db).await {
        Ok(Some(next)) => {
            let left = (next - runner.clock.now()).to_std().unwrap_or_default();
            left.clamp(SHORTEST_SLEEP, LONGEST_SLEEP)
        }
        Ok(None) | Err(_) => LONGEST_SLEEP,
    }
}

/// The next run that this daemon has to carry out at this moment.
async fn look(runner: &Runner) -> Result<Option<DueRun>, StoreError> {
    let now = runner.clock.now();
    let abandoned = store::schedules::interrupt(&runner.db, now - ABANDONED_AFTER, now).await?;
    if abandoned > 0 {
        tracing::warn!(
            abandoned,
            "{abandoned} scheduled runs of a daemon that is gone are marked as interrupted"
        );
    }
    loop {
        match store::schedules::claim_due(&runner.db, now).await? {
            Claimed::Nothing => return Ok(None),
            Claimed::Recorded => {}
            Claimed::Run(due) => return Ok(Some(*due)),
        }
    }
}

/// Carries out a run that was begun, and records how it ended.
pub async fn carry_out(runner: &Runner, due: DueRun) {
    let outcome = tokio::time::timeout(RUN_DEADLINE, runner.perform(&due)).await;
    let late = || {
        let text = "It took too long: whether it was done is not known.";
        RunOutcome::Not(RunReason::AgentUnreachable, text.to_owned())
    };
    let outcome = outcome.unwrap_or_else(|_| late());
    let (action, state) = (due.schedule.plan.action, outcome.state());
    metrics::counter!("zlh_schedule_runs_total", "action" => action.as_str(), "state" => state.as_str())
        .increment(1);
    let now = runner.clock.now();
    if let Ok(delay) = (now - due.planned_for).to_std() {
        metrics::histogram!("zlh_schedule_delay_seconds").record(delay.as_secs_f64());
    }
    let (schedule, instance) = (due.schedule.id, due.schedule.instance_id);
    let planned_for = due.planned_for;
    tracing::info!(%schedule, %instance, %action, %state, %planned_for, "{action} of {instance} by its schedule: {state}");
    if let Err(error) = store::schedules::finish(&runner.db, &due, &outcome, now).await {
        // It stays as running, and is marked as interrupted by a later look.
        tracing::error!(%schedule, ?error, "how a scheduled run ended could not be recorded; it is marked as interrupted");
    }
}
