//! The edge: what makes a server reachable by name. Which records and entries a server should have, how ours are told from
//! others', and how names are compared. Nothing here asks anybody.

mod dns;
mod mark;
mod name;
mod settings;
mod traefik;

use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{ids::InstanceId, instance::AllocatedPort};

pub use self::{
    dns::{DnsRecord, DnsSettings, RecordKind, RecordValue},
    mark::{Installation, Mark, MarkError},
    name::{DnsName, DnsNameError},
    settings::{CloudflareZone, EdgeSettings, NamedEdge, TechnitiumZone, VelocityBridge},
    traefik::{HostRoute, PortConflict, PortRoute, TraefikRoutes},
};

/// What is published of a server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Publication {
    /// Whose it is; the mark on everything that is made.
    pub instance_id: InstanceId,
    /// The instance's DNS label.
    pub hostname: String,
    /// Where players reach the instance's node: a name or an IP address.
    pub node_host: String,
    /// The port that players connect to.
    pub port: AllocatedPort,
    /// The service of DNS under which its clients look for the port by themselves (`minecraft`), if they do.
    pub service: Option<String>,
}

impl Publication {
    /// Whether its clients are Minecraft's: those that a Minecraft proxy serves.
    pub fn is_minecraft(&self) -> bool {
        self.service.as_deref() == Some("minecraft")
    }
}

/// Where players connect. Shown as people type it: `host:port`, or `host` where their client finds the port.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Address {
    /// A name or an IP address.
    pub host: String,
    /// Its port; `None` where clients find it by the name alone.
    pub port: Option<u16>,
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.port, self.host.contains(':')) {
            (None, _) => f.write_str(&self.host),
            // An IPv6 address needs brackets (RFC 3986, 3.2.2).
            (Some(port), true) => write!(f, "[{}]:{port}", self.host),
            (Some(port), false) => write!(f, "{}:{port}", self.host),
        }
    }
}

/// Something at the edge that leads to a server: one record, one entry of a proxy. Two that lead to the same place are equal.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Entry {
    /// Which part of the edge has it, for example `cloudflare`.
    pub part: String,
    /// What it is called there, for example `SRV _minecraft._tcp.demo.example.org`. A part has one thing of a name.
    pub name: String,
    /// Where it leads, for example `0 0 25565 demo.example.org`.
    pub target: String,
}

/// Whose something at the edge is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Owner {
    /// It carries the mark of this installation and this instance.
    Instance(InstanceId),
    /// Its place has no room for a mark; its name is one that only this installation gives. Whose it is, its name says.
    Unmarked,
    /// It carries no mark of this installation: somebody else's, and never touched.
    Foreign,
}

impl Owner {
    /// Whether it can be what was made for this instance.
    pub fn may_be(self, instance: InstanceId) -> bool {
        match self {
            Self::Instance(id) => id == instance,
            Self::Unmarked => true,
            Self::Foreign => false,
        }
    }
}

/// An entry that was seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Observed {
    /// What it is. Its target is empty where the part does not tell: a proxy may list names alone.
    pub entry: Entry,
    /// Whose it is.
    pub owner: Owner,
}

impl Observed {
    /// Whether it leads where the wanted entry does, as far as can be seen: a target that is not told contradicts nothing.
    pub fn leads_to(&self, wanted: &Entry) -> bool {
        let (seen, told) = (&self.entry, !self.entry.target.is_empty());
        (&seen.part, &seen.name) == (&wanted.part, &wanted.name) && (!told || seen.target == wanted.target)
    }
}

/// How full a zone is, and how long we can change it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ZoneFacts {
    /// Which part of the edge it is.
    pub part: String,
    /// Its records, whosever they are.
    pub records: usize,
    /// How many there may be, where somebody has said so.
    pub limit: Option<usize>,
    /// When the token that opens it is taken no more, if it says so.
    pub token_ends_at: Option<DateTime<Utc>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_shown_as_it_is_typed() {
        let shown = |host: &str, port| Address { host: host.into(), port }.to_string();
        assert_eq!(shown("demo.example.org", Some(7)), "demo.example.org:7");
        assert_eq!(shown("demo.example.org", None), "demo.example.org");
        assert_eq!(shown("::1", Some(7)), "[::1]:7");
    }

    #[test]
    fn a_target_that_is_not_told_contradicts_none_and_one_that_is_told_is_compared() {
        let entry =
            |name: &str, target: &str| Entry { part: "p".into(), name: name.into(), target: target.into() };
        let wanted = entry("alpha", "10.0.0.5:25570");
        let leads = |entry| Observed { entry, owner: Owner::Unmarked }.leads_to(&wanted);
        assert!(leads(wanted.clone()) && leads(entry("alpha", "")));
        assert!(!leads(entry("alpha", "10.0.0.9:25570")) && !leads(entry("beta", "")));
    }
}
