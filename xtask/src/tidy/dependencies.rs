//! Licences and bans of `deny.toml`, for everything in the lock file. `cargo deny` reads the same file and knows more
//! (advisories); this needs no program that is not in the repository.

use std::{collections::BTreeSet, fs};

use anyhow::Result;
use serde::Deserialize;
use serde_json::Value;

use crate::workspace::{Workspace, cargo_metadata};

#[derive(Deserialize)]
struct Deny {
    licenses: Licenses,
    bans: Bans,
}

#[derive(Deserialize)]
struct Licenses {
    allow: BTreeSet<String>,
}

#[derive(Deserialize)]
struct Bans {
    deny: Vec<Ban>,
}

#[derive(Deserialize)]
struct Ban {
    #[serde(rename = "crate")]
    name: String,
    reason: String,
}

pub(super) fn check(workspace: &Workspace) -> Result<Vec<String>> {
    let deny: Deny = toml::from_str(&fs::read_to_string(workspace.root.join("deny.toml"))?)?;
    let metadata =
        cargo_metadata(&workspace.root, &["--locked", "--filter-platform", "x86_64-unknown-linux-gnu"])?;
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let nodes = list(&metadata["resolve"]["nodes"]);
    let used: BTreeSet<_> = nodes.iter().filter_map(|node| node["id"].as_str()).collect();
    let packages = list(&metadata["packages"]);
    let is_used = |package: &&Value| package["id"].as_str().is_some_and(|id| used.contains(id));
    Ok(packages.iter().filter(is_used).flat_map(|package| findings(package, &deny)).collect())
}

fn findings(package: &Value, deny: &Deny) -> Vec<String> {
    let name = package["name"].as_str().unwrap_or_default();
    let mut findings = Vec::new();
    if let Some(ban) = deny.bans.deny.iter().find(|ban| ban.name == name) {
        findings.push(format!("{name} is banned: {}", ban.reason));
    }
    let ours = package["source"].is_null();
    let license = package["license"].as_str().unwrap_or_default();
    if !ours && !is_allowed(license, &deny.licenses.allow) {
        findings.push(format!("{name} has a licence that is not allowed: {license:?}"));
    }
    findings
}

/// Whether an SPDX expression can be met with these licences. AND binds tighter than OR; `/` is an old OR.
fn is_allowed(expression: &str, allowed: &BTreeSet<String>) -> bool {
    let spaced = expression.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut rest = words.as_slice();
    any_of(&mut rest, allowed) && rest.is_empty()
}

fn any_of(rest: &mut &[&str], allowed: &BTreeSet<String>) -> bool {
    let mut met = all_of(rest, allowed);
    while let ["OR", after @ ..] = rest {
        *rest = after;
        met |= all_of(rest, allowed);
    }
    met
}

fn all_of(rest: &mut &[&str], allowed: &BTreeSet<String>) -> bool {
    let mut met = one(rest, allowed);
    while let ["AND", after @ ..] = rest {
        *rest = after;
        met &= one(rest, allowed);
    }
    met
}

fn one(rest: &mut &[&str], allowed: &BTreeSet<String>) -> bool {
    match rest {
        ["(", after @ ..] => {
            *rest = after;
            let met = any_of(rest, allowed);
            let closed = rest.first() == Some(&")");
            *rest = rest.get(1..).unwrap_or_default();
            met && closed
        }
        [license, "WITH", exception, after @ ..] => {
            let name = format!("{license} WITH {exception}");
            *rest = after;
            allowed.contains(&name)
        }
        [license, after @ ..] => {
            let name = *license;
            *rest = after;
            allowed.contains(name)
        }
        [] => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expression_is_met_by_one_side_of_or_and_both_of_and() {
        let allowed = ["MIT", "ISC", "Apache-2.0 WITH LLVM-exception"].map(str::to_owned).into();
        for (expression, met) in [
            ("MIT", true),
            ("GPL-3.0-only", false),
            ("MIT OR GPL-3.0-only", true),
            ("MIT/Apache-2.0", true),
            ("MIT AND GPL-3.0-only", false),
            ("GPL-3.0-only OR MIT AND ISC", true),
            ("(GPL-3.0-only OR MIT) AND ISC", true),
            ("(MIT OR ISC) AND GPL-3.0-only", false),
            ("Apache-2.0 WITH LLVM-exception", true),
            ("Apache-2.0", false),
            ("", false),
            ("MIT ISC", false),
        ] {
            assert_eq!(is_allowed(expression, &allowed), met, "{expression}");
        }
    }
}
