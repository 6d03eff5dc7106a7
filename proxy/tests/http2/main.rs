//! HTTP/2 between a client and servers that the tests play.

mod elsewhere;
mod frames;
mod harness;
mod heads;
mod hostile;
mod resending;
mod sections;
mod silence;
mod streams;
mod tunnels;
