//! `weft-proxy`: the sidecar. Started by `weft-launch` only.

fn main() {}
