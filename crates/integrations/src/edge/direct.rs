//! The edge without proxy and DNS: players connect to the node's own address.

use std::time::Duration;

use async_trait::async_trait;
use domain::instance::Protocol;
use tokio::{net::TcpStream, time::timeout};

use super::{Address, Edge, EdgeError, Entry, Observed, Publication};

/// How long a server may take to accept a connection at its public address.
const CONNECT_DEADLINE: Duration = Duration::from_secs(3);

/// Publishes nothing: the address is the node's own and the server's port, and publishing checks that it works.
#[derive(Clone, Copy, Debug, Default)]
pub struct DirectEdge;

#[async_trait]
impl Edge for DirectEdge {
    async fn publish(&self, publication: &Publication) -> Result<Address, EdgeError> {
        let (host, port) = (publication.node_host.clone(), publication.port.port);
        let address = Address { host: host.clone(), port: Some(port) };
        if publication.port.protocol == Protocol::Udp {
            // UDP has no handshake of its own, and the game's was spoken by the readiness probe on this machine.
            return Ok(address);
        }
        let attempt = timeout(CONNECT_DEADLINE, TcpStream::connect((host.as_str(), port)));
        let reason = match attempt.await {
            Ok(Ok(_)) => return Ok(address),
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("no connection within {} s", CONNECT_DEADLINE.as_secs()),
        };
        Err(EdgeError::NotReachable { address, reason })
    }

    /// Publishing makes nothing outside the server itself, so nothing can remain once its port is closed.
    async fn withdraw(&self, _: &Publication) -> Result<(), EdgeError> {
        Ok(())
    }

    fn desired(&self, _: &Publication) -> Result<Vec<Entry>, EdgeError> {
        Ok(Vec::new())
    }

    /// Nothing carries a mark, since nothing is made.
    async fn observe(&self) -> Result<Vec<Observed>, EdgeError> {
        Ok(Vec::new())
    }

    fn part(&self) -> &'static str {
        "direct"
    }
}

#[cfg(test)]
mod tests {
    use domain::{ids::InstanceId, instance::AllocatedPort};
    use tokio::net::TcpListener;

    use super::*;

    fn publication(host: &str, port: u16) -> Publication {
        let port = AllocatedPort { name: "game".into(), protocol: Protocol::Tcp, port };
        let (instance_id, hostname) = (InstanceId::generate(), "demo".into());
        Publication { instance_id, hostname, node_host: host.into(), port, service: None }
    }

    #[tokio::test]
    async fn a_listening_server_is_published_at_its_nodes_host() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let address = DirectEdge.publish(&publication("localhost", port)).await.unwrap();
        assert_eq!(address.to_string(), format!("localhost:{port}"));
    }

    #[tokio::test]
    async fn a_server_that_cannot_be_reached_is_not_called_published() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        let refused = DirectEdge.publish(&publication("127.0.0.1", port)).await.unwrap_err();
        assert!(refused.is_transient() && matches!(refused, EdgeError::NotReachable { .. }), "{refused}");
    }
}
