//! The tunnel to a workspace's IDE: one socket, raw bytes, and nothing else of the container.

use domain::agent::{AgentProblem, Scope};
use reqwest::{Response, StatusCode};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{UnixListener, UnixStream},
};

use crate::support::{PATIENCE, TestAgent};

async fn ask(agent: &TestAgent, protocol: &str) -> Response {
    let request =
        agent.client.get(format!("{}/v1/tunnel", agent.url)).bearer_auth(agent.token(Scope::Tunnel));
    request.header("connection", "upgrade").header("upgrade", protocol).send().await.unwrap()
}

async fn code(response: Response) -> (StatusCode, String) {
    (response.status(), response.json::<AgentProblem>().await.unwrap().code)
}

/// Says back what it hears, in capitals, and then what it did not hear.
async fn shout(mut connection: UnixStream) {
    let mut heard = String::new();
    connection.read_to_string(&mut heard).await.unwrap();
    connection.write_all(heard.to_uppercase().as_bytes()).await.unwrap();
}

#[tokio::test]
async fn bytes_go_both_ways_and_each_side_may_stop_talking_first() {
    let agent = TestAgent::start();
    let ide = UnixListener::bind(agent.root.path().join("run/ide.sock")).unwrap();
    tokio::spawn(async move {
        while let Ok((connection, _)) = ide.accept().await {
            tokio::spawn(shout(connection));
        }
    });
    for text in ["hello", &"a long story ".repeat(100_000)] {
        let response = ask(&agent, "zlh-tunnel").await;
        assert_eq!(response.status(), StatusCode::SWITCHING_PROTOCOLS);
        let mut tunnel = response.upgrade().await.unwrap();
        tunnel.write_all(text.as_bytes()).await.unwrap();
        tunnel.shutdown().await.unwrap();
        let mut answer = String::new();
        tokio::time::timeout(PATIENCE, tunnel.read_to_string(&mut answer)).await.unwrap().unwrap();
        assert_eq!(answer, text.to_uppercase());
    }
}

#[tokio::test]
async fn without_an_ide_or_a_change_of_protocol_there_is_no_tunnel() {
    let agent = TestAgent::start();
    let nothing_there = code(ask(&agent, "zlh-tunnel").await).await;
    assert_eq!(nothing_there, (StatusCode::CONFLICT, "ide_not_running".into()));
    let other = code(ask(&agent, "websocket").await).await;
    assert_eq!(other, (StatusCode::UPGRADE_REQUIRED, "upgrade_required".into()));
    // The file is there and nobody listens, as after an IDE that was killed.
    drop(std::os::unix::net::UnixListener::bind(agent.root.path().join("run/ide.sock")).unwrap());
    assert_eq!(code(ask(&agent, "zlh-tunnel").await).await.0, StatusCode::CONFLICT);
}

#[tokio::test]
async fn tunnels_are_bounded_and_a_closed_one_makes_room() {
    let agent = TestAgent::start();
    let ide = UnixListener::bind(agent.root.path().join("run/ide.sock")).unwrap();
    tokio::spawn(async move {
        let mut open = Vec::new();
        while let Ok((connection, _)) = ide.accept().await {
            open.push(connection);
        }
    });
    let mut tunnels = Vec::new();
    for _ in 0..agent::tunnel::MAX_TUNNELS {
        tunnels.push(ask(&agent, "zlh-tunnel").await.upgrade().await.unwrap());
    }
    let one_too_many = code(ask(&agent, "zlh-tunnel").await).await;
    assert_eq!(one_too_many, (StatusCode::SERVICE_UNAVAILABLE, "too_many_tunnels".into()));
    // The rest of the agent does not suffer.
    agent.status().await;
    drop(tunnels);
    tokio::time::timeout(PATIENCE, async {
        while ask(&agent, "zlh-tunnel").await.status() != StatusCode::SWITCHING_PROTOCOLS {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("room again");
}
