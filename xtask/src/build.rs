//! Builds the programs of the workspace, with progress.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{BufRead as _, BufReader},
    process::Stdio,
};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::{
    ui,
    workspace::{Workspace, cargo_metadata},
};

/// Packages with programs that run in a stack.
pub const PROGRAMS: &[&str] = &[
    "zpack-api",
    "provision-worker",
    "zlh-controller",
    "repair-worker",
    "billing-worker",
    "agent",
    "sandbox",
];

/// Builds [`PROGRAMS`].
pub fn programs(workspace: &Workspace, release: bool) -> Result<()> {
    let metadata = cargo_metadata(&workspace.root, &["--locked"])?;
    let total = reachable(&metadata, PROGRAMS).len() as u64;
    let step = ui::progress("Building", total);
    let mut command = workspace.cargo();
    command.args(["build", "--locked", "--message-format=json-render-diagnostics"]);
    if release {
        command.arg("--release");
    }
    for package in PROGRAMS {
        command.args(["--package", package]);
    }
    // Cargo's own bar would write over ours.
    command.env("CARGO_TERM_PROGRESS_WHEN", "never").arg("--quiet").stdout(Stdio::piped());
    let mut child = command.spawn().context("cannot run cargo")?;
    let mut built = BTreeSet::new();
    for line in BufReader::new(child.stdout.take().context("cargo has no output")?).lines() {
        let message: Value = serde_json::from_str(&line?).unwrap_or_default();
        if message["reason"] == "compiler-artifact" {
            step.say(message["target"]["name"].as_str().unwrap_or_default());
            built.insert(message["package_id"].as_str().unwrap_or_default().to_owned());
            step.at(built.len() as u64);
        }
    }
    ensure!(
        child.wait()?.success(),
        "the build failed (a query or a migration that changed needs `cargo xtask generate`)"
    );
    step.done(&format!("{total} packages"));
    Ok(())
}

/// The ids of all packages that are built for these, without what only tests need.
pub(crate) fn reachable(metadata: &Value, packages: &[&str]) -> BTreeSet<String> {
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let nodes: BTreeMap<String, Value> = list(&metadata["resolve"]["nodes"])
        .into_iter()
        .map(|node| (node["id"].as_str().unwrap_or_default().to_owned(), node))
        .collect();
    let mut todo: Vec<String> = list(&metadata["packages"])
        .iter()
        .filter(|package| packages.iter().any(|name| package["name"] == *name))
        .map(|package| package["id"].as_str().unwrap_or_default().to_owned())
        .collect();
    let mut seen = BTreeSet::new();
    while let Some(id) = todo.pop() {
        let Some(node) = nodes.get(&id) else { continue };
        if !seen.insert(id) {
            continue;
        }
        for dependency in list(&node["deps"]) {
            let used = list(&dependency["dep_kinds"]).iter().any(|kind| kind["kind"] != "dev");
            if used {
                todo.push(dependency["pkg"].as_str().unwrap_or_default().to_owned());
            }
        }
    }
    seen
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_only_tests_need_is_not_counted() {
        let node = |id: &str, deps: Value| json!({ "id": id, "deps": deps });
        let dep = |pkg: &str, kind: Value| json!({ "pkg": pkg, "dep_kinds": [{ "kind": kind }] });
        let metadata = json!({
            "packages": [{ "name": "agent", "id": "a" }, { "name": "other", "id": "o" }],
            "resolve": { "nodes": [
                node("a", json!([dep("b", Value::Null), dep("t", json!("dev"))])),
                node("b", json!([dep("a", Value::Null), dep("c", json!("build"))])),
                node("c", json!([])), node("t", json!([])), node("o", json!([])),
            ] },
        });
        let found: Vec<_> = reachable(&metadata, &["agent"]).into_iter().collect();
        assert_eq!(found, ["a", "b", "c"]);
    }
}
