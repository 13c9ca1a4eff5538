//! Our own artifacts: each folder of `catalogue/artifacts` is a program in Node or Python that becomes one file in the
//! artifact tree, with a manifest and the catalogue, as an artifact source serves them.

mod python;
mod tree;

use std::{
    ffi::OsStr,
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
struct Recipe {
    /// The blueprints that use it.
    games: Vec<String>,
    variant: String,
    version: String,
    /// The artifact's name.
    file: String,
    #[serde(flatten)]
    content: Content,
}

/// What is in it.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Content {
    /// Of Node: one file that `bundle.mjs` makes.
    Node { bundle: String },
    /// Of Python: what a requirements file names, and a program that starts it.
    Python { requirements: String, start: String },
}

/// Which artifacts are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// Those of games: seconds.
    Games,
    /// Those of workspaces as well: a minute or two, the first time.
    All,
}

impl Content {
    fn is(&self, wanted: Wanted) -> bool {
        wanted == Wanted::All || matches!(self, Self::Node { .. })
    }
}

/// Names what a finished artifact was made of; raised when this code makes something else of it.
const FORMAT: &str = "1";
const FINGERPRINT: &str = "fingerprint";

/// Makes what is missing or out of date in the artifact tree `out`. Returns what was made.
pub fn prepare(catalogue: &Path, out: &Path, wanted: Wanted) -> Result<Vec<String>> {
    fs::create_dir_all(out).with_context(|| format!("cannot make {}", out.display()))?;
    let mut made = Vec::new();
    for source in tree::folders(&catalogue.join("artifacts"))? {
        let recipe: Recipe = toml::from_str(&fs::read_to_string(source.join("artifact.toml"))?)
            .with_context(|| format!("{}/artifact.toml", source.display()))?;
        let places: Vec<_> = (recipe.games.iter())
            .map(|game| out.join(game).join(&recipe.variant).join(&recipe.version))
            .collect();
        let fingerprint = fingerprint(&source)?;
        let is_there = |place: &PathBuf| {
            fs::read_to_string(place.join(FINGERPRINT)).is_ok_and(|there| there == fingerprint)
        };
        if !recipe.content.is(wanted) || places.iter().all(is_there) {
            continue;
        }
        make(&recipe, &source, &places, &fingerprint)
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

/// Works beside the finished tree and moves each result there as a whole.
fn make(recipe: &Recipe, source: &Path, places: &[PathBuf], fingerprint: &str) -> Result<()> {
    let work = aside(places.first().context("the recipe names no game")?)?;
    let build = work.join("build");
    fs::create_dir_all(&build)?;
    for file in sources(source)? {
        fs::copy(&file, build.join(file.file_name().unwrap_or_default()))?;
    }
    let packed = match &recipe.content {
        Content::Node { bundle } => bundle_node(&build, bundle)?,
        Content::Python { requirements, start } => python::make(&build, requirements, start)?,
    };
    let mut first: Option<PathBuf> = None;
    for place in places {
        let result = aside(place)?.join("result");
        fs::create_dir_all(&result)?;
        let file = result.join(&recipe.file);
        // The same bytes for each game: one copy on the disk.
        match &first {
            Some(there) if fs::hard_link(there, &file).is_ok() => {}
            _ => fs::write(&file, &packed)?,
        }
        fs::write(result.join("manifest.json"), tree::manifest(&recipe.file, &packed))?;
        fs::write(result.join(FINGERPRINT), fingerprint)?;
        let _ = fs::remove_dir_all(place);
        fs::rename(&result, place)?;
        first = Some(place.join(&recipe.file));
    }
    places
        .iter()
        .try_for_each(|place| fs::remove_dir_all(aside(place)?).context("cannot remove the working folder"))
}

/// The working folder of this process beside the one to be made.
fn aside(place: &Path) -> Result<PathBuf> {
    let aside = place.parent().context("no parent folder")?.join(format!(".making-{}", std::process::id()));
    fs::create_dir_all(&aside)?;
    Ok(aside)
}

fn bundle_node(build: &Path, bundle: &str) -> Result<Vec<u8>> {
    npm_ci(build)?;
    run(Command::new("node").arg("bundle.mjs").arg(bundle).current_dir(build))?;
    pack(bundle, &fs::read(build.join(bundle))?)
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
    run(&mut npm_ci_in(folder))
}

fn npm_ci_in(folder: &Path) -> Command {
    let mut command = Command::new("npm");
    command.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]).current_dir(folder);
    command
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
    modules(folder, &mut npm_ci_in(folder))
}

/// The same with this search path, whose first Node is used.
pub fn node_modules_with(folder: &Path, path: &OsStr) -> Result<bool> {
    modules(folder, npm_ci_in(folder).env("PATH", path))
}

fn modules(folder: &Path, npm_ci: &mut Command) -> Result<bool> {
    let wanted = hex::encode(Sha256::digest(fs::read(folder.join("package-lock.json"))?));
    let stamp = folder.join("node_modules/.zlh-lock");
    if fs::read_to_string(&stamp).is_ok_and(|there| there == wanted) {
        return Ok(false);
    }
    run(npm_ci)?;
    fs::write(stamp, wanted)?;
    Ok(true)
}

/// Installs what `requirements.txt` in `folder` names into `packages`, unless that was done for the same file. The program that
/// runs what is there.
pub fn python_packages(folder: &Path, packages: &Path) -> Result<&'static str> {
    let requirements = folder.join("requirements.txt");
    let wanted = hex::encode(Sha256::digest(fs::read(&requirements)?));
    let stamp = packages.join(".zlh-lock");
    if fs::read_to_string(&stamp).is_ok_and(|there| there == wanted) {
        return Ok(python::interpreter());
    }
    if packages.exists() {
        fs::remove_dir_all(packages)?;
    }
    python::install(&requirements, packages)?;
    fs::write(stamp, wanted)?;
    Ok(python::interpreter())
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
