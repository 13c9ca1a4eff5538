//! What a stage allows.

use crate::instance::text_enum;

use super::Stage;

text_enum! {
    /// Something that an open payment may block. Reading and downloading one's data, deleting it, support, and paying are not
    /// here: nothing ever blocks them.
    Gate {
        /// Making a server.
        NewInstances = "new_instances",
        /// Making a backup, by hand or by a schedule.
        NewBackups = "new_backups",
        /// Taking a bigger plan, or more servers into the subscription.
        Upgrades = "upgrades",
        /// Starting, stopping and restarting.
        Power = "power",
        /// Watching a console and typing in it.
        Console = "console",
        /// Changing files, and restoring backups over them.
        FileWrites = "file_writes",
        /// Opening a workspace.
        Ide = "ide",
    }
}

impl Stage {
    /// Whether something may be done in this stage. The one place that decides it.
    pub const fn allows(self, gate: Gate) -> bool {
        match self {
            Self::GoodStanding | Self::PaymentFailed | Self::Restored => true,
            Self::FinalWarning => !matches!(gate, Gate::NewInstances | Gate::NewBackups | Gate::Upgrades),
            Self::Suspended => false,
        }
    }

    /// All that is blocked in this stage.
    pub fn blocked(self) -> Vec<Gate> {
        Gate::ALL.iter().copied().filter(|gate| !self.allows(*gate)).collect()
    }
}
