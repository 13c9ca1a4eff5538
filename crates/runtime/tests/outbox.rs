//! The outbox's sender against a real PostgreSQL, with a channel that records.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use runtime::outbox::{Channel, SendError, Sender, Settings, run};
use serde_json::json;
use store::{
    Db,
    outbox::{MAX_AGE, NewNotification, Notification, enqueue_alone, enqueue_and_roll_back},
    testing::TestDatabase,
};
use tokio::{
    sync::Notify,
    task::JoinHandle,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

/// For whatever is expected to happen.
const PATIENCE: Duration = Duration::from_secs(20);

/// What the channel does next, once each; then it sends.
enum Act {
    Fail(SendError),
    /// Sends, and never comes back.
    SendAndHang,
    Panic,
}

/// Remembers what it sent.
struct Recorder {
    name: &'static str,
    acts: Mutex<VecDeque<Act>>,
    sent: Mutex<Vec<Notification>>,
    pause: Duration,
    at_once: AtomicUsize,
    most_at_once: AtomicUsize,
    changed: Notify,
}

impl Recorder {
    fn new(name: &'static str, acts: impl IntoIterator<Item = Act>) -> Arc<Self> {
        Self::slow(name, acts, Duration::ZERO)
    }

    fn slow(name: &'static str, acts: impl IntoIterator<Item = Act>, pause: Duration) -> Arc<Self> {
        Arc::new(Self {
            name,
            acts: Mutex::new(acts.into_iter().collect()),
            sent: Mutex::default(),
            pause,
            at_once: AtomicUsize::new(0),
            most_at_once: AtomicUsize::new(0),
            changed: Notify::new(),
        })
    }

    fn keys(&self) -> Vec<String> {
        let mut keys: Vec<_> = self.sent.lock().unwrap().iter().map(|it| it.dedupe_key.clone()).collect();
        keys.sort();
        keys
    }

    async fn sent(&self, count: usize) {
        let enough = async {
            while self.sent.lock().unwrap().len() < count {
                self.changed.notified().await;
            }
        };
        timeout(PATIENCE, enough)
            .await
            .unwrap_or_else(|_| panic!("{count} sends in {PATIENCE:?}: {:?}", self.keys()));
    }

    fn record(&self, notification: &Notification) {
        self.sent.lock().unwrap().push(notification.clone());
        self.changed.notify_one();
    }
}

#[async_trait::async_trait]
impl Channel for Recorder {
    fn name(&self) -> &'static str {
        self.name
    }

    async fn send(&self, notification: &Notification) -> Result<(), SendError> {
        let act = self.acts.lock().unwrap().pop_front();
        match act {
            Some(Act::Fail(error)) => return Err(error),
            Some(Act::SendAndHang) => {
                self.record(notification);
                std::future::pending::<()>().await;
            }
            Some(Act::Panic) => panic!("as the test wants it"),
            None => {}
        }
        let now = self.at_once.fetch_add(1, Ordering::SeqCst) + 1;
        self.most_at_once.fetch_max(now, Ordering::SeqCst);
        sleep(self.pause).await;
        self.at_once.fetch_sub(1, Ordering::SeqCst);
        self.record(notification);
        Ok(())
    }
}

fn transient(cause: &str) -> Act {
    Act::Fail(SendError::later(cause))
}

struct Town {
    database: TestDatabase,
    db: Db,
    shutdown: CancellationToken,
}

impl Town {
    async fn new() -> Self {
        let database = TestDatabase::create().await;
        let db = database.role_with("zlh_test_sender", "SELECT, INSERT, UPDATE ON notifications").await;
        Self { database, db, shutdown: CancellationToken::new() }
    }

    /// Looks by itself only after a minute: what happens sooner was heard.
    fn start(&self, channel: &Arc<Recorder>) -> JoinHandle<()> {
        self.start_all(
            [Arc::clone(channel) as Arc<dyn Channel>],
            Settings { tick: Duration::from_mins(1), ..Settings::default() },
        )
    }

    fn start_all(
        &self,
        channels: impl IntoIterator<Item = Arc<dyn Channel>>,
        settings: Settings,
    ) -> JoinHandle<()> {
        let sender = Sender::new(self.db.clone(), "test", channels, settings);
        tokio::spawn(run(sender, || {}, self.shutdown.clone()))
    }

    async fn add(&self, channel: &str, key: &str) {
        let payload = json!({ "key": key });
        let new = NewNotification { channel, dedupe_key: key, payload: &payload, max_age: MAX_AGE };
        assert!(enqueue_alone(&self.database.role("zlh_api"), &new).await.unwrap());
    }

