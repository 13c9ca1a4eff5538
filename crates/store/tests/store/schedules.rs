//! Schedules: each time is claimed once, whoever looks, and what became of it is kept.

use chrono::{DateTime, TimeDelta, Utc};
use domain::{
    ids::{CustomerId, InstanceId, OperationId, ScheduleId},
    schedule::{RunOutcome, RunReason, RunState, Schedule, ScheduleAction, SchedulePlan, Timetable},
};
use futures_util::future::join_all;
use store::{
    Page,
    instances::DeleteRequest,
    operations,
    schedules::{self, Claimed, CreateScheduleError, DueRun, Edited, NewSchedule},
    testing,
};

use crate::fixture::{BY, Fixture, now};

fn plan(cron: &str) -> SchedulePlan {
    SchedulePlan {
        name: "Nightly".into(),
        timetable: Timetable::parse(cron, "UTC").unwrap(),
        action: ScheduleAction::Command,
        command: Some("save-all".into()),
        enabled: true,
    }
}

async fn active(f: &Fixture) -> InstanceId {
    let (id, create, outcome) = f.create(|_| {}).await;
    outcome.unwrap();
    let claim = testing::claim(&f.worker, create, "w").await.unwrap().unwrap();
    operations::create_succeeded(&f.worker, &claim.lease, BY).await.unwrap();
    id
}

async fn make(f: &Fixture, instance: InstanceId, cron: &str) -> Schedule {
    let new = NewSchedule {
        id: ScheduleId::generate(),
        customer_id: f.customer,
        instance_id: instance,
        plan: plan(cron),
        api_key_id: None,
    };
    schedules::create(&f.api, &new, 20, BY, now()).await.unwrap()
}

async fn claim(f: &Fixture, at: DateTime<Utc>) -> Option<DueRun> {
    loop {
        match schedules::claim_due(&f.api, at).await.unwrap() {
            Claimed::Nothing => return None,
            Claimed::Recorded => {}
            Claimed::Run(due) => return Some(*due),
        }
    }
}

/// State, reason and planned time of each run, newest first.
async fn history(f: &Fixture, schedule: &Schedule) -> Vec<(RunState, Option<RunReason>, DateTime<Utc>)> {
    let (runs, _) = schedules::runs(&f.api, schedule, Page::new(None, 100)).await.unwrap();
    runs.into_iter().map(|run| (run.state, run.reason.map(|(code, _)| code), run.planned_for)).collect()
}

async fn read(f: &Fixture, schedule: &Schedule) -> Option<Schedule> {
    schedules::get(&f.api, f.customer, schedule.instance_id, schedule.id).await.unwrap()
}

#[tokio::test]
async fn a_time_is_claimed_once_however_many_daemons_look() {
    let f = Fixture::new().await;
    let instance = active(&f).await;
    let mut made = Vec::new();
    for _ in 0..3 {
        made.push(make(&f, instance, "*/5 * * * *").await);
    }
    let due = made[0].next_run_at.unwrap();
    assert_eq!(claim(&f, due - TimeDelta::seconds(1)).await, None, "not before its time");
    assert_eq!(schedules::next_due(&f.api).await.unwrap(), Some(due));
    let other = f.database.role("zlh_api");
    let claims = join_all((0..24).map(|n| {
        let db = if n % 2 == 0 { f.api.clone() } else { other.clone() };
        async move { schedules::claim_due(&db, due).await.unwrap() }
    }))
    .await;
    let mut runs: Vec<_> = claims
        .into_iter()
        .filter_map(|claimed| match claimed {
            Claimed::Run(due) => Some(due.schedule.id),
            Claimed::Nothing | Claimed::Recorded => None,
        })
        .collect();
    runs.sort();
    assert_eq!(runs, made.iter().map(|schedule| schedule.id).collect::<Vec<_>>());
    for schedule in &made {
        assert_eq!(history(&f, schedule).await, [(RunState::Running, None, due)]);
        assert_eq!(read(&f, schedule).await.unwrap().next_run_at, Some(due + TimeDelta::minutes(5)));
    }
    // The row itself refuses a second run of the same time, whatever the code does.
    f.database.execute("UPDATE schedules SET next_run_at = next_run_at - interval '5 minutes'").await;
    assert_eq!(claim(&f, due).await, None);
    assert_eq!(f.database.count("SELECT count(*) FROM schedule_runs").await, 3);
}

