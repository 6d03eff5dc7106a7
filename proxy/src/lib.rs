//! The sidecar of the Weft service mesh and its launcher. `ARCHITECTURE.md` at the root of the repository has the map.

pub mod bootstrap;
pub mod control;
pub mod drain;
pub mod endpoint;
pub mod errors;
pub mod http2;
pub mod identity;
mod log;
pub mod metrics;
pub mod proto;
pub mod seqpacket;
pub mod services;
pub mod stream;
pub mod sys;
pub mod tls;
