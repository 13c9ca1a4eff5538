//! Backups as the control plane makes and restores them: a real agent, and a real storage in the test's process.

mod create;
mod faults;
mod kills;
mod malicious;
mod restore;
mod storage;
mod tree;
