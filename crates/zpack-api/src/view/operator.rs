//! What operators see.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use domain::{account::Role, ids::CustomerId, instance::Instance};
use serde::Serialize;
use store::{accounts::customers::Account, nodes::Node};
use utoipa::ToSchema;
use uuid::Uuid;

use super::{InstanceView, schema};

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
    /// When its provision-worker reported last; null if it never did.
    pub last_report_at: Option<DateTime<Utc>>,
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
            last_report_at: it.reported_at,
        }
    }
}

/// A customer.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = OperatorCustomer)]
pub struct OperatorCustomerView {
    /// Its id.
    pub id: Uuid,
    /// Lower-case address.
    pub email: String,
    /// For people.
    pub display_name: String,
    /// What it is for.
    #[schema(schema_with = schema::role)]
    pub role: Role,
    /// How many live servers it may have.
    pub instance_limit: i32,
    /// How many it has.
    pub instance_count: i64,
    /// Since when it cannot be signed in to.
    #[schema(required)]
    pub disabled_at: Option<DateTime<Utc>>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
}

impl From<Account> for OperatorCustomerView {
    fn from(Account { customer, instances }: Account) -> Self {
        Self {
            id: customer.id.0,
            email: customer.email,
            display_name: customer.display_name,
            role: customer.role,
            instance_limit: customer.instance_limit,
            instance_count: instances,
            disabled_at: customer.disabled_at,
            created_at: customer.created_at,
        }
    }
}

/// A server as operators see it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = OperatorInstance)]
pub struct OperatorInstanceView {
    /// What its customer sees.
    #[serde(flatten)]
    pub instance: InstanceView,
    /// Whose it is.
    pub customer_id: Uuid,
    /// Their address.
    pub customer_email: String,
    /// Where it runs.
    pub node_name: String,
}

impl OperatorInstanceView {
    /// With what its owner and its node are called.
    pub fn new(it: Instance, emails: &HashMap<CustomerId, String>, nodes: &[Node]) -> Self {
        let node = nodes.iter().find(|node| node.id == it.node_id);
        Self {
            customer_id: it.customer_id.0,
            customer_email: emails.get(&it.customer_id).cloned().unwrap_or_default(),
            node_name: node.map(|node| node.name.clone()).unwrap_or_default(),
            instance: it.into(),
        }
    }
}
