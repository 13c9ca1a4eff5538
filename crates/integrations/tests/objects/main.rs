//! The object storage as its callers meet it: a folder behind its gateway, and a real S3 server that checks signatures.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "these tests start servers and live in real time"
)]

mod contract;
mod folder;
mod s3;
mod s3_faults;
