//! Where configuration comes from: the places a process looks in, and the place a value was found in.

use std::{
    env, fmt,
    path::{Path, PathBuf},
};

/// The file that is read when `--config` names none; it may be missing.
pub const DEFAULT_FILE: &str = "/etc/zlh/zlh.toml";

/// The places that are looked in. A test fills it by hand, so that it need not touch the process's environment.
#[derive(Debug, Clone)]
pub struct Sources {
    /// The daemon's name: its table in the file overrides the shared sections.
    pub daemon: String,
    /// The file, if any.
    pub file: Option<ConfigFile>,
    /// Environment variables; those that do not begin with `ZLH_` are ignored.
    pub environment: Vec<(String, String)>,
    /// systemd's credentials directory, with files named `section.key`.
    pub credentials: Option<PathBuf>,
}

/// A configuration file.
#[derive(Debug, Clone)]
pub struct ConfigFile {
    /// Where it is.
    pub path: PathBuf,
    /// Whether its absence is an error: somebody named it.
    pub required: bool,
}

impl Sources {
    /// Nothing but built-in defaults.
    pub fn none(daemon: &str) -> Self {
        Self { daemon: daemon.to_owned(), file: None, environment: Vec::new(), credentials: None }
    }

    /// The places that a running daemon looks in; `file` is the one named by `--config`.
    pub fn of_process(daemon: &str, file: Option<&Path>) -> Self {
        Self {
            file: Some(ConfigFile {
                path: file.unwrap_or(Path::new(DEFAULT_FILE)).to_owned(),
                required: file.is_some(),
            }),
            environment: env::vars_os()
                .filter_map(|(name, value)| {
                    Some((name.into_string().ok()?, value.to_string_lossy().into_owned()))
                })
                .collect(),
            credentials: env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from),
            ..Self::none(daemon)
        }
    }

    /// The same places, with a file that must exist.
    #[must_use]
    pub fn with_file(self, path: impl Into<PathBuf>) -> Self {
        let file = Some(ConfigFile { path: path.into(), required: true });
        Self { file, ..self }
    }

    /// The same places, with one more environment variable.
    #[must_use]
    pub fn with_env(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }
}

/// Where a value was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// It was not given.
    Default,
    /// A configuration file.
    File(PathBuf),
    /// An environment variable, by name.
    Environment(String),
    /// A file in the credentials directory.
    Credential(PathBuf),
    /// The content of a file that a `<key>_file` setting names.
    SecretFile {
        /// The file with the secret.
        path: PathBuf,
        /// Where the path was found.
        named_by: Box<Source>,
    },
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("built-in default"),
            Self::File(path) => write!(f, "file {}", path.display()),
            Self::Environment(name) => write!(f, "environment variable {name}"),
            Self::Credential(path) => write!(f, "credential {}", path.display()),
            Self::SecretFile { path, named_by } => write!(f, "file {} named by {named_by}", path.display()),
        }
    }
}
