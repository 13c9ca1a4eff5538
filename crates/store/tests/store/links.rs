//! Links that are mailed: each works once and for a time, and asking for one tells nobody who has an account.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use domain::{
    ids::{CustomerId, SessionId},
    mail::LinkToken,
};
use store::{
    Db,
    accounts::{
        customers,
        links::{self, NewLink, PasswordReset},
        sessions::{self, NewSession},
    },
    testing::ExposeSecret as _,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream, UnixStream},
};

use crate::fixture::{Fixture, now};

fn link(n: u8) -> NewLink {
    NewLink { token: LinkToken::try_from(format!("token-{n}")).unwrap(), token_hash: [n; 32] }
}

fn address(customer: CustomerId) -> String {
    format!("{customer}@example.com")
}

async fn ask(fixture: &Fixture, n: u8) {
    links::request_reset(&fixture.api, &address(fixture.customer), &link(n)).await.unwrap();
}

async fn reset(db: &Db, n: u8, password_hash: &str) -> bool {
    let new = PasswordReset { token_hash: &[n; 32], password_hash, revoke_keys: false, from: "198.51.100.1" };
    links::reset_password(db, &new, now()).await.unwrap()
}

async fn open_session(fixture: &Fixture, n: u8) -> SessionId {
    let new = NewSession {
        id: SessionId::generate(),
        customer_id: fixture.customer,
        token_hash: [n; 32],
        user_agent: String::new(),
        expires_at: now() + chrono::TimeDelta::days(1),
        replaces: None,
    };
    sessions::open(&fixture.api, &new, now()).await.unwrap();
    new.id
}

async fn password(fixture: &Fixture) -> String {
    customers::by_id(&fixture.api, fixture.customer).await.unwrap().unwrap().password_hash
}

#[tokio::test]
async fn of_many_who_use_a_link_at_once_one_sets_the_password() {
    let fixture = Fixture::new().await;
    ask(&fixture, 1).await;
    let uses = (0..8).map(|n| {
        let db = fixture.api.clone();
        tokio::spawn(async move { reset(&db, 1, &format!("hash-{n}")).await.then_some(n) })
    });
    let mut set = Vec::new();
    for outcome in uses.collect::<Vec<_>>() {
        set.extend(outcome.await.unwrap());
    }
    assert_eq!(set.len(), 1);
    assert_eq!(password(&fixture).await, format!("hash-{}", set[0]));
    let told = "SELECT count(*) FROM notifications WHERE template = 'security_notice'";
    assert_eq!(fixture.database.count(told).await, 1);
}

#[tokio::test]
async fn a_link_ends_with_its_time_a_newer_one_or_a_change_of_the_password() {
    let fixture = Fixture::new().await;
    ask(&fixture, 1).await;
    ask(&fixture, 2).await;
    assert!(!reset(&fixture.api, 1, "older").await);

    let age = "UPDATE mailed_links SET expires_at = clock_timestamp() - interval '1 millisecond'";
    fixture.database.execute(age).await;
    assert_eq!(links::address_of_reset(&fixture.api, &[2; 32]).await.unwrap(), None);
    assert!(!reset(&fixture.api, 2, "expired").await);

    ask(&fixture, 3).await;
    let half_an_hour = "SELECT count(*) FROM mailed_links WHERE expires_at - clock_timestamp()
                        BETWEEN interval '29 minutes 50 seconds' AND interval '30 minutes'";
    assert_eq!(fixture.database.count(half_an_hour).await, 1);
    let session = open_session(&fixture, 9).await;
    let changed =
        customers::change_password(&fixture.api, fixture.customer, "x", "y", session, false, now()).await;
    assert!(changed.unwrap());
    assert!(!reset(&fixture.api, 3, "after a change").await);
    assert_eq!(password(&fixture).await, "y");
}

#[tokio::test]
async fn a_new_password_ends_every_session_of_its_account_and_of_no_other() {
    let fixture = Fixture::new().await;
    let other = CustomerId::generate();
    fixture.add_customer(other, 1).await;
    links::request_reset(&fixture.api, &address(other), &link(7)).await.unwrap();
    ask(&fixture, 1).await;
    open_session(&fixture, 9).await;
    assert!(!reset(&fixture.api, 200, "nobody's").await);
    assert!(reset(&fixture.api, 7, "theirs").await);
    assert_eq!(password(&fixture).await, "x");
    assert!(sessions::find(&fixture.api, &[9; 32], now()).await.unwrap().is_some());

    assert!(reset(&fixture.api, 1, "ours").await);
    assert!(sessions::find(&fixture.api, &[9; 32], now()).await.unwrap().is_none());
    let customer = customers::by_id(&fixture.api, fixture.customer).await.unwrap().unwrap().customer;
    assert!(customer.email_verified_at.is_some(), "who has the link reads the address's mail");
}

