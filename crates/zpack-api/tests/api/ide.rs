//! Development workspaces in a browser: who gets in, what passes, and when it ends. The workspace is a small server of
//! the tests' own behind the fake agents' tunnels.

use std::time::Duration;

use axum::{
    Json, Router,
    body::Bytes,
    extract::{Request, WebSocketUpgrade, ws},
    response::IntoResponse as _,
    routing::{any, get},
};
use chrono::TimeDelta;
use domain::clock::Clock as _;
use domain::{agent::AgentState, ids::InstanceId};
use futures_util::{SinkExt as _, StreamExt as _};
use integrations::scenario::When;
use reqwest::{Method, StatusCode, redirect::Policy};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::{Message, client::IntoClientRequest as _};

use crate::{
    power::install,
    support::{Answer, Arrangement, Client, World},
};

/// Says what it got; sets cookies, good and bad; shouts back over a WebSocket.
async fn workspace() -> std::net::SocketAddr {
    let echo = any(async |request: Request| {
        let (parts, body) = request.into_parts();
        let body: Bytes = axum::body::to_bytes(body, usize::MAX).await.unwrap();
        let headers: serde_json::Map<String, Value> = (parts.headers.iter())
            .map(|(name, value)| (name.to_string(), value.to_str().unwrap().into()))
            .collect();
        let cookies = [("set-cookie", "_xsrf=1; Path=/"), ("x-workspace", "yes")];
        let mut answer = Json(json!({
            "method": parts.method.as_str(), "path": parts.uri.to_string(), "headers": headers, "length": body.len(),
        }))
        .into_response();
        for (name, value) in
            cookies.into_iter().chain([("set-cookie", "zlh_session=stolen; Domain=localhost")])
        {
            answer.headers_mut().append(name, value.parse().unwrap());
        }
        answer
    });
    let shout = get(async |upgrade: WebSocketUpgrade| {
        upgrade.on_upgrade(async |mut socket| {
            while let Some(Ok(ws::Message::Text(text))) = socket.recv().await {
                socket.send(ws::Message::Text(text.to_uppercase().into())).await.unwrap();
            }
        })
    });
    let long = get(async || "x".repeat(300_000));
    let router = Router::new().route("/ws", shout).route("/long", long).fallback(echo);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

/// A customer with a running workspace.
struct Owner {
    client: Client,
    id: String,
    hostname: String,
}

impl Owner {
    async fn new(world: &World, name: &str) -> Self {
        let owner = Self::without_ide(world, name).await;
        world.agents.tunnel_to(owner.id.parse().unwrap(), workspace().await);
        owner
    }

    async fn without_ide(world: &World, name: &str) -> Self {
        let client = world.customer(name).await;
        let hostname = format!("{name}-space");
        let order = json!({ "name": name, "hostname": hostname, "blueprint": "workspace", "variant": "standard",
                            "plan": "workspace" });
        let id = world.active(&client, &order).await;
        Self { client, id, hostname }
    }

    async fn ticket(&self) -> Answer {
        self.client.post(&format!("/api/instances/{}/ide/tickets", self.id), json!({})).await
    }

    /// Path and query of a fresh ticket's address.
    async fn entrance(&self) -> String {
        let ticket = self.ticket().await.expect(201);
        let url = ticket.at("/url").as_str().unwrap().to_owned();
        let origin = format!("http://{}.ide.localhost:8080", self.hostname);
        url.strip_prefix(&origin).unwrap_or_else(|| panic!("{url}")).to_owned()
    }

    /// Uses a ticket.
    async fn enter(&self, world: &World) -> Visitor {
        let mut visitor = Visitor::of(world, &self.hostname);
        let answer = visitor.get(&self.entrance().await).await.expect(303);
        assert_eq!(answer.header("location"), "/");
        let set = answer.header("set-cookie").to_owned();
        assert!(!set.to_ascii_lowercase().contains("domain") && set.contains("HttpOnly"), "{set}");
        visitor.cookie = set.split(';').next().map(ToOwned::to_owned);
        visitor
    }
}

/// A browser at a workspace's host.
#[derive(Clone)]
struct Visitor {
    http: reqwest::Client,
    base: String,
    host: String,
    cookie: Option<String>,
}

impl Visitor {
    fn of(world: &World, hostname: &str) -> Self {
        Self {
            http: reqwest::Client::builder().no_proxy().redirect(Policy::none()).build().unwrap(),
            base: world.base.clone(),
            host: format!("{hostname}.ide.localhost:8080"),
            cookie: None,
        }
    }

    fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.base)).header("host", &self.host);
        match &self.cookie {
            Some(cookie) => request.header("cookie", cookie),
            None => request,
        }
    }

    async fn send(&self, request: reqwest::RequestBuilder) -> Answer {
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        Answer { status, headers, text: response.text().await.unwrap() }
    }

    async fn get(&self, path: &str) -> Answer {
        self.send(self.request(Method::GET, path)).await
    }

    /// As a person opens a page.
    async fn open(&self, path: &str) -> Answer {
        let request = self.request(Method::GET, path).header("accept", "text/html");
        self.send(request.header("sec-fetch-mode", "navigate").header("sec-fetch-dest", "document")).await
    }

    fn own_origin(&self) -> String {
        format!("http://{}", self.host)
    }

    async fn socket(
        &self,
        origin: &str,
    ) -> Result<tokio_tungstenite::WebSocketStream<tokio::net::TcpStream>, StatusCode> {
        let address = self.base.strip_prefix("http://").unwrap();
        let mut request = format!("ws://{}/ws", self.host).into_client_request().unwrap();
        request.headers_mut().insert("origin", origin.parse().unwrap());
        if let Some(cookie) = &self.cookie {
            request.headers_mut().insert("cookie", cookie.parse().unwrap());
        }
        let stream = tokio::net::TcpStream::connect(address).await.unwrap();
        match tokio_tungstenite::client_async(request, stream).await {
            Ok((socket, _)) => Ok(socket),
            Err(tokio_tungstenite::tungstenite::Error::Http(answer)) => Err(answer.status()),
            Err(error) => panic!("{error}"),
        }
    }
}

