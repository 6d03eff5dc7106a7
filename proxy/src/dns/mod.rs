//! DNS for the program: mesh names are answered here, everything else by the host's resolvers.

pub mod message;
pub mod names;
mod resolvers;
mod server;

pub use resolvers::Resolvers;
pub use server::{Lookup, MeshNames, Server};
