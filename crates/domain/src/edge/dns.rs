//! The records of DNS that a server should have.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use super::{Address, DnsName, DnsNameError, Entry, Publication};

/// How servers are named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DnsSettings {
    /// Servers are below this name: `demo` is reached at `demo.{domain}`.
    pub domain: DnsName,
    /// Where all servers are reached; without either, each is reached at its node, which then has an address as its public
    /// host.
    pub public_ipv4: Option<Ipv4Addr>,
    /// As above.
    pub public_ipv6: Option<Ipv6Addr>,
    /// Every name below the domain leads to the public addresses already: a server needs no address record of its own.
    pub wildcard: bool,
    /// Port of the proxy to which players of Minecraft connect instead of their server's own, where there is one.
    pub proxy_port: Option<u16>,
}

/// What a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RecordKind {
    /// An IPv4 address.
    A,
    /// An IPv6 address.
    Aaaa,
    /// Where a service is.
    Srv,
}

impl RecordKind {
    /// As DNS calls it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::A => "A",
            Self::Aaaa => "AAAA",
            Self::Srv => "SRV",
        }
    }
}

/// What a record says.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum RecordValue {
    /// An address.
    Ip(IpAddr),
    /// A service's place. Priority and weight are always 0: there is one.
    Service {
        /// Its port.
        port: u16,
        /// Its host.
        target: DnsName,
    },
}

/// A record.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct DnsRecord {
    /// Its name.
    pub name: DnsName,
    /// What it says; its type follows from that.
    pub value: RecordValue,
}

impl DnsRecord {
    /// Its type.
    pub fn kind(&self) -> RecordKind {
        match self.value {
            RecordValue::Ip(IpAddr::V4(_)) => RecordKind::A,
            RecordValue::Ip(IpAddr::V6(_)) => RecordKind::Aaaa,
            RecordValue::Service { .. } => RecordKind::Srv,
        }
    }

    /// The same as something at the edge.
    pub fn entry(&self, part: &str) -> Entry {
        Entry {
            part: part.to_owned(),
            name: format!("{} {}", self.kind().as_str(), self.name),
            target: self.value.to_string(),
        }
    }
}

impl fmt::Display for RecordValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(address) => address.fmt(f),
            Self::Service { port, target } => write!(f, "0 0 {port} {target}"),
        }
    }
}

impl DnsSettings {
    /// The server's name.
    pub fn name(&self, publication: &Publication) -> Result<DnsName, DnsNameError> {
        self.domain.below(&publication.hostname)
    }

    /// The records that the server should have, and no others.
    pub fn records(&self, publication: &Publication) -> Result<Vec<DnsRecord>, DnsNameError> {
        let name = self.name(publication)?;
        let mut records = Vec::new();
        if !self.wildcard {
            let addresses = self.addresses(publication);
            records.extend(addresses.map(|ip| DnsRecord { name: name.clone(), value: RecordValue::Ip(ip) }));
        }
        if let Some(service) = &publication.service {
            let of_service = name.below(&format!("_{service}._{}", publication.port.protocol.as_str()))?;
            let of_proxy = self.proxy_port.filter(|_| publication.is_minecraft());
            let port = of_proxy.unwrap_or(publication.port.port);
            let value = RecordValue::Service { port, target: name };
            records.push(DnsRecord { name: of_service, value });
        }
        Ok(records)
    }

    fn addresses(&self, publication: &Publication) -> impl Iterator<Item = IpAddr> + use<> {
        let of_all: Vec<IpAddr> = [self.public_ipv4.map(IpAddr::from), self.public_ipv6.map(IpAddr::from)]
            .into_iter()
            .flatten()
            .collect();
        let of_node = if of_all.is_empty() { publication.node_host.parse().ok() } else { None };
        of_all.into_iter().chain(of_node)
    }

    /// Where players connect.
    pub fn address(&self, publication: &Publication) -> Result<Address, DnsNameError> {
        let port = publication.service.is_none().then_some(publication.port.port);
        Ok(Address { host: self.name(publication)?.to_string(), port })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        ids::InstanceId,
        instance::{AllocatedPort, Protocol},
    };

    fn settings() -> DnsSettings {
        let public_ipv4 = Some(Ipv4Addr::new(203, 0, 113, 7));
        DnsSettings {
            domain: DnsName::parse("play.example").unwrap(),
            public_ipv4,
            public_ipv6: None,
            wildcard: false,
            proxy_port: None,
        }
    }

    fn publication(service: Option<&str>) -> Publication {
        let port = AllocatedPort { name: "game".into(), protocol: Protocol::Tcp, port: 25_570 };
        let service = service.map(Into::into);
        Publication {
            instance_id: InstanceId::generate(),
            hostname: "alpha".into(),
            node_host: "192.0.2.9".into(),
            port,
            service,
        }
    }

    fn entries(settings: &DnsSettings, service: Option<&str>) -> Vec<String> {
        let records = settings.records(&publication(service)).unwrap();
        records.iter().map(|it| it.entry("dns")).map(|it| format!("{} {}", it.name, it.target)).collect()
    }

    #[test]
    fn a_server_whose_clients_ask_for_its_port_has_a_service_record_and_others_have_none() {
        let address = "A alpha.play.example 203.0.113.7";
        assert_eq!(
            entries(&settings(), Some("minecraft")),
            [address, "SRV _minecraft._tcp.alpha.play.example 0 0 25570 alpha.play.example"]
        );
        assert_eq!(entries(&settings(), None), [address]);
        let address = |service| settings().address(&publication(service)).unwrap().to_string();
        assert_eq!(
            (address(Some("minecraft")).as_str(), address(None).as_str()),
            ("alpha.play.example", "alpha.play.example:25570")
        );
    }

    #[test]
    fn players_of_minecraft_are_led_to_the_proxy_and_others_to_their_servers_port() {
        let settings = DnsSettings { proxy_port: Some(25_565), ..settings() };
        let address = "A alpha.play.example 203.0.113.7";
        for (service, port) in [("minecraft", 25_565), ("terraria", 25_570)] {
            let of_service = format!("SRV _{service}._tcp.alpha.play.example 0 0 {port} alpha.play.example");
            assert_eq!(entries(&settings, Some(service)), [address, &of_service]);
        }
        assert_eq!(settings.address(&publication(None)).unwrap().port, Some(25_570));
    }

    #[test]
    fn without_an_address_for_all_each_is_reached_at_its_node_and_a_wildcard_spares_the_record() {
        let at_node = DnsSettings { public_ipv4: None, ..settings() };
        assert_eq!(entries(&at_node, None), ["A alpha.play.example 192.0.2.9"]);
        let both = DnsSettings { public_ipv6: Some(Ipv6Addr::LOCALHOST), ..settings() };
        assert_eq!(entries(&both, None), ["A alpha.play.example 203.0.113.7", "AAAA alpha.play.example ::1"]);
        let wildcard = DnsSettings { wildcard: true, ..settings() };
        assert_eq!(entries(&wildcard, None), [""; 0]);
    }
}
