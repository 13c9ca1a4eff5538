//! A server as the proxy knows it.

use std::net::IpAddr;

use domain::edge::{Address, DnsName};
use serde::{Deserialize, Serialize};

/// What is registered.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Backend {
    /// Its name in DNS, which players type.
    #[serde(rename = "server_name")]
    pub(super) name: DnsName,
    /// Where the proxy finds it: a name or an IP address.
    pub(super) address: String,
    /// Its port there.
    pub(super) port: u16,
}

/// What is unregistered.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Named<'a> {
    /// As it was registered.
    #[serde(rename = "server_name")]
    pub(super) name: &'a DnsName,
}

/// A server in the proxy's list. Only the name is sure to be there.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Listed {
    name: String,
    #[serde(default)]
    address: Option<String>,
    #[serde(default)]
    port: Option<u16>,
}

impl Listed {
    /// Its name, if it is one of DNS: servers that people have configured are called what they like.
    pub(super) fn dns_name(&self) -> Option<DnsName> {
        DnsName::parse(&self.name).ok()
    }

    /// Whether it has this name; the proxy ignores case as DNS does.
    pub(super) fn is_called(&self, name: &DnsName) -> bool {
        self.dns_name().as_ref() == Some(name)
    }

    /// Where it leads; empty if the bridge does not tell all of it.
    pub(super) fn target(&self) -> String {
        let address = self.address.as_deref().map(str::trim).filter(|it| !it.is_empty());
        // The port may stand behind the address, as the proxy itself writes it.
        let apart = address.zip(self.port);
        let together = || {
            let (host, port) = address?.rsplit_once(':')?;
            let whole = !host.contains(':') || host.starts_with('[');
            Some((host, port.parse().ok().filter(|_| whole)?))
        };
        apart.or_else(together).map(|(host, port)| target(host, port)).unwrap_or_default()
    }
}

/// An address and a port, in the one form in which targets are compared.
pub(super) fn target(address: &str, port: u16) -> String {
    // A socket's address in Java is shown as `name/address`, and as `/address` without a name.
    let (name, resolved) = address.split_once('/').unwrap_or((address, ""));
    let host = if name.is_empty() { resolved } else { name }.trim_matches(['[', ']']);
    let host = host.parse::<IpAddr>().map_or_else(
        |_| DnsName::parse(host).map_or_else(|_| host.to_owned(), |name| name.to_string()),
        |ip| ip.to_string(),
    );
    Address { host, port: Some(port) }.to_string()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn listed(value: Value) -> Listed {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn a_target_is_the_same_however_it_is_listed_and_nothing_if_it_is_not_told() {
        for same in [
            json!({ "name": "a", "address": "10.0.0.5", "port": 25570 }),
            json!({ "name": "a", "address": "10.0.0.5:25570", "players": 3 }),
            json!({ "name": "a", "address": "/10.0.0.5:25570", "port": null }),
            json!({ "name": "a", "address": "/10.0.0.5", "port": 25570 }),
        ] {
            assert_eq!(listed(same.clone()).target(), "10.0.0.5:25570", "{same}");
        }
        for untold in [
            json!({ "name": "a" }),
            json!({ "name": "a", "address": null, "port": 25570 }),
            json!({ "name": "a", "address": "", "port": 25570 }),
            json!({ "name": "a", "address": "10.0.0.5" }),
            json!({ "name": "a", "address": "fd00::5" }),
        ] {
            assert_eq!(listed(untold.clone()).target(), "", "{untold}");
        }
        assert_eq!(listed(json!({ "name": "a", "address": "[fd00::5]:7" })).target(), "[fd00::5]:7");
        assert_eq!(target("FD00:0::5", 7), "[fd00::5]:7");
        assert_eq!(target("Node1.lan.", 7), target("node1.LAN/10.0.0.5", 7));
    }

    #[test]
    fn a_name_is_compared_as_the_proxy_does() {
        let name = DnsName::parse("alpha.play.example").unwrap();
        assert!(listed(json!({ "name": "Alpha.Play.EXAMPLE" })).is_called(&name));
        assert!(!listed(json!({ "name": "alpha" })).is_called(&name));
        assert_eq!(listed(json!({ "name": "the lobby" })).dns_name(), None);
    }

    #[test]
    fn what_is_sent_has_the_names_that_the_bridge_reads() {
        let name = DnsName::parse("alpha.play.example").unwrap();
        let backend = Backend { name: name.clone(), address: "10.0.0.5".into(), port: 25_570 };
        let sent = json!({ "server_name": "alpha.play.example", "address": "10.0.0.5", "port": 25_570 });
        assert_eq!(serde_json::to_value(&backend).unwrap(), sent);
        assert_eq!(
            serde_json::to_value(Named { name: &name }).unwrap(),
            json!({ "server_name": "alpha.play.example" })
        );
    }
}
