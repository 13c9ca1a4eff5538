//! Schedules: what is done to an instance at set times, the rules for them, and what became of each time.

mod timetable;
mod zone;

use chrono::{DateTime, TimeDelta, Utc};

use crate::{
    agent::PowerAction,
    ids::{CustomerId, InstanceId, OperationId, ScheduleId},
    instance::text_enum,
    text::has_hidden,
};

pub use timetable::{MAX_CRON_CHARS, MAX_ZONE_CHARS, Timetable, TimetableError};

/// Longest name of a schedule, in characters.
pub const MAX_NAME_CHARS: usize = 100;

/// Longest command, in bytes.
pub const MAX_COMMAND_BYTES: usize = 1024;

/// A time that was missed is made up for if it is no older than this. A restart that players expect at four does not
/// happen at noon because the control plane was away until then.
pub const GRACE: TimeDelta = TimeDelta::minutes(10);

/// How many runs of a schedule are remembered.
pub const KEPT_RUNS: i64 = 100;

text_enum! {
    /// What is done.
    ScheduleAction {
        /// Start the server; a running one is left alone.
        Start = "start",
        /// Stop it.
        Stop = "stop",
        /// Stop and start it, unless its owner has stopped it.
        Restart = "restart",
        /// Type a line into its console.
        Command = "command",
        /// Copy its files into storage.
        Backup = "backup",
    }
}

impl ScheduleAction {
    /// The switch that it presses, if it presses one.
    pub fn power(self) -> Option<PowerAction> {
        match self {
            Self::Start => Some(PowerAction::Start),
            Self::Stop => Some(PowerAction::Stop),
            Self::Restart => Some(PowerAction::Restart),
            Self::Command | Self::Backup => None,
        }
    }
}

text_enum! {
    /// What began a run.
    RunOrigin {
        /// Its time had come.
        Timetable = "timetable",
        /// Its owner asked for it to be carried out at once.
        Customer = "customer",
    }
}

text_enum! {
    /// Where a run stands.
    RunState {
        /// Under way.
        Running = "running",
        /// Done. A backup has been asked for: its operation says how it ended.
        Succeeded = "succeeded",
        /// It was tried and went wrong.
        Failed = "failed",
        /// It was not tried: it was not possible then, and is not made up for.
        Skipped = "skipped",
    }
}

text_enum! {
    /// Why a run did not succeed.
    RunReason {
        /// The server is on hold.
        OnHold = "on_hold",
        /// An operation on the server was under way.
        Busy = "busy",
        /// The server was being made, or is gone.
        NotActive = "not_active",
        /// The server was not running, and what was to be done needs a running one.
        NotRunning = "not_running",
        /// Nobody was there at the time: the control plane was away.
        Missed = "missed",
        /// The plan's backups are all in use and none may give way.
        BackupLimit = "backup_limit",
        /// The account is disabled.
        AccountDisabled = "account_disabled",
        /// A payment is open for too long.
        PaymentOpen = "payment_open",
        /// The server's machine did not answer.
        AgentUnreachable = "agent_unreachable",
        /// The server's agent could not do it.
        Refused = "refused",
        /// The control plane ended in the middle: whether it was done is not known.
        Interrupted = "interrupted",
        /// Something went wrong on our side.
        Internal = "internal",
    }
}

impl RunReason {
    /// Whether the run was not tried at all, or tried and went wrong.
    pub fn state(self) -> RunState {
        match self {
            Self::OnHold
            | Self::Busy
            | Self::NotActive
            | Self::NotRunning
            | Self::Missed
            | Self::BackupLimit
            | Self::AccountDisabled
            | Self::PaymentOpen => RunState::Skipped,
            Self::AgentUnreachable | Self::Refused | Self::Interrupted | Self::Internal => RunState::Failed,
        }
    }
}

/// Something that is done to an instance at set times.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// Its id.
    pub id: ScheduleId,
    /// To which instance.
    pub instance_id: InstanceId,
    /// Whose.
    pub customer_id: CustomerId,
    /// What is done, and when.
    pub plan: SchedulePlan,
    /// The next time; `None` while disabled, or when there is no further one.
    pub next_run_at: Option<DateTime<Utc>>,
    /// Increases with every edit; the `ETag`.
    pub row_version: i64,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it was last edited.
    pub updated_at: DateTime<Utc>,
}

/// What a person decides about a schedule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SchedulePlan {
    /// What the customer calls it.
    pub name: String,
    /// When.
    pub timetable: Timetable,
    /// What.
    pub action: ScheduleAction,
    /// The line for the console; only with [`ScheduleAction::Command`], and always with it.
    pub command: Option<String>,
    /// Whether it runs.
    pub enabled: bool,
}

