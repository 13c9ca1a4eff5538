//! Embeds what `npm run build` has made in `web/dist`. Without it the crate compiles all the same, and has nothing.

use std::{
    env, fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
};

fn main() -> io::Result<()> {
    let variable = |name| env::var_os(name).map(PathBuf::from).ok_or_else(|| io::Error::other(name));
    let dist = variable("CARGO_MANIFEST_DIR")?.join("web/dist");
    println!("cargo::rerun-if-changed={}", dist.display());
    let mut files = Vec::new();
    collect(&dist, &mut files)?;
    files.sort();
    let mut out = fs::File::create(variable("OUT_DIR")?.join("files.rs"))?;
    writeln!(out, "static FILES: &[File] = &[")?;
    for file in files.iter().filter(|file| !is_compressed(file)) {
        let path = file.strip_prefix(&dist).map_err(io::Error::other)?;
        let compressed = |ending: &str| {
            let beside = PathBuf::from(format!("{}{ending}", file.display()));
            if files.contains(&beside) {
                format!("Some(include_bytes!({}))", quoted(&beside))
            } else {
                "None".to_owned()
            }
        };
        writeln!(
            out,
            "    File {{ path: {}, plain: include_bytes!({}), brotli: {}, gzip: {} }},",
            quoted(&Path::new("/").join(path)),
            quoted(file),
            compressed(".br"),
            compressed(".gz"),
        )?;
    }
    writeln!(out, "];")
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let path = entry?.path();
        if path.is_dir() { collect(&path, files)? } else { files.push(path) }
    }
    Ok(())
}

/// A path as Rust writes it.
fn quoted(path: &Path) -> String {
    format!("{:?}", path.to_string_lossy())
}

fn is_compressed(file: &Path) -> bool {
    file.extension().is_some_and(|ending| ending == "br" || ending == "gz")
}
