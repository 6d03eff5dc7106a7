//! Talking with the controller.

pub mod grpc;
