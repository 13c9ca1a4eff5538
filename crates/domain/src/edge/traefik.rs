//! The routes of Traefik, as its HTTP provider reads them: one document of everything, made anew each time, so that nothing has
//! to be taken back. Format: <https://doc.traefik.io/traefik/reference/routing-configuration/other-providers/file/>.

use std::collections::BTreeMap;

use serde::Serialize;

use super::Address;
use crate::{ids::InstanceId, instance::Protocol};

/// A port that is routed to a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortRoute {
    /// Whose it is.
    pub instance: InstanceId,
    /// The server's hostname, for people.
    pub hostname: String,
    /// Which of its ports.
    pub name: String,
    /// How it is spoken to.
    pub protocol: Protocol,
    /// The port, the same at the edge and at the node.
    pub port: u16,
    /// The node.
    pub node_host: String,
}

impl PortRoute {
    /// What its router is called.
    pub fn router(&self) -> String {
        format!("zlh-{}-{}", self.instance, self.name)
    }
}

/// A host name that is routed to the service that opens workspaces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostRoute {
    /// Whose it is.
    pub instance: InstanceId,
    /// The whole name.
    pub host: String,
}

impl HostRoute {
    /// What its router is called.
    pub fn router(&self) -> String {
        format!("zlh-{}", self.instance)
    }
}

/// Two servers that would be behind one port of the edge: on nodes whose ranges of ports overlap.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0} and {1} both have {2} port {3}: nodes behind one Traefik need ranges of ports that do not overlap"
)]
pub struct PortConflict(pub String, pub String, pub Protocol, pub u16);

/// All routes. No part of it is empty: one empty section has Traefik refuse the whole document.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub struct TraefikRoutes {
    #[serde(skip_serializing_if = "Part::is_empty")]
    http: Part,
    #[serde(skip_serializing_if = "Part::is_empty")]
    tcp: Part,
    #[serde(skip_serializing_if = "Part::is_empty")]
    udp: Part,
}

