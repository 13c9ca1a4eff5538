//! Leases: for how long a worker may hold a row without being heard of. One set of numbers for every kind of row.

/// Seconds that a claim lasts without a renewal. With a sweep every [`SWEEP_SECONDS`] the row of a killed worker is taken
/// over in at most 15 s (architecture, invariant 2).
pub const LEASE_SECONDS: i32 = 9;

/// Seconds between renewals.
pub const RENEW_SECONDS: u64 = 3;

/// Seconds between sweeps for rows that nobody has claimed.
pub const SWEEP_SECONDS: u64 = 2;
