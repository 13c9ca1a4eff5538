//! A record, and what the API refuses of one.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Longest comment, in characters, on a free zone.
const MAX_COMMENT: usize = 100;

/// A code and a message.
pub(crate) type Refused = (u32, &'static str);

/// A record of the zone.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) id: String,
    pub(crate) name: String,
    #[serde(rename = "type")]
    pub(crate) kind: String,
    pub(crate) content: String,
    pub(crate) ttl: u32,
    pub(crate) comment: Option<String>,
    /// Of a service record.
    pub(crate) data: Option<Service>,
}

/// Where a service is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Service {
    pub(crate) priority: u16,
    pub(crate) weight: u16,
    pub(crate) port: u16,
    pub(crate) target: String,
}

impl Record {
    /// The record that a body asks for.
    pub(crate) fn new(body: &Value) -> Result<Self, Refused> {
        let text = |key: &str| body[key].as_str().map(str::to_owned);
        let kind = text("type").ok_or((9_005, "DNS record type is required."))?;
        let name = text("name").filter(|name| !name.is_empty()).ok_or((9_000, "DNS name is invalid."))?;
        let name = name.trim_end_matches('.').to_lowercase();
        let mut record = Self {
            id: uuid::Uuid::now_v7().simple().to_string(),
            name,
            content: text("content").unwrap_or_default(),
            ttl: body["ttl"].as_u64().and_then(|ttl| u32::try_from(ttl).ok()).unwrap_or(1),
            comment: text("comment").filter(|comment| !comment.is_empty()),
            data: None,
            kind,
        };
        record.check(body)?;
        Ok(record)
    }

    /// The same record with what a body changes of it.
    pub(crate) fn changed(&self, body: &Value) -> Result<Self, Refused> {
        let mut whole = serde_json::to_value(self).unwrap_or_default();
        if let (Some(whole), Some(changes)) = (whole.as_object_mut(), body.as_object()) {
            whole.extend(changes.clone());
        }
        Ok(Self { id: self.id.clone(), ..Self::new(&whole)? })
    }

    fn check(&mut self, body: &Value) -> Result<(), Refused> {
        if self.comment.as_ref().is_some_and(|comment| comment.chars().count() > MAX_COMMENT) {
            return Err((9_313, "The comment exceeds the maximum length."));
        }
        match self.kind.as_str() {
            "A" if self.content.parse::<std::net::Ipv4Addr>().is_err() => {
                Err((9_005, "Content for A record must be a valid IPv4 address."))
            }
            "AAAA" if self.content.parse::<std::net::Ipv6Addr>().is_err() => {
                Err((9_006, "Content for AAAA record must be a valid IPv6 address."))
            }
            "SRV" => {
                let data: Service = serde_json::from_value(body["data"].clone())
                    .map_err(|_| (9_101, "weight, port and target are required data fields."))?;
                self.content = format!("{}\t{}\t{}", data.weight, data.port, data.target);
                self.data = Some(data);
                Ok(())
            }
            "A" | "AAAA" | "CNAME" | "TXT" => Ok(()),
            _ => Err((9_004, "This sandbox has no records of this type.")),
        }
    }

    /// Whether another one like it is refused.
    pub(crate) fn is_identical(&self, other: &Self) -> bool {
        (&self.name, &self.kind, &self.content, &self.data)
            == (&other.name, &other.kind, &other.content, &other.data)
    }

    /// As it is listed.
    pub(crate) fn shown(&self) -> Value {
        let mut shown = json!({
            "id": self.id, "name": self.name, "type": self.kind, "content": self.content, "ttl": self.ttl, "proxied": false,
            "proxiable": self.kind != "SRV", "comment": self.comment, "tags": [], "settings": {}, "meta": {},
        });
        if let Some(data) = &self.data {
            shown["priority"] = data.priority.into();
            shown["data"] = json!(data);
        }
        shown
    }
}
