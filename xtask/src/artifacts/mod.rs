//! Our own artifacts: each folder of `catalogue/artifacts` is a Node program that becomes one file in the artifact
//! tree, with a manifest and the catalogue, as an artifact source serves them.

mod tree;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, ensure};
use flate2::{Compression, GzBuilder};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

pub use tree::write_catalog;

/// `artifact.toml`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Recipe {
    game: String,
    variant: String,
    version: String,
    /// The artifact's name.
    file: String,
    /// The one file in it.
    bundle: String,
}

/// Names what a finished artifact was made of; raised when this code makes something else of it.
const FORMAT: &str = "1";
const FINGERPRINT: &str = "fingerprint";

/// Makes what is missing or out of date in the artifact tree `out`. Returns what was made.
pub fn prepare(catalogue: &Path, out: &Path) -> Result<Vec<String>> {
    fs::create_dir_all(out).with_context(|| format!("cannot make {}", out.display()))?;
    let mut made = Vec::new();
    for source in tree::folders(&catalogue.join("artifacts"))? {
        let recipe: Recipe = toml::from_str(&fs::read_to_string(source.join("artifact.toml"))?)
            .with_context(|| format!("{}/artifact.toml", source.display()))?;
        let place = out.join(&recipe.game).join(&recipe.variant).join(&recipe.version);
        let fingerprint = fingerprint(&source)?;
        if fs::read_to_string(place.join(FINGERPRINT)).is_ok_and(|there| there == fingerprint) {
            continue;
        }
        make(&recipe, &source, &place, &fingerprint)
            .with_context(|| format!("cannot make the artifact of {}", source.display()))?;
        made.push(format!("{} {}", recipe.variant, recipe.version));
    }
    write_catalog(out)?;
    Ok(made)
}

/// A digest of every source file, so that any change makes the artifact anew.
fn fingerprint(source: &Path) -> Result<String> {
    let mut digest = Sha256::new();
    digest.update(FORMAT);
    for file in sources(source)? {
        digest.update(file.file_name().unwrap_or_default().as_encoded_bytes());
        digest.update(Sha256::digest(fs::read(&file)?));
    }
    Ok(hex::encode(digest.finalize()))
}

fn sources(source: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(source)?.collect::<std::io::Result<Vec<_>>>()?;
    let mut files: Vec<_> =
        entries.into_iter().map(|entry| entry.path()).filter(|path| path.is_file()).collect();
    files.sort();
    Ok(files)
}

/// Works beside the finished tree and moves the result there as a whole.
fn make(recipe: &Recipe, source: &Path, place: &Path, fingerprint: &str) -> Result<()> {
    let parent = place.parent().context("no parent folder")?;
    fs::create_dir_all(parent)?;
    let work = parent.join(format!(".making-{}", std::process::id()));
    let _ = fs::remove_dir_all(&work);
    let (build, result) = (work.join("build"), work.join("result"));
    fs::create_dir_all(&build)?;
    fs::create_dir_all(&result)?;
    for file in sources(source)? {
        fs::copy(&file, build.join(file.file_name().unwrap_or_default()))?;
    }
    npm_ci(&build)?;
    run(Command::new("node").arg("bundle.mjs").arg(&recipe.bundle).current_dir(&build))?;
    let packed = pack(&recipe.bundle, &fs::read(build.join(&recipe.bundle))?)?;
    fs::write(result.join(&recipe.file), &packed)?;
    fs::write(result.join("manifest.json"), tree::manifest(&recipe.file, &packed))?;
    fs::write(result.join(FINGERPRINT), fingerprint)?;
    let _ = fs::remove_dir_all(place);
    fs::rename(&result, place)?;
    fs::remove_dir_all(&work).context("cannot remove the working folder")
}

/// A tar with one file, byte for byte the same for the same content.
fn pack(name: &str, content: &[u8]) -> Result<Vec<u8>> {
    let gzip = GzBuilder::new().mtime(0).write(Vec::new(), Compression::best());
    let mut archive = tar::Builder::new(gzip);
    let mut header = tar::Header::new_gnu();
    header.set_size(content.len() as u64);
    header.set_mode(0o644);
    header.set_mtime(0);
    archive.append_data(&mut header, name, content)?;
    Ok(archive.into_inner()?.finish()?)
}

/// Installs exactly what the lock file says, and runs no package's own scripts.
pub fn npm_ci(folder: &Path) -> Result<()> {
    run(Command::new("npm").args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]).current_dir(folder))
}

fn run(command: &mut Command) -> Result<()> {
    let shown = format!("{command:?}");
    let output = command.output().with_context(|| format!("cannot run {shown}"))?;
    let stderr = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{shown} failed:\n{}", stderr.trim());
    Ok(())
}

/// `npm ci` in `folder`, unless it was done for this lock file.
pub fn node_modules(folder: &Path) -> Result<bool> {
    let wanted = hex::encode(Sha256::digest(fs::read(folder.join("package-lock.json"))?));
    let stamp = folder.join("node_modules/.zlh-lock");
    if fs::read_to_string(&stamp).is_ok_and(|there| there == wanted) {
        return Ok(false);
    }
    npm_ci(folder)?;
    fs::write(stamp, wanted)?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_content_is_packed_into_the_same_bytes() {
        let one = pack("server.js", b"console.log(1)").unwrap();
        assert_eq!(one, pack("server.js", b"console.log(1)").unwrap());
        let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(one.as_slice()));
        let names: Vec<_> =
            archive.entries().unwrap().map(|entry| entry.unwrap().path().unwrap().into_owned()).collect();
        assert_eq!(names, [Path::new("server.js")]);
    }

    #[test]
    fn any_changed_source_is_another_fingerprint() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("start.js"), "1").unwrap();
        let before = fingerprint(folder.path()).unwrap();
        assert_eq!(before, fingerprint(folder.path()).unwrap());
        fs::write(folder.path().join("start.js"), "2").unwrap();
        assert_ne!(before, fingerprint(folder.path()).unwrap());
    }
}
