//! The files that describe an artifact tree (wire facts, "Artifacts").

use std::{
    fs,
    path::{Path, PathBuf},
    process,
};

use anyhow::{Context as _, Result};
use domain::blueprint::newest_first;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

/// `manifest.json` of a version with one file.
pub(super) fn manifest(name: &str, content: &[u8]) -> String {
    let sha256 = hex::encode(Sha256::digest(content));
    json!({ "files": [{ "name": name, "sha256": sha256, "size": content.len() }] }).to_string()
}

/// Writes `_catalog.json` from what is in the tree.
pub fn write_catalog(tree: &Path) -> Result<()> {
    let mut games = Vec::new();
    for game in folders(tree)? {
        let mut variants = Vec::new();
        for variant in folders(&game)? {
            let mut versions: Vec<String> = folders(&variant)?.iter().map(|path| name(path)).collect();
            versions.sort_by(|a, b| newest_first(a, b));
            variants.push(json!({ "id": name(&variant), "versions": versions }));
        }
        games.push(json!({ "id": name(&game), "variants": variants }));
    }
    let catalog: Value = json!({ "games": games });
    // Daemons may be reading it: the old one or the new one, never half of it.
    let aside = tree.join(format!("._catalog.json.{}", process::id()));
    fs::write(&aside, catalog.to_string())
        .and_then(|()| fs::rename(&aside, tree.join("_catalog.json")))
        .context("cannot write _catalog.json")
}

/// The visible folders in a folder, by name.
pub(super) fn folders(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder)
        .and_then(Iterator::collect::<std::io::Result<Vec<_>>>)
        .with_context(|| format!("cannot read {}", folder.display()))?;
    let mut folders: Vec<_> = entries.into_iter().map(|entry| entry.path()).collect();
    folders.retain(|path| path.is_dir() && !name(path).starts_with('.'));
    folders.sort();
    Ok(folders)
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_catalogue_lists_what_is_there_newest_first() {
        let tree = tempfile::tempdir().unwrap();
        for version in ["1.9", "1.20.10", "1.20.9", ".making-1"] {
            fs::create_dir_all(tree.path().join("minecraft/paper").join(version)).unwrap();
        }
        write_catalog(tree.path()).unwrap();
        let text = fs::read_to_string(tree.path().join("_catalog.json")).unwrap();
        let variants = json!([{ "id": "paper", "versions": ["1.20.10", "1.20.9", "1.9"] }]);
        let expected = json!({ "games": [{ "id": "minecraft", "variants": variants }] });
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), expected);
    }
}
