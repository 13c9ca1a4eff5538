//! Lock files name packages, versions and hashes, and no host: who builds this may have a registry of their own.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use serde_json::Value;

use crate::workspace::Workspace;

/// Cargo's name for its public registry, which is not where packages are fetched from.
const CRATES_IO: &str = "registry+https://github.com/rust-lang/crates.io-index";

pub(super) fn check(workspace: &Workspace) -> Result<Vec<String>> {
    let lock: toml::Table = toml::from_str(&fs::read_to_string(workspace.root.join("Cargo.lock"))?)?;
    let mut findings = cargo(&lock);
    for file in npm_locks(&workspace.root)? {
        let lock: Value =
            serde_json::from_slice(&fs::read(&file)?).with_context(|| file.display().to_string())?;
        let file = file.strip_prefix(&workspace.root).unwrap_or(&file);
        findings.extend(npm(&lock).iter().map(|what| format!("{}: {what}", file.display())));
    }
    Ok(findings)
}

fn cargo(lock: &toml::Table) -> Vec<String> {
    let packages = lock.get("package").and_then(toml::Value::as_array).map(Vec::as_slice).unwrap_or_default();
    packages
        .iter()
        .filter_map(|package| Some((package.get("name")?.as_str()?, package.get("source")?.as_str()?)))
        .filter(|(_, source)| *source != CRATES_IO)
        .map(|(name, source)| format!("Cargo.lock: {name} comes from {source}"))
        .collect()
}

fn npm(lock: &Value) -> Vec<String> {
    let Some(packages) = lock["packages"].as_object() else { return vec!["has no packages".to_owned()] };
    packages
        .iter()
        .filter(|(_, package)| package.get("resolved").is_some())
        .map(|(name, _)| format!("{name} says where it was fetched from: remove \"resolved\""))
        .collect()
}

/// In the folders where Node programs are kept.
fn npm_locks(root: &Path) -> Result<Vec<PathBuf>> {
    let mut found =
        vec![root.join("tests/js/package-lock.json"), root.join("crates/portal/web/package-lock.json")];
    for entry in fs::read_dir(root.join("catalogue/artifacts"))? {
        found.push(entry?.path().join("package-lock.json"));
    }
    found.retain(|file| file.is_file());
    Ok(found)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_package_that_names_its_host_is_found() {
        assert!(npm(&json!({ "packages": { "node_modules/a": { "version": "1.0.0" } } })).is_empty());
        let named = json!({ "packages": { "node_modules/a": { "resolved": "https://example.org/a.tgz" } } });
        assert_eq!(npm(&named).len(), 1);
        let lock = |source: &str| {
            toml::from_str(&format!("[[package]]\nname = \"a\"\nsource = \"{source}\"")).unwrap()
        };
        assert!(cargo(&lock(CRATES_IO)).is_empty());
        assert_eq!(cargo(&lock("git+https://example.org/a")).len(), 1);
    }
}
