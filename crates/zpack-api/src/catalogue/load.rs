//! Reading the catalogue's folder.

use std::{fs, path::Path, sync::Arc};

use anyhow::{Context as _, bail};
use domain::{blueprint::Blueprint, plan::parse_plans};
use integrations::artifacts::ArtifactSource;
use tokio::sync::OnceCell;

use super::{Catalogue, Entry};

impl Catalogue {
    /// Reads `plans.toml` and `blueprints/*.toml`; any mistake in any file is an error that names it.
    pub fn load(folder: &Path, artifacts: Arc<dyn ArtifactSource>) -> anyhow::Result<Self> {
        let plans = folder.join("plans.toml");
        let plans = parse_plans(&read(&plans)?).with_context(|| plans.display().to_string())?;
        let blueprints = folder.join("blueprints");
        let mut entries = Vec::new();
        for file in fs::read_dir(&blueprints).with_context(|| blueprints.display().to_string())? {
            let path = file?.path();
            if path.extension().is_some_and(|extension| extension == "toml") {
                entries.push(entry(&path)?);
            }
        }
        entries.sort_by(|a, b| a.blueprint.id.cmp(&b.blueprint.id));
        if let Some(twice) = entries.windows(2).find(|pair| pair[0].blueprint.id == pair[1].blueprint.id) {
            bail!("{}: two files have the id {:?}", blueprints.display(), twice[0].blueprint.id);
        }
        Ok(Self { entries, plans, artifacts })
    }
}

fn entry(path: &Path) -> anyhow::Result<Entry> {
    let blueprint = Blueprint::parse(&read(path)?).with_context(|| path.display().to_string())?;
    Ok(Entry { content_version: blueprint.content_version(), blueprint, recorded: OnceCell::new() })
}

fn read(path: &Path) -> anyhow::Result<String> {
    fs::read_to_string(path).with_context(|| path.display().to_string())
}
