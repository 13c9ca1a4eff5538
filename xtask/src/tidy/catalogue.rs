//! The catalogue: every blueprint and plan is one that the daemons accept.

use std::{fs, path::PathBuf};

use anyhow::Result;
use domain::{blueprint::Blueprint, plan::parse_plans};

use crate::workspace::Workspace;

pub(super) fn check(workspace: &Workspace) -> Result<Vec<String>> {
    let folder = workspace.catalogue();
    let mut findings = Vec::new();
    if let Err(error) = parse_plans(&fs::read_to_string(folder.join("plans.toml"))?) {
        findings.push(format!("plans.toml: {error:?}"));
    }
    for file in blueprint_files(&folder.join("blueprints"))? {
        let id = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        match Blueprint::parse(&fs::read_to_string(&file)?) {
            Err(error) => findings.push(format!("{id}.toml: {error}")),
            Ok(blueprint) if blueprint.id != id => {
                findings.push(format!(
                    "{id}.toml: the file is named like the blueprint's id, {:?}",
                    blueprint.id
                ));
            }
            Ok(_) => {}
        }
    }
    Ok(findings)
}

fn blueprint_files(folder: &std::path::Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder)?.collect::<std::io::Result<Vec<_>>>()?;
    let mut files: Vec<_> = entries.into_iter().map(|entry| entry.path()).collect();
    files.sort();
    Ok(files)
}