    /// Waits until a notification is as this condition says.
    async fn until(&self, condition: &str) {
        let sql = format!("SELECT count(*) FROM notifications WHERE {condition}");
        let there = async {
            while self.database.count(&sql).await == 0 {
                sleep(Duration::from_millis(10)).await;
            }
        };
        let waited = timeout(PATIENCE, there).await;
        assert!(waited.is_ok(), "not in {PATIENCE:?}: {condition}");
    }

    /// What waits for its next attempt is due, and senders hear of it.
    async fn make_due(&self) {
        self.database.execute("UPDATE notifications SET run_after = now(); NOTIFY zlh_outbox").await;
    }

    async fn expire_leases(&self) {
        let sql = "UPDATE notifications SET lease_expires_at = now() - interval '1 s' WHERE lease_owner IS NOT NULL;
                   NOTIFY zlh_outbox";
        self.database.execute(sql).await;
    }
}

#[tokio::test]
async fn what_is_committed_is_heard_of_and_sent_once_and_what_is_rolled_back_never() {
    let (town, mail) = (Town::new().await, Recorder::new("mail", []));
    town.start(&mail);
    town.add("mail", "first").await;
    mail.sent(1).await;
    let payload = json!({});
    let new = NewNotification { channel: "mail", dedupe_key: "never", payload: &payload, max_age: MAX_AGE };
    assert!(enqueue_and_roll_back(&town.db, &new).await.unwrap());
    town.add("mail", "second").await;
    mail.sent(2).await;
    town.until("dedupe_key = 'second' AND state = 'sent'").await;
    assert_eq!(mail.keys(), ["first", "second"]);
    assert_eq!(mail.sent.lock().unwrap()[0].payload, json!({ "key": "first" }));
}

#[tokio::test]
async fn what_waited_while_nobody_sent_is_sent_at_the_start_and_others_channels_are_left_alone() {
    let (town, mail) = (Town::new().await, Recorder::new("mail", []));
    for key in ["a", "b"] {
        town.add("mail", key).await;
    }
    town.add("chat", "theirs").await;
    town.start(&mail);
    mail.sent(2).await;
    assert_eq!(mail.keys(), ["a", "b"]);
    town.until("channel = 'chat' AND state = 'pending' AND attempts = 0").await;
}

#[tokio::test]
async fn a_sender_that_is_killed_between_sending_and_writing_it_down_leads_to_one_repeat() {
    let (town, mail) = (Town::new().await, Recorder::new("mail", [Act::SendAndHang]));
    let killed = town.start(&mail);
    town.add("mail", "k").await;
    mail.sent(1).await;
    killed.abort();
    assert!(killed.await.unwrap_err().is_cancelled());

    town.start(&mail);
    town.make_due().await;
    sleep(Duration::from_millis(300)).await;
    assert_eq!(mail.keys().len(), 1, "the lease holds");

    town.expire_leases().await;
    town.until("state = 'sent' AND attempts = 2").await;
    town.make_due().await;
    sleep(Duration::from_millis(300)).await;
    assert_eq!(mail.keys().len(), 2);
    let sent = mail.sent.lock().unwrap();
    assert_eq!(sent[0].id, sent[1].id, "a receiver can tell the repeat");
}

#[tokio::test]
async fn what_fails_for_now_waits_longer_each_time_and_is_tried_again() {
    let town = Town::new().await;
    let mail = Recorder::new("mail", [transient("greylisted"), transient("greylisted"), Act::Panic]);
    town.start(&mail);
    town.add("mail", "k").await;
    for (attempt, least, most) in [(1, 2, 5), (2, 5, 10)] {
        town.until(&format!(
            "state = 'pending' AND attempts = {attempt} AND last_error = 'greylisted' AND lease_owner IS NULL
             AND run_after > now() + interval '{} s' AND run_after <= now() + interval '{most} s'",
            least - 1
        ))
        .await;
        town.make_due().await;
    }
    // The third panics: its lease is what keeps it until then.
    town.until("attempts = 3 AND lease_owner = 'test'").await;
    town.expire_leases().await;
    town.until("state = 'sent' AND attempts = 4").await;
    assert_eq!(mail.keys(), ["k"]);
}

#[tokio::test]
async fn a_receivers_own_pause_is_kept() {
    let town = Town::new().await;
    let busy = SendError::later("too many").after(Duration::from_mins(7));
    let mail = Recorder::new("mail", [Act::Fail(busy)]);
    town.start(&mail);
    town.add("mail", "k").await;
    town.until(
        "attempts = 1 AND run_after > now() + interval '6 min' AND run_after <= now() + interval '7 min'",
    )
    .await;
}

