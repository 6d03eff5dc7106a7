//! The contract with the controller, generated from `proto/weft/v1`. `tests/contract.rs` holds it equal to its source.
#![allow(missing_docs)]

include!("weft.v1.rs");
