//! HTTP/1.1: a strict codec that does no input or output, and the relay that carries a client connection's requests to upstream connections.
//!
//! Heads are parsed where they were read and copied once, edited, on their way out. Bodies pass as they came, framing included; a tracker only
//! finds where they end. Whatever could be read in two ways is refused with a reason.

pub mod body;
mod client;
mod deadline;
pub mod error;
mod exchange;
pub mod fields;
pub mod handler;
pub mod relay;
pub mod request;
pub mod response;
pub mod rewrite;
mod scan;
mod stall;

pub use deadline::{LIMITS, Limits};
pub use handler::{Acquired, Finished, Handler, Role};
pub use relay::relay;
pub use scan::is_token;
