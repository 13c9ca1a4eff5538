//! What operators see.

use serde::Serialize;
use store::nodes::Node;
use utoipa::ToSchema;
use uuid::Uuid;

/// A machine and how full it is.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Node)]
pub struct NodeView {
    /// Its id.
    pub id: Uuid,
    /// Its name.
    pub name: String,
    /// What customers connect to.
    pub public_host: String,
    /// Whether it takes no new instances.
    pub cordoned: bool,
    /// Memory for instances, MiB.
    pub memory_mib: i64,
    /// Handed out, MiB.
    pub used_memory_mib: i64,
    /// CPU for instances, per cent of one core.
    pub cpu_percent: i64,
    /// Handed out, per cent of one core.
    pub used_cpu_percent: i64,
    /// Disk for instances, MiB.
    pub disk_mib: i64,
    /// Handed out, MiB.
    pub used_disk_mib: i64,
    /// Ports that nobody has.
    pub free_port_count: i64,
}

impl From<Node> for NodeView {
    fn from(it: Node) -> Self {
        Self {
            id: it.id.0,
            name: it.name,
            public_host: it.public_host,
            cordoned: it.cordoned,
            memory_mib: it.memory_mib,
            used_memory_mib: it.used_memory_mib,
            cpu_percent: it.cpu_percent,
            used_cpu_percent: it.used_cpu_percent,
            disk_mib: it.disk_mib,
            used_disk_mib: it.used_disk_mib,
            free_port_count: it.free_ports,
        }
    }
}