#[tokio::test]
async fn an_address_is_verified_by_the_link_that_went_to_it() {
    let fixture = Fixture::new().await;
    let ask = |n| {
        let db = fixture.api.clone();
        async move { links::request_verification(&db, fixture.customer, &link(n)).await.unwrap() }
    };
    assert!(ask(1).await);
    assert!(!reset(&fixture.api, 1, "a link is for one thing").await);
    fixture.database.execute("UPDATE customers SET email = 'moved@example.com'").await;
    assert!(!links::verify_email(&fixture.api, &[1; 32]).await.unwrap());
    assert!(ask(2).await);
    assert!(links::verify_email(&fixture.api, &[2; 32]).await.unwrap());
    assert!(!links::verify_email(&fixture.api, &[2; 32]).await.unwrap());
    assert!(!ask(3).await, "there is nothing to verify any more");
}

#[tokio::test]
async fn asking_takes_as_many_round_trips_for_a_known_address_as_for_any_other() {
    let fixture = Fixture::new().await;
    let disabled = CustomerId::generate();
    fixture.add_customer(disabled, 1).await;
    let disable = format!("UPDATE customers SET disabled_at = now() WHERE id = '{disabled}'");
    fixture.database.execute(&disable).await;
    let (db, trips) = counted(&fixture).await;
    // Statements are prepared once.
    links::request_reset(&db, "warm@example.com", &link(1)).await.unwrap();
    let mut counts = Vec::new();
    for email in [address(fixture.customer), "unknown@example.com".to_owned(), address(disabled)] {
        let before = trips.load(Ordering::SeqCst);
        links::request_reset(&db, &email, &link(2)).await.unwrap();
        counts.push(trips.load(Ordering::SeqCst) - before);
    }
    assert!(counts[0] >= 6 && counts.iter().all(|count| *count == counts[0]), "{counts:?}");
    let mails = "SELECT count(*) FROM notifications WHERE template = 'password_reset'";
    assert_eq!(fixture.database.count(mails).await, 1, "one for the one account");
}

/// One connection as zlh_api, and how many times its client has waited for an answer.
async fn counted(fixture: &Fixture) -> (Db, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let near = listener.local_addr().unwrap();
    let (trips, socket) = (Arc::new(AtomicUsize::new(0)), fixture.database.socket());
    let counter = trips.clone();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let server = UnixStream::connect(&socket).await.unwrap();
            tokio::spawn(carry(client, server, counter.clone()));
        }
    });
    let url = fixture.database.url("zlh_api").expose_secret().to_owned();
    let (before, rest) = url.split_once('@').unwrap();
    let (_, after) = rest.split_once('/').unwrap();
    let url = format!("{before}@{near}/{after}").into();
    (Db::connect_lazy(&url, "test", 1, Duration::from_secs(5)).unwrap(), trips)
}

/// Counts the messages after which a client waits: Query and Sync (PostgreSQL's documentation, 54.7).
async fn carry(client: TcpStream, server: UnixStream, trips: Arc<AtomicUsize>) {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    tokio::spawn(async move { tokio::io::copy(&mut from_server, &mut to_client).await });
    // Until it has begun a connection's messages have no letter.
    let mut begun = false;
    loop {
        let letter = if begun { from_client.read_u8().await } else { Ok(0) };
        let (Ok(letter), Ok(length)) = (letter, from_client.read_u32().await) else { return };
        let mut rest = vec![0; length as usize - 4];
        if from_client.read_exact(&mut rest).await.is_err() {
            return;
        }
        if matches!(letter, b'Q' | b'S') {
            trips.fetch_add(1, Ordering::SeqCst);
        }
        let mut message = if begun { vec![letter] } else { Vec::new() };
        message.extend(length.to_be_bytes());
        message.extend(&rest);
        // The request for TLS (80877103) is followed by the beginning proper.
        begun = begun || rest.get(..4) != Some(&80_877_103_u32.to_be_bytes()[..]);
        if to_server.write_all(&message).await.is_err() {
            return;
        }
    }
}