#[tokio::test]
async fn a_ticket_opens_the_workspace_once_and_nothing_of_ours_reaches_it() {
    let world = World::start().await;
    world.node("one", 10).await;
    let owner = Owner::new(&world, "ada").await;
    let entrance = owner.entrance().await;
    let visitor = Visitor::of(&world, &owner.hostname);
    visitor.get(&entrance).await.expect(303);
    let again = visitor.open(&entrance).await.expect(403);
    assert!(again.text.contains("was used or has expired"), "{}", again.text);
    assert!(again.text.contains("http://127.0.0.1:8080/?ide=ada-space"), "{}", again.text);

    let visitor = owner.enter(&world).await;
    let cookies = format!(
        "{}; {}; theme=dark",
        visitor.cookie.as_ref().unwrap(),
        owner.client.cookie.as_ref().unwrap()
    );
    let request = visitor.http.get(format!("{}/tree?a=b%20c", world.base)).header("host", &visitor.host);
    let request = request.header("cookie", cookies).header("authorization", "Bearer mine");
    let answer = visitor.send(request.header("x-forwarded-for", "6.6.6.6")).await.expect(200);
    assert_eq!(answer.at("/path"), "/tree?a=b%20c");
    let headers = answer.at("/headers");
    assert_eq!(headers["cookie"], "theme=dark");
    assert_eq!(headers["host"], "ada-space.ide.localhost:8080");
    assert_eq!(headers["x-forwarded-for"], "127.0.0.1");
    assert_eq!(headers["x-forwarded-proto"], "http");
    assert_eq!(headers["authorization"], Value::Null);
    // What it answers passes, but for cookies that are not its own.
    let set: Vec<_> = answer.headers.get_all("set-cookie").iter().collect();
    assert_eq!(set, ["_xsrf=1; Path=/"]);
    assert_eq!(answer.header("x-workspace"), "yes");
}

