//! A record as Cloudflare lists it.

use std::fmt;

use domain::edge::{DnsName, DnsRecord, Entry, RecordKind, RecordValue};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Seconds that resolvers keep a record.
const TTL: u32 = 60;

/// A record. Fields that it may lack, or have as null, are optional: what is listed changes with the years.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Record {
    /// Its id in the zone.
    pub(super) id: String,
    name: String,
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    content: Option<String>,
    #[serde(default)]
    priority: Option<u16>,
    #[serde(default)]
    data: Option<Service>,
    #[serde(default)]
    comment: Option<String>,
}

/// A service record's `data`.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
struct Service {
    #[serde(default)]
    priority: Option<u16>,
    #[serde(default)]
    weight: Option<u16>,
    #[serde(default)]
    port: Option<u16>,
    #[serde(default)]
    target: Option<String>,
}

impl Record {
    /// Its comment; empty without one.
    pub(super) fn comment(&self) -> &str {
        self.comment.as_deref().unwrap_or_default()
    }

    /// Whether it is this record.
    pub(super) fn says(&self, wanted: &DnsRecord) -> bool {
        self.entry("").is_some_and(|(_, entry)| entry == wanted.entry(""))
    }

    /// Whether the wanted record cannot be made beside it: it has the same name and type, or is an alias.
    pub(super) fn stands_in_the_way_of(&self, wanted: &DnsRecord) -> bool {
        let same_name = DnsName::parse(&self.name).is_ok_and(|name| name == wanted.name);
        same_name && (self.kind == wanted.kind().as_str() || self.kind == "CNAME")
    }

    /// As something at the edge; `None` if it leads nowhere that a server could be. An alias stands where an address would.
    pub(super) fn entry(&self, part: &str) -> Option<(DnsName, Entry)> {
        let name = DnsName::parse(&self.name).ok()?;
        let content = self.content.as_deref().unwrap_or_default();
        let (kind, target) = match self.kind.as_str() {
            "A" => (
                RecordKind::A,
                content.parse().map_or_else(|_| content.to_owned(), |ip| RecordValue::Ip(ip).to_string()),
            ),
            "AAAA" => (
                RecordKind::Aaaa,
                content.parse().map_or_else(|_| content.to_owned(), |ip| RecordValue::Ip(ip).to_string()),
            ),
            "CNAME" => (RecordKind::A, format!("CNAME {content}")),
            "SRV" => (RecordKind::Srv, self.service(content)),
            _ => return None,
        };
        let entry = Entry { part: part.to_owned(), name: format!("{} {name}", kind.as_str()), target };
        Some((name, entry))
    }

    /// Priority, weight, port and target: from `data`, and what that lacks from `content` ("weight port target", parted by
    /// tabs) and from the priority beside it.
    fn service(&self, content: &str) -> String {
        let data = self.data.clone().unwrap_or_default();
        let parts: Vec<_> = content.split_whitespace().collect();
        // Some answers have the priority in the content as well.
        let tail = &parts[parts.len().saturating_sub(3)..];
        let at = |n: usize| tail.get(n).copied().unwrap_or_default().to_owned();
        let number = |n: Option<u16>, or: String| n.map_or(or, |n| n.to_string());
        let priority = number(data.priority.or(self.priority), "0".to_owned());
        let (weight, port) = (number(data.weight, at(0)), number(data.port, at(1)));
        let target = data.target.unwrap_or_else(|| at(2));
        let target = DnsName::parse(&target).map_or(target, |name| name.to_string());
        format!("{priority} {weight} {port} {target}")
    }
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.kind, self.name, self.content.as_deref().unwrap_or("without content"))
    }
}

/// The body that makes the record, or changes another one into it.
pub(super) fn body(record: &DnsRecord, comment: &str) -> Value {
    let (name, kind) = (record.name.as_str(), record.kind().as_str());
    match &record.value {
        RecordValue::Ip(ip) => {
            json!({ "type": kind, "name": name, "content": ip.to_string(), "ttl": TTL, "proxied": false, "comment": comment })
        }
        RecordValue::Service { port, target } => json!({
            "type": kind, "name": name, "ttl": TTL, "comment": comment,
            "data": { "priority": 0, "weight": 0, "port": port, "target": target.as_str() },
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(value: Value) -> Record {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn a_service_record_means_the_same_however_it_is_listed() {
        let wanted = DnsRecord {
            name: DnsName::parse("_minecraft._tcp.alpha.play.example").unwrap(),
            value: RecordValue::Service {
                port: 25_570,
                target: DnsName::parse("alpha.play.example").unwrap(),
            },
        };
        let base = json!({ "id": "1", "name": "_Minecraft._TCP.alpha.play.example", "type": "SRV",
                           "content": "0\t25570\tAlpha.play.example.", "priority": 0 });
        for more in [
            json!({}),
            json!({ "data": null, "comment": null, "meta": null, "zone_id": "z" }),
            json!({ "data": { "priority": 0, "weight": 0, "port": 25570, "target": "alpha.play.example", "proto": null } }),
            json!({ "data": { "port": 25570, "priority": null } }),
            json!({ "content": "0 0 25570 alpha.play.example" }),
        ] {
            let mut listed = base.clone();
            listed.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            assert!(read(listed.clone()).says(&wanted), "{listed}");
        }
        let mut other = base;
        other["content"] = json!("0\t25571\talpha.play.example");
        assert!(!read(other).says(&wanted));
    }

    #[test]
    fn records_that_lead_nowhere_are_nothing_and_an_alias_is_in_the_way() {
        let of = |kind: &str| {
            read(json!({ "id": "1", "name": "alpha.play.example", "type": kind, "content": "x.example" }))
        };
        for kind in ["TXT", "MX", "CAA", "NS"] {
            assert!(of(kind).entry("dns").is_none(), "{kind}");
        }
        let value = RecordValue::Ip([203, 0, 113, 7].into());
        let wanted = DnsRecord { name: DnsName::parse("alpha.play.example").unwrap(), value };
        assert!(of("CNAME").stands_in_the_way_of(&wanted) && !of("TXT").stands_in_the_way_of(&wanted));
        assert!(!of("CNAME").says(&wanted));
    }
}
