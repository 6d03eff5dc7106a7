//! The launcher with a stand-in for its sidecar: what a program sees, what the sidecar gets, and how everything ends.
//!
//! As root each is shown for root and for an ordinary user. Where namespaces are not allowed, what needs them is skipped, unless CI=true.

mod ending;
mod fallback;
mod mesh;
mod namespace;
mod sidecar;
