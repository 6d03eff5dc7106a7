//! What the sidecar counts.

pub mod histogram;
