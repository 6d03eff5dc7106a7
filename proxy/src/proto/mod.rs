//! The contract with the controller, generated from `proto/weft/v1`, which `tests/contract.rs` holds equal to its source, and what reads its plain numbers.
#![allow(clippy::large_enum_variant, missing_docs)]

include!("weft.v1.rs");

/// A port number of the contract, which has no type as narrow. An error, for people, when it is none.
pub fn port_number(port: u32) -> Result<u16, String> {
    u16::try_from(port)
        .ok()
        .filter(|port| *port != 0)
        .ok_or_else(|| format!("{port} is no port"))
}
