//! What the log and the metrics say of an operation: read in order, the messages tell its story.

use std::time::Duration;

use runtime::worker::Ended;
use store::operations::Claim;

use super::Outcome;

/// A worker has claimed it.
pub(super) fn started(claim: &Claim) {
    let (kind, hostname, term) = (claim.operation.kind, &claim.hostname, claim.lease.term);
    let interruptions = claim.operation.interruptions;
    if interruptions > 0 {
        let times = if interruptions == 1 { "once".to_owned() } else { format!("{interruptions} times") };
        tracing::warn!(term, interruptions, "{kind} of {hostname} is taken over; it was interrupted {times}");
    } else if term > 1 {
        tracing::info!(term, "{kind} of {hostname} goes on");
    } else {
        tracing::info!(term, "{kind} of {hostname} started");
    }
}

/// The work on it has ended.
pub(super) fn ended(claim: &Claim, ended: &Ended<Outcome>, took: Duration) {
    let (kind, outcome) = (claim.operation.kind.as_str(), word(ended));
    metrics::counter!("zlh_operations_total", "kind" => kind, "outcome" => outcome).increment(1);
    metrics::histogram!("zlh_operation_seconds", "kind" => kind, "outcome" => outcome)
        .record(took.as_secs_f64());
    log(claim, ended, outcome, took);
}

fn log(claim: &Claim, ended: &Ended<Outcome>, outcome: &'static str, took: Duration) {
    let (kind, hostname, id) = (claim.operation.kind, &claim.hostname, claim.operation.id);
    let took = format!("{:.1} s", took.as_secs_f64());
    match ended {
        Ended::Finished(Outcome::Succeeded) => {
            tracing::info!(outcome, "{kind} of {hostname} succeeded in {took}");
        }
        Ended::Finished(Outcome::Failed(failure)) => {
            let code = &failure.code;
            tracing::warn!(
                outcome,
                code,
                "{kind} of {hostname} failed with {code} and was undone, in {took}"
            );
        }
        Ended::Finished(Outcome::Stuck(failure)) => {
            let code = &failure.code;
            tracing::error!(
                outcome,
                code,
                "{kind} of {hostname} is stuck with {code} after {took}, and blocks the server: see its steps, mend the \
                 cause, then run `zpack-provision-worker resume {id}`"
            );
        }
        Ended::Finished(Outcome::Later(failure, delay)) => {
            let code = &failure.code;
            let delay = delay.as_secs();
            tracing::warn!(
                outcome,
                code,
                "{kind} of {hostname} failed with {code} and is tried again in {delay} s"
            );
        }
        Ended::Interrupted => {
            tracing::info!(outcome, "{kind} of {hostname} was handed over after {took}, for the shutdown");
        }
        Ended::LeaseLost => {
            tracing::warn!(outcome, "{kind} of {hostname} was left after {took}; whoever holds it goes on");
        }
    }
}

/// For metrics and fields.
fn word(ended: &Ended<Outcome>) -> &'static str {
    match ended {
        Ended::Finished(Outcome::Succeeded) => "succeeded",
        Ended::Finished(Outcome::Failed(_)) => "failed",
        Ended::Finished(Outcome::Stuck(_)) => "stuck",
        Ended::Finished(Outcome::Later(..)) => "later",
        Ended::Interrupted => "interrupted",
        Ended::LeaseLost => "lease_lost",
    }
}
