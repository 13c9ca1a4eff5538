//! Whether a finding may be repaired now.

use chrono::{DateTime, TimeDelta, Utc};

use super::{Finding, Mode, RepairAction, Rule};
use crate::instance::text_enum;

/// Looks until a finding counts.
const LOOKS: u32 = 2;

/// The breaker opens when more than this many servers, and more than one in [`FLEET_PART`], drift at once.
const FEW: usize = 3;
const FLEET_PART: usize = 5;

/// Pause after the first attempt at a finding, doubling with each up to the longest.
const BACKOFF: TimeDelta = TimeDelta::minutes(1);
const LONGEST_BACKOFF: TimeDelta = TimeDelta::hours(1);

text_enum! {
    /// Why a finding is not repaired now.
    Reason {
        /// A person's business.
        AboveLevel1 = "above_level_1",
        /// The controller only observes.
        Observing = "observing",
        /// An operator has paused it.
        Paused = "paused",
        /// Too much drifts at once: something else is wrong.
        BreakerOpen = "breaker_open",
        /// Not everything could be seen.
        Incomplete = "incomplete",
        /// Seen once; it counts when it is seen again.
        SeenOnce = "seen_once",
        /// A hold is in force.
        OnHold = "on_hold",
        /// The server is not one that is to be reachable.
        NotActive = "not_active",
        /// An operation is at work on it.
        OperationActive = "operation_active",
        /// It is being repaired.
        UnderRepair = "under_repair",
        /// It was tried a short while ago.
        BackingOff = "backing_off",
        /// Enough was repaired in the last hour.
        BudgetUsedUp = "budget_used_up",
    }
}

impl Reason {
    /// The same for people.
    pub const fn say(self) -> &'static str {
        match self {
            Self::AboveLevel1 => "a person decides this",
            Self::Observing => "the controller only observes",
            Self::Paused => "the controller is paused",
            Self::BreakerOpen => "too much drifts at once, so nothing is repaired until a person has looked",
            Self::Incomplete => "not everything could be seen",
            Self::SeenOnce => "it was seen once and counts when it is seen again",
            Self::OnHold => "the server is on hold",
            Self::NotActive => "the server is not in use",
            Self::OperationActive => "an operation is at work on the server",
            Self::UnderRepair => "it is being repaired",
            Self::BackingOff => "it was tried a short while ago",
            Self::BudgetUsedUp => "enough was repaired in the last hour",
        }
    }
}

/// What is to be done about a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// This, now.
    Repair(RepairAction),
    /// Nothing, for this reason.
    Leave(Reason),
}

/// What the controller may do in this pass.
#[derive(Clone, Copy, Debug)]
pub struct Posture {
    /// By whose word.
    pub mode: Mode,
    /// Whether an operator has paused it.
    pub paused: bool,
    /// Whether everything could be seen.
    pub complete: bool,
    /// Whether too much drifts at once.
    pub breaker_open: bool,
    /// Repairs that this hour still allows.
    pub budget: u32,
}

/// Attempts at a finding so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Attempts {
    /// How many.
    pub count: u32,
    /// When the last one ended.
    pub last_at: Option<DateTime<Utc>>,
    /// Whether one waits or is under way.
    pub pending: bool,
}

/// What is known of a finding and its server.
#[derive(Clone, Copy, Debug)]
pub struct Standing {
    /// In how many passes in a row it was seen, this one included.
    pub seen: u32,
    /// Whether a hold is in force.
    pub on_hold: bool,
    /// Whether the server is in use.
    pub active: bool,
    /// Whether an operation is at work on it.
    pub busy: bool,
    /// Attempts so far.
    pub attempts: Attempts,
}

/// Whether so many servers of a fleet drift at once that the cause is elsewhere.
pub const fn breaker_is_open(drifting: usize, fleet: usize) -> bool {
    drifting > FEW && drifting.saturating_mul(FLEET_PART) > fleet
}

/// Says of a finding whether it is repaired now. The first reason against it counts.
pub fn verdict(finding: &Finding, standing: &Standing, posture: &Posture, now: DateTime<Utc>) -> Verdict {
    let Some(action) = finding.action else { return Verdict::Leave(Reason::AboveLevel1) };
    let attempts = standing.attempts;
    let of_lock = finding.rule == Rule::StaleOperationLock;
    let reasons = [
        (standing.on_hold, Reason::OnHold),
        // A lock is cleared so that a create or a delete can go on.
        (!standing.active && !of_lock, Reason::NotActive),
        (standing.busy && !of_lock, Reason::OperationActive),
        (!posture.complete, Reason::Incomplete),
        (posture.breaker_open, Reason::BreakerOpen),
        (standing.seen < LOOKS, Reason::SeenOnce),
        (posture.paused, Reason::Paused),
        (posture.mode == Mode::Observe, Reason::Observing),
        (attempts.pending, Reason::UnderRepair),
        (attempts.last_at.is_some_and(|at| at + backoff(attempts.count) > now), Reason::BackingOff),
        (posture.budget == 0, Reason::BudgetUsedUp),
    ];
    match reasons.into_iter().find(|(holds, _)| *holds) {
        Some((_, reason)) => Verdict::Leave(reason),
        None => Verdict::Repair(action),
    }
}

fn backoff(attempts: u32) -> TimeDelta {
    let doublings = attempts.saturating_sub(1).min(10);
    BACKOFF.checked_mul(1 << doublings).map_or(LONGEST_BACKOFF, |pause| pause.min(LONGEST_BACKOFF))
}
