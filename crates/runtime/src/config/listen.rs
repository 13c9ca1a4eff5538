//! Where something listens: a TCP address, or a Unix socket.

use std::{fmt, net::SocketAddr, path::PathBuf, str::FromStr};

use serde::{Deserialize, Serialize};

/// What a Unix socket's path begins with.
const UNIX: &str = "unix:";

/// Longest path of a Unix socket (unix(7): 108 bytes with the terminator).
const LONGEST_PATH: usize = 107;

/// A TCP address or a Unix socket, written as `127.0.0.1:9180` or `unix:/run/zlh/api.sock`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Listen {
    /// An address and a port; port 0 takes a free one.
    Tcp(SocketAddr),
    /// A socket in the file system: whoever may not enter its folder cannot connect.
    Unix(PathBuf),
}

impl FromStr for Listen {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let Some(path) = text.strip_prefix(UNIX) else {
            let wrong = || format!("{text:?} is neither address:port nor unix:/path");
            return text.parse().map(Self::Tcp).map_err(|_| wrong());
        };
        if !path.starts_with('/') || path.len() > LONGEST_PATH {
            return Err(format!("{path:?} is not an absolute path of at most {LONGEST_PATH} bytes"));
        }
        Ok(Self::Unix(path.into()))
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "{UNIX}{}", path.display()),
        }
    }
}

impl TryFrom<String> for Listen {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Listen> for String {
    fn from(listen: Listen) -> Self {
        listen.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_read_as_it_is_written_and_nothing_else_is_read() {
        for text in ["127.0.0.1:9180", "[::1]:0", "unix:/run/zlh/api.sock"] {
            assert_eq!(text.parse::<Listen>().unwrap().to_string(), text);
        }
        let long = format!("unix:/{}", "x".repeat(LONGEST_PATH));
        for text in ["", "9180", "localhost:9180", "unix:", "unix:api.sock", &long] {
            assert!(text.parse::<Listen>().is_err(), "{text}");
        }
    }
}
