//! Source files: that each says what lives in it, and how long they are.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::Result;

use crate::workspace::Workspace;

/// What style asks for.
const LONGEST: usize = 500;

/// Folders with sources of ours.
const FOLDERS: &[&str] = &["crates", "xtask", "tests"];

pub(super) fn check_headers(workspace: &Workspace) -> Result<Vec<String>> {
    let mut findings = Vec::new();
    for file in rust_files(workspace)? {
        let text = fs::read_to_string(&file)?;
        let first = text.lines().next().unwrap_or_default();
        if !first.starts_with("//! ") || first == "//! placeholder" {
            let file = file.strip_prefix(&workspace.root).unwrap_or(&file);
            findings.push(format!("{}: the first line says with //! what lives there", file.display()));
        }
    }
    Ok(findings)
}

/// Lengths, for people: size is a symptom.
pub(super) fn report(workspace: &Workspace) -> Result<String> {
    let mut lengths = Vec::new();
    for file in rust_files(workspace)? {
        lengths.push((fs::read_to_string(&file)?.lines().count(), file));
    }
    lengths.sort();
    let at = |percent: usize| lengths.get(lengths.len() * percent / 100).map_or(0, |(lines, _)| *lines);
    let mut report = vec![format!("  {} files, median {} lines, p90 {}", lengths.len(), at(50), at(90))];
    for (lines, file) in lengths.iter().rev().take_while(|(lines, _)| *lines > LONGEST) {
        let file = file.strip_prefix(&workspace.root).unwrap_or(file);
        report.push(format!("  {lines} lines: {}", file.display()));
    }
    Ok(report.join("\n"))
}

fn rust_files(workspace: &Workspace) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for folder in FOLDERS {
        collect(&workspace.root.join(folder), &mut files)?;
    }
    files.sort();
    Ok(files)
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() && !path.ends_with("node_modules") {
            collect(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    Ok(())
}