#[tokio::test]
async fn a_ticket_expires_and_ends_with_the_session() {
    let world = World::start().await;
    world.node("one", 10).await;
    let owner = Owner::new(&world, "ada").await;
    let visitor = Visitor::of(&world, &owner.hostname);
    let entrance = owner.entrance().await;
    world.clock.advance(TimeDelta::seconds(61));
    visitor.get(&entrance).await.expect(403);
    let entrance = owner.entrance().await;
    owner.client.post("/api/auth/logout", json!({})).await.expect(204);
    visitor.get(&entrance).await.expect(403);
}

#[tokio::test]
async fn nobody_else_gets_in() {
    let world = World::start().await;
    world.node("one", 10).await;
    let (ada, bob) = (Owner::new(&world, "ada").await, Owner::new(&world, "bob").await);
    // Not with somebody else's session, and not with a key.
    bob.client
        .post(&format!("/api/instances/{}/ide/tickets", ada.id), json!({}))
        .await
        .expect_problem(404, "not_found");
    let script = ada.client.make_key(&["instances:read", "instances:write"], &world.in_days(1)).await;
    let path = format!("/api/instances/{}/ide/tickets", ada.id);
    script.post(&path, json!({})).await.expect_problem(403, "session_required");
    // Not with a ticket for another workspace, which is not spent by the try.
    let entrance = bob.entrance().await;
    Visitor::of(&world, &ada.hostname).open(&entrance).await.expect(403);
    Visitor::of(&world, &bob.hostname).open(&entrance).await.expect(303);
    // Not with a cookie for another workspace, one's own as little as somebody else's.
    let mut visitor = bob.enter(&world).await;
    visitor.get("/").await.expect(200);
    for host in [&ada.hostname, "no-such-space"] {
        visitor.host = format!("{host}.ide.localhost:8080");
        let answer = visitor.open("/").await.expect(404);
        assert!(
            answer.text.contains("There is no workspace at this address, or it is not yours."),
            "{}",
            answer.text
        );
        assert_eq!(visitor.socket(&visitor.own_origin()).await.err(), Some(StatusCode::NOT_FOUND));
    }
    // One that never was is as good as none.
    visitor.cookie = Some("zlh_ide=guessed".into());
    visitor.host = format!("{}.ide.localhost:8080", ada.hostname);
    visitor.open("/").await.expect(302);
    visitor.get("/").await.expect(401);
}

#[tokio::test]
async fn without_a_cookie_a_person_is_led_to_the_portal_and_a_script_is_refused() {
    let world = World::start().await;
    world.node("one", 10).await;
    let owner = Owner::new(&world, "ada").await;
    for hostname in [owner.hostname.as_str(), "no-such-space"] {
        let visitor = Visitor::of(&world, hostname);
        let answer = visitor.open("/lab/tree/x").await.expect(302);
        assert_eq!(answer.header("location"), format!("http://127.0.0.1:8080/?ide={hostname}"));
        let answer = visitor.get("/api/contents").await.expect(401);
        assert_eq!(answer.code(), "unauthenticated");
        assert_eq!(visitor.socket(&visitor.own_origin()).await.err(), Some(StatusCode::UNAUTHORIZED));
    }
}

#[tokio::test]
async fn the_api_and_workspaces_never_answer_for_one_another() {
    let world = World::start().await;
    world.node("one", 10).await;
    let owner = Owner::new(&world, "ada").await;
    let visitor = owner.enter(&world).await;
    // The workspace's own path of that name.
    assert_eq!(visitor.get("/api/me").await.expect(200).at("/path"), "/api/me");
    let mut api = world.anonymous();
    api.cookie.clone_from(&visitor.cookie);
    api.get("/api/me").await.expect_problem(401, "unauthenticated");
    // The Portal's cookie opens nothing at a workspace's host.
    let with_session = Visitor { cookie: owner.client.cookie.clone(), ..visitor.clone() };
    with_session.get("/api/me").await.expect(401);
    for host in ["ide.localhost:8080", "a.b.ide.localhost", "a_b.ide.localhost"] {
        let nobody = Visitor { host: host.into(), ..visitor.clone() };
        for path in ["/", "/api/me", "/api/openapi.json"] {
            nobody.get(path).await.expect(404);
        }
    }
    visitor.get("/.zlh/other").await.expect(404);
}

