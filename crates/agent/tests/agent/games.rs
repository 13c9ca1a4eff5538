//! Readiness against real servers, and against things that only look like them.

use std::{net::Ipv4Addr, path::Path, time::Duration};

use agent::probe::{minecraft, once, players::PlayerCount};
use domain::agent::{AgentState, InstallStep, PowerAction, Probe, Runtime, ServiceSpec};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use crate::support::{TestAgent, script};

fn need(program: &str, package: &str) {
    assert!(Path::new(program).exists(), "{program} is missing: install the package {package}");
}

fn free_udp_port() -> u16 {
    std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn game(argv: &[&str], package: &str, probe: Probe) -> ServiceSpec {
    let mut spec = script("");
    spec.run.argv = argv.iter().map(|&word| word.to_owned()).collect();
    spec.run.runtime = Runtime::Program { name: argv[0].into(), package: package.into() };
    spec.run.stop.line = None;
    spec.ready.probe = probe;
    spec
}

async fn starts_and_stops(spec: &ServiceSpec) {
    let agent = TestAgent::start();
    assert!(once(&spec.ready.probe).await.is_err(), "nobody is there yet");
    agent.run(spec, AgentState::Running).await;
    assert!(once(&spec.ready.probe).await.is_ok());
    agent.power(PowerAction::Stop).await.unwrap();
    let stopped = agent.until(AgentState::Stopped).await;
    assert_eq!(stopped.error, None);
    assert!(once(&spec.ready.probe).await.is_err(), "nobody is there any more");
}

#[tokio::test]
async fn a_real_luanti_server_is_recognised() {
    need("/usr/games/minetestserver", "minetest-server");
    let port = free_udp_port();
    let number = port.to_string();
    let argv = [
        "minetestserver",
        "--world",
        "world",
        "--gameid",
        "minetest_game",
        "--config",
        "c",
        "--port",
        &number,
    ];
    let mut spec = game(&argv, "minetest-server", Probe::Luanti { port });
    let content = "server_announce = false\nbind_address = 127.0.0.1\n".into();
    spec.install = vec![InstallStep::Write { path: "c".into(), content, keep_existing: false }];
    starts_and_stops(&spec).await;
}

#[tokio::test]
async fn a_real_teeworlds_server_is_recognised() {
    need("/usr/games/teeworlds-server", "teeworlds-server");
    let port = free_udp_port();
    let number = format!("sv_port {port}");
    let argv = ["teeworlds-server", "bindaddr 127.0.0.1", &number, "sv_register 0"];
    starts_and_stops(&game(&argv, "teeworlds-server", Probe::Teeworlds { port })).await;
}

/// A TCP server that reads a ping and answers with `reply`, for ever.
async fn answering(reply: Vec<u8>) -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let expected = minecraft::request(port);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = vec![0; expected.len()];
            stream.read_exact(&mut request).await.unwrap();
            assert_eq!(request, expected);
            stream.write_all(&reply).await.unwrap();
        }
    });
    port
}

fn packet(json: &str) -> Vec<u8> {
    let mut body = vec![0];
    minecraft::put_varint(&mut body, i32::try_from(json.len()).unwrap());
    body.extend(json.bytes());
    let mut packet = Vec::new();
    minecraft::put_varint(&mut packet, i32::try_from(body.len()).unwrap());
    packet.extend(body);
    packet
}

#[tokio::test]
async fn only_a_minecraft_status_is_a_minecraft_server() {
    let good = packet(r#"{"version":{"name":"1.21","protocol":767},"players":{"max":20,"online":0}}"#);
    let port = answering(good).await;
    assert!(once(&Probe::MinecraftPing { port }).await.is_ok());
    let mut endless = Vec::new();
    minecraft::put_varint(&mut endless, i32::MAX);
    for bad in [
        b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec(),
        packet("{}"),
        packet("[1]"),
        packet("not json"),
        vec![0],
        vec![0xff; 16],
        endless,
        vec![],
    ] {
        let port = answering(bad.clone()).await;
        assert!(once(&Probe::MinecraftPing { port }).await.is_err(), "{bad:?}");
    }
}

#[tokio::test]
async fn a_listening_port_is_enough_for_tcp() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    assert!(once(&Probe::Tcp { port }).await.is_ok());
    drop(listener);
    assert!(once(&Probe::Tcp { port }).await.is_err());
}

#[tokio::test]
async fn players_are_asked_for_once_in_a_while_and_those_of_a_game_that_is_busy_are_remembered() {
    let status = |online: u32| {
        packet(&format!(
            r#"{{"version":{{"name":"1.21"}},"players":{{"max":20,"online":{online},"sample":[{{"name":"ida"}}]}}}}"#
        ))
    };
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let probe = Probe::MinecraftPing { port: listener.local_addr().unwrap().port() };
    let asked = std::sync::Arc::new(std::sync::atomic::AtomicU32::new(0));
    let counted = asked.clone();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let number = counted.fetch_add(1, std::sync::atomic::Ordering::SeqCst) + 1;
            // The third time it is busy: it takes the connection and says nothing.
            if number != 3 {
                let _ = stream.write_all(&status(number)).await;
            }
            tokio::spawn(async move { stream.read_to_end(&mut Vec::new()).await });
        }
    });
    let players = PlayerCount::default();
    let names = || vec!["ida".to_owned()];
    let expected = |online| Some(domain::agent::Players { online, max: 20, names: names() });
    for _ in 0..5 {
        assert_eq!(players.of(&probe, 7).await, expected(1));
    }
    assert_eq!(asked.load(std::sync::atomic::Ordering::SeqCst), 1, "what was said is good for a while");
    let players = PlayerCount::good_for(Duration::ZERO);
    assert_eq!(players.of(&probe, 7).await, expected(2));
    assert_eq!(players.of(&probe, 7).await, expected(2), "a busy game keeps its players");
    assert_eq!(players.of(&probe, 8).await, expected(4), "another process has others");
    assert_eq!(players.of(&Probe::Tcp { port: 1 }, 8).await, None, "this one does not tell");
}
