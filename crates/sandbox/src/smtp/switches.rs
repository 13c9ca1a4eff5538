//! What goes wrong on request: `/smtp/_switches`.

use serde::{Deserialize, Serialize};

/// The switches. All of them have a value; a POST changes those that it names.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Switches {
    /// Logins are refused (535), right ones too.
    pub(crate) refuse_login: bool,
    /// Senders are refused (550).
    pub(crate) refuse_sender: bool,
    /// These recipients are refused (550); `*` is everybody.
    pub(crate) refuse: Vec<String>,
    /// Each recipient is asked to come again later the first time (451).
    pub(crate) greylist: bool,
    /// Nothing is said any more from here on.
    pub(crate) hang: Option<Hang>,
    /// So many messages are taken and kept, and the connection ends before that is said.
    pub(crate) lose_answers: u32,
}

/// Where it falls silent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Hang {
    /// Before its greeting.
    Connect,
    /// After the message.
    Data,
}

impl Switches {
    /// Whether this recipient is refused.
    pub(crate) fn refuses(&self, recipient: &str) -> bool {
        self.refuse.iter().any(|it| it == "*" || it.eq_ignore_ascii_case(recipient))
    }
}
