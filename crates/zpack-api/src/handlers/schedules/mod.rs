//! `/api/instances/{id}/schedules`: what is done to a server at set times.

pub mod change;
pub mod create;
pub mod read;
pub mod run;

use domain::{
    account::ApiScope,
    schedule::{ScheduleAction, ScheduleError},
};

use crate::{
    auth::Caller,
    problem::{Code, Problem},
};

/// A schedule does what its maker could do at once, and no more: an API key needs the scope of the action as well.
fn allow(caller: &Caller, action: ScheduleAction) -> Result<(), Problem> {
    let scope = match action {
        ScheduleAction::Start | ScheduleAction::Stop | ScheduleAction::Restart => ApiScope::InstancesPower,
        ScheduleAction::Command => ApiScope::InstancesConsole,
        ScheduleAction::Backup => ApiScope::Backups,
    };
    if caller.has(scope) {
        return Ok(());
    }
    let detail =
        format!("Nothing was done: for the action {action} the API key would need the scope {scope} too.");
    Err(Problem::new(Code::ScopeMissing, detail))
}

fn refused(why: &ScheduleError) -> Problem {
    Problem::new(Code::InvalidSchedule, format!("Nothing was changed: {why}."))
        .field(why.field(), why.to_string())
}
