//! The sidecar of the Weft service mesh and its launcher. `ARCHITECTURE.md` at the root of the repository has the map.

pub mod buffer;
pub mod http;
pub mod http1;
pub mod proto;
pub mod tunnel;
