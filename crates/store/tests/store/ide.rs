//! Tickets and cookies of workspaces: worth something once, for one workspace, as long as the session behind them.

use chrono::TimeDelta;
use domain::{
    ids::{CustomerId, InstanceId, SessionId},
    instance::InstanceKind,
};
use store::{
    accounts::sessions::{self, NewSession},
    ide::{self, NewIdeSession, NewTicket},
};

use crate::fixture::{BY, Fixture, now};

const TICKET: [u8; 32] = [1; 32];
const COOKIE: [u8; 32] = [2; 32];

/// A running workspace, its host name, and its owner's session.
async fn workspace(fixture: &Fixture) -> (InstanceId, String, SessionId) {
    let (id, _, made) = fixture.create(|new| new.kind = InstanceKind::Dev).await;
    made.unwrap();
    fixture
        .database
        .execute(
            "UPDATE operations SET state = 'succeeded', finished_at = now(); UPDATE instances SET lifecycle = 'active'",
        )
        .await;
    (id, id.to_string(), session(fixture, fixture.customer, 9).await)
}

async fn session(fixture: &Fixture, customer_id: CustomerId, token: u8) -> SessionId {
    let new = NewSession {
        id: SessionId::generate(),
        customer_id,
        token_hash: [token; 32],
        user_agent: String::new(),
        expires_at: now() + TimeDelta::hours(10),
        replaces: None,
    };
    sessions::open(&fixture.api, &new, now()).await.unwrap();
    new.id
}

async fn ticket(fixture: &Fixture, instance_id: InstanceId, session_id: SessionId) {
    let expires_at = now() + TimeDelta::minutes(1);
    let new = NewTicket { ticket_hash: TICKET, instance_id, session_id, expires_at };
    ide::put_ticket(&fixture.api, &new).await.unwrap();
}

fn cookie(n: u8) -> NewIdeSession {
    let expires_at = now() + TimeDelta::hours(5);
    NewIdeSession { id: uuid::Uuid::now_v7(), token_hash: [n; 32], expires_at }
}

#[tokio::test]
async fn of_many_who_use_a_ticket_at_once_one_gets_in() {
    let fixture = Fixture::new().await;
    let (id, hostname, session) = workspace(&fixture).await;
    ticket(&fixture, id, session).await;
    let tries = (10..20).map(|n| {
        let (db, hostname) = (fixture.api.clone(), hostname.clone());
        tokio::spawn(async move { ide::redeem(&db, &TICKET, &hostname, &cookie(n), now()).await.unwrap() })
    });
    let mut inside = 0;
    for outcome in tries.collect::<Vec<_>>() {
        inside += u32::from(outcome.await.unwrap());
    }
    assert_eq!(inside, 1);
    assert_eq!(fixture.database.count("SELECT count(*) FROM ide_sessions").await, 1);
}

#[tokio::test]
async fn a_cookie_is_worth_something_at_its_own_host_and_as_long_as_the_session() {
    let fixture = Fixture::new().await;
    let (id, hostname, session) = workspace(&fixture).await;
    ticket(&fixture, id, session).await;
    assert!(ide::redeem(&fixture.api, &TICKET, &hostname, &cookie(2), now()).await.unwrap());
    let opens = async |hostname: &str, hours: i64| {
        let then = now() + TimeDelta::hours(hours);
        ide::access(&fixture.api, &COOKIE, hostname, then).await.unwrap().map(|access| access.instance_id)
    };
    assert_eq!(opens(&hostname, 4).await, Some(id));
    assert_eq!(opens(&hostname, 5).await, None, "it has expired");
    assert_eq!(opens("another", 0).await, None);
    assert!(ide::is_live(&fixture.api, &COOKIE, now()).await.unwrap());
    sessions::close(&fixture.api, fixture.customer, session).await.unwrap();
    assert_eq!(opens(&hostname, 0).await, None);
    assert!(!ide::is_live(&fixture.api, &COOKIE, now()).await.unwrap());
}