#[tokio::test]
async fn files_of_any_size_pass_both_ways() {
    let world = World::start().await;
    world.node("one", 10).await;
    let visitor = Owner::new(&world, "ada").await.enter(&world).await;
    let origin = visitor.own_origin();
    let upload = visitor.request(Method::PUT, "/upload").header("origin", &origin).body(vec![7; 5_000_000]);
    let answer = visitor.send(upload).await.expect(200);
    assert_eq!((answer.at("/length"), answer.at("/method")), (json!(5_000_000), json!("PUT")));
    // One connection after another is used again: many more requests than a workspace has places.
    for _ in 0..200 {
        assert_eq!(visitor.get("/long").await.expect(200).text.len(), 300_000);
    }
    let tunnels = world.agents.scenario.count("tunnel");
    assert!(tunnels <= 5, "{tunnels}");
}

#[tokio::test]
async fn pages_of_other_sites_and_of_other_workspaces_cannot_use_the_cookie() {
    let world = World::start().await;
    world.node("one", 10).await;
    let visitor = Owner::new(&world, "ada").await.enter(&world).await;
    let own = visitor.own_origin();
    for (method, header, value) in [
        (Method::POST, "origin", "http://bob-space.ide.localhost:8080"),
        (Method::POST, "origin", "null"),
        (Method::POST, "sec-fetch-site", "same-site"),
        (Method::POST, "x-nothing", "neither"),
        (Method::GET, "origin", "https://evil.example"),
        (Method::GET, "sec-fetch-site", "same-site"),
    ] {
        let answer =
            visitor.send(visitor.request(method.clone(), "/api/terminals").header(header, value)).await;
        assert_eq!(
            (answer.status.as_u16(), answer.code().as_str()),
            (403, "csrf_rejected"),
            "{method} {value}"
        );
    }
    for origin in ["http://bob-space.ide.localhost:8080", "http://127.0.0.1:8080", "null"] {
        assert_eq!(visitor.socket(origin).await.err(), Some(StatusCode::FORBIDDEN), "{origin}");
    }
    visitor.send(visitor.request(Method::POST, "/api/terminals").header("origin", own)).await.expect(200);
}

/// Sends a word and hears it shouted.
async fn talk(socket: &mut tokio_tungstenite::WebSocketStream<tokio::net::TcpStream>) -> bool {
    let answer = async {
        socket.send(Message::text("hello")).await.ok()?;
        socket.next().await?.ok()?.into_text().ok()
    };
    answer.await.is_some_and(|text| text == "HELLO")
}

/// Until the other side has ended it; within 5 s, and some for a slow machine.
async fn until_ended(mut socket: tokio_tungstenite::WebSocketStream<tokio::net::TcpStream>) {
    let ended = async { while socket.next().await.is_some_and(|message| message.is_ok()) {} };
    tokio::time::timeout(Duration::from_secs(8), ended).await.expect("an end of the WebSocket");
}

#[tokio::test]
async fn a_logout_ends_requests_and_open_websockets() {
    let world = World::start().await;
    world.node("one", 10).await;
    let (ada, bob) = (Owner::new(&world, "ada").await, Owner::new(&world, "bob").await);
    let (visitor, other) = (ada.enter(&world).await, bob.enter(&world).await);
    let mut socket = visitor.socket(&visitor.own_origin()).await.unwrap();
    let mut stays = other.socket(&other.own_origin()).await.unwrap();
    assert!(talk(&mut socket).await && talk(&mut stays).await);
    ada.client.post("/api/auth/logout", json!({})).await.expect(204);
    until_ended(socket).await;
    World::eventually("requests are refused", async || {
        let answer = visitor.get("/").await;
        answer.status == StatusCode::UNAUTHORIZED
    })
    .await;
    assert!(talk(&mut stays).await);
}

