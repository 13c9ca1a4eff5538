//! Who may import whom (docs/ARCHITECTURE.md): the daemons coordinate through rows and queues, never through code.

use std::{collections::BTreeMap, fs};

use anyhow::{Context as _, Result};
use serde_json::Value;

use crate::{
    build::reachable,
    workspace::{Workspace, cargo_metadata},
};

/// Everything that the daemons may import.
const DAEMON: &[&str] = &["domain", "store", "integrations", "runtime"];

/// Package and what it may import of ours. `tests` and `xtask` may import anything.
const ALLOWED: &[(&str, &[&str])] = &[
    ("domain", &[]),
    ("store", &["domain"]),
    ("integrations", &["domain"]),
    ("runtime", &["domain", "store"]),
    ("portal", &[]),
    ("zpack-api", &["domain", "store", "integrations", "runtime", "portal"]),
    ("provision-worker", DAEMON),
    ("repair-worker", DAEMON),
    ("billing-worker", DAEMON),
    ("zlh-controller", DAEMON),
    ("shim", &["domain"]),
    ("agent", &["domain", "shim"]),
    ("sandbox", &["domain"]),
];

const FREE: &[&str] = &["zlh-tests", "xtask"];

/// Only `store` names the database and the queue.
const STORAGE: &[&str] = &["sqlx", "apalis", "apalis-core", "apalis-redis"];

/// What runs beside every game has one thread, no runtime and no TLS: a package, and what may not even be behind what it
/// imports.
const WITHOUT: (&str, &[&str]) = ("shim", &["axum", "rustls", "tokio"]);

pub(super) fn check(workspace: &Workspace) -> Result<Vec<String>> {
    let mut packages = BTreeMap::new();
    for folder in fs::read_dir(workspace.root.join("crates"))? {
        let file = folder?.path().join("Cargo.toml");
        let manifest: toml::Table =
            toml::from_str(&fs::read_to_string(&file)?).with_context(|| file.display().to_string())?;
        let name = manifest["package"]["name"].as_str().context("a package without a name")?.to_owned();
        packages.insert(name, dependencies(&manifest));
    }
    let metadata =
        cargo_metadata(&workspace.root, &["--locked", "--filter-platform", "x86_64-unknown-linux-gnu"])?;
    Ok([findings(&packages), too_much(&metadata)].concat())
}

/// What is in the tree of [`WITHOUT`], its tests left out, and may not be.
fn too_much(metadata: &Value) -> Vec<String> {
    let (package, without) = WITHOUT;
    let tree = reachable(metadata, &[package]);
    let packages = metadata["packages"].as_array().map(Vec::as_slice).unwrap_or_default();
    let names = packages.iter().filter_map(|found| {
        let (id, name) = (found["id"].as_str()?, found["name"].as_str()?);
        (tree.contains(id) && without.contains(&name)).then_some(name)
    });
    names
        .map(|name| format!("{package} may not be built with {name}: see cargo tree -p {package} -i {name}"))
        .collect()
}

/// What a package is built with; what only its tests use does not matter here.
fn dependencies(manifest: &toml::Table) -> Vec<String> {
    ["dependencies", "build-dependencies"]
        .iter()
        .filter_map(|table| manifest.get(*table)?.as_table())
        .flat_map(|table| table.keys().cloned())
        .collect()
}

fn findings(packages: &BTreeMap<String, Vec<String>>) -> Vec<String> {
    let mut findings = Vec::new();
    for (name, dependencies) in packages {
        let Some((_, allowed)) = ALLOWED.iter().find(|(known, _)| known == name) else {
            if !FREE.contains(&name.as_str()) {
                findings.push(format!("{name} is new: say in xtask/src/tidy/imports.rs what it may import"));
            }
            continue;
        };
        for dependency in dependencies.iter().map(String::as_str) {
            let ours = packages.contains_key(dependency) || FREE.contains(&dependency);
            let storage = STORAGE.contains(&dependency) && name != "store";
            if storage || (ours && !allowed.contains(&dependency)) {
                findings.push(format!("{name} may not import {dependency}"));
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_import_against_the_direction_is_found() {
        let packages = |pairs: &[(&str, &[&str])]| {
            let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
            findings(&pairs.iter().map(|(name, deps)| ((*name).to_owned(), owned(deps))).collect())
        };
        assert!(packages(&[("domain", &["serde"]), ("store", &["domain", "sqlx"])]).is_empty());
        assert_eq!(packages(&[("domain", &["store"]), ("store", &[])]), ["domain may not import store"]);
        assert_eq!(packages(&[("runtime", &["sqlx"])]), ["runtime may not import sqlx"]);
        assert_eq!(packages(&[("domain", &["xtask"])]), ["domain may not import xtask"]);
        assert!(packages(&[("another", &[])])[0].contains("is new"));
    }

    #[test]
    fn a_runtime_behind_another_package_is_found_and_one_for_tests_is_not() {
        let metadata = |kind: Option<&str>| {
            let on = |package: &str, kind: Option<&str>| json!({ "pkg": package, "dep_kinds": [{ "kind": kind }] });
            json!({
                "packages": [
                    { "name": "shim", "id": "s" }, { "name": "domain", "id": "d" }, { "name": "tokio", "id": "t" },
                ],
                "resolve": { "nodes": [
                    { "id": "s", "deps": [on("d", None)] },
                    { "id": "d", "deps": [on("t", kind)] },
                    { "id": "t", "deps": [] },
                ] },
            })
        };
        assert!(too_much(&metadata(None))[0].starts_with("shim may not be built with tokio"));
        assert_eq!(too_much(&metadata(Some("dev"))), Vec::<String>::new());
    }
}
