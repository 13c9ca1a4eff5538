//! A record as Technitium lists it and as it is asked for. The names of its fields are here and nowhere else.

use std::fmt;

use domain::edge::{DnsName, DnsRecord, Entry, Mark, RecordKind, RecordValue};
use serde::Deserialize;

/// Seconds that resolvers keep a record.
const TTL: u32 = 60;

/// Parameters of a call.
pub(super) type Parameters = Vec<(&'static str, String)>;

/// A record. Fields that it may lack, or have as null, are optional.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Record {
    name: String,
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    disabled: bool,
    #[serde(default)]
    comments: Option<String>,
    #[serde(default)]
    r_data: Data,
}

/// A record's value, of whatever type: what a type does not have is absent.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Data {
    ip_address: Option<String>,
    priority: Option<u16>,
    weight: Option<u16>,
    port: Option<u16>,
    target: Option<String>,
    cname: Option<String>,
    aname: Option<String>,
}

impl Record {
    /// Its comments; empty without any.
    pub(super) fn comments(&self) -> &str {
        self.comments.as_deref().unwrap_or_default()
    }

    /// Whether it is this record, and answers.
    pub(super) fn says(&self, wanted: &DnsRecord) -> bool {
        self.entry("").is_some_and(|(_, entry)| entry == wanted.entry(""))
    }

    /// Whether the wanted record cannot be made beside it: it has the same name and type, or is an alias.
    pub(super) fn stands_in_the_way_of(&self, wanted: &DnsRecord) -> bool {
        let same_name = DnsName::parse(&self.name).is_ok_and(|name| name == wanted.name);
        let alias = matches!(self.kind.as_str(), "CNAME" | "ANAME");
        same_name && (self.kind == wanted.kind().as_str() || alias)
    }

    /// As something at the edge; `None` if it leads nowhere that a server could be. An alias stands where an address would, and
    /// a record that is disabled leads elsewhere than it says.
    pub(super) fn entry(&self, part: &str) -> Option<(DnsName, Entry)> {
        let name = DnsName::parse(&self.name).ok()?;
        let kind = match self.kind.as_str() {
            "A" | "CNAME" | "ANAME" => RecordKind::A,
            "AAAA" => RecordKind::Aaaa,
            "SRV" => RecordKind::Srv,
            _ => return None,
        };
        let mut target = self.value();
        if self.disabled {
            target.push_str(" (disabled)");
        }
        let entry = Entry { part: part.to_owned(), name: format!("{} {name}", kind.as_str()), target };
        Some((name, entry))
    }

    /// Where it leads, in the form in which targets are compared.
    fn value(&self) -> String {
        let data = &self.r_data;
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        let number = |number: Option<u16>| number.unwrap_or_default();
        match self.kind.as_str() {
            "CNAME" => format!("CNAME {}", text(&data.cname)),
            "ANAME" => format!("ANAME {}", text(&data.aname)),
            "SRV" => {
                let target = text(&data.target);
                let target = DnsName::parse(&target).map_or(target, |name| name.to_string());
                let (priority, weight, port) =
                    (number(data.priority), number(data.weight), number(data.port));
                format!("{priority} {weight} {port} {target}")
            }
            _ => {
                let address = text(&data.ip_address);
                address.parse().map_or(address, |ip| RecordValue::Ip(ip).to_string())
            }
        }
    }

    /// What a call needs that deletes it: its value, as it is listed. `None` of a type that we never make.
    pub(super) fn to_delete(&self) -> Option<Parameters> {
        let data = &self.r_data;
        let mut parameters = vec![("domain", self.name.clone()), ("type", self.kind.clone())];
        match self.kind.as_str() {
            "A" | "AAAA" => parameters.push(("ipAddress", data.ip_address.clone()?)),
            "SRV" => parameters.extend([
                ("priority", data.priority?.to_string()),
                ("weight", data.weight?.to_string()),
                ("port", data.port?.to_string()),
                ("target", data.target.clone()?),
            ]),
            _ => return None,
        }
        Some(parameters)
    }
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.kind, self.name, self.value())
    }
}

/// What a call needs that makes the record. With `overwrite` it becomes the only one of its name and type.
pub(super) fn to_add(record: &DnsRecord, mark: &Mark, overwrite: bool) -> Parameters {
    let mut parameters = vec![
        ("domain", record.name.to_string()),
        ("type", record.kind().as_str().to_owned()),
        ("ttl", TTL.to_string()),
        ("overwrite", overwrite.to_string()),
        ("comments", mark.to_string()),
    ];
    match &record.value {
        RecordValue::Ip(ip) => parameters.push(("ipAddress", ip.to_string())),
        RecordValue::Service { port, target } => parameters.extend([
            ("priority", "0".to_owned()),
            ("weight", "0".to_owned()),
            ("port", port.to_string()),
            ("target", target.to_string()),
        ]),
    }
    parameters
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn read(value: Value) -> Record {
        serde_json::from_value(value).unwrap()
    }

    fn wanted() -> DnsRecord {
        let name = |text| DnsName::parse(text).unwrap();
        let value = RecordValue::Service { port: 25_565, target: name("alpha.play.example") };
        DnsRecord { name: name("_minecraft._tcp.alpha.play.example"), value }
    }

    fn service() -> Value {
        json!({ "name": "_Minecraft._tcp.Alpha.play.example", "type": "SRV", "ttl": 60, "disabled": false,
                "dnssecStatus": "Unknown", "lastUsedOn": "0001-01-01T00:00:00",
                "rData": { "priority": 0, "weight": 0, "port": 25565, "target": "Alpha.play.example" } })
    }

    #[test]
    fn a_record_is_read_in_any_case_and_one_that_is_disabled_or_leads_elsewhere_is_another() {
        assert!(read(service()).says(&wanted()));
        let changed = |path: &str, value: Value| {
            let mut listed = service();
            *listed.pointer_mut(path).unwrap() = value;
            read(listed)
        };
        for other in [
            changed("/rData/port", json!(25_566)),
            changed("/rData/weight", json!(5)),
            changed("/disabled", json!(true)),
            changed("/type", json!("TXT")),
        ] {
            assert!(!other.says(&wanted()), "{other}");
        }
    }

    #[test]
    fn records_that_lead_nowhere_are_nothing_and_an_alias_is_in_the_way() {
        let of = |kind: &str| {
            read(json!({ "name": "alpha.play.example", "type": kind, "comments": null,
                                           "rData": { "cname": "x.example", "flags": "0 issue" } }))
        };
        for kind in ["SOA", "NS", "TXT", "CAA", "APP"] {
            assert!(of(kind).entry("dns").is_none() && of(kind).to_delete().is_none(), "{kind}");
        }
        let value = RecordValue::Ip([10, 0, 0, 1].into());
        let wanted = DnsRecord { name: DnsName::parse("alpha.play.example").unwrap(), value };
        assert!(of("CNAME").stands_in_the_way_of(&wanted) && !of("TXT").stands_in_the_way_of(&wanted));
        assert!(!of("CNAME").says(&wanted));
        assert_eq!(of("CNAME").entry("dns").unwrap().1.target, "CNAME x.example");
    }

    #[test]
    fn a_record_is_deleted_by_its_value_as_it_is_listed() {
        let parameters = read(service()).to_delete().unwrap();
        let expected = [
            ("domain", "_Minecraft._tcp.Alpha.play.example"),
            ("type", "SRV"),
            ("priority", "0"),
            ("weight", "0"),
            ("port", "25565"),
            ("target", "Alpha.play.example"),
        ];
        assert_eq!(parameters, expected.map(|(key, value)| (key, value.to_owned())));
    }
}