#[tokio::test]
async fn a_missed_time_runs_once_if_it_is_late_by_ten_minutes_and_is_recorded_if_it_is_later() {
    let f = Fixture::new().await;
    let instance = active(&f).await;
    let schedule = make(&f, instance, "0 * * * *").await;
    let first = schedule.next_run_at.unwrap();
    let late = claim(&f, first + TimeDelta::minutes(10)).await.unwrap();
    assert_eq!(late.planned_for, first);
    schedules::finish(&f.api, &late, &RunOutcome::Done(None), now()).await.unwrap();
    let second = first + TimeDelta::hours(1);
    assert_eq!(claim(&f, second + TimeDelta::minutes(11)).await, None);
    let expected = [(RunState::Skipped, Some(RunReason::Missed), second), (RunState::Succeeded, None, first)];
    assert_eq!(history(&f, &schedule).await, expected);
    assert_eq!(read(&f, &schedule).await.unwrap().next_run_at, Some(second + TimeDelta::hours(1)));
    let audit = "SELECT count(*) FROM audit_log WHERE action = 'schedule.run'";
    assert_eq!(f.database.count(audit).await, 2, "what was skipped is audited too");
}

#[tokio::test]
async fn a_run_that_a_killed_daemon_left_behind_is_interrupted_and_not_tried_again() {
    let f = Fixture::new().await;
    let instance = active(&f).await;
    let schedule = make(&f, instance, "0 * * * *").await;
    let due = schedule.next_run_at.unwrap();
    let lost = claim(&f, due).await.unwrap();
    assert_eq!(schedules::interrupt(&f.api, due, due).await.unwrap(), 0, "it may still be under way");
    let later = due + TimeDelta::minutes(3);
    assert_eq!(schedules::interrupt(&f.api, later, later).await.unwrap(), 1);
    assert_eq!(schedules::interrupt(&f.api, later, later).await.unwrap(), 0);
    let interrupted = [(RunState::Failed, Some(RunReason::Interrupted), due)];
    assert_eq!(history(&f, &schedule).await, interrupted);
    assert_eq!(claim(&f, later).await, None);
    // Its daemon was only slow: what is recorded stays.
    schedules::finish(&f.api, &lost, &RunOutcome::Done(None), later).await.unwrap();
    assert_eq!(history(&f, &schedule).await, interrupted);
    let audit = "SELECT count(*) FROM audit_log WHERE action = 'schedule.run'";
    assert_eq!(f.database.count(audit).await, 1);
}

#[tokio::test]
async fn an_edit_needs_the_version_that_was_read_and_moves_the_next_time() {
    let f = Fixture::new().await;
    let instance = active(&f).await;
    let schedule = make(&f, instance, "0 * * * *").await;
    let due = schedule.next_run_at.unwrap();
    let edit = |plan: SchedulePlan, version| {
        let (f, schedule) = (&f, &schedule);
        async move { schedules::edit(&f.api, schedule, &plan, version, BY, due).await.unwrap() }
    };
    let renamed = SchedulePlan { name: "Hourly".into(), ..schedule.plan.clone() };
    let Edited::Done(renamed) = edit(renamed, 1).await else { panic!("not renamed") };
    assert_eq!((renamed.row_version, renamed.next_run_at), (2, Some(due)), "what is due stays due");
    assert_eq!(edit(plan("5 * * * *"), 1).await, Edited::VersionChanged);
    let Edited::Done(moved) = edit(plan("5 * * * *"), 2).await else { panic!("not moved") };
    assert_eq!(moved.next_run_at, Some(due + TimeDelta::minutes(5)));
    let Edited::Done(off) = edit(SchedulePlan { enabled: false, ..plan("5 * * * *") }, 3).await else {
        panic!("not switched off")
    };
    assert_eq!(off.next_run_at, None);
    assert_eq!(claim(&f, due + TimeDelta::hours(2)).await, None);
    assert!(schedules::delete(&f.api, &off, BY).await.unwrap());
    assert!(!schedules::delete(&f.api, &off, BY).await.unwrap());
    assert_eq!(edit(plan("5 * * * *"), 4).await, Edited::Absent);
    assert_eq!(f.database.count("SELECT count(*) FROM audit_log WHERE action LIKE 'schedule.%'").await, 5);
    let told = "SELECT count(*) FROM audit_log WHERE detail::text LIKE '%save-all%'";
    assert_eq!(f.database.count(told).await, 0, "a command may hold a password");
}

#[tokio::test]
async fn an_instance_never_has_more_schedules_than_it_may() {
    let f = Fixture::new().await;
    let instance = active(&f).await;
    let creates = join_all((0..10).map(|_| {
        let new = NewSchedule {
            id: ScheduleId::generate(),
            customer_id: f.customer,
            instance_id: instance,
            plan: plan("@daily"),
            api_key_id: None,
        };
        let db = f.api.clone();
        async move { schedules::create(&db, &new, 4, BY, now()).await }
    }))
    .await;
    assert_eq!(creates.iter().filter(|made| made.is_ok()).count(), 4);
    let refused = |made: &Result<_, _>| matches!(made, Ok(_) | Err(CreateScheduleError::TooMany(4)));
    assert!(creates.iter().all(refused), "{creates:?}");
}

