//! The HTTP/1.1 codec: what it accepts, what it refuses and why, and that pieces make no difference.

mod bodies;
mod heads;
mod properties;
mod requests;
mod responses;
