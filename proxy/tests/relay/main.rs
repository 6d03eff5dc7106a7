//! The HTTP/1.1 relay, seen from its client and its endpoints.

mod bodies;
mod elsewhere;
mod failures;
mod harness;
mod keepalive;
mod properties;
mod silence;
mod switching;