#[derive(Debug, Default, PartialEq, Eq, Serialize)]
struct Part {
    routers: BTreeMap<String, Router>,
    services: BTreeMap<String, Service>,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Router {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    entry_points: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rule: Option<String>,
    service: String,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Service {
    load_balancer: LoadBalancer,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
struct LoadBalancer {
    servers: Vec<Backend>,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Backend {
    Address(String),
    Url(String),
}

impl Part {
    fn is_empty(&self) -> bool {
        self.routers.is_empty()
    }
}

/// What is behind all workspaces' host names.
const WORKSPACES: &str = "zlh-workspaces";

impl TraefikRoutes {
    /// The routes of these ports and hosts. `workspaces_url` is where workspaces are opened.
    pub fn new(ports: &[PortRoute], hosts: &[HostRoute], workspaces_url: &str) -> Result<Self, PortConflict> {
        let mut routes = Self::default();
        let mut taken: BTreeMap<(&str, u16), &PortRoute> = BTreeMap::new();
        for route in ports {
            if let Some(other) = taken.insert((route.protocol.as_str(), route.port), route) {
                let [first, second] = [other, route].map(|it| it.hostname.clone());
                return Err(PortConflict(first, second, route.protocol, route.port));
            }
            routes.add_port(route);
        }
        for route in hosts {
            routes.add_host(route);
        }
        if !routes.http.is_empty() {
            routes
                .http
                .services
                .insert(WORKSPACES.to_owned(), service(Backend::Url(workspaces_url.to_owned())));
        }
        Ok(routes)
    }

    /// The entry point of a port is called by its protocol and number: Traefik's static configuration makes them.
    fn add_port(&mut self, route: &PortRoute) {
        let name = route.router();
        let (part, rule) = match route.protocol {
            // Without TLS there is no name to tell servers apart by: the port is the server's alone.
            Protocol::Tcp => (&mut self.tcp, Some("HostSNI(`*`)".to_owned())),
            Protocol::Udp => (&mut self.udp, None),
        };
        let entry_points = vec![format!("{}-{}", route.protocol.as_str(), route.port)];
        let node = Address { host: route.node_host.clone(), port: Some(route.port) };
        part.services.insert(name.clone(), service(Backend::Address(node.to_string())));
        part.routers.insert(name.clone(), Router { entry_points, rule, service: name });
    }

    fn add_host(&mut self, route: &HostRoute) {
        let rule = Some(format!("Host(`{}`)", route.host));
        let router = Router { entry_points: Vec::new(), rule, service: WORKSPACES.to_owned() };
        self.http.routers.insert(route.router(), router);
    }
}

fn service(server: Backend) -> Service {
    Service { load_balancer: LoadBalancer { servers: vec![server] } }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn port(n: u128, protocol: Protocol, port: u16) -> PortRoute {
        PortRoute {
            instance: InstanceId(uuid::Uuid::from_u128(n)),
            hostname: format!("server-{n}"),
            name: "game".into(),
            protocol,
            port,
            node_host: "10.0.0.5".into(),
        }
    }

    fn host(n: u128) -> HostRoute {
        HostRoute { instance: InstanceId(uuid::Uuid::from_u128(n)), host: format!("server-{n}.ide.example") }
    }

    fn document(ports: &[PortRoute], hosts: &[HostRoute]) -> Value {
        serde_json::to_value(TraefikRoutes::new(ports, hosts, "http://10.0.0.2:8080").unwrap()).unwrap()
    }

    #[test]
    fn without_routes_the_document_is_empty_and_a_kind_without_routes_is_not_named() {
        assert_eq!(document(&[], &[]), json!({}));
        let only_hosts = document(&[], &[host(1)]);
        assert_eq!(only_hosts.as_object().unwrap().keys().collect::<Vec<_>>(), ["http"]);
    }

    #[test]
    fn a_port_leads_to_its_server_alone_and_a_host_to_the_service_that_opens_workspaces() {
        let id = "00000000-0000-0000-0000-000000000001";
        let name = format!("zlh-{id}-game");
        let there = json!({ "loadBalancer": { "servers": [{ "address": "10.0.0.5:28015" }] } });
        assert_eq!(
            document(&[port(1, Protocol::Udp, 28_015)], &[])["udp"],
            json!({ "routers": { &name: { "entryPoints": ["udp-28015"], "service": &name } }, "services": { &name: there } })
        );
        assert_eq!(
            document(&[port(1, Protocol::Tcp, 7_777)], &[])["tcp"]["routers"][&name]["rule"],
            "HostSNI(`*`)"
        );
        let http = &document(&[], &[host(1)])["http"];
        assert_eq!(http["routers"][format!("zlh-{id}")]["rule"], "Host(`server-1.ide.example`)");
        assert_eq!(
            http["services"]["zlh-workspaces"]["loadBalancer"]["servers"][0]["url"],
            "http://10.0.0.2:8080"
        );
    }

    #[test]
    fn two_servers_behind_one_port_are_refused_and_named() {
        let both = [port(1, Protocol::Tcp, 7_777), port(2, Protocol::Tcp, 7_777)];
        let refused = TraefikRoutes::new(&both, &[], "").unwrap_err().to_string();
        assert!(refused.starts_with("server-1 and server-2 both have tcp port 7777"), "{refused}");
        assert!(TraefikRoutes::new(&[port(1, Protocol::Tcp, 1), port(2, Protocol::Udp, 1)], &[], "").is_ok());
    }

    fn has_an_empty_part(value: &Value) -> bool {
        match value {
            Value::Object(all) => all.is_empty() || all.values().any(has_an_empty_part),
            Value::Array(all) => all.is_empty() || all.iter().any(has_an_empty_part),
            _ => false,
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1_000))]

        #[test]
        fn nothing_below_the_root_is_empty_and_the_order_of_rows_does_not_matter(
            ports in prop::collection::btree_map(1_u16.., any::<bool>(), 0..8), hosts in 0_u128..4,
        ) {
            let protocol = |tcp: bool| if tcp { Protocol::Tcp } else { Protocol::Udp };
            let mut ports: Vec<_> = ports.into_iter().map(|(n, tcp)| port(n.into(), protocol(tcp), n)).collect();
            let mut hosts: Vec<_> = (0..hosts).map(|n| host(n + 100_000)).collect();
            let text = |ports: &[PortRoute], hosts: &[HostRoute]| serde_json::to_string(&document(ports, hosts)).unwrap();
            let (all, first) = (document(&ports, &hosts), text(&ports, &hosts));
            prop_assert!(all.as_object().unwrap().values().all(|part| !has_an_empty_part(part)), "{}", all);
            ports.reverse();
            hosts.reverse();
            prop_assert_eq!(first, text(&ports, &hosts));
        }
    }
}