#[tokio::test]
async fn what_never_will_be_sent_or_is_too_old_is_given_up() {
    let town = Town::new().await;
    let gone = Act::Fail(SendError::never("no such address").with_code(Some(550)));
    let mail = Recorder::new("mail", [gone, transient("away")]);
    town.start(&mail);
    town.add("mail", "gone").await;
    town.until("dedupe_key = 'gone' AND state = 'dead' AND last_error = 'no such address' AND code = 550")
        .await;
    town.add("mail", "old").await;
    town.until("dedupe_key = 'old' AND state = 'pending' AND last_error = 'away' AND lease_owner IS NULL")
        .await;
    town.database.execute("UPDATE notifications SET expires_at = now() WHERE dedupe_key = 'old'").await;
    town.make_due().await;
    town.until("dedupe_key = 'old' AND state = 'dead' AND last_error LIKE 'too old%away'").await;
    assert_eq!(mail.keys(), Vec::<String>::new());
}

#[tokio::test]
async fn while_nothing_can_be_sent_one_at_a_time_is_tried_and_all_go_when_it_works_again() {
    let town = Town::new().await;
    let refused = || Act::Fail(SendError::blocked("our login is refused"));
    let mail = Recorder::new("mail", [refused(), refused()]);
    for key in ["a", "b", "c"] {
        town.add("mail", key).await;
    }
    let settings = Settings {
        tick: Duration::from_millis(50),
        concurrency: 1,
        blocked_pause: Duration::from_millis(600),
        ..Settings::default()
    };
    town.start_all([Arc::clone(&mail) as Arc<dyn Channel>], settings);
    town.until("failure = 'blocked' AND blocked_since IS NOT NULL AND last_error = 'our login is refused'")
        .await;
    sleep(Duration::from_millis(200)).await;
    let tried = "SELECT sum(attempts) FROM notifications";
    assert_eq!(town.database.count(tried).await, 1, "the others are not tried meanwhile");
    mail.sent(3).await;
    town.until("(SELECT count(*) FROM notifications WHERE state = 'sent' AND blocked_since IS NULL) = 3")
        .await;
    assert_eq!(town.database.count(tried).await, 5);
}

#[tokio::test]
async fn a_send_that_takes_too_long_counts_as_failed_and_holds_up_no_other_channel() {
    let town = Town::new().await;
    let (slow, chat) = (Recorder::new("mail", [Act::SendAndHang]), Recorder::new("chat", []));
    let settings = Settings {
        tick: Duration::from_mins(1),
        concurrency: 1,
        deadline: Duration::from_millis(700),
        ..Settings::default()
    };
    town.start_all([Arc::clone(&slow) as Arc<dyn Channel>, Arc::clone(&chat) as Arc<dyn Channel>], settings);
    town.add("mail", "hangs").await;
    slow.sent(1).await;
    town.add("mail", "waits").await;
    town.add("chat", "passes").await;
    chat.sent(1).await;
    assert_eq!(slow.keys(), ["hangs"]);
    slow.sent(2).await;
    assert_eq!(slow.keys(), ["hangs", "waits"]);
    town.until("dedupe_key = 'hangs' AND state = 'pending' AND last_error LIKE 'no answer within%'").await;
}

#[tokio::test]
async fn two_senders_send_each_notification_once_and_no_more_at_once_than_they_may() {
    let town = Town::new().await;
    let channels = [(); 2].map(|()| Recorder::slow("mail", [], Duration::from_millis(20)));
    for channel in &channels {
        town.start(channel);
    }
    let mut keys: Vec<_> = (0..40).map(|n| format!("k{n:02}")).collect();
    for key in &keys {
        town.add("mail", key).await;
    }
    let all = "NOT EXISTS (SELECT FROM notifications WHERE state <> 'sent')";
    town.until(all).await;
    let mut sent: Vec<_> = channels.iter().flat_map(|channel| channel.keys()).collect();
    sent.sort();
    keys.sort();
    assert_eq!(sent, keys);
    for channel in &channels {
        assert!(channel.most_at_once.load(Ordering::SeqCst) <= Settings::default().concurrency);
    }
}

#[tokio::test]
async fn a_shutdown_waits_for_what_is_being_sent_and_begins_nothing() {
    let (town, mail) = (Town::new().await, Recorder::slow("mail", [], Duration::from_millis(500)));
    let sender = town.start(&mail);
    town.add("mail", "under way").await;
    town.until("lease_owner IS NOT NULL").await;
    town.shutdown.cancel();
    town.add("mail", "later").await;
    timeout(PATIENCE, sender).await.expect("it ends").unwrap();
    assert_eq!(mail.keys(), ["under way"]);
    town.until("dedupe_key = 'under way' AND state = 'sent'").await;
    town.until("dedupe_key = 'later' AND state = 'pending' AND attempts = 0").await;
}
