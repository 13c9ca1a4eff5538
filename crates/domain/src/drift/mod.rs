//! Drift: what is, compared with what should be. One pure function turns a look at everything into findings, another says of
//! each whether it may be repaired now, and if not, why.
//!
//! Architecture invariant: nothing here, whatever was observed, leads to an action above Level 1, to one on what is or may
//! be somebody else's, or to taking anything away.

mod nodes;
mod payments;
mod routes;
mod rules;
mod storage;
mod verdict;
mod zones;

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fmt,
};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{
    edge::{Entry, Observed, ZoneFacts},
    ids::{InstanceId, OperationId},
    instance::{DesiredPower, Lifecycle, ObservedPower, text_enum},
    operation::{OperationKind, OperationState},
};

pub use self::{
    nodes::unseen_nodes,
    payments::PaymentFacts,
    routes::RouteFacts,
    rules::{LEFT_AFTER, find},
    storage::{BackupDifference, Difference, StorageFacts, StorageReport, Strangers, unseen_storage},
    verdict::{Attempts, Posture, Reason, Standing, Verdict, breaker_is_open, verdict},
};

text_enum! {
    /// What is wrong.
    Rule {
        /// A record or an entry that a server should have is not there.
        EntryMissing = "entry_missing",
        /// It leads elsewhere.
        EntryWrong = "entry_wrong",
        /// Something that is not ours has a server's name.
        EntryForeign = "entry_foreign",
        /// Something of ours leads to a server that is not there any more.
        EntryStale = "entry_stale",
        /// An operation is held by a worker that is gone, and no other has taken it over.
        StaleOperationLock = "stale_operation_lock",
        /// Committed work that no worker has taken.
        WorkNotTaken = "work_not_taken",
        /// A server runs though a hold forbids it.
        RunningOnHold = "running_on_hold",
        /// A server does not run though its customer wants it to.
        NotRunning = "not_running",
        /// Nothing was heard of a server's agent.
        AgentUnreachable = "agent_unreachable",
        /// A server's container is not there.
        RowWithoutContainer = "row_without_container",
        /// A container of ours is there whose server is gone.
        ContainerWithoutRow = "container_without_row",
        /// What is there under a server's id does not carry our mark.
        MarkLost = "mark_lost",
        /// A port is kept for a server that is gone.
        PortWithoutInstance = "port_without_instance",
        /// Nothing was heard of a node's worker.
        NodeSilent = "node_silent",
        /// A node's engine cannot be listed.
        EngineUnreachable = "engine_unreachable",
        /// A part of the edge cannot be listed: nobody knows what is there.
        EdgeUnreachable = "edge_unreachable",
        /// Traefik has no route to a server, though it is given one.
        RouteMissing = "route_missing",
        /// Something of a backup is in the storage that has no row, or one of which nothing should be left.
        ObjectWithoutBackup = "object_without_backup",
        /// A backup is to be had, says its row, and is not in the storage.
        BackupWithoutObject = "backup_without_object",
        /// The storage of backups cannot be compared with the rows.
        StorageUnreachable = "storage_unreachable",
        /// Something that we show to a service outside will not be taken there soon.
        CredentialExpiring = "credential_expiring",
        /// A zone has room for few more records.
        ZoneNearlyFull = "zone_nearly_full",
        /// Events of Stripe do not reach us.
        StripeEventsLost = "stripe_events_lost",
        /// Events of Stripe are here, and nobody processes them.
        StripeEventsWaiting = "stripe_events_waiting",
        /// So much drifts at once that something else must be wrong; nothing is repaired meanwhile.
        BreakerOpen = "breaker_open",
    }
}

/// Where something was looked for. What could not be seen says nothing, and leaves alone what was found there before.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Source {
    /// Our own rows.
    Rows,
    /// A part of the edge, for example `cloudflare`.
    Edge(String),
    /// What a node's engine has.
    Node(String),
    /// What the storage of backups has.
    Storage,
    /// What Traefik has taken up.
    Routes,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rows => f.write_str("rows"),
            Self::Edge(part) => write!(f, "edge {part}"),
            Self::Node(name) => write!(f, "node {name}"),
            Self::Storage => f.write_str("storage"),
            Self::Routes => f.write_str("routes"),
        }
    }
}

impl Serialize for Source {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

text_enum! {
    /// What may be repaired by a machine. There is nothing else: Levels 2 and 3 are proposals to people.
    RepairAction {
        /// Takes an operation from a worker that is gone, so that another one goes on with it.
        ClearStaleOperationLock = "clear_stale_operation_lock",
        /// Publishes a server again, as its create did.
        EdgeRepublish = "edge_republish",
    }
}

text_enum! {
    /// What the controller may do.
    Mode {
        /// Look, find and say.
        Observe = "observe",
        /// Also have Level 1 repaired.
        Level1 = "level1",
    }
}

/// How much a repair could harm: 1 can be done by a machine, 2 needs a person's word, 3 a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "u8")]
pub enum Level {
    /// Nothing can be lost by it.
    One,
    /// Somebody may notice it.
    Two,
    /// Something may be lost by it.
    Three,
}

impl From<Level> for u8 {
    fn from(level: Level) -> Self {
        match level {
            Level::One => 1,
            Level::Two => 2,
            Level::Three => 3,
        }
    }
}

/// A difference between what should be and what is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What is wrong.
    pub rule: Rule,
    /// Where it was seen.
    pub source: Source,
    /// What a repair could harm.
    pub level: Level,
    /// What would be done about it; only at Level 1.
    pub action: Option<RepairAction>,
    /// Of which server.
    pub instance: Option<InstanceId>,
    /// Of which operation.
    pub operation: Option<OperationId>,
    /// What it is about, as people and fingerprints name it.
    pub subject: String,
    /// What should be.
    pub desired: String,
    /// What was seen.
    pub observed: String,
    /// What a person would do where no machine may.
    pub proposal: Option<String>,
}