#[tokio::test]
async fn a_hold_ends_what_is_open_and_says_so() {
    let world = World::start().await;
    world.node("one", 10).await;
    let owner = Owner::new(&world, "ada").await;
    let visitor = owner.enter(&world).await;
    let socket = visitor.socket(&visitor.own_origin()).await.unwrap();
    let hold = format!(
        "INSERT INTO holds (id, instance_id, reason, note, placed_by, placed_at)
         VALUES (gen_random_uuid(), '{}', 'billing', 'An invoice is open.', 'test', now())",
        owner.id
    );
    world.database.execute(&hold).await;
    until_ended(socket).await;
    let page = visitor.open("/").await.expect(423);
    assert!(page.text.contains("on hold") && page.text.contains("/?ide=ada-space"), "{}", page.text);
    owner.ticket().await.expect_problem(409, "instance_on_hold");
}

#[tokio::test]
async fn a_workspace_that_cannot_be_shown_says_why() {
    let world = World::start().await;
    world.node("one", 10).await;
    let owner = Owner::new(&world, "ada").await;
    let visitor = owner.enter(&world).await;
    world.agents.scenario.disturb("tunnel", When::FailBefore, 1);
    let page = visitor.open("/").await.expect(502);
    assert!(page.text.contains("machine does not answer"), "{}", page.text);
    visitor.open("/").await.expect(200);

    // Its IDE does not listen: on its way, or not meant to.
    let other = Owner::without_ide(&world, "bob").await;
    let visitor = other.enter(&world).await;
    let page = visitor.open("/").await.expect(503);
    assert!(
        page.text.contains("is starting") && page.text.contains("http-equiv=\"refresh\""),
        "{}",
        page.text
    );
    install(&world, &other.id).await;
    other
        .client
        .post(&format!("/api/instances/{}/power", other.id), json!({ "action": "stop" }))
        .await
        .expect(202);
    let stopped = async || visitor.open("/").await.status == StatusCode::CONFLICT;
    World::eventually("the page says that it is stopped", stopped).await;
    let page = visitor.open("/").await.expect(409);
    assert!(page.text.contains("is stopped") && page.text.contains("/?ide=bob-space"), "{}", page.text);
}

#[tokio::test]
async fn a_workspace_that_nobody_uses_is_stopped_and_one_in_use_is_not() {
    let mut arrangement = Arrangement::usual().await;
    arrangement.config.ide.idle_stop_minutes = 30;
    let world = arrangement.start();
    world.node("one", 10).await;
    let (idle, used) = (Owner::new(&world, "ada").await, Owner::new(&world, "bob").await);
    for owner in [&idle, &used] {
        let id: InstanceId = owner.id.parse().unwrap();
        install(&world, &owner.id).await;
        world.agents.set_state(id, AgentState::Running);
    }
    let power = async |owner: &Owner| {
        owner.client.get(&format!("/api/instances/{}", owner.id)).await.expect(200).at("/desired_power")
    };
    world.clock.advance(TimeDelta::minutes(29));
    used.enter(&world).await.get("/").await.expect(200);
    stop_idle(&world).await;
    assert_eq!(power(&idle).await, "running", "not yet");
    world.clock.advance(TimeDelta::minutes(2));
    stop_idle(&world).await;
    assert_eq!(power(&idle).await, "stopped");
    assert_eq!(power(&used).await, "running");
    let state = world.agents.status(idle.id.parse().unwrap()).unwrap().state;
    assert_eq!(state, AgentState::Stopped);
    let audited =
        "SELECT count(*) FROM audit_log WHERE actor = 'zpack-api' AND action = 'instance.idle_stopped'";
    assert_eq!(world.database.count(audited).await, 1);
}

async fn stop_idle(world: &World) {
    let idle_after = world.app.ide.idle_after().unwrap();
    zpack_api::ide::stop_idle(&world.app.db, &world.app.power, idle_after, world.clock.now()).await.unwrap();
}
