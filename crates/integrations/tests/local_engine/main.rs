//! The local engine with real processes: the real agent, bubblewrap and cgroups where the machine has them.

mod isolation;
mod lifecycle;
mod marks;
mod survival;
mod world;
