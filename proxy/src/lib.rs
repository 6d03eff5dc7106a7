//! The sidecar of the Weft service mesh and its launcher. `ARCHITECTURE.md` at the root of the repository has the map.

pub mod bootstrap;
pub mod launch;
pub mod proto;
pub mod seqpacket;
pub mod sys;
