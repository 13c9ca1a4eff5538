//! An edge of parts: a proxy, DNS, and what else stands between a player and a server.

use std::sync::Arc;

use async_trait::async_trait;
use futures_util::future::join_all;

use super::{Address, Edge, EdgeError, Entry, Observed, Publication, Seen};

/// Parts in the order in which they stand before a server, the innermost first: a name is announced only once the proxy
/// behind it knows the server. The outermost says the address.
#[derive(Clone, Debug)]
pub struct CompositeEdge {
    inner: Vec<Arc<dyn Edge>>,
    outermost: Arc<dyn Edge>,
}

impl CompositeEdge {
    /// An edge of one part; [`CompositeEdge::behind`] adds others.
    pub fn new(part: Arc<dyn Edge>) -> Self {
        Self { inner: Vec::new(), outermost: part }
    }

    /// With one part more, which players meet before all others.
    #[must_use]
    pub fn behind(mut self, outermost: Arc<dyn Edge>) -> Self {
        self.inner.push(std::mem::replace(&mut self.outermost, outermost));
        self
    }

    fn inward(&self) -> impl Iterator<Item = &Arc<dyn Edge>> {
        std::iter::once(&self.outermost).chain(self.inner.iter().rev())
    }
}

#[async_trait]
impl Edge for CompositeEdge {
    /// Stops at the first part that fails. What the others made stays until it is withdrawn, which a caller does anyway.
    async fn publish(&self, publication: &Publication) -> Result<Address, EdgeError> {
        for part in &self.inner {
            part.publish(publication).await?;
        }
        self.outermost.publish(publication).await
    }

    /// Asks every part, the outermost first, also when one fails: each part that is clean is one fewer to lead players
    /// astray. The first failure is the answer.
    async fn withdraw(&self, publication: &Publication) -> Result<(), EdgeError> {
        let mut outcome = Ok(());
        for part in self.inward() {
            outcome = outcome.and(part.withdraw(publication).await);
        }
        outcome
    }

    fn desired(&self, publication: &Publication) -> Result<Vec<Entry>, EdgeError> {
        let mut desired = Vec::new();
        for part in self.inward() {
            desired.extend(part.desired(publication)?);
        }
        Ok(desired)
    }

    async fn observe(&self) -> Result<Vec<Observed>, EdgeError> {
        let mut observed = Vec::new();
        for part in self.inward() {
            observed.extend(part.observe().await?);
        }
        Ok(observed)
    }

    fn part(&self) -> &'static str {
        "edge"
    }

    /// All at once: one that answers late holds up no other.
    async fn observe_parts(&self) -> Seen {
        let mut all = Seen::default();
        for of_part in join_all(self.inward().map(|part| part.observe_parts())).await {
            all.observed.extend(of_part.observed);
            all.unseen.extend(of_part.unseen);
            all.zones.extend(of_part.zones);
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use domain::{
        ids::InstanceId,
        instance::{AllocatedPort, Protocol},
    };

    use super::*;
    use crate::{
        edge::{FakeEdge, ReadOnlyEdge},
        scenario::When,
    };

    struct Parts {
        proxy: Arc<FakeEdge>,
        dns: Arc<FakeEdge>,
        edge: CompositeEdge,
        publication: Publication,
    }

    fn parts() -> Parts {
        let (proxy, dns) = (Arc::new(FakeEdge::default()), Arc::new(FakeEdge::default()));
        let edge = CompositeEdge::new(proxy.clone()).behind(dns.clone());
        let port = AllocatedPort { name: "game".into(), protocol: Protocol::Tcp, port: 25_600 };
        let (instance_id, hostname) = (InstanceId::generate(), "demo".into());
        let node_host = "127.0.0.1".into();
        let publication = Publication { instance_id, hostname, node_host, port, service: None };
        Parts { proxy, dns, edge, publication }
    }

    #[tokio::test]
    async fn a_name_is_announced_only_behind_a_proxy_that_knows_the_server() {
        let it = parts();
        it.proxy.scenario.disturb("publish", When::FailBefore, 1);
        it.edge.publish(&it.publication).await.unwrap_err();
        assert_eq!(it.dns.scenario.count("publish"), 0);
        let address = it.edge.publish(&it.publication).await.unwrap();
        assert_eq!(address.to_string(), "demo.example.invalid:25600");
        assert_eq!((it.proxy.inventory().len(), it.dns.inventory().len()), (1, 1));
    }

    #[tokio::test]
    async fn withdrawing_asks_every_part_whatever_fails_and_says_so() {
        let it = parts();
        it.edge.publish(&it.publication).await.unwrap();
        it.dns.scenario.disturb("withdraw", When::FailBefore, 1);
        it.edge.withdraw(&it.publication).await.unwrap_err();
        assert_eq!((it.proxy.inventory().len(), it.dns.inventory().len()), (0, 1));
        it.edge.withdraw(&it.publication).await.unwrap();
        assert_eq!(it.dns.inventory(), []);
    }

    #[tokio::test]
    async fn what_is_observed_is_complete_or_an_error() {
        let it = parts();
        it.edge.publish(&it.publication).await.unwrap();
        let observed: Vec<_> = it.edge.observe().await.unwrap().into_iter().map(|seen| seen.entry).collect();
        assert_eq!(observed, it.edge.desired(&it.publication).unwrap());
        it.proxy.scenario.disturb("observe", When::FailBefore, 1);
        it.edge.observe().await.unwrap_err();
        // Part by part, what the other shows is there.
        it.proxy.scenario.disturb("observe", When::FailBefore, 1);
        let seen = it.edge.observe_parts().await;
        assert_eq!((seen.observed.len(), seen.unseen.len()), (1, 1));
    }

    #[tokio::test]
    async fn a_read_only_edge_is_looked_at_and_not_changed() {
        let it = parts();
        it.edge.publish(&it.publication).await.unwrap();
        let looked_at = ReadOnlyEdge(Arc::new(it.edge.clone()));
        let refused = looked_at.withdraw(&it.publication).await.unwrap_err();
        assert!(matches!(refused, EdgeError::ReadOnly("withdraw")) && !refused.is_transient(), "{refused}");
        assert_eq!(looked_at.observe().await.unwrap().len(), 2);
        assert_eq!(it.proxy.scenario.count("withdraw"), 0);
    }
}
