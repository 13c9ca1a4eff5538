//! The database and the queue go away and come back.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use secrecy::ExposeSecret as _;
use store::Db;
use tokio::{
    net::{TcpListener, TcpStream, UnixStream},
    sync::watch,
};

use crate::support::{Arrangement, World, order};

/// A way to the database that can be cut.
struct Cable {
    address: SocketAddr,
    /// Every connection holds a receiver for as long as it carries anything.
    whole: watch::Sender<bool>,
}

impl Cable {
    async fn to(target: PathBuf) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, whole) = (listener.local_addr().unwrap(), watch::Sender::new(true));
        let connections = whole.clone();
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                tokio::spawn(carry(near, target.clone(), connections.subscribe()));
            }
        });
        Self { address, whole }
    }

    /// Cuts it; nothing is carried any more when this returns.
    async fn cut(&self) {
        self.whole.send_replace(false);
        self.whole.closed().await;
    }

    fn mend(&self) {
        self.whole.send_replace(true);
    }
}

async fn carry(mut near: TcpStream, target: PathBuf, mut whole: watch::Receiver<bool>) {
    if !*whole.borrow_and_update() {
        return;
    }
    let mut far = UnixStream::connect(target).await.unwrap();
    tokio::select! {
        _ = tokio::io::copy_bidirectional(&mut near, &mut far) => {}
        _ = whole.wait_for(|whole| !whole) => {}
    }
}

/// An API whose way to the database can be cut.
async fn world_on_a_cable() -> (World, Cable) {
    let mut arrangement = Arrangement::usual().await;
    let url = arrangement.database.url("zlh_api").expose_secret().to_owned();
    let (before, rest) = url.split_once('@').expect("user@host");
    let (_, after) = rest.split_once('/').expect("host/database");
    let cable = Cable::to(arrangement.database.socket()).await;
    let url = format!("{before}@{}/{after}", cable.address).into();
    arrangement.db = Some(Db::connect_lazy(&url, "test", 8, Duration::from_millis(500)).unwrap());
    (arrangement.start(), cable)
}

#[tokio::test]
async fn without_the_database_the_answer_is_to_try_again_and_afterwards_all_is_well() {
    let (world, cable) = world_on_a_cable().await;
    world.node("one", 1).await;
    let client = world.customer("ada").await;
    cable.cut().await;
    for path in ["/api/me", "/api/instances", "/api/operations"] {
        let answer = client.get(path).await.expect_problem(503, "database_unavailable");
        assert!(!answer.header("retry-after").is_empty());
    }
    client.create("k", &order("Mine")).await.expect_problem(503, "database_unavailable");
    let answer = world.anonymous().log_in("ada@example.org", crate::support::PASSWORD).await;
    answer.expect_problem(503, "database_unavailable");
    world.anonymous().get("/").await.expect(200);
    cable.mend();
    client.create("k", &order("Mine")).await.expect(202);
    assert_eq!(world.database.count("SELECT count(*) FROM instances").await, 1);
}

#[tokio::test]
async fn event_streams_survive_the_database_and_start_over() {
    let (world, cable) = world_on_a_cable().await;
    world.node("one", 1).await;
    let client = world.customer("ada").await;
    let mut response = client.request(reqwest::Method::GET, "/api/events").send().await.unwrap();
    let mut read = async || {
        let chunk =
            tokio::time::timeout(Duration::from_secs(10), response.chunk()).await.expect("within 10 s");
        String::from_utf8(chunk.unwrap().expect("the stream to go on").to_vec()).unwrap()
    };
    assert!(read().await.contains("event: resync"));
    // The feed may connect only now; until it has, it would have nothing to lose.
    client.create("k", &order("Mine")).await.expect(202);
    while !read().await.contains("event: instance") {}
    cable.cut().await;
    client.get("/api/me").await.expect_problem(503, "database_unavailable");
    cable.mend();
    while !read().await.contains("event: resync") {}
}
