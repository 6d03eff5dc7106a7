//! The sidecar of the Weft service mesh and its launcher. `ARCHITECTURE.md` at the root of the repository has the map.

pub mod admin;
pub mod app;
pub mod balance;
pub mod bootstrap;
pub mod buffer;
pub mod control;
pub mod drain;
pub mod endpoint;
pub mod errors;
pub mod http;
pub mod http1;
pub mod http2;
pub mod identity;
pub mod inbound;
pub mod listening;
mod log;
pub mod metrics;
pub mod outbound;
pub mod proto;
pub mod seqpacket;
pub mod services;
pub mod sidecar;
pub mod stream;
pub mod sys;
pub mod tcp;
pub mod tls;
