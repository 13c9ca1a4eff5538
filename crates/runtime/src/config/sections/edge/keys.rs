//! The keys of `[edge]`, for the reference of the configuration.

use crate::config::{Key, Kind};

pub(super) const KEYS: &[Key] = &[
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
        "cloudflare_record_limit",
        Kind::Integer,
        "Records that the zone's plan allows (200 of a free zone that is new, 1000 of an older one, 3500 otherwise, unless \
         Cloudflare has raised it). zlh-controller finds a zone that is nine tenths full. 0: not known.",
    ),
    Key::new(
        "resolver",
        Kind::Text,
        "Name server (`address` or `address:port`) that is asked whether a published name resolves before a server counts \
         as reachable. Without it only the zone's own list is looked at.",
    ),
    Key::new(
        "velocity_url",
        Kind::Text,
        "Address (http or https) of the bridge in a Velocity proxy, through which players of Minecraft reach their servers. \
         The proxy knows the server's name and its node's `public_host` with its port. Needs `public_ipv4`, `public_ipv6` or \
         `wildcard`, which lead to the proxy. An installation that shares a proxy needs a `domain` of its own: a proxy's \
         entries have no mark. Without it players connect to their server's own port.",
    ),
    Key::new(
        "velocity_secret",
        Kind::Secret,
        "The secret that is shared with the bridge. Its SHA-256 hash is sent.",
    ),
    Key::new(
        "velocity_port",
        Kind::Integer,
        "Port on which the proxy takes players; the service records of Minecraft servers say it.",
    ),
    Key::new(
        "technitium_url",
        Kind::Text,
        "Address (http or https) of a Technitium DNS server's web service, version 15 or later. Servers then have their names \
         there too, for those inside. Without it there is no internal DNS.",
    ),
    Key::new("technitium_zone", Kind::Text, "Name of the zone there; `domain` is that name or below it."),
    Key::new(
        "technitium_token",
        Kind::Secret,
        "API token of a user who may edit the zone, and nothing else.",
    ),
    Key::new(
        "technitium_ipv4",
        Kind::Text,
        "Address at which every server is reached from inside. It or `technitium_ipv6` is required with `technitium_url`.",
    ),
    Key::new("technitium_ipv6", Kind::Text, "The same for IPv6."),
];
