//! `[console]`: how many consoles may be open, and how fast somebody may type.

use runtime::config::{Invalid, Key, Kind, Section};
use serde::{Deserialize, Serialize};

/// Sockets and what is typed into them.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ConsoleSection {
    /// Sockets open at the same time.
    pub max_sockets: u32,
    /// Of one server.
    pub sockets_per_instance: u32,
    /// Of one account.
    pub sockets_per_customer: u32,
    /// Inputs that one socket may send each second.
    pub inputs_per_second: u32,
    /// Inputs that it may send at once after a pause.
    pub inputs_burst: u32,
}

impl Default for ConsoleSection {
    fn default() -> Self {
        Self {
            max_sockets: 512,
            sockets_per_instance: 10,
            sockets_per_customer: 50,
            inputs_per_second: 20,
            inputs_burst: 40,
        }
    }
}

impl Section for ConsoleSection {
    fn name(&self) -> &'static str {
        "console"
    }

    fn keys(&self) -> &'static [Key] {
        const KEYS: &[Key] = &[
            Key::new(
                "max_sockets",
                Kind::Integer,
                "Consoles open at the same time; each counts as one of `api.max_connections` too.",
            ),
            Key::new("sockets_per_instance", Kind::Integer, "Consoles of one server open at the same time."),
            Key::new("sockets_per_customer", Kind::Integer, "Consoles that one account may have open."),
            Key::new(
                "inputs_per_second",
                Kind::Integer,
                "Inputs that one console may send each second, and lines that requests may send to one server.",
            ),
            Key::new(
                "inputs_burst",
                Kind::Integer,
                "Inputs that one console may send at once after a pause.",
            ),
        ];
        KEYS
    }

    fn validate(&self) -> Result<(), Invalid> {
        Invalid::unless_within("max_sockets", self.max_sockets, 1..=100_000)?;
        Invalid::unless_within("sockets_per_instance", self.sockets_per_instance, 1..=10_000)?;
        Invalid::unless_within("sockets_per_customer", self.sockets_per_customer, 1..=10_000)?;
        Invalid::unless_within("inputs_per_second", self.inputs_per_second, 1..=1_000)?;
        Invalid::unless_within("inputs_burst", self.inputs_burst, 1..=1_000)
    }
}