impl Finding {
    /// The same for the same difference, however often it is seen.
    pub fn fingerprint(&self) -> String {
        format!("{}:{}", self.rule, self.subject)
    }
}

/// Everything that one pass has seen.
#[derive(Clone, Debug)]
pub struct Look {
    /// The database's time.
    pub now: DateTime<Utc>,
    /// Every instance that is not deleted.
    pub instances: Vec<InstanceFacts>,
    /// Every node with what its engine has.
    pub nodes: Vec<NodeFacts>,
    /// Of the instances that something outside is of and that do not live those that have a row still, with the time when it
    /// was deleted.
    pub deleted: HashMap<InstanceId, DateTime<Utc>>,
    /// Ports that are kept for servers that are gone.
    pub lost_ports: Vec<LostPort>,
    /// Everything at the edge with our mark or under our names, of the parts that could be listed.
    pub edge: Vec<Observed>,
    /// What is known of the storage of backups.
    pub storage: StorageFacts,
    /// Every route that Traefik is given, with what it has made of it; none where nobody asks Traefik.
    pub routes: Vec<RouteFacts>,
    /// How full its zones are.
    pub zones: Vec<ZoneFacts>,
    /// What is known of Stripe's events.
    pub payments: PaymentFacts,
    /// What could not be seen, and why.
    pub unseen: BTreeMap<Source, String>,
}

impl Look {
    /// What could not be seen, for people; `None` if all was.
    pub fn incomplete(&self) -> Option<String> {
        let told: Vec<_> = self.unseen.iter().map(|(source, why)| format!("{source}: {why}")).collect();
        (!told.is_empty()).then(|| told.join("; "))
    }

    /// The instance, if there is a row of it, living or deleted. A mark outlives its row where a database is older than what is
    /// outside.
    fn known(&self, living: &rules::Living<'_>, id: InstanceId) -> Option<InstanceId> {
        (living.contains_key(&id) || self.deleted.contains_key(&id)).then_some(id)
    }

    /// Whether everything could be seen that a repair is decided by. No repair of Level 1 concerns what an engine, the
    /// storage or Traefik has, so that a node that is away keeps nothing from being repaired elsewhere.
    pub fn is_whole(&self) -> bool {
        self.unseen.keys().all(|source| matches!(source, Source::Node(_) | Source::Storage | Source::Routes))
    }
}

/// What is known of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeFacts {
    /// Its name.
    pub name: String,
    /// Whether it takes no new servers.
    pub cordoned: bool,
    /// Since when it is known.
    pub known_since: DateTime<Utc>,
    /// When its worker was heard last.
    pub reported_at: Option<DateTime<Utc>>,
    /// When its engine was listed last.
    pub listed_at: Option<DateTime<Utc>>,
    /// Why it could not be since.
    pub error: Option<String>,
    /// Instances whose containers are there, with our mark.
    pub containers: HashSet<InstanceId>,
    /// Instances under whose id there is something without our mark.
    pub unmarked: HashSet<InstanceId>,
}

/// A port that is kept for a server that is gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LostPort {
    /// Of which node.
    pub node: String,
    /// Which.
    pub port: u16,
    /// For which server.
    pub instance: InstanceId,
    /// Its hostname.
    pub hostname: String,
    /// What became of it.
    pub lifecycle: String,
}

/// What the rows say of an instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InstanceFacts {
    /// Which.
    pub id: InstanceId,
    /// Its DNS label, by which people know it.
    pub hostname: String,
    /// Where it is in its life.
    pub lifecycle: Lifecycle,
    /// What its customer wants.
    pub desired_power: DesiredPower,
    /// What was seen of it.
    pub observed_power: ObservedPower,
    /// Where its container is.
    pub node: String,
    /// When its row was last changed by more than what was seen.
    pub changed_at: DateTime<Utc>,
    /// Whether a hold is in force.
    pub on_hold: bool,
    /// When its agent was heard last.
    pub heard_at: Option<DateTime<Utc>>,
    /// The operation that is under way.
    pub active: Option<OperationFacts>,
    /// What the edge should have for it; `None` while it is being made or removed, when anything may be there.
    pub entries: Option<Vec<Entry>>,
}

/// What the rows say of an active operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OperationFacts {
    /// Which.
    pub id: OperationId,
    /// What it does.
    pub kind: OperationKind,
    /// How far it is.
    pub state: OperationState,
    /// Until when its worker holds it; `None` if nobody does.
    pub lease_expires_at: Option<DateTime<Utc>>,
    /// Not before this time.
    pub run_after: DateTime<Utc>,
}

#[cfg(test)]
mod tests;
