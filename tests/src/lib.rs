//! What the suites share: a worker with a real engine, faults to put into its steps, and an inventory of everything
//! that an operation may leave behind.

mod backups;
mod console;
mod faults;
mod game;
mod inventory;
mod ports;
mod rig;
mod town;
mod tree;

pub use console::Watcher;
pub use faults::{Fault, Plan, When};
pub use game::{BLUEPRINT, smallest};
pub use inventory::Inventory;
pub use ports::PortRange;
pub use rig::{Rig, program};
pub use town::{Customer, PASSWORD, Town, eventually};
pub use tree::{Entry, Tree, as_the_container, differences, tree};
