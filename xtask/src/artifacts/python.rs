//! Artifacts in Python: the packages of a locked requirements file and a program that starts them, in one folder.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result};
use flate2::{Compression, GzBuilder};

use super::run;

/// The Python that servers see: isolated ones see the system's programs only, whatever a version manager put before it.
const SYSTEM_PYTHON: &str = "/usr/bin/python3";

/// Installs exactly what `requirements` says, from wheels only, and packs it with `start`.
pub(super) fn make(build: &Path, requirements: &str, start: &str) -> Result<Vec<u8>> {
    let packages = build.join("packages");
    install(&build.join(requirements), &packages)?;
    // Programs with this folder's name in them.
    let _ = fs::remove_dir_all(packages.join("bin"));
    fs::copy(build.join(start), packages.join(start))?;
    pack(&packages)
}

/// The Python that packages are installed for.
pub(super) fn interpreter() -> &'static str {
    if Path::new(SYSTEM_PYTHON).is_file() { SYSTEM_PYTHON } else { "python3" }
}

/// Installs exactly what a requirements file says into a folder, from wheels only.
pub(super) fn install(requirements: &Path, packages: &Path) -> Result<()> {
    run(Command::new("pip3")
        .args(["--python", interpreter(), "--disable-pip-version-check", "install", "--quiet"])
        .args(["--require-hashes", "--only-binary", ":all:", "--no-compile", "--requirement"])
        .arg(requirements)
        .arg("--target")
        .arg(packages)
        .env("PIP_ROOT_USER_ACTION", "ignore"))
}

/// A tar of a folder's files: byte for byte the same for the same content. Quick rather than small.
fn pack(folder: &Path) -> Result<Vec<u8>> {
    let gzip = GzBuilder::new().mtime(0).write(Vec::new(), Compression::fast());
    let mut archive = tar::Builder::new(gzip);
    for path in files(folder)? {
        let content = fs::read(folder.join(&path)).with_context(|| path.display().to_string())?;
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        header.set_mtime(0);
        archive.append_data(&mut header, &path, content.as_slice())?;
    }
    Ok(archive.into_inner()?.finish()?)
}

/// The files below a folder, relative to it, sorted.
fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let (mut files, mut folders) = (Vec::new(), vec![PathBuf::new()]);
    while let Some(inner) = folders.pop() {
        for entry in fs::read_dir(folder.join(&inner))? {
            let entry = entry?;
            let path = inner.join(entry.file_name());
            if entry.file_type()?.is_dir() { folders.push(path) } else { files.push(path) }
        }
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_folder_is_packed_into_the_same_bytes() {
        let folder = tempfile::tempdir().unwrap();
        for path in ["b/c/deep.py", "a.py", "b/d.py"] {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, path.file_name().unwrap().as_encoded_bytes()).unwrap();
        }
        let packed = pack(folder.path()).unwrap();
        assert_eq!(packed, pack(folder.path()).unwrap());
        let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(packed.as_slice()));
        let names: Vec<_> =
            archive.entries().unwrap().map(|entry| entry.unwrap().path().unwrap().into_owned()).collect();
        assert_eq!(names, ["a.py", "b/c/deep.py", "b/d.py"].map(PathBuf::from));
    }
}