impl SchedulePlan {
    /// The first time after this one, if it runs at all.
    pub fn next_run(&self, after: DateTime<Utc>) -> Option<DateTime<Utc>> {
        self.enabled.then(|| self.timetable.next_after(after)).flatten()
    }

    /// Whether it may be stored: its words are in order, it will run some time, and never more often than every
    /// `spacing`.
    pub fn check(&self, now: DateTime<Utc>, spacing: TimeDelta) -> Result<(), ScheduleError> {
        check_name(&self.name)?;
        match (self.action, &self.command) {
            (ScheduleAction::Command, Some(line)) => check_command(line)?,
            (ScheduleAction::Command, None) => return Err(ScheduleError::CommandMissing),
            (_, Some(_)) => return Err(ScheduleError::CommandUnused),
            (_, None) => {}
        }
        self.timetable.check(now, spacing).map_err(ScheduleError::Timetable)
    }
}

/// Why a schedule is not possible.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScheduleError {
    /// The name.
    #[error("a name has 1 to {MAX_NAME_CHARS} characters, none of them hidden, and no space at its ends")]
    Name,
    /// The command.
    #[error("a command is one line of 1 to {MAX_COMMAND_BYTES} bytes, without control characters")]
    Command,
    /// There is none.
    #[error("this action needs the line to be typed")]
    CommandMissing,
    /// There is one.
    #[error("only the action `command` has a line to be typed")]
    CommandUnused,
    /// When it runs.
    #[error(transparent)]
    Timetable(#[from] TimetableError),
}

impl ScheduleError {
    /// Which field of a request is meant.
    pub fn field(&self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Command | Self::CommandMissing | Self::CommandUnused => "command",
            Self::Timetable(TimetableError::Zone(_)) => "time_zone",
            Self::Timetable(_) => "cron",
        }
    }
}

fn check_name(name: &str) -> Result<(), ScheduleError> {
    let fits = (1..=MAX_NAME_CHARS).contains(&name.chars().count());
    if fits && name.trim() == name && !has_hidden(name) { Ok(()) } else { Err(ScheduleError::Name) }
}

fn check_command(line: &str) -> Result<(), ScheduleError> {
    let fits = (1..=MAX_COMMAND_BYTES).contains(&line.len()) && !line.trim().is_empty();
    if fits && !has_hidden(line) { Ok(()) } else { Err(ScheduleError::Command) }
}

/// One time of a schedule, and what became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScheduleRun {
    /// Its id, ordered by when it began.
    pub id: uuid::Uuid,
    /// Of which schedule.
    pub schedule_id: ScheduleId,
    /// The time that was meant.
    pub planned_for: DateTime<Utc>,
    /// What began it.
    pub origin: RunOrigin,
    /// Where it stands.
    pub state: RunState,
    /// Why it did not succeed.
    pub reason: Option<(RunReason, String)>,
    /// The operation that it asked for.
    pub operation_id: Option<OperationId>,
    /// When it began.
    pub started_at: DateTime<Utc>,
    /// When it ended.
    pub finished_at: Option<DateTime<Utc>>,
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RunOutcome {
    /// Done, by asking for this operation if it takes one.
    Done(Option<OperationId>),
    /// Not done, and why, for its owner.
    Not(RunReason, String),
}

impl RunOutcome {
    /// As it is recorded.
    pub fn state(&self) -> RunState {
        match self {
            Self::Done(_) => RunState::Succeeded,
            Self::Not(reason, _) => reason.state(),
        }
    }
}

/// What is to be done about a schedule whose time has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dues {
    /// The time to be carried out now.
    pub run: Option<DateTime<Utc>>,
    /// The first of the times that are too long past.
    pub missed: Option<DateTime<Utc>>,
    /// The next time to come.
    pub next: Option<DateTime<Utc>>,
}

/// Decides which time of a schedule is carried out at `now`, when `planned` is the first that was not looked at: the
/// newest within [`GRACE`], once, however many there were.
pub fn dues(timetable: &Timetable, planned: DateTime<Utc>, now: DateTime<Utc>) -> Dues {
    let next = timetable.next_after(now);
    let oldest = now - GRACE;
    // Found by going on from the beginning of the grace, so that an absence of weeks costs no more than one of hours.
    let mut run = (planned >= oldest && planned <= now).then_some(planned);
    let mut last = oldest.max(planned);
    while let Some(later) = timetable.next_after(last).filter(|later| *later <= now) {
        run = Some(later);
        last = later;
    }
    Dues { run, missed: (planned < oldest).then_some(planned), next }
}

#[cfg(test)]
mod tests;
