//! `[edge]`: the names under which players find servers.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use domain::edge::{CloudflareZone, DnsName, DnsSettings, EdgeSettings, Installation, NamedEdge};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};

use crate::config::{Invalid, Key, Kind, Section};

/// The same for every daemon that publishes, observes or repairs.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EdgeSection {
    /// The domain below which servers are named.
    pub domain: String,
    /// Whose marks the records carry.
    pub installation: String,
    /// Where every server is reached.
    pub public_ipv4: String,
    /// As above.
    pub public_ipv6: String,
    /// Whether the domain has a wildcard record.
    pub wildcard: bool,
    /// Address of Cloudflare's API.
    pub cloudflare_url: String,
    /// The zone's id.
    pub cloudflare_zone: String,
    /// A token for it.
    #[serde(skip_serializing)]
    pub cloudflare_token: SecretString,
    /// Name server that is asked whether a name resolves.
    pub resolver: String,
}

impl Default for EdgeSection {
    fn default() -> Self {
        Self {
            domain: String::new(),
            installation: String::new(),
            public_ipv4: String::new(),
            public_ipv6: String::new(),
            wildcard: false,
            cloudflare_url: "https://api.cloudflare.com/client/v4".to_owned(),
            cloudflare_zone: String::new(),
            cloudflare_token: SecretString::default(),
            resolver: String::new(),
        }
    }
}

impl EdgeSection {
    /// The edge that it says.
    pub fn settings(&self) -> Result<EdgeSettings, Invalid> {
        if self.domain.is_empty() {
            return Ok(EdgeSettings::default());
        }
        let domain =
            DnsName::parse(&self.domain).map_err(|error| Invalid::new("domain", error.to_string()))?;
        let installation = Installation::parse(&self.installation)
            .map_err(|error| Invalid::new("installation", error.to_string()))?;
        let public_ipv4: Option<Ipv4Addr> = parsed("public_ipv4", &self.public_ipv4, "an IPv4 address")?;
        let public_ipv6: Option<Ipv6Addr> = parsed("public_ipv6", &self.public_ipv6, "an IPv6 address")?;
        let resolver = match parsed::<SocketAddr>("resolver", &self.resolver, "an address, as in 1.1.1.1:53")
        {
            Err(_) => parsed::<IpAddr>("resolver", &self.resolver, "an address, as in 1.1.1.1:53")?
                .map(|ip| (ip, 53).into()),
            Ok(address) => address,
        };
        if !self.cloudflare_url.starts_with("http://") && !self.cloudflare_url.starts_with("https://") {
            return Err(Invalid::new("cloudflare_url", "must begin with http:// or https://"));
        }
        let whole = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
        if self.cloudflare_zone.is_empty() || !self.cloudflare_zone.bytes().all(whole) {
            return Err(Invalid::new(
                "cloudflare_zone",
                "required with a domain: the zone's id, letters and digits",
            ));
        }
        if self.cloudflare_token.expose_secret().is_empty() {
            let reason = "required with a domain: set edge.cloudflare_token_file or the credential edge.cloudflare_token";
            return Err(Invalid::new("cloudflare_token", reason));
        }
        let cloudflare = CloudflareZone {
            url: self.cloudflare_url.clone(),
            zone_id: self.cloudflare_zone.clone(),
            token: self.cloudflare_token.clone(),
        };
        let dns = DnsSettings { domain, public_ipv4, public_ipv6, wildcard: self.wildcard, proxy_port: None };
        Ok(EdgeSettings { named: Some(NamedEdge { dns, installation, cloudflare, resolver }) })
    }
}

fn parsed<T: std::str::FromStr>(key: &'static str, text: &str, what: &str) -> Result<Option<T>, Invalid> {
    match text {
        "" => Ok(None),
        text => text.parse().map(Some).map_err(|_| Invalid::new(key, format!("{text:?} is not {what}"))),
    }
}

impl Section for EdgeSection {
    fn name(&self) -> &'static str {
        "edge"
    }

    fn keys(&self) -> &'static [Key] {
        KEYS
    }

    fn validate(&self) -> Result<(), Invalid> {
        self.settings().map(drop)
    }
}

const KEYS: &[Key] = &[
    Key::new(
        "domain",
        Kind::Text,
        "Servers are named below it: `demo` is `demo.play.example.org`. Without it players use the node's address and the \
         server's port.",
    ),
    Key::new(
        "installation",
        Kind::Text,
        "Name of this installation in the mark on everything that is made outside, 1 to 32 lower-case letters, digits and \
         hyphens. Two installations that share a zone need different ones: each leaves alone what is the other's. Required \
         with `domain`; do not change it later.",
    ),
    Key::new(
        "public_ipv4",
        Kind::Text,
        "Address at which every server is reached, such as a proxy's. Without it and `public_ipv6` each server is reached \
         at its node's `public_host`, which then is an address.",
    ),
    Key::new("public_ipv6", Kind::Text, "The same for IPv6."),
    Key::new(
        "wildcard",
        Kind::Boolean,
        "Whether the zone has a record for every name below `domain`, made by hand: servers then need no address record of \
         their own, only the service record of games that have one.",
    ),
    Key::new("cloudflare_url", Kind::Text, "Address of Cloudflare's API."),
    Key::new("cloudflare_zone", Kind::Text, "Id of the zone that `domain` is in."),
    Key::new(
        "cloudflare_token",
        Kind::Secret,
        "Token that may edit the zone's DNS records, and nothing else.",
    ),
    Key::new(
        "resolver",
        Kind::Text,
        "Name server (`address` or `address:port`) that is asked whether a published name resolves before a server counts \
         as reachable. Without it only the zone's own list is looked at.",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn whole() -> EdgeSection {
        EdgeSection {
            domain: "Play.Example.org.".into(),
            installation: "prod".into(),
            cloudflare_zone: "abc123".into(),
            cloudflare_token: "secret".into(),
            ..EdgeSection::default()
        }
    }

    #[test]
    fn without_a_domain_nothing_else_is_needed_and_with_one_a_zone_and_a_mark_are() {
        assert!(EdgeSection::default().settings().unwrap().named.is_none());
        let named = whole().settings().unwrap().named.unwrap();
        assert_eq!((named.dns.domain.as_str(), named.resolver), ("play.example.org", None));
        let key = |section: EdgeSection| section.validate().unwrap_err().key;
        assert_eq!(key(EdgeSection { installation: "Prod EU".into(), ..whole() }), "installation");
        assert_eq!(key(EdgeSection { cloudflare_zone: "../other".into(), ..whole() }), "cloudflare_zone");
        assert_eq!(key(EdgeSection { cloudflare_token: "".into(), ..whole() }), "cloudflare_token");
        assert_eq!(key(EdgeSection { public_ipv4: "::1".into(), ..whole() }), "public_ipv4");
    }

    #[test]
    fn a_resolver_has_port_53_unless_it_says_another() {
        let resolver = |text: &str| {
            EdgeSection { resolver: text.into(), ..whole() }.settings().unwrap().named.unwrap().resolver
        };
        assert_eq!(resolver("1.1.1.1"), Some(([1, 1, 1, 1], 53).into()));
        assert_eq!(resolver("127.0.0.1:5353"), Some(([127, 0, 0, 1], 5353).into()));
    }
}
