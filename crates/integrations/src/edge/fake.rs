//! An edge that only remembers.

use std::{collections::BTreeMap, sync::Mutex};

use async_trait::async_trait;
use domain::ids::InstanceId;

use super::{Address, Edge, EdgeError, Entry, Observed, Owner, Publication};
use crate::scenario::{Scenario, lock};

/// A recording fake.
#[derive(Debug, Default)]
pub struct FakeEdge {
    /// What goes wrong, and what was called.
    pub scenario: Scenario,
    published: Mutex<BTreeMap<InstanceId, Publication>>,
}

impl FakeEdge {
    /// What is published and was not withdrawn.
    pub fn inventory(&self) -> Vec<Publication> {
        lock(&self.published).values().cloned().collect()
    }
}

fn address(publication: &Publication) -> Address {
    Address { host: format!("{}.example.invalid", publication.hostname), port: Some(publication.port.port) }
}

fn entry(publication: &Publication) -> Entry {
    let (name, target) = (publication.hostname.clone(), address(publication).to_string());
    Entry { part: "fake".to_owned(), name, target }
}

fn injected() -> EdgeError {
    EdgeError::Unreachable("the scenario says so".into())
}

#[async_trait]
impl Edge for FakeEdge {
    async fn publish(&self, publication: &Publication) -> Result<Address, EdgeError> {
        let work = || {
            lock(&self.published).insert(publication.instance_id, publication.clone());
            Ok(address(publication))
        };
        self.scenario.play("publish", publication.instance_id, injected, work).await
    }

    async fn withdraw(&self, publication: &Publication) -> Result<(), EdgeError> {
        let work = || {
            lock(&self.published).remove(&publication.instance_id);
            Ok(())
        };
        self.scenario.play("withdraw", publication.instance_id, injected, work).await
    }

    fn desired(&self, publication: &Publication) -> Result<Vec<Entry>, EdgeError> {
        Ok(vec![entry(publication)])
    }

    async fn observe(&self) -> Result<Vec<Observed>, EdgeError> {
        let observed = |publication: &Publication| Observed {
            entry: entry(publication),
            owner: Owner::Instance(publication.instance_id),
        };
        let work = || Ok(lock(&self.published).values().map(observed).collect());
        self.scenario.play("observe", "", injected, work).await
    }

    fn part(&self) -> &'static str {
        "fake"
    }
}
