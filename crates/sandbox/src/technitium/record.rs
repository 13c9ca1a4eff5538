//! A record, and what the server refuses of one.

use std::net::{Ipv4Addr, Ipv6Addr};

use serde_json::{Value, json};

use super::Parameters;

/// A record of the zone.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    pub(crate) name: String,
    pub(crate) kind: String,
    ttl: u32,
    disabled: bool,
    pub(crate) comments: String,
    /// As it is listed. Its identity, together with name and type.
    data: Value,
}

impl Record {
    /// The record of this name that a call is about.
    pub(super) fn new(name: String, parameters: &Parameters) -> Result<Self, String> {
        let given =
            |key: &str| parameters.get(key).cloned().ok_or_else(|| format!("Parameter '{key}' missing."));
        let number =
            |key: &str| given(key)?.parse::<u16>().map_err(|_| format!("Parameter '{key}' is not a number."));
        let kind = given("type")?.to_uppercase();
        let address =
            |good: bool| if good { Ok(()) } else { Err("An invalid IP address was specified.".to_owned()) };
        let data = match kind.as_str() {
            "A" => {
                let ip = given("ipAddress")?;
                address(ip.parse::<Ipv4Addr>().is_ok())?;
                json!({ "ipAddress": ip })
            }
            "AAAA" => {
                let ip = given("ipAddress")?.parse::<Ipv6Addr>();
                address(ip.is_ok())?;
                json!({ "ipAddress": ip.ok().map(|ip| ip.to_string()) })
            }
            "SRV" => json!({
                "priority": number("priority")?, "weight": number("weight")?, "port": number("port")?,
                "target": given("target")?.trim_end_matches('.').to_lowercase(),
            }),
            "CNAME" => json!({ "cname": given("cname")? }),
            "TXT" => json!({ "text": given("text")?, "splitText": false }),
            _ => return Err(format!("This sandbox has no records of type {kind}.")),
        };
        let text = |key: &str| parameters.get(key).cloned().unwrap_or_default();
        Ok(Self {
            name,
            kind,
            ttl: text("ttl").parse().unwrap_or(3_600),
            disabled: text("disable") == "true",
            comments: text("comments"),
            data,
        })
    }

    pub(super) fn is_in_set_of(&self, other: &Self) -> bool {
        (&self.name, &self.kind) == (&other.name, &other.kind)
    }

    pub(super) fn is_identical(&self, other: &Self) -> bool {
        self.is_in_set_of(other) && self.data == other.data
    }

    /// Whether an alias would have something beside it.
    pub(super) fn conflicts_with(&self, other: &Self) -> bool {
        self.name == other.name && (self.kind == "CNAME") != (other.kind == "CNAME")
    }

    /// Its value, for people.
    pub(crate) fn value(&self) -> String {
        let text = |it: &Value| it.as_str().map_or_else(|| it.to_string(), str::to_owned);
        self.data.as_object().into_iter().flatten().map(|(_, it)| text(it)).collect::<Vec<_>>().join(" ")
    }

    /// As it is listed.
    pub(super) fn shown(&self) -> Value {
        let mut shown = json!({
            "disabled": self.disabled, "name": self.name, "type": self.kind, "ttl": self.ttl, "rData": self.data,
            "dnssecStatus": "Unknown", "lastUsedOn": "0001-01-01T00:00:00", "lastModified": "0001-01-01T00:00:00",
            "expiryTtl": 0,
        });
        // Without comments the field is missing.
        if !self.comments.is_empty() {
            shown["comments"] = json!(self.comments);
        }
        shown
    }
}