#[tokio::test]
async fn a_deleted_instance_has_no_times_any_more() {
    let f = Fixture::new().await;
    let instance = active(&f).await;
    let schedule = make(&f, instance, "0 * * * *").await;
    let request = DeleteRequest {
        customer: f.customer,
        instance,
        operation: OperationId::generate(),
        actor: "test",
        request_id: None,
    };
    store::instances::request_delete(&f.api, &request, now()).await.unwrap();
    let ended = read(&f, &schedule).await.unwrap();
    assert_eq!((ended.plan.enabled, ended.next_run_at), (false, None));
    let again = NewSchedule {
        id: ScheduleId::generate(),
        customer_id: f.customer,
        instance_id: instance,
        plan: plan("@daily"),
        api_key_id: None,
    };
    let refused = schedules::create(&f.api, &again, 20, BY, now()).await;
    assert!(matches!(refused, Err(CreateScheduleError::NoInstance)), "{refused:?}");
    // One that became due in the same moment is ended by the look that finds it.
    f.database.execute("UPDATE schedules SET enabled = true, next_run_at = '2027-01-01'").await;
    assert_eq!(claim(&f, now()).await, None);
    assert_eq!(f.database.count("SELECT count(*) FROM schedules WHERE enabled").await, 0);
    let claim = testing::claim(&f.worker, request.operation, "w").await.unwrap().unwrap();
    operations::delete_succeeded(&f.worker, &claim.lease, BY).await.unwrap();
    assert_eq!(read(&f, &schedule).await, None);
}

#[tokio::test]
async fn the_newest_hundred_runs_are_kept() {
    let f = Fixture::new().await;
    let instance = active(&f).await;
    let schedule = make(&f, instance, "0 * * * *").await;
    for n in 0..105 {
        let due = schedules::begin_now(&f.api, &schedule, BY, now() + TimeDelta::seconds(n)).await.unwrap();
        let outcome = RunOutcome::Not(RunReason::Busy, "Busy.".into());
        schedules::finish(&f.api, &due, &outcome, now()).await.unwrap();
    }
    let kept = history(&f, &schedule).await;
    assert_eq!(kept.len(), 100);
    assert_eq!(kept[0], (RunState::Skipped, Some(RunReason::Busy), now() + TimeDelta::seconds(104)));
    assert_eq!(f.database.count("SELECT count(*) FROM schedule_runs").await, 100);
}

#[tokio::test]
async fn a_schedule_that_cannot_be_read_keeps_no_other_from_its_time() {
    let f = Fixture::new().await;
    let instance = active(&f).await;
    let (bad, good) = (make(&f, instance, "5 * * * *").await, make(&f, instance, "6 * * * *").await);
    f.database.execute(&format!("UPDATE schedules SET time_zone = 'Mars' WHERE id = '{}'", bad.id)).await;
    let at = good.next_run_at.unwrap().max(bad.next_run_at.unwrap());
    assert_eq!(claim(&f, at).await.unwrap().schedule.id, good.id);
    assert_eq!(claim(&f, at).await, None);
}

#[tokio::test]
async fn another_customers_schedule_is_absent() {
    let f = Fixture::new().await;
    let instance = active(&f).await;
    let schedule = make(&f, instance, "0 * * * *").await;
    let stranger = CustomerId::generate();
    assert_eq!(schedules::get(&f.api, stranger, instance, schedule.id).await.unwrap(), None);
    let other = active(&f).await;
    assert_eq!(schedules::get(&f.api, f.customer, other, schedule.id).await.unwrap(), None);
    let listed = |customer| schedules::list(&f.api, customer, instance, Page::new(None, 10));
    assert_eq!(listed(stranger).await.unwrap().0, []);
    assert_eq!(listed(f.customer).await.unwrap().0, std::slice::from_ref(&schedule));
    let theirs = Schedule { customer_id: stranger, ..schedule.clone() };
    assert!(!schedules::delete(&f.api, &theirs, BY).await.unwrap());
    let edited = schedules::edit(&f.api, &theirs, &schedule.plan, 1, BY, now()).await.unwrap();
    assert_eq!(edited, Edited::Absent);
    let new = NewSchedule {
        id: ScheduleId::generate(),
        customer_id: stranger,
        instance_id: instance,
        plan: plan("@daily"),
        api_key_id: None,
    };
    let refused = schedules::create(&f.api, &new, 20, BY, now()).await;
    assert!(matches!(refused, Err(CreateScheduleError::NoInstance)), "{refused:?}");
}
