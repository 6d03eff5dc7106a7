//! The sidecar of the Weft service mesh and its launcher. `ARCHITECTURE.md` at the root of the repository has the map.

pub mod balance;
pub mod control;
pub mod dns;
pub mod metrics;
pub mod proto;