#[tokio::test]
async fn a_ticket_of_somebody_who_does_not_own_the_workspace_opens_nothing() {
    let fixture = Fixture::new().await;
    let (id, hostname, _) = workspace(&fixture).await;
    let stranger = CustomerId::generate();
    fixture.add_customer(stranger, 1).await;
    let session = session(&fixture, stranger, 8).await;
    ticket(&fixture, id, session).await;
    assert!(!ide::redeem(&fixture.api, &TICKET, &hostname, &cookie(2), now()).await.unwrap());
}

#[tokio::test]
async fn a_disabled_account_and_a_deleted_workspace_open_nothing() {
    let fixture = Fixture::new().await;
    let (id, hostname, session) = workspace(&fixture).await;
    ticket(&fixture, id, session).await;
    assert!(ide::redeem(&fixture.api, &TICKET, &hostname, &cookie(2), now()).await.unwrap());
    for (change, back) in [
        ("UPDATE customers SET disabled_at = now()", "UPDATE customers SET disabled_at = NULL"),
        ("UPDATE instances SET lifecycle = 'deleting'", "UPDATE instances SET lifecycle = 'active'"),
    ] {
        fixture.database.execute(change).await;
        assert_eq!(ide::access(&fixture.api, &COOKIE, &hostname, now()).await.unwrap(), None, "{change}");
        fixture.database.execute(back).await;
        assert!(ide::access(&fixture.api, &COOKIE, &hostname, now()).await.unwrap().is_some());
    }
}

#[tokio::test]
async fn only_an_idle_workspace_that_nothing_is_done_with_is_stopped() {
    let fixture = Fixture::new().await;
    let (id, ..) = workspace(&fixture).await;
    let (game, _, made) = fixture.create(|_| {}).await;
    made.unwrap();
    fixture.database.execute("UPDATE instances SET lifecycle = 'active'").await;
    let later = now() + TimeDelta::hours(2);
    let before = later - TimeDelta::hours(1);
    assert_eq!(ide::idle(&fixture.api, before, 10).await.unwrap(), [id], "games are not");
    assert_eq!(ide::request_idle_stop(&fixture.api, game, before, BY, "me", later).await.unwrap(), None);

    ide::note_use(&fixture.api, id, later - TimeDelta::minutes(5)).await.unwrap();
    assert_eq!(ide::idle(&fixture.api, before, 10).await.unwrap(), []);
    assert_eq!(
        ide::request_idle_stop(&fixture.api, id, before, BY, "me", later).await.unwrap(),
        None,
        "used in this very moment"
    );
    fixture.database.execute("UPDATE instances SET last_used_at = NULL").await;

    let busy =
        format!("UPDATE operations SET state = 'running', finished_at = NULL WHERE instance_id = '{id}'");
    fixture.database.execute(&busy).await;
    assert_eq!(
        ide::request_idle_stop(&fixture.api, id, before, BY, "me", later).await.unwrap(),
        None,
        "an operation is under way"
    );
    fixture.database.execute("UPDATE operations SET state = 'succeeded', finished_at = now()").await;
    assert!(ide::request_idle_stop(&fixture.api, id, before, BY, "me", later).await.unwrap().is_some());
    assert_eq!(
        ide::request_idle_stop(&fixture.api, id, before, BY, "me", later).await.unwrap(),
        None,
        "once"
    );
}

#[tokio::test]
async fn what_has_expired_is_dropped() {
    let fixture = Fixture::new().await;
    let (id, hostname, session) = workspace(&fixture).await;
    ticket(&fixture, id, session).await;
    assert!(ide::redeem(&fixture.api, &TICKET, &hostname, &cookie(2), now()).await.unwrap());
    ticket(&fixture, id, session).await;
    let left = "SELECT (SELECT count(*) FROM ide_tickets) * 10 + (SELECT count(*) FROM ide_sessions)";
    for (minutes, expected) in [(0, 11), (1, 1), (5 * 60, 0)] {
        ide::forget_expired(&fixture.api, now() + TimeDelta::minutes(minutes)).await.unwrap();
        assert_eq!(fixture.database.count(left).await, expected, "{minutes}");
    }
}
