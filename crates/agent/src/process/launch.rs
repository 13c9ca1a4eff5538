//! What a program is started with: in the data folder, with an environment of its own.

use std::{collections::BTreeMap, env, path::Path};

use domain::agent::ConsoleMode;
use shim::{
    leftovers::MARK,
    protocol::{Order, Purpose},
};

use super::runtime::search_path;

/// A program that is ready to be started.
#[derive(Clone, Debug)]
pub struct Launch {
    /// Program and arguments, resolved.
    pub argv: Vec<String>,
    /// Extra environment.
    pub env: BTreeMap<String, String>,
    /// How output and input are connected.
    pub mode: ConsoleMode,
}

impl Launch {
    /// The order to a shim: nothing of the agent's own environment but PATH and time zone, which hold no secrets.
    /// Its output has numbers from `next` on.
    pub(super) fn order(
        &self,
        purpose: Purpose,
        data: &Path,
        instance: &str,
        size: (u16, u16),
        next: u64,
    ) -> Order {
        let mut own = BTreeMap::from([
            ("PATH".to_owned(), search_path()),
            ("HOME".to_owned(), data.to_string_lossy().into_owned()),
            ("LANG".to_owned(), "C.UTF-8".to_owned()),
            ("TZ".to_owned(), env::var("TZ").unwrap_or_else(|_| "UTC".to_owned())),
        ]);
        if self.mode == ConsoleMode::Pty {
            own.insert("TERM".to_owned(), "xterm-256color".to_owned());
        }
        own.extend(self.env.clone());
        own.insert(MARK.to_owned(), instance.to_owned());
        let (argv, data, instance) = (self.argv.clone(), data.to_owned(), instance.to_owned());
        Order { purpose, argv, env: own, data, instance, mode: self.mode, size, next }
    }
}
