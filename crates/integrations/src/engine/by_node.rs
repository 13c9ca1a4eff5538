//! Which engine runs the containers of which node.

use std::{collections::BTreeMap, sync::Arc};

use domain::ids::NodeId;

use super::{Engine, EngineError};

/// The engines that this process can reach, by node. A node is a machine of one engine; an engine of many machines is
/// entered once per node. Clones share the engines.
#[derive(Clone, Debug, Default)]
pub struct Engines {
    by_node: BTreeMap<NodeId, Arc<dyn Engine>>,
}

impl Engines {
    /// With the engine of one node more; it takes the place of an earlier one.
    #[must_use]
    pub fn with(mut self, node: NodeId, engine: Arc<dyn Engine>) -> Self {
        self.by_node.insert(node, engine);
        self
    }

    /// The engine of this node. That there is none is [`EngineError::NoEngine`], which may pass: another process may have
    /// it, or this one after a change of its configuration.
    pub fn of(&self, node: NodeId) -> Result<&Arc<dyn Engine>, EngineError> {
        self.by_node.get(&node).ok_or(EngineError::NoEngine(node))
    }

    /// The nodes that have an engine here, in the order of their ids.
    pub fn nodes(&self) -> Vec<NodeId> {
        self.by_node.keys().copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use domain::ids::InstanceId;

    use super::*;
    use crate::engine::FakeEngine;

    #[tokio::test]
    async fn each_node_has_its_own_engine() {
        let (a, b, nobody) = (NodeId::generate(), NodeId::generate(), NodeId::generate());
        let fakes = [Arc::new(FakeEngine::default()), Arc::new(FakeEngine::default())];
        let engines = Engines::default().with(a, fakes[0].clone()).with(b, fakes[1].clone());
        engines.of(b).unwrap().delete(InstanceId::generate()).await.unwrap();
        assert_eq!((fakes[0].scenario.count("delete"), fakes[1].scenario.count("delete")), (0, 1));
        assert_eq!(engines.nodes(), [a, b]);
        let none = engines.of(nobody).unwrap_err();
        assert!(none.is_transient() && none.to_string().contains(&nobody.to_string()), "{none}");
    }
}
